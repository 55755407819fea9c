//! What the window asks before it writes a file.

use std::path::{Path, PathBuf};

/// A question about a file that is to be written. A second click on its button is the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The file.
    pub path: PathBuf,
    /// What saving would do, a sentence each.
    pub sentences: Vec<String>,
    /// The button's label.
    pub button: &'static str,
}

impl Question {
    /// The question about a file, of a finished map or another subject; `None` where it can be written without one.
    pub fn about(path: &Path, is_finished: bool) -> Option<Self> {
        let mut parts = Vec::new();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        if path.is_dir() {
            parts.push((format!("The folder {} is there already; saving replaces files in it.", path.display()), "Replace"));
        } else if path.exists() {
            parts.push((format!("{} is there already; saving replaces it.", path.display()), "Replace"));
        } else if let Some(folder) = folder {
            parts.push((format!("The folder {} is not there; saving creates it.", folder.display()), "Create the folder"));
        }
        if !is_finished {
            parts.push(("The map is not finished: the file will say so.".to_owned(), "Save unfinished"));
        }
        let button = match parts.as_slice() {
            [] => return None,
            [(_, button)] => button,
            _ => "Save anyway",
        };
        Some(Self { path: path.to_owned(), sentences: parts.into_iter().map(|(sentence, _)| sentence).collect(), button })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_all_that_saving_would_do() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("there"), "").unwrap();
        let button = |name: &str, is_finished| Question::about(&at(name), is_finished).map(|question| question.button);
        assert_eq!(button("new", true), None);
        assert_eq!(Question::about(Path::new("no-such-file"), true), None, "the present folder is there");
        assert_eq!(button("there", true), Some("Replace"));
        assert_eq!(button("", true), Some("Replace"));
        assert_eq!(button("folder/new", true), Some("Create the folder"));
        assert_eq!(button("new", false), Some("Save unfinished"));
        let both = Question::about(&at("folder/new"), false).unwrap();
        assert_eq!((both.button, both.sentences.len()), ("Save anyway", 2));
    }
}
