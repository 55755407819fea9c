"""The convolutional VAEs of `models/cats-dogs` trained in PyTorch: the same architecture, photographs, split, epochs and optimiser.

    python3 torch_photos_vae.py ARCHIVE LATENTS EPOCHS [SEED]

Needs: torch, numpy, pillow, and the archive of 64 x 64 photographs (`.tar.gz` with a folder for each class). Trains by Adam at a learning rate
of 1e-3 and a batch of 64, from Glorot's uniform weights, and prints -ELBO of the test images in nats after every epoch (one sample of each).
A fifth of the photographs is for testing, by the first byte of SHA-256 of "name/class", as the program splits them.
"""
import hashlib, io, sys, tarfile
import numpy as np, torch, torch.nn as nn, torch.nn.functional as F
from PIL import Image

archive, latents, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.manual_seed(int(sys.argv[4]) if len(sys.argv) > 4 else 0)
WIDTHS, BATCH, TEST_SHARE = (32, 64, 128, 128), 64, 51

parts = {False: [], True: []}
with tarfile.open(archive) as tar:
    for member in tar:
        if member.isfile() and member.name.endswith(".jpg"):
            name = "/".join(reversed(member.name.split("/")[-2:]))
            try:
                image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
            except OSError:
                continue
            parts[hashlib.sha256(name.encode()).digest()[0] < TEST_SHARE].append(np.asarray(image))
train, test = [torch.from_numpy(np.stack(parts[is_test])).permute(0, 3, 1, 2).contiguous() for is_test in (False, True)]

class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        encoder, decoder, channels, last = [], [], 3, WIDTHS[-1]
        for width in WIDTHS:
            encoder += [nn.Conv2d(channels, width, 4, 2, 1), nn.ReLU()]
            channels = width
        for width in (*reversed(WIDTHS[:-1]), 3):
            decoder += [nn.ReLU(), nn.ConvTranspose2d(channels, width, 4, 2, 1)]
            channels = width
        self.encoder = nn.Sequential(*encoder, nn.Flatten())
        self.mean, self.log_variance = nn.Linear(last * 16, latents), nn.Linear(last * 16, latents)
        self.decoder = nn.Sequential(nn.Linear(latents, last * 16), nn.Unflatten(1, (last, 4, 4)), *decoder)

    def loss(self, x):
        h = self.encoder(x)
        m, l = self.mean(h), self.log_variance(h)
        logits = self.decoder(m + torch.randn_like(m) * (l / 2).exp())
        return (F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + 0.5 * (l.exp() + m * m - 1 - l).sum()) / len(x)

net = Vae()
for module in net.modules():
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
optimiser = torch.optim.Adam(net.parameters(), 1e-3)
for epoch in range(1, epochs + 1):
    for batch in torch.randperm(len(train)).split(BATCH):
        loss = net.loss(train[batch] / 255)
        optimiser.zero_grad(); loss.backward(); optimiser.step()
    with torch.inference_mode():
        bound = sum(net.loss(images / 255).item() * len(images) for images in test.split(500)) / len(test)
    print(f"epoch {epoch} of {epochs}: -ELBO {bound:.2f} nats on {len(test)} test images", flush=True)
