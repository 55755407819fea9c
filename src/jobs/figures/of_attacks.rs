//! Attacked images, and how well uncertainty tells them apart.

use super::super::{
    AttackSettings, Classifiers, DetectSettings, Detected, Detection, ModelSet, Negatives, Observer, On, Positives, detect,
};
use super::{FigureSettings, drawn, provenance};
use crate::analysis::detection::Ranking;
use crate::attack::{Norm, Settings};
use crate::data::Dataset;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::figure::{Axis, Content, Document, Figure, Needs, Plot, Series, Strip, difference_colour};
use crate::uncertainty::Measure;
use serde_json::json;

/// The most draws that attacks see: more make them slower, and hardly better.
const MOST_SAMPLES: u32 = 20;
/// The most images side by side.
const SHOWN: usize = 8;
/// The look of the diagonal of an ROC plot: the last of the lines, black.
const CHANCE_LOOK: usize = 5;
/// Resamples of the intervals that figures do not show.
const RESAMPLES: u32 = 1;

/// The attack of a figure.
fn asked(set: &ModelSet, method: &str, on: On, settings: &FigureSettings) -> AttackSettings {
    let attack = Settings { seed: settings.map.seed, ..Settings::new(method, Norm::Linf, settings.attacks.epsilon) };
    let members = match on {
        On::Ensemble => settings.map.members.clone(),
        On::Deterministic | On::Mc => {
            settings.map.members.first().copied().map_or_else(|| on.members(&Classifiers::of(set)), |one| vec![one])
        }
    };
    AttackSettings { attack, on, members, samples: settings.map.samples.min(MOST_SAMPLES) }
}

/// The attacks that figures need, each once.
pub(super) fn wanted(set: &ModelSet, figures: &[&'static Figure], settings: &FigureSettings) -> Vec<AttackSettings> {
    let mut attacks: Vec<AttackSettings> = Vec::new();
    for figure in figures {
        let of_figure = match figure.needs {
            Needs::AttackedImages { method } => vec![(method, On::Deterministic), (method, On::Mc)],
            Needs::EntropyAndInformation { method, .. } => vec![(method, On::Mc)],
            Needs::Detection { method, on, .. } => On::from_key(on).map(|on| (method, on)).into_iter().collect(),
            _ => Vec::new(),
        };
        for (method, on) in of_figure {
            let attack = asked(set, method, on, settings);
            if !attacks.contains(&attack) {
                attacks.push(attack);
            }
        }
    }
    attacks
}

/// Attacks the first images of the data.
pub(super) fn detection(
    set: &ModelSet,
    engine: &mut dyn Engine,
    data: &Dataset,
    attacks: Vec<AttackSettings>,
    settings: &FigureSettings,
    observe: Observer<'_>,
) -> Result<Detection> {
    if settings.attacks.images == 0 {
        return Err(Error::setting("--attacked", "0 images show nothing", "give a number from 1"));
    }
    let first = data.slice(0..settings.attacks.images.min(data.len()));
    let asked = DetectSettings {
        attacks,
        resamples: RESAMPLES,
        seeds: 1,
        noise: crate::jobs::NoiseControl::Matched,
        shard: None,
        cache: settings.attacks.cache.clone(),
    };
    detect(&Classifiers::of(set), engine, None, &first, &asked, observe)
}

/// The row of an attack.
pub(super) fn row<'a>(detection: &'a Detection, asked: &AttackSettings) -> Option<&'a Detected> {
    detection.rows.iter().find(|row| row.attacked.settings == *asked)
}

/// The row of a figure, which has been computed.
pub(super) fn row_of<'a>(set: &ModelSet, method: &str, on: On, detection: &'a Detection, settings: &FigureSettings) -> &'a Detected {
    match row(detection, &asked(set, method, on, settings)) {
        Some(row) => row,
        None => unreachable!("{method} on {} has been computed", on.key()),
    }
}

/// What made a figure of some rows.
fn made(set: &ModelSet, figure: &Figure, rows: &[&Detected], detection: &Detection) -> serde_json::Value {
    let mut members: Vec<usize> = rows.iter().flat_map(|row| row.attacked.settings.members.clone()).collect();
    members.sort_unstable();
    members.dedup();
    let attacks: Vec<&AttackSettings> = rows.iter().map(|row| &row.attacked.settings).collect();
    let more = json!({ "figure": figure.name, "dataset": { "name": detection.dataset, "images": detection.images } });
    provenance(set, &rows[0].attacked.by(), &attacks, &members, &more)
}

