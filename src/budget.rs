//! The memory budget: what a request or a file would take is estimated and compared with one limit before anything is allocated.

use crate::error::{Error, Result};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The option that raises the limit, for messages.
pub const OPTION: &str = "--memory";
/// The machine's memory in bytes where it cannot be found out.
const USUAL: u64 = 16 << 30;
/// The fraction of the machine's memory that is allowed by default is one over this.
const PARTS: u64 = 4;

/// The limit in bytes that a person chose; 0 for none.
static CHOSEN: AtomicU64 = AtomicU64::new(0);

/// Sets the limit in bytes, of which there is one for the process.
pub fn set_limit(bytes: u64) {
    CHOSEN.store(bytes, Ordering::Relaxed);
}

/// The most bytes that one request or file may take: what was chosen, else a quarter of the machine's memory.
pub fn limit() -> u64 {
    static DEFAULT: OnceLock<u64> = OnceLock::new();
    match CHOSEN.load(Ordering::Relaxed) {
        0 => *DEFAULT.get_or_init(|| machine_memory() / PARTS),
        chosen => chosen,
    }
}

/// What is wrong where `what` would take more bytes than are allowed: the problem of an error, with the estimate and the limit.
pub fn excess(what: impl std::fmt::Display, bytes: f64) -> Option<String> {
    let limit = limit() as f64;
    // A number that is none, as 0 · ∞ is, fits nowhere.
    let fits = bytes <= limit;
    (!fits).then(|| format!("{what} would take {} of memory where {} are allowed", size(bytes), size(limit)))
}

/// Refuses a file of which `what` would take more bytes than are allowed.
///
/// # Errors
/// With the estimate and the limit.
pub fn check_file(path: &Path, what: impl std::fmt::Display, bytes: f64) -> Result<()> {
    let refused = |problem| Err(Error::file(path, problem, format!("name a smaller file, or allow more with {OPTION}")));
    excess(what, bytes).map_or(Ok(()), refused)
}

/// A number of bytes for a person, such as `3.2 GB`.
pub fn size(bytes: f64) -> String {
    let (unit, name) =
        [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")].into_iter().find(|(unit, _)| bytes >= *unit).unwrap_or((1.0, "bytes"));
    let value = bytes / unit;
    if value < 10.0 && unit > 1.0 { format!("{value:.1} {name}") } else { format!("{value:.0} {name}") }
}

/// A number of bytes as a person writes it: `4GB`, `512 MB`.
///
/// # Errors
/// When it is none, or below a megabyte.
pub fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim();
    let unit = match lower.trim_start_matches(|c: char| !c.is_ascii_alphabetic()) {
        "mb" | "m" => 1e6,
        "gb" | "g" => 1e9,
        "tb" | "t" => 1e12,
        _ => f64::NAN,
    };
    let bytes = digits.parse::<f64>().map_or(f64::NAN, |number| number * unit);
    if (1e6..1e18).contains(&bytes) { Ok(bytes as u64) } else { Err(format!("'{text}' is no size such as 4GB or 500MB")) }
}

/// The memory in bytes that this process can have: the machine's, or less where the system limits it.
fn machine_memory() -> u64 {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    let meminfo = number_after(&read("/proc/meminfo"), "MemTotal:").map(|kilobytes| kilobytes << 10);
    let address_space = number_after(&read("/proc/self/limits"), "Max address space");
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"].map(|path| read(path).trim().parse().ok());
    let known = [meminfo, address_space].into_iter().chain(groups).flatten();
    meminfo.map_or(USUAL, |_| known.min().unwrap_or(USUAL))
}

/// The number that follows a name at the start of a line.
fn number_after(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [("4GB", 4_000_000_000), ("1.5 g", 1_500_000_000), ("500mb", 500_000_000), (" 2TB ", 2_000_000_000_000)] {
            assert_eq!(parse_size(text), Ok(bytes));
        }
        for text in ["", "4", "GB", "-4GB", "nan GB", "1e30GB", "4 GBit", "0GB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!([size(3.24e9), size(12e9), size(5e5), size(2e13), size(7.0)], ["3.2 GB", "12 GB", "500 kB", "20 TB", "7 bytes"]);
    }

    #[test]
    fn more_than_the_limit_is_refused_with_the_estimate() {
        let limit = limit() as f64;
        assert!(limit >= 1e6, "{limit}");
        assert_eq!(excess("it", limit), None);
        let text = excess("a map", 2.0 * limit).unwrap();
        assert!(text.starts_with("a map would take ") && text.ends_with(&format!("where {} are allowed", size(limit))), "{text}");
        assert!(excess("it", f64::NAN).is_some() && excess("it", f64::INFINITY).is_some());
    }

    #[test]
    fn limits_of_the_system_are_read() {
        assert_eq!(number_after("MemTotal:       65 kB\nMemFree: 3 kB", "MemTotal:"), Some(65));
        assert_eq!(number_after("Max address space         unlimited            unlimited            bytes", "Max address space"), None);
        assert_eq!(
            number_after("Max address space         4096                 unlimited            bytes", "Max address space"),
            Some(4096)
        );
    }
}
