//! Where the models of cats and dogs are: they are too large to be part of the program.

use super::library;
use crate::jobs::model_files::model_folders;
use std::path::{Path, PathBuf};

/// Their folder in the source tree.
const IN_SOURCE: &str = "models/cats-dogs";
/// Their name in the user's library.
const IN_LIBRARY: &str = "cats-dogs";

/// What to do where [`cats_dogs`] finds none.
pub const CATS_DOGS_MISSING: &str = "The models of cats and dogs are not here: start the program in its source folder, which has them in \
                                      models/cats-dogs, or copy that folder into the model library, the folder that EPISTEMAP_MODELS \
                                      names, else `models` in the user's data directory";

/// The folder of the models of cats and dogs: that of the source tree, from the current folder or above the program's file, else that in the
/// user's library. `None` where none of these holds models.
pub fn cats_dogs() -> Option<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    let of_program = program.ancestors().skip(1).map(|folder| folder.join(IN_SOURCE));
    let of_user = library().ok().map(|library| library.join(IN_LIBRARY));
    first_with_models(std::iter::once(PathBuf::from(IN_SOURCE)).chain(of_program).chain(of_user))
}

fn first_with_models(folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let has_models = |folder: &Path| model_folders(folder).is_ok_and(|models| !models.is_empty());
    folders.into_iter().find(|folder| has_models(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_that_holds_models_is_taken() {
        let (empty, missing) = (tempfile::tempdir().unwrap(), PathBuf::from("no/such/folder"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(IN_SOURCE);
        let candidates = [missing.clone(), empty.path().to_owned(), source.clone(), PathBuf::from("models")];
        assert_eq!(first_with_models(candidates), Some(source));
        assert_eq!(first_with_models([missing, empty.path().to_owned()]), None);
    }
}
