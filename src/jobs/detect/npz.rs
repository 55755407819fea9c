//! Columns of a table as an npz archive, for NumPy.

use crate::error::{Error, Result};
use crate::figure::provenance::NPZ_MEMBER;
use npyz::{DType, WriterBuilder as _};
use serde_json::Value;
use std::io::{Cursor, Write as _};
use std::path::Path;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

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
