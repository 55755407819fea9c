"""PyTorch's time for the gradient that `epistemap bench nets` prints as `depthwise_gradient_ms_per_image`.

    python3 torch_gradients.py [THREADS]

The network of `torch_nets.py`'s depthwise job on 16 images of 3 x 160 x 160 with dropout 0.5 and a dense layer on its features; the gradient of
the log of the mean probability of 20 draws of that head, with respect to the images. The trunk runs once, as it does in the program.
"""
import sys, time
import torch, torch.nn as nn, torch.nn.functional as F

torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)

class Inverted(nn.Module):
    def __init__(self, taken, made, stride):
        super().__init__()
        wide = 6 * taken
        self.is_residual = stride == 1 and taken == made
        self.layers = nn.Sequential(
            nn.Conv2d(taken, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, made, 1, bias=False), nn.BatchNorm2d(made))

    def forward(self, x):
        return x + self.layers(x) if self.is_residual else self.layers(x)

layers, channels = [nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()], 16
for made, stride in ((24, 2), (24, 1), (40, 2), (40, 1), (80, 2), (80, 1), (112, 1), (112, 1), (192, 2), (192, 1)):
    layers.append(Inverted(channels, made, stride))
    channels = made
trunk = nn.Sequential(*layers, nn.Conv2d(192, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
head = nn.Linear(1280, 2)
for parameter in (*trunk.parameters(), *head.parameters()):
    parameter.requires_grad_(False)
masks = (torch.rand(20, 1, 1280) > 0.5).float() * 2
images, labels = torch.rand(16, 3, 160, 160), torch.arange(16) % 2

def gradient():
    x = images.clone().requires_grad_(True)
    mean = head(trunk(x) * masks).softmax(-1).mean(0)
    return torch.autograd.grad(F.nll_loss(mean.log(), labels), x)[0]

gradient()
times = []
for _ in range(5):
    start = time.perf_counter()
    gradient()
    times.append(time.perf_counter() - start)
print(f"torch {torch.__version__}: {1e3 * min(times) / 16:.2f} ms per image")
