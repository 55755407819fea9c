//! Options that several verbs share.

use super::speaking::Speaking;
use crate::data::{Dataset, FolderData, Split, sources};
use crate::engine::{self, Engine, Models};
use crate::error::{Error, Result, escaped};
use crate::jobs::training::{DataChoice, TrainingData, load_split};
use crate::jobs::{Additions, Classifiers, ModelSet, has_vae};
use crate::nets::{Ensemble, Vae};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Once};

/// Where data are.
#[derive(Clone, Debug, Args)]
pub struct DataOptions {
    /// The folder that holds the data sets [default: `EPISTEMAP_DATA`, the user's data directory, then ../shared/data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl DataOptions {
    /// Loads a known data set, or a folder of one's own. Where MNIST is nowhere to be found and no folder was named, the shipped digits are its
    /// test images and decoded digits its training images, and standard error says so.
    ///
    /// # Errors
    /// When it is not known, not there or damaged.
    pub fn load(&self, name: &str, split: Split) -> Result<Dataset> {
        self.load_in(name, split, None)
    }

    /// The same as models take it: their classes of it, and images of a folder in their shape.
    ///
    /// # Errors
    /// As [`load`](Self::load), and when one of their classes has no image.
    pub fn load_for(&self, ensemble: &Ensemble, name: &str, split: Split) -> Result<Dataset> {
        let shape = <[usize; 3]>::try_from(ensemble.image_shape()).ok();
        self.load_in(name, split, shape)?.with_classes(ensemble.classes())
    }

    /// The same; the data set that models of these classes are about where none is named.
    ///
    /// # Errors
    /// As [`load_for`](Self::load_for).
    pub fn load_of(&self, ensemble: &Ensemble, name: Option<&str>, split: Split) -> Result<Dataset> {
        self.load_for(ensemble, name.unwrap_or_else(|| sources::of_classes(ensemble.classes()).folder), split)
    }

    /// The same with images of a folder in this shape.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_in(&self, name: &str, split: Split, shape: Option<[usize; 3]>) -> Result<Dataset> {
        let (data, note) = load_split(name, split, self.data.as_deref(), shape)?;
        say_once(note.as_slice());
        Ok(data)
    }

    /// Training and test images as a training takes them, with images of a folder in this shape.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_both(&self, name: &str, shape: Option<[usize; 3]>) -> Result<[Dataset; 2]> {
        let choice = TrainingData { source: DataChoice::of(name), shape, ..TrainingData::default() };
        let FolderData { train, test, notes } = choice.load(self.data.as_deref())?;
        say_once(&notes);
        Ok([train, test])
    }
}

/// Says on standard error what should be said of data, once for all data of a run.
fn say_once(notes: &[String]) {
    static SAID: Once = Once::new();
    if !notes.is_empty() {
        SAID.call_once(|| say(&notes.join(" ")));
    }
}

/// Which data set's test images are looked at.
#[derive(Debug, Args)]
pub struct TestImages {
    /// The data set; its test images are used. `epistemap data list` names them; or a folder, as `epistemap train` takes it [default: that of
    /// the models' classes].
    #[arg(long, value_name = "NAME|DIR")]
    dataset: Option<String>,
    #[command(flatten)]
    data: DataOptions,
}

impl TestImages {
    /// Loads them.
    ///
    /// # Errors
    /// As [`DataOptions::load`], and when the encodings of the models are of other images under its name.
    pub fn load(&self, set: &ModelSet) -> Result<Dataset> {
        let data = self.data.load_of(set.ensemble(), self.dataset.as_deref(), Split::Test)?;
        set.check_encoded(&data, || data.sha256())?;
        Ok(data)
    }
}

/// A number, or a fraction such as 8/255.
///
/// # Errors
/// When it is neither.
pub fn number(text: &str) -> std::result::Result<f64, String> {
    let parts: Option<Vec<f64>> = text.splitn(2, '/').map(|part| part.trim().parse().ok()).collect();
    match parts.as_deref() {
        Some(&[number]) => Ok(number),
        Some(&[over, under]) if under != 0.0 => Ok(over / under),
        _ => Err(format!("'{text}' is neither a number nor a fraction such as 8/255")),
    }
}

/// The first so many images of a data set; all for `None`.
///
/// # Errors
/// When there are not so many.
pub fn first_images(data: Dataset, wanted: Option<usize>) -> Result<Dataset> {
    match wanted {
        None => Ok(data),
        Some(images) if (1..=data.len()).contains(&images) => Ok(data.slice(0..images)),
        Some(images) => {
            Err(Error::setting("--images", format!("{images} is out of range"), format!("give a number from 1 to {}", data.len())))
        }
    }
}

/// The seed.
#[derive(Clone, Copy, Debug, Args)]
pub struct Seed {
    /// The seed of everything random.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u32,
}

