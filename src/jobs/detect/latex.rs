//! The table of a detection for LaTeX.

use super::report::success;
use super::{Detected, Detection, Detector, Negatives, Positives};
use crate::jobs::Classifiers;
use crate::numbers::with_sign;
use crate::uncertainty::Measure;
use std::fmt::Write as _;

/// The symbol of a detector.
const fn symbol(detector: Detector) -> &'static str {
    match detector {
        Detector::Measure(Measure::PredictiveEntropy) => "$H$",
        Detector::Measure(Measure::ExpectedEntropy) => "$E H$",
        Detector::Measure(Measure::MutualInformation) => "$I$",
        Detector::Measure(Measure::SoftmaxVariance) => "$\\mathrm{Var}$",
        Detector::Measure(Measure::VariationRatio) => "$v$",
        Detector::Measure(Measure::MaximumProbability) => "$\\max p$",
        Detector::Measure(Measure::DeterministicEntropy) => "$H_0$",
        Detector::Measure(Measure::MutualInformationCorrected) => "$\\hat I$",
        Detector::DistanceToEncodings => "$d$",
        Detector::LatentLogDensity => "$\\ln q$",
        Detector::ReconstructionError => "$R$",
    }
}

impl Detection {
    /// The table for LaTeX, with `booktabs`: a row for each victim and attack, with success and the AUROC of every detector in per cent, of
    /// all attacked images and, after a stroke, of the successful ones; the best of each is bold. A comment holds the provenance.
    pub fn to_latex(&self, classifiers: &Classifiers) -> String {
        let detectors = Detector::all(self.rows.iter().all(|row| row.distances.is_some()));
        let (of_vae, measures): (Vec<Detector>, Vec<Detector>) =
            detectors.iter().copied().partition(|detector| Detector::OF_VAE.contains(detector));
        let heads = |some: &[Detector]| some.iter().flat_map(|&detector| [" & ", symbol(detector)]).collect::<String>();
        let mut text = self.comment(classifiers);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\\begin{{tabular}}{{llr{}}}\n\\toprule", "r".repeat(detectors.len() + 2));
        let _ =
            writeln!(text, "Victim & Attack & $\\varepsilon$ & Success{} & $H - I${} \\\\\n\\midrule", heads(&measures), heads(&of_vae));
        for row in &self.rows {
            let settings = &row.attacked.settings;
            let areas = Areas::of(row, &detectors);
            let success = success(row).map_or_else(
                || "--".to_owned(),
                |rate| format!("{:.1} [{:.1}, {:.1}]", 100.0 * rate.value, 100.0 * rate.low, 100.0 * rate.high),
            );
            let cells = |some: &[Detector]| some.iter().flat_map(|&detector| [" & ".to_owned(), areas.pair(detector)]).collect::<String>();
            let _ = writeln!(
                text,
                "{} & {} & {} & {success}{} & {}{} \\\\",
                settings.on.label(),
                settings.attack.method.to_uppercase(),
                settings.attack.epsilon,
                cells(&measures),
                gain(row),
                cells(&of_vae)
            );
        }
        text.push_str("\\bottomrule\n\\end{tabular}\n");
        text
    }

    /// The provenance as a comment.
    pub(super) fn comment(&self, classifiers: &Classifiers) -> String {
        format!("% {}\n", self.provenance(classifiers))
    }
}

/// The AUROCs of a row in per cent, as they are printed: of all attacked images and of the successful ones.
struct Areas(Vec<(Detector, [Option<String>; 2])>);

impl Areas {
    fn of(row: &Detected, detectors: &[Detector]) -> Self {
        let area = |detector: Detector, positives| {
            let quality = row.quality(detector, positives, Negatives::Both);
            quality.map(|quality| format!("{:.1}", 100.0 * quality.auroc.value))
        };
        Self(detectors.iter().map(|&detector| (detector, Positives::ALL.map(|positives| area(detector, positives)))).collect())
    }

    /// Both of a detector; the highest of the row in bold.
    fn pair(&self, detector: Detector) -> String {
        let number = |text: &String| text.parse::<f64>().unwrap_or(f64::NEG_INFINITY);
        let cell = |place: usize| {
            let all = self.0.iter().filter_map(|(_, areas)| areas[place].as_ref());
            let best = all.map(number).fold(f64::NEG_INFINITY, f64::max);
            let own = self.0.iter().find(|(other, _)| *other == detector).and_then(|(_, areas)| areas[place].as_ref());
            own.map_or_else(|| "--".to_owned(), |own| if number(own) >= best { format!("\\textbf{{{own}}}") } else { own.clone() })
        };
        format!("{} / {}", cell(0), cell(1))
    }
}

/// The paired difference between the AUROCs of entropy and mutual information in per cent, with its interval.
fn gain(row: &Detected) -> String {
    let signed = |share: f64| with_sign(100.0 * share, 1);
    row.difference(Positives::All, Negatives::Both).map_or_else(
        || "--".to_owned(),
        |of| {
            let interval = of.interval().map_or_else(String::new, |[low, high]| format!(" [{}, {}]", signed(low), signed(high)));
            signed(of.value) + &interval
        },
    )
}
