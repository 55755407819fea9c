//! The Gaussian over the weights of an [`Op::GaussianLinear`], prepared for draws.

use super::{Covariance, Network, Op};

/// A Gaussian layer of a network. Matrices have the bias as their last column and are row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    /// The stream of its random numbers.
    pub stream: u32,
    /// The length of its input.
    pub inputs: usize,
    /// The length of its output.
    pub outputs: usize,
    /// W, \[outputs, inputs + 1\].
    pub mean: Vec<f64>,
    /// How far a draw is from it.
    pub spread: Spread,
}

/// The square root of a Gaussian's covariance.
#[derive(Clone, Debug, PartialEq)]
pub enum Spread {
    /// A draw adds `B_out` (S ∘ E) `B_in`ᵀ: `B_in` \[inputs + 1, inputs + 1\], `B_out` \[outputs, outputs\], S \[outputs, inputs + 1\].
    Kronecker { basis_in: Vec<f64>, basis_out: Vec<f64>, deviation: Vec<f64> },
    /// A draw adds F E, row by row: F \[n, n\] for n = outputs · (inputs + 1).
    Full { factor: Vec<f64> },
}

impl Gaussian {
    /// That of a node, if it is a Gaussian one.
    pub fn of(network: &Network, node: usize) -> Option<Self> {
        let node = &network.nodes()[node];
        let Op::GaussianLinear { inputs, outputs, covariance, stream } = &node.op else { return None };
        let values = |part: &str| network.weight(&node.name, part).values.clone();
        let rows = network.weight(&node.name, "weight").values.chunks_exact(*inputs).zip(values("bias"));
        let mean = rows.flat_map(|(row, bias)| row.iter().copied().chain([bias])).collect();
        let spread = match covariance {
            Covariance::Kronecker => {
                Spread::Kronecker { basis_in: values("basis_in"), basis_out: values("basis_out"), deviation: values("deviation") }
            }
            Covariance::Full => Spread::Full { factor: values("factor") },
        };
        Some(Self { stream: *stream, inputs: *inputs, outputs: *outputs, mean, spread })
    }

    /// The weight \[outputs, inputs\] and the bias \[outputs\] of rows \[outputs, inputs + 1\], such as the mean or a draw.
    pub fn weight_and_bias(&self, rows: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let rows = || rows.chunks_exact(self.inputs + 1);
        (rows().flat_map(|row| &row[..self.inputs]).copied().collect(), rows().map(|row| row[self.inputs]).collect())
    }

    /// How many standard normal numbers a draw takes.
    pub fn count(&self) -> usize {
        self.mean.len()
    }

    /// The weights of a draw \[outputs, inputs + 1\], for E \[outputs, inputs + 1\].
    pub fn draw(&self, noise: &[f64]) -> Vec<f64> {
        let width = self.inputs + 1;
        let product = |row: &[f64], x: &[f64]| row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>();
        let mut weights = self.mean.clone();
        match &self.spread {
            Spread::Full { factor } => {
                for (weight, row) in weights.iter_mut().zip(factor.chunks_exact(noise.len())) {
                    *weight += product(row, noise);
                }
            }
            Spread::Kronecker { basis_in, basis_out, deviation } => {
                let mut along_inputs = Vec::with_capacity(self.count());
                for (noise, deviation) in noise.chunks_exact(width).zip(deviation.chunks_exact(width)) {
                    let scaled: Vec<f64> = noise.iter().zip(deviation).map(|(noise, deviation)| noise * deviation).collect();
                    along_inputs.extend(basis_in.chunks_exact(width).map(|row| product(row, &scaled)));
                }
                for (row, basis) in weights.chunks_exact_mut(width).zip(basis_out.chunks_exact(self.outputs)) {
                    for (factor, along) in basis.iter().zip(along_inputs.chunks_exact(width)) {
                        row.iter_mut().zip(along).for_each(|(weight, along)| *weight += factor * along);
                    }
                }
            }
        }
        weights
    }
}
