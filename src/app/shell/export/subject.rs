//! What is exported, taken from the window at one moment, and made into a figure or data off its thread.

use crate::app::panels::interpolation::Interpolations;
use crate::app::panels::map::{NUMBERED, density_contours, density_view};
use crate::app::state::scope::Scope;
use crate::app::state::session::{Layout, PIN_NAMES, Pane, Session};
use crate::app::state::storage::packed;
use crate::data::{DataIdentity, Dataset};
use crate::error::{Error, Result};
use crate::figure::{self, Document, Figure, Layers, Members, Needs, Options, Style};
use crate::jobs::{
    AttackFigures, Computed, CurveSettings, FigureSettings, Holes, InterpolationSettings, LiveMap, ModelSet, Observer, Raw, ScreenSettings,
    SharedEngine, figures, interpolate, interpolation_plots, provenance, screen, screen_data,
};
use crate::latent::Surroundings;
use crate::uncertainty::Measure;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// Something that can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// The maps as they are seen.
    Screen,
    /// The strips and curves along the interpolation line.
    Interpolation,
    /// A figure of the paper, or one like it.
    Figure(&'static Figure),
    /// The map's numbers.
    Data,
}

/// Everything that can be exported, in the order of the list. What else is to be exported is a line here.
pub fn exports() -> Vec<Export> {
    let mut all = vec![Export::Screen, Export::Interpolation];
    all.extend(figure::all().iter().map(Export::Figure));
    all.push(Export::Data);
    all
}

impl Export {
    /// Its name in the list.
    pub fn name(self) -> String {
        match self {
            Self::Screen => "The maps on the screen".to_owned(),
            Self::Interpolation => "The interpolation".to_owned(),
            Self::Figure(figure) => {
                let words = figure.name.replace('-', " ");
                words[..1].to_uppercase() + &words[1..]
            }
            Self::Data => "The map's numbers".to_owned(),
        }
    }

    /// What stands above those of its kind in the list.
    pub fn group(self) -> &'static str {
        match self {
            Self::Screen | Self::Interpolation => "Now",
            Self::Figure(_) => "Figures",
            Self::Data => "Data",
        }
    }

    /// What it is, in a line.
    pub fn summary(self) -> String {
        match self {
            Self::Screen => "The maps with their measures, members, colours and what lies over them.".to_owned(),
            Self::Interpolation => "The images along the line, and the chosen measures over the active map's members.".to_owned(),
            Self::Figure(figure) => format!("{}: {}.", figure.title, figure.summary),
            Self::Data => "Every measure over all members, the mean prediction, and each map that is shown.".to_owned(),
        }
    }

    /// What is computed for its picture, in a few words.
    pub fn work(self) -> &'static str {
        match self {
            Self::Screen | Self::Data => "Drawing the maps",
            Self::Interpolation => "Computing the measures along the line",
            Self::Figure(figure) => match figure.needs {
                Needs::Map { .. } | Needs::VarianceAndInformation { .. } => "Computing a map of the whole plane",
                Needs::Interpolation { .. } => "Computing the paths between two images",
                Needs::Population { .. } => "Computing midpoints between pairs of images",
                Needs::Garbage { .. } | Needs::HoleCurve { .. } => "Searching holes on a map of the whole plane",
                Needs::AttackedImages { .. } | Needs::Detection { .. } => "Attacking images",
                Needs::EntropyAndInformation { .. } => "Attacking images, and computing midpoints between pairs of images",
            },
        }
    }

    /// Why it cannot be exported now: of a training preview there is a film.
    pub fn refusal(self, scope: &Scope) -> Option<&'static str> {
        (matches!(self, Self::Screen | Self::Data) && scope.results.underway.is_some()).then_some(
            "The map shows a training preview: switch “On the map” off in the tab Training to export the models at hand, or save the film there.",
        )
    }

    /// How its file is called, without the extension.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Screen => "maps",
            Self::Interpolation => "interpolation",
            Self::Figure(figure) => figure.name,
            Self::Data => "map",
        }
    }
}

/// What is exported with all that it depends on.
#[derive(Clone)]
pub struct Subject {
    pub what: Export,
    pub session: Session,
    pub style: Style,
    /// Whether it has a title above.
    pub title: bool,
    set: Arc<ModelSet>,
    engine: Arc<SharedEngine>,
    live: Option<Arc<LiveMap>>,
    /// What is shown of it changes whenever one of these does.
    values: Vec<usize>,
    layers: Vec<Layers>,
    /// Decoded images along each axis of a map.
    images_per_axis: usize,
    interpolation: InterpolationSettings,
    /// Where contours of the density are shown.
    surroundings: Option<Arc<Surroundings>>,
    data: Option<Arc<Dataset>>,
    data_identity: Option<DataIdentity>,
    attack_cache: Option<PathBuf>,
}

