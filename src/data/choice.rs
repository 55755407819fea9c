//! What is trained on of a data set: some of its classes, and labels that are wrong on purpose.

use super::Dataset;
use crate::error::{Error, Result};
use crate::nets::same_classes;
use crate::random::{Purpose, Stream};

/// The seed of label noise: which labels are wrong belongs to the data, not to the seed of a model, so that the members of an ensemble
/// learn from the same labels.
const NOISE_SEED: u32 = 0;

impl Dataset {
    /// The images of these classes only, in their order; the classes keep their names and are numbered anew in the order of `classes`.
    ///
    /// # Errors
    /// When a class is not there, is named twice, or has no image.
    pub fn keep_classes(&self, classes: &[usize]) -> Result<Self> {
        let wrong = |problem: String, mend: String| Err(Error::setting("--classes", problem, mend));
        for (place, &class) in classes.iter().enumerate() {
            if class >= self.classes.len() {
                let last = self.classes.len() - 1;
                return wrong(format!("{class} is no class of {}", self.name), format!("give numbers from 0 to {last}"));
            }
            if classes[..place].contains(&class) {
                return wrong(format!("the class {class} is named twice"), "name each once".to_owned());
            }
            if !self.labels.iter().any(|&label| usize::from(label) == class) {
                let problem = format!("{} has no image of the class {class} ('{}')", self.name, self.classes[class]);
                return wrong(problem, "leave it out, or choose other data".to_owned());
            }
        }
        let place = |label: u16| classes.iter().position(|&class| class == usize::from(label));
        let numbers: Vec<usize> = (0..self.len()).filter(|&image| place(self.labels[image]).is_some()).collect();
        if numbers.is_empty() {
            return wrong("no class is named".to_owned(), "name two at least".to_owned());
        }
        let mut kept = self.subset(&numbers);
        kept.labels = kept.labels.iter().filter_map(|&label| place(label)).map(|place| place as u16).collect();
        kept.classes = classes.iter().map(|&class| self.classes[class].clone()).collect();
        Ok(kept)
    }

    /// The images of the classes of these names, numbered in their order, where all of them are here: what a model of a part of the classes
    /// is judged on; upper and lower case apart. Classes that nobody has named take these names. Else the data as they are.
    ///
    /// # Errors
    /// When one of several classes has no image.
    pub fn with_classes(mut self, names: &[String]) -> Result<Self> {
        if same_classes(&self.classes, names) {
            return Ok(self);
        }
        // "a" and "A" may be two classes, so an equal name is looked for before one that differs in case.
        let like = |name: &String| self.classes.iter().position(|class| class.to_lowercase() == name.to_lowercase());
        let place = |name: &String| self.classes.iter().position(|class| class == name).or_else(|| like(name));
        let numbers: Option<Vec<usize>> = names.iter().map(place).collect();
        let Some(numbers) = numbers.filter(|numbers| !numbers.is_empty()) else {
            if self.is_unnamed && self.classes.len() <= names.len() {
                self.classes = names.to_vec();
            }
            return Ok(self);
        };
        if let Some(&class) = numbers.iter().find(|&&class| !self.labels.iter().any(|&label| usize::from(label) == class)) {
            let problem = format!("{} has no image of the class '{}', which the models know", self.name, self.classes[class]);
            return Err(Error::setting("--dataset", problem, "choose data with images of each of their classes"));
        }
        self.keep_classes(&numbers)
    }

