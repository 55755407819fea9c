//! The tab of the population: midpoints of many pairs, in latent and in pixel space (the paper's Figure 3).

use crate::app::panels::map::describe;
use crate::app::panels::panel::{Panel, Place};
use crate::app::state::answer::Answer;
use crate::app::state::scope::Scope;
use crate::app::widgets::{standing, style};
use crate::data::Dataset;
use crate::error::Result;
use crate::jobs::{ModelSet, Path, Population, PopulationSettings, SharedEngine, Status, Task, Wake, Worker, population};
use crate::numbers::{counted, typeset};
use crate::uncertainty::Measure;
use eframe::egui::{Context, DragValue, Ui, vec2};
use egui_plot::PlotPoints;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The bins of a histogram.
const BINS: usize = 40;
/// While it is computed, what there is of it is shown so often.
const REFRESH: Duration = Duration::from_millis(250);

/// What the worker is asked for.
#[derive(Clone)]
struct PopulationRequest {
    set: Arc<ModelSet>,
    engine: Arc<SharedEngine>,
    data: Arc<Dataset>,
    settings: PopulationSettings,
    measures: Vec<Measure>,
}

impl PartialEq for PopulationRequest {
    /// Whether both give the same, on whatever engine.
    fn eq(&self, other: &Self) -> bool {
        let Self { set, data, settings, measures, engine: _ } = self;
        Arc::ptr_eq(set, &other.set) && Arc::ptr_eq(data, &other.data) && *settings == other.settings && *measures == other.measures
    }
}

/// The tab.
pub struct Populations {
    worker: Worker<PopulationRequest, Answer<PopulationRequest, Shown>>,
    shown: Option<Answer<PopulationRequest, Shown>>,
}

/// What is on the screen, summed up once.
struct Shown {
    done: usize,
    dataset: String,
    measures: Vec<Histogram>,
    /// The AUROC of entropy less that of mutual information with its interval, once all pairs are there.
    difference: Option<String>,
}

struct Histogram {
    measure: Measure,
    auroc: Option<String>,
    /// The outlines of both histograms, latent and pixels.
    outlines: [Vec<[f64; 2]>; 2],
}

impl Populations {
    /// The tab; its worker wakes the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        let worker = Worker::spawn("population", Arc::clone(wake), |request: PopulationRequest, desk| {
            let mut last = Instant::now();
            let PopulationRequest { set, engine, data, settings, measures } = &request;
            let answer = |part: &Population, complete| Answer { request: request.clone(), result: Shown::new(part, measures), complete };
            let whole = population(set, &mut engine.background().until(desk.stop()), data, settings, &mut |progress, part| {
                if part.done > 0 && last.elapsed() > REFRESH {
                    last = Instant::now();
                    desk.publish(answer(part, false));
                }
                desk.tell(progress)
            })?;
            // The intervals are computed here, so that the window need not wait for them.
            desk.publish(answer(&whole, true));
            Ok(())
        })?;
        Ok(Self { worker, shown: None })
    }

    /// What the session wants to see; `None` while the data are still to come.
    fn wanted(scope: &Scope) -> Option<PopulationRequest> {
        let session = &scope.session;
        let settings = PopulationSettings {
            pairs: session.line.pairs,
            samples: session.samples,
            members: session.panes[session.active].members.clone(),
            seed: session.seed,
            masks: session.masks,
        };
        let (set, engine, data) = (Arc::clone(&scope.set), Arc::clone(&scope.engine), scope.data.clone()?);
        Some(PopulationRequest { set, engine, data, settings, measures: session.line.measures.clone() })
    }
}

