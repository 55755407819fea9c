//! Inspection: one image, and all that the networks say of it, draw by draw.

use super::{ModelSet, Observer, tell};
use crate::autodiff::encode;
use crate::data::Dataset;
use crate::engine::{Block, Draws, Engine, Input, Masks};
use crate::error::{Error, Result};
use crate::latent::Nearest;
use crate::uncertainty::{CellStatistics, GroupSums, Measure, Passes, StatisticsGrid, add_draw, sums_len};

/// The groups of draws that the standard error is estimated from.
const GROUPS: usize = 10;

/// What is inspected.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A latent point: its decoded image.
    Latent([f64; 2]),
    /// An image \[C, H, W\] in 0..=1; the networks see it as it is, not its reconstruction.
    Image(Vec<f32>),
}

/// How it is inspected.
#[derive(Clone, Debug, PartialEq)]
pub struct InspectSettings {
    /// The members by number.
    pub members: Vec<usize>,
    /// Draws per member, T.
    pub samples: u32,
    /// The seed of the dropout masks.
    pub seed: u32,
    /// How masks are shared between points. A single point has the number 0: only shared masks are those of a map.
    pub masks: Masks,
}

/// An image and what the networks say of it. The members are kept apart, so that any subset of them is a sum.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// How it was asked for.
    pub settings: InspectSettings,
    /// Where it lies on the latent plane: the latent point, or the encoding of the image (the mean of q(z|x)).
    pub z: [f64; 2],
    /// [channels, height, width] of the image.
    pub image_shape: [usize; 3],
    /// The image.
    pub image: Vec<f32>,
    /// Where the image's encoding lies; for an image this is `z`.
    pub encoding: [f64; 2],
    /// The decoder's image of that encoding.
    pub reconstruction: Vec<f32>,
    /// Every draw, \[members, draws, classes\].
    pub probabilities: Vec<f32>,
    /// The passes without dropout, \[members, classes\].
    pub deterministic: Vec<f32>,
    /// One point, the rows of its members side by side, each in `groups` rows.
    sampled: StatisticsGrid,
    groups: usize,
}

/// An encoding of the training data near an inspected point.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbour {
    /// Its number among the training data.
    pub number: usize,
    /// Its class.
    pub label: u16,
    /// Where it lies.
    pub z: [f64; 2],
    /// Its distance on the latent plane.
    pub distance: f64,
    /// Its latent point decoded, \[C, H, W\]: the images themselves are not part of the models.
    pub image: Vec<f32>,
}

/// Inspects a latent point or an image, a member after the other; `observe` is told of these.
///
/// # Errors
/// When the image has not the networks' shape, the settings or the models make no sense for it, the engine fails or the observer
/// stops.
pub fn inspect(
    set: &ModelSet,
    engine: &mut dyn Engine,
    subject: Subject,
    settings: &InspectSettings,
    observe: Observer<'_>,
) -> Result<Inspection> {
    set.members(Some(&settings.members))?;
    if settings.samples == 0 {
        return Err(Error::setting("--samples", "there is nothing to see without a draw", "give 1 or more"));
    }
    if set.vae.latent_size() != 2 {
        let problem = format!("its VAE has {} latent dimensions, but the plane has 2", set.vae.latent_size());
        return Err(Error::file(&set.origin, problem, "train one with --latent 2"));
    }
    let shape = set.vae.image_shape();
    let image_shape = [shape[0], shape[1], shape[2]];
    let (image, latent) = match subject {
        Subject::Latent(z) => (engine.decode(&z)?, Some(z)),
        Subject::Image(image) => (image, None),
    };
    let encoding = encoding(set, image_shape, &image)?;
    let reconstruction = engine.decode(&encoding)?;
    let (members, draws, classes) = (settings.members.len(), settings.samples as usize, set.ensemble().classes().len());
    let groups = GROUPS.min(draws);
    let mut sampled = StatisticsGrid::new(1, members * groups, classes);
    let (mut probabilities, mut deterministic) = (Vec::with_capacity(members * draws * classes), Vec::with_capacity(members * classes));
    for (place, member) in settings.members.iter().enumerate() {
        tell(observe, place, members)?;
        let block = Block {
            input: latent.as_ref().map_or(Input::Images(&image), |z| Input::Latent(z)),
            point_numbers: &[0],
            members: std::slice::from_ref(member),
            draws: Draws::Sampled(0..settings.samples),
            groups: 1,
            seed: settings.seed,
            masks: settings.masks,
        };
        let of_member = engine.probabilities(&block)?;
        for (draw, p) in of_member.chunks_exact(classes).enumerate() {
            add_draw(sampled.sums_mut(0, place * groups + draw * groups / draws), p);
        }
        probabilities.extend(of_member.iter().map(|&p| p as f32));
        deterministic.extend(engine.probabilities(&Block { draws: Draws::Deterministic, ..block })?.iter().map(|&p| p as f32));
    }
    tell(observe, members, members)?;
    Ok(Inspection {
        settings: settings.clone(),
        z: latent.unwrap_or(encoding),
        image_shape,
        image,
        encoding,
        reconstruction,
        probabilities,
        deterministic,
        sampled,
        groups,
    })
}

