//! Batch normalisation in training (Ioffe & Szegedy 2015), with the sum and the ReLU that often follow it.

use super::{Real, relu_gradient, vectorised};
use rayon::prelude::*;
use std::ops::Range;

/// Accumulators of a sum.
const LANES: usize = 16;

/// y = (x − mean) / √(variance + epsilon) · weight + bias \[+ residual\], \[max(y, 0)\], with the moments of each channel over the batch and the
/// places. The variance is the biased one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// The second axis of x \[N, C, …\].
    pub channels: usize,
    /// Elements of a channel of one image.
    pub places: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether max(y, 0) follows.
    pub relu: bool,
}

/// The moments of a batch, one of each per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchMoments {
    /// The means.
    pub mean: Vec<f64>,
    /// The biased variances: the mean squares of the differences from the mean.
    pub variance: Vec<f64>,
    /// Values of a channel.
    pub count: usize,
}

impl BatchMoments {
    /// The unbiased variances, of which running statistics are made. As PyTorch's they are infinite or not a number where there is one value only.
    pub fn unbiased_variance(&self) -> Vec<f64> {
        let factor = self.count as f64 / (self.count as f64 - 1.0);
        self.variance.iter().map(|variance| variance * factor).collect()
    }
}

/// The gradients of a batch normalisation.
pub struct BatchNormGradients<T> {
    /// \[N, C, …\].
    pub x: Vec<T>,
    /// \[C\].
    pub weight: Vec<T>,
    /// \[C\].
    pub bias: Vec<T>,
    /// \[N, C, …\]; empty where nothing was added.
    pub residual: Vec<T>,
}

/// (x − mean) · scale + bias, in this order, forward and backward: both must find the same y above 0.
#[derive(Clone, Copy)]
struct Affine<T> {
    mean: T,
    scale: T,
    bias: T,
}

impl BatchNorm {
    fn image(&self) -> usize {
        self.channels * self.places
    }

    /// Sums of two numbers over each channel, image by image, and then over the images in order.
    fn sums<T: Real>(&self, x: &[T], of_channel: impl Fn(usize, Range<usize>) -> [f64; 2] + Sync) -> Vec<[f64; 2]> {
        let images = x.len() / self.image();
        let of_image = |image: usize| {
            let channel = |channel: usize| {
                let first = image * self.image() + channel * self.places;
                of_channel(channel, first..first + self.places)
            };
            (0..self.channels).map(channel).collect::<Vec<_>>()
        };
        let parts: Vec<Vec<[f64; 2]>> = (0..images).into_par_iter().map(of_image).collect();
        let mut sums = vec![[0.0; 2]; self.channels];
        for part in parts {
            for (sum, part) in sums.iter_mut().zip(part) {
                *sum = [sum[0] + part[0], sum[1] + part[1]];
            }
        }
        sums
    }

    /// The moments of x \[N, C, …\].
    pub fn moments<T: Real>(&self, x: &[T]) -> BatchMoments {
        let count = x.len() / self.channels;
        // Differences from some value of the channel: squares of large means would cancel.
        let origin = |channel: usize| x[channel * self.places].double();
        let sums = self.sums(x, |channel, range| {
            let (values, origin) = (&x[range], origin(channel));
            two_sums(
                values,
                values,
                #[inline(always)]
                |x, _| {
                    let apart = x.double() - origin;
                    [apart, apart * apart]
                },
            )
        });
        let of_channel = |(channel, [sum, squares]): (usize, [f64; 2])| {
            let apart = sum / count as f64;
            (origin(channel) + apart, (squares / count as f64 - apart * apart).max(0.0))
        };
        let (mean, variance) = sums.into_iter().enumerate().map(of_channel).unzip();
        BatchMoments { mean, variance, count }
    }

    fn affine<T: Real>(&self, moments: &BatchMoments, weight: &[T], bias: &[T]) -> Vec<Affine<T>> {
        let each = moments.mean.iter().zip(self.reciprocals(moments)).zip(weight.iter().zip(bias));
        each.map(|((&mean, reciprocal), (weight, &bias))| Affine {
            mean: T::of_double(mean),
            scale: T::of_double(reciprocal * weight.double()),
            bias,
        })
        .collect()
    }

    /// 1 / √(variance + epsilon).
    fn reciprocals(&self, moments: &BatchMoments) -> Vec<f64> {
        moments.variance.iter().map(|variance| (variance + self.epsilon).sqrt().recip()).collect()
    }

    /// x \[N, C, …\], weight and bias \[C\], and where it is there the residual \[N, C, …\], into y.
    pub fn forward<T: Real>(&self, x: &[T], moments: &BatchMoments, weight: &[T], bias: &[T], residual: Option<&[T]>) -> Vec<T> {
        let affine = self.affine(moments, weight, bias);
        let mut y = vec![T::ZERO; x.len()];
        y.par_chunks_mut(self.image()).enumerate().for_each(|(image, y)| {
            for ((channel, y), &affine) in y.chunks_exact_mut(self.places).enumerate().zip(&affine) {
                let first = image * self.image() + channel * self.places;
                let range = first..first + self.places;
                let (x, residual) = (&x[range.clone()], residual.map(|residual| &residual[range]));
                write_channel(y, x, residual, affine, self.relu);
            }
        });
        y
    }

