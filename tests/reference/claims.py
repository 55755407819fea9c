"""Numbers of the README's table of claims that take several runs of the program, with 95 % intervals.

    python3 claims.py variance EPISTEMAP [SEEDS]    softmax variance as a proxy of mutual information, over mask seeds (10)
    python3 claims.py distance EPISTEMAP MODELS     rank correlation with the distance to the nearest training encoding, over the single networks

EPISTEMAP is the program, such as target/release/epistemap; MODELS the folder of the shipped models. Needs: numpy, scipy. The intervals are
Student's, of the mean over seeds or over networks.
"""
import json, pathlib, struct, subprocess, sys, tempfile
import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import spearmanr, t


def interval(name, values):
    values = np.asarray(values, float)
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    print(f"{name}: {values.mean():.3f} [{values.mean() - half:.3f}, {values.mean() + half:.3f}], from {values.min():.3f} to {values.max():.3f}")


def safetensor(path, name):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    about = json.loads(data[8 : 8 + length])[name]
    first, last = about["data_offsets"]
    kind = {"F32": np.float32, "F16": np.float16}[about["dtype"]]
    return np.frombuffer(data[8 + length + first : 8 + length + last], kind).reshape(about["shape"]).astype(float)


what, program = sys.argv[1], sys.argv[2]
with tempfile.TemporaryDirectory() as folder:
    if what == "variance":
        found = {}
        for seed in range(int(sys.argv[3]) if len(sys.argv) > 3 else 10):
            subprocess.run([program, "figures", "variance-information", "--format", "svg", "--seed", str(seed), "--out", folder], check=True, capture_output=True)
            made = json.loads(subprocess.check_output([program, "provenance", f"{folder}/variance-information.svg"]))
            for key, value in made["rank_correlation_with_mutual_information"].items():
                found.setdefault(f"rank correlation of {key}", []).append(value)
            for key, value in made["mutual_information_over_leading_term"].items():
                found.setdefault(key, []).append(value)
        for name, values in found.items():
            interval(name, values)
    elif what == "distance":
        models = pathlib.Path(sys.argv[3])
        tree = cKDTree(safetensor(models / "encodings.safetensors", "train.points"))
        found = {"mutual_information": [], "predictive_entropy": []}
        for member in range(len(list(models.glob("classifier-*")))):
            subprocess.run([program, "map", "--members", f"{member},", "--grid", "50", "--extent=-10,10", "--out", f"{folder}/map.npz"], check=True)
            values = np.load(f"{folder}/map.npz")
            z1, z2 = np.meshgrid(values["z1"], values["z2"])
            distance = tree.query(np.c_[z1.ravel(), z2.ravel()])[0]
            for measure, all_values in found.items():
                all_values.append(spearmanr(distance, values[measure].ravel()).statistic)
        for measure, values in found.items():
            interval(measure, values)
        interval("mutual information less entropy", np.subtract(*found.values()))
    else:
        sys.exit(__doc__)
