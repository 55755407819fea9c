//! Gradients of a loss of many passes in the image: the layers before the first dropout run once to and once fro, however many draws
//! there are.

use super::device::device;
use super::objective::{Objective, judge};
use super::operations::Element;
use super::plan::{DrawMasks, Saved, Step, backward, forward, steps};
use super::tape::Tape;
use crate::error::Result;
use crate::nets::{Ensemble, Gaussian};
use crate::random::{keep_mask, normal_noise};
use candle_core::DType;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Masked weights are kept from call to call up to so many bytes (ten of the paper's networks with twenty draws take 470 MB);
/// beyond, they are made anew at every call, a quarter of it at a time.
const MOST_BYTES: usize = 640 << 20;
/// Columns of a task of the product that goes back through all draws.
const COLUMNS: usize = 256;

/// A dropout mask that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct MaskOf {
    /// The member's number in the ensemble.
    pub member: usize,
    /// The draw.
    pub draw: u32,
    /// The index of the dropout layer in its network.
    pub layer: usize,
    /// P(dropped).
    pub rate: f64,
    /// How many units there are.
    pub units: usize,
}

/// The noise of a Gaussian layer that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct NoiseOf {
    /// The member's number in the ensemble.
    pub member: usize,
    /// The draw.
    pub draw: u32,
    /// The index of the layer in its network.
    pub layer: usize,
    /// How many standard normal numbers.
    pub count: usize,
}

/// Says which units a mask keeps.
pub type KeepMask = Box<dyn Fn(MaskOf) -> Vec<bool> + Send + Sync>;

/// All that is random in draws.
pub struct Randomness {
    /// Which units a dropout mask keeps.
    pub keep: KeepMask,
    /// The standard normal numbers of a Gaussian layer's weights.
    pub noise: Box<dyn Fn(NoiseOf) -> Vec<f64> + Send + Sync>,
}

impl Randomness {
    /// That of the engines for a seed, shared by all points.
    pub fn of_seed(seed: u32) -> Self {
        Self {
            keep: Box::new(move |MaskOf { member, draw, layer, rate, units }| {
                keep_mask(seed, member as u32, draw, layer as u32, 0, rate, units)
            }),
            noise: Box::new(move |NoiseOf { member, draw, layer, count }| normal_noise(seed, member as u32, draw, layer as u32, 0, count)),
        }
    }
}

/// Which passes answer together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passes {
    /// The members by number.
    pub members: Vec<usize>,
    /// The draws of each; `None`: one pass with dropout off.
    pub draws: Option<Range<u32>>,
}

/// What the passes say to images.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The objective of each image \[N\].
    pub values: Vec<f64>,
    /// The mean probability \[N, classes\].
    pub mean: Vec<f64>,
    /// The gradient of each image's objective in its pixels \[N, C, H, W\]; empty where it was not asked for.
    pub gradients: Vec<f64>,
}

/// Networks that can be attacked: images in, objectives and their gradients out.
pub trait InputGradients: Send + Sync {
    /// [channels, height, width] of the images.
    fn image_shape(&self) -> [usize; 3];

    /// The number of classes.
    fn classes(&self) -> usize;

    /// Asks the passes about images \[N, C, H, W\] with a label each; `gradients` says whether these are wanted too.
    ///
    /// # Errors
    /// When a network's answer is not finite.
    ///
    /// # Panics
    /// When there are no passes, or images and labels are not as many.
    fn answer(&self, images: &[f64], labels: &[usize], passes: &Passes, objective: Objective, gradients: bool) -> Result<Answer>;
}

/// The precision of the networks; what comes in and out is f64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    Single,
    Double,
}

