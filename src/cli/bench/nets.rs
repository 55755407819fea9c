//! `epistemap bench nets`: networks beyond the paper's, with random weights. `torch_nets.py` measures the same jobs in PyTorch.

use super::train::seconds_per_step;
use crate::autodiff::train::{Goal, Optimiser};
use crate::autodiff::{Loss, Objective, Passes, Precision, Randomness, input_gradients};
use crate::engine::cpu::bench::{YARDSTICK, gemm_gflops};
use crate::engine::{Block, Draws, Input, Masks, Models, cpu};
use crate::error::Result;
use crate::nets::architectures::{InvertedResidual, convolutional_decoder, convolutional_vae, mobile_net, resnet};
use crate::nets::{Classifier, Ending, Ensemble, Graph, Network, VaeGraphs, VaeLayers, paper_cnn, random_graph_weights};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// Blocks of [channels, stride] of `torch_nets.py`'s depthwise network.
const MOBILE: [[usize; 2]; 10] = [[24, 2], [24, 1], [40, 2], [40, 1], [80, 2], [80, 1], [112, 1], [112, 1], [192, 2], [192, 1]];

/// Milliseconds per image of each job, and the times of training steps, the fastest of `runs`.
pub fn measure(runs: usize) -> Result<Value> {
    let blocks = MOBILE.map(|[channels, stride]| InvertedResidual { channels, stride });
    let residual = resnet([3, 64, 64], 2, &[32, 64, 128], 2, [0.0, 0.5])?;
    let depthwise = mobile_net([3, 128, 128], 2, 16, &blocks, (6, 1280), false, 0.0)?;
    let decoder = convolutional_decoder([3, 64, 64], &[32, 64, 128, 128], 2)?;
    Ok(json!({
        "resnet_ms_per_image": classify(residual.clone(), 64, runs)?,
        "resnet_ms_of_one_image": classify(residual, 1, runs)?,
        "depthwise_ms_per_image": classify(depthwise.clone(), 64, runs)?,
        "depthwise_ms_of_one_image": classify(depthwise, 1, runs)?,
        "conv_vae_decode_ms": decode(decoder, 64, runs)?,
        "attack_ms_per_image": attack(100, runs)?,
        "depthwise_gradient_ms_per_image": depthwise_gradient(16, runs)?,
        "resnet_step_seconds": resnet_step(runs)?,
        "vae_images_per_second": vae_training(dense_vae()?, 128, 20 * runs)?,
        "conv_vae_images_per_second": vae_training(convolutional_vae([3, 64, 64], &[32, 64, 128, 128], 2)?, 64, runs)?,
        "gemm_gflops": gemm_gflops(YARDSTICK),
        "threads": rayon::current_num_threads(),
    }))
}

/// Seconds of a training step of 64 images.
fn resnet_step(runs: usize) -> Result<f64> {
    let graph = resnet([3, 64, 64], 2, &[32, 64, 128], 2, [0.0, 0.5])?;
    let goal = Goal::Classifier { graph, ending: Ending::Logits, classes: ["a", "b"].map(str::to_owned).to_vec() };
    seconds_per_step(goal, Optimiser::Adam { learning_rate: 1e-3 }, 64, runs)
}

/// Images per second.
fn vae_training(graphs: VaeGraphs, batch: usize, runs: usize) -> Result<f64> {
    let goal = Goal::Vae { graphs, learns_variance: false, as_published: false };
    Ok(batch as f64 / seconds_per_step(goal, Optimiser::Adam { learning_rate: 1e-3 }, batch, runs)?)
}

/// The paper's VAE.
fn dense_vae() -> Result<VaeGraphs> {
    VaeGraphs::of_layers([1, 28, 28], &VaeLayers::paper())
}

fn with_random_weights(graph: Graph) -> Result<Network> {
    let weights = random_graph_weights(&graph, 1);
    Network::of(graph, &weights)
}

fn classifier(graph: Graph) -> Result<Classifier> {
    let classes = (0..graph.output_shape()[0]).map(|class| class.to_string()).collect();
    Classifier::new("bench", classes, with_random_weights(graph)?)
}