/// Which models.
#[derive(Clone, Debug, Args)]
pub struct SetOptions {
    /// A folder of model folders: one VAE and the classifiers [default: the shipped models].
    #[arg(long, alias = "model", value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// The folder of a VAE to take in place of theirs.
    #[arg(long, value_name = "DIR")]
    vae: Option<PathBuf>,
    /// The folder of a classifier, or of several, to ask beside theirs; may be given several times.
    #[arg(long, value_name = "DIR")]
    add_member: Vec<PathBuf>,
}

impl SetOptions {
    /// Opens them.
    ///
    /// # Errors
    /// When a model is damaged, or they do not fit each other.
    pub fn open(&self) -> Result<ModelSet> {
        let set = ModelSet::open_with(self.models.as_deref(), &self.additions())?;
        say_each(&set.notes);
        Ok(set)
    }

    /// The classifiers, and the VAE where there is one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_classifiers(&self) -> Result<(Classifiers, Option<Vae>)> {
        match &self.models {
            Some(folder) if self.vae.is_none() && !has_vae(folder) => {
                let classifiers = Classifiers::open_with(Some(folder), &self.add_member)?;
                say_each(&classifiers.notes);
                Ok((classifiers, None))
            }
            _ => {
                let set = self.open()?;
                Ok((Classifiers::of(&set), Some(set.vae)))
            }
        }
    }

    /// What is added to them.
    pub fn additions(&self) -> Additions {
        Additions { vae: self.vae.clone(), members: self.add_member.clone() }
    }
}

/// Which models, and what computes with them.
#[derive(Debug, Args)]
pub struct ModelOptions {
    #[command(flatten)]
    pub set: SetOptions,
    /// What computes.
    #[arg(long, value_parser = engine_name(), default_value = engine::AUTO)]
    pub engine: String,
}

impl ModelOptions {
    /// Opens the models and an engine for them, which says on standard error when another one takes over.
    ///
    /// # Errors
    /// When a model is damaged, they do not fit each other, or there is no such engine.
    pub fn open(&self) -> Result<(ModelSet, Box<dyn Engine>)> {
        let set = self.set.open()?;
        let engine = self.open_engine(&set)?;
        Ok((set, engine))
    }

    /// Opens the engine alone, as [`open`](Self::open) does.
    ///
    /// # Errors
    /// When there is no such engine, or it cannot be opened.
    pub fn open_engine(&self, set: &ModelSet) -> Result<Box<dyn Engine>> {
        self.open_engine_of(&set.models)
    }

    /// Opens the engine for models of any origin.
    ///
    /// # Errors
    /// As [`open_engine`](Self::open_engine).
    pub fn open_engine_of(&self, models: &Arc<Models>) -> Result<Box<dyn Engine>> {
        Ok(Box::new(Speaking::new(engine::open(&self.engine, Arc::clone(models))?)))
    }
}

/// A parser of engines by name.
pub fn engine_name() -> PossibleValuesParser {
    PossibleValuesParser::new(engine::available().iter().map(|kind| kind.name))
}

/// A parser of the names in a registry, which the help then lists.
pub fn choice<T: Clone + Send + Sync + 'static>(
    names: impl IntoIterator<Item = &'static str>,
    named: fn(&str) -> Option<T>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names).try_map(move |name| named(&name).ok_or("it is not known"))
}

/// Two values with a comma between them.
///
/// # Errors
/// When there are not two, or one is no value.
pub fn pair<T: FromStr>(text: &str) -> std::result::Result<[T; 2], String> {
    let parts: Option<Vec<T>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    parts.and_then(|parts| parts.try_into().ok()).ok_or_else(|| format!("'{text}' is not two numbers with a comma between them"))
}

/// How far two engines may differ, in units of a measure's natural range: single precision.
pub const TOLERANCE: &str = "1e-4";

/// A share of a range.
///
/// # Errors
/// When it is none.
pub fn tolerance(text: &str) -> std::result::Result<f64, String> {
    let share = text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("'{text}' is no number from 0 to 1"))
}

/// A text of several lines as a terminal may show it.
fn shown(text: &str) -> String {
    let line = |line: &str| line.split('\t').map(|part| escaped(part).into_owned()).collect::<Vec<_>>().join("\t");
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Says lines on standard error.
pub fn say_each(notes: &[String]) {
    for note in notes {
        say(note);
    }
}

/// Says a line on standard error. Where that cannot be written to, nobody is there to be told.
pub fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{}", shown(line));
}

/// Prints a result to standard output. A reader that has seen enough and closed its end, such as `head`, is no error.
///
/// # Errors
/// When standard output is closed from the start, or full.
pub fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut output = std::io::stdout().lock();
    match writeln!(output, "{}", shown(text)).and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io(std::path::Path::new("standard output"), &error)),
        _ => Ok(()),
    }
}

/// Prints a result as JSON to standard output.
///
/// # Errors
/// As [`print`].
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value);
    print(&text.map_err(|error| Error::setting("--json", error.to_string(), "report this defect"))?)
}
