//! What a model's description says of it, for a person.

use crate::autodiff::train::Schedule;
use crate::nets::{Description, Graph, Op};
use serde_json::Value;

type Card = Vec<(String, String)>;

/// Values that differ between the members of an ensemble are listed up to so many.
const MOST_VALUES: usize = 10;

/// The card of one model.
pub(super) fn of(description: &Description) -> Card {
    let mut card = Card::new();
    let mut line = |what: &str, value: Option<String>| card.extend(value.map(|value| (what.to_owned(), value)));
    let training = description.training();
    line("data set", text(&training["dataset"]));
    line("images", text(&training["images"]));
    line("epochs", epochs(training));
    line("optimiser", optimiser(training));
    line("augmentation", text(&training["augmentation"]));
    line("seed", text(&training["seed"]));
    line("label noise", training["label_noise"].as_f64().map(|share| format!("{} %", rounded(100.0 * share))));
    let (shape, draws) = match description {
        Description::Vae { input_shape, graphs, .. } => {
            line("latent dimensions", graphs.mean.output_shape().first().map(ToString::to_string));
            (input_shape, None)
        }
        Description::Classifier { input_shape, classes, graph, .. } => {
            line("classes", Some(format!("{} ({})", classes.len(), classes.join(", "))));
            (input_shape, Some(draws(graph, training)))
        }
    };
    line("image shape", Some(shape.map(|axis| axis.to_string()).join(" × ")));
    for (key, what, unit, factor) in
        [("accuracy", "test accuracy", "%", 100.0), ("nll", "test NLL", "nats", 1.0), ("negative_elbo", "test −ELBO", "nats", 1.0)]
    {
        line(what, training["result"]["test"][key].as_f64().map(|value| format!("{} {unit}", rounded(factor * value))));
    }
    line("draws", draws);
    let count = |(_, shape): (String, Vec<usize>)| shape.into_iter().fold(1usize, usize::saturating_mul);
    let parameters = description.weights().map(count).fold(0, usize::saturating_add);
    line("parameters", Some(parameters.to_string()));
    card
}

/// The card of several models: that of the classifiers together, with the VAE's own beside it.
pub(super) fn of_several(vaes: &[&Description], classifiers: &[&Description]) -> Card {
    let mut card = Card::new();
    if !classifiers.is_empty() {
        card.push(("classifiers".to_owned(), classifiers.len().to_string()));
    }
    card.extend(together(classifiers));
    card.extend(together(vaes).into_iter().map(|(what, value)| (format!("VAE: {what}"), value)));
    card
}

/// Each line once, with the values of all where they differ.
fn together(descriptions: &[&Description]) -> Card {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for (what, value) in descriptions.iter().flat_map(|description| of(description)) {
        match lines.iter_mut().find(|(known, _)| *known == what) {
            Some((_, values)) if values.contains(&value) => {}
            Some((_, values)) => values.push(value),
            None => lines.push((what, vec![value])),
        }
    }
    let joined = |values: Vec<String>| {
        let more = if values.len() > MOST_VALUES { ", …" } else { "" };
        values[..values.len().min(MOST_VALUES)].join(", ") + more
    };
    lines.into_iter().map(|(what, values)| (what, joined(values))).collect()
}

/// A JSON value as a person reads it; nothing for what is not said.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn epochs(training: &Value) -> Option<String> {
    let (done, planned) = (&training["result"]["epoch"], &training["epochs"]);
    match (text(done), text(planned)) {
        (Some(done), Some(planned)) if done != planned => Some(format!("{done} of {planned}")),
        (done, planned) => planned.or(done),
    }
}

fn optimiser(training: &Value) -> Option<String> {
    let optimiser = &training["optimiser"];
    let rate = text(&optimiser["learning_rate"]).map(|rate| format!(", learning rate {rate}")).unwrap_or_default();
    let schedule = Schedule::of_facts(training).filter(|schedule| *schedule != Schedule::default());
    let schedule = schedule.map(|schedule| format!(", {schedule}")).unwrap_or_default();
    let decay = text(&training["weight_decay"]).map(|decay| format!(", weight decay {decay}")).unwrap_or_default();
    text(&optimiser["kind"]).map(|kind| format!("{kind}{rate}{schedule}{decay}"))
}

/// What a draw of the classifier is.
fn draws(graph: &Graph, training: &Value) -> String {
    let rates: Vec<String> = graph.nodes().iter().filter_map(|node| node.op.dropout()).map(|(_, rate)| rounded(rate)).collect();
    if graph.nodes().iter().any(|node| matches!(node.op, Op::GaussianLinear { .. })) {
        let precision = training["laplace"]["prior_precision"].as_f64();
        let precision = precision.map(|precision| format!(", prior precision {}", rounded(precision))).unwrap_or_default();
        return format!("last-layer Laplace{precision}");
    }
    let learned = if training["concrete_dropout"].is_null() { "" } else { "learned " };
    match rates.len() {
        0 => "none: a draw is the network itself".to_owned(),
        1 => format!("dropout, {learned}rate {}", rates[0]),
        _ => format!("dropout, {learned}rates {}", rates.join(", ")),
    }
}

/// With four figures at most.
fn rounded(value: f64) -> String {
    let digits = 3 - value.abs().max(1e-6).log10().floor() as i32;
    let text = format!("{value:.*}", digits.clamp(0, 8) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
