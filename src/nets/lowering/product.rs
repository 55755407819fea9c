//! Linear layers, convolutions and transposed convolutions as one kind of product.

use crate::nets::Gaussian;

/// out\[o, place(p)\] = bias\[o\] + Σ weight\[o, (c, ky, kx)\] · x\[c, corner(p) + (ky, kx) · dilation\] over the input channels c of o's group
/// and the kernel, for every position p of every phase. No tap lies outside of the input. A linear layer is a 1×1 image of many channels.
/// A transposed convolution of stride s has up to s² phases, each an ordinary convolution that writes every s-th pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// [channels, height, width] of the input, its padding included.
    pub input: [usize; 3],
    /// [channels, height, width] of the output.
    pub output: [usize; 3],
    /// Input and output channels are cut into so many equal groups.
    pub groups: usize,
    /// \[output channels\].
    pub bias: Vec<f64>,
    /// They write disjoint places, which together are all.
    pub phases: Vec<Phase>,
}

/// One convolution of a [`Product`]. Pairs are (rows, columns).
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// \[output channels, input channels / groups, kernel rows, kernel columns\].
    pub weight: Vec<f64>,
    /// The size of the kernel; 0 × 0 where only the bias is left.
    pub kernel: [usize; 2],
    /// The distance between taps.
    pub dilation: [usize; 2],
    /// The number of positions.
    pub grid: [usize; 2],
    /// The first tap of the first position.
    pub corner: [usize; 2],
    /// The distance of positions in the input.
    pub stride: [usize; 2],
    /// The place of the first position in the output.
    pub place: [usize; 2],
    /// The distance of positions in the output.
    pub step: [usize; 2],
}

impl Product {
    /// y = W x + b; `weight` \[outputs, inputs\].
    pub fn linear(inputs: usize, outputs: usize, weight: &[f64], bias: Vec<f64>) -> Self {
        let (input, output, one) = ([inputs, 1, 1], [outputs, 1, 1], [1, 1]);
        Convolution { input, output, groups: 1, kernel: one, stride: one, dilation: one, weight, bias }.product()
    }

    /// The linear layer of a Gaussian one's mean weights.
    pub fn of_mean(gaussian: &Gaussian) -> Self {
        let (weight, bias) = gaussian.weight_and_bias(&gaussian.mean);
        Self::linear(gaussian.inputs, gaussian.outputs, &weight, bias)
    }

    /// Whether it is a linear layer: one position, one group.
    pub fn is_linear(&self) -> bool {
        self.input[1..] == [1, 1] && self.output[1..] == [1, 1] && self.groups == 1 && self.phases.len() == 1
    }

    /// Whether it is a convolution with one weight matrix of this kernel, every tap and position next to the other.
    pub fn is_dense_convolution(&self, kernel: [usize; 2]) -> bool {
        let one = [1, 1];
        self.groups == 1 && matches!(&self.phases[..], [phase] if phase.kernel == kernel && phase.dilation == one && phase.stride == one)
    }

    /// Floating-point operations for one image.
    pub fn flops(&self) -> f64 {
        let [inputs, outputs] = [self.input[0] / self.groups, self.output[0]];
        let of_phase =
            |phase: &Phase| 2.0 * (phase.grid[0] * phase.grid[1] * outputs) as f64 * (phase.kernel[0] * phase.kernel[1] * inputs) as f64;
        self.phases.iter().map(of_phase).sum()
    }
}

impl Phase {
    /// The places of the kernel's taps relative to a position's corner, in the order of `weight`, for so many input channels.
    pub fn taps(&self, channels: usize, [height, width]: [usize; 2]) -> Vec<u32> {
        let place = |c: usize, y: usize, x: usize| (c * height * width + y * self.dilation[0] * width + x * self.dilation[1]) as u32;
        let rows = |c| (0..self.kernel[0]).flat_map(move |y| (0..self.kernel[1]).map(move |x| place(c, y, x)));
        (0..channels).flat_map(rows).collect()
    }

    /// The places of the positions' corners in a channel of the input of this width.
    pub fn corners(&self, width: usize) -> Vec<u32> {
        grid(self.grid, self.corner, self.stride, width)
    }

    /// The places of the positions in a channel of the output of this width.
    pub fn places(&self, width: usize) -> Vec<u32> {
        grid(self.grid, self.place, self.step, width)
    }
}

fn grid(count: [usize; 2], first: [usize; 2], step: [usize; 2], width: usize) -> Vec<u32> {
    let place = |y: usize, x: usize| ((first[0] + y * step[0]) * width + first[1] + x * step[1]) as u32;
    (0..count[0]).flat_map(|y| (0..count[1]).map(move |x| place(y, x))).collect()
}

/// A convolution on an image of `input`, whose padding is already there.
pub(super) struct Convolution<'a> {
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub groups: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub weight: &'a [f64],
    pub bias: Vec<f64>,
}

