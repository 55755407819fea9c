"""What share of the variance of the full last-layer Laplace posterior Kronecker factors keep, of classifier-0: in NumPy, apart from the program.

    python3 laplace_ratio.py MODELS MNIST

MODELS is the folder of the shipped models, MNIST that of its four .gz files. Needs: numpy, scipy, torch. Prints the prior precisions of the
largest evidence, and the ratios of the mean logit variances of 100 test images and of 30 × 30 decoded points of the plane from −10 to 10,
with a prior each and at one prior.
"""
import gzip, json, struct, sys
import numpy as np, torch, torch.nn.functional as F
from scipy.optimize import minimize_scalar

models, mnist = sys.argv[1:3]


def weights(path):
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    kinds = {"F16": np.float16, "F32": np.float32}
    for name, about in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            first, last = about["data_offsets"]
            values = np.frombuffer(data[8 + length + first : 8 + length + last], kinds[about["dtype"]])
            yield name, torch.tensor(values.reshape(about["shape"]).astype(np.float32))


def idx(name):
    data = gzip.open(f"{mnist}/{name}.gz").read()
    axes = data[3]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes]))


def images(name):
    return torch.tensor(idx(name).astype(np.float32) / 255)


w = dict(weights(f"{models}/classifier-0/weights.safetensors"))


@torch.no_grad()
def features(images):
    parts = []
    for part in images.reshape(-1, 1, 28, 28).split(1000):
        x = F.relu(F.conv2d(F.relu(F.conv2d(part, w["conv1.weight"], w["conv1.bias"])), w["conv2.weight"], w["conv2.bias"]))
        parts.append(F.relu(F.linear(F.max_pool2d(x, 2).flatten(1), w["fc1.weight"], w["fc1.bias"])))
    x = torch.cat(parts).double().numpy()
    return np.c_[x, np.ones(len(x))]


last = np.c_[w["fc2.weight"].double().numpy(), w["fc2.bias"].double().numpy()]
classes, width = last.shape


def ratios(x, labels):
    logits = x @ last.T
    logits -= logits.max(1, keepdims=True)
    p = np.exp(logits)
    likelihood = (logits[np.arange(len(x)), labels] - np.log(p.sum(1))).sum()
    p /= p.sum(1, keepdims=True)
    full = np.zeros((classes * width, classes * width))
    for a in range(classes):
        for b in range(classes):
            full[a * width : (a + 1) * width, b * width : (b + 1) * width] = (x * (p[:, a] * ((a == b) - p[:, b]))[:, None]).T @ x
    values, vectors = np.linalg.eigh(full)
    values_in, vectors_in = np.linalg.eigh(x.T @ x / len(x))
    values_out = np.linalg.eigvalsh(np.diag(p.mean(0)) - p.T @ p / len(x)).clip(0)
    values, products = values.clip(0), len(x) * np.outer(values_out, values_in.clip(0))

    def prior(curvatures):
        evidence = lambda log: likelihood + (np.log(10**log / (curvatures + 10**log)).sum() - 10**log * (last**2).sum()) / 2
        return 10 ** minimize_scalar(lambda log: -evidence(log), bounds=(-6, 8), method="bounded").x

    def of_full(tau, of):
        return sum((((of @ vectors[c * width : (c + 1) * width]) ** 2) / (values + tau)).sum() for c in range(classes))

    def of_kronecker(tau, of):
        return (((of @ vectors_in) ** 2)[:, None] / (products + tau)).sum()

    best, best_kronecker = prior(values), prior(products.ravel())
    print(f"{len(x)} images: prior precision full {best:.3f}, Kronecker {best_kronecker:.3f}")
    for name, of in [("test images", test[:100]), ("plane", plane)]:
        at = ", ".join(f"{of_kronecker(tau, of) / of_full(tau, of):.4f} at {tau:.3f}" for tau in [best, best_kronecker, 1, 100])
        print(f"  {name}: {of_kronecker(best_kronecker, of) / of_full(best, of):.4f} with a prior each, {at}")


vae, along = dict(weights(f"{models}/vae/weights.safetensors")), torch.linspace(-10, 10, 30)
decoded = torch.cartesian_prod(along, along)
for layer in ["decoder.1", "decoder.2"]:
    decoded = F.elu(F.linear(decoded, vae[f"{layer}.weight"], vae[f"{layer}.bias"]))
plane = features(torch.sigmoid(F.linear(decoded, vae["decoder.3.weight"], vae["decoder.3.bias"])))
test, labels = features(images("t10k-images-idx3-ubyte")), idx("t10k-labels-idx1-ubyte")
ratios(test[:1000], labels[:1000])
ratios(features(images("train-images-idx3-ubyte")), idx("train-labels-idx1-ubyte"))