fn images(shape: &[usize], count: usize) -> Vec<f32> {
    (0..count * shape.iter().product::<usize>()).map(|pixel| (pixel % 97) as f32 / 96.0).collect()
}

/// The fastest run in milliseconds per item, after one that does not count.
fn fastest(runs: usize, items: usize, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run()?;
    let mut fastest = f64::INFINITY;
    for _ in 0..runs {
        let start = Instant::now();
        run()?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    Ok(1e3 * fastest / items as f64)
}

fn classify(graph: Graph, count: usize, runs: usize) -> Result<f64> {
    let classifier = classifier(graph)?;
    let images = images(classifier.network.input_shape(), count);
    let mut engine = cpu::open(Arc::new(Models::new(None, Ensemble::new(vec![classifier])?)?))?;
    let numbers: Vec<u32> = (0..count as u32).collect();
    let block = Block {
        input: Input::Images(&images),
        point_numbers: &numbers,
        members: &[0],
        draws: Draws::Deterministic,
        groups: 1,
        seed: 0,
        masks: Masks::Shared,
    };
    fastest(runs, count, || engine.statistics(&block).map(drop))
}

fn decode(graph: Graph, count: usize, runs: usize) -> Result<f64> {
    let decoder = with_random_weights(graph)?;
    let [channels, height, width] = [0, 1, 2].map(|axis| decoder.output_shape()[axis]);
    let classifier = classifier(resnet([channels, height, width], 2, &[4], 1, [0.0, 0.5])?)?;
    let z: Vec<f64> = (0..2 * count).map(|at| (at % 13) as f64 / 6.0 - 1.0).collect();
    let mut engine = cpu::open(Arc::new(Models::new(Some(decoder), Ensemble::new(vec![classifier])?)?))?;
    fastest(runs, count, || engine.decode(&z).map(drop))
}

/// The gradient of the log of the mean probability of 20 draws of a head, through a depthwise trunk at 160 × 160: `torch_gradients.py`.
fn depthwise_gradient(count: usize, runs: usize) -> Result<f64> {
    let blocks = MOBILE.map(|[channels, stride]| InvertedResidual { channels, stride });
    let classifier = classifier(mobile_net([3, 160, 160], 2, 16, &blocks, (6, 1280), false, 0.5)?)?;
    let networks = input_gradients(&Ensemble::new(vec![classifier])?, Precision::Single, Randomness::of_seed(0));
    let images: Vec<f64> = images(&[3, 160, 160], count).into_iter().map(f64::from).collect();
    let labels: Vec<usize> = (0..count).map(|image| image % 2).collect();
    let passes = Passes { members: vec![0], draws: Some(0..20) };
    let objective = Objective { loss: Loss::MeanProbability, towards: false };
    fastest(runs, count, || networks.answer(&images, &labels, &passes, objective, true).map(drop))
}

/// BIM of ten steps on the mean probability of 20 draws of the paper's network.
fn attack(count: usize, runs: usize) -> Result<f64> {
    let classifier = classifier(Graph::chain(&[1, 28, 28], &paper_cnn())?)?;
    let networks = input_gradients(&Ensemble::new(vec![classifier])?, Precision::Single, Randomness::of_seed(0));
    let original: Vec<f64> = images(&[1, 28, 28], count).into_iter().map(f64::from).collect();
    let labels: Vec<usize> = (0..count).map(|image| image % 10).collect();
    let passes = Passes { members: vec![0], draws: Some(0..20) };
    let objective = Objective { loss: Loss::MeanProbability, towards: false };
    fastest(runs, count, || {
        let mut images = original.clone();
        for _ in 0..10 {
            let answer = networks.answer(&images, &labels, &passes, objective, true)?;
            for ((pixel, gradient), original) in images.iter_mut().zip(&answer.gradients).zip(&original) {
                *pixel = (original + (*pixel + 0.01 * gradient.signum() - original).clamp(-0.1, 0.1)).clamp(0.0, 1.0);
            }
        }
        Ok(())
    })
}
