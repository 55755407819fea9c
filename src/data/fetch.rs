//! Downloads of the published data sets: from several mirrors in turn, resumed where they were cut, believed only with the
//! right checksum, and under their final name only when whole.

use super::Source;
use super::sources::{Checksum, Layout, Published};
use crate::error::{Error, Result};
use crate::files;
use md5::Md5;
use sha2::Sha256;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};
use ureq::Agent;

/// How long a mirror may take to be reached.
const CONNECT: Duration = Duration::from_secs(15);
/// How long a mirror may stay silent.
const STALL: Duration = Duration::from_secs(30);
/// A mirror that brings fewer bytes than this in each [`STALL`], 1 kB/s, is given up.
const LEAST_BYTES: u64 = 1000 * STALL.as_secs();
/// How often a transfer that brings something each time may be cut before the next mirror is tried.
const MOST_CUTS: usize = 10;
/// None of the published files comes near this size.
const MOST_BYTES: u64 = 1 << 30;

/// How far the download of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file's name.
    pub file: &'a str,
    /// The bytes that are here, those of an earlier, cut download among them.
    pub bytes: u64,
    /// The bytes of the whole file, where the mirror says it.
    pub total: Option<u64>,
}

/// Why a mirror did not give a file.
enum Fault {
    /// The mirror's fault, as a part of a sentence: the next one may do better.
    Mirror(String),
    /// The mirror is so slow that asking it again is no use.
    Slow,
    /// This machine's fault (a full disk, no permission): no mirror can help.
    Here(Error),
}

type Outcome = std::result::Result<(), Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

