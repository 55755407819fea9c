//! Pools, paddings and resampling: the same map of every channel.

use crate::nets::{Interpolation, Op};

/// A map of the pixels of a channel, the same for all channels. Sizes are (height, width).
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// The size of the input.
    pub from: [usize; 2],
    /// The size of the output.
    pub to: [usize; 2],
    /// What it computes.
    pub map: PlaneMap,
}

/// The kinds of maps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlaneMap {
    /// The maximum over windows.
    Maximum { kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2] },
    /// The mean over windows; `count_padding`: the zeros around the image count.
    Mean { kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2], count_padding: bool },
    /// The image with zeros around it, its first pixel at this row and column.
    Pad { at: [usize; 2] },
    /// The image at another size.
    Resize { mode: Interpolation, align_corners: bool },
}

/// A [`Plane`] as lists: output i takes the pixels `places[starts[i]..starts[i + 1]]`, and is their maximum or the sum of each times its
/// share. An output without pixels is 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Taps {
    /// One more than outputs.
    pub starts: Vec<u32>,
    /// Pixels of a channel of the input.
    pub places: Vec<u32>,
    /// As many; of no meaning for maxima.
    pub shares: Vec<f64>,
    /// Whether the maximum is taken.
    pub maximum: bool,
}

impl Plane {
    /// The map that an operation is of images of these shapes [channels, height, width]; `None` for operations that are none.
    pub fn of(op: &Op, input: &[usize], output: &[usize]) -> Option<Self> {
        let map = match *op {
            Op::MaxPool2d { kernel, stride, padding, .. } => PlaneMap::Maximum { kernel, stride, padding },
            Op::AveragePool2d { kernel, stride, padding, count_include_pad: count_padding, .. } => {
                PlaneMap::Mean { kernel, stride, padding, count_padding }
            }
            Op::GlobalAveragePool {} => {
                PlaneMap::Mean { kernel: [input[1], input[2]], stride: [1, 1], padding: [0, 0], count_padding: false }
            }
            Op::ZeroPad { padding: [left, _, top, _] } => PlaneMap::Pad { at: [top, left] },
            Op::Upsample { mode, align_corners, .. } => PlaneMap::Resize { mode, align_corners },
            _ => return None,
        };
        Some(Self { from: [input[1], input[2]], to: [output[1], output[2]], map })
    }

    /// Whether it takes maxima over windows of 2 × 2 that touch and do not overlap.
    pub fn is_two_by_two(&self) -> bool {
        self.map == PlaneMap::Maximum { kernel: [2, 2], stride: [2, 2], padding: [0, 0] }
            && (0..2).all(|axis| self.to[axis] == self.from[axis] / 2)
    }

    /// The lists of the map.
    pub fn taps(&self) -> Taps {
        let maximum = matches!(self.map, PlaneMap::Maximum { .. });
        let mut taps = Taps { starts: vec![0], places: Vec::new(), shares: Vec::new(), maximum };
        let [rows, columns] = [0, 1].map(|axis| (0..self.to[axis]).map(|at| self.along(axis, at)).collect::<Vec<_>>());
        for (row, row_count) in &rows {
            for (column, column_count) in &columns {
                for &(y, of_y) in row {
                    for &(x, of_x) in column {
                        taps.places.push((y * self.from[1] + x) as u32);
                        taps.shares.push(of_y * of_x / (row_count * column_count));
                    }
                }
                taps.starts.push(taps.places.len() as u32);
            }
        }
        taps
    }

    /// The pixels along one axis that the output at `at` takes, with their factors, and what their sum is divided by.
    fn along(&self, axis: usize, at: usize) -> (Vec<(usize, f64)>, f64) {
        let [from, to] = [self.from[axis], self.to[axis]];
        // The window's pixels within the image, and its length with the padding.
        let window = |kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]| {
            let [kernel, stride, padding] = [kernel, stride, padding].map(|pair| pair[axis]);
            let (start, end) = (at * stride, (at * stride + kernel).min(from + 2 * padding));
            (start.max(padding) - padding..(end.max(padding) - padding).min(from), end - start)
        };
        match self.map {
            PlaneMap::Maximum { kernel, stride, padding } => (window(kernel, stride, padding).0.map(|pixel| (pixel, 1.0)).collect(), 1.0),
            PlaneMap::Mean { kernel, stride, padding, count_padding } => {
                let (pixels, length) = window(kernel, stride, padding);
                let count = if count_padding { length } else { pixels.len() };
                (pixels.map(|pixel| (pixel, 1.0)).collect(), count.max(1) as f64)
            }
            PlaneMap::Pad { at: first } => {
                let pixel = at.wrapping_sub(first[axis]);
                ((pixel < from).then_some((pixel, 1.0)).into_iter().collect(), 1.0)
            }
            PlaneMap::Resize { mode: Interpolation::Nearest, .. } => (vec![(at * from / to, 1.0)], 1.0),
            PlaneMap::Resize { mode: Interpolation::Bilinear, align_corners } => {
                let place = match (align_corners, to) {
                    (true, 1) => 0.0,
                    (true, _) => at as f64 * (from - 1) as f64 / (to - 1) as f64,
                    (false, _) => ((at as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0),
                };
                let low = (place.floor() as usize).min(from - 1);
                let share = place - low as f64;
                let high = (low + 1).min(from - 1);
                let pixels = if high == low || share == 0.0 { vec![(low, 1.0)] } else { vec![(low, 1.0 - share), (high, share)] };
                (pixels, 1.0)
            }
        }
    }
}
