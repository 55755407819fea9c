//! The choice that a person need not make.

use super::{Block, Draws, Engine, Input, Masks, Models, cpu, gpu};
use crate::error::Result;
use crate::random::{Purpose, Stream};
use crate::uncertainty::{Measure, StatisticsGrid};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The images of the trial, and their draws.
const POINTS: usize = 256;
const DRAWS: u32 = 20;
/// How far an engine's measures may be from the first one's, relative to the largest entropy ln C: what 16 bits cost.
const TOLERANCE: f64 = 2e-3;
/// An engine of lower precision must be faster by so much.
const GAIN: f64 = 1.25;

type Open = fn(Arc<Models>) -> Result<Box<dyn Engine>>;

/// Opens the engine that is fastest here; its name is its own. Where there is a graphics processor, all engines answer a small trial when
/// the first one is opened; later ones are of the same kind, without a trial.
///
/// # Errors
/// When the engine cannot be opened.
pub fn open(models: Arc<Models>) -> Result<Box<dyn Engine>> {
    static FASTEST: OnceLock<Open> = OnceLock::new();
    let hardware = gpu::has_hardware();
    if hardware {
        // Else an engine that it keeps from starting is only left out.
        gpu::check_environment()?;
        // Such models say nothing of how fast other models are.
        gpu::check(&models)?;
    }
    let fastest = FASTEST.get_or_init(|| if hardware { fastest(&models) } else { cpu::open });
    fastest(models)
}

fn fastest(models: &Arc<Models>) -> Open {
    let all: [Open; 4] = [cpu::open, gpu::open, gpu::open_half, gpu::open_matrix];
    // An engine that cannot start here is no candidate.
    let candidates = all.into_iter().filter_map(|open| Some((open, open(Arc::clone(models)).ok()?)));
    choose(candidates, models, trial).unwrap_or(cpu::open)
}

/// An engine's answer, and how long it took.
type Answer = Result<(StatisticsGrid, Duration)>;

/// The fastest of engines by `trial`, the most precise first, of which none may fail or be far from the first.
fn choose<T>(
    candidates: impl IntoIterator<Item = (T, Box<dyn Engine>)>,
    models: &Models,
    mut trial: impl FnMut(&mut dyn Engine, &Block<'_>) -> Answer,
) -> Option<T> {
    let stream = Stream::new(1, Purpose::Choice);
    let pixels: usize = models.ensemble.image_shape().iter().product();
    let images: Vec<f32> = (0..POINTS * pixels).map(|pixel| stream.uniform([0; 3], pixel as u32) as f32).collect();
    let numbers: Vec<u32> = (0..POINTS as u32).collect();
    let (input, masks, draws) = (Input::Images(&images), Masks::Shared, Draws::Sampled(0..DRAWS));
    let block = Block { input, point_numbers: &numbers, members: &[0], draws, groups: 1, seed: 1, masks };
    let mut first: Option<StatisticsGrid> = None;
    let mut best: Option<(T, Duration)> = None;
    for (name, mut engine) in candidates {
        let Ok((answer, time)) = trial(engine.as_mut(), &block) else { continue };
        let close = first.as_ref().is_none_or(|first| difference(first, &answer) <= TOLERANCE);
        let faster = best.as_ref().is_none_or(|(_, least)| time.mul_f64(GAIN) < *least);
        first.get_or_insert(answer);
        if close && faster {
            best = Some((name, time));
        }
    }
    best.map(|(name, _)| name)
}

/// The answer of an engine that is warm, and how long it took.
fn trial(engine: &mut dyn Engine, block: &Block<'_>) -> Answer {
    engine.statistics(block)?;
    let start = Instant::now();
    Ok((engine.statistics(block)?, start.elapsed()))
}

/// The largest difference of any measure but the votes', relative to the largest entropy; NaN where there is one.
fn difference(a: &StatisticsGrid, b: &StatisticsGrid) -> f64 {
    let measures = Measure::ALL.into_iter().filter(|measure| *measure != Measure::VariationRatio);
    let of = |measure: Measure| {
        (0..a.points()).map(move |point| measure.evaluate(&a.whole_cell(point)) - measure.evaluate(&b.whole_cell(point)))
    };
    let largest = measures.flat_map(of).map(f64::abs).fold(0.0, |most: f64, d| if most.is_nan() || d <= most { most } else { d });
    largest / (a.classes() as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_engine::{TestEngine, small_models};
    use crate::error::Error;

    #[test]
    fn the_fastest_that_is_right_is_chosen() {
        let models = small_models();
        let engine = |other_seed: u32| {
            TestEngine::over(cpu::open(Arc::clone(&models)).unwrap(), move |_, block| {
                if let Some(block) = block {
                    block.seed += other_seed;
                }
                Ok(())
            })
        };
        let lost = || TestEngine::over(cpu::open(Arc::clone(&models)).unwrap(), |_, _| Err(Error::Engine("it is lost".to_owned())));
        // The trials' times are given: those of a clock depend on what else the machine does.
        let chosen = |second, milliseconds: [u64; 2]| {
            let mut times = milliseconds.into_iter().map(Duration::from_millis);
            let timed = |engine: &mut dyn Engine, block: &Block<'_>| Ok((engine.statistics(block)?, times.next().unwrap()));
            choose([(1, engine(0)), (2, second)], &models, timed)
        };
        assert_eq!(chosen(engine(0), [500, 1]), Some(2), "the faster");
        assert_eq!(chosen(engine(1), [500, 1]), Some(1), "an engine with other answers is none");
        assert_eq!(chosen(engine(0), [500, 401]), Some(1), "hardly faster is not enough");
        assert_eq!(chosen(lost(), [500, 1]), Some(1), "a lost engine is none");
        assert_eq!(choose([(2, engine(0))], &models, trial), Some(2), "by the clock, an engine alone");
        assert_eq!(choose([(1, lost())], &models, trial), None);
    }
}
