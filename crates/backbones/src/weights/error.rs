//! What can go wrong with a file of weights.

use std::path::PathBuf;

use super::{Holder, PthError, holder};

/// An error that names the file and what is wrong in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file is none that `torch.save` wrote, or is damaged.
    #[error("{path}: {source}", path = path.display())]
    Pth {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: PthError,
    },
    /// The output is there already.
    #[error("{path} exists, and nothing is overwritten", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Renaming would give two tensors one name.
    #[error("{origin}: `{first}` and `{second}` would both be called `{name}`")]
    Collision {
        /// Where the tensors came from.
        origin: String,
        /// One of the two.
        first: String,
        /// The other one.
        second: String,
        /// Their new name.
        name: String,
    },
    /// A tensor that is to be changed is not there, or has another shape.
    #[error("{origin}: `{name}` {what}")]
    Tensor {
        /// Where the tensors came from.
        origin: String,
        /// The tensor.
        name: String,
        /// What was found and what was expected.
        what: String,
    },
    /// Below which prefix the network stands is not clear.
    #[error("{origin}: {what}; {}", holder::list(holders, *n_wanted))]
    Prefix {
        /// Where the tensors came from.
        origin: String,
        /// What was looked for.
        what: String,
        /// How many names the network has.
        n_wanted: usize,
        /// The prefixes that have some of them, those with most first.
        holders: Vec<Holder>,
    },
    /// A file could not be fetched.
    #[cfg(feature = "hub")]
    #[error("`{}` of {} at {}, from {endpoint}: {what}", wanted.file, wanted.repo, wanted.revision)]
    Hub {
        /// The file.
        wanted: Box<super::hub::HubFile>,
        /// The server.
        endpoint: String,
        /// What happened.
        what: String,
    },
    /// Any other: reading, writing, a misfit between weights and a model.
    #[error(transparent)]
    Core(#[from] sconce_core::Error),
}

impl WeightsError {
    /// A [`WeightsError::Pth`] for `path`.
    pub(super) fn pth(path: impl Into<PathBuf>) -> impl FnOnce(PthError) -> Self {
        let path = path.into();
        move |source| Self::Pth { path, source }
    }
}

/// A result whose error is a [`WeightsError`].
pub(super) type Result<T> = std::result::Result<T, WeightsError>;