    /// The same images with a share of the labels wrong: round(share · N) images, the first of a permutation by hash, so that a larger
    /// share holds the wrong labels of a smaller one; each takes one of the other classes with equal probability.
    ///
    /// # Errors
    /// When the share is not in 0..=1, or there is no other class.
    pub fn with_label_noise(mut self, share: f64) -> Result<Self> {
        let wrong = |problem: String, mend: &str| Err(Error::setting("--label-noise", problem, mend));
        if !(0.0..=1.0).contains(&share) {
            return wrong(format!("{share} is no share"), "give a number from 0 to 1");
        }
        if share > 0.0 && self.classes.len() < 2 {
            return wrong("there is no other class for a wrong label".to_owned(), "choose data of two classes at least");
        }
        let stream = Stream::new(NOISE_SEED, Purpose::LabelNoise);
        let count = (share * self.len() as f64).round() as usize;
        let (chosen, others) = (stream.permutation([0; 3], self.len()), self.classes.len().saturating_sub(1));
        for &image in &chosen[..count] {
            let step = 1 + (stream.uniform([1, 0, 0], image as u32) * others as f64) as usize;
            self.labels[image] = ((usize::from(self.labels[image]) + step) % self.classes.len()) as u16;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of one pixel, the i-th of class i mod `classes`.
    fn data(count: usize, classes: usize) -> Dataset {
        let pixels = (0..count).map(|image| image as f32 / count as f32).collect();
        let names = (0..classes).map(|class| format!("class {class}")).collect();
        Dataset::new("numbers", [1, 1, 1], pixels, (0..count).map(|image| (image % classes) as u16).collect(), names).unwrap()
    }

    #[test]
    fn kept_classes_are_numbered_anew_and_keep_their_names_and_images() {
        let kept = data(12, 5).keep_classes(&[4, 1]).unwrap();
        assert_eq!(kept.classes, ["class 4", "class 1"]);
        assert_eq!(kept.labels, [1, 0, 1, 0, 1]);
        assert_eq!(*kept.images(), [1.0, 4.0, 6.0, 9.0, 11.0].map(|image: f32| image / 12.0));
        assert_eq!(data(12, 5).with_classes(&kept.classes).unwrap(), kept);
        assert_eq!(data(12, 5).with_classes(&["class 1".to_owned(), "other".to_owned()]).unwrap(), data(12, 5));
        let mut without = data(12, 5);
        without.labels.iter_mut().for_each(|label| *label = (*label).min(3));
        for (data, classes, part) in
            [(data(12, 5), &[0, 5][..], "numbers from 0 to 4"), (data(12, 5), &[2, 0, 2], "twice"), (without, &[0, 4], "'class 4'")]
        {
            let error = data.keep_classes(classes).unwrap_err().to_string();
            assert!(error.starts_with("--classes: ") && error.contains(part), "{error}");
        }
        // Where models choose the classes, no option names them.
        let mut without = data(12, 5);
        without.labels.iter_mut().for_each(|label| *label = (*label).min(3));
        let names = ["class 0", "class 4"].map(str::to_owned);
        let error = without.with_classes(&names).unwrap_err().to_string();
        assert!(error.starts_with("--dataset: ") && error.contains("no image of the class 'class 4'"), "{error}");
    }

    #[test]
    fn letters_that_differ_in_case_are_two_classes_and_other_names_are_not() {
        let named = |names: [&str; 3]| Dataset { classes: names.map(str::to_owned).to_vec(), ..data(6, 3) };
        let labels = |data: Dataset, names: &[&str]| {
            data.with_classes(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).map(|data| data.labels)
        };
        assert_eq!(labels(named(["b", "a", "A"]), &["A", "a"]).unwrap(), [1, 0, 1, 0]);
        assert_eq!(labels(named(["Dog", "Cat", "cow"]), &["cat", "dog"]).unwrap(), [1, 0, 1, 0]);
    }

    #[test]
    fn label_noise_makes_that_share_of_the_labels_wrong_and_spreads_them() {
        let clean = data(9000, 10);
        let noisy = clean.clone().with_label_noise(0.2).unwrap();
        let wrong = |noisy: &Dataset| (0..9000).filter(|&image| noisy.labels[image] != clean.labels[image]).collect::<Vec<_>>();
        assert_eq!(wrong(&noisy).len(), 1800);
        assert_eq!(noisy, clean.clone().with_label_noise(0.2).unwrap());
        // Of each class to each other, 1800 / 90 on average: within five standard deviations of a Poisson number.
        let mut pairs = [[0; 10]; 10];
        for image in wrong(&noisy) {
            pairs[usize::from(clean.labels[image])][usize::from(noisy.labels[image])] += 1;
        }
        let expected: f64 = 20.0;
        for (from, row) in pairs.iter().enumerate() {
            for (to, &count) in row.iter().enumerate() {
                let off = (f64::from(count) - expected).abs();
                assert!(if from == to { count == 0 } else { off <= 5.0 * expected.sqrt() }, "{count} from {from} to {to}");
            }
        }
        let more = clean.clone().with_label_noise(0.5).unwrap();
        assert!(wrong(&noisy).iter().all(|&image| more.labels[image] == noisy.labels[image]) && wrong(&more).len() == 4500);
        assert_eq!(clean.clone().with_label_noise(0.0).unwrap(), clean);
        assert_eq!(wrong(&clean.clone().with_label_noise(1.0).unwrap()).len(), 9000);
    }

    #[test]
    fn a_share_that_is_none_and_noise_without_another_class_are_refused() {
        for share in [-0.1, 1.1, f64::NAN] {
            assert!(data(3, 2).with_label_noise(share).unwrap_err().to_string().starts_with("--label-noise: "));
        }
        assert!(data(3, 1).with_label_noise(0.5).is_err() && data(3, 1).with_label_noise(0.0).is_ok());
    }
}
