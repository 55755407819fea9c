//! Networks with random weights, and random networks of every kind of layer, each determined by a seed.

use epistemap::nets::{Classifier, Covariance, Graph, Layer, Network, Tensor, Weights};
use epistemap::random::{Purpose, Stream};

/// Random numbers one after the other.
pub struct Dice {
    stream: Stream,
    rolls: u32,
}

impl Dice {
    pub fn new(seed: u32) -> Self {
        Self { stream: Stream::new(seed, Purpose::Choice), rolls: 0 }
    }

    /// A number in `low..high`.
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        self.rolls += 1;
        low + (high - low) * self.stream.uniform([0; 3], self.rolls)
    }

    /// A whole number from `low` to `high`, both included.
    pub fn whole(&mut self, low: usize, high: usize) -> usize {
        self.real(low as f64, high as f64 + 1.0) as usize
    }
}

/// Random weights that keep activations at the same size from layer to layer.
pub fn random_weights(layers: &[Layer], seed: u32) -> Weights {
    let mut dice = Dice::new(seed);
    let weights = layers.iter().flat_map(Layer::weights);
    weights
        .map(|(name, shape)| {
            let fan_in: usize = shape[1..].iter().product();
            let bound = (6.0 / fan_in as f64).sqrt().min(1.0);
            // What a Gaussian layer adds in a draw is then about as large as its mean.
            let bound = if name.ends_with("deviation") { bound / (fan_in as f64).sqrt() } else { bound };
            let [low, high] = if name.ends_with("running_var") { [0.5, 1.5] } else { [-bound, bound] };
            let values = (0..shape.iter().product()).map(|_| dice.real(low, high)).collect();
            (name, Tensor::new(shape, values))
        })
        .collect()
}

/// A classifier of these layers with random weights.
pub fn classifier(input_shape: &[usize], layers: Vec<Layer>, seed: u32) -> Classifier {
    let weights = random_weights(&layers, seed);
    let network = Network::new(input_shape, layers, &weights).unwrap();
    let classes = (0..network.output_shape()[0]).map(|class| class.to_string()).collect();
    Classifier::new(format!("random-{seed}"), classes, network).unwrap()
}

/// Images of uniform noise.
pub fn random_images(image_shape: &[usize], count: usize, seed: u32) -> Vec<f32> {
    let mut dice = Dice::new(seed);
    (0..count * image_shape.iter().product::<usize>()).map(|_| dice.real(0.0, 1.0) as f32).collect()
}

/// The layers of a random classifier and the shape of its images: up to seven layers on images, up to five on vectors, of
/// every kind, and a last linear one.
pub fn random_layers(seed: u32) -> ([usize; 3], Vec<Layer>) {
    let mut dice = Dice::new(seed);
    let input_shape = [dice.whole(1, 3), dice.whole(5, 13), dice.whole(5, 13)];
    let mut layers = Vec::new();
    let shape_after = |layers: &[Layer]| Graph::chain(&input_shape, layers).unwrap().output_shape().to_vec();
    for _ in 0..dice.whole(1, 7) {
        let layer = random_layer(&mut dice, &shape_after(&layers), layers.len());
        if layer.op(layers.len()).output_shape(&[&shape_after(&layers)]).is_ok() {
            layers.push(layer);
        }
    }
    layers.push(Layer::Flatten);
    for _ in 0..dice.whole(0, 5) {
        layers.push(random_layer(&mut dice, &shape_after(&layers), layers.len()));
    }
    let inputs = shape_after(&layers).iter().product();
    layers.extend([Layer::Flatten, Layer::Linear { name: "logits".into(), inputs, outputs: dice.whole(2, 7) }]);
    (input_shape, layers)
}

/// A layer for activations of this shape; a window may turn out too large for it.
fn random_layer(dice: &mut Dice, shape: &[usize], number: usize) -> Layer {
    let name = format!("layer{number}");
    let rate = dice.real(0.1, 0.7);
    match (dice.whole(0, 12), shape) {
        (0, _) => Layer::Relu,
        (1, _) => Layer::Elu,
        (2, _) => Layer::Tanh,
        (3, _) => Layer::Sigmoid,
        (4, _) => Layer::Softplus,
        (5, _) => Layer::Dropout { rate },
        (6, &[c] | &[c, _, _]) => Layer::BatchNorm { name, channels: c, epsilon: 1e-3 },
        (7, &[c, h, w]) => Layer::Reshape { shape: vec![h, w, c] },
        (8, &[_, _, _]) => Layer::Dropout2d { rate },
        (kind @ (9 | 10), &[_, _, _]) => {
            let (kernel, stride) = ([dice.whole(1, 3), dice.whole(1, 3)], [dice.whole(1, 2), dice.whole(1, 3)]);
            if kind == 9 { Layer::MaxPool2d { kernel, stride } } else { Layer::AveragePool2d { kernel, stride } }
        }
        (_, &[c, _, _]) => {
            let kernel = [dice.whole(1, 4), dice.whole(1, 3)];
            let padding = kernel.map(|length| dice.whole(0, length - 1));
            let stride = [dice.whole(1, 2), dice.whole(1, 2)];
            Layer::Conv2d { name, in_channels: c, out_channels: dice.whole(1, 7), kernel, stride, padding }
        }
        (12, &[inputs]) => {
            let outputs = dice.whole(1, 17);
            // A square root of a wide layer's full covariance would be large.
            let covariance = if inputs * outputs % 2 == 1 && inputs < 20 { Covariance::Full } else { Covariance::Kronecker };
            Layer::GaussianLinear { name, inputs, outputs, covariance }
        }
        _ => Layer::Linear { name, inputs: shape.iter().product(), outputs: dice.whole(1, 17) },
    }
}
