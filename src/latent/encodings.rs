//! Where the data lie on the latent plane: the means of q(z|x) of a data set's images, with their labels.

use crate::data::{DataIdentity, labels};
use crate::error::{Error, Result};
use crate::files;
use half::f16;
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::path::Path;

/// Half precision is good enough for a picture as long as no point moves further than this.
const MOST_MOVED: f32 = 1e-2;
/// The key of the class names in the file's metadata, a JSON list.
const CLASSES: &str = "classes";
/// The key of the VAE's hash there.
const VAE: &str = "vae_sha256";
/// The key of the names and hashes of the data there, a JSON list of two.
const DATA: &str = "data";

/// The latent points of images with their labels, one image at least.
#[derive(Clone, Debug, PartialEq)]
pub struct Encodings {
    /// z = μ of q(z|x), one per image.
    pub points: Vec<[f32; 2]>,
    /// One class per image.
    pub labels: Vec<u16>,
    /// What the classes are called.
    pub classes: Vec<String>,
}

impl Encodings {
    /// Puts points and labels together.
    ///
    /// # Errors
    /// When there is none, the counts differ, a point is not finite, or a label is not below the number of classes.
    pub fn new(points: Vec<[f32; 2]>, labels: Vec<u16>, classes: Vec<String>) -> Result<Self> {
        let wrong = |problem: String| Err(Error::setting("the encodings", problem, "encode the data set again"));
        if points.is_empty() || points.len() != labels.len() {
            return wrong(format!("{} points and {} labels are not one of each per image", points.len(), labels.len()));
        }
        if let Some(at) = points.iter().position(|point| !point.iter().all(|z| z.is_finite())) {
            return wrong(format!("point {at} is {:?}, which is not finite", points[at]));
        }
        if let Some(at) = labels.iter().position(|&label| usize::from(label) >= classes.len()) {
            return wrong(format!("point {at} has the label {}, but there are {} classes", labels[at], classes.len()));
        }
        Ok(Self { points, labels, classes })
    }

    /// The centre of each class: the median of its points along each axis, the upper one of two; `None` for a class without points.
    pub fn class_centres(&self) -> Vec<Option<[f32; 2]>> {
        let of_class = |class: usize| {
            let mut axes = [0, 1].map(|axis| {
                let here = self.points.iter().zip(&self.labels).filter(|(_, label)| usize::from(**label) == class);
                here.map(|(point, _)| point[axis]).collect::<Vec<f32>>()
            });
            let middle = axes[0].len() / 2;
            (!axes[0].is_empty()).then(|| [0, 1].map(|axis| *axes[axis].select_nth_unstable_by(middle, f32::total_cmp).1))
        };
        (0..self.classes.len()).map(of_class).collect()
    }
}

/// The centre of each of `classes` classes, [z₁, z₂]: the medians of its points' coordinates; `None` for a class without a point.
pub fn class_centres(points: &[[f32; 2]], labels: &[u16], classes: usize) -> Vec<Option<[f64; 2]>> {
    let median = |mut values: Vec<f32>| {
        let middle = values.len() / 2;
        (!values.is_empty()).then(|| f64::from(*values.select_nth_unstable_by(middle, f32::total_cmp).1))
    };
    let mut of_class = vec![[Vec::new(), Vec::new()]; classes];
    for (point, &label) in points.iter().zip(labels) {
        for (values, &z) in of_class[usize::from(label)].iter_mut().zip(point) {
            values.push(z);
        }
    }
    of_class.into_iter().map(|[z1, z2]| Some([median(z1)?, median(z2)?])).collect()
}

/// The encodings that are shipped beside a VAE: those of the training and of the test images. In the file: `train.points`
/// and `test.points` [N, 2] in f16 or f32, `train.labels` and `test.labels` [N] in u8, or u16 for more than 256 classes, and in the metadata the
/// class names, the VAE's hash and the data's.
#[derive(Clone, Debug, PartialEq)]
pub struct ShippedEncodings {
    /// Of the training images.
    pub train: Encodings,
    /// Of the test images.
    pub test: Encodings,
    /// The [hash](crate::nets::Vae::encoder_sha256) of the VAE that made them; `None` in files of earlier versions.
    pub vae: Option<String>,
    /// The training and the test images; `None` in files of earlier versions.
    pub data: Option<[DataIdentity; 2]>,
}

impl ShippedEncodings {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is damaged; says where.
    pub fn read(path: &Path) -> Result<Self> {
        Self::decode(path, &files::read(path)?)
    }

