"""Outputs and gradients of every operation of a graph, by PyTorch in float64.

    python3 torch_ops.py OUT.json [SEED]

Needs: torch, numpy. A row is a graph (`nodes` as `model.json` has them, of an image of `shape`) with its weights, one input, its output, and
the gradients in the input and in the trained weights of -ln softmax(output)[label]. Where something is drawn, the row has the masks (`keep`) and the normal numbers
(`noise`) by stream. Inputs and weights have few digits, so that the file is small and exact.
"""
import json, sys, numpy as np, torch, torch.nn.functional as F

out, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
rng = np.random.default_rng(seed)
torch.set_default_dtype(torch.float64)
rows = []

def rand(*shape, low=-2.0, high=2.0):
    """Random numbers of two digits, none of them equal where they are few: maxima are then of one element."""
    count = int(np.prod(shape))
    grid = np.round(np.arange(low, high, 0.01), 2)
    values = rng.choice(grid, count, replace=count > len(grid))
    return torch.tensor(values.reshape(shape))

def short(t):
    return [float(f"{v:.13g}") for v in t.detach().flatten().tolist()]

def row(about, shape, nodes, f, weights=None, x=None, keep=None, noise=None):
    """Appends a row. `nodes` come without names of what is given by their order: a node without a name is called by its place."""
    nodes = [{"name": f"n{i}", **n} for i, n in enumerate(nodes)] + [{"name": "end", "op": "flatten"}]
    x = (rand(*shape) if x is None else x.reshape(shape)).requires_grad_(True)
    trained = {k: v.requires_grad_(True) for k, v in (weights or {}).items() if not k.split(".")[-1].startswith("running")}
    y = f(x[None]).flatten()
    label = len(y) // 3
    gradient, *of_weights = torch.autograd.grad(-y.log_softmax(0)[label], [x, *trained.values()], allow_unused=True)
    of_weights = {k: short(g) for k, g in zip(trained, of_weights) if g is not None}
    entry = dict(about=about, shape=list(shape), nodes=nodes, input=short(x), output=short(y), label=label, gradient=short(gradient), **({"weight_gradients": of_weights} if of_weights else {}),
                 weights={k: v.tolist() for k, v in (weights or {}).items()})
    if keep: entry["keep"] = {str(k): v.flatten().int().tolist() for k, v in keep.items()}
    if noise: entry["noise"] = {str(k): short(v) for k, v in noise.items()}
    rows.append(entry)

# --- linear -----------------------------------------------------------------------------------------------------
W, b = rand(5, 6, low=-1, high=1), rand(5, low=-1, high=1)
flat = {"op": "flatten"}
row("linear", (1, 2, 3), [flat, {"op": "linear", "in_features": 6, "out_features": 5}], lambda x: F.linear(x.flatten(1), W, b), {"n1.weight": W, "n1.bias": b})
row("linear without bias", (1, 2, 3), [flat, {"op": "linear", "in_features": 6, "out_features": 5, "bias": False}], lambda x: F.linear(x.flatten(1), W), {"n1.weight": W})

# --- Gaussian linear: W + B_out (S * E) B_in^T, and W + F E -------------------------------------------------------
basis_in, basis_out, S, E = rand(7, 7, low=-1, high=1), rand(5, 5, low=-1, high=1), rand(5, 7, low=0, high=0.5), rand(5, 7)
factor = rand(20, 20, low=-.3, high=.3)
drawn = torch.cat([W, b[:, None]], 1) + basis_out @ (S * E) @ basis_in.T
row("Gaussian linear, Kronecker", (1, 2, 3), [flat, {"op": "gaussian_linear", "in_features": 6, "out_features": 5, "stream": 7}],
    lambda x: F.linear(x.flatten(1), drawn[:, :-1], drawn[:, -1]),
    {"n1.weight": W, "n1.bias": b, "n1.basis_in": basis_in, "n1.basis_out": basis_out, "n1.deviation": S}, noise={7: E})
W4, b4, E4 = rand(4, 4, low=-1, high=1), rand(4, low=-1, high=1), rand(20)
full = torch.cat([W4, b4[:, None]], 1) + (factor @ E4).reshape(4, 5)
row("Gaussian linear, full", (1, 1, 4), [flat, {"op": "gaussian_linear", "in_features": 4, "out_features": 4, "covariance": "full", "stream": 2}],
    lambda x: F.linear(x.flatten(1), full[:, :-1], full[:, -1]), {"n1.weight": W4, "n1.bias": b4, "n1.factor": factor}, noise={2: E4})

