//! The digits that are part of the program: the first 1,000 test images of MNIST (`assets/mnist/NOTICE.md`). They are used where the whole
//! test set is not at hand.

use super::{Dataset, idx, sources};
use crate::error::Result;
use std::path::Path;

/// The name of the shipped digits, which says that they are not the whole test set.
pub const SHIPPED_DIGITS: &str = "MNIST test, the first 1,000 images";

static IMAGES: &[u8] = include_bytes!("../../assets/mnist/first-1000-images-idx3-ubyte.gz");
static LABELS: &[u8] = include_bytes!("../../assets/mnist/first-1000-labels-idx1-ubyte.gz");

/// The first 1,000 test images of MNIST with their labels, \[1000, 1, 28, 28\].
///
/// # Errors
/// Only if the program was built from damaged files.
pub fn shipped_digits() -> Result<Dataset> {
    let [images, labels] = ["images", "labels"].map(|what| format!("assets/mnist/first-1000-{what}"));
    let files = [(Path::new(&images), IMAGES), (Path::new(&labels), LABELS)];
    idx::decode_pair(SHIPPED_DIGITS, files, sources::named("mnist")?.class_names())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_digits_are_a_thousand_of_every_class() {
        let data = shipped_digits().unwrap();
        assert_eq!((data.len(), data.image_shape, data.classes.len()), (1000, [1, 28, 28], 10));
        assert_eq!(&data.labels[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
        assert_eq!([0, 1].map(|class| data.labels.iter().filter(|&&label| label == class).count()), [85, 126]);
    }
}
