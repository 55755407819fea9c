//! The data sets that this program knows by name: their classes, and where their files are published.

use crate::error::{Error, Result};
use std::fmt;

/// Which part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The images that models are trained on.
    Train,
    /// The images that they are judged on.
    Test,
}

impl Split {
    /// Both, the training images first.
    pub const ALL: [Self; 2] = [Self::Train, Self::Test];

    /// The plain names of the IDX files of images and of labels, the same for every set.
    pub fn files(self) -> [&'static str; 2] {
        match self {
            Self::Train => ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
            Self::Test => ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}

/// A file as its mirrors publish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its name below a mirror's address, and in the data set's folder.
    pub file: &'static str,
    /// That of the file as it is downloaded.
    pub checksum: Checksum,
}

/// A published checksum, in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    Md5(&'static str),
    Sha256(&'static str),
}

/// How a data set lies in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The IDX files of [`Split::files`], plain or gzipped.
    Idx,
    /// Image files `ROOT/CLASS/NAME` in the folder itself, or in one of these archives (`.zip`, `.tar.gz`), the best first; the split is by hash of
    /// class and name, and all become images of `shape` [channels, height, width].
    Images { root: &'static str, archives: &'static [&'static str], shape: [usize; 3] },
}

/// A data set known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name on the command line, and its folder.
    pub folder: &'static str,
    /// What a person calls it.
    pub name: &'static str,
    /// The class names in the order of the labels.
    pub classes: &'static [&'static str],
    /// How it lies there.
    pub layout: Layout,
    /// The files that can be downloaded; none for a set that has to be put in place by hand.
    pub published: &'static [Published],
    /// The addresses that the files stand below, the best first.
    pub mirrors: &'static [&'static str],
}

impl Source {
    /// The class names, owned as a [`Dataset`](super::Dataset) holds them.
    pub fn class_names(&self) -> Vec<String> {
        self.classes.iter().map(|&class| class.to_owned()).collect()
    }
}

/// Every known data set. The checksums are those that torchvision, TensorFlow Datasets and the authors publish.
pub const ALL: [Source; 5] = [
    Source {
        folder: "mnist",
        name: "MNIST",
        classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        layout: Layout::Idx,
        published: &[
            Published { file: "train-images-idx3-ubyte.gz", checksum: Checksum::Md5("f68b3c2dcbeaaa9fbdd348bbdeb94873") },
            Published { file: "train-labels-idx1-ubyte.gz", checksum: Checksum::Md5("d53e105ee54ea40749a09fcbcd1e9432") },
            Published { file: "t10k-images-idx3-ubyte.gz", checksum: Checksum::Md5("9fb629c4189551a2d022fa330f9573f3") },
            Published { file: "t10k-labels-idx1-ubyte.gz", checksum: Checksum::Md5("ec29112dd5afa0611ce80d1b7f02629c") },
        ],
        mirrors: &["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"],
    },
    Source {
        folder: "fashion-mnist",
        name: "Fashion-MNIST",
        classes: &["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"],
        layout: Layout::Idx,
        published: &[
            Published { file: "train-images-idx3-ubyte.gz", checksum: Checksum::Md5("8d4fb7e6c68d591d4c3dfef9ec88bf0d") },
            Published { file: "train-labels-idx1-ubyte.gz", checksum: Checksum::Md5("25c81989df183df01b3e8a0aad5dffbe") },
            Published { file: "t10k-images-idx3-ubyte.gz", checksum: Checksum::Md5("bef4ecab320f06d8554ea6380940ec79") },
            Published { file: "t10k-labels-idx1-ubyte.gz", checksum: Checksum::Md5("bb300cfdad3c16e7a12a480ee83cd310") },
        ],
        mirrors: &[
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ],
    },
    Source {
        folder: "kmnist",
        name: "Kuzushiji-MNIST",
        classes: &["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
        layout: Layout::Idx,
        published: &[
            Published { file: "train-images-idx3-ubyte.gz", checksum: Checksum::Md5("bdb82020997e1d708af4cf47b453dcf7") },
            Published { file: "train-labels-idx1-ubyte.gz", checksum: Checksum::Md5("e144d726b3acfaa3e44228e80efcd344") },
            Published { file: "t10k-images-idx3-ubyte.gz", checksum: Checksum::Md5("5c965bf0a639b31b8f53240b1b52f4d7") },
            Published { file: "t10k-labels-idx1-ubyte.gz", checksum: Checksum::Md5("7320c461ea6c1c855c0b718fb2a4b134") },
        ],
        mirrors: &["https://codh.rois.ac.jp/kmnist/dataset/kmnist/", "https://storage.googleapis.com/kuzushiji-mnist/"],
    },
    Source {
        folder: "notmnist",
        name: "notMNIST",
        classes: &["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"],
        layout: Layout::Idx,
        published: &[],
        mirrors: &[],
    },
    Source {
        folder: "cats-dogs",
        name: "Cats and dogs",
        classes: &["Cat", "Dog"],
        layout: Layout::Images { root: "PetImages", archives: &["kagglecatsanddogs_5340.zip", "PetImages-64.tar.gz"], shape: [3, 64, 64] },
        published: &[Published {
            file: "kagglecatsanddogs_5340.zip",
            checksum: Checksum::Sha256("b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9"),
        }],
        mirrors: &["https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"],
    },
];

/// The data set of that name.
///
/// # Errors
/// When there is none; lists those that there are.
pub fn named(name: &str) -> Result<&'static Source> {
    ALL.iter().find(|source| source.folder == name).ok_or_else(|| {
        let known: Vec<_> = ALL.iter().map(|source| source.folder).collect();
        let problem = format!("'{name}' is neither a known data set nor a file or folder that exists");
        Error::setting("the data set", problem, format!("check the path, or name one of {}", known.join(", ")))
    })
}

