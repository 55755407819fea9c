//! How good the models are on labelled images.

use super::passes::{check_data_of, next_block};
use super::{Observer, tell};
use crate::analysis::calibration::Scores;
use crate::analysis::detection::Estimate;
use crate::analysis::proportions::proportion;
use crate::autodiff::elbo_of;
use crate::data::Dataset;
use crate::engine::{Block, Draws, Engine, Input, Masks};
use crate::error::Result;
use crate::nets::{Ensemble, Vae};
use serde::Serialize;
use std::ops::Range;

/// The scores of a classifier or an ensemble.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedScores {
    /// Of which.
    pub name: String,
    /// The share of right predictions.
    pub accuracy: f64,
    /// Its 95 % interval (Wilson 1927); `None` without images.
    pub accuracy_interval: Option<[f64; 2]>,
    /// The mean negative log-likelihood in nats.
    pub nll: f64,
    /// The Brier score.
    pub brier: f64,
    /// The expected calibration error over 15 bins.
    pub ece: f64,
}

/// The VAE's −ELBO in nats per image, with one sample of z per image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct VaeScores {
    /// reconstruction + kl.
    pub negative_elbo: f64,
    /// −ln p(x|z).
    pub reconstruction: f64,
    /// KL(q(z|x) ‖ p(z)).
    pub kl: f64,
}

/// What `epistemap evaluate` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// The name of the data.
    pub dataset: String,
    /// How many images.
    pub images: usize,
    /// The VAE; `null` where there are classifiers alone.
    pub vae: Option<VaeScores>,
    /// Each member without draws: with dropout off.
    pub classifiers: Vec<NamedScores>,
    /// The mean of all members without draws.
    pub ensemble_without_draws: NamedScores,
    /// Each member by the mean of its draws.
    pub classifiers_with_draws: Vec<NamedScores>,
    /// The mean of all members' draws.
    pub ensemble: NamedScores,
    /// Draws per member.
    pub samples: u32,
}

impl NamedScores {
    /// The accuracy in per cent with its interval: "99.26 % [99.07, 99.41]".
    pub fn accuracy_text(&self) -> String {
        let interval = self.accuracy_interval.map_or_else(String::new, |ends| {
            let [low, high] = ends.map(|end| format!("{:.2}", 100.0 * end));
            format!(" [{low}, {high}]")
        });
        format!("{:.2} %{interval}", 100.0 * self.accuracy)
    }
}

impl Evaluation {
    /// The scores of each member and then of the ensemble, without draws and with them.
    pub fn rows(&self) -> impl Iterator<Item = [&NamedScores; 2]> {
        let without = self.classifiers.iter().chain([&self.ensemble_without_draws]);
        without.zip(self.classifiers_with_draws.iter().chain([&self.ensemble])).map(|(without, with)| [without, with])
    }
}

/// Evaluates the VAE, if there is one, and the members and their ensemble both without draws and with `samples` draws per member.
///
/// # Errors
/// When the data are not of the models' shape or classes, the engine fails, or the observer stops.
pub fn evaluate(
    ensemble: &Ensemble,
    vae: Option<&Vae>,
    engine: &mut dyn Engine,
    data: &Dataset,
    samples: u32,
    seed: u32,
    observe: Observer<'_>,
) -> Result<Evaluation> {
    let (classes, members) = (ensemble.classes().len(), ensemble.members());
    check_data_of(ensemble, data)?;
    let numbers: Vec<usize> = (0..members.len()).collect();
    // Probabilities of each member, then of the ensemble, without draws and with them.
    let mut probabilities: [Vec<Vec<f64>>; 2] = [0, 1].map(|_| vec![Vec::with_capacity(data.len() * classes); members.len() + 1]);
    tell(observe, 0, data.len())?;
    let mut done = 0;
    while done < data.len() {
        let Range { start, end } = next_block(engine, done, data.len());
        let points: Vec<u32> = (start as u32..end as u32).collect();
        let block = Block {
            input: Input::Images(&data.images_of(start..end)),
            point_numbers: &points,
            members: &numbers,
            draws: Draws::Deterministic,
            groups: 1,
            seed,
            masks: Masks::Shared,
        };
        let deterministic = engine.statistics(&block)?;
        let sampled = engine.statistics(&Block { draws: Draws::Sampled(0..samples), ..block })?;
        for (statistics, probabilities) in [&deterministic, &sampled].into_iter().zip(&mut probabilities) {
            for point in 0..end - start {
                probabilities.iter_mut().zip(&numbers).for_each(|(all, &member)| all.extend(statistics.cell(point, [member]).mean()));
                probabilities[members.len()].extend(statistics.whole_cell(point).mean());
            }
        }
        done = end;
        tell(observe, done, data.len())?;
    }
    let scores = |name: &str, probabilities: &[f64]| {
        let Scores { accuracy, nll, brier, ece } = Scores::new(probabilities, &data.labels, classes);
        let right = (accuracy * data.len() as f64).round() as usize;
        let accuracy_interval = proportion(right, data.len()).and_then(Estimate::interval);
        NamedScores { name: name.to_owned(), accuracy, accuracy_interval, nll, brier, ece }
    };
    let [without, with] = probabilities.map(|probabilities| {
        let names = members.iter().map(|member| member.name.as_str()).chain(["ensemble"]);
        names.zip(&probabilities).map(|(name, probabilities)| scores(name, probabilities)).collect::<Vec<NamedScores>>()
    });
    let [(classifiers, ensemble_without_draws), (classifiers_with_draws, ensemble)] = [without, with].map(|all| {
        let (members, ensemble) = all.split_at(all.len() - 1);
        (members.to_vec(), ensemble[0].clone())
    });
    let of_vae = |vae: &Vae| -> Result<VaeScores> {
        let [reconstruction, kl] = elbo_of(vae, data, seed)?;
        Ok(VaeScores { negative_elbo: reconstruction + kl, reconstruction, kl })
    };
    Ok(Evaluation {
        dataset: data.name.clone(),
        images: data.len(),
        vae: vae.map(of_vae).transpose()?,
        classifiers,
        ensemble_without_draws,
        classifiers_with_draws,
        ensemble,
        samples,
    })
}
