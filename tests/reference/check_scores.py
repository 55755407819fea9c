"""Recomputes a detection table from its own scores with scikit-learn, and says how far the numbers are apart.

    epistemap detect --scores scores.csv --json --out table.json
    python3 check_scores.py scores.csv table.json

Needs: numpy, pandas, scikit-learn. Ends with an error where a number differs by more than 1e-9.
"""
import json, sys
import numpy as np, pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

scores = pd.read_csv(sys.argv[1], comment="#", keep_default_na=True)
table = json.load(open(sys.argv[2]))
VERSIONS = dict(both=["clean", "noise"], clean=["clean"], noisy=["noise"])
worst, compared = 0.0, 0


def compare(negatives, positives, scored):
    global worst, compared
    measure = scored["measure"]
    if scored["auroc"] is None:
        return
    sign = -1.0 if measure in ("maximum_probability", "latent_log_density") else 1.0
    y = np.r_[np.zeros(len(negatives)), np.ones(len(positives))]
    s = sign * np.r_[negatives[measure].to_numpy(), positives[measure].to_numpy()]
    fpr, tpr, _ = roc_curve(y, s, drop_intermediate=False)
    ours = dict(auroc=roc_auc_score(y, s), average_precision=average_precision_score(y, s), fpr_at_95_tpr=fpr[np.argmax(tpr >= 0.95)],
                tpr_at_1_fpr=tpr[fpr <= 0.01].max(), tpr_at_5_fpr=tpr[fpr <= 0.05].max())
    for name, value in ours.items():
        worst, compared = max(worst, abs(value - scored[name]["value"])), compared + 1


for row in table["rows"]:
    here = scores[scores.on == row["on"]]
    attack = here[(here.attack == row["method"]) & (here.eps == row["epsilon"])]
    for scored in row["detection"]:
        positives = attack[attack.version == "attacked"]
        if scored["positives"] == "successful":
            positives = positives[positives.success == 1]
        parts = [here[here.version == "clean"] if v == "clean" else attack[attack.version == v] for v in VERSIONS[scored["negatives"]]]
        compare(pd.concat(parts), positives, scored)
for found in table.get("unfamiliar", []):
    here = scores[scores.on == found["on"]]
    clean = here[here.version == "clean"]
    for scored in found["detection"]:
        compare(clean, here[here.version == "ood"], scored)
print(f"{compared} numbers, the farthest {worst:.1e} apart")
assert compared and worst <= 1e-9
