//! What can go wrong in `sconce-moco`.

use std::path::PathBuf;

/// A result whose error is [`MocoError`].
pub type Result<T> = std::result::Result<T, MocoError>;

/// An error of the method.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MocoError {
    /// A setting has no meaning.
    #[error("{field} is {found}, expected {expected}")]
    Config {
        /// The key in the configuration.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A tensor or a list does not fit.
    #[error("{what}: found {found}, expected {expected}")]
    Argument {
        /// What it is.
        what: &'static str,
        /// What was found.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A file has no weights of MoCo or of a backbone.
    #[error("{path}: no encoder of MoCo and no ResNet under torchvision's names; its first tensors: {found}", path = path.display())]
    NoEncoder {
        /// The file.
        path: PathBuf,
        /// The first names in it.
        found: String,
    },
    /// A file of weights cannot be read, or does not fit.
    #[error(transparent)]
    Weights(Box<sconce_backbones::weights::WeightsError>),
    /// An error of the engine: a run, a checkpoint, an optimiser.
    #[error(transparent)]
    Engine(#[from] sconce_engine::EngineError),
    /// An error of an operation.
    #[error(transparent)]
    Core(#[from] sconce_core::Error),
    /// An error of Candle's.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A batch could not be made.
    #[error(transparent)]
    Batches(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl From<sconce_backbones::weights::WeightsError> for MocoError {
    fn from(error: sconce_backbones::weights::WeightsError) -> Self {
        Self::Weights(Box::new(error))
    }
}

impl MocoError {
    /// A [`MocoError::Config`].
    pub(crate) fn config(field: &'static str, found: impl ToString, expected: impl Into<String>) -> Self {
        Self::Config { field, found: found.to_string(), expected: expected.into() }
    }

    /// A [`MocoError::Argument`].
    pub(crate) fn argument(what: &'static str, found: impl ToString, expected: impl ToString) -> Self {
        Self::Argument { what, found: found.to_string(), expected: expected.to_string() }
    }
}
