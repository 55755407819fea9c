//! One image under attack, as a person watches it: step after step, where it lies on the latent plane, and what the networks say draw by
//! draw; and how the answer changes with the budget.

use super::attack::{AttackSettings, Labels, On, attack, succeeded};
use super::inspect::{InspectSettings, Inspection, Subject, encoding, inspect};
use super::{Classifiers, ModelSet, Progress};
use crate::attack::{Norm, Settings, named};
use crate::engine::{Engine, Masks};
use crate::error::{Error, Result};
use crate::uncertainty::Measure;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The most places of a path: of longer attacks only every so many steps are encoded.
const MOST_PLACES: usize = 100;

/// What an attack on one image is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aim {
    /// The true class; what is attacked says it where nobody knows.
    pub class: Option<usize>,
    /// The class to get to; away from the true one for `None`.
    pub target: Option<usize>,
}

/// An attack on one image, as far as it has come.
#[derive(Clone, Debug)]
pub struct WatchedAttack {
    /// What was asked for.
    pub settings: AttackSettings,
    /// The true class.
    pub class: usize,
    /// The class to get to.
    pub target: Option<usize>,
    /// The original.
    pub before: Arc<Inspection>,
    /// The image after the newest step, \[C, H, W\].
    pub image: Vec<f32>,
    /// The encodings of the original and of the steps so far.
    pub path: Vec<[f64; 2]>,
    /// The end, once it has come.
    pub end: Option<Arc<AttackEnd>>,
}

/// How an attack ended.
#[derive(Clone, Debug)]
pub struct AttackEnd {
    /// What the networks say to the changed image.
    pub after: Inspection,
    /// The length of the change in each of [`Norm::ALL`].
    pub norms: [f64; 3],
    /// The classes answered before and after by whoever was attacked.
    pub answers: [usize; 2],
    /// Whether it succeeded; see [`succeeded`].
    pub success: Option<bool>,
}

/// What an attack of some budget comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SweepPoint {
    /// The budget.
    pub epsilon: f64,
    /// The probability of the true class, by whoever was attacked.
    pub class: f64,
    /// The same of the target.
    pub target: Option<f64>,
    /// The predictive entropy of the draws, in nats.
    pub entropy: f64,
    /// The mutual information of the draws, in nats.
    pub mutual_information: f64,
}

/// The mean prediction of whoever is attacked, \[classes\].
pub fn attacked_answer(inspection: &Inspection, on: On) -> Vec<f64> {
    let members = inspection.settings.members.len();
    if on != On::Deterministic {
        return inspection.mean(&(0..members).collect::<Vec<_>>());
    }
    let rows = || inspection.deterministic.chunks_exact(inspection.classes());
    (0..inspection.classes()).map(|class| rows().map(|row| f64::from(row[class])).sum::<f64>() / members as f64).collect()
}

fn best(mean: &[f64]) -> usize {
    (0..mean.len()).fold(0, |best, class| if mean[class] > mean[best] { class } else { best })
}

/// \[channels, height, width\] of the images.
fn shape_of(set: &ModelSet) -> [usize; 3] {
    let shape = set.vae.image_shape();
    [shape[0], shape[1], shape[2]]
}

fn settings_of(settings: &AttackSettings, aim: Aim) -> AttackSettings {
    AttackSettings { attack: Settings { targeted: aim.target.is_some(), ..settings.attack.clone() }, ..settings.clone() }
}

