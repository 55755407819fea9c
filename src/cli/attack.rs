//! `epistemap attack`: images changed within a budget so that the models answer something else.

use super::map_options::{MemberChoice, chosen_members, members};
use super::progress::Bar;
use super::shared::{Seed, choice, print, print_json, say_each};
use super::speaking::Speaking;
use crate::attack::{self, ApgdLoss, Norm, Settings};
use crate::data::npy;
use crate::engine;
use crate::error::{Error, Result};
use crate::files;
use crate::jobs::{self, AttackSettings, Attacked, Classifiers, Labels, Manifold, ModelSet, On, percent_or_dash, self_checks};
use crate::numbers::{counted, fixed};
use crate::uncertainty::Measure;
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// Whose answer is attacked, and how: what `attack` and `detect` share.
#[derive(Debug, Args)]
pub struct Method {
    /// The length of a step [default: ε / 10; ε / 30 for pgd, 0.02 for cw; for apgd the first, 2 ε, ε in L1].
    #[arg(long, value_name = "S", value_parser = super::shared::number, allow_hyphen_values = true)]
    step: Option<f64>,
    /// Steps (queries for square) [default: 10; 40 for pgd, 100 for each loss of apgd, 5 × 100 for cw, 1000 for square].
    #[arg(long, value_name = "N")]
    iterations: Option<u32>,
    /// How much of the former direction mim keeps.
    #[arg(long, value_name = "D", default_value_t = 1.0, allow_hyphen_values = true)]
    decay: f64,
    /// How often pgd starts at random, and apgd with each loss.
    #[arg(long, value_name = "N", default_value_t = 1)]
    restarts: u32,
    /// What apgd climbs: the cross-entropy, the difference of logits ratio, or one after the other.
    #[arg(long, value_parser = choice(ApgdLoss::ALL.map(ApgdLoss::key), ApgdLoss::from_key), default_value = ApgdLoss::Both.key())]
    loss: ApgdLoss,
    /// By how much cw is to win the margin, in nats.
    #[arg(long, value_name = "K", default_value_t = 0.0, allow_hyphen_values = true)]
    confidence: f64,
    /// The weight of mutual information in mi-evading.
    #[arg(long, value_name = "W", default_value_t = 0.3, allow_hyphen_values = true)]
    lambda: f64,
    /// Draw new masks at every step of the attack, rather than keep one set.
    #[arg(long)]
    fresh_masks: bool,
    /// The loss of the paper's code, which takes the softmax twice and so is nearly flat.
    #[arg(long)]
    pub as_published: bool,
    /// Dropout draws per member, T, that measure; as many others are attacked.
    #[arg(long, value_name = "T", default_value_t = 20)]
    pub samples: u32,
    /// Dropout draws per member whose mean is attacked [default: as many as --samples].
    #[arg(long, value_name = "N")]
    attack_samples: Option<u32>,
    /// Which members answer together: a count, their numbers with commas, or `all` [default: the first; all for the ensemble].
    #[arg(long, value_name = "E|N,N,…|all", value_parser = members)]
    members: Option<MemberChoice>,
    #[command(flatten)]
    pub seed: Seed,
}

impl Method {
    /// The settings of a method within a budget.
    pub fn settings(&self, method: &str, norm: Norm, epsilon: f64) -> Settings {
        Settings {
            step: self.step,
            iterations: self.iterations,
            decay: self.decay,
            restarts: self.restarts,
            loss: self.loss,
            confidence: self.confidence,
            lambda: self.lambda,
            fresh_masks: self.fresh_masks,
            as_published: self.as_published,
            seed: self.seed.seed,
            attack_samples: self.attack_samples,
            ..Settings::new(method, norm, epsilon)
        }
    }

    /// The members by number.
    ///
    /// # Errors
    /// When one is not there.
    pub fn members(&self, classifiers: &Classifiers, on: On) -> Result<Vec<usize>> {
        match &self.members {
            None => Ok(on.members(classifiers)),
            Some(choice) => {
                let there = classifiers.ensemble().members().len();
                classifiers.members(chosen_members(Some(choice), there)?.as_deref())
            }
        }
    }
}

/// The classifiers, and what computes with them.
#[derive(Debug, Args)]
pub struct ClassifierOptions {
    /// A folder of model folders, or the folder of one classifier [default: the shipped models].
    #[arg(long, alias = "model", value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// The folder of a classifier, or of several, to ask beside theirs; may be given several times.
    #[arg(long, value_name = "DIR")]
    add_member: Vec<PathBuf>,
    /// What computes the measures.
    #[arg(long, value_parser = PossibleValuesParser::new(engine::available().iter().map(|kind| kind.name)), default_value = engine::AUTO)]
    engine: String,
}

