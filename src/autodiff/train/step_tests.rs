//! Optimisers and schedules step by step: against PyTorch's numbers (`tests/reference/torch_optimisers.py`), and the fused update against that
//! by tensor operations.

use super::optimiser::{Optimiser, OptimiserConfig, StatefulOptimiser};
use super::schedule::Schedule;
use candle_core::{Device, Result, Tensor, Var};
use candle_nn::Optimizer as _;
use serde::Deserialize;

/// What the script wrote.
#[derive(Deserialize)]
struct Reference {
    problem: Problem,
    optimisers: Vec<OptimiserRow>,
    schedules: Vec<ScheduleRow>,
}

#[derive(Deserialize)]
struct Problem {
    inputs: Vec<[f32; 3]>,
    targets: Vec<f32>,
    start: [f32; 4],
}

#[derive(Deserialize)]
struct OptimiserRow {
    optimiser: Optimiser,
    weight_decay: f64,
    weights: Vec<[f64; 4]>,
}

#[derive(Deserialize)]
struct ScheduleRow {
    schedule: Schedule,
    factors: Vec<f64>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../../tests/reference/optimisers.json")).unwrap()
}

type Make = fn(Vec<Var>, OptimiserConfig) -> Result<StatefulOptimiser>;

/// The weights after each of five steps.
fn weights(problem: &Problem, make: Make, config: OptimiserConfig, learning_rate: f64) -> Vec<Vec<f64>> {
    let inputs = Tensor::from_slice(problem.inputs.as_flattened(), (problem.inputs.len(), 3), &Device::Cpu).unwrap();
    let targets = Tensor::from_slice(&problem.targets, problem.targets.len(), &Device::Cpu).unwrap();
    let slope = Var::from_slice(&problem.start[..3], 3, &Device::Cpu).unwrap();
    let offset = Var::from_slice(&problem.start[3..], 1, &Device::Cpu).unwrap();
    let mut optimiser = make(vec![slope.clone(), offset.clone()], config).unwrap();
    optimiser.set_learning_rate(learning_rate);
    let loss = || -> Result<Tensor> {
        let outputs = inputs.matmul(&slope.unsqueeze(1)?)?.squeeze(1)?.broadcast_add(&offset)?.tanh()?;
        (outputs - &targets)?.sqr()?.mean_all()
    };
    let step = |_| {
        optimiser.backward_step(&loss().unwrap()).unwrap();
        let values = [&slope, &offset].map(|variable| variable.to_vec1::<f32>().unwrap()).concat();
        values.into_iter().map(f64::from).collect()
    };
    (0..5).map(step).collect()
}

/// The largest difference of any weight after any step.
fn difference(one: &[Vec<f64>], other: &[[f64; 4]]) -> f64 {
    one.iter().zip(other).flat_map(|(one, other)| one.iter().zip(other)).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max)
}

#[test]
fn optimisers_give_the_weights_of_pytorch_after_every_step() {
    let Reference { problem, optimisers, .. } = reference();
    assert_eq!(optimisers.len(), 12);
    for OptimiserRow { optimiser, weight_decay, weights: expected } in &optimisers {
        let config = OptimiserConfig { optimiser: *optimiser, weight_decay: *weight_decay };
        let rate = optimiser.learning_rate();
        for make in [StatefulOptimiser::new as Make, StatefulOptimiser::by_tensors] {
            let off = |config, rate| difference(&weights(&problem, make, config, rate), expected);
            assert!(off(config, rate) <= 1e-6, "{config:?}: {}", off(config, rate));
            assert!(off(config, 1.001 * rate) > 1e-6, "{config:?}: the negative control of the learning rate");
            let other = OptimiserConfig { weight_decay: 0.3 - weight_decay, ..config };
            assert!(off(other, rate) > 1e-6, "{config:?}: the negative control of the weight decay");
        }
    }
}