/// Prepares the members of an ensemble: in single precision on a graphics processor, where this build and machine have one with room for
/// them.
pub fn input_gradients(ensemble: &Ensemble, precision: Precision, random: Randomness) -> Box<dyn InputGradients> {
    match precision {
        Precision::Single if device().is_cpu() => Box::new(Networks::<f32>::new(ensemble, random)),
        Precision::Single => match Tape::new(ensemble, random, device(), DType::F32) {
            Ok(tape) => Box::new(tape),
            Err(random) => Box::new(Networks::<f32>::new(ensemble, random)),
        },
        Precision::Double => Box::new(Networks::<f64>::new(ensemble, random)),
    }
}

/// A classifier, cut at its first layer that draws.
struct Member<T> {
    trunk: Vec<Step<T>>,
    head: Vec<Step<T>>,
}

pub(super) struct Networks<T> {
    image_shape: [usize; 3],
    classes: usize,
    members: Vec<Member<T>>,
    random: Randomness,
    /// [`MOST_BYTES`] but in tests.
    pub(super) most_bytes: usize,
    /// The blocks of draws that were asked last.
    blocks: Mutex<Blocks<T>>,
}

/// Blocks of draws by member and first draw.
type Blocks<T> = HashMap<(usize, u32), Arc<Block<T>>>;

/// Some draws of one member.
struct Block<T> {
    draws: Range<u32>,
    masks: Vec<DrawMasks<T>>,
    /// Where the head begins with a dropout and a dense layer, this layer with the masks in it.
    first: Option<Vec<Thinned<T>>>,
    bytes: usize,
}

/// The dense layer of one draw after a dropout: dropped inputs have zeros for weights, and of the outputs only those are computed
/// that the next dropout keeps.
struct Thinned<T> {
    /// \[kept outputs, inputs\].
    weight: Vec<T>,
    bias: Vec<T>,
    kept: Vec<u32>,
}

/// What a member's passes on the way forward leave: the logits of each pass \[N, classes\], and what the way back needs.
struct Way<T> {
    trunk: Vec<Saved<T>>,
    trunk_out: Vec<T>,
    heads: Vec<Vec<Saved<T>>>,
    logits: Vec<Vec<T>>,
}

impl<T: Element> Networks<T> {
    pub(super) fn new(ensemble: &Ensemble, random: Randomness) -> Self {
        let members = ensemble.members().iter().map(|member| {
            let (trunk, all) = (member.network.trunk_length(), member.network.layers().len());
            Member { trunk: steps(&member.network, 0..trunk), head: steps(&member.network, trunk..all) }
        });
        let shape = ensemble.image_shape();
        Self {
            image_shape: [shape[0], shape[1], shape[2]],
            classes: ensemble.classes().len(),
            members: members.collect(),
            random,
            most_bytes: MOST_BYTES,
            blocks: Mutex::default(),
        }
    }

    /// The masks and the thinned layers of some draws of a member.
    fn block(&self, member: usize, draws: Range<u32>) -> Block<T> {
        let head = &self.members[member].head;
        let mask = |draw: u32, layer: usize, rate: f64, units: usize| -> Vec<T> {
            let scale = T::from_f64(1.0 / (1.0 - rate));
            let keep = (self.random.keep)(MaskOf { member, draw, layer, rate, units });
            assert_eq!(keep.len(), units, "a mask of layer {layer}");
            keep.into_iter().map(|keep| if keep { scale } else { T::ZERO }).collect()
        };
        let weights = |draw: u32, gaussian: &Gaussian| -> Vec<T> {
            let (layer, count) = (gaussian.layer, gaussian.count());
            let noise = (self.random.noise)(NoiseOf { member, draw, layer, count });
            assert_eq!(noise.len(), count, "the noise of layer {layer}");
            let drawn = gaussian.draw(&noise);
            let rows = || drawn.chunks_exact(gaussian.inputs + 1);
            let of_inputs = rows().flat_map(|row| &row[..gaussian.inputs]);
            of_inputs.chain(rows().map(|row| &row[gaussian.inputs])).map(|&weight| T::from_f64(weight)).collect()
        };
        let of_draw = |draw: u32| -> DrawMasks<T> {
            let of_step = |step: &Step<T>| match step {
                Step::Mask { layer, rate, units, .. } => Some(mask(draw, *layer, *rate, *units)),
                Step::Drawn { gaussian, .. } => Some(weights(draw, gaussian)),
                _ => None,
            };
            head.iter().filter_map(of_step).collect()
        };
        let masks: Vec<DrawMasks<T>> = draws.clone().into_par_iter().map(of_draw).collect();
        let first = match head.as_slice() {
            [Step::Mask { size, .. }, Step::Linear { weight, bias }, rest @ ..] => {
                let after = rest.iter().find(|step| !matches!(step, Step::Activate(_)));
                let masked = matches!(after, Some(Step::Mask { size: 1, .. }));
                Some(masks.par_iter().map(|masks| thin(weight, bias, (&masks[0], *size), masked.then(|| masks[1].as_slice()))).collect())
            }
            _ => None,
        };
        let bytes = first.iter().flatten().map(|thinned: &Thinned<T>| thinned.weight.len() * size_of::<T>()).sum();
        Block { draws, masks, first, bytes }
    }

