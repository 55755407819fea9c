"""Scores of made-up detectors (scores.csv) and what scikit-learn makes of them (scores.json).

    python3 make_scores.py OUTDIR [SEED]

Needs: numpy, scikit-learn. `epistemap detect --from-scores scores.csv` must find the same numbers. One detector has ties, one falls with
what is suspicious, and one has ties between all images of a version.
"""
import json, sys
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

out, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
rng = np.random.default_rng(seed)
IMAGES, ATTACKS = 40, [("fgm", "0.1", 0.4), ("bim", "0.2", 1.2)]
DETECTORS = ["predictive_entropy", "maximum_probability", "coarse", "constant_within"]
base = rng.normal(size=IMAGES)
rows = []


def add(version, attack, eps, shift, level):
    for image in range(IMAGES):
        score = level[image] + shift + 0.5 * rng.normal()
        success = int(rng.random() < 0.6) if version == "attacked" else ""
        rows.append(dict(image=image, version=version, attack=attack, eps=eps, on="mc", model="made-up", success=success, predictive_entropy=round(score, 1),
                         maximum_probability=1 / (1 + np.exp(score)), coarse=float(round(score + 0.3 * rng.normal())), constant_within=shift))


add("clean", "", "", 0.0, base)
for attack, eps, shift in ATTACKS:
    add("noise", attack, eps, 0.3 * shift, base)
    add("attacked", attack, eps, shift, base)
add("ood", "", "", 0.9, rng.normal(size=IMAGES))

with open(f"{out}/scores.csv", "w") as file:
    names = list(rows[0])
    file.write(",".join(names) + "\n")
    for row in rows:
        file.write(",".join(repr(float(value)) if isinstance(value, float) else str(value) for value in row.values()) + "\n")


def numbers(negatives, positives, detector):
    sign = -1.0 if detector == "maximum_probability" else 1.0
    y = np.r_[np.zeros(len(negatives)), np.ones(len(positives))]
    s = sign * np.array([float(row[detector]) for row in negatives + positives])
    fpr, tpr, _ = roc_curve(y, s, drop_intermediate=False)
    return dict(auroc=roc_auc_score(y, s), average_precision=average_precision_score(y, s), fpr_at_95_tpr=float(fpr[np.argmax(tpr >= 0.95)]),
                tpr_at_1_fpr=float(tpr[fpr <= 0.01].max()), tpr_at_5_fpr=float(tpr[fpr <= 0.05].max()))


def of(version, attack=""):
    return [row for row in rows if row["version"] == version and row["attack"] == attack]


table = []
for attack, _, _ in ATTACKS:
    sides = dict(both=of("clean") + of("noise", attack), clean=of("clean"), noise=of("noise", attack))
    for positives, chosen in [("all", of("attacked", attack)), ("successful", [row for row in of("attacked", attack) if row["success"] == 1])]:
        for negatives, others in sides.items():
            for detector in DETECTORS:
                table.append(dict(attack=attack, positives=positives, negatives=negatives, detector=detector, **numbers(others, chosen, detector)))
for detector in DETECTORS:
    table.append(dict(attack="", positives="ood", negatives="clean", detector=detector, **numbers(of("clean"), of("ood"), detector)))
with open(f"{out}/scores.json", "w") as file:
    json.dump(table, file)
    file.write("\n")
