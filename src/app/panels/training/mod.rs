//! The tab of training: a VAE, a classifier, an ensemble, and on the maps how the plane and its holes come into being.

mod architecture;
mod controls;
mod curves;
mod optimisation;
mod run;
mod shown;
#[cfg(test)]
mod tests;
mod workers;

use crate::app::panels::panel::{Panel, Place};
use crate::app::state::event::{Event, Opening, PathFor};
use crate::app::state::scope::Scope;
use crate::app::state::wording::in_window;
use crate::app::widgets::style;
use crate::error::Result;
use crate::jobs::training::{FilmMeasure, Frame, Look, Looks, TrainingEstimate, TrainingPlan, What, film, is_resumable, past, plan_of};
use crate::jobs::{Progress, Status, Task, Wake, library};
use crate::latent::View;
use crate::numbers::counted;
use crate::uncertainty::Measure;
use controls::{Fields, Wish};
use eframe::egui::{Context, Label, ScrollArea, Ui};
use run::Run;
use shown::Shown;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use workers::{EstimateRequest, Film, Request, Watched, Workers};

/// The widths of what, how, and the pictures.
const WIDTHS: [f32; 3] = [216.0, 254.0, 240.0];
/// The narrowest that a plot is drawn.
const PLOT: f32 = 190.0;
/// No plot is drawn lower than this.
const LOWEST: f32 = 50.0;
/// Points along each axis of the map of a classifier under way.
const GRID: usize = 48;

/// The tab.
pub struct TrainingPanel {
    workers: Workers,
    watched: Option<Watched>,
    shown: Shown,
    fields: Fields,
    /// What the last training made, and where.
    made: Option<(What, PathBuf)>,
    /// The plan that was last estimated, and what it takes.
    estimated: (Option<TrainingPlan>, Option<TrainingEstimate>),
    /// The name that was last looked for on the disk, and whether a stopped training is there.
    resumable: (String, bool),
}

