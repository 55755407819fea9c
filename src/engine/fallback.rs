//! Falls back to the CPU engine when another engine cannot start, or fails later.

use super::{Engine, EngineWrapper, Models, Stop, cpu};
use crate::error::{Error, Result};
use std::sync::Arc;

/// Opens an engine; where that fails with [`Error::Engine`], now or in any later call, the CPU engine answers in its place, and
/// [`Engine::notice`] says why. Other errors pass: the CPU would meet them as well.
///
/// # Errors
/// What `first` fails with, unless it is [`Error::Engine`]; what the CPU engine fails with.
pub fn open(first: impl FnOnce(Arc<Models>) -> Result<Box<dyn Engine>>, models: Arc<Models>) -> Result<Box<dyn Engine>> {
    let (engine, notice) = match first(Arc::clone(&models)) {
        Err(Error::Engine(reason)) => (cpu::open(Arc::clone(&models))?, Some(sentence(&reason))),
        opened => (opened?, None),
    };
    Ok(Box::new(Fallback { engine, models, notice, stop: Stop::default() }))
}

fn sentence(reason: &str) -> String {
    format!("The CPU computes: {reason}.")
}

struct Fallback {
    /// The one that answers now.
    engine: Box<dyn Engine>,
    models: Arc<Models>,
    /// Why the CPU engine answers, once it does.
    notice: Option<String>,
    stop: Stop,
}

impl EngineWrapper for Fallback {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn points_per_block(&self) -> usize {
        self.engine.points_per_block()
    }

    fn notice(&self) -> Option<String> {
        self.notice.clone().or_else(|| self.engine.notice())
    }

    fn heed(&mut self, stop: &Stop) {
        self.engine.heed(stop);
        self.stop = stop.clone();
    }

    /// Answers a call; one that the first engine fails in is asked again of the CPU.
    fn with<T>(&mut self, call: impl Fn(&mut dyn Engine) -> Result<T>) -> Result<T> {
        match call(self.engine.as_mut()) {
            Err(Error::Engine(reason)) if self.notice.is_none() => {
                self.engine = cpu::open(Arc::clone(&self.models))?;
                self.engine.heed(&self.stop);
                self.notice = Some(sentence(&reason));
                call(self.engine.as_mut())
            }
            answer => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_engine::{TestEngine, small_models};
    use crate::engine::{Block, Draws, Input, Masks, reference};
    use crate::uncertainty::StatisticsGrid;

    fn lost() -> Error {
        Error::Engine("the adapter is lost".to_owned())
    }

    /// All three kinds of calls, as often as it takes: statistics of four blocks, images, and every draw.
    fn answers(engine: &mut dyn Engine) -> Result<(Vec<StatisticsGrid>, Vec<f32>, Vec<f64>)> {
        let z = [0.5, -1.0, 2.0, 0.25];
        let block = |draws| Block {
            input: Input::Latent(&z),
            point_numbers: &[0, 1],
            members: &[1, 0],
            draws: Draws::Sampled(draws),
            groups: 1,
            seed: 3,
            masks: Masks::Shared,
        };
        let statistics = (0..4).map(|first| engine.statistics(&block(3 * first..3 * first + 3))).collect::<Result<_>>()?;
        Ok((statistics, engine.decode(&z)?, engine.probabilities(&block(0..5))?))
    }

    #[test]
    fn what_fails_in_any_call_is_answered_by_the_cpu_to_the_bit() {
        let models = small_models();
        let expected = answers(cpu::open(Arc::clone(&models)).unwrap().as_mut()).unwrap();
        for failing in 0..7 {
            let first =
                |models| Ok(TestEngine::over(cpu::open(models)?, move |call, _| if call >= failing { Err(lost()) } else { Ok(()) }));
            let mut engine = open(first, Arc::clone(&models)).unwrap();
            assert_eq!((engine.name(), engine.notice()), ("test", None));
            assert_eq!(answers(engine.as_mut()).unwrap(), expected, "a fault in call {failing}");
            // The calls are numbered from 0 to 5: a fault in the seventh is never met.
            let told = (failing < 6).then(|| "The CPU computes: the adapter is lost.".to_owned());
            assert_eq!((engine.name(), engine.notice()), (if failing < 6 { "cpu" } else { "test" }, told));
        }
        // Without a fallback the fault is met, and the reference's bits are others.
        let mut raw = TestEngine::over(cpu::open(Arc::clone(&models)).unwrap(), |call, _| if call >= 2 { Err(lost()) } else { Ok(()) });
        assert!(matches!(answers(raw.as_mut()), Err(Error::Engine(_))));
        let mut other = open(reference::open, models).unwrap();
        assert_ne!(answers(other.as_mut()).unwrap(), expected);
    }

    #[test]
    fn an_engine_that_cannot_start_is_replaced_at_once() {
        let models = small_models();
        let expected = answers(cpu::open(Arc::clone(&models)).unwrap().as_mut()).unwrap();
        let mut engine = open(|_| Err(lost()), models).unwrap();
        assert_eq!((engine.name(), engine.notice().as_deref()), ("cpu", Some("The CPU computes: the adapter is lost.")));
        assert_eq!(answers(engine.as_mut()).unwrap(), expected);
    }

    #[test]
    fn other_errors_pass() {
        let models = small_models();
        let other = || Error::Network("the layers do not fit".to_owned());
        assert!(matches!(open(|_| Err(other()), Arc::clone(&models)), Err(Error::Network(_))));
        let first = |models| Ok(TestEngine::over(cpu::open(models)?, move |call, _| if call == 1 { Err(other()) } else { Ok(()) }));
        let mut engine = open(first, models).unwrap();
        assert!(matches!(answers(engine.as_mut()), Err(Error::Network(_))));
        assert_eq!((engine.name(), engine.notice()), ("test", None));
    }
}