/// The mean of q(z|x).
pub(super) fn encoding(set: &ModelSet, image_shape: [usize; 3], image: &[f32]) -> Result<[f64; 2]> {
    let pixels: usize = image_shape.iter().product();
    if image.len() != pixels {
        let problem = format!("it has {} values, but the networks take images of {image_shape:?}, which are {pixels}", image.len());
        return Err(Error::setting("the image", problem, "choose data of the kind that the models were trained on"));
    }
    let one = Dataset::new("of one image", image_shape, image.to_vec(), vec![0], vec![String::new()])?;
    let mean = encode(&set.vae, &one)?;
    Ok([mean[0].into(), mean[1].into()])
}

/// The training encodings nearest to a point, the nearest first, each decoded.
///
/// # Errors
/// When the models have no encodings, or the engine fails.
pub fn neighbours(set: &ModelSet, engine: &mut dyn Engine, nearest: &Nearest, z: [f64; 2], count: usize) -> Result<Vec<Neighbour>> {
    let train = &set.encodings()?.train;
    let found = nearest.nearest(z, count);
    let points: Vec<[f64; 2]> = found.iter().map(|&(number, _)| train.points[number].map(f64::from)).collect();
    let images = engine.decode(points.as_flattened())?;
    let pixels = images.len() / points.len().max(1);
    let described = found.into_iter().zip(points).enumerate().map(|(at, ((number, distance), z))| {
        let image = images[at * pixels..][..pixels].to_vec();
        Neighbour { number, label: train.labels[number], z, distance, image }
    });
    Ok(described.collect())
}

impl Inspection {
    /// The place of a member in the settings.
    pub fn place(&self, member: usize) -> Option<usize> {
        self.settings.members.iter().position(|&other| other == member)
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.sampled.classes()
    }

    /// The draws of the members at the given places in the settings.
    fn cell(&self, places: &[usize]) -> CellStatistics {
        let mut cell = CellStatistics::new(self.classes());
        for place in places {
            let mut of_member = vec![0.0; sums_len(self.classes())];
            for row in place * self.groups..(place + 1) * self.groups {
                of_member.iter_mut().zip(self.sampled.sums(0, row)).for_each(|(sum, of_group)| *sum += of_group);
            }
            cell.pool(&of_member);
        }
        cell
    }

    /// A measure over the members at the given places in the settings.
    pub fn measure(&self, measure: Measure, places: &[usize]) -> f64 {
        let classes = self.classes();
        match measure.passes() {
            Passes::Sampled => measure.evaluate(&self.cell(places)),
            Passes::Deterministic => {
                let mut pass = CellStatistics::new(classes);
                for place in places {
                    let p: Vec<f64> = self.deterministic[place * classes..][..classes].iter().copied().map(f64::from).collect();
                    pass.add_draw(&p);
                }
                measure.evaluate(&pass)
            }
        }
    }

    /// The mean prediction of the members at the given places, \[classes\].
    pub fn mean(&self, places: &[usize]) -> Vec<f64> {
        self.cell(places).mean()
    }

