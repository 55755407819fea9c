//! The test engine: another engine whose calls can fail or change, and small models for it.

use super::{Block, Engine, Models, Stop};
use crate::error::Result;
use crate::nets::{Classifier, Ensemble, Network, VaeLayers, cnn, random_weights};
use crate::uncertainty::StatisticsGrid;
use std::sync::Arc;

/// Is given the number of each call and, where it has one, its block: to fail, to change it, or to take notes.
type Fault = Box<dyn FnMut(u32, Option<&mut Block<'_>>) -> Result<()> + Send>;

/// Another engine, with a fault before every call.
pub struct TestEngine {
    engine: Box<dyn Engine>,
    fault: Fault,
    calls: u32,
    points_per_block: usize,
}

impl TestEngine {
    /// Puts the fault before every call of the engine.
    pub fn over(engine: Box<dyn Engine>, fault: impl FnMut(u32, Option<&mut Block<'_>>) -> Result<()> + Send + 'static) -> Box<dyn Engine> {
        Self::with_blocks(engine, 256, fault)
    }

    /// As [`over`](Self::over), with blocks of so many points.
    pub fn with_blocks(
        engine: Box<dyn Engine>,
        points_per_block: usize,
        fault: impl FnMut(u32, Option<&mut Block<'_>>) -> Result<()> + Send + 'static,
    ) -> Box<dyn Engine> {
        Box::new(Self { engine, fault: Box::new(fault), calls: 0, points_per_block })
    }

    fn call(&mut self, block: Option<&mut Block<'_>>) -> Result<()> {
        self.calls += 1;
        (self.fault)(self.calls - 1, block)
    }
}

impl Engine for TestEngine {
    fn name(&self) -> &'static str {
        "test"
    }

    fn points_per_block(&self) -> usize {
        self.points_per_block
    }

    fn heed(&mut self, stop: &Stop) {
        self.engine.heed(stop);
    }

    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid> {
        let mut block = block.clone();
        self.call(Some(&mut block))?;
        self.engine.statistics(&block)
    }

    fn decode(&mut self, z: &[f64]) -> Result<Vec<f32>> {
        self.call(None)?;
        self.engine.decode(z)
    }

    fn probabilities(&mut self, block: &Block<'_>) -> Result<Vec<f64>> {
        let mut block = block.clone();
        self.call(Some(&mut block))?;
        self.engine.probabilities(&block)
    }
}

/// A decoder and two classifiers of images [2, 7, 9] in 3 classes.
pub fn small_models() -> Arc<Models> {
    let shape = [2, 7, 9];
    let layers = VaeLayers::dense(shape, &[6], 2).decoder;
    let decoder = Network::new(&[2], layers.clone(), &random_weights(&layers, 1)).unwrap();
    let layers = cnn(shape, 3, [4, 3], 5, [0.3, 0.4]);
    let member = |seed| {
        let network = Network::new(&shape, layers.clone(), &random_weights(&layers, seed)).unwrap();
        Classifier::new(format!("member {seed}"), ["a", "b", "c"].map(String::from).to_vec(), network).unwrap()
    };
    Arc::new(Models::new(Some(decoder), Ensemble::new(vec![member(2), member(3)]).unwrap()).unwrap())
}
