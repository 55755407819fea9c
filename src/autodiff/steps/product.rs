//! Products: linear layers, and convolutions of any groups, strides, dilations and phases.

use crate::autodiff::operations::Element;
use crate::nets::lowering::Product;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Images per task of a linear layer.
const GROUP: usize = 32;

/// X Wᵀ + b for X \[count, inputs\] and W \[outputs, inputs\].
pub fn linear<T: Element>(x: &[T], weight: &[T], bias: &[T], count: usize) -> Vec<T> {
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
    let mut y: Vec<T> = (0..count).flat_map(|_| bias).copied().collect();
    y.par_chunks_mut(GROUP * outputs).zip(x.par_chunks(GROUP * inputs)).for_each(|(y, x)| {
        let rows = x.len() / inputs;
        let [x, weight] = [(x, rows), (weight, outputs)].map(|(values, rows)| MatRef::from_row_major_slice(values, rows, inputs));
        matmul(MatMut::from_row_major_slice_mut(y, rows, outputs), Accum::Add, x, weight.transpose(), T::one_impl(), Par::Seq);
    });
    y
}

/// G W for G \[count, outputs\] and W \[outputs, inputs\].
pub fn back_through_linear<T: Element>(gradient: &[T], weight: &[T], outputs: usize, count: usize) -> Vec<T> {
    let inputs = weight.len() / outputs;
    let mut result = vec![T::ZERO; count * inputs];
    let weight = MatRef::from_row_major_slice(weight, outputs, inputs);
    result.par_chunks_mut(GROUP * inputs).zip(gradient.par_chunks(GROUP * outputs)).for_each(|(result, gradient)| {
        let rows = gradient.len() / outputs;
        let gradient = MatRef::from_row_major_slice(gradient, rows, outputs);
        matmul(MatMut::from_row_major_slice_mut(result, rows, inputs), Accum::Replace, gradient, weight, T::one_impl(), Par::Seq);
    });
    result
}

/// Any [`Product`] in one precision. Image by image and group by group, the taps of each phase are unfolded into columns, one for each
/// position, which the weights are multiplied with.
pub struct Phased<T> {
    /// Elements of a channel of the input and of the output.
    from: usize,
    to: usize,
    /// Channels of a group of the input and of the output.
    inputs: usize,
    outputs: usize,
    groups: usize,
    bias: Vec<T>,
    phases: Vec<Phase<T>>,
}

struct Phase<T> {
    /// \[groups, outputs of a group, taps\].
    weight: Vec<T>,
    /// The places of the taps from a position's corner, over the channels of a group.
    taps: Vec<u32>,
    /// The places of the positions' corners in a channel of the input.
    corners: Vec<u32>,
    /// The places of the positions in a channel of the output.
    places: Vec<u32>,
}

impl<T: Element> Phased<T> {
    pub fn new(product: &Product) -> Self {
        let ([channels, height, width], [outputs, rows, columns]) = (product.input, product.output);
        let inputs = channels / product.groups;
        let phase = |phase: &crate::nets::lowering::Phase| Phase {
            weight: phase.weight.iter().map(|&weight| T::from_f64(weight)).collect(),
            taps: phase.taps(inputs, [height, width]),
            corners: phase.corners(width),
            places: phase.places(columns),
        };
        Self {
            from: height * width,
            to: rows * columns,
            inputs,
            outputs: outputs / product.groups,
            groups: product.groups,
            bias: product.bias.iter().map(|&bias| T::from_f64(bias)).collect(),
            // What has no taps leaves the bias alone.
            phases: product.phases.iter().map(phase).filter(|phase| !phase.taps.is_empty()).collect(),
        }
    }

    /// Space for the columns of a phase, and for its outputs.
    fn scratch(&self) -> [Vec<T>; 2] {
        let most = |of: fn(&Phase<T>) -> usize| self.phases.iter().map(|phase| of(phase) * phase.places.len()).max().unwrap_or(0);
        [vec![T::ZERO; most(|phase| phase.taps.len())], vec![T::ZERO; self.outputs * most(|_| 1)]]
    }