impl ClassifierOptions {
    /// Opens them.
    ///
    /// # Errors
    /// When a model is damaged, they do not fit each other, or there is no such engine.
    pub fn open(&self) -> Result<(Classifiers, Box<dyn engine::Engine>)> {
        let classifiers = Classifiers::open_with(self.models.as_deref(), &self.add_member)?;
        say_each(&classifiers.notes);
        let engine = engine::open(&self.engine, Arc::clone(&classifiers.models))?;
        Ok((classifiers, Box::new(Speaking::new(engine))))
    }

    /// How far images lie from the data of these models' VAE; `None` where they have none, or no encodings.
    pub fn manifold(&self) -> Option<Manifold> {
        Manifold::of(&ModelSet::open(self.models.as_deref()).ok()?)
    }
}

/// `epistemap attack`.
#[derive(Debug, Args)]
pub struct Attack {
    #[command(flatten)]
    classifiers: ClassifierOptions,
    /// The images: an npy file [N, C, H, W] in 0..=1 (or bytes), an npz file with such an array, or an IDX file.
    #[arg(long, value_name = "FILE")]
    images: PathBuf,
    /// Their classes, npy, npz or IDX [default: what the models answer].
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// The array of an npz file that holds the images, and that of the labels [default: the only one of its axes].
    #[arg(long, value_name = "IMAGES[,LABELS]", value_delimiter = ',', num_args = 1)]
    key: Vec<String>,
    /// The classes to get to, npy, npz or IDX: makes the attack targeted.
    #[arg(long, value_name = "FILE", conflicts_with = "labels")]
    targets: Option<PathBuf>,
    /// Attack the first N images only.
    #[arg(long, value_name = "N")]
    first: Option<usize>,
    /// How.
    #[arg(long, value_parser = PossibleValuesParser::new(attack::all().iter().map(|attack| attack.name())))]
    method: String,
    /// How a change is measured [default: linf; l2 for cw].
    #[arg(long, value_parser = choice(Norm::ALL.map(Norm::key), |key| Norm::from_key(key).ok()))]
    norm: Option<Norm>,
    /// The budget: no change is longer. Only cw, which looks for the smallest change, can do without.
    #[arg(long, value_name = "E", value_parser = super::shared::number, allow_hyphen_values = true)]
    eps: Option<f64>,
    /// Whose answer: one network with dropout off, the mean of its draws, or the mean over all members and their draws.
    #[arg(long, value_parser = choice(On::ALL.map(On::key), On::from_key), default_value = "deterministic")]
    on: On,
    #[command(flatten)]
    how: Method,
    /// Also give the numbers of every image; its measures are in the JSON only.
    #[arg(long)]
    each: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Do not run the checks of the attack, some variations of it on a few images.
    #[arg(long)]
    no_checks: bool,
    /// Where the changed images go: an npy file [N, C, H, W] of f32, in the images' order.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Attack {
    /// Runs the verb.
    ///
    /// # Errors
    /// When an option makes no sense, a file is missing or damaged, or images and models do not fit.
    pub fn run(self) -> Result<()> {
        let method = attack::named(&self.method)?;
        let epsilon = match self.eps {
            Some(epsilon) if epsilon.is_finite() => epsilon,
            Some(epsilon) => return Err(Error::setting("--eps", format!("{epsilon} is no size of a change"), "give a number from 0")),
            None if method.finds_the_smallest() => f64::INFINITY,
            None => return Err(Error::setting("--eps", format!("{} needs a budget", self.method), "give a number from 0")),
        };
        let norm = self.norm.unwrap_or(method.norms()[0]);
        let settings = Settings { targeted: self.targets.is_some(), ..self.how.settings(&self.method, norm, epsilon) };
        settings.check()?;
        let (classifiers, mut engine) = self.classifiers.open()?;
        let members = self.how.members(&classifiers, self.on)?;
        let settings = AttackSettings { attack: settings, on: self.on, members, samples: self.how.samples };
        settings.check(&classifiers)?;

        let shape = <[usize; 3]>::try_from(classifiers.ensemble().image_shape()).ok();
        let (images, notes) = npy::read_images_for(&self.images, self.key.first().map(String::as_str), shape)?;
        say_each(&notes);
        let count = match self.first {
            None => images.count,
            Some(first) if (1..=images.count).contains(&first) => first,
            Some(first) => {
                let mend = format!("give a number from 1 to {}", images.count);
                return Err(Error::setting("--first", format!("{first} is out of range"), mend));
            }
        };
        let pixels = &images.pixels[..count * images.shape.iter().product::<usize>()];
        let mut given = self
            .targets
            .as_ref()
            .or(self.labels.as_ref())
            .map(|path| npy::read_labels(path, self.key.get(1).map(String::as_str)))
            .transpose()?;
        if let Some(labels) = given.as_mut().filter(|labels| labels.len() == images.count) {
            labels.truncate(count);
        }
        let (labels, source) = match &given {
            None => (Labels::Predicted, "predicted"),
            Some(labels) => (Labels::Given(labels), if self.targets.is_some() { "targets" } else { "given" }),
        };
        files::create_folder_of(&self.out)?;

        let bar = Bar::new(1, "image-steps");
        let mut follow = bar.follow();
        let attacked =
            jobs::attack(&classifiers, engine.as_mut(), (pixels, images.shape), labels, &settings, &mut |progress, _| follow(progress))?;
        files::write_through(&self.out, &npy::encode_images(images.shape, &attacked.images))?;
        if !self.no_checks {
            for failure in self_checks(&classifiers, engine.as_mut(), (pixels, images.shape), &attacked, &mut follow)? {
                bar.say(&format!("Check: {failure}"));
            }
        }
        drop(follow);
        drop(bar);
        let summary = attacked.summary(&classifiers, source, self.each);
        if self.json { print_json(&summary) } else { print(&table(&attacked, &summary, source, self.each)) }
    }
}

