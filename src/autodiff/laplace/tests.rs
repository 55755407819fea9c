//! The factors and the Gaussian against a Hessian by finite differences.

use faer::linalg::solvers::Solve;

use super::*;
use crate::engine::reference::softmax;
use crate::nets::{Gaussian, Layer, random_weights};
use crate::random::{Purpose, Stream};

const FEATURES: usize = 4;
const CLASSES: usize = 3;
/// Weights of the last layer, biases included.
const PARAMETERS: usize = CLASSES * (FEATURES + 1);

fn layers() -> Vec<Layer> {
    let linear = |name: &str, inputs, outputs| Layer::Linear { name: name.into(), inputs, outputs };
    vec![
        Layer::Flatten,
        Layer::Dropout { rate: 0.2 },
        linear("a", 6, FEATURES),
        Layer::Tanh,
        Layer::Dropout { rate: 0.5 },
        linear("b", FEATURES, CLASSES),
    ]
}

fn network() -> Network {
    let mut weights = random_weights(&layers(), 5);
    weights.values_mut().flat_map(|tensor| &mut tensor.values).for_each(|value| *value *= 1.5);
    Network::new(&[1, 2, 3], layers(), &weights).unwrap()
}

fn data(images: usize) -> Dataset {
    let stream = Stream::new(2, Purpose::Choice);
    let pixels = (0..images * 6).map(|at| stream.uniform([0; 3], at as u32) as f32).collect();
    let labels = (0..images).map(|image| (image % CLASSES) as u16).collect();
    Dataset::new("noise", [1, 2, 3], pixels, labels, (0..CLASSES).map(|class| class.to_string()).collect()).unwrap()
}

fn last() -> Last {
    Last::of("b", network().weights(), [FEATURES, CLASSES])
}

/// The features of each image with a 1 behind them.
fn features(network: &Network, data: &Dataset) -> Vec<Vec<f64>> {
    let (weight, bias) = (&network.weight("a", "weight").values, &network.weight("a", "bias").values);
    let of_image = |image: &[f32]| {
        let rows = weight.chunks_exact(6).zip(bias);
        rows.map(|(row, bias)| (bias + row.iter().zip(image).map(|(w, &x)| w * f64::from(x)).sum::<f64>()).tanh()).chain([1.0]).collect()
    };
    data.images().chunks_exact(6).map(of_image).collect()
}

