//! The one error type. Its text is a whole sentence for the person at the keyboard: what is wrong, where, and the mend.

use std::path::{Path, PathBuf};

/// Everything that can go wrong, said so that a person can mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read, written, or believed.
    #[error("{}: {problem}; {mend}.", path.display())]
    File { path: PathBuf, problem: String, mend: String },
    /// A setting (a command-line option, a field of a request) out of its range.
    #[error("{setting}: {problem}; {mend}.")]
    Setting { setting: String, problem: String, mend: String },
    /// A network whose layers, weights or input do not fit together.
    #[error("{0}.")]
    Network(String),
    /// The gradient library refused an operation: a defect of this program rather than of the input.
    #[error("the gradient computation failed: {0}.")]
    Autodiff(String),
    /// An engine that cannot start or go on: no adapter, a lost device, too little memory.
    #[error("{0}.")]
    Engine(String),
    /// A person, or a newer request, asked for the work to stop.
    #[error("Cancelled.")]
    Cancelled,
}

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A problem with a file. `mend` says what to do, in the imperative.
    pub fn file(path: &Path, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), problem: problem.into(), mend: mend.into() }
    }

    /// A problem with a setting. `mend` says what to do, in the imperative.
    pub fn setting(setting: impl Into<String>, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Setting { setting: setting.into(), problem: problem.into(), mend: mend.into() }
    }

    /// What the operating system said while `path` was read or written, with the usual mend for it.
    pub fn io(path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let mend = match error.kind() {
            Kind::NotFound => "check the path",
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => "choose a place that you may write to, or change its permissions",
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => "free some space, or choose another place",
            Kind::UnexpectedEof | Kind::InvalidData => "the file is damaged: get it again",
            _ => "check the file and its disk",
        };
        Self::file(path, error.to_string(), mend)
    }
}
