//! Everything that makes the picture: what undo brings back, and what a session file holds.

use crate::app::state::choices::MOST_GRID;
use crate::app::state::choices::attack::AttackChoice;
use crate::app::state::choices::detection::DetectionChoice;
use crate::app::state::choices::holes::HoleChoice;
use crate::app::state::choices::training::TrainingChoice;
use crate::engine::{AUTO, Masks};
use crate::error::{Error, Result};
use crate::figure::{ColourMap, ColourRange, ManualRange};
use crate::jobs::{Additions, MapSettings, ModelSet, Seen};
use crate::latent::{Encodings, View};
use crate::uncertainty::Measure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The most draws per member that the window offers.
pub const MOST_SAMPLES: u32 = 1000;
/// Decoded images along each axis of a map.
pub const MOST_IMAGES: usize = 20;
/// The narrowest and the widest view: closer, f32 decoders have no steps left; farther, all is one hole.
const WIDTHS: std::ops::RangeInclusive<f64> = 1e-3..=1e4;

/// The names of the two pins.
pub const PIN_NAMES: [&str; 2] = ["A", "B"];

/// The names of the two ends of the line.
pub const END_NAMES: [&str; 2] = ["start", "end"];

/// A point that is kept in the inspector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pin {
    /// A latent point, decoded.
    Latent([f64; 2]),
    /// An image of the data by its number in the test set, encoded.
    Data(usize),
    /// An image file, encoded.
    File(PathBuf),
}

/// What one map shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Pane {
    /// The measure.
    pub measure: Measure,
    /// The members of the ensemble, by number, in ascending order.
    pub members: Vec<usize>,
    /// The other map, by its place, that this one is the difference from: this measure and members minus those there.
    pub minus: Option<usize>,
}

impl Pane {
    /// What is seen of a map here, among panes whose places [`minus`](Self::minus) names.
    pub fn seen(&self, panes: &[Self]) -> Seen {
        let minus = self.minus.and_then(|place| panes.get(place)).map(|other| (other.measure, other.members.clone()));
        Seen { measure: self.measure, members: self.members.clone(), minus }
    }
}

/// How many maps stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// One.
    One,
    /// Two.
    Two,
    /// Two rows of two.
    Four,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 3] = [Self::One, Self::Two, Self::Four];

    /// The number of maps.
    pub const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}

/// What lies over the maps.
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the screen")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Overlays {
    /// The encodings of the training data in class colours.
    pub encodings: bool,
    /// Contours of the encodings' density.
    pub density: bool,
    /// The outlines of the holes.
    pub holes: bool,
    /// Decoded images on a grid.
    pub digits: bool,
    /// The interpolation line and its handles.
    pub line: bool,
    /// The classes that are not shown, in ascending order.
    pub hidden: Vec<usize>,
}

/// The interpolation line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Line {
    /// Its start and its end on the latent plane.
    pub ends: [[f64; 2]; 2],
    /// The images of the test set that the ends are, by number, where they are such images.
    pub images: [Option<usize>; 2],
    /// Points along it, both ends included.
    pub steps: usize,
    /// The measures whose curves are drawn.
    pub measures: Vec<Measure>,
    /// Whether the geodesic is drawn as well.
    pub geodesic: bool,
    /// Random pairs of the population view.
    pub pairs: usize,
}