impl Subject {
    /// What the window shows now.
    pub fn new(what: Export, style: Style, title: bool, scope: &Scope) -> Self {
        let session = match what {
            Export::Figure(figure) => session_of(figure, &scope.session, &scope.set),
            _ => scope.session.clone(),
        };
        let shown = scope.session.layout.count();
        Self {
            what,
            session,
            style,
            title,
            set: Arc::clone(&scope.set),
            engine: Arc::clone(&scope.engine),
            live: scope.results.live.clone(),
            values: scope.results.values.iter().take(shown).map(|values| Arc::as_ptr(&values.numbers) as usize).collect(),
            layers: (0..shown).map(|place| layers(scope, place)).collect(),
            images_per_axis: scope.results.images_per_axis,
            interpolation: Interpolations::wanted(scope),
            surroundings: scope.surroundings.clone().filter(|_| scope.session.overlays.density),
            data: scope.data.clone(),
            data_identity: scope.data_identity.clone(),
            attack_cache: scope.sources.attack_cache.clone(),
        }
    }

    /// What must be there before it can be drawn, where it is not there yet.
    pub fn waits_for(&self) -> Option<&'static str> {
        let is_of_session = |live: &LiveMap| {
            let asked = self.session.map_settings(&self.set).ok();
            // A map that is just being written is there.
            live.try_read().is_none_or(|map| asked.is_none_or(|asked| map.settings == asked))
        };
        match self.what {
            Export::Screen if !self.live.as_deref().is_some_and(is_of_session) => Some("the first picture of the map"),
            Export::Figure(figure) if self.data.is_none() && needs_images(figure) => Some("the images of the data"),
            _ => None,
        }
    }

    /// Whether both make the same, but for what a growing map has meanwhile.
    pub fn is_same(&self, other: &Self) -> bool {
        let settings = |of: &Self| (of.what, of.session.clone(), of.style, of.title, of.data_identity.clone());
        let map = |of: &Self| (of.live.as_ref().map(Arc::as_ptr), of.surroundings.is_some(), of.layers.clone(), of.images_per_axis);
        settings(self) == settings(other)
            && Arc::ptr_eq(&self.set, &other.set)
            && match self.what {
                Export::Figure(_) => true,
                Export::Interpolation => self.interpolation == other.interpolation,
                Export::Screen | Export::Data => map(self) == map(other),
            }
    }

    /// Whether both are about the same models and data, and computed by the same engine.
    pub fn has_ground_of(&self, other: &Self) -> bool {
        let data = |of: &Self| of.data.as_ref().map(Arc::as_ptr);
        Arc::ptr_eq(&self.set, &other.set) && Arc::ptr_eq(&self.engine, &other.engine) && data(self) == data(other)
    }

    /// Whether the map has grown between both.
    pub fn has_grown(&self, other: &Self) -> bool {
        matches!(self.what, Export::Screen | Export::Data) && self.values != other.values
    }

    /// The figure. What has been `computed` is for these models and data.
    ///
    /// # Errors
    /// When it lacks something, or the observer stops.
    pub fn document(&self, computed: &mut Computed, observe: Observer<'_>) -> Result<Document> {
        match self.what {
            Export::Screen => self.screen(),
            Export::Interpolation => self.interpolation(observe),
            Export::Figure(figure) => self.figure(figure, computed, observe),
            Export::Data => Err(Error::setting("the map's numbers", "they are no picture", "save them as npz or CSV")),
        }
    }

    /// The map's data and what made them.
    ///
    /// # Errors
    /// When there is no map yet.
    pub fn raw(&self) -> Result<(Raw, Value)> {
        Ok(screen_data(&self.set, self.map()?, &self.seen(), &self.more()))
    }

    /// The map, if it is that of the session: while settings change, the old one is still there for a moment.
    fn map(&self) -> Result<&LiveMap> {
        let asked = self.session.map_settings(&self.set)?;
        let live = self.live.as_deref().filter(|live| live.read().settings == asked);
        live.ok_or_else(|| Error::setting("the map", "its first picture is still on its way", "wait a moment"))
    }

    fn seen(&self) -> Vec<crate::jobs::Seen> {
        self.session.shown().iter().map(|pane| pane.seen(&self.session.panes)).collect()
    }

    /// What makes the file open as a session.
    fn more(&self) -> Value {
        Value::Object(packed(&self.session, self.data_identity.as_ref()))
    }

    fn screen(&self) -> Result<Document> {
        let overlays = &self.session.overlays;
        let mut layers = self.layers.clone();
        if let Some(surroundings) = &self.surroundings {
            let contours = density_contours(surroundings, &density_view(self.session.extent())?).concat();
            for layers in &mut layers {
                layers.contours.clone_from(&contours);
            }
        }
        let settings = ScreenSettings {
            maps: self.seen(),
            columns: 2,
            colours: self.session.colours,
            range: self.session.range,
            manual_ranges: self.session.manual_ranges.clone(),
            encodings: (overlays.encodings && self.set.encodings.is_some()).then(|| overlays.hidden.clone()),
            images: if overlays.digits { Some(self.session.image_grid(self.images_per_axis)?) } else { None },
            layers,
            style: self.style,
            title: self.title,
            more: self.more(),
        };
        screen(&self.set, self.map()?, &mut self.engine.foreground(), &settings)
    }

    fn interpolation(&self, observe: Observer<'_>) -> Result<Document> {
        let engine = &mut self.engine.foreground();
        let asked = &self.interpolation;
        let done = interpolate(&self.set, engine, asked, observe)?;
        let shape = self.set.ensemble().image_shape();
        let places: Vec<usize> = (0..asked.members.len()).collect();
        let (strips, curves) = interpolation_plots(&done, [shape[0], shape[1], shape[2]], &self.session.line.measures, &places);
        let title = "Interpolation".to_owned();
        let options = Options {
            style: self.style,
            colours: self.session.colours,
            range: self.session.range,
            shared: None,
            title: self.title.then(|| title.clone()),
        };
        let provenance = provenance(&self.set, &done.by(), asked, &asked.members, &self.more());
        Ok(Document { title, canvas: figure::plots(&strips, &curves, &options)?, provenance })
    }

    fn figure(&self, figure: &'static Figure, computed: &mut Computed, observe: Observer<'_>) -> Result<Document> {
        let settings = FigureSettings {
            map: crate::jobs::MapSettings { deterministic: false, ..self.session.map_settings(&self.set)? },
            steps: self.session.line.steps,
            pairs: self.session.line.pairs,
            seeds: CurveSettings::default().seeds,
            attacks: AttackFigures { cache: self.attack_cache.clone(), ..AttackFigures::default() },
            style: self.style,
            colours: None,
            range: self.session.range,
            title: self.title,
        };
        let mut data = || {
            let missing = || Error::setting("the images", "they are still on their way", "wait a moment");
            self.data.as_deref().cloned().ok_or_else(missing)
        };
        let made = figures(&self.set, &mut self.engine.background(), &mut data, &[figure], &settings, computed, observe)?;
        let mut document = made.into_iter().next().map(|(_, document)| document).ok_or(Error::Cancelled)?;
        if let (Value::Object(all), Value::Object(more)) = (&mut document.provenance, self.more()) {
            all.extend(more);
        }
        Ok(document)
    }
}