    /// Writes a file; it appears complete or not at all.
    ///
    /// # Errors
    /// When the class names of the two differ, or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        files::write_atomically(path, &self.encode(path)?)
    }

    /// Encodings from the bytes of a file; `path` is for messages.
    ///
    /// # Errors
    /// When a tensor is missing or of the wrong type or shape, or its values make no sense.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        let damaged = |problem: String| Error::file(path, problem, "get the file again");
        let not_safetensors = |error| damaged(format!("not a safetensors file: {error}"));
        files::check_header(path, bytes)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(not_safetensors)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(not_safetensors)?;
        let fact = |key: &str| header.metadata().as_ref().and_then(|metadata| metadata.get(key));
        let classes = fact(CLASSES);
        let classes: Vec<String> = classes
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| damaged(format!("the metadata hold no list of class names under '{CLASSES}'")))?;
        let data = fact(DATA).map(|text| serde_json::from_str(text)).transpose();
        let data = data.map_err(|error| damaged(format!("'{DATA}' in the metadata is invalid: {error}")))?;
        let split = |name: &str| {
            let tensor = |part: &str| {
                let name = format!("{name}.{part}");
                tensors.tensor(&name).map(|view| (name.clone(), view)).map_err(|_| damaged(format!("'{name}' is missing")))
            };
            let ((name, points), (labels_name, labels)) = (tensor("points")?, tensor("labels")?);
            let z: Vec<f32> = match (points.dtype(), points.shape()) {
                (Dtype::F16, [_, 2]) => points.data().as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
                (Dtype::F32, [_, 2]) => points.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
                (kind, shape) => return Err(damaged(format!("'{name}' is {kind:?} {shape:?} where f16 or f32 [N, 2] is expected"))),
            };
            let read = labels::from_bytes(labels.dtype(), labels.data()).filter(|_| labels.shape().len() == 1);
            let Some(read) = read else {
                let (kind, shape) = (labels.dtype(), labels.shape());
                return Err(damaged(format!("'{labels_name}' is {kind:?} {shape:?} where u8 or u16 [N] is expected")));
            };
            Encodings::new(z.as_chunks().0.to_vec(), read, classes.clone()).map_err(|error| match error {
                Error::Setting { problem, .. } => damaged(format!("'{name}': {problem}")),
                other => other,
            })
        };
        Ok(Self { train: split("train")?, test: split("test")?, vae: fact(VAE).cloned(), data })
    }

    /// The bytes of a file; `path` is for messages. Points are stored in half precision where that moves none of them by
    /// more than a hundredth, else in single precision.
    ///
    /// # Errors
    /// When the class names of the two differ.
    pub fn encode(&self, path: &Path) -> Result<Vec<u8>> {
        let refused = |problem: String| Error::file(path, problem, "encode the data set again");
        if self.train.classes != self.test.classes {
            return Err(refused("the training and test encodings have different class names".to_owned()));
        }
        let to_json = |text: serde_json::Result<String>| text.map_err(|error| refused(error.to_string()));
        let classes = to_json(serde_json::to_string(&self.train.classes))?;
        let data = self.data.as_ref().map(serde_json::to_string).map(to_json).transpose()?;
        let refused_by_library = |error: SafeTensorError| refused(error.to_string());
        let mut views = Vec::new();
        let splits = [("train", &self.train), ("test", &self.test)]
            .map(|(name, split)| (name, split.points.len(), points_to_bytes(&split.points), labels::to_bytes(&split.labels)));
        for (name, count, (of_points, points), (of_labels, labels)) in &splits {
            let points = TensorView::new(*of_points, vec![*count, 2], points).map_err(refused_by_library)?;
            let labels = TensorView::new(*of_labels, vec![*count], labels).map_err(refused_by_library)?;
            views.extend([(format!("{name}.points"), points), (format!("{name}.labels"), labels)]);
        }
        let facts = [(CLASSES, Some(classes)), (VAE, self.vae.clone()), (DATA, data)];
        let facts: HashMap<String, String> = facts.into_iter().filter_map(|(key, fact)| Some((key.to_owned(), fact?))).collect();
        safetensors::serialize(views, Some(facts)).map(files::with_sorted_header).map_err(refused_by_library)
    }
}

