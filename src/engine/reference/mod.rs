//! The reference engine: plain f64 loops, one draw at a time, nothing clever. It is what the fast engines are held against,
//! and it runs every network.

mod instructions;

use super::{Block, Draws, Engine, Input, Masks, Models, Stop};
use crate::error::{Error, Result};
use crate::nets::lowering::{Program, lower};
use crate::nets::{Classifier, Ending, Network};
use crate::random::{keep_mask, normal_noise};
use crate::uncertainty::{StatisticsGrid, add_draw};
use std::sync::Arc;

/// Which units a dropout layer keeps, of (its mask stream, its rate, its number of units).
pub type Keep<'a> = &'a dyn Fn(usize, f64, usize) -> Vec<bool>;

/// As many standard normal numbers as are asked for, of (the stream of a Gaussian layer, their number).
pub type Noise<'a> = &'a dyn Fn(usize, usize) -> Vec<f64>;

/// All that is random in one pass.
#[derive(Clone, Copy)]
pub struct Draw<'a> {
    /// Chooses the units of every dropout layer, elements for `Dropout` and channels for `Dropout2d`.
    pub keep: Keep<'a>,
    /// Draws the weights of every Gaussian layer.
    pub noise: Noise<'a>,
}

/// What the network makes of one input in one draw; without one, dropout is off and Gaussian layers have their mean weights. Input and
/// output are row-major, of the network's shapes.
pub fn forward(network: &Network, input: &[f64], draw: Option<Draw<'_>>) -> Vec<f64> {
    run(&lower(network, Ending::Logits), input, draw)
}

/// The same of a lowered network.
pub fn run(program: &Program, input: &[f64], draw: Option<Draw<'_>>) -> Vec<f64> {
    assert_eq!(input.len(), program.values[0].length, "an input of {:?}", program.input_shape);
    let mut values = vec![Vec::new(); program.values.len()];
    values[0] = input.to_vec();
    for instruction in &program.instructions {
        let inputs: Vec<&[f64]> = instruction.inputs.iter().map(|&value| values[value].as_slice()).collect();
        values[instruction.output] = instructions::apply(instruction, &inputs, draw);
    }
    values.swap_remove(program.output)
}

/// `exp(l_c) / Σ exp(l)`: probabilities of logits. NaN where a logit is NaN or +∞.
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|exponential| exponential / sum).collect()
}

/// A logit that single precision cannot hold is not a number: the other engines have none there, and nobody means it.
fn in_single_precision(logit: f64) -> f64 {
    if logit.abs() <= f64::from(f32::MAX) { logit } else { f64::NAN }
}

/// The engine of this module.
pub struct Reference {
    decoder: Option<Program>,
    members: Vec<Program>,
    models: Arc<Models>,
    stop: Stop,
}

/// Opens the engine for the given models.
///
/// # Errors
/// Never: it needs nothing but the models.
pub fn open(models: Arc<Models>) -> Result<Box<dyn Engine>> {
    let decoder = models.decoder.as_ref().map(|network| lower(network, Ending::Logits));
    let members = models.ensemble.members().iter().map(Classifier::program).collect();
    Ok(Box::new(Reference { decoder, members, models, stop: Stop::default() }))
}

impl Reference {
    /// The decoded images of latent points, in f64 all the way.
    fn decoded(&self, z: &[f64]) -> Result<Vec<Vec<f64>>> {
        let decoder = self.decoder.as_ref().ok_or_else(|| {
            Error::Network("latent points were given, but there is no decoder to make images of them: load a VAE as well".to_owned())
        })?;
        let image = |z: &[f64]| self.stop.check().map(|()| run(decoder, z, None));
        z.chunks_exact(decoder.values[0].length).map(image).collect()
    }

    /// Calls `visit(point, place of the member in the block, place of the pass, probabilities)` for every pass of the block in
    /// turn.
    fn visit_passes(&self, block: &Block<'_>, mut visit: impl FnMut(usize, usize, usize, &[f64])) -> Result<()> {
        let images = match block.input {
            Input::Latent(z) => self.decoded(z)?,
            Input::Images(images) => {
                let pixels = self.models.ensemble.image_shape().iter().product();
                images.chunks_exact(pixels).map(|image| image.iter().map(|&pixel| f64::from(pixel)).collect()).collect()
            }
        };
        assert_eq!(images.len(), block.point_numbers.len(), "as many points as numbers");
        for (point, (image, number)) in images.iter().zip(block.point_numbers).enumerate() {
            for (place, &member) in block.members.iter().enumerate() {
                let program = &self.members[member];
                let mut visit_pass = |pass: usize, draw: Option<Draw<'_>>| -> Result<()> {
                    self.stop.check()?;
                    let logits = run(program, image, draw).into_iter().map(in_single_precision).collect::<Vec<_>>();
                    visit(point, place, pass, &softmax(&logits));
                    Ok(())
                };
                match &block.draws {
                    Draws::Deterministic => visit_pass(0, None)?,
                    Draws::Sampled(draws) => draws.clone().enumerate().try_for_each(|(pass, draw)| {
                        let point = match block.masks {
                            Masks::Shared => 0,
                            Masks::PerPoint => 1 + number,
                        };
                        let (seed, member) = (block.seed, member as u32);
                        visit_pass(
                            pass,
                            Some(Draw {
                                keep: &|layer, rate, units| keep_mask(seed, member, draw, layer as u32, point, rate, units),
                                noise: &|layer, count| normal_noise(seed, member, draw, layer as u32, point, count),
                            }),
                        )
                    })?,
                }
            }
        }
        Ok(())
    }
}

