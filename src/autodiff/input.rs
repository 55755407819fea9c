//! Gradients of a loss of many passes in the image: what does not depend on a draw runs once to and once fro, however many draws there
//! are.

use super::device::device;
use super::objective::{Objective, judge};
use super::operations::Element;
use super::randomness::{MaskOf, NoiseOf, Randomness};
use super::steps::{DrawMasks, Kind, Part, Saved, Step, Value, add};
use super::tape::Tape;
use super::thinned::{THINNED, Thinned, Thinning, add_products, dense, thin};
use crate::error::Result;
use crate::nets::{Ensemble, Gaussian};
use candle_core::DType;
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Masked weights are kept from call to call up to so many bytes (ten of the paper's networks with twenty draws take 470 MB);
/// beyond, they are made anew at every call, a quarter of it at a time.
const MOST_BYTES: usize = 640 << 20;

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

/// A classifier, cut where draws begin to differ.
struct Member<T> {
    trunk: Part<T>,
    head: Part<T>,
    /// Where the head begins with a dropout and a dense layer that only it leads to, how these become one.
    thinning: Option<Thinning>,
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

/// What a member's passes on the way forward leave: the logits of each pass \[N, classes\], and what the way back needs.
struct Way<T> {
    trunk: Vec<Saved<T>>,
    heads: Vec<Vec<Saved<T>>>,
    logits: Vec<Value<T>>,
}

impl<T: Element> Networks<T> {
    pub(super) fn new(ensemble: &Ensemble, random: Randomness) -> Self {
        let members = ensemble.members().iter().map(|member| {
            let [trunk, head] = Part::trunk_and_head(&member.program());
            let thinning = Thinning::of(&head);
            Member { trunk, head, thinning }
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
        let Member { head, thinning, .. } = &self.members[member];
        let mask = |draw: u32, stream: u32, rate: f64, units: usize| -> Vec<T> {
            let scale = T::from_f64(1.0 / (1.0 - rate));
            let keep = (self.random.keep)(MaskOf { member, draw, stream, rate, units });
            assert_eq!(keep.len(), units, "a mask of stream {stream}");
            keep.into_iter().map(|keep| if keep { scale } else { T::ZERO }).collect()
        };
        let weights = |draw: u32, gaussian: &Gaussian| -> Vec<T> {
            let (stream, count) = (gaussian.stream, gaussian.count());
            let noise = (self.random.noise)(NoiseOf { member, draw, stream, count });
            assert_eq!(noise.len(), count, "the noise of stream {stream}");
            let (weight, bias) = gaussian.weight_and_bias(&gaussian.draw(&noise));
            weight.into_iter().chain(bias).map(T::from_f64).collect()
        };
        let of_draw = |draw: u32| -> DrawMasks<T> {
            let of_step = |step: &Step<T>| match &step.kind {
                Kind::Mask { stream, rate, units, .. } => Some(mask(draw, *stream, *rate, *units)),
                Kind::Drawn { gaussian, .. } => Some(weights(draw, gaussian)),
                _ => None,
            };
            head.steps.iter().filter_map(of_step).collect()
        };
        let masks: Vec<DrawMasks<T>> = draws.clone().into_par_iter().map(of_draw).collect();
        let first = thinning.zip(dense(head)).map(|(Thinning { size, next, .. }, (weight, bias))| {
            let of_draw = |masks: &DrawMasks<T>| thin(weight, bias, (&masks[0], size), next.map(|(slot, _)| &masks[slot][..]));
            masks.par_iter().map(of_draw).collect()
        });
        let bytes = first.iter().flatten().map(|thinned: &Thinned<T>| thinned.weight.len() * size_of::<T>()).sum();
        Block { draws, masks, first, bytes }
    }

    /// The draws of one member in blocks, kept from call to call where all members' fit into memory.
    fn blocks(&self, member: usize, passes: &Passes) -> impl Iterator<Item = Arc<Block<T>>> + '_ {
        let draws = passes.draws.clone().unwrap_or(0..0);
        let Member { head, thinning, .. } = &self.members[member];
        let bytes_per_draw = thinning.zip(dense(head)).map_or(0, |(thinning, (weight, _))| {
            let kept = thinning.next.map_or(1.0, |(_, rate)| 1.0 - rate);
            (kept * size_of_val(weight) as f64) as usize
        });
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
        let Member { trunk, head, thinning } = &self.members[member];
        let (crossing, trunk_trace) = trunk.forward(0, [(0, Arc::new(images.to_vec()))], count, None, keep);
        let taken = || head.takes.iter().copied().zip(crossing.iter().cloned());
        let one = |(mut given, trace): (Vec<Value<T>>, Vec<Saved<T>>)| (given.swap_remove(0), trace);
        let results: Vec<(Value<T>, Vec<Saved<T>>)> = if passes.draws.is_none() {
            vec![one(head.forward(0, taken(), count, None, keep))]
        } else {
            let of_block = |block: Arc<Block<T>>| {
                let of_draw = |place: usize| {
                    let masks = Some(&block.masks[place]);
                    one(match (&block.first, thinning) {
                        (Some(first), Some(thinning)) => {
                            let dropped = taken().find(|(value, _)| *value == thinning.dropped);
                            let dense = dropped.map(|(_, x)| first[place].forward(&x, count, thinning.outputs)).unwrap_or_default();
                            head.forward(THINNED, taken().chain([(thinning.dense, Arc::new(dense))]), count, masks, keep)
                        }
                        _ => head.forward(0, taken(), count, masks, keep),
                    })
                };
                (0..block.masks.len()).into_par_iter().map(of_draw).collect::<Vec<_>>()
            };
            self.blocks(member, passes).flat_map(of_block).collect()
        };
        let (logits, heads) = results.into_iter().unzip();
        Way { trunk: trunk_trace, heads, logits }
    }

    /// The gradient in the images, for that of each pass's logits \[N, classes\].
    fn back(&self, member: usize, way: &Way<T>, of_logits: &[Vec<T>], count: usize, passes: &Passes) -> Vec<T> {
        let Member { trunk, head, thinning } = &self.members[member];
        // The gradients in the values that cross the cut, each in the order of the draws.
        let mut of_crossing: Vec<Option<Vec<T>>> = vec![None; head.takes.len()];
        let add_all = |sums: &mut [Option<Vec<T>>], mut gradients: Vec<Option<Vec<T>>>| {
            for (sum, &value) in sums.iter_mut().zip(&head.takes) {
                if let Some(part) = gradients[value].take() {
                    add(sum, part);
                }
            }
        };
        let output = head.gives[0];
        if passes.draws.is_none() {
            add_all(&mut of_crossing, head.backward((0, &way.heads[0]), [(output, of_logits[0].clone())], count, None));
        } else {
            let mut pass = 0;
            for block in self.blocks(member, passes) {
                let here = pass..pass + block.masks.len();
                pass = here.end;
                let from = if block.first.is_some() { THINNED } else { 0 };
                let each = way.heads[here.clone()].par_iter().zip(&of_logits[here]).zip(&block.masks);
                let gradients = each.map(|((trace, gradient), masks)| {
                    let mut gradients = head.backward((from, trace), [(output, gradient.clone())], count, Some(masks));
                    let dense = thinning.and_then(|thinning| gradients[thinning.dense].take());
                    (gradients, dense)
                });
                let (gradients, of_dense): (Vec<_>, Vec<_>) = gradients.collect::<Vec<_>>().into_iter().unzip();
                for gradients in gradients {
                    add_all(&mut of_crossing, gradients);
                }
                if let (Some(first), Some(thinning)) = (&block.first, thinning) {
                    let gather = |(of_dense, thinned): (Option<Vec<T>>, &Thinned<T>)| {
                        let of_dense = of_dense.unwrap_or_else(|| vec![T::ZERO; count * thinning.outputs]);
                        thinned.gather(&of_dense, thinning.outputs)
                    };
                    let of_dense: Vec<Vec<T>> = of_dense.into_iter().zip(first).map(gather).collect();
                    let place = head.takes.iter().position(|&value| value == thinning.dropped).unwrap_or_default();
                    let sum = of_crossing[place].get_or_insert_with(|| vec![T::ZERO; count * thinning.inputs]);
                    add_products(sum, &of_dense, first, count);
                }
            }
        }
        let given = head.takes.iter().copied().zip(of_crossing).filter_map(|(value, gradient)| Some((value, gradient?)));
        let mut gradients = trunk.backward((0, &way.trunk), given, count, None);
        // No step leads back to the images: nothing that they do changes the answer.
        gradients[0].take().unwrap_or_else(|| vec![T::ZERO; count * self.image_shape.iter().product::<usize>()])
    }
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
                for value in gradient {
                    *value *= image.scale;
                }
            }
        }
        Ok(answer)
    }
}
