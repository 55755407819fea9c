//! The panels: a folder or a file each. They may use widgets and the state, never the shell.

pub mod attack;
pub mod detection;
pub mod holes;
pub mod inspector;
pub mod interpolation;
pub mod map;
pub mod panel;
pub mod population;
pub mod training;

use crate::error::Result;
use crate::jobs::Wake;
use panel::Panel;

/// Every panel. A new one is a file or folder and a line here.
///
/// # Errors
/// When the system has no thread left for their workers.
pub fn panels(wake: &Wake) -> Result<Vec<Box<dyn Panel>>> {
    Ok(vec![
        Box::new(map::Maps::new(wake)?),
        Box::new(inspector::Inspector::new(wake)?),
        Box::new(interpolation::Interpolations::new(wake)?),
        Box::new(population::Populations::new(wake)?),
        Box::new(holes::HolePanel::new(wake)?),
        Box::new(attack::AttackPanel::new(wake)?),
        Box::new(detection::DetectionPanel::new(wake)?),
        Box::new(training::TrainingPanel::new(wake)?),
    ])
}
