//! The Laplace approximation of a trained classifier's last layer: a Gaussian around its weights, as wide as the loss is flat (Ritter et al.
//! 2018, *A scalable Laplace approximation for neural networks*; Daxberger et al. 2021, *Laplace Redux*).
//!
//! With φ the features before the last layer and a 1 behind them for the bias, p the probabilities and N the number of images, the
//! Hessian of the negative log-likelihood in the last layer's weights is Σ (diag p − p pᵀ) ⊗ φ φᵀ. The full structure takes it as it is;
//! Kronecker's takes N G ⊗ A, the product of the means of its factors, which needs less memory and underestimates the variance. How much
//! depends on the images that are asked about and on the prior: of a shipped network, fitted on the first 1,000 test images, Kronecker's
//! logit variance is .61 of the full one's on decoded images of the plane where both have the prior of Kronecker's largest evidence, .43 on
//! test images, and .29 and .21 where each has its own prior (`tests/reference/laplace_ratio.py`; fitted on all training images .60, .45, .51
//! and .39). With the
//! prior's precision τ the posterior's precision is the Hessian + τ. In the Hessian's eigenvectors it is diagonal, so τ is added as it is;
//! Ritter et al. add √τ to each factor, which makes the Gaussian too narrow just along what no image has shown.

#[cfg(test)]
mod tests;

use super::operations::Element;
use super::steps::Part;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::nets::lowering::lower;
use crate::nets::{Covariance, Ending, Graph, Network, Node, Op, Tensor, Weights};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Side};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Images per forward pass.
const BATCH: usize = 500;
/// The longest input of a last layer: its factor has as many numbers as the square of it.
const MOST_INPUTS: usize = 4096;
/// The prior precisions that are tried: powers of ten from the first to the last, so many to a decade.
const DECADES: [i32; 2] = [-6, 8];
const PER_DECADE: i32 = 8;
/// How often the interval around the best of them is cut by the golden section.
const CUTS: usize = 40;

/// The most weights of a last layer whose posterior is full by default: a square root of its covariance takes 64 MB in f32.
const MOST_FULL: usize = 4000;

/// What is kept of the Hessian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Structure {
    /// All of it.
    Full,
    /// Kronecker factors of weights and bias together: the bias is the weight of an input that is 1.
    Kronecker,
    /// Kronecker factors of the weights, and the bias apart with the factor of the outputs alone, as laplace-torch's `KronLLLaplace`.
    KroneckerBiasApart,
}

/// A fitted approximation.
#[derive(Clone, Debug, PartialEq)]
pub struct Laplace {
    /// The network without its dropout layers, and with a Gaussian in place of its last layer: a draw is one of this layer's weights only.
    pub network: Network,
    /// What was kept of the Hessian.
    pub structure: Structure,
    /// τ, the prior's precision, at the maximum of the evidence.
    pub prior_precision: f64,
    /// The logarithm of the marginal likelihood of the labels, in nats, as the approximation has it.
    pub log_evidence: f64,
}

/// Is told how many images are done, and may stop the work.
pub type ImageObserver<'a> = &'a mut dyn FnMut(usize) -> ControlFlow<()>;

/// Fits the last layer's Gaussian on the images that the network was trained on; without a structure, the full one where the layer has at
/// most 4,000 weights, else Kronecker's.
///
/// # Errors
/// When the network does not end with a linear layer of at most 4,096 inputs, or for the full structure of at most 4,000 weights, the images
/// or labels do not fit it, its answers are not finite, or the observer stops.
pub fn last_layer_laplace(network: &Network, data: &Dataset, structure: Option<Structure>, observe: ImageObserver<'_>) -> Result<Laplace> {
    fit::<f32>(network, data, structure, observe)
}

