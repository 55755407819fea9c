//! Operations on two tensors and a third that may be absent. candle has a trait for each number of tensors; here one serves both.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

/// A tensor as candle gives it to an operation on the CPU: its values and their layout.
pub(super) type Stored<'a> = (&'a CpuStorage, &'a Layout);

/// What is computed.
pub(super) trait Operation {
    const NAME: &'static str;

    /// The output.
    fn forward(&self, first: Stored<'_>, second: Stored<'_>, third: Option<Stored<'_>>) -> Result<(CpuStorage, Shape)>;

    /// The gradients of the inputs for that of the output. Without a third input, its gradient is not read.
    fn backward(
        &self,
        first: &Tensor,
        second: &Tensor,
        third: Option<&Tensor>,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<[Option<Tensor>; 3]>;
}

/// Runs an operation on tensors that need not be contiguous.
///
/// # Errors
/// When candle or the operation refuses.
pub(super) fn apply(
    first: &Tensor,
    second: &Tensor,
    third: Option<&Tensor>,
    operation: impl Operation + Send + Sync + 'static,
) -> Result<Tensor> {
    let (first, second, operation) = (first.contiguous()?, second.contiguous()?, Custom(operation));
    match third {
        Some(third) => first.apply_op3(&second, &third.contiguous()?, operation),
        None => first.apply_op2(&second, operation),
    }
}

struct Custom<O>(O);

impl<O: Operation> CustomOp2 for Custom<O> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        self.0.forward((s1, l1), (s2, l2), None)
    }

    fn bwd(&self, first: &Tensor, second: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [of_first, of_second, _] = self.0.backward(first, second, None, output, gradient)?;
        Ok((of_first, of_second))
    }
}

impl<O: Operation> CustomOp3 for Custom<O> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.0.forward((s1, l1), (s2, l2), Some((s3, l3)))
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        third: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [of_first, of_second, of_third] = self.0.backward(first, second, Some(third), output, gradient)?;
        Ok((of_first, of_second, of_third))
    }
}