/// The negative log-likelihood of the labels for weights \[outputs, inputs + 1\] of the last layer.
fn loss(features: &[Vec<f64>], labels: &[u16], weights: &[f64]) -> f64 {
    let of_image = |(x, &label): (&Vec<f64>, &u16)| {
        let logits: Vec<f64> = weights.chunks_exact(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect();
        -softmax(&logits)[usize::from(label)].ln()
    };
    features.iter().zip(labels).map(of_image).sum()
}

/// Its Hessian by finite differences.
fn hessian(features: &[Vec<f64>], labels: &[u16], weights: &[f64]) -> Mat<f64> {
    let step = 1e-4;
    Mat::from_fn(weights.len(), weights.len(), |i, j| {
        let at = |by: [f64; 2]| {
            let mut moved = weights.to_vec();
            moved[i] += by[0] * step;
            moved[j] += by[1] * step;
            loss(features, labels, &moved)
        };
        (at([1.0, 1.0]) - at([1.0, -1.0]) - at([-1.0, 1.0]) + at([-1.0, -1.0])) / (4.0 * step * step)
    })
}

/// N G ⊗ A.
fn kronecker(curvature: &Curvature) -> Mat<f64> {
    let width = FEATURES + 1;
    Mat::from_fn(PARAMETERS, PARAMETERS, |i, j| {
        curvature.images * curvature.of_outputs[(i / width, j / width)] * curvature.of_inputs[(i % width, j % width)]
    })
}

/// The largest difference of two matrices, relative to the largest element; infinite for NaN.
fn apart(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    let elements = |matrix: &Mat<f64>| row_major(matrix);
    let largest = elements(b).into_iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    let pairs = elements(a).into_iter().zip(elements(b));
    pairs.map(|(a, b)| (a - b).abs() / largest).fold(0.0, |worst, d| if d <= worst { worst } else { d })
}

fn curvature(images: usize) -> Curvature {
    curvature_in(images, Structure::Kronecker)
}

fn curvature_in(images: usize, structure: Structure) -> Curvature {
    let mut layers = layers();
    layers.pop();
    let features = Network::new(&[1, 2, 3], layers, network().weights()).unwrap();
    Curvature::of::<f64>(&features, &last(), &data(images), structure, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn the_curvature_of_one_image_is_the_hessian_and_that_of_many_has_its_factors() {
    let (network, weights) = (network(), last().weights);
    let brute = |images: usize| hessian(&features(&network, &data(images)), &data(images).labels, &weights);
    assert!(apart(&kronecker(&curvature(1)), &brute(1)) <= 1e-5, "{}", apart(&kronecker(&curvature(1)), &brute(1)));
    let images = 1203;
    let (got, brute, features) = (curvature(images), brute(images), features(&network, &data(images)));
    // The Hessian in the biases alone is N G.
    let width = FEATURES + 1;
    let of_biases = Mat::from_fn(CLASSES, CLASSES, |i, j| brute[(i * width + FEATURES, j * width + FEATURES)] / images as f64);
    assert!(apart(&got.of_outputs, &of_biases) <= 1e-5, "{}", apart(&got.of_outputs, &of_biases));
    let mean = Mat::from_fn(width, width, |i, j| features.iter().map(|x| x[i] * x[j]).sum::<f64>() / images as f64);
    assert!(apart(&got.of_inputs, &mean) <= 1e-12);
    let likelihood = -loss(&features, &data(images).labels, &weights);
    assert!((got.log_likelihood - likelihood).abs() <= 1e-9 * likelihood.abs());
    // The product of means is close to the mean of products, and not equal to it.
    let share = apart(&kronecker(&got), &brute);
    assert!((1e-4..0.3).contains(&share), "{share}");
    assert!(apart(&got.of_outputs, &curvature(images / 2).of_outputs) > 1e-4, "the negative control");
}

#[test]
fn draws_have_the_covariance_of_the_posterior() {
    let (curvature, fitted) =
        (curvature(40), fit::<f64>(&network(), &data(40), Some(Structure::Kronecker), &mut |_| ControlFlow::Continue(())).unwrap());
    let nodes = fitted.network.nodes();
    assert!(nodes.iter().all(|node| node.op.dropout().is_none()) && nodes.len() == 4);
    let gaussian = Gaussian::of(&fitted.network, 3).unwrap();
    assert_eq!(gaussian.mean, last().weights);
    let covariance = covariance_of(&fitted);
    let identity = Mat::<f64>::identity(PARAMETERS, PARAMETERS);
    let product = |prior: f64| &covariance * (kronecker(&curvature) + &identity * prior);
    assert!(apart(&product(fitted.prior_precision), &identity) <= 1e-9);
    assert!(apart(&product(1.01 * fitted.prior_precision), &identity) > 1e-4, "the negative control");
}

/// What each number of the noise moves a fitted layer's weights by: a square root of their covariance, column by column.
fn root_of(fitted: &Laplace) -> Vec<Vec<f64>> {
    let gaussian = Gaussian::of(&fitted.network, fitted.network.nodes().len() - 1).unwrap();
    let count = gaussian.mean.len();
    let moved = |unit: usize| -> Vec<f64> {
        let noise: Vec<f64> = (0..count).map(|at| f64::from(u8::from(at == unit))).collect();
        gaussian.draw(&noise).iter().zip(&gaussian.mean).map(|(drawn, mean)| drawn - mean).collect()
    };
    (0..count).into_par_iter().map(moved).collect()
}

/// The covariance of a fitted layer's weights.
fn covariance_of(fitted: &Laplace) -> Mat<f64> {
    let root = root_of(fitted);
    Mat::from_fn(PARAMETERS, PARAMETERS, |i, j| root.iter().map(|column| column[i] * column[j]).sum::<f64>())
}

fn fitted(images: usize, structure: Option<Structure>) -> Laplace {
    fit::<f64>(&network(), &data(images), structure, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn the_full_curvature_is_the_hessian_and_draws_invert_it() {
    let images = 1203;
    let (network, weights) = (network(), last().weights);
    let brute = hessian(&features(&network, &data(images)), &data(images).labels, &weights);
    let full = curvature_in(images, Structure::Full).full;
    assert!(apart(&full, &brute) <= 1e-5, "{}", apart(&full, &brute));
    assert!(apart(&kronecker(&curvature(images)), &brute) > 1e-4, "the negative control");
    let posterior = fitted(images, None);
    assert_eq!(posterior.structure, Structure::Full, "the default of so few weights");
    let identity = Mat::<f64>::identity(PARAMETERS, PARAMETERS);
    let product = |prior: f64| covariance_of(&posterior) * (&full + &identity * prior);
    assert!(apart(&product(posterior.prior_precision), &identity) <= 1e-9);
    assert!(apart(&product(1.01 * posterior.prior_precision), &identity) > 1e-6, "the negative control");
    // The variance of a logit is φᵀ Σ φ with Σ from the Hessian by finite differences.
    let precision = &brute + &identity * posterior.prior_precision;
    let width = FEATURES + 1;
    for x in features(&network, &data(5)) {
        let drawn = covariance_of(&posterior);
        let variance: f64 = (0..width).flat_map(|i| (0..width).map(move |j| (i, j))).map(|(i, j)| x[i] * drawn[(i, j)] * x[j]).sum();
        let direction = Mat::from_fn(PARAMETERS, 1, |at, _| if at < width { x[at] } else { 0.0 });
        let solved = precision.partial_piv_lu().solve(&direction);
        let exact: f64 = (0..PARAMETERS).map(|at| direction[(at, 0)] * solved[(at, 0)]).sum();
        assert!((variance / exact - 1.0).abs() <= 1e-3, "{variance} for {exact}");
    }
}

#[test]
fn a_bias_apart_does_not_depend_on_the_weights() {
    let [apart, together] =
        [Structure::KroneckerBiasApart, Structure::Kronecker].map(|structure| covariance_of(&fitted(40, Some(structure))));
    let width = FEATURES + 1;
    let coupled = |covariance: &Mat<f64>| {
        let pairs = (0..PARAMETERS).flat_map(|i| (0..PARAMETERS).map(move |j| (i, j)));
        pairs.filter(|(i, j)| (i % width == FEATURES) != (j % width == FEATURES)).map(|(i, j)| covariance[(i, j)].abs()).fold(0.0, f64::max)
    };
    assert!(coupled(&apart) <= 1e-12 && coupled(&together) > 1e-6, "{} {}", coupled(&apart), coupled(&together));
}

#[test]
fn the_prior_precision_has_the_largest_evidence() {
    let (curvature, fitted) =
        (curvature(40), fit::<f64>(&network(), &data(40), Some(Structure::Kronecker), &mut |_| ControlFlow::Continue(())).unwrap());
    let squares: f64 = last().weights.iter().map(|weight| weight * weight).sum();
    let evidence = |prior: f64| {
        let precision = kronecker(&curvature) + Mat::<f64>::identity(PARAMETERS, PARAMETERS) * prior;
        let log_determinant: f64 = precision.self_adjoint_eigenvalues(Side::Lower).unwrap().iter().map(|value| value.ln()).sum();
        curvature.log_likelihood + (PARAMETERS as f64 * prior.ln() - prior * squares - log_determinant) / 2.0
    };
    let best = fitted.prior_precision;
    assert!((fitted.log_evidence - evidence(best)).abs() <= 1e-9 * evidence(best).abs(), "{fitted:?}");
    assert!((1e-3..1e3).contains(&best));
    for other in [0.5, 0.99, 1.01, 2.0] {
        assert!(evidence(other * best) < fitted.log_evidence, "{other} of {best}");
    }
}

#[test]
fn single_precision_follows_double() {
    let of = |prior: f64, evidence: f64| [prior.ln(), evidence];
    let go_on = &mut |_| ControlFlow::Continue(());
    let [single, double] =
        [fit::<f32>(&network(), &data(700), None, go_on).unwrap(), fit::<f64>(&network(), &data(700), None, go_on).unwrap()];
    let [single, double] = [single, double].map(|fitted| of(fitted.prior_precision, fitted.log_evidence));
    assert!(single.iter().zip(double).all(|(a, b)| (a - b).abs() <= 1e-4 * b.abs().max(1.0)), "{single:?} {double:?}");
    assert_ne!(single, double);
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let fit = |network: &Network, data: &Dataset| fit::<f32>(network, data, None, &mut |_| ControlFlow::Continue(()));
    let refused = |network: &Network, data: &Dataset| fit(network, data).unwrap_err().to_string();
    let again = fit(&network(), &data(9)).unwrap().network;
    assert!(refused(&again, &data(9)).contains("drawn already"));
    let layers = [layers(), vec![Layer::Tanh]].concat();
    let ends_otherwise = Network::new(&[1, 2, 3], layers, network().weights()).unwrap();
    assert!(refused(&ends_otherwise, &data(9)).contains("but there is tanh"));
    assert!(refused(&network(), &Dataset { image_shape: [1, 3, 2], ..data(9) }).contains("[1, 3, 2]"));
    assert!(refused(&network(), &Dataset { labels: vec![3; 9], ..data(9) }).contains("in 3 classes"));
    let mut weights = network().weights().clone();
    for tensor in weights.values_mut() {
        tensor.values.fill(3e38);
    }
    let relu = |layer: Layer| if layer == Layer::Tanh { Layer::Relu } else { layer };
    let overflowing: Vec<Layer> = super::tests::layers().into_iter().map(relu).collect();
    assert!(refused(&Network::new(&[1, 2, 3], overflowing, &weights).unwrap(), &data(9)).contains("not finite"));
    let stopped = super::fit::<f32>(&network(), &data(9), None, &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(Error::Cancelled)));
}

/// The mean over images and classes of a logit's variance under a fitted last layer.
fn logit_variance(fitted: &Laplace, data: &Dataset) -> f64 {
    let images = data.images().iter().map(|&pixel| f64::from(pixel)).collect();
    let features = Network::of(fitted.network.graph().without_last().unwrap(), fitted.network.weights()).unwrap();
    let (features, _) = Part::<f64>::whole(&lower(&features, Ending::Logits)).forward(0, [(0, Arc::new(images))], data.len(), None, false);
    let features = &features[0];
    let (root, inputs) = (root_of(fitted), features.len() / data.len());
    let of_image = |features: &[f64]| -> f64 {
        let logits = |moved: &Vec<f64>| -> f64 {
            let of_class = |row: &[f64]| row[inputs] + row.iter().zip(features).map(|(weight, feature)| weight * feature).sum::<f64>();
            moved.chunks_exact(inputs + 1).map(|row| of_class(row).powi(2)).sum()
        };
        root.iter().map(logits).sum()
    };
    let sum: f64 = features.par_chunks_exact(inputs).map(of_image).sum();
    sum / (data.len() * data.classes.len()) as f64
}

#[test]
fn kronecker_factors_narrow_the_posterior_of_a_shipped_network() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/classifier-0");
    let (_, crate::nets::folder::Model::Classifier(classifier)) = crate::nets::folder::load(&folder).unwrap() else {
        panic!("no classifier")
    };
    let digits = crate::data::shipped_digits().unwrap();
    let variance = |structure: Structure| {
        let fitted = fit::<f32>(&classifier.network, &digits, Some(structure), &mut |_| ControlFlow::Continue(())).unwrap();
        logit_variance(&fitted, &digits.slice(0..100))
    };
    let ratio = variance(Structure::Kronecker) / variance(Structure::Full);
    // 0.208, where the prior precision of each is that of its largest evidence.
    assert!((0.15..0.27).contains(&ratio), "{ratio}");
}

/// The mean over images and classes of a logit's variance under the posterior of one prior precision, of features \[N, inputs\].
fn logit_variance_at(spectrum: &Spectrum, prior: f64, features: &[f64], [inputs, outputs]: [usize; 2]) -> f64 {
    let images = features.len() / inputs;
    let x = Mat::from_fn(images, inputs + 1, |image, at| if at < inputs { features[image * inputs + at] } else { 1.0 });
    let variances: Vec<f64> = spectrum.precisions(prior).map(f64::recip).collect();
    let squares = |product: Mat<f64>, variances: &[f64]| -> f64 {
        product.col_iter().zip(variances).map(|(column, variance)| variance * column.iter().map(|value| value * value).sum::<f64>()).sum()
    };
    let sum: f64 = match &spectrum.basis {
        // The basis of the outputs only turns the logits, which leaves the sum of their variances.
        Basis::Kronecker { of_inputs, .. } => variances.chunks_exact(inputs + 1).map(|of_output| squares(&x * of_inputs, of_output)).sum(),
        Basis::Full(basis) => {
            (0..outputs).map(|class| squares(&x * basis.submatrix(class * (inputs + 1), 0, inputs + 1, basis.ncols()), &variances)).sum()
        }
    };
    sum / (images * outputs) as f64
}

/// `tests/reference/laplace_ratio.py` on the same images. Which share it is depends on the prior: each has its own, or both have one.
#[test]
fn kronecker_factors_keep_the_same_share_of_the_variance_as_in_python() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/classifier-0");
    let (_, crate::nets::folder::Model::Classifier(classifier)) = crate::nets::folder::load(&folder).unwrap() else {
        panic!("no classifier")
    };
    let (digits, network) = (crate::data::shipped_digits().unwrap(), &classifier.network);
    let graph = Graph::new(network.input_shape(), network.graph().without_dropout()).unwrap();
    let features = Network::of(graph.without_last().unwrap(), network.weights()).unwrap();
    let last = Last::of("fc2", network.weights(), [128, 10]);
    let squares: f64 = last.weights.iter().map(|weight| weight * weight).sum();
    let [full, kronecker] = [Structure::Full, Structure::Kronecker].map(|structure| {
        let curvature = Curvature::of::<f32>(&features, &last, &digits, structure, &mut |_| ControlFlow::Continue(())).unwrap();
        let spectrum = Spectrum::of(&curvature).unwrap();
        let best = spectrum.best_precision(squares, curvature.log_likelihood).0;
        (spectrum, best)
    });
    let (_, crate::nets::folder::Model::Vae(vae)) = crate::nets::folder::load(&folder.with_file_name("vae")).unwrap() else {
        panic!("no VAE")
    };
    let along = |at: usize| -10.0 + 20.0 * at as f64 / 29.0;
    let plane: Vec<f64> = (0..900).flat_map(|at| [along(at / 30), along(at % 30)]).collect();
    let decoded =
        crate::autodiff::DecoderGradients::new(&vae.decoder).decode(&plane).images.into_iter().map(|pixel| pixel as f32).collect();
    // [test images, plane]
    let of_images = [(digits.images_of(0..100).into_owned(), 100), (decoded, 900)].map(|(images, count): (Vec<f32>, usize)| -> Vec<f64> {
        let (found, _) = Part::<f32>::whole(&lower(&features, Ending::Logits)).forward(0, [(0, Arc::new(images))], count, None, false);
        found[0].iter().copied().map(f64::from).collect()
    });
    let ratio = |of: usize, of_kronecker: f64, of_full: f64| {
        let variance = |spectrum: &Spectrum, prior: f64| logit_variance_at(spectrum, prior, &of_images[of], [128, 10]);
        variance(&kronecker.0, of_kronecker) / variance(&full.0, of_full)
    };
    // With a prior each; at the full one's; at Kronecker's; at 1 and at 100.
    let priors = [[kronecker.1, full.1], [full.1; 2], [kronecker.1; 2], [1.0; 2], [100.0; 2]];
    for (of, expected) in [[0.2083, 0.3664, 0.4297, 0.3325, 0.8260], [0.2910, 0.5440, 0.6089, 0.4972, 0.8857]].into_iter().enumerate() {
        for ([of_kronecker, of_full], expected) in priors.into_iter().zip(expected) {
            let found = ratio(of, of_kronecker, of_full);
            assert!((found / expected - 1.0).abs() <= 0.01, "{of}, {of_kronecker} and {of_full}: {found}");
        }
    }
    assert!(ratio(1, kronecker.1, kronecker.1) / ratio(0, kronecker.1, kronecker.1) > 1.3, "the negative control");
}

/// A residual network, whose last layer has no bias and reads what a dropout made.
fn residual() -> Network {
    let nodes = serde_json::json!([
        {"name": "vector", "op": "flatten"},
        {"name": "drop", "op": "dropout", "rate": 0.2, "stream": 3},
        {"name": "a", "op": "linear", "in_features": 6, "out_features": 6},
        {"name": "tanh", "op": "apply", "function": "tanh"},
        {"name": "sum", "inputs": ["tanh", "drop"], "op": "add"},
        {"name": "last_drop", "op": "dropout", "rate": 0.5, "stream": 9},
        {"name": "b", "op": "linear", "in_features": 6, "out_features": CLASSES, "bias": false},
    ]);
    let graph = Graph::new(&[1, 2, 3], serde_json::from_value(nodes).unwrap()).unwrap();
    let weights = crate::nets::random_graph_weights(&graph, 7);
    Network::of(graph, &weights).unwrap()
}

#[test]
fn any_graph_that_ends_with_a_linear_layer_can_be_fitted() {
    let fitted = fit::<f64>(&residual(), &data(40), None, &mut |_| ControlFlow::Continue(())).unwrap().network;
    let names: Vec<&str> = fitted.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["vector", "a", "tanh", "sum", "b"]);
    assert_eq!(fitted.nodes().iter().filter(|node| node.op.draws()).count(), 1);
    // Without a draw it answers as before.
    let answer = |network: &Network| crate::engine::reference::forward(network, &[0.1, -0.4, 0.3, 0.8, 0.2, -0.6], None);
    let apart = |of: &Network| answer(of).iter().zip(answer(&residual())).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart(&fitted) <= 1e-12);
    let mut weights = fitted.weights().clone();
    weights.get_mut("a.weight").unwrap().values[0] += 1e-3;
    assert!(apart(&Network::of(fitted.graph().clone(), &weights).unwrap()) > 1e-7, "the negative control");
}
