//! What is said about an attack, for other programs.

use super::{Attacked, success_json};
use crate::attack::Norm;
use crate::jobs::Classifiers;
use crate::jobs::figures::classifier_provenance;
use crate::uncertainty::Measure;
use serde_json::{Map, Value, json};

impl Attacked {
    /// Success with its 95 % interval (Wilson 1927; both null where no image was left to attack), norms, and the mean of each measure
    /// before and after; with `each`, also these numbers of every image.
    pub fn summary(&self, classifiers: &Classifiers, labels: &str, each: bool) -> Value {
        let successes = self.successes();
        let predictions: Vec<[usize; 2]> = self.predictions().collect();
        let right = |when: usize| predictions.iter().zip(&self.labels).filter(|(said, label)| said[when] == **label).count();
        let count = self.labels.len() as f64;
        let norms = Norm::ALL.iter().enumerate().map(|(place, norm)| {
            let lengths: Vec<f64> = self.norms.iter().map(|lengths| lengths[place]).collect();
            (norm.key().to_owned(), spread(lengths))
        });
        let measures = Measure::ALL.map(|measure| (measure.key().to_owned(), measure_before_and_after(self.measure(measure), &successes)));
        // The share of images that are answered as the labels say: the accuracy, or how often a target is hit.
        let share = if self.settings.attack.targeted { "at_target" } else { "accuracy" };
        let mut all = json!({
            "images": self.labels.len(),
            "labels": labels,
            "success": success_json(&successes),
            share: { "before": right(0) as f64 / count, "after": right(1) as f64 / count },
            "norms": norms.collect::<Map<String, Value>>(),
            "measures": measures.into_iter().collect::<Map<String, Value>>(),
            "provenance": classifier_provenance(classifiers, &self.by(), &self.settings, &self.settings.members),
        });
        if each {
            let of_norm = |place: usize| self.norms.iter().map(|lengths| lengths[place]).collect::<Vec<_>>();
            all["each"] = json!({
                "label": self.labels,
                "before": predictions.iter().map(|said| said[0]).collect::<Vec<_>>(),
                "after": predictions.iter().map(|said| said[1]).collect::<Vec<_>>(),
                "success": successes,
                "linf": of_norm(0), "l2": of_norm(1), "l1": of_norm(2),
            });
            for measure in Measure::ALL {
                let [before, after] = self.measure(measure);
                all["each"][measure.key()] = json!({ "before": before, "after": after });
            }
        }
        all
    }
}

/// Mean, median and largest.
fn spread(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    json!({ "mean": mean(&values), "median": values[values.len() / 2], "largest": values[values.len() - 1] })
}

fn measure_before_and_after([before, after]: [Vec<f64>; 2], successes: &[Option<bool>]) -> Value {
    let successful: Vec<f64> =
        after.iter().zip(successes).filter(|(_, success)| **success == Some(true)).map(|(value, _)| *value).collect();
    // Null where no attack succeeded.
    json!({ "before": mean(&before), "after": mean(&after), "after_where_successful": mean(&successful) })
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