    /// The gradients for that of y. `y`: what [`forward`](Self::forward) returned, if a residual was added.
    pub fn backward<T: Real>(
        &self,
        x: &[T],
        moments: &BatchMoments,
        weight: &[T],
        bias: &[T],
        y: Option<&[T]>,
        gradient: &[T],
    ) -> BatchNormGradients<T> {
        let affine = self.affine(moments, weight, bias);
        // The gradient before the ReLU; it is also the residual's gradient.
        let residual = match y {
            Some(y) if self.relu => {
                let mut residual = vec![T::ZERO; x.len()];
                let each = residual.par_chunks_mut(self.image()).zip(gradient.par_chunks(self.image())).zip(y.par_chunks(self.image()));
                each.for_each(|((residual, gradient), y)| relu_gradient(residual, gradient, y));
                residual
            }
            Some(_) => gradient.to_vec(),
            None => Vec::new(),
        };
        let (gradient, cut) = if y.is_some() { (&residual[..], false) } else { (gradient, self.relu) };
        let reciprocals = self.reciprocals(moments);
        let sums = self.sums(x, |channel, range| {
            let (affine, mean, reciprocal) = (affine[channel], moments.mean[channel], reciprocals[channel]);
            let [sum, along] = two_sums(
                &x[range.clone()],
                &gradient[range],
                #[inline(always)]
                |x, gradient| {
                    let passed = if cut { affine.cut(x, gradient) } else { gradient }.double();
                    [passed, passed * (x.double() - mean)]
                },
            );
            [sum, along * reciprocal]
        });
        let count = moments.count as f64;
        let mut of_x = vec![T::ZERO; x.len()];
        of_x.par_chunks_mut(self.image()).enumerate().for_each(|(image, of_x)| {
            for (channel, of_x) in of_x.chunks_exact_mut(self.places).enumerate() {
                let first = image * self.image() + channel * self.places;
                let (x, gradient) = (&x[first..first + self.places], &gradient[first..first + self.places]);
                let ([sum, along], affine) = (sums[channel], affine[channel]);
                // scale (g − mean(g) − x̂ mean(g x̂)), with x̂ as (x − mean) · reciprocal.
                let (share, slope) = (T::of_double(sum / count), T::of_double(along * reciprocals[channel] / count));
                vectorised(
                    #[inline(always)]
                    || {
                        for ((of_x, &x), &gradient) in of_x.iter_mut().zip(x).zip(gradient) {
                            let passed = if cut { affine.cut(x, gradient) } else { gradient };
                            *of_x = affine.scale * (passed - share - (x - affine.mean) * slope);
                        }
                    },
                );
            }
        });
        BatchNormGradients {
            x: of_x,
            weight: sums.iter().map(|sums| T::of_double(sums[1])).collect(),
            bias: sums.iter().map(|sums| T::of_double(sums[0])).collect(),
            residual,
        }
    }
}

impl<T: Real> Affine<T> {
    #[inline(always)]
    fn of(self, x: T) -> T {
        (x - self.mean) * self.scale + self.bias
    }

    /// The gradient before the ReLU.
    #[inline(always)]
    fn cut(self, x: T, gradient: T) -> T {
        if self.of(x) <= T::ZERO { T::ZERO } else { gradient }
    }
}

#[inline(always)]
fn cut<T: Real>(y: T, relu: bool) -> T {
    if relu && y < T::ZERO { T::ZERO } else { y }
}

fn write_channel<T: Real>(y: &mut [T], x: &[T], residual: Option<&[T]>, affine: Affine<T>, relu: bool) {
    vectorised(
        #[inline(always)]
        || match residual {
            None => y.iter_mut().zip(x).for_each(|(y, &x)| *y = cut(affine.of(x), relu)),
            Some(residual) => {
                for ((y, &x), &residual) in y.iter_mut().zip(x).zip(residual) {
                    *y = cut(affine.of(x) + residual, relu);
                }
            }
        },
    );
}