    /// Images \[N, C, H, W\] into \[N, C', H', W'\].
    pub fn forward(&self, images: &[T]) -> Vec<T> {
        let (of_input, of_output) = (self.from * self.inputs, self.to * self.outputs);
        let mut output: Vec<T> = vec![T::ZERO; images.len() / (of_input * self.groups) * of_output * self.groups];
        let each = output.par_chunks_mut(of_output * self.groups).zip(images.par_chunks(of_input * self.groups));
        each.for_each_init(
            || self.scratch(),
            |[columns, rows], (output, image)| {
                output.chunks_exact_mut(self.to).zip(&self.bias).for_each(|(channel, &bias)| channel.fill(bias));
                for phase in &self.phases {
                    let (taps, positions) = (phase.taps.len(), phase.places.len());
                    let groups = phase.weight.chunks_exact(self.outputs * taps);
                    for ((weight, image), output) in groups.zip(image.chunks_exact(of_input)).zip(output.chunks_exact_mut(of_output)) {
                        for (row, &tap) in columns.chunks_exact_mut(positions).zip(&phase.taps) {
                            let pixels = &image[tap as usize..];
                            row.iter_mut().zip(&phase.corners).for_each(|(to, &corner)| *to = pixels[corner as usize]);
                        }
                        let weight = MatRef::from_row_major_slice(weight, self.outputs, taps);
                        let seen = MatRef::from_row_major_slice(&columns[..taps * positions], taps, positions);
                        let rows = &mut rows[..self.outputs * positions];
                        let product = MatMut::from_row_major_slice_mut(rows, self.outputs, positions);
                        matmul(product, Accum::Replace, weight, seen, T::one_impl(), Par::Seq);
                        for (channel, row) in output.chunks_exact_mut(self.to).zip(rows.chunks_exact(positions)) {
                            phase.places.iter().zip(row).for_each(|(&place, &sum)| channel[place as usize] += sum);
                        }
                    }
                }
            },
        );
        output
    }

    /// The gradient of the images, for that of the output.
    pub fn backward(&self, gradient: &[T]) -> Vec<T> {
        let (of_input, of_output) = (self.from * self.inputs, self.to * self.outputs);
        let mut of_images = vec![T::ZERO; gradient.len() / (of_output * self.groups) * of_input * self.groups];
        let each = of_images.par_chunks_mut(of_input * self.groups).zip(gradient.par_chunks(of_output * self.groups));
        each.for_each_init(
            || self.scratch(),
            |[columns, rows], (image, gradient)| {
                for phase in &self.phases {
                    let (taps, positions) = (phase.taps.len(), phase.places.len());
                    let groups = phase.weight.chunks_exact(self.outputs * taps);
                    for ((weight, image), gradient) in groups.zip(image.chunks_exact_mut(of_input)).zip(gradient.chunks_exact(of_output)) {
                        let rows = &mut rows[..self.outputs * positions];
                        for (row, channel) in rows.chunks_exact_mut(positions).zip(gradient.chunks_exact(self.to)) {
                            row.iter_mut().zip(&phase.places).for_each(|(to, &place)| *to = channel[place as usize]);
                        }
                        let weight = MatRef::from_row_major_slice(weight, self.outputs, taps);
                        let columns = &mut columns[..taps * positions];
                        let product = MatMut::from_row_major_slice_mut(columns, taps, positions);
                        let rows = MatRef::from_row_major_slice(rows, self.outputs, positions);
                        matmul(product, Accum::Replace, weight.transpose(), rows, T::one_impl(), Par::Seq);
                        for (row, &tap) in columns.chunks_exact(positions).zip(&phase.taps) {
                            let pixels = &mut image[tap as usize..];
                            row.iter().zip(&phase.corners).for_each(|(&part, &corner)| pixels[corner as usize] += part);
                        }
                    }
                }
            },
        );
        of_images
    }
}
