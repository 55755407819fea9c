//! Jobs: what the window and the command line both ask for. A job takes settings that say everything, tells its progress as
//! it goes, can be stopped between two blocks of work, and returns plain data.

mod attack;
mod compare;
mod detect;
mod draw_groups;
mod evaluate;
mod export;
mod figures;
mod holes;
mod inspect;
mod interpolate;
mod interpolation_ends;
mod laplace;
pub mod library;
mod live;
mod map;
mod map_cache;
mod model_files;
mod model_recovery;
mod models;
mod pack;
mod passes;
mod population;
mod screen;
mod search;
mod shard;
mod shared_engine;
mod soak;
mod tables;
pub mod training;
mod watched_attack;
mod worker;

pub use attack::{
    AttackObserver, AttackSettings, Attacked, Labels, On, attack, percent_or_dash, self_checks, succeeded, success_proportion, success_rate,
};
pub use compare::{Comparison, Difference, compare, compare_maps};
pub use detect::{
    DetectObserver, DetectSettings, Detected, Detection, Detector, Distances, EntropyGain, Kind, Manifold, Negatives, NoiseControl,
    Positives, ScoreFile, Scored, ScoredLine, SeedSpread, SuccessDifference, TABLE1_HEADS, TABLE1_IMAGES, Table1Line, Unfamiliar,
    cache_folder, detect, scored_csv, scored_text, table1_attacks, unfamiliar,
};
pub use draw_groups::DrawGroups;
pub use evaluate::{Evaluation, NamedScores, evaluate};
pub use export::{Raw, RawFormat};
pub use figures::{
    AttackFigures, Computed, DataSource, FigureSettings, detection_plots, figures, hole_picture, hole_provenance, interpolation_plots,
    map_data, population_plots, provenance,
};
pub use holes::{
    CurvePoint, CurveSettings, CurveThreshold, Garbage, HOLE_GRID, Hole, HoleCriterion, HoleCurve, HoleGround, HoleInterval, HoleReport,
    Holes, MeasureBound, PairedDifference, Reference, ReferenceImages, SingleMember, garbage, hole_curve, hole_interval, hole_region,
    holes, reference,
};
pub use inspect::{InspectSettings, Inspection, Neighbour, Subject, inspect, neighbours};
pub use interpolate::{Curve, Interpolation, InterpolationSettings, Path, interpolate};
pub use interpolation_ends::{End, default_ends, first_of_another_class, image_end, typical_image};
pub use laplace::{LaplaceModel, laplace};
pub use live::{LiveMap, fill, fill_gaps};
pub use map::{Map, MapSettings, Seen, map};
pub use map_cache::MapCache;
pub use model_files::has_vae;
pub use model_recovery::{RecoveredModels, renumbered};
pub use models::{Additions, Classifiers, ModelSet, decoded_digits};
pub use pack::{encode_into, pack};
pub use passes::ComputedBy;
pub use population::{Population, PopulationObserver, PopulationSettings, population};
pub use screen::{ScreenSettings, screen, screen_data};
pub use search::{SearchSettings, search_garbage};
pub use shard::{MergeEngine, Part, Shard, ShardEngine, Sharing, read_parts, unpack_attacked};
pub use shared_engine::{SharedEngine, Turn};
pub use soak::{Soak, soak};
pub use watched_attack::{Aim, AttackEnd, SweepPoint, WatchedAttack, attacked_answer, sweep_attack, watch_attack};
pub use worker::{Desk, Status, Task, Urgency, Wake, Worker};

use crate::error::{Error, Result};
use std::ops::ControlFlow;

/// How far a job is, in a unit that the job names (points, images).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Done so far.
    pub done: u64,
    /// To do in all.
    pub total: u64,
}

/// Is told how far a job is, and may stop it.
pub type Observer<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Tells the observer.
///
/// # Errors
/// When the observer stops the job.
fn tell(observe: Observer<'_>, done: usize, total: usize) -> Result<()> {
    match observe(Progress { done: done as u64, total: total as u64 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}
