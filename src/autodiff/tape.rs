//! Gradients in images over candle's tape, for networks on a graphics processor. On the CPU [`steps`](super::steps) are faster, and know
//! every graph; this one knows chains of layers.

use super::forward::{Parameters, forward};
use super::input::{Answer, InputGradients, Passes};
use super::objective::{Objective, judge};
use super::randomness::{MaskOf, NoiseOf, Randomness};
use crate::error::Result;
use crate::nets::{Ending, Ensemble, Gaussian, Layer};
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

/// A classifier, cut at its first layer that draws.
struct Member {
    layers: Vec<Layer>,
    trunk: usize,
    parameters: Parameters,
    gaussians: Vec<Gaussian>,
}

impl Member {
    /// The layers behind the trunk and their weights in a draw: a layer whose weights are drawn is a linear one of these.
    fn drawn(&self, number: usize, draw: u32, tape: &Tape) -> candle_core::Result<(Vec<Layer>, Parameters)> {
        let (mut layers, mut parameters) = (self.layers[self.trunk..].to_vec(), self.parameters.clone());
        for gaussian in &self.gaussians {
            let (stream, count) = (gaussian.stream, gaussian.count());
            let weights = gaussian.draw(&(tape.random.noise)(NoiseOf { member: number, draw, stream, count }));
            let weights = Tensor::from_vec(weights, (gaussian.outputs, gaussian.inputs + 1), &Device::Cpu)?;
            let weights = weights.to_dtype(tape.dtype)?.to_device(&tape.device)?;
            // In a chain the stream is the layer's index.
            let place = &mut layers[stream as usize - self.trunk];
            if let Layer::GaussianLinear { name, inputs, outputs, .. } = place.clone() {
                parameters.set(format!("{name}.weight"), weights.narrow(1, 0, inputs)?.contiguous()?);
                parameters.set(format!("{name}.bias"), weights.narrow(1, inputs, 1)?.flatten_all()?);
                *place = Layer::Linear { name, inputs, outputs };
            }
        }
        Ok((layers, parameters))
    }
}

impl Tape {
    /// Uploads the members.
    ///
    /// # Errors
    /// When a member is no chain of layers that ends in logits, or the device has no room for them: gives back what was given.
    pub fn new(ensemble: &Ensemble, random: Randomness, device: &Device, dtype: DType) -> std::result::Result<Self, Randomness> {
        let members = ensemble.members().iter().map(|member| {
            let network = &member.network;
            let layers = network.graph().layers().map_err(candle_core::Error::wrap)?;
            if member.ending != Ending::Logits {
                candle_core::bail!("the tape takes logits");
            }
            let parameters = Parameters::on(network.weights(), dtype, device)?;
            let gaussians = (0..layers.len()).filter_map(|layer| Gaussian::of(network, layer)).collect();
            let trunk = network.nodes().iter().position(|node| node.op.stream().is_some()).unwrap_or(layers.len());
            Ok(Member { layers, trunk, parameters, gaussians })
        });
        let Ok(members) = members.collect::<candle_core::Result<Vec<_>>>() else { return Err(random) };
        let shape = ensemble.image_shape();
        let (image_shape, classes) = ([shape[0], shape[1], shape[2]], ensemble.classes().len());
        Ok(Self { image_shape, classes, members, random, device: device.clone(), dtype })
    }

    /// The logits of each pass of a member \[N, classes\].
    fn passes(&self, number: usize, images: &Tensor, passes: &Passes) -> candle_core::Result<Vec<Tensor>> {
        let member = &self.members[number];
        let (trunk, head) = member.layers.split_at(member.trunk);
        let features = forward(trunk, &member.parameters, images, None)?;
        let Some(draws) = &passes.draws else { return Ok(vec![forward(head, &member.parameters, &features, None)?]) };
        let of_draw = |draw: u32| {
            let (head, parameters) = member.drawn(number, draw, self)?;
            let mut masks = |layer: usize, rate: f64, shape: &[usize]| {
                let (stream, units) = ((member.trunk + layer) as u32, shape[1..].iter().product());
                let keep = (self.random.keep)(MaskOf { member: number, draw, stream, rate, units });
                let mask: Vec<f64> = keep.into_iter().map(|keep| if keep { 1.0 / (1.0 - rate) } else { 0.0 }).collect();
                let mask = Tensor::from_vec(mask, [&[1], &shape[1..]].concat(), &Device::Cpu)?.to_dtype(self.dtype)?;
                mask.to_device(&self.device)?.broadcast_as(shape)?.contiguous()
            };
            forward(&head, &parameters, &features, Some(&mut masks))
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
