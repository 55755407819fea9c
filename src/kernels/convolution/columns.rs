//! im2col and col2im, of single images and of images side by side.

use super::Convolution;
use super::bands::LANES;
use crate::kernels::{Real, vectorised};
use std::ops::Range;

impl Convolution {
    /// im2col of the rows of one group into \[taps, places\].
    pub(super) fn unfold<T: Real, const L: usize>(&self, group: usize, rows: &Range<usize>, image: &[[T; L]], columns: &mut [[T; L]]) {
        let (width, stride) = (self.output[2], self.stride[1]);
        self.for_each_column_line(
            group,
            rows,
            #[inline(always)]
            |start, across, from| {
                let line = &mut columns[start..][..width];
                // Zeros where the padding is read.
                line[..across.start].fill([T::ZERO; L]);
                line[across.end..].fill([T::ZERO; L]);
                if across.is_empty() {
                    return;
                }
                let target = &mut line[across];
                let source = &image[from..][..=(target.len() - 1) * stride];
                match stride {
                    1 => target.copy_from_slice(source),
                    2 => copy_every_second(target, source),
                    _ => target.iter_mut().zip(source.iter().step_by(stride)).for_each(|(to, &from)| *to = from),
                }
            },
        );
    }

    /// col2im of the rows of one group: adds \[taps, places\] onto the image, the transpose of `unfold`.
    pub(super) fn fold<T: Real, const L: usize>(&self, group: usize, rows: &Range<usize>, columns: &[[T; L]], image: &mut [[T; L]]) {
        let stride = self.stride[1];
        self.for_each_column_line(
            group,
            rows,
            #[inline(always)]
            |start, across, to| {
                if across.is_empty() {
                    return;
                }
                let source = &columns[start + across.start..start + across.end];
                let target = &mut image[to..][..=(source.len() - 1) * stride];
                if stride == 1 {
                    target.iter_mut().zip(source).for_each(|(to, from)| add_lanes(to, from));
                } else {
                    target.iter_mut().step_by(stride).zip(source).for_each(|(to, from)| add_lanes(to, from));
                }
            },
        );
    }

    /// Calls `line(first element of the line, the places in it that lie in the image, the pixel of the first of these)` for each line of a
    /// group's columns, with the widest vectors.
    #[inline(always)]
    fn for_each_column_line(&self, group: usize, rows: &Range<usize>, mut line: impl FnMut(usize, Range<usize>, usize)) {
        let width = self.output[2];
        let places = rows.len() * width;
        let (inputs, taps) = (self.input[0] / self.groups, self.kernel[0] * self.kernel[1]);
        vectorised(
            #[inline(always)]
            || {
                self.for_each_line(
                    group * inputs..(group + 1) * inputs,
                    rows.clone(),
                    #[inline(always)]
                    |channel, tap, row, across, pixel| {
                        let start = ((channel - group * inputs) * taps + tap) * places + (row - rows.start) * width;
                        line(start, across, pixel);
                    },
                );
            },
        );
    }
}

/// Images side by side: \[element, lane\] of \[image, element\]. Lanes of no image hold zeros.
pub(super) fn interleave<T: Real>(images: &[T], lanes: &mut [T], length: usize) {
    let count = images.len() / length;
    let lanes = lanes.as_chunks_mut::<LANES>().0;
    for (place, lanes) in lanes[..length].iter_mut().enumerate() {
        for (lane, value) in lanes.iter_mut().enumerate() {
            *value = if lane < count { images[lane * length + place] } else { T::ZERO };
        }
    }
}

/// The opposite of [`interleave`].
pub(super) fn separate<T: Real>(lanes: &[T], images: &mut [T], length: usize) {
    let lanes = lanes.as_chunks::<LANES>().0;
    for (lane, image) in images.chunks_exact_mut(length).enumerate() {
        image.iter_mut().zip(lanes).for_each(|(value, lanes)| *value = lanes[lane]);
    }
}

#[inline(always)]
fn add_lanes<T: Real, const L: usize>(sum: &mut [T; L], part: &[T; L]) {
    sum.iter_mut().zip(part).for_each(|(sum, &part)| *sum += part);
}

/// Every second element of `source`, from the first on.
#[inline(always)]
fn copy_every_second<T: Copy>(target: &mut [T], source: &[T]) {
    let pairs = source.chunks_exact(2);
    if let [last] = pairs.remainder() {
        target[source.len() / 2] = *last;
    }
    target.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
}
