//! The Square attack (Andriushchenko et al. 2020): random search without any gradient, to tell whether gradients only hide.

use super::{Attack, Norm, Problem, Settings, Watch, tell};
use crate::autodiff::Loss;
use crate::error::Result;
use crate::random::{Purpose, Stream};

/// The share of the image that a square covers at first.
const FIRST_SHARE: f64 = 0.3;
/// The share of the queries, in 1/10,000, after each of which the squares' area halves (the paper's schedule for 10,000 queries).
const HALVINGS: [u32; 8] = [10, 50, 200, 1000, 2000, 4000, 6000, 8000];

/// Proposes squares of one colour each, of ±ε, and keeps what raises the margin. Starts from vertical stripes of ±ε in L∞; in L2 and L1,
/// for which the original shifts mass between windows, a square is laid over the change and the whole brought back into the ball.
pub(super) struct Square;

impl Attack for Square {
    fn name(&self) -> &'static str {
        "square"
    }

    fn summary(&self) -> &'static str {
        "random squares, no gradient, 1,000 queries by default: a check on masked gradients (Andriushchenko et al. 2020)"
    }

    fn sees_gradients(&self) -> bool {
        false
    }

    fn steps(&self, settings: &Settings) -> u32 {
        settings.iterations.unwrap_or(1000)
    }

    fn run(&self, problem: &Problem<'_>, watch: Watch<'_>) -> Result<Vec<f64>> {
        let settings = problem.settings;
        let queries = self.steps(settings);
        let (pixels, count) = (problem.pixels(), problem.labels.len());
        let stream = Stream::new(settings.seed, Purpose::Attack);
        let number = |image: usize| (problem.first + image) as u32;
        let mut best = problem.images.to_vec();
        let mut values = problem.ask(&best, Loss::Margin, 0, false)?.values;
        for query in 0..queries {
            let mut candidate = best.clone();
            for image in 0..count {
                let address = [number(image), query, 1];
                let part = image * pixels..(image + 1) * pixels;
                let share = share(query, queries);
                let (image, original) = (&mut candidate[part.clone()], &problem.images[part]);
                let shape = problem.victim.networks.image_shape();
                propose(image, original, shape, settings.norm, settings.epsilon, share, query == 0, |index| stream.uniform(address, index));
            }
            problem.confine(&mut candidate);
            let answer = problem.ask(&candidate, Loss::Margin, query, false)?;
            let parts = best.chunks_exact_mut(pixels).zip(candidate.chunks_exact(pixels));
            for ((best, candidate), (value, &reached)) in parts.zip(values.iter_mut().zip(&answer.values)) {
                if reached > *value {
                    *value = reached;
                    best.copy_from_slice(candidate);
                }
            }
            tell(watch, query.saturating_add(1), queries, &best)?;
        }
        Ok(best)
    }
}

/// The share of the image that a square covers at a query of so many.
fn share(query: u32, queries: u32) -> f64 {
    // In u64: the products overflow u32 above 536,870 queries.
    let passed = |at: u32| u64::from(query) * 10 >= u64::from(at) * u64::from(queries) / 1000;
    FIRST_SHARE / f64::from(1 << HALVINGS.iter().filter(|&&at| passed(at)).count())
}

/// Lays a square over the change of one image; stripes at first in L∞.
#[expect(clippy::too_many_arguments, reason = "all of them differ from call to call")]
fn propose(
    image: &mut [f64],
    original: &[f64],
    [channels, height, width]: [usize; 3],
    norm: Norm,
    epsilon: f64,
    share: f64,
    stripes: bool,
    uniform: impl Fn(u32) -> f64,
) {
    let sign = |index: usize| if uniform(index as u32) < 0.5 { -1.0 } else { 1.0 };
    if stripes && norm == Norm::Linf {
        for (at, value) in image.iter_mut().enumerate() {
            *value = original[at] + epsilon * sign(4 + at / (height * width) * width + at % width);
        }
        return;
    }
    let side = ((share * (height * width) as f64).sqrt().round() as usize).clamp(1, height.min(width));
    let place = |index: u32, room: usize| (uniform(index) * (room - side + 1) as f64) as usize;
    let [top, left] = [place(0, height), place(1, width)];
    // As large as a square of this side can be within the ball.
    let area = (channels * side * side) as f64;
    let size = match norm {
        Norm::Linf => epsilon,
        Norm::L2 => epsilon / area.sqrt(),
        Norm::L1 => epsilon / area,
    };
    for channel in 0..channels {
        let change = size * sign(4 + channel);
        for y in top..top + side {
            for x in left..left + side {
                let at = (channel * height + y) * width + x;
                image[at] = if norm == Norm::Linf { original[at] + change } else { image[at] + change };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_of_squares_holds_for_every_number_of_queries() {
        for queries in [10_000, 1_000_000, 600_000_000, u32::MAX] {
            let of = |share_of_queries: f64| share((share_of_queries * f64::from(queries)) as u32, queries);
            assert_eq!(of(0.0), FIRST_SHARE, "{queries}");
            assert_eq!(of(0.3), FIRST_SHARE / 32.0, "{queries}");
            assert_eq!(of(0.9), FIRST_SHARE / 256.0, "{queries}");
        }
    }
}