/// For a person: how often the attack succeeded, how long its changes are, and what the measures say.
fn table(attacked: &Attacked, summary: &Value, source: &str, each: bool) -> String {
    let number = |value: &Value| value.as_f64().map_or_else(|| "–".to_owned(), |value| fixed(value, 4));
    let columns =
        |name: &str, of: &Value, keys: [&str; 3]| format!("{name:<28}{}", keys.map(|key| format!("{:>12}", number(&of[key]))).concat());
    let success = &summary["success"];
    let ends = [0, 1].map(|end| success["interval"][end].as_f64());
    let interval = if let [Some(low), Some(high)] = ends { format!(" [{:.1}, {:.1}]", 100.0 * low, 100.0 * high) } else { String::new() };
    let rate = percent_or_dash(success["rate"].as_f64());
    let what = if attacked.settings.attack.targeted { "at_target" } else { "accuracy" };
    let [before, after] = ["before", "after"].map(|when| percent_or_dash(summary[what][when].as_f64()));
    let mut lines = vec![
        format!("{}, labels: {source}", counted(attacked.labels.len() as u64, "image")),
        format!("success: {} of {}, {rate}{interval}", success["successful"], success["eligible"]),
        format!("{}: {before} before, {after} after", what.replace('_', " ")),
        format!("{:<28}{:>12}{:>12}{:>12}", "change", "mean", "median", "largest"),
    ];
    lines.extend(Norm::ALL.map(|norm| columns(norm.key(), &summary["norms"][norm.key()], ["mean", "median", "largest"])));
    lines.push(format!("{:<28}{:>12}{:>12}{:>12}", "measure", "before", "after", "successful"));
    let of_measure =
        |measure: Measure| columns(measure.key(), &summary["measures"][measure.key()], ["before", "after", "after_where_successful"]);
    lines.extend(Measure::ALL.map(of_measure));
    if each {
        let heads = ["image", "label", "before", "after", "success", "linf", "l2", "l1"].map(|head| format!("{head:>10}"));
        lines.push(heads.concat());
        let successes = attacked.successes();
        for (image, [before, after]) in attacked.predictions().enumerate() {
            let success = successes[image].map_or("–", |success| if success { "yes" } else { "no" });
            let lengths = attacked.norms[image].map(|length| format!("{:>10}", fixed(length, 4))).concat();
            lines.push(format!("{image:>10}{:>10}{before:>10}{after:>10}{success:>10}{lengths}", attacked.labels[image]));
        }
    }
    lines.push(
        "In brackets Wilson's 95 % interval, in per cent. Successful: the mean after the attack of the images where it succeeded."
            .to_owned(),
    );
    lines.join("\n")
}