/// Whether a figure is about images of the data.
fn needs_images(figure: &Figure) -> bool {
    !matches!(figure.needs, Needs::Map { .. } | Needs::VarianceAndInformation { .. } | Needs::Garbage { .. } | Needs::HoleCurve { .. })
}

/// What lies over a map besides encodings, images and contours.
fn layers(scope: &Scope, place: usize) -> Layers {
    let holes = scope.results.holes.get(place).filter(|_| scope.session.overlays.holes);
    let numbered = |holes: &Arc<Holes>| -> Vec<(String, [f64; 2])> {
        holes.list.iter().take(NUMBERED).enumerate().map(|(number, hole)| (holes.label(number), hole.region.peak)).collect()
    };
    let mut pins = holes.map(numbered).unwrap_or_default();
    pins.extend(PIN_NAMES.iter().zip(scope.results.pinned).filter_map(|(name, z)| Some(((*name).to_owned(), z?))));
    Layers {
        outlines: holes.map(|holes| holes.outlines.clone()).unwrap_or_default(),
        threshold: holes.and_then(|holes| holes.thresholds.uncertainty),
        line: scope.session.overlays.line.then_some(scope.session.line.ends),
        pins,
        attack: scope.results.attack_path.clone().unwrap_or_default(),
        ..Layers::default()
    }
}

/// The session that shows what a figure shows, with the draws, seed and grid of the present one: the whole plane, and the figure's
/// map where it is one.
fn session_of(figure: &Figure, session: &Session, set: &ModelSet) -> Session {
    let mut shown = session.clone();
    shown.reset_view();
    if let Needs::Map { measure, members, scatter } = figure.needs
        && let Ok(measure) = Measure::from_key(measure)
    {
        let count = match members {
            Members::One => 1,
            Members::All => set.ensemble().members().len(),
        };
        shown.layout = Layout::One;
        shown.active = 0;
        shown.panes[0] = Pane { measure, members: (0..count).collect(), minus: None };
        shown.colours = figure.colours;
        shown.overlays = crate::app::state::session::Overlays {
            encodings: scatter,
            density: false,
            holes: false,
            digits: false,
            line: false,
            hidden: Vec::new(),
        };
    }
    shown
}
