//! The same map of every channel of every image: pools, paddings, other sizes.

use super::PIECE;
use crate::autodiff::operations::Element;
use crate::nets::lowering::{Plane, Taps};
use rayon::prelude::*;

/// A pixel of no window: that of an output without pixels.
const NONE: u32 = u32::MAX;

/// A [`Plane`] in one precision.
pub struct Map<T> {
    taps: Taps,
    shares: Vec<T>,
    /// Pixels of a channel of the input and of the output.
    from: usize,
    to: usize,
}

impl<T: Element> Map<T> {
    pub fn new(plane: &Plane) -> Self {
        let taps = plane.taps();
        let shares = taps.shares.iter().map(|&share| T::from_f64(share)).collect();
        Self { taps, shares, from: plane.from.iter().product(), to: plane.to.iter().product() }
    }

    /// The taps of each output.
    fn windows(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        self.taps.starts.windows(2).map(|ends| ends[0] as usize..ends[1] as usize)
    }

    /// Channels of a task.
    fn at_once(&self) -> usize {
        PIECE.div_ceil(self.from.max(self.to))
    }

    /// The output, and of maxima the pixel of each: the first of the largest, or the first that is no number.
    pub fn forward(&self, input: &[T]) -> (Vec<T>, Vec<u32>) {
        let mut output = vec![T::ZERO; input.len() / self.from * self.to];
        let mut chosen = vec![NONE; if self.taps.maximum { output.len() } else { 0 }];
        let channels = output.par_chunks_mut(self.to).zip(input.par_chunks(self.from)).with_min_len(self.at_once());
        if !self.taps.maximum {
            channels.for_each(|(output, channel)| {
                for (value, window) in output.iter_mut().zip(self.windows()) {
                    let pixels = self.taps.places[window.clone()].iter().zip(&self.shares[window]);
                    *value = pixels.map(|(&place, &share)| channel[place as usize] * share).sum();
                }
            });
            return (output, chosen);
        }
        channels.zip(chosen.par_chunks_mut(self.to)).for_each(|((output, channel), chosen)| {
            for ((value, chosen), window) in output.iter_mut().zip(chosen).zip(self.windows()) {
                let Some((&first, others)) = self.taps.places[window].split_first() else { continue };
                (*value, *chosen) = (channel[first as usize], first);
                for &place in others {
                    let pixel = channel[place as usize];
                    if pixel > *value || pixel.to_f64().is_nan() && !value.to_f64().is_nan() {
                        (*value, *chosen) = (pixel, place);
                    }
                }
            }
        });
        (output, chosen)
    }

    /// The gradient of the input, for that of the output and the pixels that `forward` chose.
    pub fn backward(&self, chosen: &[u32], gradient: &[T]) -> Vec<T> {
        let mut of_input = vec![T::ZERO; gradient.len() / self.to * self.from];
        let channels = of_input.par_chunks_mut(self.from).zip(gradient.par_chunks(self.to)).with_min_len(self.at_once());
        if self.taps.maximum {
            channels.zip(chosen.par_chunks(self.to)).for_each(|((channel, gradient), chosen)| {
                for (&gradient, &place) in gradient.iter().zip(chosen).filter(|(_, place)| **place != NONE) {
                    channel[place as usize] += gradient;
                }
            });
        } else {
            channels.for_each(|(channel, gradient)| {
                for (&gradient, window) in gradient.iter().zip(self.windows()) {
                    for (&place, &share) in self.taps.places[window.clone()].iter().zip(&self.shares[window]) {
                        channel[place as usize] += gradient * share;
                    }
                }
            });
        }
        of_input
    }
}
