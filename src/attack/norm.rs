//! The norms that a budget is given in: their length, steepest step, ball, and random places in it. All work on the change δ of one
//! image, in f64.

use crate::error::{Error, Result};
use crate::random::Stream;
use serde::{Deserialize, Serialize};

/// How the size of a change to an image is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// The largest change of a value.
    Linf,
    /// √Σ δ².
    L2,
    /// Σ |δ|.
    L1,
}

impl Norm {
    /// Every norm.
    pub const ALL: [Self; 3] = [Self::Linf, Self::L2, Self::L1];

    /// Its name on the command line and in files.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Linf => "linf",
            Self::L2 => "l2",
            Self::L1 => "l1",
        }
    }

    /// Its symbol.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Linf => "L∞",
            Self::L2 => "L2",
            Self::L1 => "L1",
        }
    }

    /// The norm of a [`key`](Self::key).
    ///
    /// # Errors
    /// When none has it; names those that there are.
    pub fn from_key(key: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|norm| norm.key() == key).ok_or_else(|| {
            let keys = Self::ALL.map(Self::key).join(", ");
            Error::setting("--norm", format!("'{key}' is not a norm"), format!("choose one of {keys}"))
        })
    }

    /// ‖δ‖.
    pub fn length(self, change: impl IntoIterator<Item = f64>) -> f64 {
        let change = change.into_iter().map(f64::abs);
        match self {
            Self::Linf => change.fold(0.0, f64::max),
            Self::L2 => change.map(|value| value * value).sum::<f64>().sqrt(),
            Self::L1 => change.sum(),
        }
    }

    /// Makes of a gradient the step of length 1 that climbs most: its sign; the gradient over its length; or all on the largest value,
    /// in equal parts where several are as large (as `CleverHans`'s `optimize_linear`), and only on values that can still move within
    /// 0..=1, since the clip would undo the whole step. Without a gradient there is no step.
    pub(super) fn steepest(self, gradient: &mut [f64], image: &[f64]) {
        let largest = gradient.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        if largest == 0.0 {
            return;
        }
        match self {
            // Not `signum`, which is 1 at 0.
            Self::Linf => gradient.iter_mut().for_each(|value| *value = if *value == 0.0 { 0.0 } else { value.signum() }),
            Self::L2 => {
                // Over the largest first: the squares of small gradients would vanish.
                let length = self.length(gradient.iter().map(|value| value / largest)) * largest;
                for value in gradient.iter_mut() {
                    *value /= length;
                }
            }
            Self::L1 => {
                let free = |value: f64, pixel: f64| if value > 0.0 { pixel < 1.0 } else { value < 0.0 && pixel > 0.0 };
                let of_free = gradient.iter().zip(image).map(|(&value, &pixel)| if free(value, pixel) { value.abs() } else { 0.0 });
                let largest = of_free.fold(0.0, f64::max);
                let chosen = |value: f64, pixel: f64| largest > 0.0 && value.abs() == largest && free(value, pixel);
                let ties = gradient.iter().zip(image).filter(|(value, pixel)| chosen(**value, **pixel)).count() as f64;
                for (value, &pixel) in gradient.iter_mut().zip(image) {
                    *value = if chosen(*value, pixel) { value.signum() / ties } else { 0.0 };
                }
            }
        }
    }

    /// The nearest change (in the Euclidean sense) of a length of at most `radius`.
    pub(super) fn project(self, change: &mut [f64], radius: f64) {
        let length = self.length(change.iter().copied());
        if length <= radius {
            return;
        }
        match self {
            Self::Linf => change.iter_mut().for_each(|value| *value = value.clamp(-radius, radius)),
            Self::L2 => change.iter_mut().for_each(|value| *value *= radius / length),
            Self::L1 => {
                // Duchi et al. 2008: all values shrink by the same threshold.
                let mut sizes: Vec<f64> = change.iter().map(|value| value.abs()).collect();
                sizes.sort_by(|a, b| b.total_cmp(a));
                let (mut sum, mut threshold) = (0.0, 0.0);
                for (number, &size) in sizes.iter().enumerate() {
                    sum += size;
                    let candidate = (sum - radius) / (number + 1) as f64;
                    if size >= candidate {
                        threshold = candidate;
                    }
                }
                for value in change.iter_mut() {
                    *value = (value.abs() - threshold).max(0.0) * value.signum();
                }
            }
        }
    }

    /// A random change of `count` values within the ball: uniform in the cube for L∞; for the others in a random direction, of a length
    /// whose every part is as probable as its volume. (In so many dimensions nearly all of it lies at the surface.)
    pub(super) fn random(self, stream: Stream, address: [u32; 3], count: usize, radius: f64) -> Vec<f64> {
        let uniform = |index: usize| stream.uniform(address, index as u32);
        let mut change: Vec<f64> = match self {
            Self::Linf => return (0..count).map(|index| radius * (2.0 * uniform(index) - 1.0)).collect(),
            Self::L2 => (0..count).map(|index| stream.normal(address, index as u32)).collect(),
            // Laplace's distribution is as symmetric in L1 as the normal one in L2.
            Self::L1 => (0..count)
                .map(|index| {
                    let place = 2.0 * uniform(index) - 1.0;
                    -place.signum() * (1.0 - place.abs()).ln()
                })
                .collect(),
        };
        let length = self.length(change.iter().copied());
        // Its own address: the normal numbers use up to 2 · count words of the other.
        let share = stream.uniform([address[0], address[1], !address[2]], 0).powf(1.0 / count as f64);
        if length > 0.0 {
            for value in &mut change {
                *value *= radius * share / length;
            }
        }
        change
    }
}

