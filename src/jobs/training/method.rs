//! The optimisers that a plan can name, with their usual numbers.

use crate::autodiff::train::Optimiser;
use serde::{Deserialize, Serialize};

/// An optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Adam,
    /// Adam with decoupled weight decay.
    #[serde(rename = "adamw")]
    AdamW,
    /// With Keras's ρ and ε, as the paper.
    Adadelta,
    /// With PyTorch's ρ and ε.
    AdadeltaPytorch,
    /// With momentum 0.9.
    Sgd,
}

impl Method {
    /// The learning rate where nobody chooses one.
    pub fn learning_rate(self) -> f64 {
        match self {
            Self::Adam | Self::AdamW => 1e-3,
            Self::Adadelta | Self::AdadeltaPytorch => 1.0,
            Self::Sgd => 0.05,
        }
    }

    /// The strength of the weight decay if the plan has none: PyTorch's defaults.
    pub fn weight_decay(self) -> f64 {
        if self == Self::AdamW { 0.01 } else { 0.0 }
    }

    /// The optimiser with a learning rate.
    pub fn optimiser(self, learning_rate: f64) -> Optimiser {
        match self {
            Self::Adam => Optimiser::Adam { learning_rate },
            Self::AdamW => Optimiser::AdamW { learning_rate },
            Self::Adadelta => Optimiser::keras_adadelta(learning_rate),
            Self::AdadeltaPytorch => Optimiser::pytorch_adadelta(learning_rate),
            Self::Sgd => Optimiser::Sgd { learning_rate, momentum: 0.9 },
        }
    }
}