impl TrainingPanel {
    /// The tab; its workers wake the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        Ok(Self {
            workers: Workers::new(wake)?,
            watched: None,
            shown: Shown::default(),
            fields: Fields::default(),
            made: None,
            estimated: (None, None),
            resumable: Default::default(),
        })
    }

    fn grant(&mut self, wish: Wish, scope: &mut Scope) {
        let granted = match wish {
            Wish::Start => self.start(scope),
            Wish::Resume => self.resume(scope),
            Wish::Stop => {
                self.workers.training.cancel();
                scope.ask(Event::LibraryChanged);
                Ok(())
            }
            Wish::Pause | Wish::GoOn => {
                if let Some(watched) = &self.watched {
                    watched.set_paused(wish == Wish::Pause);
                }
                Ok(())
            }
        };
        if let Err(error) = granted {
            scope.ask(Event::Complain(error.to_string()));
        }
    }

    fn start(&mut self, scope: &mut Scope) -> Result<()> {
        let choice = &scope.session.training;
        library::check_name(choice.wanted_name())?;
        choice.plan.check()?;
        let folder = scope.library()?.join(library::free_name(scope.library()?, choice.wanted_name()));
        let plan = choice.plan.clone();
        self.begin(scope, plan, folder, false)
    }

    fn resume(&mut self, scope: &mut Scope) -> Result<()> {
        library::check_name(scope.session.training.wanted_name())?;
        let folder = scope.library()?.join(scope.session.training.wanted_name());
        if let Some(plan) = plan_of(&folder)? {
            scope.session.training.plan = plan.clone();
            self.begin(scope, plan, folder, true)?;
        }
        Ok(())
    }

    fn begin(&mut self, scope: &mut Scope, plan: TrainingPlan, folder: PathBuf, resume: bool) -> Result<()> {
        let [z1, z2] = scope.session.extent();
        let looks = Looks { view: View::new(z1, z2, GRID, GRID)?, vae: Some(Arc::new(scope.set.vae.clone())) };
        scope.session.training.name = library::name_of(&folder);
        let watched = Watched::new(Run::new(folder.clone()));
        self.watched = Some(watched.clone());
        self.shown.follow();
        self.made = None;
        self.resumable = Default::default();
        let load = Arc::clone(&scope.sources.load_training);
        self.workers.training.request((Request { plan, folder, resume, looks, load }, watched));
        Ok(())
    }

    /// Goes on with the training in a folder of the library, unless another model is being trained.
    fn resume_of(&mut self, folder: &Path, scope: &mut Scope) {
        if matches!(self.workers.training.status(), Status::Working(_)) {
            return scope.ask(Event::Complain("Another model is being trained: stop it, or wait until it is done.".to_owned()));
        }
        scope.session.training.name = library::name_of(folder);
        self.grant(Wish::Resume, scope);
    }

    /// Shows how a model was trained, unless another is being trained.
    fn look_back(&mut self, folder: PathBuf, scope: &mut Scope) {
        if matches!(self.workers.training.status(), Status::Working(_)) {
            return;
        }
        match past(&folder).and_then(|done| Ok((done, film(&folder)?))) {
            Ok((done, film)) => {
                let name = library::name_of(&folder);
                self.watched = Some(Watched::new(Run::of_past(folder, name, done, film)));
                self.shown.follow();
            }
            Err(error) => scope.ask(Event::Complain(error.to_string())),
        }
    }

    fn save_film(&mut self, path: PathBuf, scope: &mut Scope) {
        let Some(watched) = &self.watched else { return };
        let entropy = scope.session.panes[scope.session.active].measure == Measure::PredictiveEntropy;
        let measure = if entropy { FilmMeasure::PredictiveEntropy } else { FilmMeasure::MutualInformation };
        let frames = watched.read().film.iter().map(|frame| Frame::clone(frame)).collect();
        self.workers.film.request(Film { frames, measure, path });
    }

    /// Has the plan estimated while the tab is open and nothing is trained; a newer plan takes an older one's place.
    fn estimate(&mut self, scope: &Scope, working: bool) {
        if let Some(estimate) = self.workers.estimate.take() {
            self.estimated.1 = Some(estimate);
        }
        // What changes neither the size nor the time of a training asks for no new trial.
        let plan = TrainingPlan { seed: 0, learning_rate: None, weight_decay: None, ..scope.session.training.plan.clone() };
        if working {
            // The steps of the trial would slow the training down.
            self.workers.estimate.cancel();
            self.estimated = (None, None);
        } else if scope.is_open(self.name()) && self.estimated.0.as_ref() != Some(&plan) {
            self.estimated = (Some(plan.clone()), None);
            let (load, estimate) = (Arc::clone(&scope.sources.load_training), Arc::clone(&scope.sources.estimate_training));
            self.workers.estimate.request(EstimateRequest { plan, load, estimate });
        }
    }

    /// What the maps show of it.
    fn frame(&self) -> Option<Arc<Frame>> {
        self.watched.as_ref().and_then(|watched| self.shown.frame(&watched.read()))
    }
}

