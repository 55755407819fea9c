#!/usr/bin/env python3
"""Small residual networks under torchvision's names, and what PyTorch makes of two images with them.

    python3 torchvision_resnets.py OUT

For each of basic blocks, bottlenecks and ResNeXt bottlenecks: OUT/NAME.safetensors (a state_dict, batch counts included) and one entry of
OUT/outputs.json: the images [2, 3, 24, 24] are i % 251 / 250 of their flat number i, the outputs [2, 3] are logits. The networks are
torchvision.models.ResNet (stride at the 3x3 convolution) with fewer channels.
"""
import json, pathlib, sys
import torch, torch.nn as nn, torch.nn.functional as functional
from safetensors.torch import save_file

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)


def branch(block, planes, stride, i):
    if stride == 1 and i == planes * block.expansion:
        return None
    return nn.Sequential(nn.Conv2d(i, planes * block.expansion, 1, stride, bias=False), nn.BatchNorm2d(planes * block.expansion))


class Basic(nn.Module):
    expansion = 1

    def __init__(self, i, planes, stride, groups):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, planes, 3, stride, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False), nn.BatchNorm2d(planes)
        self.downsample = branch(Basic, planes, stride, i)

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, i, planes, stride, groups):
        super().__init__()
        width = planes * (2 if groups > 1 else 1)
        self.conv1, self.bn1 = nn.Conv2d(i, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, planes * 4, 1, bias=False), nn.BatchNorm2d(planes * 4)
        self.downsample = branch(Bottleneck, planes, stride, i)

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(functional.relu(self.bn2(self.conv2(y)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, block, layers, groups=1, width=4, classes=3):
        super().__init__()
        self.conv1, self.bn1, i = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), width
        for number, count in enumerate(layers):
            planes, blocks = width << number, []
            for at in range(count):
                blocks.append(block(i, planes, 2 if number > 0 and at == 0 else 1, groups))
                i = planes * block.expansion
            setattr(self, f"layer{number + 1}", nn.Sequential(*blocks))
        self.layers, self.fc = len(layers), nn.Linear(i, classes)

    def forward(self, x):
        mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1((x - mean) / std))), 3, 2, 1)
        for number in range(self.layers):
            x = getattr(self, f"layer{number + 1}")(x)
        return self.fc(x.mean((2, 3)))


images = (torch.arange(2 * 3 * 24 * 24) % 251).float().div(250).view(2, 3, 24, 24)
outputs = {}
for name, model in {
    "basic": ResNet(Basic, [2, 1]), "bottleneck": ResNet(Bottleneck, [1, 2]), "resnext": ResNet(Bottleneck, [1, 1], groups=2),
}.items():
    generator = torch.Generator().manual_seed(len(name))
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) * 0.5 + (0.5 if "running_var" in key else -0.2))
    with torch.inference_mode():
        outputs[name] = model.eval()(images).double().flatten().tolist()
    save_file(model.state_dict(), out / f"{name}.safetensors")
(out / "outputs.json").write_text(json.dumps({"torch": torch.__version__, "outputs": outputs}) + "\n")
