//! The pictures of the maps, and what is drawn below and above them.

use crate::app::panels::map::dots::Dots;
use crate::app::panels::map::gestures::Hand;
use crate::app::panels::map::layers::Layers;
use crate::app::panels::map::picture::Picture;
use crate::app::panels::map::underway::Underway;
use crate::app::state::scope::Scope;
use crate::app::state::session::Layout;
use crate::app::state::values::Values;
use crate::app::widgets::plane::Plane;
use crate::error::Result;
use crate::figure::{Scale, Scaled};
use crate::jobs::{MapSettings, Wake};
use eframe::egui::{Painter, Ui};

/// What is drawn of the maps.
pub struct Drawing {
    pictures: Vec<Pictures>,
    pub dots: Dots,
    pub layers: Layers,
    pub hand: Hand,
    pub underway: Vec<Underway>,
}

/// A map's picture, and the one before it, which fills what the new one has still to compute.
#[derive(Default)]
struct Pictures {
    newest: Option<Picture>,
    older: Option<Picture>,
}

impl Drawing {
    /// Nothing is drawn yet. The layers' workers wake the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        Ok(Self {
            pictures: Vec::new(),
            dots: Dots::default(),
            layers: Layers::new(wake)?,
            hand: Hand::default(),
            underway: (0..Layout::Four.count()).map(|_| Underway::default()).collect(),
        })
    }

    /// Whether a map has been painted before.
    pub fn has_picture(&self, place: usize) -> bool {
        self.pictures.get(place).is_some_and(|pictures| pictures.newest.is_some())
    }

    /// The values of the picture that was painted last.
    pub fn painted(&self, place: usize) -> Option<&Values> {
        self.pictures.get(place)?.newest.as_ref().map(Picture::values)
    }

    /// Draws a map's picture over the older one where that shows more.
    pub fn paint(&mut self, ui: &Ui, painter: &Painter, plane: &Plane, scope: &Scope, place: usize) -> Option<Scale> {
        let values = scope.results.values.get(place)?.clone();
        let scale = scale(scope, place);
        if self.pictures.len() <= place {
            self.pictures.resize_with(place + 1, Pictures::default);
        }
        let Pictures { newest, older } = &mut self.pictures[place];
        match newest {
            // Nothing has been computed yet: the same measure of another part of the plane stays meanwhile.
            Some(picture) if values.known == 0.0 && picture.pane() == &values.pane => picture.recolour(&scale),
            Some(picture) if picture.values().settings == values.settings => picture.update(&values, &scale),
            _ => {
                if let Some(picture) =
                    newest.take().filter(|picture| older.as_ref().is_none_or(|older| picture.spacing() <= older.spacing()))
                {
                    *older = Some(picture);
                }
                *newest = Some(Picture::new(ui.ctx(), values, scale.clone()));
            }
        }
        let newest = newest.as_ref()?;
        *older = older.take().filter(|older| is_backdrop(older.values(), newest.values()) && older.spacing() < newest.spacing());
        if let Some(older) = older {
            older.recolour(&scale);
        }
        newest.draw(painter, plane);
        if let Some(older) = older {
            older.draw(painter, plane);
        }
        Some(scale)
    }
}

/// Whether older values may fill what newer ones lack: they are the same but for the part of the plane, the grid and the number of draws.
fn is_backdrop(older: &Values, newer: &Values) -> bool {
    let MapSettings { view, samples, .. } = newer.settings;
    !newer.complete && older.pane == newer.pane && MapSettings { view, samples, ..older.settings.clone() } == newer.settings
}

/// The scale of a map's colours.
fn scale(scope: &Scope, place: usize) -> Scale {
    let values = &scope.results.values;
    let shown = &values[..scope.session.layout.count().min(values.len())];
    let shown: Vec<Scaled> = shown.iter().map(Values::scaled).collect();
    Scale::new(&shown, place, scope.classes().len(), scope.session.colours, scope.session.range)
        .with_manual(&scope.session.manual_ranges, &shown[place])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::state::session::Session;
    use crate::jobs::ModelSet;
    use std::sync::Arc;

    #[test]
    fn a_coarser_grid_and_other_draws_stay_below_and_another_seed_does_not() {
        let set = ModelSet::shipped().unwrap();
        let of = |change: fn(&mut Session), complete| {
            let mut session = Session::new(&set);
            change(&mut session);
            let (pane, settings) = (session.panes[0].clone(), session.map_settings(&set).unwrap());
            Values { pane, settings, numbers: Arc::new(Vec::new()), known: 0.5, draws: 0, complete }
        };
        let newer = of(|_| {}, false);
        let alike: [fn(&mut Session); 3] = [|session| session.grid = 24, |session| session.samples = 20, |session| session.width = 5.0];
        for alike in alike {
            assert!(is_backdrop(&of(alike, true), &newer));
            assert!(!is_backdrop(&of(alike, true), &of(|_| {}, true)), "a complete map lacks nothing");
        }
        let others: [fn(&mut Session); 2] = [|session| session.seed = 1, |session| session.panes[0].members = vec![1]];
        for other in others {
            assert!(!is_backdrop(&of(other, true), &newer));
        }
    }
}
