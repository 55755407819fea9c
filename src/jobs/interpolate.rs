//! Interpolation between two images, through latent and through pixel space (Smith & Gal 2018, figure 2), and along a geodesic.

use super::interpolation_ends::End;
use super::passes::{Answers, Asked, ComputedBy, check, next_block};
use super::{ModelSet, Observer, tell};
use crate::engine::{Engine, Input, Masks};
use crate::error::{Error, Result};
use crate::latent::{geodesic, straight_line};
use crate::uncertainty::{Measure, StatisticsGrid};
use serde::{Deserialize, Serialize};

/// The numbers of images along a curve that make sense.
const STEPS: std::ops::RangeInclusive<usize> = 2..=1000;
/// As far out as a view of the plane may reach.
const FARTHEST: f64 = 1e6;

/// A way from one image to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// The straight line of the latent plane, decoded.
    Latent,
    /// The straight line in pixel space: the two images laid over each other.
    Pixel,
    /// The shortest curve of the latent plane by the distances between its images; see [`geodesic`].
    Geodesic,
}

impl Path {
    /// Every path.
    pub const ALL: [Self; 3] = [Self::Latent, Self::Pixel, Self::Geodesic];

    /// Its name for a person.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Latent => "Latent",
            Self::Pixel => "Pixel",
            Self::Geodesic => "Geodesic",
        }
    }

    /// Its name in files and on the command line.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Latent => "latent",
            Self::Pixel => "pixel",
            Self::Geodesic => "geodesic",
        }
    }

    /// The path of that [`key`](Self::key).
    pub fn named(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|path| path.key() == key)
    }
}

/// Everything that fixes an interpolation, given the models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InterpolationSettings {
    /// From where, and to where.
    pub ends: [End; 2],
    /// The number of images along each curve, both ends included.
    pub steps: usize,
    /// Draws per member, T.
    pub samples: u32,
    /// The members by number.
    pub members: Vec<usize>,
    /// The seed of the dropout masks.
    pub seed: u32,
    /// How masks are shared between images.
    pub masks: Masks,
    /// Which ways are gone.
    pub paths: Vec<Path>,
}

/// One way from end to end, and what the members say about the images along it. The members are kept apart, so that any subset
/// of them is a sum over it.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Which way.
    pub path: Path,
    /// The latent points, where the images are decoded ones.
    pub z: Option<Vec<[f64; 2]>>,
    /// The images, [steps, C, H, W].
    pub images: Vec<f32>,
    /// The statistics along it.
    answers: Answers,
}

impl Curve {
    /// The sampled passes: steps × members, in the order of the settings.
    pub fn sampled(&self) -> &StatisticsGrid {
        &self.answers.sampled
    }

    /// The number of images.
    pub fn steps(&self) -> usize {
        self.answers.sampled.points()
    }

    /// A measure at each image over the members at the given places in the settings.
    pub fn measure(&self, measure: Measure, places: &[usize]) -> Vec<f32> {
        self.answers.measure(measure, self.steps(), places)
    }

    /// The mean prediction at each image over the members at the given places, [steps, classes].
    pub fn mean_probabilities(&self, places: &[usize]) -> Vec<f32> {
        let mean = |step| self.answers.sampled.cell(step, places.iter().copied()).mean();
        (0..self.steps()).flat_map(mean).map(|p| p as f32).collect()
    }
}

/// A finished interpolation.
#[derive(Clone, Debug, PartialEq)]
pub struct Interpolation {
    /// What was asked for.
    pub settings: InterpolationSettings,
    /// The curves in the order of the settings' paths, one at least.
    pub curves: Vec<Curve>,
}

impl Interpolation {
    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.curves[0].sampled().classes()
    }

    /// Who computed it.
    pub fn by(&self) -> ComputedBy {
        let mut by = ComputedBy::default();
        self.curves.iter().for_each(|curve| by.merge(&curve.answers.by));
        by
    }

    /// How far from the first end each image is, from 0 to 1: along the straight line, or along the geodesic in pixel space.
    pub fn positions(&self) -> Vec<f64> {
        positions(self.settings.steps)
    }
}

fn positions(steps: usize) -> Vec<f64> {
    (0..steps).map(|i| i as f64 / (steps - 1) as f64).collect()
}

