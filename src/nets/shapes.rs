//! The arithmetic of shapes, for [`Op::output_shape`](super::Op::output_shape). Errors are the end of a sentence that begins with the node.

use super::Function;

/// No value of one image may have more elements than this: a larger one is a damaged file, not a network.
const MOST_ELEMENTS: usize = 1 << 28;

/// The windows of a convolution or a pool, along (height, width).
pub(super) struct Windows {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
}

impl Windows {
    /// The shape that windows over an image of that size make.
    pub fn over(&self, channels: usize, size: [usize; 2], ceil: bool) -> Result<Vec<usize>, String> {
        Ok(vec![channels, self.count(0, size[0], ceil)?, self.count(1, size[1], ceil)?])
    }

    /// How many there are on `length` pixels along an axis, as PyTorch counts them.
    fn count(&self, axis: usize, length: usize, ceil: bool) -> Result<usize, String> {
        let [kernel, stride, padding, dilation] = [self.kernel, self.stride, self.padding, self.dilation].map(|pair| pair[axis]);
        let reach = kernel.checked_sub(1).and_then(|steps| steps.checked_mul(dilation)?.checked_add(1));
        let padded = padding.checked_mul(2).and_then(|both| both.checked_add(length));
        match (reach, padded) {
            (Some(reach), Some(padded)) if reach <= padded && stride > 0 && dilation > 0 => {
                let steps = padded - reach;
                let mut count = if ceil { steps.div_ceil(stride) } else { steps / stride } + 1;
                // A window must begin in the image or before it.
                if ceil && (count - 1) * stride >= length + padding {
                    count -= 1;
                }
                Ok(count)
            }
            _ => Err(format!(
                "has a kernel of {kernel}, a stride of {stride}, a dilation of {dilation} and a padding of {padding}, which do not fit {length} pixels"
            )),
        }
    }
}

/// The shape that a transposed convolution makes of an image of that size.
pub(super) fn transposed(
    channels: usize,
    size: [usize; 2],
    &Windows { kernel, stride, padding, dilation }: &Windows,
    output_padding: [usize; 2],
) -> Result<Vec<usize>, String> {
    let mut output = vec![channels];
    for axis in 0..2 {
        let [k, s, p, extra, d] = [kernel, stride, padding, output_padding, dilation].map(|pair| pair[axis]);
        if k == 0 || s == 0 || d == 0 || extra >= s.max(d) {
            return Err(format!(
                "has kernel {kernel:?}, stride {stride:?}, dilation {dilation:?} and output padding {output_padding:?}: the first three must \
                 be at least 1 and the last smaller than stride or dilation"
            ));
        }
        let full = (size[axis] - 1)
            .checked_mul(s)
            .and_then(|length| length.checked_add(d.checked_mul(k - 1)?.checked_add(extra)?.checked_add(1)?))
            .and_then(|length| length.checked_sub(p.checked_mul(2)?));
        output.push(full.ok_or_else(|| format!("has the padding {padding:?}, which leaves nothing of {size:?} pixels"))?);
    }
    Ok(output)
}

/// The shape of the sum or product of several values: the first one's. A later one may have one value per channel.
pub(super) fn combined(inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
    several(inputs, |first, other| first == other || first.len() == 3 && matches!(other, [c] | [c, 1, 1] if *c == first[0]))
}

/// The shape of several values one after the other along the first axis.
pub(super) fn concatenated(inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
    let mut output = several(inputs, |first, other| first.len() == other.len() && first[1..] == other[1..])?;
    output[0] = inputs.iter().fold(0, |sum, input| sum.saturating_add(input[0]));
    Ok(output)
}

fn several(inputs: &[&[usize]], fits: impl Fn(&[usize], &[usize]) -> bool) -> Result<Vec<usize>, String> {
    let [first, others @ ..] = inputs else { return Err("expects two inputs or more but has none".to_owned()) };
    if others.is_empty() {
        return Err("expects two inputs or more but has one".to_owned());
    }
    match others.iter().find(|other| !fits(first, other)) {
        Some(other) => Err(format!("cannot combine the shapes {first:?} and {other:?}")),
        None => Ok(first.to_vec()),
    }
}

impl Function {
    /// Refuses constants that make no function. A bound beyond single precision is none.
    pub(super) fn check(self) -> Result<(), String> {
        match self {
            Self::LeakyRelu { slope } => check_constant("slope", slope),
            Self::Elu { alpha } => check_constant("alpha", alpha),
            Self::Clip { low, high } if low.is_nan() || high.is_nan() || low > high => {
                Err(format!("has the bounds {low} and {high}: the first must not be above the second"))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn of_image(input: &[usize]) -> Result<[usize; 3], String> {
    input.try_into().map_err(|_| format!("expects an image [channels, height, width] but is given {input:?}"))
}

pub(super) fn of_channels(input: &[usize], channels: usize) -> Result<[usize; 3], String> {
    match *input {
        [c, h, w] if c == channels => Ok([c, h, w]),
        _ => Err(format!("expects an image of {channels} channels but is given {input:?}")),
    }
}

pub(super) fn check_channels(input: &[usize], channels: usize) -> Result<Vec<usize>, String> {
    match input {
        [c] | [c, _, _] if *c == channels => Ok(input.to_vec()),
        _ => Err(format!("expects {channels} channels but is given {input:?}")),
    }
}

pub(super) fn check_groups(groups: usize, inputs: usize, outputs: usize) -> Result<(), String> {
    if groups == 0 || inputs == 0 || outputs == 0 || !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
        return Err(format!("has {groups} groups, which do not divide its {inputs} and {outputs} channels"));
    }
    Ok(())
}

pub(super) fn check_epsilon(epsilon: f64) -> Result<(), String> {
    if epsilon >= 0.0 && is_single(epsilon) {
        Ok(())
    } else {
        Err(format!("has the epsilon {epsilon:?}, which is not a number ≥ 0 of single precision"))
    }
}

/// Engines compute in single precision: there a larger constant is infinite.
pub(super) fn check_constant(name: &str, value: f64) -> Result<(), String> {
    if is_single(value) { Ok(()) } else { Err(format!("has the {name} {value:?}, which is not a finite number of single precision")) }
}

/// Whether a number is finite in single precision.
pub(super) fn is_single(value: f64) -> bool {
    value.abs() <= f64::from(f32::MAX)
}

/// Whether a value may have this shape: it has an axis at least, and elements that fit into memory.
pub(super) fn is_possible(shape: &[usize]) -> bool {
    !shape.is_empty() && matches!(elements(shape), Some(1..=MOST_ELEMENTS))
}

/// The number of elements of a shape, `None` where it overflows.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis))
}
