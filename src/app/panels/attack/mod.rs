//! The tab of attacks: change an image until the networks answer something else, and see what their uncertainty says of it.

pub mod controls;
mod curves;
mod shown;
#[cfg(test)]
mod tests;
mod workers;

use crate::app::panels::panel::{Panel, Place};
use crate::app::state::choices::attack::AttackChoice;
use crate::app::state::scope::Scope;
use crate::app::widgets::style;
use crate::error::Result;
use crate::jobs::{Status, Task, Wake};
use controls::Wish;
use eframe::egui::{Context, ScrollArea, Ui};
use shown::Shown;
use std::sync::Arc;
use workers::{Question, Sweep, Workers};

/// The widths of controls, images, answers and measures.
const WIDTHS: [f32; 4] = [226.0, 252.0, 230.0, 228.0];
/// The narrowest that the curves are drawn.
const CURVES: f32 = 230.0;

/// The tab.
pub struct AttackPanel {
    workers: Workers,
    /// What was asked last; nothing until somebody attacks.
    asked: Option<Question>,
    shown: Option<Shown>,
    sweep: Option<Sweep>,
}

impl AttackPanel {
    /// The tab; its workers wake the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        Ok(Self { workers: Workers::new(wake)?, asked: None, shown: None, sweep: None })
    }

    fn take(&mut self, ctx: &Context) {
        if let Some((question, attack)) = self.workers.attack.take() {
            let pictures = self.shown.take().map(Shown::into_pictures).unwrap_or_default();
            self.shown = Some(Shown::new(ctx, question, attack, pictures));
        }
        self.sweep = self.workers.sweep.take().or(self.sweep.take());
        // What an earlier request gave is no answer to one that failed.
        let has_failed = |status| matches!(status, Status::Failed(_));
        if has_failed(self.workers.attack.status()) {
            self.shown = None;
        }
        if has_failed(self.workers.sweep.status()) {
            self.sweep = None;
        }
    }

    fn grant(&mut self, wish: Wish, scope: &Scope, wanted: Option<Question>) {
        match (wish, wanted) {
            (Wish::Attack, Some(question)) => {
                self.asked = Some(question.clone());
                self.workers.attack.request(question);
            }
            (Wish::Sweep, Some(question)) => {
                let values = scope.set.ensemble().image_shape().iter().product();
                let mut usual = AttackChoice::default();
                usual.measure_by(question.settings.attack.norm, values);
                self.sweep = None;
                self.workers.sweep(question, usual.epsilon);
            }
            (Wish::StopAttack, _) => self.workers.attack.cancel(),
            (Wish::StopSweep, _) => self.workers.sweep.cancel(),
            (Wish::Attack | Wish::Sweep, None) => {}
        }
    }
}

impl Panel for AttackPanel {
    fn name(&self) -> &'static str {
        "Attack"
    }

    fn place(&self) -> Place {
        Place::Tab
    }

    fn logic(&mut self, ctx: &Context, scope: &mut Scope) {
        self.take(ctx);
        // What other models said is gone with them.
        self.shown = self.shown.take().filter(|shown| Arc::ptr_eq(&shown.question.set, &scope.set));
        let path = self.shown.as_ref().filter(|_| scope.session.attack.path).map(|shown| shown.attack.path.clone());
        scope.results.attack_path = path;
        let open = scope.is_open(self.name());
        if open
            && scope.session.attack.live
            && let (Some(asked), Some(wanted)) = (&self.asked, Question::new(scope))
            && *asked != wanted
        {
            self.grant(Wish::Attack, scope, Some(wanted));
        }
    }

    fn tasks(&self) -> Vec<(&'static str, &dyn Task)> {
        vec![("attack", &self.workers.attack), ("budgets of the attack", &self.workers.sweep)]
    }

    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope) {
        let statuses = [self.workers.attack.status(), self.workers.sweep.status()];
        let wanted = Question::new(scope);
        let classes = scope.classes().to_vec();
        ScrollArea::horizontal().id_salt("attack").show(ui, |ui| {
            // What a scroll bar leaves: columns of more would make the tab higher in every frame.
            let height = ui.available_height();
            ui.horizontal_top(|ui| {
                let wish = style::column(ui, "controls", WIDTHS[0], height, |ui| {
                    controls::show(ui, scope, wanted.is_some(), [&statuses[0], &statuses[1]])
                });
                let epsilon = scope.session.attack.epsilon;
                let fits = |sweep: &&Sweep| wanted.as_ref().is_some_and(|wanted| wanted.differs_in_budget_only(&sweep.question));
                let sweep = self.sweep.as_ref().filter(fits);
                if let Some(shown) = &mut self.shown {
                    style::column(ui, "images", WIDTHS[1], height, |ui| shown.images(ui, &classes));
                    style::column(ui, "answers", WIDTHS[2], height, |ui| shown.answers(ui, &classes));
                    style::column(ui, "measures", WIDTHS[3], height, |ui| shown.measures(ui));
                }
                let rest = (ui.available_width() - 2.0).max(CURVES);
                style::column(ui, "curves", rest, height, |ui| match (sweep, &self.shown) {
                    (Some(sweep), _) if ui.available_height() > 40.0 => curves::show(ui, sweep, epsilon, &classes),
                    (Some(_), _) => {}
                    (None, Some(_)) => {
                        ui.label(style::note("“Sweep ε” draws the probability of the true class, entropy and mutual information over ε."));
                    }
                    (None, None) if wanted.is_some() => {
                        style::empty(
                            ui,
                            "Fool the networks",
                            "“Attack” changes the image within the budget until they answer something else.",
                        );
                    }
                    (None, None) => style::empty(
                        ui,
                        "There is no image to attack",
                        "Click a point of the map, drop an image file on the window, or choose an image of the data.",
                    ),
                });
                if let Some(wish) = wish {
                    self.grant(wish, scope, wanted);
                }
            });
        });
    }
}
