"""Three training steps of a small residual network with batch normalisation, by PyTorch in float64.

    python3 torch_training.py OUT.json

Needs: torch. The file has the graph (`nodes` as `model.json` has them), its weights at the start and after three steps of SGD with momentum
on the cross-entropy of the same seven images, running statistics included, and the loss of each step.
"""
import json, sys, torch, torch.nn as nn, torch.nn.functional as F

torch.manual_seed(1)
torch.set_default_dtype(torch.float64)
RATE, MOMENTUM = 0.1, 0.9

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 3, 3, 1, 1, bias=False), nn.BatchNorm2d(3)
        self.conv2, self.bn2 = nn.Conv2d(3, 3, 3, 2, 1, bias=False), nn.BatchNorm2d(3)
        self.side, self.bn3 = nn.Conv2d(3, 3, 1, 2, bias=False), nn.BatchNorm2d(3)
        self.fc1, self.bn4, self.fc2 = nn.Linear(3 * 3 * 3, 5), nn.BatchNorm1d(5), nn.Linear(5, 4)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)) + self.bn3(self.side(x)))
        return self.fc2(torch.tanh(self.bn4(self.fc1(x.flatten(1)))))

def conv(name, inputs, outputs, kernel, stride, padding, source=None):
    node = {"name": name, "op": "conv2d", "in_channels": inputs, "out_channels": outputs, "kernel": [kernel] * 2, "stride": [stride] * 2,
            "padding": [padding] * 2, "bias": False}
    return {**node, "inputs": [source]} if source else node

def norm(name, channels):
    return {"name": name, "op": "batch_norm", "channels": channels, "epsilon": 1e-5}

def function(name, function):
    return {"name": name, "op": "apply", "function": function}

nodes = [
    conv("conv1", 2, 3, 3, 1, 1), norm("bn1", 3), function("relu1", "relu"),
    conv("conv2", 3, 3, 3, 2, 1), norm("bn2", 3), conv("side", 3, 3, 1, 2, 0, "relu1"), norm("bn3", 3),
    {"name": "sum", "op": "add", "inputs": ["bn2", "bn3"]}, function("relu2", "relu"), {"name": "flatten", "op": "flatten"},
    {"name": "fc1", "op": "linear", "in_features": 27, "out_features": 5}, norm("bn4", 5), function("tanh", "tanh"),
    {"name": "fc2", "op": "linear", "in_features": 5, "out_features": 4},
]

def state(net):
    return {k: v.tolist() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}

net = Block()
# Single precision can hold all of it.
with torch.no_grad():
    for p in net.parameters():
        p.copy_(p.float().double())
images = torch.rand(7, 2, 5, 6).float().double()
labels = torch.tensor([0, 1, 2, 3, 1, 0, 2])
start, losses = state(net), []
optimiser = torch.optim.SGD(net.parameters(), RATE, MOMENTUM)
for _ in range(3):
    optimiser.zero_grad()
    loss = F.cross_entropy(net(images), labels)
    loss.backward()
    optimiser.step()
    losses.append(loss.item())
with open(sys.argv[1], "w") as file:
    json.dump(dict(nodes=nodes, rate=RATE, momentum=MOMENTUM, images=images.tolist(), labels=labels.tolist(), start=start, end=state(net), losses=losses), file)
    file.write("\n")