/// Everything that makes the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Session {
    /// The folder of the models; the shipped ones for `None`.
    pub models: Option<PathBuf>,
    /// What stands in place of their VAE or beside their members. Older sessions know none.
    #[serde(default)]
    pub additions: Additions,
    /// The SHA-256 of each model, by name, as far as they are known.
    pub hashes: BTreeMap<String, String>,
    /// The engine that was asked for, by name.
    pub engine: String,
    /// The middle of the view.
    pub centre: [f64; 2],
    /// The width and height of the view, which is a square.
    pub width: f64,
    /// Points along each axis.
    pub grid: usize,
    /// Draws per member.
    pub samples: u32,
    /// The seed of the masks.
    pub seed: u32,
    /// How masks are shared between points.
    pub masks: Masks,
    /// The maps, four of them; the layout says how many are shown.
    pub panes: Vec<Pane>,
    /// How many maps are shown.
    pub layout: Layout,
    /// The map whose settings the keys change.
    pub active: usize,
    /// The colours of the values.
    pub colours: ColourMap,
    /// What the ends of the colours stand for.
    pub range: ColourRange,
    /// The ranges of colours that were set by hand; they take precedence over `range`. Older sessions have none.
    #[serde(default)]
    pub manual_ranges: Vec<ManualRange>,
    /// What lies over the maps.
    pub overlays: Overlays,
    /// The points in the inspector, A and B.
    pub pins: [Option<Pin>; 2],
    /// The interpolation line.
    pub line: Line,
    /// What counts as a hole.
    pub holes: HoleChoice,
    /// What is attacked, and how. Older sessions know none.
    #[serde(default)]
    pub attack: AttackChoice,
    /// What is detected, and what is seen of it. Older sessions know none.
    #[serde(default)]
    pub detection: DetectionChoice,
    /// What is trained, and how. Older sessions know none.
    #[serde(default)]
    pub training: TrainingChoice,
}

impl Session {
    /// The session of a first start with these models, after Figure 1 of the paper: MI and entropy of one network side by side under the
    /// encodings, and a line across the boundary between two neighbouring classes. The other two maps are those of all networks.
    pub fn new(set: &ModelSet) -> Self {
        let members = set.ensemble().members().len();
        let pane = |measure, count: usize| Pane { measure, members: (0..count.min(members)).collect(), minus: None };
        Self {
            models: None,
            additions: Additions::default(),
            hashes: set.hashes.clone(),
            engine: AUTO.to_owned(),
            centre: [0.0, 0.0],
            width: 20.0,
            grid: 128,
            samples: 50,
            seed: 0,
            masks: Masks::Shared,
            panes: vec![
                pane(Measure::MutualInformation, 1),
                pane(Measure::PredictiveEntropy, 1),
                pane(Measure::MutualInformation, members),
                pane(Measure::PredictiveEntropy, members),
            ],
            layout: Layout::Two,
            active: 0,
            colours: ColourMap::Viridis,
            range: ColourRange::Data,
            manual_ranges: Vec::new(),
            overlays: Overlays { encodings: true, density: false, holes: false, digits: false, line: true, hidden: Vec::new() },
            pins: [None, None],
            line: Line {
                ends: set.encodings.as_ref().and_then(|shipped| neighbours(&shipped.train)).unwrap_or([[-2.0, 2.0], [2.0, -2.0]]),
                images: [None, None],
                steps: 31,
                measures: vec![Measure::PredictiveEntropy, Measure::MutualInformation],
                geodesic: false,
                pairs: 3000,
            },
            holes: HoleChoice::default(),
            attack: AttackChoice::default(),
            detection: DetectionChoice::default(),
            training: TrainingChoice::default(),
        }
    }

