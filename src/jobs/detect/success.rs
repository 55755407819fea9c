//! How often attacks succeed on one victim more than on another, of the same images.

use super::{Detected, Detection};
use crate::analysis::detection::Estimate;
use crate::analysis::proportions::paired_difference;
use crate::jobs::On;
use crate::numbers::fixed;
use serde::Serialize;

/// The success rate on one victim less that on another, by the same attack with the same budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SuccessDifference {
    /// The attack.
    pub method: String,
    /// The norm's key.
    pub norm: &'static str,
    /// The budget.
    pub epsilon: f64,
    /// The victims: the first less the second.
    pub on: [On; 2],
    /// Over the images that both answered rightly before; the interval is Newcombe's of paired proportions.
    pub difference: Estimate,
}

impl Detection {
    /// The differences between all victims of each attack, in the order of the paper's table.
    pub fn success_differences(&self) -> Vec<SuccessDifference> {
        let of_line = |line: [Option<&Detected>; 3]| {
            let pairs = [[0, 1], [0, 2], [1, 2]].map(|places| places.map(|place: usize| line[place]));
            pairs.into_iter().filter_map(|[first, second]| between(first?, second?)).collect::<Vec<_>>()
        };
        self.grid().into_iter().flat_map(of_line).collect()
    }
}

fn between(first: &Detected, second: &Detected) -> Option<SuccessDifference> {
    let difference = paired_difference(&first.attacked.successes(), &second.attacked.successes())?;
    let attack = &first.attacked.settings.attack;
    let on = [first, second].map(|row| row.attacked.settings.on);
    Some(SuccessDifference { method: attack.method.clone(), norm: attack.norm.key(), epsilon: attack.epsilon, on, difference })
}

impl SuccessDifference {
    /// In one line, in per cent.
    pub fn describe(&self) -> String {
        let [value, low, high] = [self.difference.value, self.difference.low, self.difference.high].map(|share| fixed(100.0 * share, 1));
        let [first, second] = self.on.map(On::key);
        format!("{:<11}{:<6}{:>6}  {first} − {second}: {value} % [{low}, {high}]", self.method, self.norm, self.epsilon)
    }
}