fn fit<T: Element>(network: &Network, data: &Dataset, structure: Option<Structure>, observe: ImageObserver<'_>) -> Result<Laplace> {
    let mut nodes = network.graph().without_dropout();
    let called = |node: &Node| format!("{} '{}'", node.op.label(), node.name);
    if let Some(node) = nodes.iter().find(|node| node.op.draws()) {
        return Err(Error::Network(format!("the weights of {} are drawn already: name the network that it was made of", called(node))));
    }
    let Some(Node { name, inputs: sources, op: Op::Linear { inputs, outputs, bias } }) = nodes.last().cloned() else {
        let last = nodes.last().map_or_else(|| "nothing".to_owned(), called);
        return Err(Error::Network(format!("a last-layer Laplace approximation needs a linear layer at the end, but there is {last}")));
    };
    nodes.pop();
    if inputs > MOST_INPUTS {
        return Err(Error::Network(format!("the last layer has {inputs} inputs, more than the {MOST_INPUTS} that are fitted here")));
    }
    let count = outputs * (inputs + 1);
    let structure = structure.unwrap_or(if count <= MOST_FULL { Structure::Full } else { Structure::Kronecker });
    if structure == Structure::Full && count > MOST_FULL {
        return Err(Error::Network(format!(
            "the last layer has {count} weights, more than the {MOST_FULL} of which a full posterior is made: take Kronecker factors"
        )));
    }
    if network.input_shape() != data.image_shape || data.labels.iter().any(|&label| usize::from(label) >= outputs) || data.is_empty() {
        return Err(Error::Network(format!(
            "the network takes images of {:?} in {outputs} classes, but {} are {} of {:?} in {}",
            network.input_shape(),
            data.name,
            data.len(),
            data.image_shape,
            data.classes.len()
        )));
    }
    let features = Network::of(Graph::new(network.input_shape(), nodes.clone())?, network.weights())?;
    let mut weights: Weights = network.weights().clone();
    if !bias {
        weights.insert(format!("{name}.bias"), Tensor::new([outputs], vec![0.0; outputs]));
    }
    let last = Last::of(&name, &weights, [inputs, outputs]);
    let curvature = Curvature::of::<T>(&features, &last, data, structure, observe)?;
    let spectrum = Spectrum::of(&curvature)?;
    let squares: f64 = last.weights.iter().map(|weight| weight * weight).sum();
    let (prior_precision, log_evidence) = spectrum.best_precision(squares, curvature.log_likelihood);

    let deviation: Vec<f64> = spectrum.precisions(prior_precision).map(|precision| precision.sqrt().recip()).collect();
    let width = inputs + 1;
    let mut insert = |part: &str, shape: [usize; 2], values| weights.insert(format!("{name}.{part}"), Tensor::new(shape, values));
    let covariance = match &spectrum.basis {
        Basis::Kronecker { of_inputs, of_outputs } => {
            insert("basis_in", [width, width], row_major(of_inputs));
            insert("basis_out", [outputs, outputs], row_major(of_outputs));
            insert("deviation", [outputs, width], deviation);
            Covariance::Kronecker
        }
        Basis::Full(basis) => {
            let factor = Mat::from_fn(count, count, |row, column| basis[(row, column)] * deviation[column]);
            insert("factor", [count, count], row_major(&factor));
            Covariance::Full
        }
    };
    // The number of the node: no other draws.
    let op = Op::GaussianLinear { inputs, outputs, covariance, stream: nodes.len() as u32 };
    nodes.push(Node { name, inputs: sources, op });
    let network = Network::of(Graph::new(network.input_shape(), nodes)?, &weights)?;
    Ok(Laplace { network, structure, prior_precision, log_evidence })
}

/// The last layer.
struct Last {
    inputs: usize,
    outputs: usize,
    /// Its weights with the bias as the last column, \[outputs, inputs + 1\].
    weights: Vec<f64>,
}

impl Last {
    fn of(name: &str, weights: &Weights, [inputs, outputs]: [usize; 2]) -> Self {
        let [weight, bias] = ["weight", "bias"].map(|part| &weights[&format!("{name}.{part}")].values);
        let rows = weight.chunks_exact(inputs).zip(bias);
        let weights = rows.flat_map(|(row, bias)| row.iter().chain([bias])).copied().collect();
        Self { inputs, outputs, weights }
    }
}

/// The loss's curvature in the last layer, and the log-likelihood of the labels.
struct Curvature {
    images: f64,
    /// A, the mean of φ φᵀ.
    of_inputs: Mat<f64>,
    /// G, the mean of diag p − p pᵀ.
    of_outputs: Mat<f64>,
    /// Σ (diag p − p pᵀ) ⊗ φ φᵀ for the full structure, \[outputs · (inputs + 1)\] squared; else empty.
    full: Mat<f64>,
    log_likelihood: f64,
}

