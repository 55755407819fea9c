//! What the tab of the holes has computed for it.

use crate::app::state::answer::Answer;
use crate::app::state::choices::holes::ReferenceChoice;
use crate::app::state::scope::Scope;
use crate::data::Dataset;
use crate::engine::Engine as _;
use crate::error::Result;
use crate::jobs::{
    CurveSettings, Garbage, HOLE_GRID, HoleCriterion, HoleCurve, HoleGround, HoleInterval, Holes, Map, MapSettings, ModelSet, Reference,
    ReferenceImages, SharedEngine, Wake, Worker, garbage, hole_curve, hole_interval, hole_region, holes, map, reference,
};
use crate::latent::{Surroundings, View};
use crate::uncertainty::Passes;
use std::sync::Arc;

/// Thumbnails are made of so many holes.
pub const MOST_THUMBNAILS: usize = 60;

/// What the holes are looked for in: a map of their region, which does not depend on what is looked at.
#[derive(Clone)]
pub struct HoleRequest {
    set: Arc<ModelSet>,
    engine: Arc<SharedEngine>,
    /// The region's map; its members are those of all maps that are shown.
    settings: MapSettings,
    data: Option<Arc<Dataset>>,
    /// Which images are the reference, and how many at most.
    reference: (ReferenceChoice, usize),
    surroundings: Arc<Surroundings>,
    /// What counts as a hole in each map that is shown, and the places of its members in the settings.
    panes: Vec<(HoleCriterion, Vec<usize>)>,
}

impl HoleRequest {
    /// What the session wants: the holes of every map that is shown.
    pub fn wanted(scope: &Scope) -> Option<Self> {
        let surroundings = scope.surroundings.clone()?;
        let choice = &scope.session.holes;
        let grid = choice.grid.unwrap_or(HOLE_GRID);
        let view = match choice.region {
            Some(extent) => View::square(extent, grid).ok()?,
            None => hole_region(&scope.set.encodings.as_ref()?.train, grid).ok()?,
        };
        let shown = scope.session.shown();
        let mut members: Vec<usize> = shown.iter().flat_map(|pane| pane.members.iter().copied()).collect();
        members.sort_unstable();
        members.dedup();
        let of = |pane: &crate::app::state::session::Pane| {
            (choice.criterion(pane.measure), pane.members.iter().filter_map(|member| members.binary_search(member).ok()).collect())
        };
        let panes: Vec<(HoleCriterion, Vec<usize>)> = shown.iter().map(of).collect();
        let deterministic = panes.iter().any(|(criterion, _)| criterion.measure.passes() == Passes::Deterministic);
        let settings = MapSettings { view, members, deterministic, ..scope.session.map_settings(&scope.set).ok()? };
        let (set, engine) = (Arc::clone(&scope.set), Arc::clone(&scope.engine));
        let reference = (choice.reference, choice.reference_images);
        Some(Self { set, engine, settings, data: scope.data.clone(), reference, surroundings, panes })
    }

    fn has_same_map(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.set, &other.set) && self.settings == other.settings && Arc::ptr_eq(&self.surroundings, &other.surroundings)
    }

    fn has_same_data(&self, other: &Self) -> bool {
        self.reference == other.reference && self.data.as_ref().map(Arc::as_ptr) == other.data.as_ref().map(Arc::as_ptr)
    }

    fn images(&self) -> ReferenceImages<'_> {
        match self.reference.0 {
            ReferenceChoice::TestImages => ReferenceImages::choose(&self.set, self.data.as_deref()),
            ReferenceChoice::Decoded => ReferenceImages::Decoded,
        }
    }

    /// The request for one map alone, by its place, over its own members. `None` where there is no such map.
    pub fn alone(&self, place: usize) -> Option<Self> {
        let (criterion, places) = self.panes.get(place)?;
        Some(self.of_members(*criterion, places.iter().map(|&place| self.settings.members[place]).collect()))
    }

    /// As [`alone`](Self::alone), over all members of the ensemble.
    pub fn of_all_members(&self, place: usize) -> Option<Self> {
        let (criterion, _) = self.panes.get(place)?;
        Some(self.of_members(*criterion, (0..self.set.ensemble().members().len()).collect()))
    }

    fn of_members(&self, criterion: HoleCriterion, members: Vec<usize>) -> Self {
        let deterministic = criterion.measure.passes() == Passes::Deterministic;
        let panes = vec![(criterion, (0..members.len()).collect())];
        Self { settings: MapSettings { members, deterministic, ..self.settings.clone() }, panes, ..self.clone() }
    }

    /// Whether it is about these models.
    pub fn is_about(&self, set: &Arc<ModelSet>) -> bool {
        Arc::ptr_eq(&self.set, set)
    }
}

impl PartialEq for HoleRequest {
    /// Whether both find the same, on whatever engine.
    fn eq(&self, other: &Self) -> bool {
        self.has_same_map(other) && self.has_same_data(other) && self.panes == other.panes
    }
}

