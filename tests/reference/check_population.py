"""Recomputes the AUROCs of a population from its own values with scikit-learn, and says how far the numbers are apart.

    epistemap interpolate --population --out population.csv
    epistemap interpolate --population --out population.json
    python3 check_population.py population.csv population.json

Needs: numpy, pandas, scikit-learn. Ends with an error where a number differs by more than 1e-9.
"""
import json, sys
import numpy as np, pandas as pd
from sklearn.metrics import roc_auc_score

values = pd.read_csv(sys.argv[1], comment="#")
table = json.load(open(sys.argv[2]))
worst, compared = 0.0, 0
for measure, ours in table["auroc"].items():
    if ours is None:
        continue
    sign = -1.0 if measure == "maximum_probability" else 1.0
    positive = values.path == "pixel"
    # The values are single precision in both files.
    for scores in [values[measure].to_numpy(), np.r_[table["latent"][measure], table["pixel"][measure]]]:
        theirs = roc_auc_score(positive, sign * scores.astype(np.float32))
        worst, compared = max(worst, abs(theirs - ours)), compared + 1
print(f"{compared} numbers, the farthest {worst:.1e} apart")
assert compared and worst <= 1e-9
