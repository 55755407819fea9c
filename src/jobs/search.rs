//! Garbage that is sought by gradient, over the whole plane or near an image (Smith & Gal 2018, section 4.2).

use super::attack::gradients;
use super::holes::{Garbage, describe};
use super::passes::{Asked, check};
use super::{Classifiers, ModelSet, Observer, Progress};
use crate::attack::{FIRST_DRAW, Plane, Victim};
use crate::autodiff::DecoderGradients;
use crate::engine::{Engine, Masks};
use crate::error::{Error, Result};
use crate::latent::Surroundings;
use serde::{Deserialize, Serialize};

/// Garbage that lies nearer to other garbage than this, in units of z, is the same.
const SAME: f64 = 0.5;
/// How much of the way to 1 the confidence of the climbs is raised, one after the other, until what is nearest is confident by the draws that
/// measure as well: few draws flatter what was chosen by them.
const MARGINS: [f64; 4] = [0.0, 0.25, 0.5, 0.75];
/// The most places that are climbed from.
const MOST_STARTS: usize = 100_000;

/// Everything that fixes a search, given the models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchSettings {
    /// The members by number.
    pub members: Vec<usize>,
    /// Draws per member, T: so many are climbed on, and so many others measure.
    pub samples: u32,
    /// The seed of starts and masks.
    pub seed: u32,
    /// Confident is a mean probability of at least this, of the draws that are climbed on and of those that measure.
    pub confidence: f64,
    /// Without data is where the density is at most that which this share of the training encodings exceed: outside the region that holds them.
    pub covered: f64,
    /// Places that are climbed from, where no image is given.
    pub starts: usize,
    /// Steps of a climb.
    pub steps: u32,
    /// The first and the last coordinate of the plane, of both axes.
    pub extent: [f64; 2],
    /// The encoding of an image: the nearest garbage to it is sought; `None`: garbage anywhere.
    pub near: Option<[f64; 2]>,
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self {
            members: vec![0],
            samples: 20,
            seed: 0,
            confidence: 0.9,
            covered: 0.99,
            starts: 100,
            steps: 40,
            extent: [-10.0, 10.0],
            near: None,
        }
    }
}

impl SearchSettings {
    fn check(&self, set: &ModelSet) -> Result<()> {
        check(set, self.samples, &self.members)?;
        for (option, share) in [("--confidence", self.confidence), ("--covered", self.covered)] {
            if !(share > 0.0 && share <= 1.0) {
                return Err(Error::setting(option, format!("{share} is out of range"), "give a number above 0 and up to 1, such as 0.9"));
            }
        }
        if !(1..=MOST_STARTS).contains(&self.starts) {
            let problem = format!("{} places are out of range", self.starts);
            return Err(Error::setting("--starts", problem, format!("give a number from 1 to {MOST_STARTS}")));
        }
        if !(self.extent[0] < self.extent[1] && self.extent.iter().all(|end| end.is_finite())) {
            return Err(Error::setting("--extent", format!("{:?} is no range", self.extent), "give two numbers such as --extent=-10,10"));
        }
        match self.near {
            Some(z) if !z.iter().all(|z| z.is_finite()) => Err(Error::setting("--near", "a coordinate is not finite", "give numbers")),
            _ => Ok(()),
        }
    }
}