impl Curvature {
    /// That of the layer behind a network that makes its features.
    fn of<T: Element>(features: &Network, last: &Last, data: &Dataset, structure: Structure, observe: ImageObserver<'_>) -> Result<Self> {
        let (features, width) = (Part::<T>::whole(&lower(features, Ending::Logits)), last.inputs + 1);
        let weights = MatRef::from_row_major_slice(&last.weights, last.outputs, width);
        let (mut of_inputs, mut of_outputs) = (Mat::<f64>::zeros(width, width), Mat::<f64>::zeros(last.outputs, last.outputs));
        let mut blocks = if structure == Structure::Full { Blocks::new(last.outputs, width) } else { Blocks::default() };
        let mut log_likelihood = 0.0;
        for (number, labels) in data.labels.chunks(BATCH).enumerate() {
            let images = data.images_of(number * BATCH..number * BATCH + labels.len());
            let images = images.iter().map(|&pixel| T::from_f64(f64::from(pixel))).collect();
            let (x, _) = features.forward(0, [(0, Arc::new(images))], labels.len(), None, false);
            let x: Vec<f64> = x[0].chunks_exact(last.inputs).flat_map(|x| x.iter().map(|x| x.to_f64()).chain([1.0])).collect();
            let x = MatRef::from_row_major_slice(&x, labels.len(), width);
            matmul(of_inputs.as_mut(), Accum::Add, x.transpose(), x, 1.0, Par::Seq);
            let logits = x * weights.transpose();
            let mut probabilities = Mat::<f64>::zeros(labels.len(), last.outputs);
            for (image, &label) in labels.iter().enumerate() {
                let largest = (0..last.outputs).map(|class| logits[(image, class)]).fold(f64::NEG_INFINITY, f64::max);
                let p: Vec<f64> = (0..last.outputs).map(|class| (logits[(image, class)] - largest).exp()).collect();
                let sum: f64 = p.iter().sum();
                log_likelihood += logits[(image, usize::from(label))] - largest - sum.ln();
                for (row, a) in p.iter().enumerate() {
                    probabilities[(image, row)] = a / sum;
                    of_outputs[(row, row)] += a / sum;
                    for (column, b) in p.iter().enumerate() {
                        of_outputs[(row, column)] -= a / sum * (b / sum);
                    }
                }
            }
            blocks.add(x, &probabilities);
            if observe(number * BATCH + labels.len()).is_break() {
                return Err(Error::Cancelled);
            }
        }
        let images = data.len() as f64;
        let (mut of_inputs, of_outputs) = (of_inputs * (1.0 / images), of_outputs * (1.0 / images));
        if structure == Structure::KroneckerBiasApart {
            for input in 0..last.inputs {
                (of_inputs[(input, last.inputs)], of_inputs[(last.inputs, input)]) = (0.0, 0.0);
            }
        }
        let curvature = Self { images, of_inputs, of_outputs, full: blocks.assemble(last.outputs, width), log_likelihood };
        let finite = |matrix: &Mat<f64>| matrix.col_iter().all(|column| column.iter().all(|value| value.is_finite()));
        if finite(&curvature.of_inputs) && finite(&curvature.of_outputs) && finite(&curvature.full) && log_likelihood.is_finite() {
            Ok(curvature)
        } else {
            Err(Error::Network(format!("the network's answers to {} are not finite numbers: the weights are too large", data.name)))
        }
    }
}

/// The blocks `Σ (δ_ab p_a − p_a p_b) φ φᵀ` of pairs of classes a ≤ b, \[inputs + 1\] squared each.
#[derive(Default)]
struct Blocks(Vec<([usize; 2], Mat<f64>)>);

impl Blocks {
    fn new(outputs: usize, width: usize) -> Self {
        let pairs = (0..outputs).flat_map(|a| (a..outputs).map(move |b| [a, b]));
        Self(pairs.map(|pair| (pair, Mat::zeros(width, width))).collect())
    }

    /// Adds images of features `x` \[N, inputs + 1\] and probabilities \[N, outputs\].
    fn add(&mut self, x: MatRef<'_, f64>, probabilities: &Mat<f64>) {
        self.0.par_iter_mut().for_each(|([a, b], block)| {
            let own = f64::from(u8::from(a == b));
            let weighted = Mat::from_fn(x.nrows(), x.ncols(), |image, input| {
                let [first, second] = [probabilities[(image, *a)], probabilities[(image, *b)]];
                first * (own - second) * x[(image, input)]
            });
            matmul(block.as_mut(), Accum::Add, weighted.transpose(), x, 1.0, Par::Seq);
        });
    }

