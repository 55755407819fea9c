//! `epistemap data`: which data sets are here, and how to get them.

use super::progress::Bar;
use super::shared::{DataOptions, print};
use crate::data::{fetch, locate, sources};
use crate::error::Result;
use clap::{Args, Subcommand};

/// `epistemap data`.
#[derive(Debug, Args)]
pub struct Data {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Download a data set from its public mirrors: mnist, fashion-mnist, kmnist or cats-dogs. A cut download goes on where it stopped.
    Fetch {
        /// The data set.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        data: DataOptions,
    },
    /// List the known data sets and where they were found.
    List {
        #[command(flatten)]
        data: DataOptions,
    },
}

/// A line of the list: the data set's name, its split, where it is.
fn row(name: &str, split: &str, place: &str) -> String {
    format!("{name:<16}{split:<7}{place}")
}

impl Data {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the set is not known, no mirror gives it whole, or a file cannot be written.
    pub fn run(self) -> Result<()> {
        match self.what {
            What::Fetch { name, data } => {
                let set = sources::named(&name)?;
                let into = locate::download_directory(data.data.as_deref())?;
                let bar = Bar::new(0, "bytes");
                fetch::fetch(set, &into, set.mirrors, &mut |progress| {
                    bar.of(progress.bytes, progress.total.unwrap_or(progress.bytes), progress.file);
                })?;
                bar.say(&format!("{} is in {}", set.name, into.join(set.folder).display()));
                Ok(())
            }
            What::List { data } => {
                let line = |(set, split, found): (&sources::Source, sources::Split, Option<locate::Found>)| {
                    let place = found.map_or_else(
                        || {
                            if set.published.is_empty() {
                                "not here".to_owned()
                            } else {
                                format!("not here; `epistemap data fetch {}`", set.folder)
                            }
                        },
                        |found| found.place.to_string(),
                    );
                    row(set.folder, &split.to_string(), &place)
                };
                let mut lines: Vec<String> = locate::locate_all(data.data.as_deref()).into_iter().map(line).collect();
                lines.push(row("mnist-1000", "test", "part of the program: the first 1,000 MNIST test images"));
                lines.push(row("decoded-digits", "", "part of the program: the MNIST test encodings, decoded by the shipped VAE"));
                print(&lines.join("\n"))
            }
        }
    }
}