    /// Checks what came from a file against the models.
    ///
    /// # Errors
    /// When a number is out of range or names something that is not there; says which.
    pub fn check(&self, set: &ModelSet) -> Result<()> {
        let wrong =
            |what: &str, problem: String| Err(Error::setting(format!("'{what}' of the session"), problem, "choose another session file"));
        let (members, classes) = (set.ensemble().members().len(), set.ensemble().classes().len());
        if !self.centre.iter().all(|z| z.abs() <= *WIDTHS.end()) || !WIDTHS.contains(&self.width) {
            return wrong("width", format!("{} around {:?} is no part of the latent plane", self.width, self.centre));
        }
        if !(2..=MOST_GRID).contains(&self.grid) || !(1..=MOST_SAMPLES).contains(&self.samples) {
            return wrong("grid", format!("{} points and {} draws are out of range", self.grid, self.samples));
        }
        if self.panes.len() != Layout::Four.count() || self.active >= self.panes.len() {
            return wrong("panes", format!("there are {} where four are expected", self.panes.len()));
        }
        for pane in &self.panes {
            let ordered = pane.members.windows(2).all(|pair| pair[0] < pair[1]);
            if !ordered || pane.members.is_empty() || pane.members.iter().any(|&member| member >= members) {
                return wrong("members", format!("{:?} are no members of the ensemble of {members}", pane.members));
            }
            if pane.minus.is_some_and(|other| other >= self.panes.len()) {
                return wrong("minus", "there is no such map".to_owned());
            }
        }
        if let Some(ManualRange { range: [low, high], .. }) = self.manual_ranges.iter().find(|manual| !manual.is_valid()) {
            return wrong("manual_ranges", format!("the colours cannot go from {low} to {high}"));
        }
        if self.overlays.hidden.iter().any(|&class| class >= classes) {
            return wrong("hidden", format!("there are only {classes} classes"));
        }
        let finite = |point: &[f64; 2]| point.iter().all(|z| z.is_finite());
        let pinned = self.pins.iter().flatten().all(|pin| if let Pin::Latent(z) = pin { finite(z) } else { true });
        if !pinned || !self.line.ends.iter().all(finite) {
            return wrong("line", "a point is not finite".to_owned());
        }
        if !(2..=1000).contains(&self.line.steps) || !(1..=100_000).contains(&self.line.pairs) {
            return wrong("line", format!("{} steps and {} pairs are out of range", self.line.steps, self.line.pairs));
        }
        if let Some(problem) = self.holes.problem() {
            return wrong("holes", problem);
        }
        if let Some(problem) = self.attack.problem(set) {
            return wrong("attack", problem);
        }
        if let Some(problem) = self.detection.problem(set) {
            return wrong("detection", problem);
        }
        if let Some(problem) = self.training.problem() {
            return wrong("training", problem);
        }
        Ok(())
    }

    /// The maps that are shown.
    pub fn shown(&self) -> &[Pane] {
        &self.panes[..self.layout.count()]
    }

    /// The part of the plane that is looked at, [z₁, z₂] each from the first to the last.
    pub fn extent(&self) -> [[f64; 2]; 2] {
        self.centre.map(|middle| [middle - self.width / 2.0, middle + self.width / 2.0])
    }

    /// Where the decoded images lie that are shown over the maps, `per_axis` along each axis.
    ///
    /// # Errors
    /// As [`View::new`].
    pub fn image_grid(&self, per_axis: usize) -> Result<View> {
        let half = self.width / per_axis as f64 / 2.0;
        let [z1, z2] = self.extent().map(|[first, last]| [first + half, last - half]);
        View::new(z1, z2, per_axis, per_axis)
    }

    /// What fixes the map under all of this: every member, so that another choice of them costs nothing.
    ///
    /// # Errors
    /// As [`View::new`].
    pub fn map_settings(&self, set: &ModelSet) -> Result<MapSettings> {
        let [z1, z2] = self.extent();
        Ok(MapSettings {
            view: View::new(z1, z2, self.grid, self.grid)?,
            samples: self.samples,
            members: set.members(None)?,
            seed: self.seed,
            masks: self.masks,
            deterministic: true,
        })
    }

    /// Moves the view by a part of the plane.
    pub fn pan(&mut self, by: [f64; 2]) {
        let farthest = *WIDTHS.end();
        self.centre = [0, 1].map(|axis| (self.centre[axis] + by[axis]).clamp(-farthest, farthest));
    }