impl Panel for TrainingPanel {
    fn name(&self) -> &'static str {
        "Training"
    }

    fn place(&self) -> Place {
        Place::Tab
    }

    fn logic(&mut self, _ctx: &Context, scope: &mut Scope) {
        if let Some(what) = self.workers.training.take() {
            self.made = self.watched.as_ref().map(|watched| (what, watched.read().folder.clone()));
            scope.ask(Event::LibraryChanged);
        }
        let working = matches!(self.workers.training.status(), Status::Working(_));
        let name = scope.session.training.wanted_name();
        if working {
            self.resumable = Default::default();
        } else if self.resumable.0 != name {
            self.resumable = (name.to_owned(), scope.library().is_ok_and(|library| is_resumable(&library.join(name))));
        }
        self.estimate(scope, working);
        if let Some(path) = self.workers.film.take() {
            scope.ask(Event::Say(format!("The film is saved in {}.", path.display())));
        }
        let shown = scope.is_open(self.name()) && scope.session.training.on_map;
        scope.results.underway = if shown { self.frame().filter(|frame| !matches!(frame.look, Look::Nothing)) } else { None };
    }

    fn event(&mut self, event: &Event, scope: &mut Scope) {
        match event {
            Event::StartTraining => self.grant(Wish::Start, scope),
            Event::ResumeTraining(folder) => self.resume_of(folder, scope),
            Event::ShowTraining(folder) => self.look_back(folder.clone(), scope),
            Event::SaveFilm(path) => self.save_film(path.clone(), scope),
            _ => {}
        }
    }

    fn tasks(&self) -> Vec<(&'static str, &dyn Task)> {
        let Workers { training, film, estimate } = &self.workers;
        vec![("training", training), ("film of the training", film), ("estimate of the training", estimate)]
    }

    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope) {
        ScrollArea::horizontal().id_salt("training").show(ui, |ui| {
            let height = ui.available_height();
            ui.horizontal_top(|ui| {
                let wish = style::column(ui, "what", WIDTHS[0], height, |ui| self.controls(ui, scope));
                style::column(ui, "how", WIDTHS[1], height, |ui| {
                    ui.spacing_mut().item_spacing.y = 3.0;
                    controls::how(ui, &mut scope.session.training.plan, &mut self.fields);
                    self.result(ui, scope);
                });
                self.watch(ui, scope, height);
                if let Some(wish) = wish {
                    self.grant(wish, scope);
                }
            });
        });
    }
}

impl TrainingPanel {
    fn controls(&mut self, ui: &mut Ui, scope: &mut Scope) -> Option<Wish> {
        ui.spacing_mut().item_spacing.y = 3.0;
        let status = self.workers.training.status();
        let problem = self.fields.problem(&scope.session.training.plan);
        let wish = controls::buttons(ui, &status, self.watched.as_ref(), self.resumable.1, problem);
        if let Some(watched) = &self.watched {
            progress(ui, &status, watched);
        }
        self.expectation(ui);
        let mut choice = scope.session.training.clone();
        controls::what(ui, scope, &mut choice, &mut self.fields);
        scope.session.training = choice;
        wish
    }

    /// Parameters, memory and time of the plan.
    fn expectation(&self, ui: &mut Ui) {
        let (text, how) = match (self.workers.estimate.status(), self.estimated.1) {
            (Status::Working(_), _) => ("estimating…".to_owned(), ""),
            (Status::Failed(sentence), _) => (in_window(&sentence).into_owned(), ""),
            (_, Some(estimate)) => (expectation(&estimate), ". Measured by two steps; previews not counted."),
            (_, None) => return,
        };
        ui.add(Label::new(style::note(&text)).truncate()).on_hover_text(text + how);
    }

    /// What can be done with what was made.
    fn result(&self, ui: &mut Ui, scope: &mut Scope) {
        let Some((what, folder)) = &self.made else { return };
        let (label, command) = match what {
            What::Vae => ("Use this VAE", Event::Open(Opening::Vae(folder.clone()))),
            What::Classifier | What::Ensemble => ("Use as ensemble member", Event::Open(Opening::Members(folder.clone()))),
            What::Set => ("Open these models", Event::Open(Opening::Models(Some(folder.clone())))),
        };
        ui.add_space(4.0);
        if ui.button(label).on_hover_text(folder.display().to_string()).clicked() {
            scope.ask(command);
        }
    }

