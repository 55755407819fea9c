//! Table 1 of Smith & Gal (2018): attacks on a transferred network on photographs of cats and dogs, and how well entropy and mutual information
//! notice them; beside the paper's numbers as far as they are known here.

use super::{Detected, Detection, Detector, Negatives, Positives};
use crate::analysis::detection::Estimate;
use crate::attack::{Norm, Settings};
use crate::jobs::attack::success_proportion;
use crate::jobs::{AttackSettings, Classifiers, On};
use crate::numbers::fixed;
use crate::uncertainty::Measure;
use std::fmt::Write as _;

/// A gray level of 255, the unit of the paper's budgets.
const LEVEL: f64 = 1.0 / 255.0;
/// The paper's budgets and the length of a step for each, in levels.
const BUDGETS: [(f64, f64); 2] = [(5.0, 0.5), (10.0, 1.2)];
const STEPS: u32 = 10;
/// The number of test images that are attacked for it.
pub const TABLE1_IMAGES: usize = 200;
const METHODS: [&str; 3] = ["bim", "fgm", "mim"];
/// Stronger attacks and one that evades mutual information: a block of their own below the paper's.
const BEYOND: [&str; 2] = ["apgd", "mi-evading"];

/// What the table says of itself: where it is not the paper's experiment.
const CAPTION: &str = "Re-examination, not replication, of Table 1 of Smith & Gal (2018): another network and resolution (the models at hand, whose card says \
                       which), another random split, noise controls of the attacks' own L2 length, and the cross-entropy of the probabilities where the \
                       published code took a softmax twice (--as-published does). AUROC of attacked images against clean and noisy ones, with 95 % intervals \
                       over images; (succ): of the successful attacks only.";

/// The paper's AUROC of entropy and of mutual information for a method and a budget, as far as they are known here.
fn of_paper(method: &str, levels: f64) -> Option<[f64; 2]> {
    match (method, levels) {
        ("bim", 5.0) => Some([0.071, 0.728]),
        ("fgm", 5.0) => Some([0.43, 0.56]),
        _ => None,
    }
}

/// The attacks of the table on these members: first the paper's twelve, on the network without dropout and on the mean of its draws, then
/// stronger ones on that mean. `attack` is what a person chose beside method, budget and steps.
pub fn table1_attacks(attack: impl Fn(&str, Norm, f64) -> Settings, samples: u32, members: &[usize]) -> Vec<AttackSettings> {
    let mut attacks = Vec::new();
    for on in [On::Deterministic, On::Mc] {
        let beyond = if on == On::Mc { &BEYOND[..] } else { &[] };
        for method in METHODS.iter().chain(beyond) {
            for (levels, step) in BUDGETS {
                let base = attack(method, Norm::Linf, levels * LEVEL);
                // The stronger attacks have steps of their own.
                let paper = METHODS.contains(method);
                let iterations = base.iterations.or(paper.then_some(STEPS));
                let step = base.step.or(paper.then_some(step * LEVEL));
                let attack = Settings { step, iterations, ..base };
                attacks.push(AttackSettings { attack, on, members: members.to_vec(), samples });
            }
        }
    }
    attacks
}

/// The heads of the table's columns.
pub const TABLE1_HEADS: [&str; 9] = ["victim", "attack", "ε", "success", "H", "I", "H (succ)", "I (succ)", "paper's H, I"];
/// Their widths in text.
const WIDTHS: [usize; 9] = [15, 12, 5, 24, 22, 22, 22, 22, 0];

/// A line of the table for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table1Line {
    /// The number of its attack in [`Detection::rows`].
    pub row: usize,
    /// Whether it is one of the stronger attacks, which the paper has not.
    pub is_beyond: bool,
    /// A cell below each of [`TABLE1_HEADS`].
    pub cells: [String; 9],
}