/// Downloads the files of a data set into its folder below `into`. Files that are there and right are left alone. `mirrors`
/// are addresses that end with a slash, such as the set's own [`mirrors`](Source::mirrors).
///
/// # Errors
/// When nobody publishes the set, a file cannot be written, or no mirror gave a file whole: names what each of them said.
pub fn fetch(set: &Source, into: &Path, mirrors: &[&str], progress: &mut dyn FnMut(Progress<'_>)) -> Result<()> {
    let folder = into.join(set.folder);
    if set.published.is_empty() {
        return Err(Error::setting(
            set.name,
            "cannot be downloaded",
            format!("put its {} into {}", if set.layout == Layout::Idx { "IDX files" } else { "images" }, folder.display()),
        ));
    }
    files::create_folder(&folder)?;
    let agent = agent(STALL);
    set.published.iter().try_for_each(|published| fetch_file(&agent, published, &folder, mirrors, progress))
}

fn agent(stall: Duration) -> Agent {
    Agent::config_builder()
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(stall))
        .http_status_as_error(false)
        .user_agent(concat!("epistemap/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

fn fetch_file(agent: &Agent, published: &Published, folder: &Path, mirrors: &[&str], progress: &mut dyn FnMut(Progress<'_>)) -> Result<()> {
    let target = folder.join(published.file);
    let size = length(&target)?;
    if size > 0 && is_right(&target, published.checksum)? {
        progress(Progress { file: published.file, bytes: size, total: Some(size) });
        return Ok(());
    }
    let part = folder.join(format!("{}.part", published.file));
    let mut faults = Vec::new();
    for mirror in mirrors {
        match from_mirror(agent, mirror, published, &part, progress) {
            Ok(()) => return fs::rename(&part, &target).map_err(|error| Error::io(&target, &error)),
            Err(Fault::Mirror(fault)) => faults.push(format!("{mirror} {fault}")),
            Err(Fault::Slow) => faults.push(format!("{mirror} was slower than 1 kB/s")),
            Err(Fault::Here(error)) => return Err(error),
        }
    }
    let problem = format!("no mirror gave the whole file ({})", faults.join("; "));
    Err(Error::file(&target, problem, "check the network and try again: the download goes on where it stopped"))
}

/// Makes `part` the whole file, with the right checksum, from one mirror.
fn from_mirror(agent: &Agent, mirror: &str, published: &Published, part: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Outcome {
    // What an earlier run or another mirror left may be wrong without this mirror's fault.
    let mut foreign = length(part)? > 0;
    for _ in 0..MOST_CUTS {
        let had = length(part)?;
        match transfer(agent, mirror, published.file, part, had, (STALL, LEAST_BYTES), progress) {
            Ok(()) if is_right(part, published.checksum)? => return Ok(()),
            Ok(()) => {
                fs::remove_file(part).map_err(|error| Error::io(part, &error))?;
                if !foreign {
                    return Err(Fault::Mirror("gave a file with a wrong checksum".to_owned()));
                }
                foreign = false;
            }
            Err(Fault::Mirror(_)) if length(part)? > had => {}
            Err(fault) => return Err(fault),
        }
    }
    Err(Fault::Mirror("broke off again and again".to_owned()))
}

/// Asks a mirror for a file from byte `had` on, and writes what comes behind the bytes that `part` holds; writes `part` anew
/// where the mirror sends the whole file all the same. A mirror that brings fewer than `least` bytes in the time `each` is too slow.
fn transfer(
    agent: &Agent,
    mirror: &str,
    file: &str,
    part: &Path,
    had: u64,
    (each, least): (Duration, u64),
    progress: &mut dyn FnMut(Progress<'_>),
) -> Outcome {
    let mut request = agent.get(format!("{mirror}{file}"));
    if had > 0 {
        request = request.header("Range", format!("bytes={had}-"));
    }
    let mut response = request.call().map_err(|error| Fault::Mirror(format!("failed with '{error}'")))?;
    let range = response.headers().get("Content-Range").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let start = match response.status().as_u16() {
        200 => 0,
        206 if had > 0 && range.starts_with(&format!("bytes {had}-")) => had,
        // The file is not longer than what is here: the checksum tells whether it is the same.
        416 if had > 0 => return Ok(()),
        status => return Err(Fault::Mirror(format!("answered {status}"))),
    };
    let here = |error: std::io::Error| Fault::Here(Error::io(part, &error));
    let mut output = OpenOptions::new().create(true).write(true).append(start > 0).truncate(start == 0).open(part).map_err(here)?;
    let body = response.body_mut();
    let total = body.content_length().map(|rest| start.saturating_add(rest));
    let mut body = body.as_reader().take(MOST_BYTES.saturating_sub(start));
    let mut bytes = start;
    let (mut since, mut bytes_then) = (Instant::now(), start);
    let mut buffer = vec![0; 1 << 16];
    loop {
        progress(Progress { file, bytes, total });
        let count = body.read(&mut buffer).map_err(|error| Fault::Mirror(format!("broke off with '{error}'")))?;
        if count == 0 {
            return output.sync_all().map_err(here);
        }
        output.write_all(&buffer[..count]).map_err(here)?;
        bytes += count as u64;
        if since.elapsed() >= each && total != Some(bytes) {
            if bytes - bytes_then < least {
                return Err(Fault::Slow);
            }
            (since, bytes_then) = (Instant::now(), bytes);
        }
    }
}

/// The length of a file; 0 where there is none.
fn length(path: &Path) -> Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Error::io(path, &error)),
    }
}

/// Whether a file has the published checksum.
fn is_right(path: &Path, checksum: Checksum) -> Result<bool> {
    let failed = |error: std::io::Error| Error::io(path, &error);
    let file = File::open(path).map_err(failed)?;
    let found = match checksum {
        Checksum::Md5(expected) => files::hash_of::<Md5>(file).map(|found| found == expected),
        Checksum::Sha256(expected) => files::hash_of::<Sha256>(file).map(|found| found == expected),
    };
    found.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_silent_mirror_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mirror = format!("http://{}/", listener.local_addr().unwrap());
        let silent = std::thread::spawn(move || {
            let mut connection = listener.accept().unwrap().0;
            connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour").unwrap();
            // Until the other side hangs up.
            connection.read_to_end(&mut Vec::new()).ok();
        });
        let folder = tempfile::tempdir().unwrap();
        let (part, agent) = (folder.path().join("a.part"), agent(Duration::from_secs(2)));
        let mut seen = Vec::new();
        let result =
            transfer(&agent, &mirror, "a", &part, 0, (STALL, LEAST_BYTES), &mut |progress| seen.push((progress.bytes, progress.total)));
        drop(agent);
        silent.join().unwrap();
        assert!(matches!(result, Err(Fault::Mirror(fault)) if fault.contains("broke off")));
        assert_eq!((fs::read(&part).unwrap().as_slice(), seen.as_slice()), (&b"four"[..], &[(0, Some(9)), (4, Some(9))][..]));
    }

    #[test]
    fn a_slow_mirror_is_given_up_and_a_fast_one_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mirror = format!("http://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            for body in ["four", "four more"] {
                let mut connection = listener.accept().unwrap().0;
                write!(connection, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{body}").unwrap();
                // Until the other side hangs up.
                connection.read_to_end(&mut Vec::new()).ok();
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("a.part");
        // However little time has gone by, the first bytes are not enough, or any are.
        let fetched = |least: u64| transfer(&agent(STALL), &mirror, "a", &part, 0, (Duration::ZERO, least), &mut |_| {});
        assert!(matches!(fetched(5), Err(Fault::Slow)));
        assert!(fetched(1).is_ok(), "the negative control");
        assert_eq!(fs::read(&part).unwrap(), b"four more");
        server.join().unwrap();
    }
}
