//! The products of a convolution, band by band of output rows. Where rows are short, several images stand side by side, as lanes of each
//! pixel: copies of short rows cost more than the products.

use super::Convolution;
use super::columns::{interleave, separate};
use crate::kernels::Real;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use std::ops::Range;

/// Bytes of a band's columns: they stay in an L2 cache beside the weight.
const COLUMN_BYTES: usize = 384 << 10;

/// The smallest number of places in a band, unless the image has fewer: packing the weight then costs little beside the products.
const MIN_PLACES: usize = 256;

/// Images side by side.
pub(super) const LANES: usize = 8;

/// Output rows up to this length are short; those of a stride that skips pixels up to the second.
const SHORT: [usize; 2] = [8, 16];

/// Space for one thread.
pub(super) struct Scratch<T> {
    columns: Vec<T>,
    /// Inputs and outputs of images side by side, and the gradient of one of them.
    inputs: Vec<T>,
    outputs: Vec<T>,
    made: Vec<T>,
}

impl Convolution {
    /// The images that a call of [`apply`](Self::apply) and its likes takes at once.
    pub(super) fn images_at_once(&self) -> usize {
        let short = if self.stride[1] == 1 { SHORT[0] } else { SHORT[1] };
        if self.is_depthwise() || self.output[2] > short { 1 } else { LANES }
    }

    /// Output rows of a band, for `lanes` images side by side.
    fn band<T: Real>(&self, lanes: usize) -> usize {
        let [_, height, width] = self.output;
        if self.is_pointwise() {
            return height;
        }
        let places = (COLUMN_BYTES / (self.taps() * size_of::<T>()).max(1)).max(MIN_PLACES);
        let bands = height.div_ceil((places / (width * lanes)).clamp(1, height));
        // Of almost equal height.
        height.div_ceil(bands)
    }

    pub(super) fn scratch<T: Real>(&self) -> Scratch<T> {
        let lanes = self.images_at_once();
        let several = |length: usize| vec![T::ZERO; if lanes > 1 { length * lanes } else { 0 }];
        // One image alone, of a batch's last ones, has higher bands.
        let places = [1, lanes].into_iter().map(|lanes| self.band::<T>(lanes) * lanes * self.output[2]).max().unwrap_or(0);
        Scratch {
            columns: vec![T::ZERO; if self.is_depthwise() || self.is_pointwise() { 0 } else { self.taps() * places }],
            inputs: several(self.input_len()),
            outputs: several(self.output_len()),
            made: several(self.input_len().max(self.output_len())),
        }
    }

    fn bands<T: Real>(&self, lanes: usize) -> impl Iterator<Item = Range<usize>> + use<T> {
        let (height, step) = (self.output[1], self.band::<T>(lanes));
        (0..height).step_by(step).map(move |row| row..(row + step).min(height))
    }