    /// The draws of the member at a place, \[draws, classes\].
    pub fn draws(&self, place: usize) -> &[f32] {
        let length = self.settings.samples as usize * self.classes();
        &self.probabilities[place * length..][..length]
    }

    /// The standard error of the mutual information of the members at the given places, in nats; NaN with fewer than three draws of
    /// each (see [`NO_STANDARD_ERROR`](crate::uncertainty::NO_STANDARD_ERROR)).
    pub fn standard_error(&self, places: &[usize]) -> f64 {
        GroupSums::of(&self.sampled, self.groups, places).mutual_information_standard_error(0, places.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;
    use crate::jobs::{MapSettings, map};
    use crate::latent::View;
    use std::ops::ControlFlow;
    use std::sync::Arc;

    fn settings() -> InspectSettings {
        InspectSettings { members: vec![0, 4, 7], samples: 12, seed: 3, masks: Masks::Shared }
    }

    fn open(set: &ModelSet) -> Box<dyn Engine> {
        engine::open("cpu", Arc::clone(&set.models)).unwrap()
    }

    #[test]
    fn a_point_is_what_the_map_says_of_it() {
        let set = ModelSet::shipped().unwrap();
        let mut engine = open(&set);
        let view = View::new([-1.5, 1.0], [-0.5, 2.0], 2, 2).unwrap();
        let InspectSettings { members, samples, seed, masks } = settings();
        let settings = MapSettings { view, samples, members, seed, masks, deterministic: true };
        let map = map(&set, engine.as_mut(), &settings, &mut |_| ControlFlow::Continue(())).unwrap();
        let mut inspect = |z, seed| {
            inspect(&set, engine.as_mut(), Subject::Latent(z), &InspectSettings { seed, ..self::settings() }, &mut |_| {
                ControlFlow::Continue(())
            })
            .unwrap()
        };
        let (same, other) = (inspect([1.0, 2.0], 3), inspect([1.0, 2.0], 4));
        for measure in Measure::ALL {
            for places in [&[0][..], &[2], &[0, 1, 2]] {
                let (point, whole) = (same.measure(measure, places), f64::from(map.measure_at(3, measure, places)));
                assert!((point - whole).abs() <= 1e-6, "{measure:?} of {places:?}: {point} and {whole}");
            }
        }
        let error = same.standard_error(&[0, 1, 2]);
        assert!((error - f64::from(map.standard_error.as_ref().unwrap()[3])).abs() <= 1e-6 && error > 0.0);
        let mean = same.mean(&[0, 1, 2]);
        assert!(mean.iter().zip(&map.mean_probabilities()[30..]).all(|(p, q)| (p - f64::from(*q)).abs() <= 1e-6));
        let draws: f64 = [0, 1, 2].iter().flat_map(|&place| same.draws(place)[3..].iter().step_by(10)).map(|&p| f64::from(p)).sum();
        assert!((draws / 36.0 - mean[3]).abs() <= 1e-6, "the draws are those of the mean");
        assert_ne!(same.probabilities, other.probabilities, "another seed draws other masks");
    }

    #[test]
    fn an_image_is_seen_as_it_is_and_lies_where_it_is_encoded() {
        let set = ModelSet::shipped().unwrap();
        let mut engine = open(&set);
        let decoded =
            inspect(&set, engine.as_mut(), Subject::Latent([-1.0, 0.5]), &settings(), &mut |_| ControlFlow::Continue(())).unwrap();
        let image =
            inspect(&set, engine.as_mut(), Subject::Image(decoded.image.clone()), &settings(), &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((image.z, image.encoding), (decoded.encoding, decoded.encoding));
        assert_eq!((&image.image, &image.reconstruction), (&decoded.image, &decoded.reconstruction));
        for measure in Measure::ALL {
            assert!((image.measure(measure, &[0, 1]) - decoded.measure(measure, &[0, 1])).abs() <= 1e-6, "{measure:?}");
        }
        let inverted: Vec<f32> = decoded.image.iter().map(|pixel| 1.0 - pixel).collect();
        let other =
            inspect(&set, engine.as_mut(), Subject::Image(inverted.clone()), &settings(), &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(other.image == inverted && other.z != image.z && other.mean(&[0]) != image.mean(&[0]));
    }

    /// Of twenty points, half moved by less than 0.1 and none by more than 0.22 when this was written.
    #[test]
    fn a_reconstruction_comes_back_to_where_it_was_decoded() {
        let set = ModelSet::shipped().unwrap();
        let mut engine = open(&set);
        let all = &set.encodings().unwrap().test.points;
        let points: Vec<[f64; 2]> = (0..20).map(|at| all[at * all.len() / 20].map(f64::from)).collect();
        let few = InspectSettings { members: vec![0], samples: 1, ..settings() };
        let inspected: Vec<Inspection> = points
            .iter()
            .map(|&z| inspect(&set, engine.as_mut(), Subject::Latent(z), &few, &mut |_| ControlFlow::Continue(())).unwrap())
            .collect();
        let median_distance = |shift: usize| {
            let mut distances: Vec<f64> = (0..20)
                .map(|at| (&inspected[at].encoding, &points[(at + shift) % 20]))
                .map(|(encoding, z)| (encoding[0] - z[0]).hypot(encoding[1] - z[1]))
                .collect();
            distances.sort_by(f64::total_cmp);
            distances[10]
        };
        let (own, others) = (median_distance(0), median_distance(1));
        assert!(own > 0.0 && own <= 0.1 * others, "{own} from the own point, {others} from another");
        let difference = |one: &Inspection, other: &Inspection| -> f32 {
            one.image.iter().zip(&other.reconstruction).map(|(a, b)| (a - b).abs()).sum::<f32>() / 784.0
        };
        let mean = |shift: usize| (0..20).map(|at| difference(&inspected[at], &inspected[(at + shift) % 20])).sum::<f32>() / 20.0;
        let (own, others) = (mean(0), mean(1));
        assert!(own > 0.0 && own <= 0.2 * others, "{own} between the images, {others} between others");
    }

    #[test]
    fn the_neighbours_come_with_their_images() {
        let set = ModelSet::shipped().unwrap();
        let mut engine = open(&set);
        let train = &set.encodings().unwrap().train;
        let nearest = Nearest::new(train);
        let z = train.points[77].map(f64::from);
        let found = neighbours(&set, engine.as_mut(), &nearest, z, 5).unwrap();
        assert!(found.len() == 5 && found[0].distance == 0.0 && found.windows(2).all(|pair| pair[0].distance <= pair[1].distance));
        assert!(found.iter().all(|one| one.label == train.labels[one.number] && one.z == train.points[one.number].map(f64::from)));
        assert_eq!(found[0].image, engine.decode(&found[0].z).unwrap());
    }

    #[test]
    fn it_stops_between_two_members() {
        let set = ModelSet::shipped().unwrap();
        let mut told = Vec::new();
        let stopped = super::inspect(&set, open(&set).as_mut(), Subject::Latent([0.0; 2]), &settings(), &mut |progress| {
            told.push((progress.done, progress.total));
            if progress.done == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(stopped, Err(Error::Cancelled)) && told == [(0, 3), (1, 3), (2, 3)]);
    }

    #[test]
    fn what_makes_no_sense_is_said_in_one_sentence() {
        let set = ModelSet::shipped().unwrap();
        let mut engine = open(&set);
        let mut refuse = |subject, settings| {
            inspect(&set, engine.as_mut(), subject, &settings, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string()
        };
        let text = refuse(Subject::Image(vec![0.5; 100]), settings());
        assert!(text.contains("100 values") && text.contains("[1, 28, 28]") && text.matches(". ").count() == 0, "{text}");
        assert!(refuse(Subject::Image(vec![1.5; 784]), settings()).contains("not in 0..=1"));
        assert!(refuse(Subject::Latent([0.0; 2]), InspectSettings { samples: 0, ..settings() }).contains("draw"));
        assert!(refuse(Subject::Latent([0.0; 2]), InspectSettings { members: vec![10], ..settings() }).contains("[10]"));
    }
}
