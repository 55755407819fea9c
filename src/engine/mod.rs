//! Engines: latent points or images in, statistics of the draws out. The same seed and settings give the same draws on
//! every engine, with any number of threads and any tiling.

pub mod auto;
mod checked;
pub mod cpu;
pub mod fallback;
mod flops;
pub mod gpu;
pub mod reference;
mod stop;
#[cfg(test)]
pub(crate) mod test_engine;
mod thinning;
mod wrapper;

pub use flops::{Work, work};
pub use stop::Stop;
pub use wrapper::EngineWrapper;

use crate::error::{Error, Result};
use crate::nets::{Ensemble, Network};
use crate::uncertainty::{GroupSums, StatisticsGrid};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// What an engine works with: the ensemble that is asked, and the decoder of the latent space, if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Models {
    /// z → image.
    pub decoder: Option<Network>,
    /// The classifiers.
    pub ensemble: Ensemble,
}

impl Models {
    /// Puts a decoder and an ensemble together.
    ///
    /// # Errors
    /// When the decoder does not make the images that the ensemble takes.
    pub fn new(decoder: Option<Network>, ensemble: Ensemble) -> Result<Self> {
        if let Some(decoder) = &decoder
            && decoder.output_shape() != ensemble.image_shape()
        {
            return Err(Error::Network(format!(
                "the decoder makes images of {:?}, but the classifiers take {:?}: choose models of the same data",
                decoder.output_shape(),
                ensemble.image_shape()
            )));
        }
        Ok(Self { decoder, ensemble })
    }
}

/// How dropout masks are shared between points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Masks {
    /// One draw is one function f^ω of the whole plane: a smooth map.
    #[default]
    Shared,
    /// Every point draws its own masks, as the paper's code did.
    PerPoint,
}

/// Which passes through the networks are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Draws {
    /// One pass with dropout off.
    Deterministic,
    /// The draws of these numbers.
    Sampled(Range<u32>),
}

/// What goes into the networks.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Latent points, \[N, latent size\] row-major, to be decoded first.
    Latent(&'a [f64]),
    /// Images in 0..=1, \[N, C, H, W\] row-major.
    Images(&'a [f32]),
}

/// One block of work: small enough that a person need not wait for it, large enough to be worth the call.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// The points.
    pub input: Input<'a>,
    /// The number of each point in the whole work, for [`Masks::PerPoint`]: it makes the masks independent of the tiling.
    pub point_numbers: &'a [u32],
    /// The members by their number in the ensemble.
    pub members: &'a [usize],
    /// The passes.
    pub draws: Draws,
    /// Into how many groups of consecutive draws the statistics are kept apart, 1 for none: from the spread between groups
    /// follows the standard error (see [`GroupSums::mutual_information_standard_error`]).
    pub groups: usize,
    /// The seed of the dropout masks.
    pub seed: u32,
    /// How masks are shared between points.
    pub masks: Masks,
}

impl Block<'_> {
    /// The number of passes through each member.
    pub fn passes(&self) -> usize {
        match &self.draws {
            Draws::Deterministic => 1,
            Draws::Sampled(draws) => draws.len(),
        }
    }

    /// The group of the pass of that place in [`draws`](Self::draws): the groups differ by one draw at most.
    pub fn group(&self, pass: usize) -> usize {
        pass * self.groups / self.passes()
    }
}

/// Computes the statistics of draws. An engine is opened for one set of models and may keep what it has prepared of them
/// (packed weights, thinned networks) from call to call.
pub trait Engine: Send {
    /// The engine's name as it stands in `--engine`.
    fn name(&self) -> &'static str;

    /// How many points a block should have: enough to be worth the call, so few that nobody waits for one block to end. May grow as
    /// the engine learns how fast it is.
    fn points_per_block(&self) -> usize {
        256
    }

    /// What a person should know of the engine that answers: that another one took over, and why. `None` where all is as asked.
    fn notice(&self) -> Option<String> {
        None
    }

    /// From now on, calls end with [`Error::Cancelled`] soon after this is set, also in the middle of a block.
    fn heed(&mut self, _stop: &Stop) {}

