//! The ends of an interpolation: points of the latent plane, or images of the data at their encodings.

use super::ModelSet;
use super::passes::check_data;
use crate::autodiff::encode;
use crate::data::Dataset;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An end of an interpolation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Its place on the latent plane.
    pub z: [f64; 2],
    /// Its pixels \[C, H, W\], where it is an image of the data; else it is the decoded z. Not written into files, for its size:
    /// say there where it is from.
    #[serde(skip)]
    pub image: Option<Vec<f32>>,
}

impl End {
    /// A point of the latent plane.
    pub fn at(z: [f64; 2]) -> Self {
        Self { z, image: None }
    }
}

/// An image of the data as an end, at its encoding; and what it is, for a provenance.
///
/// # Errors
/// When the models do not take the data, or their plane has not two dimensions.
///
/// # Panics
/// When there is no image of that number.
pub fn image_end(set: &ModelSet, data: &Dataset, number: usize) -> Result<(End, Value)> {
    check_data(set, data)?;
    let one = data.slice(number..number + 1);
    let z = encode(&set.vae, &one)?;
    let &[z1, z2] = &z[..] else {
        let problem = format!("its VAE has {} latent dimensions, but an interpolation needs 2", set.vae.latent_size());
        return Err(Error::file(&set.origin, problem, "train one with --latent 2"));
    };
    let what = json!({ "dataset": data.name, "image": number, "class": data.classes[usize::from(data.labels[number])] });
    Ok((End { z: [z1.into(), z2.into()], image: Some(one.images().into_owned()) }, what))
}

/// The number of a typical image of a class: the one whose encoding is nearest to the median of the class's. The first would do
/// as well, but may lie where the decoder makes another class of it. `None` where the data have no image of the class.
///
/// # Errors
/// As [`image_end`].
pub fn typical_image(set: &ModelSet, data: &Dataset, class: usize) -> Result<Option<usize>> {
    check_data(set, data)?;
    let numbers: Vec<usize> = (0..data.len()).filter(|&number| usize::from(data.labels[number]) == class).collect();
    if numbers.is_empty() {
        return Ok(None);
    }
    let of_class = data.subset(&numbers);
    let z = encode(&set.vae, &of_class)?;
    let places: Vec<&[f32]> = z.chunks_exact(set.vae.latent_size()).collect();
    let median = |axis: usize| {
        let mut values: Vec<f32> = places.iter().map(|place| place[axis]).collect();
        values.sort_by(f32::total_cmp);
        values[values.len() / 2]
    };
    let middle: Vec<f32> = (0..set.vae.latent_size()).map(median).collect();
    let distance = |place: &[f32]| place.iter().zip(&middle).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
    let nearest = (0..numbers.len()).min_by(|&a, &b| distance(places[a]).total_cmp(&distance(places[b])));
    Ok(nearest.map(|place| numbers[place]))
}

/// The ends where nobody has chosen any, and what they are: the first image of the data, and the first of another class.
///
/// # Errors
/// As [`image_end`], and when the data are of a single class.
pub fn default_ends(set: &ModelSet, data: &Dataset) -> Result<([End; 2], Value)> {
    let other = first_of_another_class(data, 0)?;
    let ((from, a), (to, b)) = (image_end(set, data, 0)?, image_end(set, data, other)?);
    Ok(([from, to], json!([a, b])))
}

/// The first image of another class than that of the image of this number.
///
/// # Errors
/// When the data are of a single class.
pub fn first_of_another_class(data: &Dataset, image: usize) -> Result<usize> {
    data.labels.iter().position(|&label| label != data.labels[image]).ok_or_else(|| {
        let problem = format!("all images of {} are of one class, but an interpolation is between two", data.name);
        Error::setting("--dataset", problem, "choose data of several classes")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::decoded_digits;

    #[test]
    fn a_typical_image_lies_in_the_middle_of_its_class() {
        let (set, data) = (ModelSet::shipped().unwrap(), decoded_digits().unwrap().slice(0..300));
        let of_class: Vec<usize> = (0..300).filter(|&number| data.labels[number] == 4).collect();
        let places: Vec<[f64; 2]> = of_class.iter().map(|&number| image_end(&set, &data, number).unwrap().0.z).collect();
        let typical = typical_image(&set, &data, 4).unwrap().unwrap();
        let spread = |from: usize| {
            let z = places[of_class.iter().position(|&number| number == from).unwrap()];
            places.iter().map(|place| (place[0] - z[0]).hypot(place[1] - z[1])).sum::<f64>()
        };
        // Few images are nearer to all the others of their class than it is.
        let nearer = of_class.iter().filter(|&&number| spread(number) < spread(typical)).count();
        assert!(nearer * 4 < of_class.len(), "{nearer} of {}", of_class.len());
        assert_eq!(typical_image(&set, &data, 10).unwrap(), None);
    }
}
