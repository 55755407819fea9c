//! Columns of a table as an npz archive, for NumPy.

use crate::budget;
use crate::data::npy::npy_file;
use crate::error::{Error, Result};
use crate::figure::provenance::NPZ_MEMBER;
use crate::files;
use npyz::{DType, TypeChar, WriterBuilder as _};
use serde_json::Value;
use std::io::{Cursor, Write as _};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Column {
    /// Numbers, as f64.
    Numbers(Vec<f64>),
    /// Text, as UTF-32 of the longest one's length.
    Text(Vec<String>),
}

/// The bytes of an archive of columns by their names, and the provenance. The same columns give the same bytes.
///
/// # Errors
/// When the archive cannot be made. `path` is for the message.
pub(super) fn encode(path: &Path, columns: &[(&str, Column)], provenance: &Value) -> Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    // No date: the same columns give the same bytes.
    let entry =
        SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated).last_modified_time(zip::DateTime::default());
    let mut fill = || -> std::io::Result<()> {
        for (name, column) in columns {
            archive.start_file(format!("{name}.npy"), entry)?;
            match column {
                Column::Numbers(values) => {
                    let mut writer =
                        npyz::WriteOptions::new().default_dtype().shape(&[values.len() as u64]).writer(&mut archive).begin_nd()?;
                    writer.extend(values.iter().copied())?;
                    writer.finish()?;
                }
                Column::Text(values) => {
                    let longest = values.iter().map(|value| value.chars().count()).max().unwrap_or(0).max(1);
                    let kind = format!("<U{longest}").parse().map_err(std::io::Error::other)?;
                    let options = npyz::WriteOptions::new().dtype(DType::Plain(kind)).shape(&[values.len() as u64]);
                    let mut writer = options.writer(&mut archive).begin_nd()?;
                    writer.extend(values.iter().map(String::as_str))?;
                    writer.finish()?;
                }
            }
        }
        archive.start_file(NPZ_MEMBER, entry)?;
        archive.write_all(provenance.to_string().as_bytes())
    };
    fill().map_err(|error| Error::io(path, &error))?;
    archive.finish().map(Cursor::into_inner).map_err(|error| Error::file(path, error.to_string(), "report this defect"))
}

/// A byte of an array takes so many in memory at most: of u8 as numbers in double precision, beside itself and as it is read.
const BYTES_PER_BYTE: u64 = 10;

/// The columns of an archive, in its order: one-dimensional arrays of numbers or text.
///
/// # Errors
/// When it is damaged, or an array is of another kind.
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Vec<(String, Column)>> {
    let wrong = |problem: String| Error::file(path, problem, "save it with numpy.savez");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| wrong(format!("is no npz archive ({error})")))?;
    let (mut columns, mut unpacked) = (Vec::new(), 0);
    for at in 0..archive.len() {
        let entry = archive.by_index(at).map_err(|error| wrong(error.to_string()))?;
        let file_name = entry.name().map_err(|error| wrong(error.to_string()))?.into_owned();
        let Some(name) = npyz::npz::array_name_from_file_name(&file_name).map(str::to_owned) else { continue };
        let array = files::unpack(path, &format!("'{name}'"), entry, budget::limit().saturating_sub(unpacked) / BYTES_PER_BYTE)?;
        unpacked += array.len() as u64 * BYTES_PER_BYTE;
        let damaged = |error: std::io::Error| wrong(format!("'{name}' is no whole array ({error})"));
        let file = npy_file(&array).map_err(damaged)?;
        let kind = match file.dtype() {
            DType::Plain(kind) => (kind.type_char(), kind.num_bytes().unwrap_or(0)),
            _ => (TypeChar::RawData, 0),
        };
        let length = match file.shape() {
            [length] => *length,
            shape => return Err(wrong(format!("'{name}' has the axes {shape:?}, not one"))),
        };
        if length.saturating_mul(kind.1.max(1) as u64) > array.len() as u64 {
            return Err(wrong(format!("'{name}' is shorter than its {length} values")));
        }
        macro_rules! numbers {
            ($type:ty, $convert:expr) => {
                Column::Numbers(file.into_vec::<$type>().map_err(damaged)?.into_iter().map($convert).collect())
            };
        }
        let column = match kind {
            (TypeChar::Float, 8) => numbers!(f64, |value| value),
            (TypeChar::Float, 4) => numbers!(f32, f64::from),
            (TypeChar::Int, 8) => numbers!(i64, |value| value as f64),
            (TypeChar::Int, 4) => numbers!(i32, f64::from),
            (TypeChar::Uint, 8) => numbers!(u64, |value| value as f64),
            (TypeChar::Uint, 1) => numbers!(u8, f64::from),
            (TypeChar::Bool, _) => numbers!(bool, f64::from),
            (TypeChar::UnicodeStr | TypeChar::ByteStr, _) => Column::Text(file.into_vec::<String>().map_err(damaged)?),
            _ => return Err(wrong(format!("'{name}' holds elements of the type {}", file.dtype().descr()))),
        };
        columns.push((name, column));
    }
    Ok(columns)
}
