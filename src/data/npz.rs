//! Archives of arrays, as `numpy.savez` writes them.

use super::npy::{self, Array};
use crate::budget;
use crate::error::{Error, Result};
use crate::files;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// How an archive begins.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";
/// A longer header of an array is damaged.
const LONGEST_HEADER: u64 = 1 << 16;

/// An archive of arrays.
pub(super) struct Archive {
    path: PathBuf,
    archive: ZipArchive<File>,
}

impl Archive {
    /// Opens an archive.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let archive = ZipArchive::new(files::open(path)?);
        let archive = archive.map_err(|error| Error::file(path, format!("is no npz archive ({error})"), "save it with numpy.savez"))?;
        Ok(Self { path: path.to_owned(), archive })
    }

    /// The names of the arrays.
    pub fn names(&self) -> Vec<String> {
        let of_array = |name: &str| npyz::npz::array_name_from_file_name(name).map(str::to_owned);
        self.archive.file_names().filter_map(|name| of_array(&name.ok()?)).collect()
    }

    /// The array of the key that a person chose, else the only one whose axes fit `what`.
    ///
    /// # Errors
    /// When it is not there, or not the only one.
    pub fn choose(&mut self, key: Option<&str>, what: &str, fits: &dyn Fn(&[u64]) -> bool) -> Result<String> {
        let names = self.names();
        let wrong = |problem: String, mend: &str| Err(Error::file(&self.path, problem, mend));
        if let Some(key) = key {
            if names.iter().any(|name| name == key) {
                return Ok(key.to_owned());
            }
            return wrong(format!("holds no array '{key}', but {}", names.join(", ")), "name one of them with --key");
        }
        let (mut fitting, mut others) = (Vec::new(), Vec::new());
        for name in names {
            let axes = npy::npy_file(&self.unpacked(&name, LONGEST_HEADER)?).map(|file| file.shape().to_vec());
            let axes = axes.map_err(|error| self.damaged(&name, &error.to_string()))?;
            if fits(&axes) { fitting.push(name) } else { others.push(format!("'{name}' {axes:?}")) }
        }
        match &fitting[..] {
            [name] => Ok(name.clone()),
            [] => {
                let problem = format!("holds no array of {what}, but {}", others.join(", "));
                Err(Error::file(&self.path, problem, "save one with these axes, or name one with --key"))
            }
            several => {
                let problem = format!("holds several arrays that may be {what}: {}", several.join(", "));
                Err(Error::file(&self.path, problem, "name one of them with --key"))
            }
        }
    }

    /// An array.
    ///
    /// # Errors
    /// When it is not there or damaged.
    pub fn array(&mut self, name: &str) -> Result<Array> {
        let header = self.unpacked(name, LONGEST_HEADER)?;
        let file = npy::npy_file(&header).map_err(|error| self.damaged(name, &error.to_string()))?;
        let Some(promised) = npy::promised(&file) else {
            return Err(self.damaged(name, &format!("it says that it has the axes {:?}", file.shape())));
        };
        budget::check_file(&self.path, format!("the array '{name}'"), promised as f64)?;
        let bytes = self.unpacked(name, promised + LONGEST_HEADER)?;
        npy::decode(&self.path.join(name), &bytes)
    }

    /// The first so many bytes of an array's file.
    fn unpacked(&mut self, name: &str, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let unpacked = match self.archive.by_name(&format!("{name}.npy")) {
            Ok(file) => file.take(most).read_to_end(&mut bytes).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match unpacked {
            Ok(_) => Ok(bytes),
            Err(error) => Err(self.damaged(name, &error)),
        }
    }

    fn damaged(&self, name: &str, problem: &str) -> Error {
        Error::file(&self.path.join(name), format!("is no whole array ({problem})"), "save the archive again with numpy.savez")
    }
}
