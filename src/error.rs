//! The one error type. Its text is a whole sentence for the person at the keyboard: what is wrong, where, and the mend.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// A longer problem, such as what a library says of a file that it does not understand, is cut to so many characters.
const LONGEST_PROBLEM: usize = 300;

/// Everything that can go wrong, said so that a person can mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read, written, or believed.
    #[error("{}: {}; {}.", escaped(&path.to_string_lossy()), one_line(problem), escaped(mend))]
    File { path: PathBuf, problem: String, mend: String },
    /// A setting (a command-line option, a field of a request) out of its range.
    #[error("{}: {}; {}.", escaped(setting), one_line(problem), escaped(mend))]
    Setting { setting: String, problem: String, mend: String },
    /// A network whose layers, weights or input do not fit together.
    #[error("{}.", one_line(.0))]
    Network(String),
    /// The gradient library refused an operation: a defect of this program rather than of the input.
    #[error("the gradient computation failed: {}.", one_line(.0))]
    Autodiff(String),
    /// An engine that cannot start or go on: no adapter, a lost device, too little memory.
    #[error("{}.", one_line(.0))]
    Engine(String),
    /// A person, or a newer request, asked for the work to stop.
    #[error("Cancelled.")]
    Cancelled,
}

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

/// The number of the error of a device that cannot read or write, on Unix.
const EIO: i32 = 5;

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
            Kind::IsADirectory => "name a file instead of the folder",
            Kind::NotADirectory => "name a folder where a file stands now",
            Kind::InvalidFilename | Kind::InvalidInput => "choose another name",
            Kind::BrokenPipe | Kind::ConnectionReset => "the other side has closed it: start it again",
            Kind::StaleNetworkFileHandle | Kind::NetworkDown | Kind::HostUnreachable => "check the network disk",
            _ if cfg!(unix) && error.raw_os_error() == Some(EIO) => "check the disk",
            _ => "check what the path names, and try again",
        };
        Self::file(path, error.to_string(), mend)
    }
}

/// A text from outside, such as a name in a file, as a terminal may show it: control characters, line ends and marks that turn the direction
/// of writing stand there as escapes (`\n`, `\u{1b}`).
pub fn escaped(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for c in text.chars() {
        if is_plain(c) { shown.push(c) } else { shown.extend(c.escape_default()) }
    }
    Cow::Owned(shown)
}

/// A problem in one line of at most [`LONGEST_PROBLEM`] characters.
fn one_line(problem: &str) -> String {
    let line = problem.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let shown = escaped(&line);
    match shown.char_indices().nth(LONGEST_PROBLEM) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error as IoError, ErrorKind};

    #[test]
    fn texts_from_outside_are_shown_escaped_in_one_line_and_cut() {
        let error = Error::file(Path::new("a\u{1b}[2J\nb"), "the name\u{202e} is\n   odd", "give another\r");
        assert_eq!(error.to_string(), "a\\u{1b}[2J\\nb: the name\\u{202e} is odd; give another\\r.");
        let long = Error::Network("é".repeat(10_000)).to_string();
        assert_eq!(long.chars().count(), LONGEST_PROBLEM + 2, "with an ellipsis and a full stop");
        let plain = Error::setting("--grid", "größer als 'z∣x' \\ 8", "give a number").to_string();
        assert_eq!(plain, "--grid: größer als 'z∣x' \\ 8; give a number.");
    }

    #[cfg(unix)]
    #[test]
    fn only_a_failing_device_is_blamed_on_the_disk() {
        let said = |error: IoError| Error::io(Path::new("a"), &error).to_string();
        assert!(said(IoError::from_raw_os_error(EIO)).ends_with("check the disk."));
        for kind in [ErrorKind::IsADirectory, ErrorKind::NotADirectory, ErrorKind::InvalidInput, ErrorKind::BrokenPipe, ErrorKind::Other] {
            let text = said(kind.into());
            assert!(!text.contains("disk") && text.starts_with("a: ") && text.ends_with('.'), "{text}");
        }
    }
}
