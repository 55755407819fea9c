"""Weights after each step of PyTorch's optimisers, and learning rates of its schedules, in float64.

    python3 torch_optimisers.py OUT.json

Needs: torch. The loss is the mean of (tanh(X w + b) - y)² over the six rows of X. An entry of `optimisers` has the optimiser as a checkpoint's
settings have it, its weight decay, and w followed by b after each of five steps. An entry of `schedules` has a schedule as the settings have
it, and the factor of the learning rate in each of 20 steps: five epochs of four steps. A warm-up of n steps is LinearLR from 1 / (n + 1) to 1.
"""
import json, sys, torch
from torch.optim import SGD, Adadelta, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, SequentialLR, StepLR

torch.set_default_dtype(torch.float64)
INPUTS = [[0.5, -1.0, 0.25], [1.5, 0.75, -0.5], [-0.25, 0.5, 1.0], [-1.25, -0.5, 0.75], [0.25, 1.25, -1.5], [1.0, -0.25, 0.5]]
TARGETS = [0.5, -0.25, 0.75, -0.5, 0.25, -0.75]
START = [0.25, -0.5, 0.125, 0.0625]
EPOCHS, STEPS = 5, 4

def short(x):
    return float(f"{x:.12g}")

def weights(make):
    w = torch.tensor(START[:3], requires_grad=True)
    b = torch.tensor(START[3:], requires_grad=True)
    optimiser, rows = make([w, b]), []
    for _ in range(5):
        optimiser.zero_grad()
        ((torch.tanh(torch.tensor(INPUTS) @ w + b) - torch.tensor(TARGETS)) ** 2).mean().backward()
        optimiser.step()
        rows.append([short(x) for x in w.tolist() + b.tolist()])
    return rows

optimisers = []
for kind, more, make in [
    ("adam", {}, lambda p, r, d: Adam(p, r, weight_decay=d)),
    ("adamw", {}, lambda p, r, d: AdamW(p, r, weight_decay=d)),
    ("adadelta", {"rho": 0.9, "epsilon": 1e-6}, lambda p, r, d: Adadelta(p, r, weight_decay=d)),
    ("adadelta", {"rho": 0.95, "epsilon": 1e-7}, lambda p, r, d: Adadelta(p, r, rho=0.95, eps=1e-7, weight_decay=d)),
    ("sgd", {"momentum": 0.0}, lambda p, r, d: SGD(p, r, weight_decay=d)),
    ("sgd", {"momentum": 0.9}, lambda p, r, d: SGD(p, r, momentum=0.9, weight_decay=d)),
]:
    for decay in [0.0, 0.25]:
        rate = 1.0 if kind == "adadelta" else 0.05
        rows = weights(lambda p: make(p, rate, decay))
        optimisers.append(dict(optimiser={"kind": kind, "learning_rate": rate, **more}, weight_decay=decay, weights=rows))

def factors(decay, warm_up):
    """The rates that an optimiser with learning rate 1 takes its steps with."""
    optimiser = SGD([torch.zeros(1, requires_grad=True)], 1.0)
    rest = EPOCHS * STEPS - warm_up
    after = {
        "constant": lambda: LambdaLR(optimiser, lambda _: 1.0),
        "linear": lambda: LinearLR(optimiser, 1.0, 0.0, rest),
        "cosine": lambda: CosineAnnealingLR(optimiser, rest),
        "step": lambda: StepLR(optimiser, 2 * STEPS, 0.3),
    }[decay]
    if warm_up:
        rise = LinearLR(optimiser, 1 / (warm_up + 1), 1.0, warm_up)
        schedule = SequentialLR(optimiser, [rise, after()], [warm_up])
    else:
        schedule = after()
    rates = []
    for _ in range(EPOCHS * STEPS):
        rates.append(short(optimiser.param_groups[0]["lr"]))
        optimiser.step()
        schedule.step()
    return rates

schedules = []
for kind in ["constant", "linear", "cosine", "step"]:
    for epochs in [0.0, 0.5, 1.0]:
        more = {"every_epochs": 2, "factor": 0.3} if kind == "step" else {}
        schedule = {"kind": kind, **more, "warm_up_epochs": epochs}
        schedules.append(dict(schedule=schedule, factors=factors(kind, round(epochs * STEPS))))

def lines(rows):
    return "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]"

problem = dict(inputs=INPUTS, targets=TARGETS, start=START)
with open(sys.argv[1], "w") as file:
    file.write(f'{{"problem": {json.dumps(problem)},\n"optimisers": {lines(optimisers)},\n"schedules": {lines(schedules)}}}\n')
