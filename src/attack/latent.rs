//! Attacks on the latent plane (Smith & Gal 2018, section 4.2): points that decode into nothing known, and are confidently taken for
//! something. A gradient leads there through the decoder; the density of the data says what is known.

use super::{Victim, Watch, tell};
use crate::autodiff::{Answer, DecoderGradients, Loss, Objective};
use crate::error::Result;
use crate::latent::Density;
use crate::random::{Purpose, Stream};
use std::f64::consts::TAU;

/// The first step in units of z; steps shrink to nothing.
const STEP: f64 = 0.4;
/// Directions around an image in which garbage is sought, and how far off.
const DIRECTIONS: usize = 16;
const RADII: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];
/// Points on the way back to an image.
const WAY: usize = 48;
/// Rounds of looking around the nearest garbage; each looks half as far.
const ROUNDS: i32 = 8;

/// Where garbage is sought, and what it is.
pub struct Plane<'a> {
    /// z → image.
    pub decoder: &'a DecoderGradients,
    /// Who takes the image for something.
    pub victim: &'a Victim<'a>,
    /// Where data are.
    pub density: &'a Density,
    /// There are none where the density is at most this.
    pub most_density: f64,
    /// Confident is a mean probability of at least this.
    pub confidence: f64,
    /// The first and the last coordinate, of both axes.
    pub extent: [f64; 2],
    /// The seed of the starts.
    pub seed: u32,
}

/// A point that has been asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Where.
    pub z: [f64; 2],
    /// The largest mean probability there, over the draws that the attack sees.
    pub confidence: f64,
}

