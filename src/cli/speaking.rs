//! An engine that says on standard error when another one took over.

use super::shared::say;
use crate::engine::{Engine, EngineWrapper, Stop};
use crate::error::Result;

/// Says the engine's notice once, as soon as there is one.
pub struct Speaking {
    engine: Box<dyn Engine>,
    said: Option<String>,
    say: fn(&str),
}

impl Speaking {
    /// Speaks for an engine; what it has to say of its opening is said at once.
    pub fn new(engine: Box<dyn Engine>) -> Self {
        Self::to(say, engine)
    }

    fn to(say: fn(&str), engine: Box<dyn Engine>) -> Self {
        let mut speaking = Self { engine, said: None, say };
        speaking.speak();
        speaking
    }

    fn speak(&mut self) {
        let notice = self.engine.notice();
        if notice != self.said {
            if let Some(notice) = &notice {
                (self.say)(notice);
            }
            self.said = notice;
        }
    }
}

impl EngineWrapper for Speaking {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn points_per_block(&self) -> usize {
        self.engine.points_per_block()
    }

    fn notice(&self) -> Option<String> {
        self.engine.notice()
    }

    fn heed(&mut self, stop: &Stop) {
        self.engine.heed(stop);
    }

    fn with<T>(&mut self, call: impl Fn(&mut dyn Engine) -> Result<T>) -> Result<T> {
        let answer = call(self.engine.as_mut());
        self.speak();
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_engine::{TestEngine, small_models};
    use crate::engine::{Block, cpu, fallback};
    use crate::error::Error;
    use std::sync::Mutex;

    #[test]
    fn a_fallback_is_reported_once_and_when_it_happens() {
        static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let heard = || HEARD.lock().unwrap().clone();
        let note = |line: &str| HEARD.lock().unwrap().push(line.to_owned());
        let fails = |call, _: Option<&mut Block<'_>>| if call >= 2 { Err(Error::Engine("it is lost".to_owned())) } else { Ok(()) };
        let engine = fallback::open(|models| Ok(TestEngine::over(cpu::open(models)?, fails)), small_models());
        let mut engine = Speaking::to(note, engine.unwrap());
        for call in 0..5 {
            engine.decode(&[0.0, 1.0]).unwrap();
            assert_eq!(heard().len(), usize::from(call >= 2));
        }
        assert_eq!(heard(), ["The CPU computes: it is lost."]);
        Speaking::to(note, cpu::open(small_models()).unwrap());
        assert_eq!(heard().len(), 1, "an engine without a notice says nothing");
        Speaking::to(note, fallback::open(|_| Err(Error::Engine("there is none".to_owned())), small_models()).unwrap());
        assert_eq!(heard()[1..], ["The CPU computes: there is none."]);
    }
}