/// Computes an interpolation.
///
/// # Errors
/// When the settings make no sense, the engine fails, or the observer stops.
pub fn interpolate(
    set: &ModelSet,
    engine: &mut dyn Engine,
    settings: &InterpolationSettings,
    observe: Observer<'_>,
) -> Result<Interpolation> {
    check(set, settings.samples, &settings.members)?;
    check_curves(set, settings)?;
    let pixels: usize = set.vae.image_shape().iter().product();
    let InterpolationSettings { steps, samples, members, seed, masks, .. } = settings;
    let (steps, asked) = (*steps, Asked { samples: *samples, members, seed: *seed, masks: *masks });
    let total = steps * settings.paths.len();
    tell(observe, 0, total)?;
    let mut curves: Vec<Curve> = Vec::new();
    for &path in &settings.paths {
        let z = match path {
            Path::Latent => Some(straight_line(settings.ends.each_ref().map(|end| end.z), steps)),
            Path::Pixel => None,
            Path::Geodesic => Some(geodesic(settings.ends.each_ref().map(|end| end.z), steps, &mut |z| engine.decode(z))?),
        };
        let images = match &z {
            Some(z) => engine.decode(z.as_flattened())?,
            None => overlaid(engine, &settings.ends, steps)?,
        };
        let mut answers = Answers::new("--steps", settings.paths.len(), [steps, members.len(), set.ensemble().classes().len()])?;
        // Masks that are drawn per point are those of the path, whatever other paths are asked for.
        let number = path as usize * STEPS.end();
        let mut done = 0;
        while done < steps {
            let tile = next_block(engine, done, steps);
            let input = match &z {
                Some(z) => Input::Latent(z[tile.clone()].as_flattened()),
                None => Input::Images(&images[tile.start * pixels..tile.end * pixels]),
            };
            answers.compute(engine, asked, input, tile.len(), [done, number + done])?;
            done = tile.end;
            tell(observe, curves.len() * steps + done, total)?;
        }
        curves.push(Curve { path, z, images, answers });
    }
    Ok(Interpolation { settings: settings.clone(), curves })
}

/// Checks ends, steps and paths.
fn check_curves(set: &ModelSet, settings: &InterpolationSettings) -> Result<()> {
    if !STEPS.contains(&settings.steps) {
        let mend = format!("give a number from {} to {}", STEPS.start(), STEPS.end());
        return Err(Error::setting("--steps", format!("{} is no number of images along a curve", settings.steps), mend));
    }
    let mut paths = settings.paths.clone();
    paths.sort_unstable_by_key(|&path| path as usize);
    paths.dedup();
    if paths.is_empty() || paths.len() != settings.paths.len() {
        let keys = Path::ALL.map(Path::key).join(", ");
        return Err(Error::setting("--paths", "a path is named twice, or none is named", format!("name some of {keys}")));
    }
    for (end, option) in settings.ends.iter().zip(["--from", "--to"]) {
        if !end.z.iter().all(|z| z.abs() <= FARTHEST) {
            let problem = format!("{},{} is no point of the latent plane", end.z[0], end.z[1]);
            return Err(Error::setting(option, problem, format!("give two numbers within ±{FARTHEST:e}")));
        }
        let shape = set.vae.image_shape();
        if let Some(image) = &end.image
            && (image.len() != shape.iter().product::<usize>() || !image.iter().all(|pixel| (0.0..=1.0).contains(pixel)))
        {
            let problem = format!("its image is not {shape:?} pixels in 0..=1, which the models take");
            return Err(Error::setting(option, problem, "choose the data that the models were trained on"));
        }
    }
    Ok(())
}