impl Panel for Populations {
    fn name(&self) -> &'static str {
        "Population"
    }

    fn place(&self) -> Place {
        Place::Tab
    }

    fn logic(&mut self, _ctx: &Context, _scope: &mut Scope) {
        if let Some(shown) = self.worker.take() {
            self.shown = Some(shown);
        }
        // What an earlier request gave is no answer to one that failed.
        if matches!(self.worker.status(), Status::Failed(_)) {
            self.shown = None;
        }
    }

    fn tasks(&self) -> Vec<(&'static str, &dyn Task)> {
        vec![("population", &self.worker)]
    }

    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope) {
        let status = self.worker.status();
        // A refused request leaves no old result beside its error.
        if matches!(status, Status::Failed(_)) {
            self.shown = None;
        }
        ui.horizontal(|ui| {
            let label = ui.label("pairs");
            ui.add(DragValue::new(&mut scope.session.line.pairs).range(10..=100_000).speed(20.0)).labelled_by(label.id);
            let working = matches!(status, Status::Working(_));
            let button = if working { "Stop" } else { "Compute" };
            let text =
                "Random pairs of test images of different classes: the middle of each, decoded from latent space and mixed in pixel space";
            if ui.add_enabled(scope.data.is_some(), eframe::egui::Button::new(button)).on_hover_text(text).clicked() {
                match Self::wanted(scope).filter(|_| !working) {
                    Some(wanted) => self.worker.request(wanted),
                    None => self.worker.cancel(),
                }
            }
            if !style::status_line(ui, "computing", &status)
                && let Some(Answer { request: PopulationRequest { settings, .. }, result: shown, .. }) = &self.shown
            {
                let Shown { done, dataset, .. } = shown;
                let (draws, members) = (counted(settings.samples, "draw"), counted(settings.members.len() as u64, "member"));
                ui.label(style::note(format!("{done} pairs of {dataset}, {draws} of {members}")));
                if let Some(difference) = &shown.difference {
                    ui.label(format!("AUROC, entropy less mutual information: {difference}")).on_hover_text(
                        "H − I with its 95 % interval, paired: both measures of the same midpoints. Below 0, mutual information tells latent \
                         and pixel midpoints apart better",
                    );
                }
            }
            if let Some(answer) = &self.shown {
                let so_far = format!("{} of {} pairs", answer.result.done, answer.request.settings.pairs);
                standing::label(ui, answer.standing(Self::wanted(scope).as_ref()), &so_far);
            }
        });
        match &self.shown {
            Some(answer) => standing::drawn(ui, answer.standing(Self::wanted(scope).as_ref()), |ui| answer.result.draw(ui)),
            None => style::empty(
                ui,
                "Latent and pixel space, told apart",
                "Compute: histograms of the midpoints of random pairs, and how well each measure separates them.",
            ),
        }
    }
}

impl Shown {
    fn new(population: &Population, measures: &[Measure]) -> Self {
        let places: Vec<usize> = (0..population.settings.members.len()).collect();
        let histogram = |&measure: &Measure| {
            let values = [Path::Latent, Path::Pixel].map(|path| population.measure(path, measure, &places));
            let all = values.iter().flatten().copied().filter(|value| value.is_finite());
            let most = all.fold(0.0_f32, f32::max).max(1e-6);
            Histogram {
                measure,
                auroc: population.auroc_text(measure, &places).ok(),
                outlines: values.each_ref().map(|values| outline(values, most)),
            }
        };
        Self {
            done: population.done,
            dataset: population.dataset.clone(),
            measures: measures.iter().map(histogram).collect(),
            difference: difference(population, &places),
        }
    }

