//! What ranks images: the measures of the networks' answers, and how far an image lies from the data by the VAE.

use crate::uncertainty::Measure;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of an image by which it is told from others. In files it stands as its [`key`](Self::key).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detector {
    /// A measure of uncertainty.
    Measure(Measure),
    /// The distance of the image's encoding to the nearest one of a training image, in units of z.
    DistanceToEncodings,
    /// ln q(z) of the image's encoding, by the kernel density of the training encodings.
    LatentLogDensity,
    /// −ln p(x|z) in nats, for the image's encoding z.
    ReconstructionError,
}

impl Detector {
    /// Those that a VAE computes: Smith & Gal (2018, §1 and §3.1) take uncertainty as a proxy for the distance from the data's manifold, which
    /// these measure directly.
    pub const OF_VAE: [Self; 3] = [Self::DistanceToEncodings, Self::LatentLogDensity, Self::ReconstructionError];

    /// The measures, and behind them, with a VAE, those that it computes.
    pub fn all(with_vae: bool) -> Vec<Self> {
        let of_vae = Self::OF_VAE.into_iter().filter(|_| with_vae);
        Measure::ALL.into_iter().map(Self::Measure).chain(of_vae).collect()
    }

    /// Its name in files.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Measure(measure) => measure.key(),
            Self::DistanceToEncodings => "distance_to_encodings",
            Self::LatentLogDensity => "latent_log_density",
            Self::ReconstructionError => "reconstruction_error",
        }
    }

    /// That of a [`key`](Self::key).
    pub fn from_key(key: &str) -> Option<Self> {
        Self::all(true).into_iter().find(|detector| detector.key() == key)
    }

    /// Its name for a person.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Measure(measure) => measure.label(),
            Self::DistanceToEncodings => "Distance to encodings",
            Self::LatentLogDensity => "Latent log-density",
            Self::ReconstructionError => "Reconstruction error",
        }
    }

    /// Its symbol.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Measure(measure) => measure.symbol(),
            Self::DistanceToEncodings => "d(z)",
            Self::LatentLogDensity => "ln q(z)",
            Self::ReconstructionError => "−ln p(x|z)",
        }
    }

    /// The unit; empty for a pure number.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Measure(measure) => measure.unit(),
            Self::DistanceToEncodings => "z",
            Self::LatentLogDensity | Self::ReconstructionError => "nats",
        }
    }

    /// What it says of an image, in a sentence.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Measure(_) => "A measure of uncertainty.",
            Self::DistanceToEncodings => "How far the image's encoding lies from the nearest one of a training image.",
            Self::LatentLogDensity => "How densely the training encodings lie at the image's encoding; low where there are no data.",
            Self::ReconstructionError => "How badly the VAE's decoder renders the image from its encoding.",
        }
    }

    /// Whether the positives are on the high side: high values are suspicious.
    pub const fn rises(self) -> bool {
        match self {
            Self::Measure(measure) => measure.rises_with_uncertainty(),
            Self::LatentLogDensity => false,
            Self::DistanceToEncodings | Self::ReconstructionError => true,
        }
    }

    /// A value as a score, which rises with what is suspicious; and back, for it is its own inverse.
    pub const fn turned(self, value: f64) -> f64 {
        if self.rises() { value } else { -value }
    }
}

impl From<Measure> for Detector {
    fn from(measure: Measure) -> Self {
        Self::Measure(measure)
    }
}

impl Serialize for Detector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key())
    }
}

impl<'de> Deserialize<'de> for Detector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        Self::from_key(&key).ok_or_else(|| serde::de::Error::custom(format!("'{key}' is no detector")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detector_is_read_back_by_its_key() {
        for detector in Detector::all(true) {
            let text = serde_json::to_string(&detector).unwrap();
            assert_eq!(text, format!("\"{}\"", detector.key()));
            assert_eq!(serde_json::from_str::<Detector>(&text).unwrap(), detector);
        }
        assert!(serde_json::from_str::<Detector>("\"socks\"").is_err());
        assert_eq!(Detector::all(false).len(), Measure::ALL.len());
    }
}