    /// The statistics of the block: `point_numbers.len()` points, `members.len()` · `groups` rows to a point, those of a
    /// member side by side.
    ///
    /// # Errors
    /// When the engine fails; a block that does not fit the models is the caller's defect.
    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid>;

    /// The statistics of each member without groups, and the sums of each group over all members: what a map needs. An engine
    /// whose results come from afar need not bring the statistics of every group of every member.
    ///
    /// # Errors
    /// As [`statistics`](Self::statistics).
    fn grouped_statistics(&mut self, block: &Block<'_>) -> Result<(StatisticsGrid, GroupSums)> {
        let apart = self.statistics(block)?;
        let places: Vec<usize> = (0..block.members.len()).collect();
        Ok((apart.without_groups(block.groups), GroupSums::of(&apart, block.groups, &places)))
    }

    /// The images of latent points, \[N, C, H, W\] for z \[N, latent size\].
    ///
    /// # Errors
    /// When there is no decoder, or the engine fails.
    fn decode(&mut self, z: &[f64]) -> Result<Vec<f32>>;

    /// The class probabilities of every draw, \[points, members, draws, classes\]: for the inspector, not for maps.
    ///
    /// # Errors
    /// As [`statistics`](Self::statistics).
    fn probabilities(&mut self, block: &Block<'_>) -> Result<Vec<f64>>;

    /// How fast the engine's device can be, and where the time goes in the statistics of this block: for benchmarks. `None`
    /// where the engine cannot tell.
    ///
    /// # Errors
    /// As [`statistics`](Self::statistics).
    fn profile(&mut self, _block: &Block<'_>) -> Result<Option<Profile>> {
        Ok(None)
    }
}

/// What an engine measures of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Profile {
    /// The most that the device is seen to do, in units of 10⁹ floating-point operations a second; a multiplication and an addition
    /// are two.
    pub peak_gflops: Option<f64>,
    /// The parts of the work, as far as they can be told apart.
    pub kernels: Vec<KernelTime>,
    /// How often work was handed to the device.
    pub submissions: u64,
    /// The bytes that came back from the device.
    pub bytes_read_back: u64,
    /// How many points went through the device together, at most.
    pub points_together: usize,
}

/// The time of one part of the work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelTime {
    /// Its name.
    pub name: String,
    /// How often it ran.
    pub calls: u64,
    /// All of its time.
    pub seconds: f64,
    /// All of its floating-point operations.
    pub flops: f64,
}

/// A kind of engine that can be opened.
pub struct Kind {
    /// Its name as it stands in `--engine`.
    pub name: &'static str,
    /// One line for a person.
    pub summary: &'static str,
    /// Whether it needs more than a processor: [`open`] then gives it the CPU engine as fallback.
    pub may_fail: bool,
    /// Lines on what it has to compute with here, for a person.
    pub devices: fn() -> Vec<String>,
    /// Why it cannot work on this machine, for a person; it may take half a second to know. `None` where it can.
    pub problem: fn() -> Option<String>,
    /// Opens it for the given models, without a fallback.
    pub open: fn(Arc<Models>) -> Result<Box<dyn Engine>>,
}

/// Every engine of this build: the default first, then the fastest first.
pub fn available() -> &'static [Kind] {
    &KINDS
}

static KINDS: [Kind; 6] = [
    Kind {
        name: AUTO,
        summary: "the fastest of these that works here",
        may_fail: true,
        devices: Vec::new,
        problem: none,
        open: auto::open,
    },
    Kind {
        name: "cpu",
        summary: "every core, vectorised, draws as thinned networks",
        may_fail: false,
        devices: cpu::devices,
        problem: none,
        open: cpu::open,
    },
    Kind {
        name: "gpu",
        summary: "shaders on a graphics processor, in single precision",
        may_fail: true,
        devices: gpu::devices,
        problem: || gpu::missing(gpu::Precision::Single),
        open: gpu::open,
    },
    Kind {
        name: "gpu-f16",
        summary: "the same with factors of 16 bits and sums of 32",
        may_fail: true,
        devices: Vec::new,
        problem: || gpu::missing(gpu::Precision::Half),
        open: gpu::open_half,
    },
    Kind {
        name: "gpu-matrix",
        summary: "the same on matrix units, where shaders can use them",
        may_fail: true,
        devices: Vec::new,
        problem: || gpu::missing(gpu::Precision::Matrix),
        open: gpu::open_matrix,
    },
    Kind {
        name: "reference",
        summary: "plain f64 loops, one draw at a time: slow, and obviously right",
        may_fail: false,
        devices: Vec::new,
        problem: none,
        open: reference::open,
    },
];