impl Convolution<'_> {
    pub fn product(self) -> Product {
        let Self { input, output, groups, kernel, stride, dilation, weight, bias } = self;
        let grid = [output[1], output[2]];
        let phase = Phase { weight: weight.to_vec(), kernel, dilation, grid, corner: [0, 0], stride, place: [0, 0], step: [1, 1] };
        Product { input, output, groups, bias, phases: vec![phase] }
    }
}

/// A transposed convolution.
pub(super) struct Transposed<'a> {
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub groups: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    /// \[in, out / groups, kh, kw\].
    pub weight: &'a [f64],
    pub bias: Vec<f64>,
}

/// The taps of one phase along one axis, for outputs y with (y + padding) mod stride = phase.
struct Axis {
    /// The kernel's indices, in the order of the input that they meet.
    taps: Vec<usize>,
    /// The distance of the inputs that consecutive taps meet.
    dilation: usize,
    /// The first output, and the input that its first tap meets, which may lie outside.
    first: usize,
    corner: isize,
    count: usize,
}

impl Transposed<'_> {
    fn axis(&self, axis: usize, phase: usize) -> Axis {
        let [kernel, stride, padding, dilation] = [self.kernel, self.stride, self.padding, self.dilation].map(|pair| pair[axis]);
        // out[y] = Σ over k with i = (y + padding − k · dilation) / stride whole: later taps meet earlier inputs.
        let taps: Vec<usize> = (0..kernel).rev().filter(|k| k * dilation % stride == phase).collect();
        let first = (0..stride).find(|y| (y + padding) % stride == phase).unwrap_or(0);
        let meets = |k: usize| (first + padding) as isize - (k * dilation) as isize;
        let distance = if taps.len() > 1 { (taps[0] - taps[1]) * dilation / stride } else { 1 };
        let corner = taps.first().map_or(0, |&k| meets(k) / stride as isize);
        let length = self.output[axis + 1];
        Axis { taps, dilation: distance, first, corner, count: if first < length { (length - first).div_ceil(stride) } else { 0 } }
    }

    /// The padding [[before, after] of rows, of columns] that the product needs, and the product on the image with it.
    pub fn product(self) -> ([[usize; 2]; 2], Product) {
        let axes: [Vec<Axis>; 2] =
            [0, 1].map(|axis| (0..self.stride[axis]).map(|phase| self.axis(axis, phase)).filter(|axis| axis.count > 0).collect());
        let margin = |axis: usize| -> [usize; 2] {
            let length = self.input[axis + 1] as isize;
            let last = |of: &Axis| of.corner + (of.count as isize - 1) + (of.taps.len().saturating_sub(1) * of.dilation) as isize;
            let with_taps = || axes[axis].iter().filter(|of| !of.taps.is_empty());
            let before = with_taps().map(|of| -of.corner).max().unwrap_or(0).max(0);
            let after = with_taps().map(|of| last(of) + 1 - length).max().unwrap_or(0).max(0);
            [before as usize, after as usize]
        };
        let margins = [margin(0), margin(1)];
        let [channels, height, width] = self.input;
        let input = [channels, height + margins[0][0] + margins[0][1], width + margins[1][0] + margins[1][1]];
        let mut phases = Vec::new();
        for y in &axes[0] {
            for x in &axes[1] {
                phases.push(self.phase(y, x, margins));
            }
        }
        let product = Product { input, output: self.output, groups: self.groups, bias: self.bias, phases };
        (margins, product)
    }

    fn phase(&self, y: &Axis, x: &Axis, margins: [[usize; 2]; 2]) -> Phase {
        let [inputs, outputs] = [self.input[0] / self.groups, self.output[0] / self.groups];
        let mut weight = Vec::with_capacity(self.output[0] * inputs * y.taps.len() * x.taps.len());
        for output in 0..self.output[0] {
            let (group, output) = (output / outputs, output % outputs);
            for input in 0..inputs {
                let row = ((group * inputs + input) * outputs + output) * self.kernel[0] * self.kernel[1];
                weight.extend(y.taps.iter().flat_map(|ky| x.taps.iter().map(move |kx| self.weight[row + ky * self.kernel[1] + kx])));
            }
        }
        let empty = y.taps.is_empty() || x.taps.is_empty();
        let corner = |of: &Axis, margin: [usize; 2]| if empty { 0 } else { (of.corner + margin[0] as isize) as usize };
        Phase {
            weight,
            kernel: if empty { [0, 0] } else { [y.taps.len(), x.taps.len()] },
            dilation: [y.dilation, x.dilation],
            grid: [y.count, x.count],
            corner: [corner(y, margins[0]), corner(x, margins[1])],
            stride: [1, 1],
            place: [y.first, x.first],
            step: self.stride,
        }
    }
}
