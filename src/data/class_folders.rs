//! The sub-folders of an image folder, each of which is a class, and what is left out of them.

use super::image_set::{Entry, image_files, is_hidden, is_unread_image};
use crate::error::{Error, Result, escaped};
use crate::files;
use crate::numbers::{by_number, counted};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Images are looked for so many folders below a class: someone may name any folder of the machine.
const DEEPEST: usize = 2;

/// The classes of a folder.
pub(super) struct ClassFolders {
    root: PathBuf,
    /// In the order of their names, numbers in names by value.
    pub classes: Vec<ClassFolder>,
    left_out: LeftOut,
}

/// A class.
pub(super) struct ClassFolder {
    /// What it is called: the name of its folder.
    pub name: String,
    path: PathBuf,
    images: Vec<PathBuf>,
}

/// Images that are not read, by the reason.
#[derive(Default)]
struct LeftOut {
    /// In formats that are not read, and the extensions of these.
    unread: (u64, BTreeSet<String>),
    /// In folders below a class.
    nested: u64,
    /// Beside the classes.
    loose: u64,
    /// Links to another class or its images.
    links: u64,
    /// In classes that the training images lack, and the names of these.
    unknown: (u64, Vec<String>),
    /// Names of classes that are not UTF-8, which are read.
    not_utf8: u64,
}

impl ClassFolders {
    /// Looks for the classes of a folder.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn of(root: &Path) -> Result<Self> {
        let mut found = Self { root: root.to_owned(), classes: Vec::new(), left_out: LeftOut::default() };
        let paths: Vec<PathBuf> = files::listed(root)?.into_iter().filter(|path| !is_hidden(path)).collect();
        // Where the folders lie that are no links, to find links to them.
        let of_classes: Vec<PathBuf> =
            paths.iter().filter(|path| path.is_dir() && !path.is_symlink()).filter_map(|path| path.canonicalize().ok()).collect();
        // A link to the folder itself, or to one around it, leads to all classes.
        let whole = root.canonicalize().ok();
        let leads_to_other = |path: &Path, own: Option<&Path>| {
            // Most images are no links, and a path costs many calls of the system to resolve.
            let target = path.is_symlink().then(|| path.canonicalize().ok()).flatten();
            let is_other = |target: &Path| of_classes.iter().any(|class| target.starts_with(class) && own != Some(class));
            target.is_some_and(|target| is_other(&target) || whole.as_ref().is_some_and(|whole| whole.starts_with(&target)))
        };
        found.left_out.loose = image_files(root)?.len() as u64;
        for path in paths.into_iter().filter(|path| path.is_dir()) {
            if leads_to_other(&path, None) {
                found.left_out.links += 1;
                continue;
            }
            let own = path.canonicalize().ok();
            let (links, images) = image_files(&path)?.into_iter().partition::<Vec<_>, _>(|image| leads_to_other(image, own.as_deref()));
            found.left_out.links += links.len() as u64;
            found.left_out.look_below(&path, 0)?;
            if !images.is_empty() {
                let name = found.name_of(&path);
                found.classes.push(ClassFolder { name, path, images });
            }
        }
        found.classes.sort_by_cached_key(|class| by_number(&class.name));
        Ok(found)
    }

    /// The name of a class; one that is not UTF-8 may need a number to be another than that of a class before it.
    fn name_of(&mut self, path: &Path) -> String {
        let name = path.file_name().unwrap_or_default();
        self.left_out.not_utf8 += u64::from(name.to_str().is_none());
        let name = escaped(&name.to_string_lossy()).into_owned();
        let numbered = (2..).map(|number: u32| format!("{name} ({number})"));
        let is_free = |name: &String| self.classes.iter().all(|class| class.name != *name);
        std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or(name)
    }

    /// The images of the classes.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (class, folder) in self.classes.iter().enumerate() {
            entries.extend(folder.images.iter().map(|image| Entry::new(image.clone(), class)));
        }
        entries
    }

    /// The images of these classes that `training` has too, by its numbers; the others are left out.
    pub fn entries_of(&mut self, training: &Self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for folder in &self.classes {
            let class = training.classes.iter().position(|class| class.path.file_name() == folder.path.file_name());
            if let Some(class) = class {
                entries.extend(folder.images.iter().map(|image| Entry::new(image.clone(), class)));
            } else {
                self.left_out.unknown.0 += folder.images.len() as u64;
                self.left_out.unknown.1.push(format!("'{}'", folder.name));
            }
        }
        entries
    }

    /// Why there are no classes.
    pub fn none(&self) -> Error {
        if self.left_out.nested > 0 {
            let problem = "holds no images in its sub-folders, but below these";
            return Error::file(&self.root, problem, "name the folder whose sub-folders hold the images of one class each");
        }
        let mend = "name a folder with one sub-folder of images per class, or with train-images-idx3-ubyte and train-labels-idx1-ubyte";
        let unread = self.left_out.unread();
        let problem = format!(
            "holds neither IDX files nor images in sub-folders{}",
            unread.map(|unread| format!(", but {unread}")).unwrap_or_default()
        );
        Error::file(&self.root, problem, mend)
    }

    /// What was left out, in a sentence.
    pub fn summary(&self) -> Option<String> {
        let LeftOut { unread: (unread, _), nested, loose, links, unknown: (unknown, names), not_utf8 } = &self.left_out;
        let part = |count: u64, what: &str| (count > 0).then(|| format!("{} {what}", counted(count, "image")));
        let left_out: Vec<String> = [
            self.left_out.unread(),
            part(*nested, "in folders below a class"),
            part(*loose, "beside the folders of the classes"),
            (*links > 0).then(|| format!("{} to other classes", counted(*links, "link"))),
            part(*unknown, &format!("of classes without training images ({})", names.join(", "))),
        ]
        .into_iter()
        .flatten()
        .collect();
        let names = (*not_utf8 > 0).then(|| format!("{} not in UTF-8, and shown with '\u{fffd}'", counted(*not_utf8, "class name")));
        let verb = if unread + nested + loose + links + unknown == 1 { "is" } else { "are" };
        let parts = [(!left_out.is_empty()).then(|| format!("left out {verb} {}", left_out.join(", "))), names];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
        (!text.is_empty()).then(|| format!("{}: {text}.", self.root.display()))
    }
}

impl LeftOut {
    /// Counts images that are not read in the folder of a class, of depth 0, and those of any kind below it. Links are not followed.
    fn look_below(&mut self, folder: &Path, depth: usize) -> Result<()> {
        for path in files::listed(folder)?.iter().filter(|path| !is_hidden(path)) {
            if path.is_dir() && !path.is_symlink() && depth < DEEPEST {
                self.nested += image_files(path)?.len() as u64;
                self.look_below(path, depth + 1)?;
            } else if is_unread_image(path) {
                if depth == 0 {
                    self.unread.0 += 1;
                    self.unread.1.extend(path.extension().map(|extension| format!(".{}", extension.to_string_lossy().to_lowercase())));
                } else {
                    self.nested += 1;
                }
            }
        }
        Ok(())
    }

    fn unread(&self) -> Option<String> {
        let (count, extensions) = &self.unread;
        let extensions = extensions.iter().map(|extension| escaped(extension)).collect::<Vec<_>>().join(", ");
        (*count > 0).then(|| format!("{} in formats that are not read ({extensions})", counted(*count, "image")))
    }
}