/// The problem of an engine that works on every machine.
fn none() -> Option<String> {
    None
}

/// The names of the engines that cannot work on this machine, each with the reason. The first call asks the graphics drivers, which may
/// take half a second.
pub fn problems() -> &'static [(&'static str, String)] {
    static PROBLEMS: OnceLock<Vec<(&'static str, String)>> = OnceLock::new();
    PROBLEMS.get_or_init(|| available().iter().filter_map(|kind| Some((kind.name, (kind.problem)()?))).collect())
}

/// The name of the default engine.
pub const AUTO: &str = "auto";

/// The engine of that name.
///
/// # Errors
/// When there is none.
pub fn named(name: &str) -> Result<&'static Kind> {
    available().iter().find(|kind| kind.name == name).ok_or_else(|| {
        let names: Vec<&str> = available().iter().map(|kind| kind.name).collect();
        Error::setting("--engine", format!("'{name}' is no engine of this build"), format!("choose one of {}", names.join(", ")))
    })
}

/// Opens the engine with this name. If it can fail, the CPU engine is its fallback (see [`fallback`]). Its answers are finite, or an
/// error that names the point and the member; the draws of a member without a random layer are equal to the bit.
///
/// # Errors
/// When there is none of that name, or it cannot be opened.
pub fn open(name: &str, models: Arc<Models>) -> Result<Box<dyn Engine>> {
    let engine = named(name)?.open_with_fallback(Arc::clone(&models))?;
    Ok(Box::new(checked::Checked { engine, models }))
}

impl Kind {
    fn open_with_fallback(&self, models: Arc<Models>) -> Result<Box<dyn Engine>> {
        if self.may_fail { fallback::open(self.open, models) } else { (self.open)(models) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_opens_by_its_name_and_the_chosen_one_says_which_it_is() {
        let names: std::collections::BTreeSet<&str> = available().iter().map(|kind| kind.name).collect();
        assert!(names.len() == available().len() && available()[0].name == AUTO);
        for name in names {
            let chosen = open(name, test_engine::small_models()).unwrap().name();
            assert!(chosen != AUTO && available().iter().any(|kind| kind.name == chosen), "{name}: {chosen}");
        }
        let text = open("steam", test_engine::small_models()).err().unwrap().to_string();
        assert!(text.contains("'steam'") && text.contains("auto, cpu, "), "{text}");
    }

    #[test]
    fn an_engine_with_a_problem_leaves_the_work_to_the_cpu() {
        for (name, problem) in problems() {
            assert!(name.starts_with("gpu") && !problem.is_empty(), "{name}: {problem}");
            assert_eq!(open(name, test_engine::small_models()).unwrap().name(), "cpu", "{name}: {problem}");
        }
    }

    #[test]
    fn only_engines_that_may_fail_have_a_fallback() {
        let open = |_| Err(Error::Engine("there is no adapter".to_owned()));
        let kind = |may_fail| Kind { name: "absent", summary: "", may_fail, devices: Vec::new, problem: none, open };
        let opened = kind(true).open_with_fallback(test_engine::small_models()).unwrap();
        assert_eq!((opened.name(), opened.notice().as_deref()), ("cpu", Some("The CPU computes: there is no adapter.")));
        assert!(matches!(kind(false).open_with_fallback(test_engine::small_models()), Err(Error::Engine(_))));
        assert!(matches!((kind(true).open)(test_engine::small_models()), Err(Error::Engine(_))));
    }
}