    /// Makes the view narrower by a factor, with a point of the plane staying where it is.
    pub fn zoom(&mut self, factor: f64, around: [f64; 2]) {
        let width = (self.width / factor).clamp(*WIDTHS.start(), *WIDTHS.end());
        let scale = width / self.width;
        self.centre = [0, 1].map(|axis| around[axis] + (self.centre[axis] - around[axis]) * scale);
        self.width = width;
    }

    /// Shows the smallest square around a part of the plane, [z₁, z₂] each from the first to the last.
    pub fn show_extent(&mut self, extent: [[f64; 2]; 2]) {
        self.centre = extent.map(|[first, last]| f64::midpoint(first, last));
        let width = extent.map(|[first, last]| last - first).into_iter().fold(0.0, f64::max);
        self.width = width.clamp(*WIDTHS.start(), *WIDTHS.end());
    }

    /// Chooses what the ends of all colours stand for; ranges that were set by hand end.
    pub fn set_range(&mut self, range: ColourRange) {
        self.range = range;
        self.manual_ranges.clear();
    }

    /// Brings a point into the middle, close enough to see what is around it.
    pub fn fly_to(&mut self, point: [f64; 2]) {
        self.centre = point;
        self.width = self.width.min(6.0);
    }

    /// Back to the view of a first start.
    pub fn reset_view(&mut self) {
        self.centre = [0.0, 0.0];
        self.width = 20.0;
    }
}

/// The centres of the two classes that are farthest apart among those with no third centre between them, that is, in the circle whose diameter
/// they are (neighbours in the Gabriel graph). `None` where fewer than two classes have a centre of their own.
fn neighbours(encodings: &Encodings) -> Option<[[f64; 2]; 2]> {
    let centres: Vec<[f64; 2]> = encodings.class_centres().into_iter().flatten().map(|centre| centre.map(f64::from)).collect();
    let distance = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
    let pairs = centres.iter().enumerate().flat_map(|(number, &a)| centres[number + 1..].iter().map(move |&b| [a, b]));
    let neighbouring = pairs.filter(|&[a, b]| {
        let middle = [0, 1].map(|axis| f64::midpoint(a[axis], b[axis]));
        let others = centres.iter().filter(|&&other| other != a && other != b);
        a != b && others.clone().all(|&other| distance(other, middle) > distance(a, b) / 2.0)
    });
    neighbouring.max_by(|&[a, b], &[c, d]| distance(a, b).total_cmp(&distance(c, d)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encodings(points: Vec<[f32; 2]>) -> Encodings {
        let labels = (0..points.len() as u16).collect();
        let classes = (0..points.len()).map(|class| class.to_string()).collect();
        Encodings::new(points, labels, classes).unwrap()
    }

    #[test]
    fn the_line_of_a_first_start_joins_the_farthest_neighbours() {
        // The first and the third are farthest apart, but the second lies between them.
        let three = encodings(vec![[0.0, 0.0], [1.0, 0.25], [3.0, 0.0]]);
        assert_eq!(neighbours(&three), Some([[1.0, 0.25], [3.0, 0.0]]));
        assert_eq!(neighbours(&encodings(vec![[1.0, 1.0]])), None);
        assert_eq!(neighbours(&encodings(vec![[1.0, 1.0], [1.0, 1.0]])), None);
    }

    #[test]
    fn a_first_start_shows_two_maps_with_encodings_and_a_line_between_two_classes() {
        let set = ModelSet::shipped().unwrap();
        let session = Session::new(&set);
        let measures: Vec<Measure> = session.shown().iter().map(|pane| pane.measure).collect();
        assert_eq!(measures, [Measure::MutualInformation, Measure::PredictiveEntropy]);
        assert!(session.overlays.encodings && session.overlays.line);
        let centres = set.encodings.as_ref().unwrap().train.class_centres();
        let classes =
            session.line.ends.map(|end| centres.iter().position(|centre| centre.map(|centre| centre.map(f64::from)) == Some(end)));
        assert_eq!(classes, [Some(1), Some(7)]);
        session.check(&set).unwrap();
    }
}