impl Engine for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn heed(&mut self, stop: &Stop) {
        self.stop = stop.clone();
    }

    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid> {
        let classes = self.models.ensemble.classes().len();
        let mut grid = StatisticsGrid::new(block.point_numbers.len(), block.members.len() * block.groups, classes);
        self.visit_passes(block, |point, member, pass, probabilities| {
            add_draw(grid.sums_mut(point, member * block.groups + block.group(pass)), probabilities);
        })?;
        Ok(grid)
    }

    fn decode(&mut self, z: &[f64]) -> Result<Vec<f32>> {
        Ok(self.decoded(z)?.into_iter().flatten().map(|pixel| pixel as f32).collect())
    }

    fn probabilities(&mut self, block: &Block<'_>) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        self.visit_passes(block, |_, _, _, probabilities| all.extend_from_slice(probabilities))?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{Ensemble, Layer, Weights};

    const UNITS: usize = 7;

    /// Two members whose logits are the image itself, as dropout (layer 1) leaves it.
    fn models() -> Arc<Models> {
        let member = |name: &str| {
            let layers = vec![Layer::Flatten, Layer::Dropout { rate: 0.25 }];
            let network = Network::new(&[1, 1, UNITS], layers, &Weights::new()).unwrap();
            Classifier::new(name, (0..UNITS).map(|class| class.to_string()).collect(), network).unwrap()
        };
        Arc::new(Models::new(None, Ensemble::new(vec![member("a"), member("b")]).unwrap()).unwrap())
    }

    #[test]
    fn masks_are_those_of_seed_member_draw_layer_and_point() {
        let image: Vec<f32> = (0..UNITS).map(|unit| 0.1 + 0.125 * unit as f32).collect();
        let images = [image.clone(), image.clone()].concat();
        for (masks, points) in [(Masks::Shared, [0, 0]), (Masks::PerPoint, [1 + 40, 1 + 3])] {
            let block = Block {
                input: Input::Images(&images),
                point_numbers: &[40, 3],
                members: &[1, 0],
                draws: Draws::Sampled(5..8),
                groups: 1,
                seed: 9,
                masks,
            };
            let mut expected = Vec::new();
            for point in points {
                for member in [1, 0] {
                    for draw in 5..8 {
                        let keep = keep_mask(9, member, draw, 1, point, 0.25, UNITS);
                        let logits: Vec<f64> =
                            image.iter().zip(keep).map(|(&x, keep)| if keep { f64::from(x) / 0.75 } else { 0.0 }).collect();
                        expected.extend(softmax(&logits));
                    }
                }
            }
            let mut engine = open(models()).unwrap();
            let got = engine.probabilities(&block).unwrap();
            assert_eq!(got.len(), expected.len());
            assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-15), "{masks:?}");
            let statistics = engine.statistics(&block).unwrap();
            let second_point_first_member: Vec<&[f64]> = expected.chunks_exact(UNITS).skip(6).take(3).collect();
            let sum: f64 = second_point_first_member.iter().map(|draw| draw[2]).sum();
            assert!((statistics.sums(1, 0)[2] - sum).abs() <= 1e-15, "{masks:?}");
        }
    }

    #[test]
    fn without_dropout_the_image_passes_unscaled() {
        let image: Vec<f32> = (0..UNITS).map(|unit| 0.125 * unit as f32).collect();
        let block = Block {
            input: Input::Images(&image),
            point_numbers: &[0],
            members: &[1],
            draws: Draws::Deterministic,
            groups: 1,
            seed: 9,
            masks: Masks::Shared,
        };
        let logits: Vec<f64> = image.iter().map(|&x| f64::from(x)).collect();
        assert_eq!(open(models()).unwrap().probabilities(&block).unwrap(), softmax(&logits));
    }

    #[test]
    fn latent_points_without_a_decoder_are_refused() {
        let text = open(models()).unwrap().decode(&[0.0, 0.0]).unwrap_err().to_string();
        assert!(text.contains("no decoder"), "{text}");
    }

    #[test]
    fn softmax_is_exact_on_logarithms_of_integers_however_large() {
        for shift in [0.0, 1e3, -1e3] {
            let logits = [1f64, 2.0, 5.0].map(|n| n.ln() + shift);
            assert!(softmax(&logits).iter().zip([0.125, 0.25, 0.625]).all(|(p, exact)| (p - exact).abs() <= 1e-12), "{shift}");
        }
        assert!(softmax(&[0.0, f64::NAN]).iter().all(|p| p.is_nan()));
    }
}
