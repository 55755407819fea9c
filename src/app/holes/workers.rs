//! What the tab of the holes has computed for it.

use crate::app::scope::Scope;
use crate::engine::Engine as _;
use crate::error::Result;
use crate::jobs::{
    CurvePoint, CurveSettings, Garbage, HoleSettings, Holes, LiveMap, MapSettings, ModelSet, Reference, SharedEngine, Status, Wake, Worker,
    garbage, hole_curve, holes, reference,
};
use crate::latent::Surroundings;
use eframe::egui::Context;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Thumbnails are made of so many holes.
pub const MOST_THUMBNAILS: usize = 60;
/// While the map grows, its holes are looked for so often.
const REFRESH: Duration = Duration::from_millis(700);

/// What the holes are looked for in.
#[derive(Clone)]
pub struct Asked {
    pub set: Arc<ModelSet>,
    pub engine: Arc<SharedEngine>,
    pub live: Arc<LiveMap>,
    pub surroundings: Arc<Surroundings>,
    /// What counts as a hole in each map that is shown, and the members asked.
    pub panes: Vec<(HoleSettings, Vec<usize>)>,
}

impl Asked {
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.live, &other.live) && Arc::ptr_eq(&self.surroundings, &other.surroundings) && self.panes == other.panes
    }
}

/// The holes of the maps that are shown.
pub struct Found {
    /// Those of each map.
    pub holes: Vec<Arc<Holes>>,
    /// The images at the peaks of the first holes of each map.
    pub thumbnails: Vec<Vec<f32>>,
    pub reference: Arc<Reference>,
    pub asked: Asked,
}

/// A hole to be searched: what was found, the map's place, the hole's number.
type Search = (Asked, Arc<Holes>, usize);

/// The threads.
pub struct Workers {
    pub found: Worker<Asked, Found>,
    pub garbage: Worker<Search, Garbage>,
    pub curve: Worker<(Asked, Arc<Reference>, HoleSettings, u32), Vec<CurvePoint>>,
    complete: bool,
    asked_at: Instant,
}

impl Workers {
    /// Starts them.
    pub fn new(wake: &Wake) -> Result<Self> {
        let mut known: Option<(MapSettings, Arc<ModelSet>, Arc<Reference>)> = None;
        let found = Worker::spawn("holes", Arc::clone(wake), move |asked: Asked, desk| {
            let settings = asked.live.read().settings.clone();
            // What the members say of the data depends on everything but the view.
            let key = MapSettings { view: crate::latent::View::new([0.0, 1.0], [0.0, 1.0], 1, 1)?, ..settings.clone() };
            let fits = known.as_ref().filter(|(of, set, _)| *of == key && Arc::ptr_eq(set, &asked.set));
            let of_data = if let Some((_, _, reference)) = fits {
                Arc::clone(reference)
            } else {
                let mut engine = asked.engine.background();
                let made = Arc::new(reference(&asked.set, &mut engine, &settings, super::REFERENCE, &mut |progress| desk.tell(progress))?);
                known = Some((key, Arc::clone(&asked.set), Arc::clone(&made)));
                made
            };
            let (mut all, mut thumbnails) = (Vec::new(), Vec::new());
            for (settings, members) in &asked.panes {
                let holes = holes(&asked.live.read(), &of_data, &asked.surroundings, settings, members)?;
                let peaks: Vec<f64> = holes.list.iter().take(MOST_THUMBNAILS).flat_map(|hole| hole.region.peak).collect();
                thumbnails.push(if peaks.is_empty() { Vec::new() } else { asked.engine.foreground().decode(&peaks)? });
                all.push(Arc::new(holes));
            }
            desk.publish(Found { holes: all, thumbnails, reference: of_data, asked: asked.clone() });
            Ok(())
        })?;
        let garbage = Worker::spawn("garbage", Arc::clone(wake), |(asked, of, hole): Search, desk| {
            // A copy: the map goes on growing while the hole is searched.
            let map = asked.live.read().clone();
            let mut engine = asked.engine.foreground();
            desk.publish(garbage(&mut engine, &map, &of, hole, &asked.surroundings, &mut |progress| desk.tell(progress))?);
            Ok(())
        })?;
        let curve =
            Worker::spawn("hole curve", Arc::clone(wake), |(asked, of_data, settings, seed): (Asked, Arc<Reference>, _, _), desk| {
                let curve = CurveSettings { seed, ..CurveSettings::default() };
                let map = asked.live.read().clone();
                desk.publish(hole_curve(&map, &of_data, &asked.surroundings, &settings, &curve, &mut |progress| desk.tell(progress))?);
                Ok(())
            })?;
        Ok(Self { found, garbage, curve, complete: false, asked_at: Instant::now() })
    }

    /// Looks for the holes of what is wanted, unless they have been found; again as the map grows.
    pub fn ask(&mut self, ctx: &Context, wanted: Asked, asked: &mut Option<Asked>, map: &Status) {
        if matches!(self.found.status(), Status::Working(_)) {
            return;
        }
        let grows = matches!(map, Status::Working(_));
        let same = asked.as_ref().is_some_and(|asked| asked.is_same(&wanted));
        if same && self.complete {
            return;
        }
        let waited = self.asked_at.elapsed();
        if same && grows && waited < REFRESH {
            return ctx.request_repaint_after(REFRESH.saturating_sub(waited));
        }
        self.complete = !grows;
        self.asked_at = Instant::now();
        *asked = Some(wanted.clone());
        self.found.request(wanted);
    }

    /// Searches a hole of a map for garbage.
    pub fn garbage(&self, found: &Found, place: usize, hole: usize) {
        self.garbage.request((found.asked.clone(), Arc::clone(&found.holes[place]), hole));
    }

    /// Computes the curve for the measure of a map.
    pub fn curve_of(&self, scope: &Scope, found: &Found, place: usize) {
        let settings = found.holes[place].settings;
        self.curve.request((found.asked.clone(), Arc::clone(&found.reference), settings, scope.session.seed));
    }

    #[cfg(test)]
    pub fn is_busy(&self) -> bool {
        let working = |status| matches!(status, Status::Working(_));
        !self.complete || working(self.found.status()) || working(self.garbage.status()) || working(self.curve.status())
    }

    #[cfg(test)]
    pub fn pretend(&self, status: &Status) {
        self.found.pretend(status.clone());
        self.garbage.pretend(status.clone());
        self.curve.pretend(status.clone());
    }
}
