//! What is trained: the tab's part of the session.

use crate::jobs::training::{ClassifierPlan, Schedule, TrainingPlan, What};
use crate::nets::{Description, Graph, Op, cnn};
use serde::{Deserialize, Serialize};

/// The settings of the tab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", default, deny_unknown_fields)]
pub struct TrainingChoice {
    /// What the model is to be called; a free name is chosen where it is empty.
    pub name: String,
    /// What is trained, on what, and how.
    pub plan: TrainingPlan,
    /// Whether the maps show the model under way while the tab is open.
    pub on_map: bool,
}

impl Default for TrainingChoice {
    fn default() -> Self {
        Self { name: String::new(), plan: TrainingPlan::default(), on_map: true }
    }
}

impl TrainingChoice {
    /// The name that is asked for, or a usual one.
    pub fn wanted_name(&self) -> &str {
        match (self.name.trim(), self.plan.what) {
            ("", What::Vae) => "vae",
            ("", What::Classifier) => "classifier",
            ("", What::Ensemble) => "ensemble",
            ("", What::Set) => "models",
            (name, _) => name,
        }
    }

    /// What is wrong with a choice that came from a file.
    pub fn problem(&self) -> Option<String> {
        self.plan.check().err().map(|error| error.to_string())
    }
}

/// One network more like those at hand: the architecture of the last one, trained as it was, with the next seed. `None` where it is of
/// another kind than can be trained here.
pub fn one_more(plan: &TrainingPlan, members: &[Description]) -> Option<TrainingPlan> {
    let seed = |member: &Description| member.training()["seed"].as_u64();
    let Description::Classifier { graph, training, .. } = members.last()? else { return None };
    let count = |key: &str| training[key].as_u64().map(|count| count as usize);
    Some(TrainingPlan {
        what: What::Classifier,
        classifier: like(graph)?,
        epochs: count("epochs"),
        batch: count("batch").unwrap_or(plan.batch),
        schedule: Schedule::of_facts(training).unwrap_or(plan.schedule),
        optimiser: None,
        learning_rate: None,
        weight_decay: None,
        augmentation: training["augmentation"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default(),
        seed: members.iter().filter_map(seed).max().map_or(0, |seed| seed as u32).wrapping_add(1),
        ..plan.clone()
    })
}

/// The sizes of a network of two convolutions and two linear layers.
fn like(graph: &Graph) -> Option<ClassifierPlan> {
    let (mut channels, mut widths, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for node in graph.nodes() {
        match node.op {
            Op::Conv2d { out_channels, .. } => channels.push(out_channels),
            Op::Linear { outputs, .. } => widths.push(outputs),
            Op::Dropout { rate, .. } => rates.push(rate),
            _ => {}
        }
    }
    let (&[first, second], &[hidden, _], &[after_pool, after_hidden]) = (&channels[..], &widths[..], &rates[..]) else { return None };
    let plan = ClassifierPlan { channels: [first, second], hidden, dropout: [after_pool, after_hidden], ..ClassifierPlan::default() };
    let shape = <[usize; 3]>::try_from(graph.input_shape()).ok()?;
    let same = Graph::chain(&shape, &cnn(shape, graph.output_shape()[0], plan.channels, hidden, plan.dropout)).ok()?;
    (same == *graph).then_some(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::ModelSet;
    use crate::jobs::training::{ClassifierArchitecture, Draw};

    #[test]
    fn one_more_is_like_those_at_hand_with_a_seed_of_its_own() {
        let set = ModelSet::shipped().unwrap();
        let members = &set.descriptions[1..];
        let plan = one_more(&TrainingPlan::default(), members).unwrap();
        assert_eq!((plan.classifier.channels, plan.classifier.hidden, plan.classifier.dropout), ([32, 64], 128, [0.25, 0.5]));
        let seeds: Vec<u64> = members.iter().filter_map(|member| member.training()["seed"].as_u64()).collect();
        assert!(seeds.len() == members.len() && !seeds.contains(&plan.seed.into()), "{seeds:?} {}", plan.seed);
        assert!(plan.what == What::Classifier && one_more(&plan, &set.descriptions[..1]).is_none(), "a VAE is no member");
        assert!(one_more(&plan, &[]).is_none());
        let other = ClassifierPlan { architecture: ClassifierArchitecture::Resnet, draw: Draw::Deterministic, ..ClassifierPlan::default() };
        let chosen = TrainingPlan { classifier: other, learning_rate: Some(7.0), ..TrainingPlan::default() };
        assert_eq!(one_more(&chosen, members), Some(plan), "whatever the tab has chosen");
    }
}