/// Attacks an image \[C, H, W\] in 0..=1. `observe` is told of the original and of each step, and may stop; whether the attack is targeted is
/// said by the aim.
///
/// # Errors
/// As [`attack`] and [`inspect`].
pub fn watch_attack(
    set: &ModelSet,
    engine: &mut dyn Engine,
    image: &[f32],
    aim: Aim,
    settings: &AttackSettings,
    observe: &mut dyn FnMut(Progress, &WatchedAttack) -> ControlFlow<()>,
) -> Result<WatchedAttack> {
    let (classifiers, shape) = (Classifiers::of(set), shape_of(set));
    let settings = settings_of(settings, aim);
    settings.check(&classifiers)?;
    // The draws that measure before and after an attack are numbered from 0 and share their masks.
    let asked =
        InspectSettings { members: settings.members.clone(), samples: settings.samples, seed: settings.attack.seed, masks: Masks::Shared };
    let seen = |engine: &mut dyn Engine, image: &[f32]| {
        inspect(set, engine, Subject::Image(image.to_vec()), &asked, &mut |_| ControlFlow::Continue(()))
    };
    let before = Arc::new(seen(engine, image)?);
    let answered = best(&attacked_answer(&before, settings.on));
    let class = aim.class.unwrap_or(answered);
    let mut watched = WatchedAttack {
        class,
        target: aim.target,
        image: image.to_vec(),
        path: vec![before.encoding],
        before,
        end: None,
        settings: settings.clone(),
    };
    let steps = named(&settings.attack.method)?.steps(&settings.attack) as usize;
    let every = steps.div_ceil(MOST_PLACES).max(1) as u32;
    let label = aim.target.unwrap_or(class);
    let mut failed = None;
    let done = attack(&classifiers, engine, (image, shape), Labels::Given(&[label]), &settings, &mut |progress, iterate| {
        if let Some(iterate) = iterate.filter(|iterate| iterate.step % every == 0 || iterate.step == iterate.steps) {
            watched.image = iterate.images.iter().map(|&value| value as f32).collect();
            match encoding(set, shape, &watched.image) {
                Ok(place) => watched.path.push(place),
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        observe(progress, &watched)
    });
    let done = match (done, failed) {
        (Err(Error::Cancelled), Some(error)) => return Err(error),
        (done, _) => done?,
    };
    let after = seen(engine, &done.images)?;
    // Some attacks answer with the best of their steps, not with the last.
    if watched.path.last() != Some(&after.encoding) {
        watched.path.push(after.encoding);
    }
    let answers = [answered, best(&attacked_answer(&after, settings.on))];
    let success = succeeded(answers[0], answers[1], label, aim.target.is_some());
    let change = |norm: Norm| norm.length(done.images.iter().zip(image).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    watched.end = Some(Arc::new(AttackEnd { norms: Norm::ALL.map(change), after, answers, success }));
    watched.image = done.images;
    Ok(watched)
}

/// The same attack at each of some budgets, one after the other; `observe` is told of those that are done, and may stop.
///
/// # Errors
/// As [`attack`].
pub fn sweep_attack(
    set: &ModelSet,
    engine: &mut dyn Engine,
    image: &[f32],
    aim: Aim,
    (settings, budgets): (&AttackSettings, &[f64]),
    observe: &mut dyn FnMut(Progress, &[SweepPoint]) -> ControlFlow<()>,
) -> Result<Vec<SweepPoint>> {
    let (classifiers, shape) = (Classifiers::of(set), shape_of(set));
    let settings = settings_of(settings, aim);
    let mut class = aim.class;
    let mut points = Vec::with_capacity(budgets.len());
    for (number, &epsilon) in budgets.iter().enumerate() {
        let of_budget = AttackSettings { attack: Settings { epsilon, ..settings.attack.clone() }, ..settings.clone() };
        let given = aim.target.or(class).map(|label| [label]);
        let labels = given.as_ref().map_or(Labels::Predicted, |label| Labels::Given(label));
        let done = attack(&classifiers, engine, (image, shape), labels, &of_budget, &mut |progress, _| {
            let (before, all) = (number as u64 * progress.total, budgets.len() as u64 * progress.total);
            observe(Progress { done: before + progress.done, total: all }, &points)
        })?;
        let [before, after] = done.means(0);
        let true_class = *class.get_or_insert_with(|| best(&before));
        let measure = |measure| done.measure(measure)[1][0];
        points.push(SweepPoint {
            epsilon,
            class: after[true_class],
            target: aim.target.map(|target| after[target]),
            entropy: measure(Measure::PredictiveEntropy),
            mutual_information: measure(Measure::MutualInformation),
        });
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;

    fn settings(method: &str, epsilon: f64, on: On) -> AttackSettings {
        let attack = Settings { iterations: Some(4), ..Settings::new(method, Norm::Linf, epsilon) };
        AttackSettings { attack, on, members: vec![0], samples: 6 }
    }

    fn set() -> (ModelSet, Box<dyn Engine>) {
        let set = ModelSet::shipped().unwrap();
        let engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        (set, engine)
    }

    fn loss(watched: &WatchedAttack) -> [f64; 2] {
        let end = watched.end.as_ref().unwrap();
        [&*watched.before, &end.after].map(|seen| -attacked_answer(seen, watched.settings.on)[watched.class].ln())
    }

    #[test]
    fn each_step_is_told_encoded_and_within_the_budget_and_the_loss_grows() {
        let (set, mut engine) = set();
        let image = engine.decode(&[1.0, -0.5]).unwrap();
        for on in [On::Deterministic, On::Mc] {
            let mut told = Vec::new();
            let aim = Aim::default();
            let watched = watch_attack(&set, engine.as_mut(), &image, aim, &settings("bim", 0.2, on), &mut |progress, part| {
                told.push((progress.done, part.path.len(), part.image != image));
                ControlFlow::Continue(())
            })
            .unwrap();
            assert!(told.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1));
            assert!(!told[0].2 && told.last().unwrap().2, "the first is the original, the last is not");
            assert!((5..=6).contains(&watched.path.len()), "{}", watched.path.len());
            assert_eq!(watched.path[0], watched.before.encoding);
            let end = watched.end.as_ref().unwrap();
            assert_eq!((watched.path.last(), &end.after.image), (Some(&end.after.encoding), &watched.image));
            assert!(end.norms[0] > 0.05 && end.norms[0] <= 0.2 * (1.0 + 1e-6), "{:?}", end.norms);
            let [before, after] = loss(&watched);
            assert!(after > before + 0.1, "{on:?}: {before} and {after}");
            // A budget of nothing changes nothing.
            let none = watch_attack(&set, engine.as_mut(), &image, aim, &settings("bim", 0.0, on), &mut |_, _| ControlFlow::Continue(()));
            let none = none.unwrap();
            let [before, after] = loss(&none);
            assert!(none.image == image && before == after && none.end.unwrap().success == Some(false));
        }
    }

    #[test]
    fn a_target_is_approached_and_what_is_asked_wrongly_is_one_sentence() {
        let (set, mut engine) = set();
        let image = engine.decode(&[1.0, -0.5]).unwrap();
        let go = &mut |_: Progress, _: &WatchedAttack| ControlFlow::Continue(());
        let free = watch_attack(&set, engine.as_mut(), &image, Aim::default(), &settings("bim", 0.3, On::Deterministic), go).unwrap();
        let target = (free.class + 1) % 10;
        let aim = Aim { class: None, target: Some(target) };
        let aimed = watch_attack(&set, engine.as_mut(), &image, aim, &settings("bim", 0.3, On::Deterministic), go).unwrap();
        let of_target = |watched: &WatchedAttack| attacked_answer(&watched.end.as_ref().unwrap().after, On::Deterministic)[target];
        assert!(aimed.settings.attack.targeted && of_target(&aimed) > of_target(&free), "{} and {}", of_target(&aimed), of_target(&free));
        let beyond = Aim { class: None, target: Some(10) };
        for (aim, settings) in [(beyond, settings("bim", 0.3, On::Mc)), (Aim::default(), settings("bim", f64::NAN, On::Mc))] {
            let error = watch_attack(&set, engine.as_mut(), &image, aim, &settings, go).unwrap_err().to_string();
            assert!(error.ends_with('.') && !error.contains('\n'), "{error}");
        }
        let stopped = watch_attack(&set, engine.as_mut(), &image, Aim::default(), &settings("bim", 0.3, On::Mc), &mut |progress, _| {
            if progress.done > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }

    #[test]
    fn a_sweep_begins_with_the_original_and_ends_where_the_attack_of_that_budget_does() {
        let (set, mut engine) = set();
        let image = engine.decode(&[1.0, -0.5]).unwrap();
        let (settings, budgets) = (settings("fgm", 0.25, On::Mc), [0.0, 0.1, 0.25]);
        let mut told = Vec::new();
        let sweep = sweep_attack(&set, engine.as_mut(), &image, Aim::default(), (&settings, &budgets), &mut |progress, points| {
            told.push((progress.done, progress.total, points.len()));
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(told.windows(2).all(|pair| pair[0].0 <= pair[1].0) && told.last().unwrap().2 == 2);
        let one = watch_attack(&set, engine.as_mut(), &image, Aim::default(), &settings, &mut |_, _| ControlFlow::Continue(())).unwrap();
        let end = one.end.as_ref().unwrap();
        for (seen, point) in [(&*one.before, sweep[0]), (&end.after, sweep[2])] {
            assert!((seen.mean(&[0])[one.class] - point.class).abs() <= 1e-6);
            assert!((seen.measure(Measure::PredictiveEntropy, &[0]) - point.entropy).abs() <= 1e-6);
            assert!((seen.measure(Measure::MutualInformation, &[0]) - point.mutual_information).abs() <= 1e-6);
        }
        assert!(sweep[2].class < sweep[0].class - 1e-3 && sweep[0].target.is_none(), "{sweep:?}");
    }
}