/// The holes of the maps that are shown, with their request.
pub type FoundAnswer = Answer<HoleRequest, FoundHoles>;

/// The holes of the maps that are shown.
pub struct FoundHoles {
    /// Those of each map.
    pub holes: Vec<Arc<Holes>>,
    /// The images at the peaks of the first holes of each map.
    pub thumbnails: Vec<Vec<f32>>,
    map: Arc<Map>,
}

/// A hole to be searched: what it was found with, the map and the holes that it is of, and its number.
type GarbageSearch = (HoleRequest, Arc<Map>, Arc<Holes>, usize);

/// The threads.
pub struct Workers {
    pub found: Worker<HoleRequest, FoundAnswer>,
    pub garbage: Worker<GarbageSearch, Answer<HoleRequest, Garbage>>,
    pub interval: Worker<HoleRequest, Answer<HoleRequest, HoleInterval>>,
    pub curve: Worker<HoleRequest, Answer<HoleRequest, HoleCurve>>,
}

impl Workers {
    /// Starts them.
    pub fn new(wake: &Wake) -> Result<Self> {
        let mut known: Option<(HoleRequest, Arc<Map>, Reference)> = None;
        let found = Worker::spawn("holes", Arc::clone(wake), move |request: HoleRequest, desk| {
            let mut engine = request.engine.background().until(desk.stop());
            let kept = known.take().filter(|(of, ..)| of.has_same_map(&request));
            let of_region = match &kept {
                Some((_, map, _)) => Arc::clone(map),
                None => Arc::new(map(&request.set, &mut engine, &request.settings, &mut |progress| desk.tell(progress))?),
            };
            let of_data = match kept {
                Some((of, _, reference)) if of.has_same_data(&request) => reference,
                _ => {
                    let (images, (_, count)) = (request.images(), request.reference);
                    reference(&request.set, &mut engine, &request.settings, images, count, &mut |progress| desk.tell(progress))?
                }
            };
            let (_, map, of_data) = known.insert((request.clone(), of_region, of_data));
            let (mut all, mut thumbnails) = (Vec::new(), Vec::new());
            for (criterion, places) in &request.panes {
                let holes = holes(map, of_data, &request.surroundings, criterion, places)?;
                let peaks: Vec<f64> = holes.list.iter().take(MOST_THUMBNAILS).flat_map(|hole| hole.region.peak).collect();
                thumbnails.push(if peaks.is_empty() { Vec::new() } else { request.engine.foreground().decode(&peaks)? });
                all.push(Arc::new(holes));
            }
            let result = FoundHoles { holes: all, thumbnails, map: Arc::clone(map) };
            desk.publish(Answer { request, result, complete: true });
            Ok(())
        })?;
        let garbage = Worker::spawn("garbage", Arc::clone(wake), |(request, map, of, hole): GarbageSearch, desk| {
            let mut engine = request.engine.foreground().until(desk.stop());
            let result = garbage(&mut engine, &map, &of, hole, &request.surroundings, &mut |progress| desk.tell(progress))?;
            desk.publish(Answer { request, result, complete: true });
            Ok(())
        })?;
        let interval = Worker::spawn("hole interval", Arc::clone(wake), |request: HoleRequest, desk| {
            let (mut engine, seeds) = (request.engine.background().until(desk.stop()), CurveSettings::default().seeds);
            let (set, ground) = (&request.set, HoleGround { images: request.images(), surroundings: &request.surroundings });
            let observe = &mut |progress| desk.tell(progress);
            let result = hole_interval(set, &mut engine, &request.settings, ground, &request.panes[0].0, seeds, observe)?;
            desk.publish(Answer { request, result, complete: true });
            Ok(())
        })?;
        let curve = Worker::spawn("hole curve", Arc::clone(wake), |request: HoleRequest, desk| {
            let (mut engine, curve) = (request.engine.background().until(desk.stop()), CurveSettings::default());
            let (set, ground) = (&request.set, HoleGround { images: request.images(), surroundings: &request.surroundings });
            let observe = &mut |progress| desk.tell(progress);
            let result = hole_curve(set, &mut engine, &request.settings, ground, &request.panes[0].0, &curve, observe)?;
            desk.publish(Answer { request, result, complete: true });
            Ok(())
        })?;
        Ok(Self { found, garbage, interval, curve })
    }

    /// Looks for the holes of what is wanted, unless they have been asked for; an older request is given up.
    pub fn ask(&self, wanted: &HoleRequest, asked: &mut Option<HoleRequest>) {
        if asked.as_ref() == Some(wanted) {
            return;
        }
        // An interval of other holes is none of these.
        self.interval.cancel();
        *asked = Some(wanted.clone());
        self.found.request(wanted.clone());
    }

    /// Searches a hole of a map for garbage.
    pub fn garbage(&self, found: &FoundAnswer, place: usize, hole: usize) {
        if let Some(request) = found.request.alone(place) {
            let FoundHoles { map, holes, .. } = &found.result;
            self.garbage.request((request, Arc::clone(map), Arc::clone(&holes[place]), hole));
        }
    }
}
