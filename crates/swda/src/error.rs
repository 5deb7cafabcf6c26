//! What can go wrong in `sconce-swda`.

use std::path::PathBuf;

/// A result whose error is [`SwdaError`].
pub type Result<T> = std::result::Result<T, SwdaError>;

/// An error of the method.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwdaError {
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
    /// Images cannot be read.
    #[error("{key}: {error}")]
    Images {
        /// Where in the configuration they are said.
        key: &'static str,
        /// Why.
        error: Box<SwdaError>,
    },
    /// A file has no weights of a detector or of a backbone.
    #[error("{path}: no detector of the official code or of ours, and no backbone under torchvision's names; its first tensors: {found}", path = path.display())]
    NoNetwork {
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
    /// A batch could not be made, or a model not be measured.
    #[error(transparent)]
    Other(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl From<sconce_backbones::weights::WeightsError> for SwdaError {
    fn from(error: sconce_backbones::weights::WeightsError) -> Self {
        Self::Weights(Box::new(error))
    }
}

impl SwdaError {
    /// A [`SwdaError::Images`].
    #[cfg(feature = "cli")]
    pub(crate) fn at(key: &'static str) -> impl FnOnce(Self) -> Self {
        move |error| Self::Images { key, error: Box::new(error) }
    }

    /// A [`SwdaError::Config`].
    pub(crate) fn config(field: &'static str, found: impl ToString, expected: impl Into<String>) -> Self {
        Self::Config { field, found: found.to_string(), expected: expected.into() }
    }
}