    /// The outputs of one group within the rows, as a matrix \[channels, places · lanes\].
    fn rows_of<'a, T: Real, const L: usize>(&self, group: usize, rows: &Range<usize>, outputs: &'a [[T; L]]) -> MatRef<'a, T> {
        let (channels, places, pixels) = (self.output[0] / self.groups, rows.len() * self.output[2], self.pixels());
        let outputs = &outputs[group * channels * pixels + rows.start * self.output[2]..][..(channels - 1) * pixels + places];
        MatRef::from_row_major_slice_with_stride(outputs.as_flattened(), channels, places * L, pixels * L)
    }

    /// The columns \[taps, places · lanes\] of one group.
    fn columns_of<'a, T: Real, const L: usize>(
        &self,
        group: usize,
        rows: &Range<usize>,
        image: &'a [[T; L]],
        columns: &'a mut [T],
    ) -> MatRef<'a, T> {
        let (taps, places) = (self.taps(), rows.len() * self.output[2]);
        let columns = if self.is_pointwise() {
            &image[group * taps * places..][..taps * places]
        } else {
            let columns = &mut columns.as_chunks_mut().0[..taps * places];
            self.unfold(group, rows, image, columns);
            columns
        };
        MatRef::from_row_major_slice(columns.as_flattened(), taps, places * L)
    }

    /// The weight \[channels, taps\] of one group.
    fn weight_of<'a, T: Real>(&self, group: usize, weight: &'a [T]) -> MatRef<'a, T> {
        let (channels, taps) = (self.output[0] / self.groups, self.taps());
        MatRef::from_row_major_slice(&weight[group * channels * taps..][..channels * taps], channels, taps)
    }

    /// Writes weight · columns to the outputs of one group within the rows.
    fn write_product<T: Real, const L: usize>(
        &self,
        (group, rows): (usize, &Range<usize>),
        (weight, columns): (&[T], MatRef<'_, T>),
        outputs: &mut [[T; L]],
        finish: &impl Fn(usize, &mut [T]),
    ) {
        let (channels, places, pixels) = (self.output[0] / self.groups, rows.len() * self.output[2], self.pixels());
        let outputs = &mut outputs[group * channels * pixels + rows.start * self.output[2]..][..(channels - 1) * pixels + places];
        // faer 0.24.4 takes the stride of `from_row_major_slice_with_stride_mut` for that of columns, and writes outside of the slice.
        let product =
            MatMut::from_column_major_slice_with_stride_mut(outputs.as_flattened_mut(), places * L, channels, pixels * L).transpose_mut();
        matmul(product, Accum::Replace, self.weight_of(group, weight), columns, T::one_impl(), Par::Seq);
        for channel in 0..channels {
            finish(group * channels + channel, outputs[channel * pixels..][..places].as_flattened_mut());
        }
    }

    /// Adds weightᵀ · outputs of one group within the rows onto the image.
    fn fold_product<T: Real, const L: usize>(
        &self,
        (group, rows): (usize, &Range<usize>),
        (weight, outputs): (&[T], MatRef<'_, T>),
        image: &mut [[T; L]],
        columns: &mut [T],
    ) {
        let (taps, places) = (self.taps(), rows.len() * self.output[2]);
        let weight = self.weight_of(group, weight).transpose();
        if self.is_pointwise() {
            let image = image[group * taps * places..][..taps * places].as_flattened_mut();
            let target = MatMut::from_row_major_slice_mut(image, taps, places * L);
            return matmul(target, Accum::Add, weight, outputs, T::one_impl(), Par::Seq);
        }
        let columns = &mut columns.as_chunks_mut::<L>().0[..taps * places];
        let target = MatMut::from_row_major_slice_mut(columns.as_flattened_mut(), taps, places * L);
        matmul(target, Accum::Replace, weight, outputs, T::one_impl(), Par::Seq);
        self.fold(group, rows, columns, image);
    }

    /// Adds outputs · columnsᵀ of one group to the gradient of the weight.
    fn add_to_weight<T: Real>(&self, group: usize, outputs: MatRef<'_, T>, columns: MatRef<'_, T>, of_weight: &mut [T]) {
        let (channels, taps) = (self.output[0] / self.groups, self.taps());
        let target = MatMut::from_row_major_slice_mut(&mut of_weight[group * channels * taps..][..channels * taps], channels, taps);
        matmul(target, Accum::Add, outputs, columns.transpose(), T::one_impl(), Par::Seq);
    }

    /// Calls `body(group, rows)` for each group in each band.
    fn for_each_part<T: Real, const L: usize>(&self, mut body: impl FnMut(usize, &Range<usize>)) {
        for rows in self.bands::<T>(L) {
            (0..self.groups).for_each(|group| body(group, &rows));
        }
    }

    /// The convolution of [`images_at_once`](Self::images_at_once) images or fewer. `finish(channel, outputs)` is called on outputs while they are
    /// in the cache.
    pub(super) fn apply<T: Real>(
        &self,
        images: &[T],
        weight: &[T],
        outputs: &mut [T],
        scratch: &mut Scratch<T>,
        finish: &impl Fn(usize, &mut [T]),
    ) {
        if self.is_depthwise() {
            return self.apply_depthwise(images, weight, outputs, finish);
        }
        let Scratch { columns, inputs, outputs: made, .. } = scratch;
        if self.side_by_side(images.len() / self.input_len()) {
            interleave(images, inputs, self.input_len());
            self.apply_lanes::<T, LANES>(inputs.as_chunks().0, weight, made.as_chunks_mut().0, columns, finish);
            return separate(made, outputs, self.output_len());
        }
        for (image, output) in images.chunks_exact(self.input_len()).zip(outputs.chunks_exact_mut(self.output_len())) {
            self.apply_lanes::<T, 1>(image.as_chunks().0, weight, output.as_chunks_mut().0, columns, finish);
        }
    }

    fn apply_lanes<T: Real, const L: usize>(
        &self,
        images: &[[T; L]],
        weight: &[T],
        outputs: &mut [[T; L]],
        columns: &mut [T],
        finish: &impl Fn(usize, &mut [T]),
    ) {
        self.for_each_part::<T, L>(|group, rows| {
            let columns = self.columns_of(group, rows, images, columns);
            self.write_product((group, rows), (weight, columns), outputs, finish);
        });
    }

    /// The transpose of [`apply`](Self::apply), into images that hold zeros.
    pub(super) fn apply_adjoint<T: Real>(&self, outputs: &[T], weight: &[T], images: &mut [T], scratch: &mut Scratch<T>) {
        if self.is_depthwise() {
            return self.add_depthwise_adjoint(outputs, weight, images);
        }
        let Scratch { columns, outputs: from, made, .. } = scratch;
        if self.side_by_side(images.len() / self.input_len()) {
            interleave(outputs, from, self.output_len());
            let made = &mut made[..LANES * self.input_len()];
            made.fill(T::ZERO);
            self.adjoint_lanes::<T, LANES>(from.as_chunks().0, weight, made.as_chunks_mut().0, columns);
            return separate(made, images, self.input_len());
        }
        for (image, output) in images.chunks_exact_mut(self.input_len()).zip(outputs.chunks_exact(self.output_len())) {
            self.adjoint_lanes::<T, 1>(output.as_chunks().0, weight, image.as_chunks_mut().0, columns);
        }
    }

    fn adjoint_lanes<T: Real, const L: usize>(&self, outputs: &[[T; L]], weight: &[T], images: &mut [[T; L]], columns: &mut [T]) {
        self.for_each_part::<T, L>(|group, rows| {
            self.fold_product((group, rows), (weight, self.rows_of(group, rows, outputs)), images, columns);
        });
    }

    /// Adds the gradient of the weight for that of the outputs, and where it is wanted makes that of the images, which hold zeros.
    pub(super) fn add_gradients<T: Real>(
        &self,
        (images, outputs): (&[T], &[T]),
        weight: &[T],
        of_weight: &mut [T],
        of_images: Option<&mut [T]>,
        scratch: &mut Scratch<T>,
    ) {
        if self.is_depthwise() {
            self.add_depthwise_weight_gradient(images, outputs, of_weight);
            if let Some(of_images) = of_images {
                self.add_depthwise_adjoint(outputs, weight, of_images);
            }
            return;
        }
        let Scratch { columns, inputs, outputs: from, made } = scratch;
        if self.side_by_side(images.len() / self.input_len()) {
            interleave(images, inputs, self.input_len());
            interleave(outputs, from, self.output_len());
            let made = &mut made[..LANES * self.input_len()];
            let pair = (inputs.as_chunks().0, from.as_chunks().0);
            if of_images.is_some() {
                made.fill(T::ZERO);
            }
            let wanted = of_images.is_some().then_some(made.as_chunks_mut().0);
            self.gradients_lanes::<T, LANES>(pair, weight, of_weight, wanted, columns);
            if let Some(of_images) = of_images {
                separate(made, of_images, self.input_len());
            }
            return;
        }
        let mut of_images = of_images.map(|of_images| of_images.chunks_exact_mut(self.input_len()));
        for (image, output) in images.chunks_exact(self.input_len()).zip(outputs.chunks_exact(self.output_len())) {
            let of_image = of_images.as_mut().and_then(Iterator::next).map(|of_image| of_image.as_chunks_mut().0);
            self.gradients_lanes::<T, 1>((image.as_chunks().0, output.as_chunks().0), weight, of_weight, of_image, columns);
        }
    }

    fn gradients_lanes<T: Real, const L: usize>(
        &self,
        (images, outputs): (&[[T; L]], &[[T; L]]),
        weight: &[T],
        of_weight: &mut [T],
        mut of_images: Option<&mut [[T; L]]>,
        columns: &mut [T],
    ) {
        self.for_each_part::<T, L>(|group, rows| {
            let outputs = self.rows_of(group, rows, outputs);
            self.add_to_weight(group, outputs, self.columns_of(group, rows, images, columns), of_weight);
            if let Some(of_images) = &mut of_images {
                self.fold_product((group, rows), (weight, outputs), of_images, columns);
            }
        });
    }

    /// The gradients of the adjoint, whose inputs are `outputs` and whose outputs have the gradient `images`: adds that of the weight, and where it
    /// is wanted writes that of its inputs.
    pub(super) fn add_gradients_of_adjoint<T: Real>(
        &self,
        (images, outputs): (&[T], &[T]),
        weight: &[T],
        of_weight: &mut [T],
        of_outputs: Option<&mut [T]>,
        scratch: &mut Scratch<T>,
    ) {
        if self.is_depthwise() {
            self.add_depthwise_weight_gradient(images, outputs, of_weight);
            if let Some(of_outputs) = of_outputs {
                self.apply_depthwise(images, weight, of_outputs, &|_, _| {});
            }
            return;
        }
        let Scratch { columns, inputs, outputs: from, made } = scratch;
        if self.side_by_side(images.len() / self.input_len()) {
            interleave(images, inputs, self.input_len());
            interleave(outputs, from, self.output_len());
            let made = &mut made[..LANES * self.output_len()];
            let pair = (inputs.as_chunks().0, from.as_chunks().0);
            let wanted = of_outputs.is_some().then_some(made.as_chunks_mut().0);
            self.gradients_of_adjoint_lanes::<T, LANES>(pair, weight, of_weight, wanted, columns);
            if let Some(of_outputs) = of_outputs {
                separate(made, of_outputs, self.output_len());
            }
            return;
        }
        let mut of_outputs = of_outputs.map(|of_outputs| of_outputs.chunks_exact_mut(self.output_len()));
        for (image, output) in images.chunks_exact(self.input_len()).zip(outputs.chunks_exact(self.output_len())) {
            let of_output = of_outputs.as_mut().and_then(Iterator::next).map(|of_output| of_output.as_chunks_mut().0);
            self.gradients_of_adjoint_lanes::<T, 1>((image.as_chunks().0, output.as_chunks().0), weight, of_weight, of_output, columns);
        }
    }

    fn gradients_of_adjoint_lanes<T: Real, const L: usize>(
        &self,
        (images, outputs): (&[[T; L]], &[[T; L]]),
        weight: &[T],
        of_weight: &mut [T],
        mut of_outputs: Option<&mut [[T; L]]>,
        columns: &mut [T],
    ) {
        self.for_each_part::<T, L>(|group, rows| {
            let columns = self.columns_of(group, rows, images, columns);
            self.add_to_weight(group, self.rows_of(group, rows, outputs), columns, of_weight);
            if let Some(of_outputs) = &mut of_outputs {
                self.write_product((group, rows), (weight, columns), of_outputs, &|_, _| {});
            }
        });
    }

    /// Whether `images` images are computed side by side: few images leave too many lanes empty.
    fn side_by_side(&self, images: usize) -> bool {
        images > LANES / 2 && self.images_at_once() == LANES
    }
}
