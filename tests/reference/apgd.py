"""APGD (Croce & Hein 2020, algorithm 1) on a loss of two values: writes apgd.json. Plain Python 3, no packages.

Follows the authors' code (github.com/fra31/auto-attack, autopgd_base.py) in the order of its projections, in "<=" of condition 1, in that the
first checkpoint looks at condition 1 only, and in that a restart from the best image keeps the iterate before for the momentum; and the paper
in counting the rise from the start to the first iterate, which that code compares with 0.
"""

import json
import math


def loss(x):
    return -((x[0] - 0.3) ** 2) - 10 * (x[1] - 0.6) ** 2 + 0.05 * math.sin(25 * x[0])


def gradient(x):
    return [-2 * (x[0] - 0.3) + 1.25 * math.cos(25 * x[0]), -20 * (x[1] - 0.6)]


def clip(value, low, high):
    return min(max(value, low), high)


def project(x, image, eps, norm):
    change = [a - b for a, b in zip(x, image)]
    if norm == "linf":
        change = [clip(d, -eps, eps) for d in change]
    else:
        size = math.hypot(*change)
        change = [d * min(1.0, eps / size) for d in change]
    return [clip(b + d, 0.0, 1.0) for b, d in zip(image, change)]


def direction(g, norm):
    if norm == "linf":
        return [(d > 0) - (d < 0) for d in g]
    size = math.hypot(*g)
    return [d / size for d in g]


def checkpoints(steps):
    p = [0, 22]
    while p[-1] <= 100:
        p.append(p[-1] + max(p[-1] - p[-2] - 3, 6))
    return [math.ceil(q * steps / 100) for q in p[1:-1]]


def apgd(image, start, eps, norm, steps=100, rho=0.75, alpha=0.75, halving=True):
    x, before, g = list(start), list(start), gradient(start)
    eta, now = 2 * eps, loss(start)
    best, best_x, best_g = now, list(x), list(g)
    best_before, halved, rises, last, halvings, iterates = best, True, 0, 0, [], []
    for k in range(steps):
        a = 1.0 if k == 0 else alpha
        z = project([v + eta * d for v, d in zip(x, direction(g, norm))], image, eps, norm)
        z = project([v + a * (w - v) + (1 - a) * (v - b) for v, w, b in zip(x, z, before)], image, eps, norm)
        before, x = x, z
        iterates.append(list(x))
        g, f = gradient(x), loss(x)
        rises += f > now
        now = f
        if f > best:
            best, best_x, best_g = f, list(x), list(g)
        if k + 1 in checkpoints(steps) and halving:
            reduce = rises <= rho * (k + 1 - last) or (not halved and best <= best_before)
            halved, best_before, rises, last = reduce, best, 0, k + 1
            if reduce:
                eta /= 2
                halvings.append(k + 1)
                x, g, now = list(best_x), list(best_g), best
    return iterates, best_x, halvings


rows = []
for norm, eps, image, start in [("linf", 0.35, [0.55, 0.4], [0.8, 0.2]), ("l2", 0.4, [0.6, 0.35], [0.8, 0.2])]:
    iterates, best, halvings = apgd(image, start, eps, norm)
    rows.append({
        "norm": norm, "eps": eps, "image": image, "start": start, "iterates": iterates, "best": best, "halvings": halvings,
        "without_momentum": apgd(image, start, eps, norm, alpha=1.0)[0][-1],
        "without_halving": apgd(image, start, eps, norm, halving=False)[0][-1],
    })
    print(norm, halvings, best, iterates[-1], rows[-1]["without_momentum"], rows[-1]["without_halving"])
with open("apgd.json", "w") as file:
    json.dump(rows, file)
    file.write("\n")