impl Plane<'_> {
    /// Climbs from so many random places without data to where the networks are surest while no data come near, and returns the ends that
    /// are garbage.
    ///
    /// # Errors
    /// When a network's answer is not finite, or the watcher stops.
    pub fn search(&self, starts: usize, steps: u32, watch: Watch<'_>) -> Result<Vec<Found>> {
        let stream = Stream::new(self.seed, Purpose::Attack);
        let [first, last] = self.extent;
        let place = |index: usize| {
            let at = |axis: u32| first + (last - first) * stream.uniform([index as u32, u32::MAX, 0], axis);
            [at(0), at(1)]
        };
        // Where everything is full of data there may be no such place; so many tries are enough for a plane that has some.
        let free = (0..100 * starts).map(place).filter(|&z| self.density.at(z) <= self.most_density);
        self.climb(free.take(starts).collect(), steps, watch)
    }

    /// The garbage that climbs from places all around z find.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn around(&self, z: [f64; 2], steps: u32, watch: Watch<'_>) -> Result<Vec<Found>> {
        let starts = std::iter::once(z).chain(RADII.into_iter().flat_map(|radius| circle(z, radius, 0.0))).map(|z| self.inside(z));
        self.climb(starts.collect(), steps, watch)
    }

    /// The nearest garbage to z, if any was found: comes back from what [`around`](Self::around) found as far as garbage goes.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn nearest(&self, z: [f64; 2], found: &[Found]) -> Result<Option<Found>> {
        let mut candidates = Vec::new();
        for end in found.iter().filter(|end| end.confidence >= self.confidence) {
            candidates
                .extend((0..=WAY).map(|step| step as f64 / WAY as f64).map(|t| [0, 1].map(|axis| z[axis] + t * (end.z[axis] - z[axis]))));
        }
        let apart = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
        let nearest = |found: Vec<Found>| found.into_iter().min_by(|a, b| apart(a.z, z).total_cmp(&apart(b.z, z)));
        let Some(mut best) = nearest(self.garbage(&candidates)?) else { return Ok(None) };
        for round in 0..ROUNDS {
            let reach = apart(best.z, z) * 0.5_f64.powi(round + 1);
            let centre = best.z;
            let near: Vec<[f64; 2]> = circle(z, reach, 0.5 * f64::from(round))
                .map(|at| self.inside([centre[0] + at[0] - z[0], centre[1] + at[1] - z[1]]))
                .filter(|&candidate| apart(candidate, z) < apart(best.z, z))
                .collect();
            if let Some(better) = nearest(self.garbage(&near)?) {
                best = better;
            }
        }
        Ok(Some(best))
    }

    fn inside(&self, z: [f64; 2]) -> [f64; 2] {
        z.map(|z| z.clamp(self.extent[0], self.extent[1]))
    }

    /// Asks about points; labels are what the gradient raises.
    fn ask(&self, z: &[[f64; 2]], labels: &[usize], gradients: bool) -> Result<(Answer, Vec<f64>)> {
        let decoded = self.decoder.decode(z.as_flattened());
        let objective = Objective { loss: Loss::MeanProbability, towards: true };
        let mut answer = self.victim.networks.answer(&decoded.images, labels, &self.victim.passes(0, false), objective, gradients)?;
        let of_z = if gradients { self.decoder.back(&decoded, std::mem::take(&mut answer.gradients)) } else { Vec::new() };
        Ok((answer, of_z))
    }

    /// Those of the points that are garbage.
    fn garbage(&self, z: &[[f64; 2]]) -> Result<Vec<Found>> {
        let free: Vec<[f64; 2]> = z.iter().copied().filter(|&z| self.density.at(z) <= self.most_density).collect();
        if free.is_empty() {
            return Ok(Vec::new());
        }
        let (answer, _) = self.ask(&free, &vec![0; free.len()], false)?;
        let found = free
            .iter()
            .zip(answer.mean.chunks_exact(self.victim.networks.classes()))
            .map(|(&z, mean)| Found { z, confidence: mean.iter().copied().fold(0.0, f64::max) });
        Ok(found.filter(|found| found.confidence >= self.confidence).collect())
    }

    /// Climbs from each start towards the class that is most probable there, away from data, and returns of each the surest garbage that
    /// it passed.
    fn climb(&self, starts: Vec<[f64; 2]>, steps: u32, watch: Watch<'_>) -> Result<Vec<Found>> {
        if starts.is_empty() {
            return Ok(Vec::new());
        }
        let classes = self.victim.networks.classes();
        let surest = |mean: &[f64]| (0..classes).fold(0, |best, class| if mean[class] > mean[best] { class } else { best });
        let mut z = starts;
        let (first, _) = self.ask(&z, &vec![0; z.len()], false)?;
        let labels: Vec<usize> = first.mean.chunks_exact(classes).map(surest).collect();
        let mut best: Vec<Option<Found>> = vec![None; z.len()];
        let all = steps.saturating_add(1);
        for step in 0..=steps {
            let (answer, gradients) = self.ask(&z, &labels, true)?;
            let length = STEP * f64::from(steps - step) / f64::from(steps.max(1));
            for (number, z) in z.iter_mut().enumerate() {
                let density = self.density.at(*z);
                let confidence = answer.mean[number * classes + labels[number]];
                let garbage = density <= self.most_density && confidence >= self.confidence;
                if garbage && best[number].is_none_or(|found| confidence > found.confidence) {
                    best[number] = Some(Found { z: *z, confidence });
                }
                let up = unit([gradients[2 * number], gradients[2 * number + 1]]);
                // Among data, out of them first.
                let way = if density > self.most_density {
                    let away = unit(self.away_from_data(*z));
                    unit([0.5 * up[0] + away[0], 0.5 * up[1] + away[1]])
                } else {
                    up
                };
                *z = self.inside([z[0] + length * way[0], z[1] + length * way[1]]);
            }
            tell(watch, step.saturating_add(1), all, z.as_flattened())?;
        }
        Ok(best.into_iter().flatten().collect())
    }

    /// −∇ of the density, by differences over a bandwidth.
    fn away_from_data(&self, z: [f64; 2]) -> [f64; 2] {
        let reach = self.density.bandwidth();
        [0, 1].map(|axis| {
            let at = |by: f64| {
                let mut z = z;
                z[axis] += by;
                self.density.at(z)
            };
            at(-reach) - at(reach)
        })
    }
}

/// A vector of length 1; 0 where there is none.
fn unit([a, b]: [f64; 2]) -> [f64; 2] {
    let length = a.hypot(b);
    if length > 0.0 && length.is_finite() { [a / length, b / length] } else { [0.0; 2] }
}

/// Points at equal angles around z, the first of them turned by `phase` of the angle between two.
fn circle(z: [f64; 2], radius: f64, phase: f64) -> impl Iterator<Item = [f64; 2]> {
    (0..DIRECTIONS).map(move |number| {
        let (sine, cosine) = (TAU * (number as f64 + phase) / DIRECTIONS as f64).sin_cos();
        [z[0] + radius * cosine, z[1] + radius * sine]
    })
}
