//! Named weights at rest: a shape and its values.

/// A dense array in row-major order. Values are kept as f64 so that every interpreter (the f64 reference, the f32 engines,
/// training) lowers the same numbers to its own precision.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The length of each axis, outermost first.
    pub shape: Vec<usize>,
    /// The values, row-major; as many as the product of `shape`.
    pub values: Vec<f64>,
}

impl Tensor {
    /// A tensor of `shape` with the given values.
    ///
    /// # Panics
    /// When the number of values is not the product of `shape`: that is a defect of the caller.
    pub fn new(shape: impl Into<Vec<usize>>, values: Vec<f64>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.iter().product::<usize>(), values.len(), "a tensor of shape {shape:?}");
        Self { shape, values }
    }

    /// The values in single precision, as the fast engines use them.
    pub fn to_f32(&self) -> Vec<f32> {
        self.values.iter().map(|&value| value as f32).collect()
    }
}
