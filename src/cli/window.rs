//! `epistemap window`: the window, or, where there can be none, the figures.

use super::shared::{DataOptions, ModelOptions, say};
use crate::app::{self, Start, Storage};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::jobs::training::data_of;
use crate::jobs::{cache_folder, library};
use clap::{Args, Parser};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `epistemap window`.
#[derive(Debug, Args)]
pub struct Window {
    #[command(flatten)]
    models: ModelOptions,
    #[command(flatten)]
    data: DataOptions,
    /// A session file, or a figure that the window exported: it is opened instead of the last session.
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
    /// Where the window remembers its last session [default: the user's configuration folder].
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
}

impl Window {
    /// The window with its defaults; the figures where it cannot open.
    ///
    /// # Errors
    /// When neither can be done.
    pub fn default_run() -> Result<()> {
        #[derive(Parser)]
        struct Defaults {
            #[command(flatten)]
            window: Window,
        }
        let opened = Defaults::parse_from(["epistemap"]).window.run();
        let Err(error @ Error::Setting { .. }) = opened else { return opened };
        say(&format!(
            "{error} Without a window, the paper's figures are written into the folder `figures`; `epistemap --help` lists the verbs."
        ));
        super::figures::Figures::default_run()
    }

    /// Runs the verb.
    ///
    /// # Errors
    /// When a model or the session file is damaged, or the window cannot open.
    pub fn run(self) -> Result<()> {
        if let Some(path) = &self.session {
            check_session(path)?;
        }
        let set = self.models.set.open()?;
        let (data, others, training) = (self.data.clone(), self.data.clone(), self.data);
        app::open(Start {
            set,
            additions: self.models.set.additions(),
            folder: self.models.set.models,
            engine: self.models.engine,
            session: self.session,
            storage: self.config.map_or_else(Storage::of_user, |folder| Storage::in_folder(Some(folder))),
            load: Arc::new(move |request| match &request.name {
                Some(name) => data.load_for(request.set.ensemble(), name, Split::Test),
                None => data_of(&request.set, request.folder.as_deref(), data.data.as_deref()),
            }),
            load_named: Arc::new(move |name| others.load(name, Split::Test)),
            attack_cache: cache_folder(),
            estimate_training: Arc::new(crate::jobs::training::estimate),
            load_training: Arc::new(move |plan| plan.data.load(training.data.as_deref())),
            library: library::library().ok(),
            cats_dogs: library::cats_dogs(),
        })
    }
}

/// Refuses a session file that no window can open, whatever its models: this needs no display.
fn check_session(path: &Path) -> Result<()> {
    let plan = Storage::open(path)?.session.training.plan;
    plan.check().map_err(|error| {
        let problem = format!("what it trains makes no sense: {}", error.to_string().trim_end_matches('.'));
        Error::file(path, problem, "choose another session file")
    })
}
