//! The film of a training: the picture at each epoch's end, a small file each, in a folder of the model folder.

use super::look::{Frame, Look};
use crate::autodiff::train::Scores;
use crate::data::labels;
use crate::error::{Error, Result};
use crate::files;
use crate::latent::View;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The name of the film's folder in a model folder.
pub const FILM: &str = "film";
/// Where the facts of a frame stand in its file.
const FACTS: &str = "frame";

/// What a frame's file says beside its arrays.
#[derive(Serialize, Deserialize)]
struct Facts {
    model: String,
    epoch: usize,
    step: u64,
    loss: f64,
    test: Option<Scores>,
    look: Kind,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Kind {
    Plane { shape: [usize; 3] },
    Map { view: View },
    Nothing,
}

/// A frame's arrays by name.
type Arrays = Vec<(&'static str, Vec<usize>, Dtype, Vec<u8>)>;

/// The file of the frame of an epoch.
fn path_of(folder: &Path, epoch: usize) -> PathBuf {
    folder.join(FILM).join(format!("epoch-{epoch:04}.safetensors"))
}

/// Keeps a frame.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn keep(folder: &Path, frame: &Frame) -> Result<()> {
    files::refuse_link(&folder.join(FILM))?;
    let path = path_of(folder, frame.epoch);
    let refused = |problem: String| Error::file(&path, problem, "report this defect");
    let look = match frame.look {
        Look::Plane { shape, .. } => Kind::Plane { shape },
        Look::Map { view, .. } => Kind::Map { view },
        Look::Nothing => Kind::Nothing,
    };
    let facts = Facts { model: frame.model.clone(), epoch: frame.epoch, step: frame.step, loss: frame.loss, test: frame.test, look };
    let facts = serde_json::to_string(&facts).map_err(|error| refused(error.to_string()))?;
    let arrays = arrays(&frame.look);
    let mut views = Vec::new();
    for (name, shape, dtype, bytes) in &arrays {
        views.push((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(|error| refused(error.to_string()))?));
    }
    let metadata = HashMap::from([(FACTS.to_owned(), facts)]);
    files::write_atomically(&path, &safetensors::serialize(views, Some(metadata)).map_err(|error| refused(error.to_string()))?)
}

fn arrays(look: &Look) -> Arrays {
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    match look {
        Look::Plane { points, labels, originals, reconstructions, shape: [c, h, w] } => {
            let count = |images: &[f32]| vec![images.len() / (c * h * w), *c, *h, *w];
            let (of_labels, labels) = labels::to_bytes(labels);
            vec![
                ("points", vec![points.len(), 2], Dtype::F32, floats(points.as_flattened())),
                ("labels", vec![points.len()], of_labels, labels),
                ("originals", count(originals), Dtype::F32, floats(originals)),
                ("reconstructions", count(reconstructions), Dtype::F32, floats(reconstructions)),
            ]
        }
        Look::Map { view, mutual_information, predictive_entropy } => vec![
            ("mutual_information", vec![view.rows, view.columns], Dtype::F32, floats(mutual_information)),
            ("predictive_entropy", vec![view.rows, view.columns], Dtype::F32, floats(predictive_entropy)),
        ],
        Look::Nothing => Vec::new(),
    }
}

/// The kept frames of a model folder, one per epoch, oldest first; none where no film was kept.
///
/// # Errors
/// When a file cannot be read, or is damaged.
pub fn film(folder: &Path) -> Result<Vec<Frame>> {
    let mut frames = Vec::new();
    for path in files_of(folder)? {
        frames.push(read(&path)?);
    }
    frames.sort_by_key(|frame: &Frame| frame.epoch);
    Ok(frames)
}

/// Takes away what a former training, or one that is repeated from an earlier epoch, has left of the epochs after `done`.
pub(super) fn cut(folder: &Path, done: usize) -> Result<()> {
    if folder.join(FILM).is_dir() {
        files::remove_leftovers(&folder.join(FILM))?;
    }
    let kept: Vec<PathBuf> = (1..=done).map(|epoch| path_of(folder, epoch)).collect();
    for path in files_of(folder)?.into_iter().filter(|path| !kept.contains(path)) {
        std::fs::remove_file(&path).map_err(|error| Error::io(&path, &error))?;
    }
    Ok(())
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let film = folder.join(FILM);
    if !film.is_dir() {
        return Ok(Vec::new());
    }
    let is_frame = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("epoch-"));
    Ok(files::listed(&film)?.into_iter().filter(is_frame).collect())
}

fn read(path: &Path) -> Result<Frame> {
    let damaged = |problem: String| Error::file(path, format!("is no picture of a film: {problem}"), "remove it");
    let bytes = files::read(path)?;
    files::check_header(path, &bytes)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    let facts = header.metadata().as_ref().and_then(|metadata| metadata.get(FACTS)).ok_or_else(|| damaged("no facts".to_owned()))?;
    let Facts { model, epoch, step, loss, test, look } = serde_json::from_str(facts).map_err(|error| damaged(error.to_string()))?;
    let floats = |name: &str, multiple: usize| -> Result<Vec<f32>> {
        let view = tensors.tensor(name).map_err(|error| damaged(error.to_string()))?;
        let count: usize = view.shape().iter().product();
        if view.dtype() != Dtype::F32 || multiple == 0 || !count.is_multiple_of(multiple) {
            return Err(damaged(format!("'{name}' has the type {:?} and the shape {:?}", view.dtype(), view.shape())));
        }
        Ok(view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
    };
    let look = match look {
        Kind::Nothing => Look::Nothing,
        Kind::Plane { shape } => {
            let pixels: usize = shape.iter().product();
            let points: Vec<[f32; 2]> = floats("points", 2)?.chunks_exact(2).map(|z| [z[0], z[1]]).collect();
            let of_labels = tensors.tensor("labels").map_err(|error| damaged(error.to_string()))?;
            let Some(labels) = labels::from_bytes(of_labels.dtype(), of_labels.data()) else {
                return Err(damaged(format!("'labels' has the type {:?}", of_labels.dtype())));
            };
            let originals = floats("originals", pixels)?;
            let reconstructions = floats("reconstructions", pixels)?;
            if labels.len() != points.len() || reconstructions.len() != originals.len() {
                return Err(damaged("its arrays do not fit each other".to_owned()));
            }
            Look::Plane { points, labels, originals, reconstructions, shape }
        }
        Kind::Map { view } => {
            let view = View::new(view.z1, view.z2, view.columns, view.rows).map_err(|error| damaged(error.to_string()))?;
            let [mutual_information, predictive_entropy] = [floats("mutual_information", 1)?, floats("predictive_entropy", 1)?];
            if [&mutual_information, &predictive_entropy].iter().any(|values| values.len() != view.len()) {
                return Err(damaged("its arrays do not fit its view".to_owned()));
            }
            Look::Map { view, mutual_information, predictive_entropy }
        }
    };
    Ok(Frame { model, epoch, step, loss, test, look })
}