# --- convolutions -----------------------------------------------------------------------------------------------
def conv(about, shape, outputs, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, bias=True):
    w = rand(outputs, shape[0] // groups, *kernel, low=-1, high=1)
    c = rand(outputs, low=-1, high=1) if bias else None
    node = {"op": "conv2d", "in_channels": shape[0], "out_channels": outputs, "kernel": kernel, "stride": stride, "padding": padding,
            "dilation": dilation, "groups": groups, "bias": bias}
    row(about, shape, [node], lambda x: F.conv2d(x, w, c, stride, padding, dilation, groups), {"n0.weight": w, **({"n0.bias": c} if bias else {})})
conv("convolution", (2, 5, 4), 3, (3, 2))
conv("convolution, stride and padding", (2, 5, 6), 3, (3, 2), (2, 3), (1, 1))
conv("convolution, padding past the stride", (1, 4, 3), 2, (2, 3), (3, 1), (1, 2))
conv("convolution, dilation", (2, 7, 6), 2, (2, 3), (1, 2), (1, 2), (3, 2))
conv("convolution, groups, no bias", (4, 4, 5), 6, (2, 3), (1, 2), (0, 1), groups=2, bias=False)
conv("convolution, depthwise", (3, 5, 4), 3, (3, 3), (1, 1), (1, 1), groups=3)
conv("convolution, depthwise with a multiplier and dilation", (2, 5, 6), 4, (2, 3), (2, 1), (1, 2), (2, 1), groups=2)
conv("convolution, 1 by 1", (3, 3, 4), 5, (1, 1))

def transposed(about, shape, outputs, kernel, stride=(1, 1), padding=(0, 0), extra=(0, 0), dilation=(1, 1), groups=1, bias=True):
    w = rand(shape[0], outputs // groups, *kernel, low=-1, high=1)
    c = rand(outputs, low=-1, high=1) if bias else None
    node = {"op": "conv_transpose2d", "in_channels": shape[0], "out_channels": outputs, "kernel": kernel, "stride": stride, "padding": padding,
            "output_padding": extra, "dilation": dilation, "groups": groups, "bias": bias}
    row(about, shape, [node], lambda x: F.conv_transpose2d(x, w, c, stride, padding, extra, groups, dilation),
        {"n0.weight": w, **({"n0.bias": c} if bias else {})})
transposed("transposed convolution", (2, 3, 2), 3, (2, 3))
transposed("transposed convolution, stride and output padding", (2, 3, 2), 2, (3, 2), (2, 3), (1, 0), (1, 2))
transposed("transposed convolution, kernel smaller than the stride", (2, 2, 3), 2, (1, 2), (3, 2), (0, 1))
transposed("transposed convolution, dilation", (2, 3, 2), 2, (2, 3), (2, 1), (1, 1), (1, 1), (3, 2))
transposed("transposed convolution, groups, no bias", (4, 2, 3), 6, (3, 2), (2, 2), (1, 1), (0, 1), groups=2, bias=False)
transposed("transposed convolution, depthwise", (3, 3, 2), 3, (4, 4), (2, 2), (1, 1), groups=3)

# --- pools ------------------------------------------------------------------------------------------------------
for kernel, stride, padding, ceil in [((2, 2), (2, 2), (0, 0), False), ((3, 2), (2, 1), (1, 0), False), ((2, 3), (2, 2), (0, 1), True), ((3, 3), (3, 2), (1, 1), True)]:
    about = f"kernel {kernel}, stride {stride}, padding {padding}, ceil {ceil}"
    pool = {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil}
    row(f"maximum pool, {about}", (2, 5, 7), [{"op": "max_pool2d", **pool}], lambda x: F.max_pool2d(x, kernel, stride, padding, 1, ceil))
    for count in [True, False]:
        row(f"average pool, {about}, count {count}", (2, 5, 7), [{"op": "average_pool2d", **pool, "count_include_pad": count}],
            lambda x: F.avg_pool2d(x, kernel, stride, padding, ceil, count))
equal = rand(2, 4, 4).round()
row("maximum pool, equal elements", (2, 4, 4), [{"op": "max_pool2d", "kernel": (2, 2), "stride": (2, 2)}], lambda x: F.max_pool2d(x, 2), x=equal)
row("global average pool", (5, 3, 4), [{"op": "global_average_pool"}], lambda x: x.mean((2, 3)))

# --- functions, the corners included ------------------------------------------------------------------------------
points = torch.tensor([-40, -4, -3.5, -3, -2.2, -1, -0.5, -0.3, 0, 0.2, 0.7, 1.5, 2.9, 3, 3.3, 6, 7, 33.])
positive = torch.tensor([1e-3, 0.1, 0.5, 0.9, 1, 1.3, 2, 5, 12.])
for node, f, x in [
    ({"function": "relu"}, F.relu, points),
    ({"function": "leaky_relu", "slope": 0.1}, lambda x: F.leaky_relu(x, 0.1), points),
    ({"function": "elu", "alpha": 0.7}, lambda x: F.elu(x, 0.7), points),
    ({"function": "gelu", "tanh": False}, F.gelu, points),
    ({"function": "gelu", "tanh": True}, lambda x: F.gelu(x, approximate="tanh"), points),
    ({"function": "silu"}, F.silu, points),
    ({"function": "clip", "low": -0.5, "high": 1.5}, lambda x: x.clamp(-0.5, 1.5), points),
    # By their definition: the gradients of `hardsigmoid` and `hardswish` have 1/6 in single precision.
    ({"function": "hard_sigmoid"}, lambda x: F.relu6(x + 3) / 6, points),
    ({"function": "hard_swish"}, lambda x: x * F.relu6(x + 3) / 6, points),
    ({"function": "tanh"}, torch.tanh, points),
    ({"function": "sigmoid"}, torch.sigmoid, points),
    ({"function": "softplus"}, lambda x: F.softplus(x, threshold=1e3), points),
    ({"function": "exp"}, torch.exp, points[points < 4]),
    ({"function": "ln"}, torch.log, positive),
]:
    # The last point would have all of the softmax.
    row(node["function"], (1, 1, len(x)), [{"op": "apply", **node}, {"op": "scale", "factor": 0.1, "offset": 0.0}], lambda x, f=f: f(x) * 0.1, x=x.clone())
row("functions in turn", (1, 3, 5), [{"op": "apply", "function": "tanh"}, {"op": "apply", "function": "silu"}, {"op": "apply", "function": "exp"}],
    lambda x: F.silu(torch.tanh(x)).exp())
for op, f in [("softmax", torch.softmax), ("log_softmax", torch.log_softmax)]:
    row(f"{op} of an image", (3, 2, 3), [{"op": op}], lambda x: f(x, 1))
    row(f"{op} of a vector", (1, 2, 4), [flat, {"op": op}], lambda x: f(x.flatten(1), 1))

# --- several inputs -----------------------------------------------------------------------------------------------
mean, tanh = {"op": "global_average_pool", "name": "mean", "inputs": ["input"]}, {"op": "apply", "function": "tanh", "name": "tanh", "inputs": ["input"]}
for op, f in [("add", torch.add), ("multiply", torch.mul)]:
    row(f"{op} of three, one of them a value per channel", (3, 2, 4), [tanh, mean, {"op": op, "inputs": ["input", "tanh", "mean"]}],
        lambda x: f(f(x, torch.tanh(x)), x.mean((2, 3), keepdim=True)))
    row(f"{op} of a value and itself", (2, 3, 3), [tanh, {"op": op, "inputs": ["tanh", "tanh"]}], lambda x: f(torch.tanh(x), torch.tanh(x)))
row("concatenate", (2, 3, 2), [tanh, {"op": "concatenate", "inputs": ["tanh", "input", "tanh"]}], lambda x: torch.cat([torch.tanh(x), x, torch.tanh(x)], 1))
row("scale", (2, 3, 2), [{"op": "scale", "factor": -0.7, "offset": 0.3}], lambda x: x * -0.7 + 0.3)

# --- shapes and sizes ---------------------------------------------------------------------------------------------
V, c = rand(4, 2, 2, 3, low=-1, high=1), rand(4, low=-1, high=1)
row("reshape", (1, 4, 6), [{"op": "reshape", "shape": [2, 3, 4]}, {"op": "conv2d", "in_channels": 2, "out_channels": 4, "kernel": [2, 3]}],
    lambda x: F.conv2d(x.reshape(1, 2, 3, 4), V, c), {"n1.weight": V, "n1.bias": c})
row("zero pad", (2, 2, 3), [{"op": "zero_pad", "padding": [1, 0, 2, 3]}], lambda x: F.pad(x, (1, 0, 2, 3)))
row("zero pad before a convolution that pads", (2, 3, 2), [{"op": "zero_pad", "padding": [0, 2, 1, 0]},
    {"op": "conv2d", "in_channels": 2, "out_channels": 4, "kernel": [2, 3], "padding": [1, 1]}],
    lambda x: F.conv2d(F.pad(x, (0, 2, 1, 0)), V, c, padding=1), {"n1.weight": V, "n1.bias": c})
for size in [(7, 3), (2, 6), (1, 5)]:
    row(f"nearest to {size}", (2, 3, 4), [{"op": "upsample", "size": size, "mode": "nearest"}], lambda x: F.interpolate(x, size, mode="nearest"))
    for corners in [False, True]:
        row(f"bilinear to {size}, corners {corners}", (2, 3, 4), [{"op": "upsample", "size": size, "mode": "bilinear", "align_corners": corners}],
            lambda x: F.interpolate(x, size, mode="bilinear", align_corners=corners))

# --- norms --------------------------------------------------------------------------------------------------------
def norm(channels):
    return rand(channels, low=0.5, high=1.5), rand(channels, low=-1, high=1)
w, c = norm(3)
m, v = rand(3, low=-1, high=1), rand(3, low=0.5, high=1.5)
batch = {"n0.weight": w, "n0.bias": c, "n0.running_mean": m, "n0.running_var": v}
row("batch norm of an image", (3, 2, 3), [{"op": "batch_norm", "channels": 3, "epsilon": 1e-3}], lambda x: F.batch_norm(x, m, v, w, c, eps=1e-3), batch)
row("batch norm of a vector", (1, 1, 3), [flat, {"op": "batch_norm", "channels": 3, "epsilon": 1e-3}],
    lambda x: F.batch_norm(x.flatten(1), m, v, w, c, eps=1e-3), {k.replace("n0", "n1"): t for k, t in batch.items()})
U, u = rand(3, 2, 2, 2, low=-1, high=1), rand(3, low=-1, high=1)
row("batch norm after a convolution", (2, 4, 3), [{"op": "conv2d", "in_channels": 2, "out_channels": 3, "kernel": [2, 2]}, {"op": "batch_norm", "channels": 3, "epsilon": 1e-3}],
    lambda x: F.batch_norm(F.conv2d(x, U, u), m, v, w, c, eps=1e-3), {"n0.weight": U, "n0.bias": u, **{k.replace("n0", "n1"): t for k, t in batch.items()}})
w6, c6 = norm(6)
for groups in [1, 2, 3, 6]:
    row(f"group norm, {groups} groups", (6, 2, 3), [{"op": "group_norm", "groups": groups, "channels": 6, "epsilon": 1e-3}],
        lambda x: F.group_norm(x, groups, w6, c6, 1e-3), {"n0.weight": w6, "n0.bias": c6})
wl, cl = rand(2, 3, 2, low=0.5, high=1.5), rand(2, 3, 2, low=-1, high=1)
row("layer norm", (2, 3, 2), [{"op": "layer_norm", "shape": [2, 3, 2], "epsilon": 1e-3}], lambda x: F.layer_norm(x, (2, 3, 2), wl, cl, 1e-3), {"n0.weight": wl, "n0.bias": cl})
means, stds = [0.4, -0.2, 0.1], [0.5, 1.5, 0.25]
row("normalise", (3, 2, 3), [{"op": "normalise", "mean": means, "std": stds}],
    lambda x: (x - torch.tensor(means).reshape(1, 3, 1, 1)) / torch.tensor(stds).reshape(1, 3, 1, 1))

# --- dropout ------------------------------------------------------------------------------------------------------
keep = torch.tensor(rng.random((2, 3, 4)) > 0.3)
row("dropout", (2, 3, 4), [{"op": "dropout", "rate": 0.3, "stream": 11}], lambda x: x * keep / 0.7, keep={11: keep})
row("dropout of channels", (3, 2, 3), [{"op": "dropout2d", "rate": 0.4, "stream": 4}], lambda x: x * torch.tensor([1., 0, 1]).reshape(1, 3, 1, 1) / 0.6,
    keep={4: torch.tensor([1, 0, 1])})

with open(out, "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows) + "\n]\n")