    fn watch(&mut self, ui: &mut Ui, scope: &mut Scope, height: f32) {
        let Some(watched) = self.watched.clone() else {
            return style::column(ui, "nothing", ui.available_width().max(PLOT), height, |ui| {
                style::empty(ui, "Train a model", "“Presets” has small ones that are done in a minute; “Start” begins.");
            });
        };
        let run = watched.read();
        let rest = ((ui.available_width() - WIDTHS[2] - 24.0) / 2.0).max(PLOT);
        let epoch = self.shown.epoch(&run);
        for (name, draw) in [("losses", curves::losses as fn(&mut Ui, &Run, Option<usize>)), ("scores", curves::scores)] {
            style::column(ui, name, rest, height, |ui| {
                let is_empty = if name == "losses" { run.losses.is_empty() && run.done.is_empty() } else { run.done.is_empty() };
                if ui.available_height() > LOWEST && !is_empty {
                    draw(ui, &run, epoch);
                }
            });
        }
        style::column(ui, "pictures", WIDTHS[2] - 10.0, height, |ui| {
            self.shown.strip(ui, &run);
            ui.horizontal(|ui| {
                ui.toggle_value(&mut scope.session.training.on_map, "On the map")
                    .on_hover_text("While this tab is open, the maps show the model under training rather than those at hand");
                if ui.add_enabled(!run.film.is_empty(), eframe::egui::Button::new("Save the film…")).clicked() {
                    scope.ask(Event::AskPath(PathFor::SaveFilm));
                }
            });
            style::status_line(ui, "writing the film", &self.workers.film.status());
            if let Some(frame) = self.shown.frame(&run) {
                let ctx = ui.ctx().clone();
                self.shown.images(&ctx, ui, &frame);
            }
            for note in &run.notes {
                ui.add(Label::new(style::note(note)).wrap());
            }
        });
    }
}

/// How far it is, how fast, and what is left.
fn progress(ui: &mut Ui, status: &Status, watched: &Watched) {
    let run = watched.read();
    if let Status::Failed(sentence) = status {
        ui.colored_label(ui.visuals().warn_fg_color, in_window(sentence));
        return;
    }
    let share = run.share();
    let working = matches!(status, Status::Working(_));
    if !working && share == 0.0 {
        return;
    }
    ui.add(eframe::egui::ProgressBar::new(share as f32).desired_height(5.0));
    let model = if run.of > 1 { format!("{} ({} of {}), ", run.model, run.number, run.of) } else { String::new() };
    let speed = run.speed().filter(|_| working).map(|[per_second, left]| {
        let left = if run.is_resting() { "paused".to_owned() } else { format!("{} left", duration(left)) };
        let speed = if run.is_testing() { "testing…".to_owned() } else { format!("{per_second:.0} images/s") };
        format!(" · {speed} · {left}")
    });
    if working && let Some((what, Progress { done, total })) = run.aside {
        let share = (100 * done).checked_div(total).unwrap_or(0);
        ui.label(style::note(format!("{what}: {share} %")));
        return;
    }
    let text = if run.epochs == 0 {
        "The data are being read.".to_owned()
    } else {
        format!("{model}{} of {}{}", run.done.len(), counted(run.epochs as u64, "epoch"), speed.unwrap_or_default())
    };
    ui.add(Label::new(style::note(text)).truncate());
    if let Some(times) = run.times() {
        ui.add(Label::new(style::note(times)).truncate()).on_hover_text("Where the time of the last epoch went");
    }
}

fn expectation(estimate: &TrainingEstimate) -> String {
    let TrainingEstimate { parameters, memory, seconds } = *estimate;
    let parameters = match parameters {
        0..=9_999 => parameters.to_string(),
        10_000..=999_999 => format!("{} k", parameters / 1000),
        _ => format!("{:.1} M", parameters as f64 / 1e6),
    };
    format!("{parameters} parameters, {} MB, about {}", memory.div_ceil(1_000_000), duration(seconds))
}

/// Seconds as a person says them.
fn duration(seconds: f64) -> String {
    match seconds {
        ..90.0 => format!("{seconds:.0} s"),
        ..5400.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