/// The sums of two numbers of each pair of values, in lanes.
#[inline(always)]
fn two_sums<T: Real>(a: &[T], b: &[T], numbers: impl Fn(T, T) -> [f64; 2]) -> [f64; 2] {
    vectorised(
        #[inline(always)]
        || {
            let mut lanes = [[0.0; LANES]; 2];
            let ([a, b], mut rest) = ([a, b].map(|values| values.as_chunks::<LANES>()), [0.0; 2]);
            for (a, b) in a.0.iter().zip(b.0) {
                for lane in 0..LANES {
                    let [first, second] = numbers(a[lane], b[lane]);
                    lanes[0][lane] += first;
                    lanes[1][lane] += second;
                }
            }
            for (&a, &b) in a.1.iter().zip(b.1) {
                let [first, second] = numbers(a, b);
                rest = [rest[0] + first, rest[1] + second];
            }
            [lanes[0].into_iter().sum::<f64>() + rest[0], lanes[1].into_iter().sum::<f64>() + rest[1]]
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::{assert_is_slope, difference, numbers, single_difference, singles, weighted_sum, with_threads};

    fn norms() -> [BatchNorm; 4] {
        let norm = |channels, places, relu| BatchNorm { channels, places, epsilon: 1e-3, relu };
        [norm(3, 35, false), norm(2, 17, true), norm(5, 1, false), norm(4, 1, true)]
    }

    const COUNT: usize = 5;

    fn inputs(norm: &BatchNorm, seed: u64) -> [Vec<f64>; 4] {
        let length = COUNT * norm.image();
        [(seed, length), (seed + 1, norm.channels), (seed + 2, norm.channels), (seed + 3, length)].map(|(seed, n)| numbers(seed, n))
    }

    #[test]
    fn batch_norms_compute_their_definition() {
        for norm in norms() {
            let [x, weight, bias, residual] = inputs(&norm, 1);
            let moments = norm.moments(&x);
            let of_channel = |channel: usize| (0..x.len()).filter(move |at| at / norm.places % norm.channels == channel);
            let count = (COUNT * norm.places) as f64;
            let mut expected = vec![0.0; x.len()];
            for channel in 0..norm.channels {
                let mean = of_channel(channel).map(|at| x[at]).sum::<f64>() / count;
                let variance = of_channel(channel).map(|at| (x[at] - mean).powi(2)).sum::<f64>() / count;
                assert!((moments.mean[channel] - mean).abs() <= 1e-14 && (moments.variance[channel] - variance).abs() <= 1e-14);
                assert!((moments.unbiased_variance()[channel] - variance * count / (count - 1.0)).abs() <= 1e-14);
                for at in of_channel(channel) {
                    let y = (x[at] - mean) / (variance + norm.epsilon).sqrt() * weight[channel] + bias[channel] + residual[at];
                    expected[at] = if norm.relu { y.max(0.0) } else { y };
                }
            }
            assert!(difference(&norm.forward(&x, &moments, &weight, &bias, Some(&residual)), &expected) <= 1e-12);
            let [single, weights, biases, residuals] = [&x, &weight, &bias, &residual].map(|values| singles(values));
            let got = norm.forward(&single, &norm.moments(&single), &weights, &biases, Some(&residuals));
            assert!(single_difference(&got, &expected) <= 1e-5);
            assert!(difference(&norm.forward(&x, &moments, &weight, &bias, None), &expected) > 1e-2, "the negative control");
        }
    }

    #[test]
    fn a_large_mean_costs_no_digits() {
        let norm = BatchNorm { channels: 1, places: 4, epsilon: 0.0, relu: false };
        let x = [1e6, 1e6 + 1.0, 1e6 + 2.0, 1e6 + 3.0f32];
        assert_eq!(norm.moments(&x).variance, [1.25]);
    }

    #[test]
    fn gradients_of_batch_norms_are_the_slopes() {
        for norm in norms() {
            let [x, weight, bias, residual] = inputs(&norm, 1);
            let run = |x: &[f64], weight: &[f64], bias: &[f64], residual: Option<&[f64]>| {
                norm.forward(x, &norm.moments(x), weight, bias, residual)
            };
            for residual in [None, Some(&residual[..])] {
                let y = run(&x, &weight, &bias, residual);
                let got = norm.backward(&x, &norm.moments(&x), &weight, &bias, residual.map(|_| &y[..]), &numbers(99, y.len()));
                assert_is_slope("x", &x, &got.x, |x| weighted_sum(&run(x, &weight, &bias, residual)));
                assert_is_slope("weight", &weight, &got.weight, |weight| weighted_sum(&run(&x, weight, &bias, residual)));
                assert_is_slope("bias", &bias, &got.bias, |bias| weighted_sum(&run(&x, &weight, bias, residual)));
                match residual {
                    None => assert!(got.residual.is_empty()),
                    Some(residual) => {
                        assert_is_slope("residual", residual, &got.residual, |r| weighted_sum(&run(&x, &weight, &bias, Some(r))));
                    }
                }
            }
        }
    }

    #[test]
    fn batch_norms_are_bit_equal_for_any_number_of_threads() {
        let run = |threads: usize, seed: u64| {
            let norm = BatchNorm { channels: 3, places: 131, epsilon: 1e-5, relu: true };
            let [x, weight, bias, residual] = inputs(&norm, seed).map(|values| singles(&values));
            with_threads(threads, || {
                let moments = norm.moments(&x);
                let y = norm.forward(&x, &moments, &weight, &bias, Some(&residual));
                let got = norm.backward(&x, &moments, &weight, &bias, Some(&y), &residual);
                [y, got.x, got.weight, got.bias, got.residual].concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            })
        };
        assert!(run(1, 1) == run(2, 1));
        assert!(run(1, 1) != run(2, 2), "the negative control");
    }
}
