//! Residual networks as torchvision names their weights (`torchvision.models.resnet`): the graph follows from the names and shapes of a
//! `state_dict`.

use super::architectures::Builder;
use super::{Function, Graph, Op, Weights};
use crate::error::{Error, Result};

/// The moments of `ImageNet`'s images that torchvision normalises by.
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const STD: [f64; 3] = [0.229, 0.224, 0.225];
const RELU: Op = Op::Apply(Function::Relu {});

/// Whether weights are those of a residual network of torchvision.
pub fn is_resnet(weights: &Weights) -> bool {
    ["conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.weight"].iter().all(|name| weights.contains_key(*name))
}

/// The graph of a residual network of torchvision (`ResNet`, `ResNeXt`, wide ones; basic blocks or bottlenecks, stride at the 3×3 convolution) on
/// images [channels, height, width] in 0..=1: `ImageNet`'s normalisation, then the layers under torchvision's names, to the last layer.
///
/// # Errors
/// When a weight is missing, has an impossible shape, or belongs to no layer of such a network.
pub fn resnet(image_shape: [usize; 3], weights: &Weights) -> Result<Graph> {
    let mut builder = Builder::default();
    builder.then("normalise", Op::Normalise { mean: MEAN.to_vec(), std: STD.to_vec() });
    convolution(&mut builder, weights, ["conv1", "bn1"], None, 2)?;
    builder.then("relu", RELU);
    let mut last = builder.then("maxpool", Op::MaxPool2d { kernel: [3, 3], stride: [2, 2], padding: [1, 1], ceil_mode: false });
    for stage in 1.. {
        if !weights.contains_key(&format!("layer{stage}.0.conv1.weight")) {
            break;
        }
        for block in 0.. {
            let name = |part: &str| format!("layer{stage}.{block}.{part}");
            if !weights.contains_key(&name("conv1.weight")) {
                break;
            }
            let stride = if stage > 1 && block == 0 { 2 } else { 1 };
            let is_bottleneck = weights.contains_key(&name("conv3.weight"));
            let strides = if is_bottleneck { &[1, stride, 1][..] } else { &[stride, 1] };
            let mut straight = last.clone();
            for (number, &stride) in (1..).zip(strides) {
                let [conv, bn] = ["conv", "bn"].map(|part| name(&format!("{part}{number}")));
                straight = convolution(&mut builder, weights, [&conv, &bn], Some(&straight), stride)?;
                if number < strides.len() {
                    straight = builder.then(&name(&format!("relu{number}")), RELU);
                }
            }
            let side = if weights.contains_key(&name("downsample.0.weight")) {
                convolution(&mut builder, weights, [&name("downsample.0"), &name("downsample.1")], Some(&last), stride)?
            } else {
                last
            };
            builder.of(&name("add"), &[&straight, &side], Op::Add {});
            last = builder.then(&name("relu"), RELU);
        }
    }
    builder.then("avgpool", Op::GlobalAveragePool {});
    builder.then("flatten", Op::Flatten {});
    if let Some(shape) = weights.get("fc.weight").map(|tensor| tensor.shape.as_slice()) {
        let &[outputs, inputs] = shape else { return Err(shaped("fc.weight", shape)) };
        builder.then("fc", Op::Linear { inputs, outputs, bias: weights.contains_key("fc.bias") });
    }
    let graph = builder.graph(&image_shape)?;
    let known: Vec<String> = graph.weights().map(|(name, _)| name).collect();
    match weights.keys().find(|name| !known.contains(name)) {
        Some(name) => Err(Error::Network(format!("the weight '{name}' is of no residual network of torchvision"))),
        None => Ok(graph),
    }
}

fn shaped(name: &str, shape: &[usize]) -> Error {
    Error::Network(format!("the weight '{name}' has the impossible shape {shape:?}"))
}

/// Appends a convolution that keeps the size at stride 1, and its batch normalisation; returns the name of the last.
fn convolution(builder: &mut Builder, weights: &Weights, [conv, bn]: [&str; 2], input: Option<&str>, stride: usize) -> Result<String> {
    let name = format!("{conv}.weight");
    let shape = weights.get(&name).map(|tensor| tensor.shape.as_slice());
    let Some(shape) = shape else { return Err(Error::Network(format!("the weight '{name}' is missing"))) };
    let &[out_channels, of_group, height, width] = shape else { return Err(shaped(&name, shape)) };
    // Only the 3×3 convolution of a ResNeXt has groups; it takes as many channels as it makes.
    let groups = if conv.ends_with("conv2") && weights.contains_key(&format!("{}conv3.weight", &conv[..conv.len() - "conv2".len()])) {
        out_channels / of_group.max(1)
    } else {
        1
    };
    let op = Op::Conv2d {
        in_channels: of_group * groups,
        out_channels,
        kernel: [height, width],
        stride: [stride; 2],
        padding: [height / 2, width / 2],
        dilation: [1, 1],
        groups,
        bias: weights.contains_key(&format!("{conv}.bias")),
    };
    builder.of(conv, &input.into_iter().collect::<Vec<_>>(), op);
    Ok(builder.then(bn, Op::BatchNorm { channels: out_channels, epsilon: 1e-5 }))
}