/// The document of images before and after, and the differences.
pub(super) fn images(set: &ModelSet, figure: &Figure, method: &str, detection: &Detection, settings: &FigureSettings) -> Result<Document> {
    let shape = set.ensemble().image_shape();
    let image_shape = [shape[0], shape[1], shape[2]];
    let pixels: usize = shape.iter().product();
    let rows = [On::Deterministic, On::Mc].map(|on| row_of(set, method, on, detection, settings));
    let shown = SHOWN.min(detection.images) * pixels;
    let clean = &rows[0].clean[..shown];
    let mut strips = vec![Strip { label: "Original".to_owned(), image_shape, images: clean.to_vec() }];
    for (row, label) in rows.iter().zip(["Deterministic", "MC dropout"]) {
        let changed = &row.attacked.images[..shown];
        strips.push(Strip { label: label.to_owned(), image_shape, images: changed.to_vec() });
        let images = difference(changed, clean, image_shape, settings.attacks.epsilon);
        strips.push(Strip { label: "Difference".to_owned(), image_shape: [3, shape[1], shape[2]], images });
    }
    drawn(figure, Content::Plots { strips: &strips, plots: &[] }, settings, made(set, figure, &rows, detection))
}

/// Images [3, H, W] of differences from −ε, blue, over grey to ε, red: the mean over the channels.
fn difference(changed: &[f32], clean: &[f32], [channels, height, width]: [usize; 3], epsilon: f64) -> Vec<f32> {
    let plane = height * width;
    let mut all = Vec::new();
    for (changed, clean) in changed.chunks_exact(channels * plane).zip(clean.chunks_exact(channels * plane)) {
        let mean = |pixel: usize| {
            let of_channel = |channel: usize| f64::from(changed[channel * plane + pixel]) - f64::from(clean[channel * plane + pixel]);
            (0..channels).map(of_channel).sum::<f64>() / channels as f64
        };
        let colours: Vec<[u8; 3]> = (0..plane).map(|pixel| difference_colour(0.5 + 0.5 * mean(pixel) / epsilon.max(1e-9))).collect();
        all.extend((0..3).flat_map(|part| colours.iter().map(move |colour| f32::from(colour[part]) / 255.0)));
    }
    all
}

/// The document of ROC and precision–recall curves.
pub(super) fn curves(
    set: &ModelSet,
    figure: &Figure,
    (method, on, measures): (&str, &str, &[&str]),
    detection: &Detection,
    settings: &FigureSettings,
) -> Result<Document> {
    let row = row_of(set, method, On::from_key(on).unwrap_or(On::Mc), detection, settings);
    let measures: Vec<Measure> = measures.iter().map(|key| Measure::from_key(key)).collect::<Result<_>>()?;
    let plots = detection_plots(row, &measures, Negatives::Both)?;
    drawn(figure, Content::Plots { strips: &[], plots: &plots }, settings, made(set, figure, &[row], detection))
}

/// ROC and precision–recall of measures: a curve of all attacked images, and one of those on which the attack succeeded, if any. The
/// ROC plot has the diagonal of a detector that guesses.
///
/// # Errors
/// When a measure is not a number.
pub fn detection_plots(row: &Detected, measures: &[Measure], negatives: Negatives) -> Result<Vec<Plot>> {
    let mut curves: [Vec<Series>; 2] = Default::default();
    for (place, positives) in Positives::ALL.into_iter().enumerate() {
        for (number, measure) in measures.iter().enumerate() {
            let [of_negatives, of_positives] = row.scores(*measure, positives, negatives);
            if of_positives.is_empty() {
                continue;
            }
            let ranking = Ranking::new(&of_negatives, &of_positives)?;
            let label = match positives {
                Positives::All => measure.label().to_owned(),
                Positives::Successful => format!("{}, successful", measure.label()),
            };
            for (curves, points) in curves.iter_mut().zip([ranking.roc(), ranking.precision_recall()]) {
                curves.push(Series { label: label.clone(), look: place * measures.len() + number, points, ..Series::default() });
            }
        }
    }
    let [mut roc, precision] = curves;
    roc.push(Series { label: "Chance".to_owned(), look: CHANCE_LOOK, points: vec![[0.0; 2], [1.0; 2]], ..Series::default() });
    let axis = |label: &str| Axis::new(label, "", [0.0, 1.0]).with_margins([0.02; 2]);
    Ok(vec![
        Plot { title: None, x: axis("False positive rate"), y: axis("True positive rate"), series: roc },
        Plot { title: None, x: axis("Recall"), y: axis("Precision"), series: precision },
    ])
}