fn points_to_bytes(points: &[[f32; 2]]) -> (Dtype, Vec<u8>) {
    let z = points.as_flattened();
    if z.iter().all(|&z| (f16::from_f32(z).to_f32() - z).abs() < MOST_MOVED) {
        (Dtype::F16, z.iter().flat_map(|&z| f16::from_f32(z).to_le_bytes()).collect())
    } else {
        (Dtype::F32, z.iter().flat_map(|z| z.to_le_bytes()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(farthest: f32) -> ShippedEncodings {
        let encodings = |points: Vec<[f32; 2]>, labels| Encodings::new(points, labels, vec!["a".into(), "b".into(), "c".into()]).unwrap();
        ShippedEncodings {
            train: encodings(vec![[0.1, -3.3], [farthest, 2.2], [-7.7, 0.0]], vec![2, 0, 1]),
            test: encodings(vec![[1.0 / 3.0, 9.99]], vec![2]),
            vae: Some("hash".to_owned()),
            data: Some(["train", "test"].map(|name| DataIdentity { name: name.to_owned(), sha256: "ab".to_owned() })),
        }
    }

    #[test]
    fn class_centres_are_medians_along_each_axis() {
        let points = vec![[0.0, 5.0], [9.0, 6.0], [1.0, 70.0], [2.0, 3.0]];
        let encodings = Encodings::new(points, vec![0, 0, 0, 2], ["a", "b", "c"].map(str::to_owned).to_vec()).unwrap();
        assert_eq!(encodings.class_centres(), [Some([1.0, 6.0]), None, Some([2.0, 3.0])]);
    }

    #[test]
    fn what_is_written_is_read_back_within_a_hundredth() {
        // 100.03 lies a fortieth from the nearest half-precision number.
        for (farthest, dtype) in [(30.03, Dtype::F16), (100.03, Dtype::F32)] {
            let (written, path) = (shipped(farthest), Path::new("e.safetensors"));
            let bytes = written.encode(path).unwrap();
            assert_eq!(SafeTensors::deserialize(&bytes).unwrap().tensor("train.points").unwrap().dtype(), dtype);
            let read = ShippedEncodings::decode(path, &bytes).unwrap();
            for (read, written) in [(&read.train, &written.train), (&read.test, &written.test)] {
                assert_eq!((&read.labels, &read.classes), (&written.labels, &written.classes));
                assert_eq!(read.points.len(), written.points.len());
                let mut pairs = read.points.as_flattened().iter().zip(written.points.as_flattened());
                assert!(pairs.all(|(read, written)| (read - written).abs() < MOST_MOVED));
            }
            assert!(dtype == Dtype::F16 || read.train == written.train);
            assert_eq!(read.vae, written.vae);
        }
    }

    #[test]
    fn a_whole_file_appears_and_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/encodings.safetensors");
        shipped(1.0).write(&path).unwrap();
        assert_eq!(ShippedEncodings::read(&path).unwrap().test.labels, [2]);
    }

    #[test]
    fn labels_beyond_255_are_kept_and_bytes_do_not_change_from_run_to_run() {
        let mut written = shipped(1.0);
        for split in [&mut written.train, &mut written.test] {
            split.classes = (0..400).map(|class| class.to_string()).collect();
        }
        written.test.labels = vec![399];
        let path = Path::new("e.safetensors");
        let bytes = written.encode(path).unwrap();
        let read = ShippedEncodings::decode(path, &bytes).unwrap();
        assert_eq!(read.test.labels, [399]);
        assert_eq!((&read.vae, &read.data), (&written.vae, &written.data));
        for _ in 0..8 {
            assert_eq!(bytes, written.clone().encode(path).unwrap());
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let new = |points: &[[f32; 2]], labels: &[u16]| Encodings::new(points.to_vec(), labels.to_vec(), vec!["only".into()]);
        assert!(new(&[[0.0, 1.0]], &[0]).is_ok());
        for (points, labels, text) in [
            (&[][..], &[][..], "0 points"),
            (&[[0.0, 1.0]], &[0, 0], "2 labels"),
            (&[[0.0, f32::NAN]], &[0], "not finite"),
            (&[[f32::INFINITY, 0.0]], &[0], "not finite"),
            (&[[0.0, 1.0]], &[1], "label 1"),
        ] {
            assert!(new(points, labels).unwrap_err().to_string().contains(text));
        }
        let mut differing = shipped(1.0);
        differing.test.classes[0] = "z".into();
        assert!(differing.encode(Path::new("e")).unwrap_err().to_string().contains("different class names"));
    }

    #[test]
    fn tensors_of_the_wrong_shape_type_or_name_are_named() {
        let labels = TensorView::new(Dtype::U8, vec![2], &[0, 0]).unwrap();
        let points = TensorView::new(Dtype::F16, vec![2, 2], &[0; 8]).unwrap();
        let wide = TensorView::new(Dtype::F16, vec![1, 4], &[0; 8]).unwrap();
        let ragged = TensorView::new(Dtype::U8, vec![1], &[0]).unwrap();
        let signed = TensorView::new(Dtype::I8, vec![2], &[0, 0]).unwrap();
        let not_a_number = TensorView::new(Dtype::F16, vec![2, 2], &[0xff; 8]).unwrap();
        let metadata = || Some(HashMap::from([(CLASSES.to_owned(), "[\"a\"]".to_owned())]));
        let read = |points_name: &str, points: &TensorView<'_>, labels: &TensorView<'_>, metadata| {
            let split = [("train.labels", labels), (points_name, points), ("test.labels", labels), ("test.points", points)];
            let bytes = safetensors::serialize(split.map(|(name, view)| (name.to_owned(), view)), metadata).unwrap();
            ShippedEncodings::decode(Path::new("e.safetensors"), &bytes).map_err(|error| error.to_string())
        };
        assert!(read("train.points", &points, &labels, metadata()).is_ok());
        for (name, points, labels, metadata, text) in [
            ("train.point", &points, &labels, metadata(), "'train.points' is missing"),
            ("train.points", &wide, &labels, metadata(), "'train.points' is F16 [1, 4]"),
            ("train.points", &points, &signed, metadata(), "'train.labels' is I8 [2]"),
            ("train.points", &points, &ragged, metadata(), "'train.points': 2 points and 1 labels"),
            ("train.points", &not_a_number, &labels, metadata(), "not finite"),
            ("train.points", &points, &labels, None, "no list of class names"),
        ] {
            let error = read(name, points, labels, metadata).unwrap_err();
            assert!(error.contains(text) && error.starts_with("e.safetensors: "), "{error}");
        }
    }
}
