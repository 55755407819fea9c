//! A [`Graph`] on candle tensors, batched, with gradients: what training and the tape differentiate.

mod compute;
mod stages;
#[cfg(test)]
mod tests;

use crate::kernels::BatchMoments;
use crate::nets::{Graph, Weights};
use candle_core::{DType, Device, Result, Tensor, Var};
use stages::Stage;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The weights of a network as tensors, or as variables where they are trained.
#[derive(Clone)]
pub struct Parameters {
    tensors: BTreeMap<String, Tensor>,
    /// Whether the kernels of the CPU run, or candle's own operations.
    fused: bool,
}

impl Parameters {
    /// Weights on the CPU that stay as they are: gradients flow through them to the input only.
    ///
    /// # Errors
    /// When candle refuses.
    pub fn fixed(weights: &Weights, dtype: DType) -> Result<Self> {
        Self::on(weights, dtype, &Device::Cpu)
    }

    /// The same on a device.
    ///
    /// # Errors
    /// When candle refuses, or the device has no room for them.
    pub fn on(weights: &Weights, dtype: DType, device: &Device) -> Result<Self> {
        let tensors = weights.iter().map(|(name, weight)| {
            let tensor = Tensor::from_slice(&weight.values, weight.shape.as_slice(), &Device::Cpu)?.to_dtype(dtype)?;
            Ok((name.clone(), tensor.to_device(device)?))
        });
        Ok(Self { tensors: tensors.collect::<Result<_>>()?, fused: device.is_cpu() })
    }

    /// The tensors of variables that are trained.
    pub fn trained(variables: &BTreeMap<String, Var>) -> Self {
        let tensors = variables.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect();
        Self { tensors, fused: variables.values().all(|variable| variable.device().is_cpu()) }
    }

    /// Puts a tensor in a weight's place.
    pub(super) fn set(&mut self, name: String, tensor: Tensor) {
        self.tensors.insert(name, tensor);
    }

    /// Whether the kernels of the CPU run.
    pub(super) fn is_fused(&self) -> bool {
        self.fused
    }

    /// The same tensors without a way back to their variables: a pass over them keeps nothing for gradients.
    pub(super) fn detached(self) -> Self {
        Self { tensors: self.tensors.into_iter().map(|(name, tensor)| (name, tensor.detach())).collect(), ..self }
    }

    /// The same, so that candle's own operations run on the CPU as well.
    #[cfg(test)]
    pub(super) fn composed(self) -> Self {
        Self { fused: false, ..self }
    }

    fn get(&self, node: &str, part: &str) -> Result<&Tensor> {
        self.named(&format!("{node}.{part}"))
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn named(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).ok_or_else(|| candle_core::Error::CannotFindTensor { path: name.to_owned() })
    }
}

/// Makes the mask of a dropout node: its stream, its rate, the shape of the mask \[N, …\] without the axes that one unit spans. Kept
/// units hold 1 / (1 − rate), dropped ones 0.
pub type Masks<'a> = &'a mut dyn FnMut(u32, f64, &[usize]) -> Result<Tensor>;

/// The moments of the batch that a batch normalisation was given, by the node's name.
pub type Moments = BTreeMap<String, Arc<BatchMoments>>;

/// How a pass treats the nodes that training and inference differ in.
#[derive(Default)]
pub struct Pass<'a> {
    /// Makes masks; `None` switches dropout off.
    pub masks: Option<Masks<'a>>,
    /// Batch normalisation takes the moments of the batch, and leaves them here; `None`: it takes the running ones.
    pub moments: Option<&'a mut Moments>,
}

impl Pass<'_> {
    /// The same once more, for another graph.
    pub fn again(&mut self) -> Pass<'_> {
        let masks: Option<Masks<'_>> = match &mut self.masks {
            Some(masks) => Some(&mut **masks),
            None => None,
        };
        Pass { masks, moments: self.moments.as_deref_mut() }
    }
}

/// A graph, ready to be run over batches.
pub struct Forward {
    graph: Graph,
    stages: Vec<Stage>,
}

/// The values of a batch by their numbers in the graph, each \[N, …\]; `None` where a value is not there, or no longer needed.
#[derive(Clone)]
pub(super) struct Values(Vec<Option<Tensor>>);

impl Forward {
    /// Finds what runs as one.
    pub fn new(graph: Graph) -> Self {
        Self { stages: stages::stages(&graph), graph }
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The output of the whole graph for a batch \[N, …\].
    ///
    /// # Errors
    /// When a weight is missing or candle refuses.
    pub fn run(&self, parameters: &Parameters, input: &Tensor, mut pass: Pass<'_>) -> Result<Tensor> {
        let mut values = self.given(input);
        for stage in &self.stages {
            self.stage(stage, parameters, &mut values, &mut pass)?;
        }
        output(values)
    }

    /// Everything that no draw changes, computed once for a batch.
    pub(super) fn trunk(&self, parameters: &Parameters, input: &Tensor) -> Result<Values> {
        let mut values = self.given(input);
        for stage in self.stages.iter().filter(|stage| !stage.is_random) {
            self.stage(stage, parameters, &mut values, &mut Pass::default())?;
        }
        Ok(values)
    }

    /// The output of the graph for the values of its trunk.
    pub(super) fn head(&self, parameters: &Parameters, trunk: &Values, mut pass: Pass<'_>) -> Result<Tensor> {
        let mut values = trunk.clone();
        for stage in self.stages.iter().filter(|stage| stage.is_random) {
            self.stage(stage, parameters, &mut values, &mut pass)?;
        }
        output(values)
    }

    fn given(&self, input: &Tensor) -> Values {
        let mut values = vec![None; self.graph.nodes().len() + 1];
        values[0] = Some(input.clone());
        Values(values)
    }

    fn stage(&self, stage: &Stage, parameters: &Parameters, Values(values): &mut Values, pass: &mut Pass<'_>) -> Result<()> {
        let inputs = stage.inputs.iter().map(|&value| values[value].clone());
        let inputs: Option<Vec<Tensor>> = inputs.collect();
        let inputs = inputs.ok_or_else(|| candle_core::Error::Msg("a value was read before it was computed".to_owned()))?;
        let output = compute::Stage { parts: stage, graph: &self.graph, parameters, inputs }.output(pass);
        // The node's name, behind what candle says.
        let named = |error: candle_core::Error| {
            let node = &self.graph.nodes()[stage.node];
            candle_core::Error::Msg(format!("node '{}' ({}): {error}", node.name, node.op.label()))
        };
        values[stage.output] = Some(output.map_err(named)?);
        for &value in &stage.frees {
            values[value] = None;
        }
        Ok(())
    }
}

/// The last value: the output of the graph.
fn output(Values(mut values): Values) -> Result<Tensor> {
    values.pop().flatten().ok_or_else(|| candle_core::Error::Msg("the graph made no output".to_owned()))
}