/// The numbers of a line.
struct Line<'a> {
    row: &'a Detected,
    levels: f64,
    success: Option<Estimate>,
    /// Entropy and mutual information of all, then of the successful attacks.
    areas: [[Option<Estimate>; 2]; 2],
    paper: Option<[f64; 2]>,
}

impl<'a> Line<'a> {
    fn of(row: &'a Detected) -> Self {
        let attack = &row.attacked.settings.attack;
        let levels = (attack.epsilon / LEVEL * 100.0).round() / 100.0;
        let area = |positives, measure| row.quality(Detector::Measure(measure), positives, Negatives::Both).map(|quality| quality.auroc);
        Self {
            row,
            levels,
            success: success_proportion(&row.attacked.successes()),
            areas: Positives::ALL.map(|of| [Measure::PredictiveEntropy, Measure::MutualInformation].map(|measure| area(of, measure))),
            paper: of_paper(&attack.method, levels),
        }
    }

    fn victim(&self) -> &'static str {
        self.row.attacked.settings.on.label()
    }

    fn method(&self) -> String {
        self.row.attacked.settings.attack.method.to_uppercase()
    }

    fn is_beyond(&self) -> bool {
        BEYOND.contains(&self.row.attacked.settings.attack.method.as_str())
    }

    fn cells(&self) -> [String; 9] {
        let number = |estimate: &Option<Estimate>| estimate.map_or_else(|| "–".to_owned(), Estimate::describe);
        let percent = |share: f64| fixed(100.0 * share, 1);
        let success = self.success.map_or_else(
            || "–".to_owned(),
            |Estimate { value, low, high }| format!("{} % [{}, {}]", percent(value), percent(low), percent(high)),
        );
        let [[h, i], [h_succ, i_succ]] = self.areas.map(|pair| pair.map(|area| number(&area)));
        let paper = self.paper.map_or_else(|| "–".to_owned(), |[h, i]| format!("{h}, {i}"));
        [self.victim().to_owned(), self.method(), self.levels.to_string(), success, h, i, h_succ, i_succ, paper]
    }
}

impl Detection {
    /// The lines of Table 1 for a person, those of the paper first.
    pub fn table1(&self) -> Vec<Table1Line> {
        let line = |(row, of)| {
            let line = Line::of(of);
            Table1Line { row, is_beyond: line.is_beyond(), cells: line.cells() }
        };
        let mut lines: Vec<_> = self.rows.iter().enumerate().map(line).collect();
        lines.sort_by_key(|line| line.is_beyond);
        lines
    }

    /// The rows whose attack is checked by variations of it: one for each victim, the last, which has the largest budget.
    pub fn checked_rows(&self) -> impl Iterator<Item = &Detected> {
        On::ALL.into_iter().filter_map(|on| self.rows.iter().rev().find(|row| row.attacked.settings.on == on))
    }

    /// The accuracy of each victim's clean images, one line each.
    fn accuracies(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for row in &self.rows {
            let (on, labels) = (row.attacked.settings.on, &row.attacked.labels);
            let right = row.attacked.predictions().zip(labels).filter(|(said, label)| said[0] == **label).count();
            let line = format!("{}: {right} of {} clean images are right", on.label(), labels.len());
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }

    /// Table 1 for a person.
    pub fn to_table1(&self) -> String {
        let mut lines = vec![format!("{} images of {}. {CAPTION}", self.images, self.dataset)];
        lines.extend(self.accuracies());
        let text = |cells: [&str; 9]| cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:<width$}")).collect::<Vec<_>>().concat();
        lines.push(text(TABLE1_HEADS));
        let table = self.table1();
        for (place, line) in table.iter().enumerate() {
            if line.is_beyond && table[..place].last().is_none_or(|before| !before.is_beyond) {
                lines.push("Beyond the paper:".to_owned());
            }
            lines.push(text(line.cells.each_ref().map(String::as_str)));
        }
        lines.push("ε in levels of 255; –: not known, or too few images.".to_owned());
        lines.join("\n")
    }

