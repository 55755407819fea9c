//! Gradients in images over candle's tape, for networks on a graphics processor. On the CPU [`steps`](super::steps) are faster.

use super::forward::{Forward, Parameters, Pass};
use super::input::{Answer, InputGradients, Passes};
use super::objective::{Objective, judge};
use super::randomness::{MaskOf, NoiseOf, Randomness};
use crate::error::Result;
use crate::nets::{Ending, Ensemble, Gaussian, Node};
use candle_core::{DType, Device, Tensor, Var};

/// The members of an ensemble on a device.
pub(super) struct Tape {
    image_shape: [usize; 3],
    classes: usize,
    members: Vec<Member>,
    random: Randomness,
    device: Device,
    dtype: DType,
}

/// A classifier.
struct Member {
    forward: Forward,
    parameters: Parameters,
    gaussians: Vec<(String, Gaussian)>,
}

impl Member {
    /// The weights in a draw.
    fn drawn(&self, number: usize, draw: u32, tape: &Tape) -> candle_core::Result<Parameters> {
        let mut parameters = self.parameters.clone();
        for (node, gaussian) in &self.gaussians {
            let (stream, count) = (gaussian.stream, gaussian.count());
            let drawn = gaussian.draw(&(tape.random.noise)(NoiseOf { member: number, draw, stream, count }));
            let (weight, bias) = gaussian.weight_and_bias(&drawn);
            for (part, values, shape) in [("weight", weight, &[gaussian.outputs, gaussian.inputs][..]), ("bias", bias, &[gaussian.outputs])]
            {
                let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(tape.dtype)?.to_device(&tape.device)?;
                parameters.set(format!("{node}.{part}"), tensor);
            }
        }
        Ok(parameters)
    }
}

impl Tape {
    /// Uploads the members.
    ///
    /// # Errors
    /// When a member ends in probabilities, or the device has no room for them: gives back what was given.
    pub fn new(ensemble: &Ensemble, random: Randomness, device: &Device, dtype: DType) -> std::result::Result<Self, Randomness> {
        let members = ensemble.members().iter().map(|member| {
            let network = &member.network;
            // The logarithms of probabilities are logits.
            if member.ending == Ending::Probabilities {
                candle_core::bail!("the tape takes logits");
            }
            let named = |(index, node): (usize, &Node)| Some((node.name.clone(), Gaussian::of(network, index)?));
            Ok(Member {
                forward: Forward::new(network.graph().clone()),
                parameters: Parameters::on(network.weights(), dtype, device)?,
                gaussians: network.nodes().iter().enumerate().filter_map(named).collect(),
            })
        });
        let Ok(members) = members.collect::<candle_core::Result<Vec<_>>>() else { return Err(random) };
        let shape = ensemble.image_shape();
        let (image_shape, classes) = ([shape[0], shape[1], shape[2]], ensemble.classes().len());
        Ok(Self { image_shape, classes, members, random, device: device.clone(), dtype })
    }

    /// The logits of each pass of a member \[N, classes\].
    fn passes(&self, number: usize, images: &Tensor, passes: &Passes) -> candle_core::Result<Vec<Tensor>> {
        let Member { forward, parameters, .. } = &self.members[number];
        let Some(draws) = &passes.draws else { return Ok(vec![forward.run(parameters, images, Pass::default())?]) };
        let trunk = forward.trunk(parameters, images)?;
        let of_draw = |draw: u32| {
            let parameters = self.members[number].drawn(number, draw, self)?;
            let mut masks = |stream: u32, rate: f64, shape: &[usize]| {
                let units = shape[1..].iter().product();
                let keep = (self.random.keep)(MaskOf { member: number, draw, stream, rate, units });
                let mask: Vec<f64> = keep.into_iter().map(|keep| if keep { 1.0 / (1.0 - rate) } else { 0.0 }).collect();
                let mask = Tensor::from_vec(mask, [&[1], &shape[1..]].concat(), &Device::Cpu)?.to_dtype(self.dtype)?;
                mask.to_device(&self.device)?.broadcast_as(shape)?.contiguous()
            };
            forward.head(&parameters, &trunk, Pass { masks: Some(&mut masks), moments: None })
        };
        draws.clone().map(of_draw).collect()
    }
}

impl InputGradients for Tape {
    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn answer(&self, images: &[f64], labels: &[usize], passes: &Passes, objective: Objective, gradients: bool) -> Result<Answer> {
        let (count, [c, h, w]) = (labels.len(), self.image_shape);
        assert_eq!(images.len(), count * c * h * w, "an image to a label");
        let input =
            Var::from_tensor(&Tensor::from_slice(images, (count, c, h, w), &Device::Cpu)?.to_dtype(self.dtype)?.to_device(&self.device)?)?;
        let of_member = |&member: &usize| self.passes(member, &input, passes);
        let logits: Vec<Tensor> = passes.members.iter().map(of_member).collect::<candle_core::Result<Vec<_>>>()?.concat();
        assert!(!logits.is_empty(), "one pass at least");
        // [N, passes, classes].
        let logits = Tensor::stack(&logits, 1)?;
        let values: Vec<f64> = logits.detach().to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        let judged = judge(&values, labels, self.classes, objective, gradients)?;
        let mut answer = Answer {
            values: judged.iter().map(|image| image.value).collect(),
            mean: judged.iter().flat_map(|image| &image.mean).copied().collect(),
            gradients: Vec::new(),
        };
        if gradients {
            let of_logits: Vec<f64> = judged.iter().flat_map(|image| &image.gradient).copied().collect();
            let of_logits = Tensor::from_vec(of_logits, logits.dims(), &Device::Cpu)?.to_dtype(self.dtype)?.to_device(&self.device)?;
            let back = (logits * of_logits)?.sum_all()?.backward()?;
            answer.gradients = match back.get(&input) {
                Some(gradient) => gradient.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?,
                // No layer leads back to the images: nothing that they do changes the answer.
                None => vec![0.0; images.len()],
            };
            for (gradient, image) in answer.gradients.chunks_exact_mut(c * h * w).zip(&judged) {
                for value in gradient {
                    *value *= image.scale;
                }
            }
        }
        Ok(answer)
    }
}
