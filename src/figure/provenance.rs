//! Where a file comes from: a JSON value (settings, seed, draws, members, model hashes, version) in the file's own metadata.
//!
//! | format | place |
//! |---|---|
//! | PNG | an iTXt chunk with the keyword `epistemap` |
//! | SVG | `<metadata>`, after the words `epistemap provenance:` |
//! | PDF | the description in the XMP packet and in the document information, after the same words |
//! | npz | the member `provenance.json` |
//! | CSV | the first line, `# epistemap provenance: …` |
//! | JSON | the top-level key `provenance` |
//!
//! XMP packets are made for programs that do not understand the file around them: they stand there as plain XML, to be found by
//! scanning. So the same scan reads SVG and PDF.

use crate::budget;
use crate::error::{Error, Result};
use crate::files;
use serde_json::Value;
use std::io::Cursor;
use std::path::Path;

/// The keyword of the PNG chunk.
pub const KEYWORD: &str = "epistemap";
/// The name of an npz archive's member.
pub const NPZ_MEMBER: &str = "provenance.json";
/// The key in a JSON file.
pub const JSON_KEY: &str = "provenance";
/// Where text carries a provenance, these words stand before it.
const MARK: &str = "epistemap provenance: ";
/// No provenance is longer; a zip archive may claim otherwise.
const LONGEST: u64 = 16 << 20;

/// The provenance as one line of text, as SVG and PDF carry it.
pub fn payload(provenance: &Value) -> String {
    format!("{MARK}{provenance}")
}

/// The provenance as the first line of a CSV file, with its line end.
pub fn csv_line(provenance: &Value) -> String {
    format!("# {}\n", payload(provenance))
}

/// Reads the provenance back from a file of any of the formats above; the content says which, not the name.
///
/// # Errors
/// When the file cannot be read, is of another kind, carries no provenance, or a damaged one.
pub fn read(path: &Path) -> Result<Value> {
    let bytes = files::read(path)?;
    let found = || match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => in_png(&bytes),
        [b'P', b'K', 3, 4, ..] => in_npz(&bytes),
        [b'%', b'P', b'D', b'F', ..] => in_xml(&bytes),
        text if is_svg(text) => in_xml(text),
        [b'#', ..] => in_csv(&bytes),
        text if text.trim_ascii_start().starts_with(b"{") => in_json(text),
        _ => Err(Trouble::Kind),
    };
    let told = |trouble| match trouble {
        Trouble::Kind => Error::file(path, "it is no PNG, SVG, PDF, npz, CSV or JSON file", "choose a file that this program wrote"),
        Trouble::None => Error::file(path, "it carries no provenance of this program", "choose a file that this program wrote"),
        Trouble::Damaged(what) => Error::file(path, format!("its provenance is damaged ({what})"), "get the file again"),
    };
    files::guarded(path, || found().map_err(told))
}

type Found = std::result::Result<Value, Trouble>;

/// Why there is no provenance.
enum Trouble {
    Kind,
    None,
    Damaged(String),
}

fn damaged(what: impl std::fmt::Display) -> Trouble {
    Trouble::Damaged(what.to_string())
}

fn parsed(json: &[u8]) -> Found {
    if files::check_json(Path::new(JSON_KEY), json).is_err() {
        return Err(damaged(format!("{} of JSON may take more memory than {} allows", budget::size(json.len() as f64), budget::OPTION)));
    }
    serde_json::from_slice(json).map_err(damaged)
}

fn in_png(bytes: &[u8]) -> Found {
    let mut options = png::DecodeOptions::default();
    // A chunk of text that fails its checksum would be passed over in silence.
    options.set_skip_ancillary_crc_failures(false);
    let reader = png::Decoder::new_with_options(Cursor::new(bytes), options).read_info().map_err(damaged)?;
    let mut text = reader.info().utf8_text.iter().find(|text| text.keyword == KEYWORD).ok_or(Trouble::None)?.clone();
    text.decompress_text_with_limit(LONGEST as usize).map_err(damaged)?;
    parsed(text.get_text().map_err(damaged)?.as_bytes())
}

fn in_npz(bytes: &[u8]) -> Found {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let member = match archive.by_name(NPZ_MEMBER) {
        Err(zip::result::ZipError::FileNotFound) => return Err(Trouble::None),
        member => member.map_err(damaged)?,
    };
    parsed(&files::unpack(Path::new(NPZ_MEMBER), "it", member, LONGEST).map_err(damaged)?)
}

fn in_json(bytes: &[u8]) -> Found {
    parsed(bytes)?.get_mut(JSON_KEY).map(Value::take).ok_or(Trouble::None)
}

fn in_csv(bytes: &[u8]) -> Found {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let json = line.strip_prefix(b"# ").and_then(|line| line.strip_prefix(MARK.as_bytes())).ok_or(Trouble::None)?;
    parsed(json)
}

fn is_svg(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(1024)];
    start.trim_ascii_start().starts_with(b"<") && find(start, b"<svg").is_some()
}

/// The text of the first XML element that begins with the mark.
fn in_xml(bytes: &[u8]) -> Found {
    let opening = format!(">{MARK}");
    let start = find(bytes, opening.as_bytes()).ok_or(Trouble::None)? + opening.len();
    let length = find(&bytes[start..], b"<").ok_or_else(|| damaged("its end is missing"))?;
    let text = std::str::from_utf8(&bytes[start..start + length]).map_err(damaged)?;
    // The ampersand last, so that what it introduced is not taken for an entity.
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    parsed(entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character)).as_bytes())
}

fn find(bytes: &[u8], sought: &[u8]) -> Option<usize> {
    bytes.windows(sought.len()).position(|window| window == sought)
}
