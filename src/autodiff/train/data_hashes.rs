//! Which data a training is of, by content: names and counts may stay while labels change.

use crate::data::Dataset;
use serde::{Deserialize, Serialize};

/// The SHA-256 of the images and of the labels of both splits, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataHashes {
    train: Split,
    test: Split,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Split {
    images: String,
    labels: String,
}

impl Split {
    fn of(data: &Dataset) -> Self {
        let [images, labels] = data.sha256_of_parts();
        Self { images, labels }
    }
}

impl DataHashes {
    /// Those of training and test images; of a large set, it takes seconds.
    pub fn of(train: &Dataset, test: &Dataset) -> Self {
        Self { train: Split::of(train), test: Split::of(test) }
    }

    /// What of these data differs from the data of another training, for a sentence: "the training labels".
    pub(super) fn changes(&self, then: &Self) -> String {
        let parts = [
            ("the training images", &self.train.images, &then.train.images),
            ("the training labels", &self.train.labels, &then.train.labels),
            ("the test images", &self.test.images, &then.test.images),
            ("the test labels", &self.test.labels, &then.test.labels),
        ];
        let changed: Vec<&str> = parts.into_iter().filter(|(_, now, then)| now != then).map(|(what, ..)| what).collect();
        changed.join(", ")
    }
}