/// Seeks garbage: points without data whose decoded images the models are sure of, by the draws that were climbed on and by others, of which the
/// measures are. Near an image one at the most; else all that the climbs found, the surest first, each apart from those before it.
///
/// # Errors
/// When the settings make no sense, the models have no plane, the engine fails, or the observer stops.
pub fn search_garbage(
    set: &ModelSet,
    engine: &mut dyn Engine,
    surroundings: &Surroundings,
    settings: &SearchSettings,
    observe: Observer<'_>,
) -> Result<Vec<Garbage>> {
    settings.check(set)?;
    let networks = gradients(&Classifiers::of(set), settings.seed);
    let victim =
        Victim { networks: networks.as_ref(), members: settings.members.clone(), samples: Some(settings.samples), first_draw: FIRST_DRAW };
    let decoder = DecoderGradients::new(&set.vae.decoder);
    let plane = |confidence: f64| Plane {
        decoder: &decoder,
        victim: &victim,
        density: &surroundings.density,
        most_density: surroundings.density.covering(settings.covered),
        confidence,
        extent: settings.extent,
        seed: settings.seed,
    };
    let asked = Asked { samples: settings.samples, members: &settings.members, seed: settings.seed, masks: Masks::Shared };
    let watch = &mut |iterate: crate::attack::Iterate<'_>| observe(Progress { done: iterate.step.into(), total: iterate.steps.into() });
    if let Some(z) = settings.near {
        let around = plane(settings.confidence).around(z, settings.steps, watch)?;
        for margin in MARGINS {
            let Some(found) = plane(settings.confidence + margin * (1.0 - settings.confidence)).nearest(z, &around)? else { break };
            let garbage = describe(engine, asked, found.z, 0, surroundings)?;
            if garbage.confidence >= settings.confidence {
                return Ok(vec![garbage]);
            }
        }
        return Ok(Vec::new());
    }
    let mut found = plane(settings.confidence).search(settings.starts, settings.steps, watch)?;
    found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let mut all: Vec<Garbage> = Vec::new();
    for found in found {
        if all.iter().any(|other| (other.z[0] - found.z[0]).hypot(other.z[1] - found.z[1]) < SAME) {
            continue;
        }
        let garbage = describe(engine, asked, found.z, all.len(), surroundings)?;
        if garbage.confidence >= settings.confidence {
            all.push(garbage);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;
    use crate::uncertainty::Measure;
    use std::ops::ControlFlow;
    use std::sync::Arc;

    fn run(set: &ModelSet, settings: &SearchSettings) -> Result<Vec<Garbage>> {
        let surroundings = Surroundings::new(&set.encodings().unwrap().train);
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        search_garbage(set, engine.as_mut(), &surroundings, settings, &mut |_| ControlFlow::Continue(()))
    }

    fn apart(a: [f64; 2], b: [f64; 2]) -> f64 {
        (a[0] - b[0]).hypot(a[1] - b[1])
    }

    #[test]
    fn a_search_finds_garbage_and_more_than_chance_does() {
        let set = ModelSet::shipped().unwrap();
        let settings = SearchSettings { samples: 5, starts: 30, confidence: 0.97, ..SearchSettings::default() };
        let surroundings = Surroundings::new(&set.encodings().unwrap().train);
        let found = run(&set, &settings).unwrap();
        assert!(!found.is_empty());
        for (number, garbage) in found.iter().enumerate() {
            assert!(surroundings.density.at(garbage.z) <= surroundings.density.covering(settings.covered), "data are there");
            // Other draws judge than those that were climbed on, and ask as much.
            assert!(garbage.confidence >= settings.confidence && garbage.measures.len() == Measure::ALL.len(), "{}", garbage.confidence);
            assert!(found[..number].iter().all(|other| apart(other.z, garbage.z) >= SAME));
        }
        let chance = run(&set, &SearchSettings { steps: 0, ..settings.clone() }).unwrap();
        assert!(found.len() > chance.len(), "{} found, {} by chance", found.len(), chance.len());
        assert_eq!(run(&set, &settings).unwrap(), found);
    }

    #[test]
    fn the_nearest_garbage_is_nearer_than_any_other_that_was_found() {
        let set = ModelSet::shipped().unwrap();
        let image = set.encodings().unwrap().test.points[0].map(f64::from);
        let anywhere = SearchSettings { samples: 5, starts: 40, ..SearchSettings::default() };
        let near = run(&set, &SearchSettings { near: Some(image), ..anywhere.clone() }).unwrap();
        let [nearest] = &near[..] else { panic!("one was sought") };
        let others = run(&set, &anywhere).unwrap();
        assert!(!others.is_empty() && others.iter().all(|other| apart(nearest.z, image) <= apart(other.z, image)));
        // What is garbage already is its own nearest garbage.
        let own = run(&set, &SearchSettings { near: Some(others[0].z), ..anywhere }).unwrap();
        assert!(apart(own[0].z, others[0].z) <= 1e-9, "{:?} is not {:?}", own[0].z, others[0].z);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let set = ModelSet::shipped().unwrap();
        let good = SearchSettings::default();
        for (settings, option) in [
            (SearchSettings { samples: 0, ..good.clone() }, "--samples"),
            (SearchSettings { members: vec![10], ..good.clone() }, "--members"),
            (SearchSettings { confidence: f64::NAN, ..good.clone() }, "--confidence"),
            (SearchSettings { covered: 0.0, ..good.clone() }, "--covered"),
            (SearchSettings { starts: 0, ..good.clone() }, "--starts"),
            (SearchSettings { extent: [1.0, 1.0], ..good.clone() }, "--extent"),
            (SearchSettings { near: Some([f64::NAN, 0.0]), ..good }, "--near"),
        ] {
            assert!(run(&set, &settings).unwrap_err().to_string().starts_with(option));
        }
    }
}