    /// The whole matrix; without blocks an empty one.
    fn assemble(&self, outputs: usize, width: usize) -> Mat<f64> {
        let size = if self.0.is_empty() { 0 } else { outputs * width };
        let mut whole = Mat::zeros(size, size);
        for ([a, b], block) in &self.0 {
            whole.submatrix_mut(a * width, b * width, width, width).copy_from(block);
            whole.submatrix_mut(b * width, a * width, width, width).copy_from(block);
        }
        whole
    }
}

/// The eigenvectors of the curvature, in columns.
enum Basis {
    /// Those of its Kronecker factors.
    Kronecker { of_inputs: Mat<f64>, of_outputs: Mat<f64> },
    /// Those of the whole.
    Full(Mat<f64>),
}

/// The eigenvectors and eigenvalues of the curvature.
struct Spectrum {
    basis: Basis,
    /// Curvatures \[outputs · (inputs + 1)\].
    curvatures: Vec<f64>,
}

impl Spectrum {
    fn of(curvature: &Curvature) -> Result<Self> {
        let eigen = |matrix: &Mat<f64>| {
            let eigen = matrix.self_adjoint_eigen(Side::Lower);
            let eigen = eigen.map_err(|error| Error::Network(format!("the curvature of the last layer has no eigenvalues ({error:?})")))?;
            // None is negative but by rounding.
            let values: Vec<f64> = eigen.S().column_vector().iter().map(|value| value.max(0.0)).collect();
            Ok::<_, Error>((values, eigen.U().to_owned()))
        };
        if curvature.full.nrows() > 0 {
            let (curvatures, basis) = eigen(&curvature.full)?;
            return Ok(Self { basis: Basis::Full(basis), curvatures });
        }
        let (values_in, of_inputs) = eigen(&curvature.of_inputs)?;
        let (values_out, of_outputs) = eigen(&curvature.of_outputs)?;
        let curvatures = values_out.iter().flat_map(|out| values_in.iter().map(move |value| curvature.images * out * value)).collect();
        Ok(Self { basis: Basis::Kronecker { of_inputs, of_outputs }, curvatures })
    }

    /// The posterior's precisions along the eigenvectors.
    fn precisions(&self, prior: f64) -> impl Iterator<Item = f64> + '_ {
        self.curvatures.iter().map(move |curvature| curvature + prior)
    }

    /// ln p(labels) of Laplace's method, the evidence (D. `MacKay` 1992, *A practical Bayesian framework for backpropagation networks*): the
    /// log-likelihood at the weights, less what a prior of this precision and the Gaussian's width take from it. `squares`: the sum of the
    /// weights' squares.
    fn log_evidence(&self, prior: f64, squares: f64, log_likelihood: f64) -> f64 {
        let widths: f64 = self.precisions(prior).map(|precision| (prior / precision).ln()).sum();
        log_likelihood + (widths - prior * squares) / 2.0
    }

    /// The prior precision of the largest evidence, and that evidence.
    fn best_precision(&self, squares: f64, log_likelihood: f64) -> (f64, f64) {
        let evidence = |log10: f64| self.log_evidence(10f64.powf(log10), squares, log_likelihood);
        let step = 1.0 / f64::from(PER_DECADE);
        let grid = (DECADES[0] * PER_DECADE..=DECADES[1] * PER_DECADE).map(|place| f64::from(place) * step);
        let best = grid.max_by(|a, b| evidence(*a).total_cmp(&evidence(*b))).unwrap_or_default();
        let golden = f64::midpoint(5f64.sqrt(), -1.0);
        let [mut low, mut high] = [best - step, best + step];
        for _ in 0..CUTS {
            let [a, b] = [high - golden * (high - low), low + golden * (high - low)];
            if evidence(a) > evidence(b) { high = b } else { low = a }
        }
        let best = f64::midpoint(low, high);
        (10f64.powf(best), evidence(best))
    }
}

fn row_major(matrix: &Mat<f64>) -> Vec<f64> {
    matrix.row_iter().flat_map(|row| row.iter().copied().collect::<Vec<_>>()).collect()
}
