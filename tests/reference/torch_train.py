"""The same trainings here and in PyTorch, side by side: do both reach the same within the spread of seeds?

    python3 torch_train.py EPISTEMAP MNIST_FOLDER [IMAGES]

Needs: torch, numpy, the program, and a folder with MNIST's IDX files. Trains a residual network and a convolutional VAE on the first IMAGES
(10000) training images with three seeds each, by Adam at a learning rate of 1e-3 and a batch of 128, from Glorot's uniform weights. Prints
each test score (accuracy with dropout off; -ELBO in nats with one sample), both means, and their difference in standard errors. Exit code 1 where
that is more than 4: the seeds' spread does not explain it.
"""
import gzip, json, math, pathlib, subprocess, sys, tempfile
import numpy as np, torch, torch.nn as nn, torch.nn.functional as F

program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
count = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000
SEEDS, BATCH, EPOCHS = (0, 1, 2), 128, {"resnet": 3, "conv-vae": 5}

def idx(name):
    path = folder / name
    data = path.read_bytes() if path.exists() else gzip.decompress((folder / f"{name}.gz").read_bytes())
    axes = data[3]
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes)]
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape).copy())

x, y = idx("train-images-idx3-ubyte")[:count, None] / 255, idx("train-labels-idx1-ubyte")[:count].long()
tx, ty = idx("t10k-images-idx3-ubyte")[:, None] / 255, idx("t10k-labels-idx1-ubyte").long()

class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        change = stride > 1 or inputs != outputs
        self.side = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)) if change else nn.Identity()
        self.drop = nn.Dropout2d(0.1)

    def forward(self, x):
        return self.drop(F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.side(x)))

def resnet():
    stem = [nn.Conv2d(1, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*stem, Block(8, 8, 1), Block(8, 16, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 10))

class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(), nn.Flatten())
        self.mean, self.log_variance = nn.Linear(64 * 49, 2), nn.Linear(64 * 49, 2)
        grow = [nn.Linear(2, 64 * 49), nn.ReLU(), nn.Unflatten(1, (64, 7, 7))]
        self.decoder = nn.Sequential(*grow, nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1))

    def loss(self, x):
        h = self.encoder(x)
        m, l = self.mean(h), self.log_variance(h)
        logits = self.decoder(m + torch.randn_like(m) * (l / 2).exp())
        return (F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + 0.5 * (l.exp() + m * m - 1 - l).sum()) / len(x)

def glorot(net):
    for module in net.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

def in_pytorch(kind, seed):
    torch.manual_seed(seed)
    net = resnet() if kind == "resnet" else Vae()
    glorot(net)
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(EPOCHS[kind]):
        net.train()
        for batch in torch.randperm(len(x)).split(BATCH):
            loss = F.cross_entropy(net(x[batch]), y[batch]) if kind == "resnet" else net.loss(x[batch])
            optimiser.zero_grad(); loss.backward(); optimiser.step()
    net.eval()
    with torch.inference_mode():
        if kind == "resnet":
            return sum((net(a).argmax(1) == b).sum().item() for a, b in zip(tx.split(500), ty.split(500))) / len(tx)
        return sum(net.loss(a).item() * len(a) for a in tx.split(500)) / len(tx)

def here(kind, seed, out):
    verb = ["classifier", "--architecture", "resnet", "--widths", "8,16", "--blocks", "1", "--dropout", "0.1,0.5"]
    if kind == "conv-vae":
        verb = ["vae", "--architecture", "conv-vae", "--widths", "32,64"]
    common = ["--dataset", str(folder), "--images", str(count), "--batch", str(BATCH), "--epochs", str(EPOCHS[kind]), "--optimiser", "adam"]
    into = pathlib.Path(out) / f"{kind}-{seed}"
    subprocess.run([program, "train", *verb, *common, "--seed", str(seed), "--out", str(into)], check=True, stderr=subprocess.DEVNULL)
    last = json.loads((into / "training.jsonl").read_text().splitlines()[-1])
    return last["accuracy"] if kind == "resnet" else last["negative_elbo"]

apart = False
with tempfile.TemporaryDirectory() as out:
    for kind, score in [("resnet", "accuracy"), ("conv-vae", "-ELBO")]:
        ours, theirs = [here(kind, seed, out) for seed in SEEDS], [in_pytorch(kind, seed) for seed in SEEDS]
        error = math.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / len(SEEDS))
        difference = (np.mean(ours) - np.mean(theirs)) / error
        apart |= bool(abs(difference) > 4)
        show = lambda values: ", ".join(f"{value:.4f}" for value in values)
        print(f"{kind}, {score}: here {show(ours)} (mean {np.mean(ours):.4f}); PyTorch {show(theirs)} (mean {np.mean(theirs):.4f}); "
              f"difference {difference:+.1f} standard errors")
sys.exit(apart)