#[test]
fn the_fused_update_is_that_by_tensor_operations() {
    // Several pieces of work, and a last one that is no multiple of a vector.
    const SHAPE: (usize, usize) = (3, 16_387);
    let Reference { optimisers, .. } = reference();
    let values = |count: usize, seed: usize| (0..count).map(|at| ((at * 7919 + seed * 104_729) % 1013) as f32 / 506.0 - 1.0).collect();
    let tensor = |seed| Tensor::from_vec(values(SHAPE.0 * SHAPE.1, seed), SHAPE, &Device::Cpu).unwrap();
    for OptimiserRow { optimiser, weight_decay, .. } in optimisers {
        let config = OptimiserConfig { optimiser, weight_decay };
        let trained = |make: Make, factor: f64| {
            let variable = Var::from_tensor(&tensor(0)).unwrap();
            let mut optimiser = make(vec![variable.clone()], config).unwrap();
            for step in 1..=3 {
                let slope = tensor(step);
                let loss = (variable.as_tensor() * slope).unwrap().sum_all().unwrap();
                optimiser.set_learning_rate(factor * config.optimiser.learning_rate());
                optimiser.backward_step(&loss).unwrap();
            }
            let memory = optimiser.memory().unwrap().remove(0);
            (variable.flatten_all().unwrap().to_vec1::<f32>().unwrap(), memory)
        };
        let off = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
        let (fused, memory) = trained(StatefulOptimiser::new, 1.0);
        let (by_tensors, expected) = trained(StatefulOptimiser::by_tensors, 1.0);
        assert!(off(&fused, &by_tensors) <= 1e-6, "{config:?}: {}", off(&fused, &by_tensors));
        assert!(memory.iter().zip(&expected).all(|(one, other)| off(one, other) <= 1e-6), "{config:?}: the state");
        assert!(off(&fused, &trained(StatefulOptimiser::by_tensors, 1.001).0) > 1e-6, "{config:?}: the negative control");
    }
}

#[test]
fn a_restored_optimiser_goes_on_as_if_it_had_not_stopped() {
    let config = OptimiserConfig { optimiser: Optimiser::AdamW { learning_rate: 0.05 }, weight_decay: 0.1 };
    let gradient = |variable: &Var| variable.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    for make in [StatefulOptimiser::new as Make, StatefulOptimiser::by_tensors] {
        let after = |restored: bool, stop: Option<usize>| {
            let variable = Var::from_slice(&[0.5f32, -0.25, 2.0], 3, &Device::Cpu).unwrap();
            let mut optimiser = make(vec![variable.clone()], config).unwrap();
            for step in 0..6 {
                if Some(step) == stop {
                    let (steps, memory) = (optimiser.steps, optimiser.memory().unwrap());
                    optimiser = make(vec![variable.clone()], config).unwrap();
                    if restored {
                        optimiser.restore(steps, memory).unwrap();
                    }
                }
                optimiser.step(&gradient(&variable)).unwrap();
            }
            variable.to_vec1::<f32>().unwrap()
        };
        assert_eq!(after(true, Some(3)), after(true, None));
        assert_ne!(after(false, Some(3)), after(true, None), "the negative control");
    }
}

#[test]
fn schedules_give_the_learning_rates_of_pytorch_in_every_step() {
    let schedules = reference().schedules;
    assert_eq!(schedules.len(), 12);
    for (index, ScheduleRow { schedule, factors }) in schedules.iter().enumerate() {
        assert_eq!(factors.len(), 20);
        let off = |schedule: &Schedule| {
            let factor = |(step, expected): (usize, &f64)| (schedule.factor(step as u64, 4, 5) - expected).abs();
            factors.iter().enumerate().map(factor).fold(0.0, f64::max)
        };
        assert!(off(schedule) <= 1e-6, "{schedule}: {}", off(schedule));
        for (_, other) in schedules.iter().enumerate().filter(|(other, _)| *other != index) {
            assert!(off(&other.schedule) > 1e-6, "{}: the negative control", other.schedule);
        }
    }
}
