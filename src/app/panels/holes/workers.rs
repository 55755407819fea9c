//! What the tab of the holes has computed for it.

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

    fn is_same(&self, other: &Self) -> bool {
        self.has_same_map(other) && self.has_same_data(other) && self.panes == other.panes
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

    /// The settings of a map of one pane's members alone, and its criterion.
    fn of_pane(&self, place: usize) -> (MapSettings, HoleCriterion) {
        let (criterion, places) = &self.panes[place];
        let members = places.iter().map(|&place| self.settings.members[place]).collect();
        (MapSettings { members, ..self.settings.clone() }, *criterion)
    }
}

/// The holes of the maps that are shown.
pub struct FoundHoles {
    /// Those of each map.
    pub holes: Vec<Arc<Holes>>,
    /// The images at the peaks of the first holes of each map.
    pub thumbnails: Vec<Vec<f32>>,
    map: Arc<Map>,
    request: HoleRequest,
}

/// A hole to be searched: what it was found with and in, and its number.
type GarbageSearch = (HoleRequest, Arc<Map>, Arc<Holes>, usize);

/// The threads.
pub struct Workers {
    pub found: Worker<HoleRequest, FoundHoles>,
    pub garbage: Worker<GarbageSearch, Garbage>,
    pub interval: Worker<(HoleRequest, usize), HoleInterval>,
    pub curve: Worker<(HoleRequest, usize), HoleCurve>,
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
            desk.publish(FoundHoles { holes: all, thumbnails, map: Arc::clone(map), request: request.clone() });
            Ok(())
        })?;
        let garbage = Worker::spawn("garbage", Arc::clone(wake), |(request, map, of, hole): GarbageSearch, desk| {
            let mut engine = request.engine.foreground().until(desk.stop());
            desk.publish(garbage(&mut engine, &map, &of, hole, &request.surroundings, &mut |progress| desk.tell(progress))?);
            Ok(())
        })?;
        let interval = Worker::spawn("hole interval", Arc::clone(wake), |(request, place): (HoleRequest, usize), desk| {
            let (settings, criterion) = request.of_pane(place);
            let (mut engine, seeds) = (request.engine.background().until(desk.stop()), CurveSettings::default().seeds);
            let (set, ground) = (&request.set, HoleGround { images: request.images(), surroundings: &request.surroundings });
            let observe = &mut |progress| desk.tell(progress);
            desk.publish(hole_interval(set, &mut engine, &settings, ground, &criterion, seeds, observe)?);
            Ok(())
        })?;
        let curve = Worker::spawn("hole curve", Arc::clone(wake), |(request, place): (HoleRequest, usize), desk| {
            let (settings, criterion) = request.of_pane(place);
            let settings = MapSettings { members: request.set.members(None)?, ..settings };
            let (mut engine, curve) = (request.engine.background().until(desk.stop()), CurveSettings::default());
            let (set, ground) = (&request.set, HoleGround { images: request.images(), surroundings: &request.surroundings });
            let observe = &mut |progress| desk.tell(progress);
            desk.publish(hole_curve(set, &mut engine, &settings, ground, &criterion, &curve, observe)?);
            Ok(())
        })?;
        Ok(Self { found, garbage, interval, curve })
    }

    /// Looks for the holes of what is wanted, unless they have been asked for; an older request is given up.
    pub fn ask(&mut self, wanted: HoleRequest, asked: &mut Option<HoleRequest>) {
        if asked.as_ref().is_some_and(|asked| asked.is_same(&wanted)) {
            return;
        }
        // An interval of other holes is none of these.
        self.interval.cancel();
        *asked = Some(wanted.clone());
        self.found.request(wanted);
    }

    /// Searches a hole of a map for garbage.
    pub fn garbage(&self, found: &FoundHoles, place: usize, hole: usize) {
        self.garbage.request((found.request.clone(), Arc::clone(&found.map), Arc::clone(&found.holes[place]), hole));
    }

    /// Computes the interval of the holes of a map.
    pub fn interval_of(&self, found: &FoundHoles, place: usize) {
        self.interval.request((found.request.clone(), place));
    }

    /// Computes the curve for the measure of a map, over all members.
    pub fn curve_of(&self, found: &FoundHoles, place: usize) {
        self.curve.request((found.request.clone(), place));
    }
}