    fn draw(&self, ui: &mut Ui) {
        let count = self.measures.len().max(1) as f32;
        let size = vec2((ui.available_width() - 8.0 * (count - 1.0)) / count, ui.available_height());
        if size.min_elem() < 40.0 {
            return;
        }
        let dark = ui.visuals().dark_mode;
        ui.horizontal(|ui| {
            for histogram in &self.measures {
                ui.allocate_ui(size, |ui| {
                    ui.vertical(|ui| {
                        let auroc = histogram.auroc.as_ref().map_or(String::new(), |auroc| format!(", AUROC {auroc}"));
                        describe(ui.strong(format!("{}{auroc}", histogram.measure.label())), histogram.measure);
                        style::still_plot(ui, histogram.measure.key())
                            .include_y(0.0)
                            .x_axis_label(histogram.measure.unit())
                            .y_axis_label("share of midpoints")
                            .legend(style::legend())
                            .show(ui, |plot| {
                                for (number, (name, outline)) in ["latent", "pixel"].iter().zip(&histogram.outlines).enumerate() {
                                    let points: PlotPoints<'_> = outline.iter().copied().collect();
                                    plot.line(style::line(*name, points).fill(0.0).width(1.5).color(style::of_curve(number, dark)));
                                }
                            });
                    });
                });
            }
        });
    }
}

/// The paired difference of the AUROCs of entropy and mutual information, where both are defined and all pairs have been computed.
fn difference(population: &Population, places: &[usize]) -> Option<String> {
    let compared = [Measure::PredictiveEntropy, Measure::MutualInformation];
    if population.done < population.pairs.len() || compared.iter().any(|&measure| population.undefined(measure, places).is_some()) {
        return None;
    }
    let estimates = population.compare(&compared, places).ok()?;
    estimates.last().map(|[_, entropy_less_information]| typeset(&entropy_less_information.describe()))
}

/// The steps of a histogram: the share of the values in each bin.
fn outline(values: &[f32], most: f32) -> Vec<[f64; 2]> {
    let mut bins = [0.0; BINS];
    for value in values.iter().filter(|value| value.is_finite()) {
        let bin = (value / most * BINS as f32) as usize;
        bins[bin.min(BINS - 1)] += 1.0 / values.len() as f64;
    }
    let edge = |bin: usize| f64::from(most) * bin as f64 / BINS as f64;
    let steps = bins.iter().enumerate().flat_map(|(bin, &share)| [[edge(bin), share], [edge(bin + 1), share]]);
    std::iter::once([0.0, 0.0]).chain(steps).chain([[edge(BINS), 0.0]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine as _;

    #[test]
    fn a_histogram_holds_every_value_once() {
        let outline = outline(&[0.0, 0.1, 0.1, 2.0], 2.0);
        let shares: Vec<f64> = outline[1..outline.len() - 1].iter().step_by(2).map(|point| point[1]).collect();
        assert_eq!(shares.len(), BINS);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!((shares[0], shares[2], shares[BINS - 1]), (0.25, 0.5, 0.25));
    }

    #[test]
    fn paired_difference_comes_with_all_pairs_and_its_interval() {
        let set = ModelSet::shipped().unwrap();
        let engine = SharedEngine::open("cpu", &set).unwrap();
        let test = &set.encodings().unwrap().test;
        let images: Vec<f32> = test.points[..40].iter().flat_map(|z| engine.foreground().decode(&z.map(f64::from)).unwrap()).collect();
        let data = Dataset::new("digits", [1, 28, 28], images, test.labels[..40].to_vec(), test.classes.clone()).unwrap();
        let settings = PopulationSettings { pairs: 40, samples: 3, members: vec![0], seed: 0, masks: crate::engine::Masks::Shared };
        let mut all =
            population(&set, &mut engine.background(), &data, &settings, &mut |_, _| std::ops::ControlFlow::Continue(())).unwrap();
        let text = difference(&all, &[0]).unwrap();
        let areas = [Measure::PredictiveEntropy, Measure::MutualInformation].map(|measure| all.auroc(measure, &[0]).unwrap());
        assert!(text.starts_with(&typeset(&format!("{:.3} [", areas[0] - areas[1]))), "{text}");
        assert_eq!(Shown::new(&all, &[Measure::SoftmaxVariance]).difference, Some(text), "whatever measures are shown");
        all.done -= 1;
        assert_eq!(difference(&all, &[0]), None);
    }
}