/// The data that models of these classes are about: the first set that has them all; MNIST where none has.
pub fn of_classes(classes: &[String]) -> &'static Source {
    ALL.iter().find(|source| has_classes(source, classes)).unwrap_or(&ALL[0])
}

/// Whether a data set has all of these classes.
pub fn has_classes(source: &Source, classes: &[String]) -> bool {
    classes.iter().all(|class| source.classes.contains(&class.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_about_the_data_that_have_their_classes() {
        let of = |classes: &[&str]| of_classes(&classes.iter().map(|&class| class.to_owned()).collect::<Vec<_>>()).folder;
        assert_eq!(of(&["Cat", "Dog"]), "cats-dogs");
        assert_eq!([of(&["7", "3"]), of(&["Sneaker", "Bag"]), of(&["Cat", "Horse"])], ["mnist", "fashion-mnist", "mnist"]);
    }

    #[test]
    fn every_source_is_found_by_its_folder_and_is_whole() {
        for source in &ALL {
            assert_eq!(named(source.folder).unwrap(), source);
            assert!(source.classes.len() == 10 || source.layout != Layout::Idx);
            assert!(source.mirrors.iter().all(|mirror| mirror.starts_with("http") && mirror.ends_with('/')));
            assert!(source.published.is_empty() || !source.mirrors.is_empty());
            for published in source.published {
                assert!(match published.checksum {
                    Checksum::Md5(text) => text.len() == 32,
                    Checksum::Sha256(text) => text.len() == 64,
                });
            }
        }
        assert!(named("minst").unwrap_err().to_string().contains("name one of mnist, fashion-mnist"));
    }

    #[test]
    fn published_files_are_those_that_are_looked_for() {
        let wanted: Vec<_> = Split::ALL.iter().flat_map(|split| split.files()).map(|file| format!("{file}.gz")).collect();
        for source in ALL.iter().filter(|source| !source.published.is_empty() && source.layout == Layout::Idx) {
            assert_eq!(source.published.iter().map(|published| published.file).collect::<Vec<_>>(), wanted);
        }
    }
}
