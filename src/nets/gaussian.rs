//! The Gaussian over the weights of a [`Layer::GaussianLinear`], prepared for draws.

use super::{Layer, Network};

/// A Gaussian layer of a network. Matrices have the bias as their last column and are row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    /// The layer's index in the network.
    pub layer: usize,
    /// The length of its input.
    pub inputs: usize,
    /// The length of its output.
    pub outputs: usize,
    /// W, \[outputs, inputs + 1\].
    pub mean: Vec<f64>,
    /// \[inputs + 1, inputs + 1\].
    pub basis_in: Vec<f64>,
    /// \[outputs, outputs\].
    pub basis_out: Vec<f64>,
    /// S, \[outputs, inputs + 1\].
    pub deviation: Vec<f64>,
}

impl Gaussian {
    /// That of a layer, if it is a Gaussian one.
    pub fn of(network: &Network, layer: usize) -> Option<Self> {
        let Layer::GaussianLinear { name, inputs, outputs } = &network.layers()[layer] else { return None };
        let values = |part: &str| network.weight(name, part).values.clone();
        let rows = network.weight(name, "weight").values.chunks_exact(*inputs).zip(values("bias"));
        let mean = rows.flat_map(|(row, bias)| row.iter().copied().chain([bias])).collect();
        let (basis_in, basis_out, deviation) = (values("basis_in"), values("basis_out"), values("deviation"));
        Some(Self { layer, inputs: *inputs, outputs: *outputs, mean, basis_in, basis_out, deviation })
    }

    /// How many standard normal numbers a draw takes.
    pub fn count(&self) -> usize {
        self.deviation.len()
    }

    /// The weights of a draw \[outputs, inputs + 1\], for E \[outputs, inputs + 1\].
    pub fn draw(&self, noise: &[f64]) -> Vec<f64> {
        let width = self.inputs + 1;
        let mut along_inputs = Vec::with_capacity(self.count());
        for (noise, deviation) in noise.chunks_exact(width).zip(self.deviation.chunks_exact(width)) {
            let scaled: Vec<f64> = noise.iter().zip(deviation).map(|(noise, deviation)| noise * deviation).collect();
            along_inputs.extend(self.basis_in.chunks_exact(width).map(|row| row.iter().zip(&scaled).map(|(a, b)| a * b).sum::<f64>()));
        }
        let mut weights = self.mean.clone();
        for (row, basis) in weights.chunks_exact_mut(width).zip(self.basis_out.chunks_exact(self.outputs)) {
            for (factor, along) in basis.iter().zip(along_inputs.chunks_exact(width)) {
                row.iter_mut().zip(along).for_each(|(weight, along)| *weight += factor * along);
            }
        }
        weights
    }
}