    /// The draws of one member in blocks, kept from call to call where all members' fit into memory.
    fn blocks(&self, member: usize, passes: &Passes) -> impl Iterator<Item = Arc<Block<T>>> + '_ {
        let draws = passes.draws.clone().unwrap_or(0..0);
        let bytes_per_draw = match self.members[member].head.as_slice() {
            [Step::Mask { .. }, Step::Linear { weight, .. }, rest @ ..] => {
                let kept = match rest.iter().find(|step| !matches!(step, Step::Activate(_))) {
                    Some(Step::Mask { rate, size: 1, .. }) => 1.0 - rate,
                    _ => 1.0,
                };
                (kept * (weight.len() * size_of::<T>()) as f64) as usize
            }
            _ => 0,
        };
        let kept = bytes_per_draw * draws.len() * passes.members.len() <= self.most_bytes;
        let step = if kept { draws.len() } else { self.most_bytes / 4 / bytes_per_draw.max(1) };
        draws.clone().step_by(step.max(1)).map(move |first| {
            let wanted = first..draws.end.min(first.saturating_add(step.max(1) as u32));
            let lock = || self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(block) = lock().get(&(member, first)).filter(|block| block.draws == wanted) {
                return Arc::clone(block);
            }
            let block = Arc::new(self.block(member, wanted));
            let mut blocks = lock();
            if kept {
                // A quarter more than what was foreseen: masks keep as many units as chance will have it.
                if blocks.values().map(|block| block.bytes).sum::<usize>() + block.bytes > self.most_bytes / 4 * 5 {
                    blocks.clear();
                }
                blocks.insert((member, first), Arc::clone(&block));
            }
            block
        })
    }

    fn go(&self, member: usize, images: &[T], count: usize, passes: &Passes, keep: bool) -> Way<T> {
        let Member { trunk, head } = &self.members[member];
        let (trunk_out, trunk_trace) = forward(trunk, images.to_vec(), count, None, keep);
        let results: Vec<(Vec<T>, Vec<Saved<T>>)> = if passes.draws.is_none() {
            vec![forward(head, trunk_out.clone(), count, None, keep)]
        } else {
            let of_block = |block: Arc<Block<T>>| {
                let of_draw = |place: usize| match &block.first {
                    None => forward(head, trunk_out.clone(), count, Some(&block.masks[place]), keep),
                    Some(first) => {
                        let rest = block.masks[place][1..].to_vec();
                        forward(&head[2..], first[place].forward(&trunk_out, count, outputs(head)), count, Some(&rest), keep)
                    }
                };
                (0..block.masks.len()).into_par_iter().map(of_draw).collect::<Vec<_>>()
            };
            self.blocks(member, passes).flat_map(of_block).collect()
        };
        let (logits, heads) = results.into_iter().unzip();
        Way { trunk: trunk_trace, trunk_out: if keep { trunk_out } else { Vec::new() }, heads, logits }
    }

    /// The gradient in the images, for that of each pass's logits \[N, classes\].
    fn back(&self, member: usize, way: &Way<T>, of_logits: &[Vec<T>], count: usize, passes: &Passes) -> Vec<T> {
        let Member { trunk, head } = &self.members[member];
        let mut of_trunk = vec![T::ZERO; way.trunk_out.len()];
        if passes.draws.is_none() {
            of_trunk = backward(head, &way.heads[0], of_logits[0].clone(), count, None);
        } else {
            let mut pass = 0;
            for block in self.blocks(member, passes) {
                let here = pass..pass + block.masks.len();
                pass = here.end;
                let each = way.heads[here.clone()].par_iter().zip(&of_logits[here]).zip(&block.masks);
                if let Some(first) = &block.first {
                    let gradients: Vec<Vec<T>> = each
                        .zip(first)
                        .map(|(((trace, gradient), masks), thinned)| {
                            let rest = masks[1..].to_vec();
                            thinned.gather(&backward(&head[2..], trace, gradient.clone(), count, Some(&rest)), outputs(head))
                        })
                        .collect();
                    add_products(&mut of_trunk, &gradients, first, count);
                } else {
                    let gradients = each.map(|((trace, gradient), masks)| backward(head, trace, gradient.clone(), count, Some(masks)));
                    for gradient in gradients.collect::<Vec<_>>() {
                        of_trunk.par_iter_mut().with_min_len(4096).zip(gradient).for_each(|(sum, part)| *sum += part);
                    }
                }
            }
        }
        backward(trunk, &way.trunk, of_trunk, count, None)
    }
}

