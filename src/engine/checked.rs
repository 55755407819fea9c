//! Holds the answers of an engine against what every answer must be: numbers that are finite, and equal draws of a member that does
//! not draw. One place for all engines: [`open`](super::open) puts it around each.

use super::{Block, Engine, Input, Models, Profile, Stop};
use crate::error::{Error, Result};
use crate::uncertainty::{GroupSums, StatisticsGrid, equalize_draws};
use std::sync::Arc;

/// The engine with its answers checked.
pub(super) struct Checked {
    pub engine: Box<dyn Engine>,
    pub models: Arc<Models>,
}

impl Checked {
    /// Checks the statistics of a block, with any number of rows to a member.
    fn check(&self, block: &Block<'_>, grid: &mut StatisticsGrid) -> Result<()> {
        let rows_of_member = grid.members() / block.members.len().max(1);
        for point in 0..grid.points() {
            for row in 0..grid.members() {
                let member = block.members[row / rows_of_member];
                if grid.sums(point, row).iter().any(|sum| !sum.is_finite()) {
                    return Err(self.not_finite(block, point, member));
                }
                if !self.models.ensemble.members()[member].has_draws() {
                    equalize_draws(grid.sums_mut(point, row));
                }
            }
        }
        Ok(())
    }

    /// The error of an answer about a point of a block, by its place, that is not finite.
    fn not_finite(&self, block: &Block<'_>, place: usize, member: usize) -> Error {
        let name = &self.models.ensemble.members()[member].name;
        let number = block.point_numbers[place];
        let point = match block.input {
            Input::Latent(z) => {
                let size = z.len() / block.point_numbers.len();
                format!("point {number}, z = {:?}", &z[place * size..][..size])
            }
            Input::Images(_) => format!("image {number}"),
        };
        Error::Network(format!(
            "the probabilities of '{name}' (member {member}) at {point} are not finite: its weights, or those of the VAE, are too large or \
             no numbers; train it again, or leave it out"
        ))
    }
}

impl Engine for Checked {
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

    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid> {
        let mut grid = self.engine.statistics(block)?;
        self.check(block, &mut grid)?;
        Ok(grid)
    }

    fn grouped_statistics(&mut self, block: &Block<'_>) -> Result<(StatisticsGrid, GroupSums)> {
        let (mut grid, sums) = self.engine.grouped_statistics(block)?;
        self.check(block, &mut grid)?;
        Ok((grid, sums))
    }

    fn decode(&mut self, z: &[f64]) -> Result<Vec<f32>> {
        let images = self.engine.decode(z)?;
        let pixels: usize = self.models.ensemble.image_shape().iter().product();
        if let Some(at) = images.iter().position(|pixel| !pixel.is_finite()) {
            let size = z.len() * pixels / images.len();
            let z = &z[at / pixels * size..][..size];
            let problem = "the VAE's decoder are too large or no numbers; train it again, or choose another VAE";
            return Err(Error::Network(format!("the decoded image of z = {z:?} is not finite: the weights of {problem}")));
        }
        Ok(images)
    }

    fn probabilities(&mut self, block: &Block<'_>) -> Result<Vec<f64>> {
        let probabilities = self.engine.probabilities(block)?;
        if let Some(at) = probabilities.iter().position(|p| !p.is_finite()) {
            let row = at / (block.passes() * self.models.ensemble.classes().len());
            return Err(self.not_finite(block, row / block.members.len(), block.members[row % block.members.len()]));
        }
        Ok(probabilities)
    }

    fn profile(&mut self, block: &Block<'_>) -> Result<Option<Profile>> {
        self.engine.profile(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_engine::small_models;
    use crate::engine::{Draws, Masks, available};
    use crate::nets::{Classifier, Ensemble, Network};
    use crate::uncertainty::Measure;

    fn block<'a>(z: &'a [f64], members: &'a [usize], samples: u32) -> Block<'a> {
        Block {
            input: Input::Latent(z),
            point_numbers: &[7, 8],
            members,
            draws: Draws::Sampled(0..samples),
            groups: 1,
            seed: 3,
            masks: Masks::Shared,
        }
    }

    /// The small models with other networks.
    fn changed(change: impl Fn(usize, &Network) -> Network) -> Arc<Models> {
        let models = small_models();
        let member = |(number, member): (usize, &Classifier)| Classifier { network: change(number, &member.network), ..member.clone() };
        let ensemble = Ensemble::new(models.ensemble.members().iter().enumerate().map(member).collect()).unwrap();
        Arc::new(Models::new(models.decoder.clone(), ensemble).unwrap())
    }

    fn engine(name: &str, models: &Arc<Models>) -> Box<dyn Engine> {
        crate::engine::open(name, Arc::clone(models)).unwrap()
    }

    #[test]
    fn weights_that_overflow_are_an_error_on_every_engine() {
        let models = changed(|number, network| {
            let mut weights = network.weights().clone();
            if number == 1 {
                for tensor in weights.values_mut() {
                    tensor.values.fill(3e38);
                }
            }
            Network::of(network.graph().clone(), &weights).unwrap()
        });
        for kind in available() {
            let mut engine = engine(kind.name, &models);
            let z = [0.5, -1.0, 2.0, 0.25];
            engine.statistics(&block(&z, &[0], 3)).unwrap();
            for error in [
                engine.statistics(&block(&z, &[0, 1], 3)).expect_err(kind.name).to_string(),
                engine.probabilities(&block(&z, &[0, 1], 3)).expect_err(kind.name).to_string(),
            ] {
                assert!(error.contains("'member 3' (member 1) at point 7, z = [0.5, -1.0]"), "{}: {error}", kind.name);
            }
        }
    }

    #[test]
    fn a_member_that_does_not_draw_has_exactly_no_information() {
        let models = changed(|_, network| Network::of(network.graph().with_rates(|_, _| Ok(0.0)).unwrap(), network.weights()).unwrap());
        for kind in available() {
            for samples in [1, 3, 7, 50] {
                let z = [0.5, -1.0, 2.0, 0.25];
                let grid = engine(kind.name, &models).statistics(&block(&z, &[0, 1], samples)).unwrap();
                for measure in Measure::ALL.into_iter().filter(|measure| measure.needs_draws()) {
                    for point in 0..2 {
                        assert_eq!(measure.evaluate(&grid.cell(point, [1])), 0.0, "{} of {samples}, {measure:?}", kind.name);
                    }
                    let ensemble = measure.evaluate(&grid.whole_cell(0));
                    assert!(ensemble > 0.0 || measure == Measure::VariationRatio, "the members disagree: {ensemble}");
                }
                let [plain, corrected] = [Measure::MutualInformation, Measure::MutualInformationCorrected];
                assert_eq!(plain.evaluate(&grid.whole_cell(0)), corrected.evaluate(&grid.whole_cell(0)), "members count as fixed");
            }
        }
    }
}
