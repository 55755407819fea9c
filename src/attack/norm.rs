//! The norms that a budget is given in: their length, steepest step, ball, and random places in it. All work on the change δ of one
//! image, in f64.

use crate::error::{Error, Result};
use crate::random::Stream;
use serde::{Deserialize, Serialize};

/// The share of an image's values that a step in L1 moves at least (Tramèr & Boneh 2019: the largest 1 % of the gradient).
const L1_SHARE: f64 = 0.01;

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

    /// Makes of a gradient a step of this length: along its sign (L∞); along the gradient (L2); in equal parts on the largest 1 % of the
    /// values that can still move within 0..=1 (L1, [`sparse_step`]). Without a gradient there is no step.
    pub(super) fn ascend(self, gradient: &mut [f64], image: &[f64], length: f64) {
        let largest = gradient.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        if largest == 0.0 {
            return;
        }
        match self {
            // Not `signum`, which is 1 at 0.
            Self::Linf => gradient.iter_mut().for_each(|value| *value = if *value == 0.0 { 0.0 } else { length * value.signum() }),
            Self::L2 => {
                // Over the largest first: the squares of small gradients would vanish.
                let size = self.length(gradient.iter().map(|value| value / largest)) * largest;
                for value in gradient.iter_mut() {
                    *value *= length / size;
                }
            }
            Self::L1 => sparse_step(gradient, image, length),
        }
    }

    /// The nearest change (in the Euclidean sense) of a length of at most `radius`; in L1 the nearest that also keeps the `image` that it is
    /// added to within 0..=1. (In L∞ a clip afterwards does the same; in L2 it only shortens.)
    pub(super) fn project(self, change: &mut [f64], image: &[f64], radius: f64) {
        let length = self.length(change.iter().copied());
        if length <= radius {
            return;
        }
        match self {
            Self::Linf => change.iter_mut().for_each(|value| *value = value.clamp(-radius, radius)),
            Self::L2 => change.iter_mut().for_each(|value| *value *= radius / length),
            Self::L1 => project_on_ball_and_box(change, image, radius),
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

/// How far a value can move towards the sign of `direction` within 0..=1.
fn room(direction: f64, value: f64) -> f64 {
    if direction > 0.0 { 1.0 - value } else { value }.max(0.0)
}

/// Makes of a gradient a step of this L1 length within 0..=1 (Tramèr & Boneh 2019, *Adversarial training and robustness for multiple
/// perturbations*, algorithm 1): on the largest 1 % of the gradient among the values that can still move, and on those that are as large as
/// the last of them; on more only where these have no room for the whole length. All move as far, but for those that reach 0 or 1 before.
fn sparse_step(gradient: &mut [f64], image: &[f64], length: f64) {
    let mut order: Vec<usize> = (0..gradient.len()).filter(|&at| gradient[at] != 0.0 && room(gradient[at], image[at]) > 0.0).collect();
    order.sort_by(|&a, &b| gradient[b].abs().total_cmp(&gradient[a].abs()));
    let least = (L1_SHARE * gradient.len() as f64).ceil() as usize;
    let (mut chosen, mut rooms, mut last) = (Vec::new(), 0.0, f64::INFINITY);
    for at in order {
        if chosen.len() >= least && rooms >= length && gradient[at].abs() < last {
            break;
        }
        (rooms, last) = (rooms + room(gradient[at], image[at]), gradient[at].abs());
        chosen.push((at, room(gradient[at], image[at])));
    }
    chosen.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut step = vec![0.0; gradient.len()];
    let (mut left, count) = (length, chosen.len());
    for (number, (at, room)) in chosen.into_iter().enumerate() {
        let moved = room.min(left / (count - number) as f64);
        step[at] = moved * gradient[at].signum();
        left -= moved;
    }
    gradient.copy_from_slice(&step);
}

/// The projection on the intersection of the L1 ball and the box (Croce & Hein 2021, *Mind the box: l1-APGD for sparse adversarial attacks*,
/// proposition 2.1): δ ↦ sign(δ) · clamp(|δ| − λ, 0, room) with the λ ≥ 0 at which the length is the radius. The length is linear in λ
/// between the breakpoints |δ| − room and |δ|, so λ is exact.
fn project_on_ball_and_box(change: &mut [f64], image: &[f64], radius: f64) {
    let rooms: Vec<f64> = change.iter().zip(image).map(|(&change, &value)| room(change, value)).collect();
    let shrink = |change: f64, room: f64, by: f64| (change.abs() - by).clamp(0.0, room);
    let mut length: f64 = change.iter().zip(&rooms).map(|(&change, &room)| shrink(change, room, 0.0)).sum();
    let mut breakpoints = Vec::with_capacity(2 * change.len());
    // How many values shrink as λ grows: those that are between 0 and their room.
    let mut active = 0.0;
    for (change, room) in change.iter().zip(&rooms) {
        let size = change.abs();
        if size > *room {
            breakpoints.push((size - room, 1.0));
        } else {
            active += 1.0;
        }
        breakpoints.push((size, -1.0));
    }
    breakpoints.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut threshold = 0.0;
    for (at, joins) in breakpoints {
        if length <= radius {
            break;
        }
        let after = length - active * (at - threshold);
        if after <= radius {
            threshold += (length - radius) / active;
            break;
        }
        (length, threshold, active) = (after, at, active + joins);
    }
    change.iter_mut().zip(&rooms).for_each(|(change, &room)| *change = shrink(*change, room, threshold) * change.signum());
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

    /// An image with room for changes of up to 0.5.
    const MIDDLE: [f64; 7] = [0.5; 7];

    #[test]
    fn a_projection_is_the_nearest_point_of_the_ball() {
        for norm in Norm::ALL {
            for number in 0..20 {
                let outside: Vec<f64> = noise(number, 7).iter().map(|value| 0.1 * value).collect();
                let radius = 0.3 * norm.length(outside.iter().copied());
                let mut inside = outside.clone();
                norm.project(&mut inside, &MIDDLE, radius);
                assert!((norm.length(inside.iter().copied()) / radius - 1.0).abs() <= 1e-12, "{norm:?}");
                let distance = |to: &[f64]| Norm::L2.length(to.iter().zip(&outside).map(|(a, b)| a - b));
                for other in 0..200 {
                    let candidate = norm.random(Stream::new(other, Purpose::Attack), [number, 0, 0], 7, radius);
                    assert!(norm.length(candidate.iter().copied()) <= radius * (1.0 + 1e-12), "{norm:?}");
                    assert!(distance(&candidate) >= distance(&inside) - 1e-12, "{norm:?}: a nearer point");
                }
                let mut kept = inside.clone();
                norm.project(&mut kept, &MIDDLE, radius * (1.0 + 1e-9));
                assert_eq!(kept, inside, "what is within stays");
            }
        }
    }

    #[test]
    fn a_projection_in_l1_stays_in_the_box_and_equals_a_bisection() {
        let mut clipped_is_worse = 0;
        for number in 0..50 {
            let image: Vec<f64> = noise(number, 40).iter().map(|value| (0.5 + value).clamp(0.0, 1.0)).collect();
            let wanted = noise(number + 100, 40);
            let radius = 0.1 + 0.1 * f64::from(number);
            let at = |by: f64| -> Vec<f64> {
                let shrink = |(&v, &x): (&f64, &f64)| v.signum() * (v.abs() - by).clamp(0.0, if v > 0.0 { 1.0 - x } else { x });
                wanted.iter().zip(&image).map(shrink).collect()
            };
            let [mut low, mut high] = [0.0, 10.0];
            for _ in 0..200 {
                let middle = f64::midpoint(low, high);
                if Norm::L1.length(at(middle)) > radius { low = middle } else { high = middle }
            }
            let expected = if Norm::L1.length(at(0.0)) <= radius { at(0.0) } else { at(high) };
            let mut got = wanted.clone();
            Norm::L1.project(&mut got, &image, radius);
            let apart = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart <= 1e-12, "{number}: {apart}");
            // The negative control: the ball first and a clip afterwards, as it was, is further away.
            let mut ball = wanted.clone();
            let wide: Vec<f64> = wanted.iter().map(|change| -9.0 * change.signum()).collect();
            Norm::L1.project(&mut ball, &wide, radius);
            let clip = |(change, x): (&f64, &f64)| (change + x).clamp(0.0, 1.0) - x;
            let ball: Vec<f64> = ball.iter().zip(&image).map(clip).collect();
            let distance = |to: &[f64]| Norm::L2.length(to.iter().zip(&wanted).map(|(a, b)| a - b));
            assert!(distance(&ball) >= distance(&got) - 1e-12);
            clipped_is_worse += usize::from(distance(&ball) > distance(&got) + 1e-6);
        }
        assert!(clipped_is_worse > 10, "{clipped_is_worse}");
    }

    #[test]
    fn a_step_has_its_length_and_climbs_more_than_any_other() {
        for norm in Norm::ALL {
            let gradient = noise(3, 9);
            let mut step = gradient.clone();
            norm.ascend(&mut step, &[0.5; 9], 0.25);
            let climb = |step: &[f64]| step.iter().zip(&gradient).map(|(a, b)| a * b).sum::<f64>();
            assert!((norm.length(step.iter().copied()) - 0.25).abs() <= 1e-12);
            for other in 0..500 {
                let candidate = norm.random(Stream::new(other, Purpose::Attack), [0; 3], 9, 0.25);
                assert!(climb(&candidate) <= climb(&step) + 1e-12, "{norm:?}");
            }
        }
    }

    #[test]
    fn no_gradient_is_no_step_and_a_tiny_one_is_a_whole_step() {
        for norm in Norm::ALL {
            let mut none = [0.0; 5];
            norm.ascend(&mut none, &[0.5; 5], 1.0);
            assert_eq!(none, [0.0; 5]);
            let mut tiny = [0.0, 1e-200, -2e-200, 0.0, 0.0];
            norm.ascend(&mut tiny, &[0.5; 5], 1.0);
            assert!((norm.length(tiny) - 1.0).abs() <= 1e-12, "{norm:?}: {tiny:?}");
            assert_eq!((tiny[0], tiny[3]), (0.0, 0.0), "the sign of 0 is 0");
        }
    }

    #[test]
    fn a_step_in_l1_is_shared_by_ties_and_avoids_the_edge() {
        let step = |gradient: &[f64], image: &[f64], length: f64| {
            let mut step = gradient.to_vec();
            Norm::L1.ascend(&mut step, image, length);
            step
        };
        assert_eq!(step(&[3.0, -3.0, 3.0, 1.0], &[0.5, 0.5, 1.0, 0.5], 0.8), [0.4, -0.4, 0.0, 0.0]);
        assert_eq!(step(&[1.0, -1.0], &[1.0, 0.0], 1.0), [0.0, 0.0]);
        // What has no room gives its part to the others, then to the next.
        assert_eq!(step(&[3.0, -3.0, 1.0, 0.5], &[0.75, 0.5, 0.5, 0.5], 0.75), [0.25, -0.5, 0.0, 0.0]);
        assert_eq!(step(&[3.0, -3.0, 1.0, 0.5], &[0.75, 0.5, 0.5, 0.5], 1.0), [0.25, -0.375, 0.375, 0.0]);
    }

    #[test]
    fn a_step_in_l1_moves_one_percent_of_the_values_at_least() {
        let mut step = noise(1, 784);
        Norm::L1.ascend(&mut step, &[0.5; 784], 2.0);
        let moved: Vec<f64> = step.iter().map(|value| value.abs()).filter(|size| *size > 0.0).collect();
        assert_eq!(moved.len(), 8);
        assert!(moved.iter().all(|size| (size - 0.25).abs() <= 1e-12));
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