/// The images of the two ends laid over each other: (1 − t) · a + t · b at each step.
fn overlaid(engine: &mut dyn Engine, ends: &[End; 2], steps: usize) -> Result<Vec<f32>> {
    let mut image = |end: &End| end.image.clone().map_or_else(|| engine.decode(&end.z), Ok);
    let (from, to) = (image(&ends[0])?, image(&ends[1])?);
    let at = |t: f64| from.iter().zip(&to).map(move |(&a, &b)| (f64::from(a) + t * (f64::from(b) - f64::from(a))) as f32);
    Ok(positions(steps).into_iter().flat_map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;
    use crate::jobs::{MapSettings, decoded_digits, image_end, map};
    use crate::latent::{View, curve_energy};
    use serde_json::json;
    use std::ops::ControlFlow;
    use std::sync::Arc;

    fn settings(ends: [End; 2]) -> InterpolationSettings {
        let (members, paths) = (vec![1, 0], Path::ALL.to_vec());
        InterpolationSettings { ends, steps: 5, samples: 3, members, seed: 4, masks: Masks::Shared, paths }
    }

    fn run(set: &ModelSet, settings: &InterpolationSettings) -> Result<Interpolation> {
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        interpolate(set, engine.as_mut(), settings, &mut |_| ControlFlow::Continue(()))
    }

    fn far_apart() -> [End; 2] {
        [End::at([-3.0, 1.5]), End::at([2.0, -2.5])]
    }

    #[test]
    fn the_ends_of_the_decoded_curves_are_those_points_of_the_map() {
        let set = ModelSet::shipped().unwrap();
        let asked = settings(far_apart());
        let curves = run(&set, &asked).unwrap().curves;
        let of_map = |seed| {
            let view = View::new([-3.0, 2.0], [-2.5, 1.5], 2, 2).unwrap();
            let settings = MapSettings { view, samples: 3, members: vec![1, 0], seed, masks: Masks::Shared, deterministic: true };
            let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
            map(&set, engine.as_mut(), &settings, &mut |_| ControlFlow::Continue(())).unwrap()
        };
        // The rows of a map begin with the lowest: the first end is the upper left point, the second the lower right one.
        let apart = |seed| {
            let map = of_map(seed);
            let places = [0, 1];
            let of_measure = |measure: Measure| {
                let there = map.measure(measure, &places).unwrap();
                let on = |path: Path| curves.iter().find(|curve| curve.path == path).unwrap().measure(measure, &places);
                [Path::Latent, Path::Geodesic].map(|path| (on(path)[0] - there[2]).abs().max((on(path)[4] - there[1]).abs()))
            };
            Measure::ALL.into_iter().flat_map(of_measure).fold(0.0, f32::max)
        };
        assert!(apart(4) <= 1e-6, "{}", apart(4));
        assert!(apart(5) > 1e-4, "another seed draws other masks");
    }

    #[test]
    fn a_way_from_an_image_to_itself_is_constant() {
        let set = ModelSet::shipped().unwrap();
        let end = End { z: [0.3, -1.7], image: Some((0..784).map(|pixel| (pixel % 11) as f32 / 10.0).collect()) };
        let same = run(&set, &settings([end.clone(), end])).unwrap();
        let constant = |curve: &Curve| {
            let of_measure = |measure| curve.measure(measure, &[0, 1]).windows(2).all(|pair| pair[0] == pair[1]);
            Measure::ALL.into_iter().all(of_measure)
        };
        assert!(same.curves.iter().all(constant));
        assert!(!run(&set, &settings(far_apart())).unwrap().curves.iter().any(constant));
    }

    #[test]
    fn the_pixel_path_lays_the_images_over_each_other() {
        let (set, data) = (ModelSet::shipped().unwrap(), decoded_digits().unwrap());
        let ((from, what), (to, _)) = (image_end(&set, &data, 3).unwrap(), image_end(&set, &data, 4).unwrap());
        assert_eq!((&what["image"], &what["class"]), (&json!(3), &json!(data.classes[usize::from(data.labels[3])])));
        let both = run(&set, &InterpolationSettings { paths: vec![Path::Pixel, Path::Latent], ..settings([from, to]) }).unwrap();
        let image = |curve: usize, step: usize| &both.curves[curve].images[784 * step..784 * (step + 1)];
        let [third, fourth] = [data.image(3), data.image(4)];
        assert_eq!((image(0, 0), image(0, 4)), (&*third, &*fourth));
        let mixed = third.iter().zip(fourth.iter()).map(|(a, b)| 0.25 * a + 0.75 * b);
        assert!(mixed.zip(image(0, 3)).all(|(mixed, there)| (mixed - there).abs() <= 1e-6));
        // The latent curve begins with the decoded encoding, which is not the image itself.
        assert_ne!(image(1, 0), &*third);
        assert!(both.curves[0].z.is_none() && both.curves[1].z.as_ref().is_some_and(|z| z.len() == 5));
        assert_eq!(both.positions(), [0.0, 0.25, 0.5, 0.75, 1.0]);

        // Without images, the ends are the decoded points, on every path.
        let decoded = run(&set, &settings(far_apart())).unwrap();
        let first = |curve: &Curve| curve.images[..784].to_vec();
        assert!(decoded.curves.iter().all(|curve| first(curve) == first(&decoded.curves[0])));
    }

    #[test]
    fn the_geodesic_is_shorter_than_the_straight_line() {
        let set = ModelSet::shipped().unwrap();
        let curves = run(&set, &settings(far_apart())).unwrap().curves;
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        let mut energy = |curve: &Curve| curve_energy(curve.z.as_ref().unwrap(), &mut |z| engine.decode(z)).unwrap();
        let [latent, geodesic] = [&curves[0], &curves[2]].map(&mut energy);
        assert!(geodesic < 0.99 * latent, "{geodesic} of {latent}");
    }

    #[test]
    fn one_block_or_two_and_any_subset_of_members_give_the_same() {
        /// Of points to a block, so that there are several.
        const TILE: usize = 256;
        let set = ModelSet::shipped().unwrap();
        let of = |steps: usize, members: Vec<usize>| {
            let asked = InterpolationSettings { steps, members, samples: 1, paths: vec![Path::Latent], ..settings(far_apart()) };
            run(&set, &asked).unwrap().curves.remove(0)
        };
        // Every other point of the long curve is one of the short one, in another block.
        let (long, short) = (of(2 * TILE + 1, vec![1, 0]), of(TILE + 1, vec![1, 0]));
        assert!((0..=TILE).all(|step| (0..2).all(|member| long.sampled().sums(2 * step, member) == short.sampled().sums(step, member))));
        let alone = of(TILE + 1, vec![0]);
        for measure in [Measure::PredictiveEntropy, Measure::DeterministicEntropy] {
            assert_eq!(short.measure(measure, &[1]), alone.measure(measure, &[0]));
            assert_ne!(short.measure(measure, &[0]), alone.measure(measure, &[0]));
        }
        assert_eq!(short.mean_probabilities(&[1]), alone.mean_probabilities(&[0]));
        assert_eq!(short.mean_probabilities(&[0, 1]).len(), 10 * (TILE + 1));
    }

    #[test]
    fn masks_per_point_do_not_depend_on_the_other_paths() {
        let set = ModelSet::shipped().unwrap();
        let of = |paths: Vec<Path>, masks| {
            let curves = run(&set, &InterpolationSettings { masks, paths, ..settings(far_apart()) }).unwrap().curves;
            curves.into_iter().find(|curve| curve.path == Path::Pixel).unwrap()
        };
        assert_eq!(of(Path::ALL.to_vec(), Masks::PerPoint), of(vec![Path::Pixel], Masks::PerPoint));
        assert_ne!(of(vec![Path::Pixel], Masks::Shared), of(vec![Path::Pixel], Masks::PerPoint));
    }

    #[test]
    fn settings_without_sense_are_refused_and_a_stop_is_obeyed() {
        let set = ModelSet::shipped().unwrap();
        let good = settings(far_apart());
        let changed = |change: fn(&mut InterpolationSettings)| {
            let mut settings = good.clone();
            change(&mut settings);
            settings
        };
        for (settings, word) in [
            (changed(|of| of.steps = 1), "--steps"),
            (changed(|of| of.steps = 1001), "--steps"),
            (changed(|of| of.samples = 0), "--samples"),
            (changed(|of| of.members = vec![0, 0]), "--members"),
            (changed(|of| of.paths.clear()), "--paths"),
            (changed(|of| of.paths.push(Path::Pixel)), "--paths"),
            (changed(|of| of.ends[0].z[1] = f64::NAN), "--from"),
            (changed(|of| of.ends[1].z[0] = f64::INFINITY), "--to"),
            (changed(|of| of.ends[1].image = Some(vec![0.5; 783])), "--to"),
            (changed(|of| of.ends[0].image = Some(vec![f32::NAN; 784])), "--from"),
        ] {
            let sentence = run(&set, &settings).unwrap_err().to_string();
            assert!(sentence.starts_with(word), "{sentence}");
        }
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        let stopped = interpolate(&set, engine.as_mut(), &good, &mut |_| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }
}
