//! Dropout masks on panels of points.

use super::kernel::{LANES, Row};
use crate::engine::Masks;
use crate::random::{Purpose, Stream, drop_threshold, keep_mask};
use pulp::Arch;

/// What a mask is drawn for, without its layer.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    pub seed: u32,
    pub member: u32,
    pub draw: u32,
    pub masks: Masks,
    /// The numbers of the panel's points.
    pub points: [u32; LANES],
}

impl Address {
    /// Drops units and scales the kept ones by 1 / (1 − rate). A unit is `size` rows: 1 for an element, height · width for
    /// a channel.
    pub fn apply(&self, layer: u32, rate: f64, size: usize, rows: &mut [Row]) {
        let scale = (1.0 / (1.0 - rate)) as f32;
        match self.masks {
            Masks::Shared => {
                let keep = keep_mask(self.seed, self.member, self.draw, layer, 0, rate, rows.len() / size);
                for (unit, keep) in rows.chunks_mut(size).zip(keep) {
                    unit.iter_mut().flat_map(|row| &mut row.0).for_each(|value| *value = if keep { *value * scale } else { 0.0 });
                }
            }
            Masks::PerPoint => Arch::new().dispatch(
                #[inline(always)]
                || self.apply_per_point(layer, drop_threshold(rate), scale, size, rows),
            ),
        }
    }

    /// As `random::keep_mask` draws for each point, four units at a time for all points of the panel.
    #[inline(always)]
    fn apply_per_point(&self, layer: u32, threshold: u32, scale: f32, size: usize, rows: &mut [Row]) {
        let stream = Stream::new(self.seed, Purpose::Member(self.member));
        for (quad, units) in rows.chunks_mut(4 * size).enumerate() {
            let mut words = [[0; LANES]; 4];
            for lane in 0..LANES {
                let quad = stream.quad([self.draw, layer, self.points[lane].wrapping_add(1)], quad as u32);
                for (words, word) in words.iter_mut().zip(quad) {
                    words[lane] = word;
                }
            }
            for (unit, words) in units.chunks_mut(size).zip(&words) {
                for row in unit {
                    for (value, &word) in row.0.iter_mut().zip(words) {
                        *value = if word >= threshold { *value * scale } else { 0.0 };
                    }
                }
            }
        }
    }
}