    /// Table 1 for LaTeX, with `booktabs`: the same numbers in per cent, a caption that says what differs from the paper, and the provenance in a comment.
    pub fn to_table1_latex(&self, classifiers: &Classifiers) -> String {
        let area = |estimate: &Option<Estimate>| {
            let interval = |[low, high]: [f64; 2]| format!(" [{}, {}]", fixed(100.0 * low, 1), fixed(100.0 * high, 1));
            estimate.map_or_else(|| "--".to_owned(), |of| fixed(100.0 * of.value, 1) + &of.interval().map_or_else(String::new, interval))
        };
        let mut text = self.comment(classifiers) + "\\begin{table}\n\\centering\n\\begin{tabular}{llrrrrrrr}\n\\toprule\n";
        text.push_str(" & & & & \\multicolumn{2}{c}{All} & \\multicolumn{2}{c}{(succ)} & Paper \\\\\n");
        text.push_str("Victim & Attack & $\\varepsilon$ & Success & $H$ & $I$ & $H$ & $I$ & $H$ / $I$ \\\\\n\\midrule\n");
        for is_beyond in [false, true] {
            let lines: Vec<Line<'_>> = self.rows.iter().map(Line::of).filter(|line| line.is_beyond() == is_beyond).collect();
            if is_beyond && !lines.is_empty() {
                text.push_str("\\midrule\n");
            }
            for line in lines {
                let paper = line.paper.map_or_else(|| "--".to_owned(), |of| of.map(|area| fixed(100.0 * area, 1)).join(" / "));
                let cells = line.areas.concat().iter().map(area).collect::<Vec<_>>().join(" & ");
                let (victim, method, levels, success) = (line.victim(), line.method(), line.levels, area(&line.success));
                let _ = writeln!(text, "{victim} & {method} & {levels} & {success} & {cells} & {paper} \\\\");
            }
        }
        text.push_str("\\bottomrule\n\\end{tabular}\n");
        let caption = format!("{} images of {}. {CAPTION} {}.", self.images, self.dataset, self.accuracies().join("; "));
        let caption = caption.replace('&', "\\&").replace('%', "\\%").replace("--as", "-{}-as");
        let _ = writeln!(text, "\\caption{{{caption}}}\n\\end{{table}}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::detection::Quality;
    use crate::data::decoded_digits;
    use crate::engine;
    use crate::jobs::detect::{DetectSettings, NoiseControl, detect};
    use crate::jobs::{Classifiers, ModelSet};
    use std::ops::ControlFlow;
    use std::sync::Arc;

    const IMAGES: usize = 12;

    #[test]
    fn the_attacks_have_the_papers_budgets_steps_and_victims() {
        // In levels of 255, without the rounding of the division.
        let levels = |value: f64| (value * 255e6).round() / 1e6;
        let mut expected = Vec::new();
        for on in [On::Deterministic, On::Mc] {
            for method in ["bim", "fgm", "mim"] {
                expected.extend([(5.0, 0.5), (10.0, 1.2)].map(|(budget, step)| (on, method, budget, Some(step), Some(10))));
            }
        }
        for method in ["apgd", "mi-evading"] {
            expected.extend([5.0, 10.0].map(|budget| (On::Mc, method, budget, None, None)));
        }
        let attacks = table1_attacks(Settings::new, 20, &[3]);
        let numbers = |of: &AttackSettings| (levels(of.attack.epsilon), of.attack.step.map(levels), of.attack.iterations);
        assert_eq!(attacks.len(), expected.len());
        for (of, (on, method, budget, step, iterations)) in attacks.iter().zip(expected) {
            assert_eq!((of.on, of.attack.method.as_str()), (on, method));
            assert_eq!(numbers(of), (budget, step, iterations), "{method}");
            assert_eq!((of.samples, &of.members[..], of.attack.norm), (20, &[3][..], Norm::Linf));
        }
    }

    #[test]
    fn steps_that_a_person_chose_stay() {
        let chosen = |method: &str, norm: Norm, epsilon: f64| Settings {
            step: Some(0.25),
            iterations: Some(3),
            ..Settings::new(method, norm, epsilon)
        };
        let attacks = table1_attacks(chosen, 20, &[0]);
        assert!(attacks.iter().all(|of| (of.attack.step, of.attack.iterations) == (Some(0.25), Some(3))));
    }

    /// The table's attacks with one step each, on a few decoded digits.
    fn small() -> Detection {
        let set = ModelSet::shipped().unwrap();
        let test = &set.encodings().unwrap().test;
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        let (points, labels) = (&test.points[..IMAGES], &test.labels[..IMAGES]);
        let data = decoded_digits(points, labels, &test.classes, [1, 28, 28], |z| engine.decode(z)).unwrap();
        let attack = |method: &str, norm: Norm, epsilon: f64| Settings { iterations: Some(1), ..Settings::new(method, norm, epsilon) };
        let settings = DetectSettings {
            attacks: table1_attacks(attack, 2, &[0]),
            resamples: 20,
            seeds: 1,
            noise: NoiseControl::Matched,
            shard: None,
            cache: None,
        };
        let classifiers = Classifiers::of(&set);
        detect(&classifiers, engine.as_mut(), None, &data, &settings, &mut |_| ControlFlow::Continue(())).unwrap()
    }

    fn classifiers() -> Classifiers {
        Classifiers::of(&ModelSet::shipped().unwrap())
    }

    /// Gives a row made-up areas of entropy and mutual information: of all attacked images, then of the successful attacks.
    fn invent(row: &mut Detected, areas: [[Option<Estimate>; 2]; 2]) {
        let measures = [Measure::PredictiveEntropy, Measure::MutualInformation].map(Detector::Measure);
        for scored in row.scored.iter_mut().filter(|scored| scored.negatives == Negatives::Both) {
            let Some(measure) = measures.iter().position(|measure| *measure == scored.detector) else { continue };
            let positives = usize::from(scored.positives == Positives::Successful);
            scored.quality = areas[positives][measure].map(|auroc| Quality {
                auroc,
                average_precision: auroc,
                fpr_at_95_tpr: auroc,
                tpr_at_1_fpr: auroc,
                tpr_at_5_fpr: auroc,
            });
        }
    }

    #[test]
    fn the_tables_say_what_the_detection_says() {
        let mut found = small();
        let estimate = |value: f64, low: f64, high: f64| Some(Estimate { value, low, high });
        let areas = [[estimate(0.81, 0.7, 0.9), estimate(0.62, 0.5, 0.75)], [estimate(0.25, f64::NAN, f64::NAN), None]];
        // The first attack of each block.
        for row in [0, 12] {
            invent(&mut found.rows[row], areas);
        }
        let table = found.table1();
        assert_eq!(
            table.iter().map(|line| (line.row, line.is_beyond)).collect::<Vec<_>>(),
            (0..16).map(|row| (row, row >= 12)).collect::<Vec<_>>()
        );
        for (row, names, paper) in [(0, ["Deterministic", "BIM", "5"], "0.071, 0.728"), (12, ["MC dropout", "APGD", "5"], "–")] {
            let cells = &table[row].cells;
            assert_eq!(cells[..3], names);
            let successes = found.rows[row].attacked.successes();
            let (able, done) = (successes.iter().flatten().count(), successes.iter().flatten().filter(|success| **success).count());
            let rate = format!("{:.1} % [", 100.0 * done as f64 / able as f64);
            assert!(cells[3].starts_with(&rate) && cells[3].ends_with(']'), "{} is not {rate}", cells[3]);
            assert_eq!(cells[4..], ["0.810 [0.700, 0.900]", "0.620 [0.500, 0.750]", "0.250 [–]", "–", paper]);
        }

        let text = found.to_table1();
        let lines: Vec<&str> = text.lines().collect();
        // Caption, two accuracies and heads; twelve attacks; the title of four more; what the signs mean.
        assert_eq!((lines.len(), lines[16]), (4 + 12 + 1 + 4 + 1, "Beyond the paper:"), "{text}");
        assert!(lines[0].starts_with(&format!("{IMAGES} images of {}. Re-examination, not replication", found.dataset)), "{text}");
        for (line, row) in lines[4..16].iter().chain(&lines[17..21]).zip(&table) {
            assert!(row.cells.iter().all(|cell| line.contains(cell.as_str())), "{line}");
        }

        let latex = found.to_table1_latex(&classifiers());
        let rows: Vec<&str> = latex.lines().filter(|line| line.contains(" & ") && line.ends_with("\\\\")).collect();
        let values = "& 81.0 [70.0, 90.0] & 62.0 [50.0, 75.0] & 25.0 & --";
        // Two lines of heads come first.
        assert_eq!((rows.len(), latex.matches("\\midrule\n").count()), (2 + 16, 2), "{latex}");
        assert!(rows[2].starts_with("Deterministic & BIM & 5 & ") && rows[2].ends_with(&format!("{values} & 7.1 / 72.8 \\\\")), "{latex}");
        assert!(rows[14].starts_with("MC dropout & APGD & 5 & ") && rows[14].ends_with(&format!("{values} & -- \\\\")), "{latex}");
        assert_eq!(latex.matches(values).count(), 2, "only the rows that were given these numbers have them");
        let block = latex.rsplit("\\midrule\n").next().unwrap();
        assert_eq!(
            (block.matches("APGD").count(), block.matches("MI-EVADING").count(), block.matches("BIM").count()),
            (2, 2, 0),
            "{latex}"
        );
        let caption = latex.lines().find(|line| line.starts_with("\\caption{")).unwrap();
        assert!(caption.contains("95 \\% intervals") && caption.contains("-{}-as-published"), "{caption}");
        assert_eq!(caption.matches('%').count(), caption.matches("\\%").count(), "{caption}");
        for row in [0, 12] {
            let attacked = &found.rows[row].attacked;
            let right = attacked.predictions().zip(&attacked.labels).filter(|([before, _], label)| before == *label).count();
            let accuracy = format!("{}: {right} of {IMAGES} clean images are right", attacked.settings.on.label());
            assert!(lines[1..3].contains(&accuracy.as_str()) && caption.contains(&accuracy), "{accuracy}: {text}");
        }
        found.rows.truncate(6);
        assert!(
            !found.to_table1().contains("Beyond") && found.to_table1_latex(&classifiers()).matches("\\midrule").count() == 1,
            "no second block"
        );
    }

    #[test]
    fn published_numbers_stand_beside_bim_and_fgm_at_five_levels_only() {
        let found = small();
        let expected = |method: &str, levels: &str| match (method, levels) {
            ("BIM", "5") => ["0.071, 0.728", "7.1 / 72.8"],
            ("FGM", "5") => ["0.43, 0.56", "43.0 / 56.0"],
            _ => ["–", "--"],
        };
        let latex = found.to_table1_latex(&classifiers());
        let mut published = 0;
        for Table1Line { cells, .. } in found.table1() {
            let [paper, in_latex] = expected(&cells[1], &cells[2]);
            assert_eq!(cells[8], paper, "{cells:?}");
            let start = format!("{} & {} & {} & ", cells[0], cells[1], cells[2]);
            let line = latex.lines().find(|line| line.starts_with(&start)).unwrap();
            assert!(line.ends_with(&format!(" & {in_latex} \\\\")), "{line}");
            published += usize::from(paper != "–");
        }
        assert_eq!(published, 4, "two attacks on two victims");
    }
}