/// The outputs of the dense layer that a head begins with after its dropout.
fn outputs<T>(head: &[Step<T>]) -> usize {
    match head.get(1) {
        Some(Step::Linear { bias, .. }) => bias.len(),
        _ => 0,
    }
}

/// Takes the masks into a dense layer: that of the inputs, whose units are so many values, and that of the outputs, if any.
fn thin<T: Element>(weight: &[T], bias: &[T], (inputs, size): (&[T], usize), outputs: Option<&[T]>) -> Thinned<T> {
    let kept: Vec<u32> = (0..bias.len() as u32).filter(|&at| outputs.is_none_or(|mask| mask[at as usize] > T::ZERO)).collect();
    let length = weight.len() / bias.len();
    let mut masked = Vec::with_capacity(kept.len() * length);
    for &output in &kept {
        let row = &weight[output as usize * length..][..length];
        if size == 1 {
            masked.extend(row.iter().zip(inputs).map(|(&weight, &mask)| weight * mask));
        } else {
            masked.extend(row.chunks(size).zip(inputs).flat_map(|(unit, &mask)| unit.iter().map(move |&weight| weight * mask)));
        }
    }
    Thinned { weight: masked, bias: kept.iter().map(|&output| bias[output as usize]).collect(), kept }
}

impl<T: Element> Thinned<T> {
    /// The layer's outputs \[count, outputs\], 0 where they will be dropped.
    fn forward(&self, x: &[T], count: usize, outputs: usize) -> Vec<T> {
        let (kept, inputs) = (self.kept.len(), x.len() / count);
        let mut all = vec![T::ZERO; count * outputs];
        if kept == 0 {
            return all;
        }
        let mut y: Vec<T> = (0..count).flat_map(|_| &self.bias).copied().collect();
        let [x, weight] = [(x, count), (&self.weight[..], kept)].map(|(values, rows)| MatRef::from_row_major_slice(values, rows, inputs));
        matmul(MatMut::from_row_major_slice_mut(&mut y, count, kept), Accum::Add, x, weight.transpose(), T::one_impl(), Par::Seq);
        for (all, y) in all.chunks_exact_mut(outputs).zip(y.chunks_exact(kept)) {
            self.kept.iter().zip(y).for_each(|(&output, &y)| all[output as usize] = y);
        }
        all
    }

