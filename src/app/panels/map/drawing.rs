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
use crate::jobs::{Status, Wake};
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
            Some(picture) if picture.extent() == [values.view.z1, values.view.z2] => picture.update(&values, &scale),
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
        let keep = scope.results.map_status != Status::Done && !scope.results.settings_changed;
        *older = older.take().filter(|older| keep && older.pane() == newest.pane() && older.spacing() < newest.spacing());
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

/// The scale of a map's colours.
fn scale(scope: &Scope, place: usize) -> Scale {
    let values = &scope.results.values;
    let shown = &values[..scope.session.layout.count().min(values.len())];
    let shown: Vec<Scaled> = shown.iter().map(Values::scaled).collect();
    Scale::new(&shown, place, scope.classes().len(), scope.session.colours, scope.session.range)
        .with_manual(&scope.session.manual_ranges, &shown[place])
}