/// An image in single precision, rounded towards another: its distance in any norm is not larger for it.
pub fn round_towards(changed: &[f64], original: &[f64]) -> Vec<f32> {
    let round = |(&changed, &original): (&f64, &f64)| {
        let nearest = changed as f32;
        if changed > original && f64::from(nearest) > changed {
            nearest.next_down()
        } else if changed < original && f64::from(nearest) < changed {
            nearest.next_up()
        } else {
            nearest
        }
    };
    changed.iter().zip(original).map(round).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    fn noise(number: u32, count: u32) -> Vec<f64> {
        let stream = Stream::new(number, Purpose::Choice);
        (0..count).map(|index| stream.normal([0; 3], index)).collect()
    }

    #[test]
    fn a_projection_is_the_nearest_point_of_the_ball() {
        for norm in Norm::ALL {
            for number in 0..20 {
                let outside = noise(number, 7);
                let radius = 0.3 * norm.length(outside.iter().copied());
                let mut inside = outside.clone();
                norm.project(&mut inside, radius);
                assert!((norm.length(inside.iter().copied()) / radius - 1.0).abs() <= 1e-12, "{norm:?}");
                let distance = |to: &[f64]| Norm::L2.length(to.iter().zip(&outside).map(|(a, b)| a - b));
                for other in 0..200 {
                    let candidate = norm.random(Stream::new(other, Purpose::Attack), [number, 0, 0], 7, radius);
                    assert!(norm.length(candidate.iter().copied()) <= radius * (1.0 + 1e-12), "{norm:?}");
                    assert!(distance(&candidate) >= distance(&inside) - 1e-12, "{norm:?}: a nearer point");
                }
                let mut kept = inside.clone();
                norm.project(&mut kept, radius * (1.0 + 1e-9));
                assert_eq!(kept, inside, "what is within stays");
            }
        }
    }

    #[test]
    fn the_steepest_step_has_length_one_and_climbs_more_than_any_other() {
        for norm in Norm::ALL {
            let gradient = noise(3, 9);
            let mut step = gradient.clone();
            norm.steepest(&mut step, &[0.5; 9]);
            let climb = |step: &[f64]| step.iter().zip(&gradient).map(|(a, b)| a * b).sum::<f64>();
            assert!((norm.length(step.iter().copied()) - 1.0).abs() <= 1e-12);
            for other in 0..500 {
                let candidate = norm.random(Stream::new(other, Purpose::Attack), [0; 3], 9, 1.0);
                assert!(climb(&candidate) <= climb(&step) + 1e-12, "{norm:?}");
            }
        }
    }

    #[test]
    fn no_gradient_is_no_step_and_a_tiny_one_is_a_whole_step() {
        for norm in Norm::ALL {
            let mut none = [0.0; 5];
            norm.steepest(&mut none, &[0.5; 5]);
            assert_eq!(none, [0.0; 5]);
            let mut tiny = [0.0, 1e-200, -2e-200, 0.0, 0.0];
            norm.steepest(&mut tiny, &[0.5; 5]);
            assert!((norm.length(tiny) - 1.0).abs() <= 1e-12, "{norm:?}: {tiny:?}");
            assert_eq!((tiny[0], tiny[3]), (0.0, 0.0), "the sign of 0 is 0");
        }
    }

    #[test]
    fn a_step_in_l1_is_shared_by_ties_and_avoids_the_edge() {
        let mut gradient = [3.0, -3.0, 3.0, 1.0];
        Norm::L1.steepest(&mut gradient, &[0.5, 0.5, 1.0, 0.5]);
        assert_eq!(gradient, [0.5, -0.5, 0.0, 0.0]);
        let mut nowhere = [1.0, -1.0];
        Norm::L1.steepest(&mut nowhere, &[1.0, 0.0]);
        assert_eq!(nowhere, [0.0, 0.0]);
    }

    #[test]
    fn rounding_never_moves_away() {
        let (original, changed) = (noise(1, 1000), noise(2, 1000));
        let rounded = round_towards(&changed, &original);
        let apart = |(r, (c, o)): (&f32, (&f64, &f64))| (f64::from(*r) - o).abs() <= (c - o).abs();
        assert!(rounded.iter().zip(changed.iter().zip(&original)).all(apart));
        let plain: Vec<f32> = changed.iter().map(|&value| value as f32).collect();
        assert!(!plain.iter().zip(changed.iter().zip(&original)).all(apart), "the negative control");
    }
}