    /// Of a gradient \[N, outputs\] what belongs to the kept outputs.
    fn gather(&self, gradient: &[T], outputs: usize) -> Vec<T> {
        gradient.chunks_exact(outputs).flat_map(|row| self.kept.iter().map(|&output| row[output as usize])).collect()
    }
}

/// Adds `Σ_draws` G W onto the gradient \[count, inputs\] of what all draws begin with; each task does its columns for all draws in turn, so
/// that no sum depends on the number of threads.
fn add_products<T: Element>(sum: &mut [T], gradients: &[Vec<T>], draws: &[Thinned<T>], count: usize) {
    let inputs = sum.len() / count;
    let sum = MatMut::from_row_major_slice_mut(sum, count, inputs);
    sum.par_col_chunks_mut(COLUMNS).enumerate().for_each(|(chunk, mut sum)| {
        for (gradient, draw) in gradients.iter().zip(draws).filter(|(_, draw)| !draw.kept.is_empty()) {
            let gradient = MatRef::from_row_major_slice(gradient, count, draw.kept.len());
            let weight = MatRef::from_row_major_slice(&draw.weight, draw.kept.len(), inputs).subcols(chunk * COLUMNS, sum.ncols());
            matmul(sum.as_mut(), Accum::Add, gradient, weight, T::one_impl(), Par::Seq);
        }
    });
}

impl<T: Element> InputGradients for Networks<T> {
    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn answer(&self, images: &[f64], labels: &[usize], passes: &Passes, objective: Objective, gradients: bool) -> Result<Answer> {
        let (count, classes) = (labels.len(), self.classes);
        assert_eq!(images.len(), count * self.image_shape.iter().product::<usize>(), "an image to a label");
        let per_member = passes.draws.as_ref().map_or(1, ExactSizeIterator::len);
        assert!(per_member > 0 && !passes.members.is_empty(), "one pass at least");
        let input: Vec<T> = images.iter().map(|&pixel| T::from_f64(pixel)).collect();
        let ways: Vec<Way<T>> = passes.members.iter().map(|&member| self.go(member, &input, count, passes, gradients)).collect();
        let rows = (0..count).flat_map(|image| ways.iter().flat_map(|way| &way.logits).map(move |logits| (image, logits)));
        let logits: Vec<f64> = rows.flat_map(|(image, logits)| &logits[image * classes..][..classes]).map(|logit| logit.to_f64()).collect();
        let judged = judge(&logits, labels, classes, objective, gradients)?;
        let mut answer = Answer {
            values: judged.iter().map(|image| image.value).collect(),
            mean: judged.iter().flat_map(|image| &image.mean).copied().collect(),
            gradients: vec![0.0; if gradients { images.len() } else { 0 }],
        };
        if gradients {
            for (place, (way, &member)) in ways.iter().zip(&passes.members).enumerate() {
                let of_pass = |pass: usize| {
                    let rows = judged.iter().map(|image| &image.gradient[(place * per_member + pass) * classes..][..classes]);
                    rows.flatten().map(|&value| T::from_f64(value)).collect::<Vec<T>>()
                };
                let of_logits: Vec<Vec<T>> = (0..per_member).map(of_pass).collect();
                let back = self.back(member, way, &of_logits, count, passes);
                answer.gradients.iter_mut().zip(back).for_each(|(sum, part)| *sum += part.to_f64());
            }
            for (gradient, image) in answer.gradients.chunks_exact_mut(images.len() / count).zip(&judged) {
                for value in gradient.iter_mut() {
                    *value *= image.scale;
                }
            }
        }
        Ok(answer)
    }
}
