//! What can go wrong in `sconce-core`.

use std::path::PathBuf;

/// A result whose error is [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An error that says which operation, tensor or file it is about, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument of an operation does not fit.
    #[error("{op}: {what} is {found}, expected {expected}")]
    Argument {
        /// The operation.
        op: &'static str,
        /// The argument, or its property.
        what: &'static str,
        /// What was passed.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A parameter was asked for that the store does not have.
    #[error("no parameter named `{name}`{}", nearest.as_ref().map(|n| format!("; the nearest is `{n}`")).unwrap_or_default())]
    UnknownParam {
        /// The name asked for.
        name: String,
        /// A name that looks like it.
        nearest: Option<String>,
    },
    /// Two layers claim the same name.
    #[error("parameter `{name}` is defined twice")]
    DuplicateParam {
        /// The name.
        name: String,
    },
    /// Tensors on offer do not fit a model.
    #[error("{origin} does not fit the model: {report}")]
    Load {
        /// Where the tensors came from.
        origin: String,
        /// What is missing, unexpected or misshapen.
        report: Box<crate::LoadReport>,
    },
    /// Of the processes that train together, one is gone or does something else.
    #[error("rank {rank} of {size} {what}")]
    Rank {
        /// Which.
        rank: usize,
        /// Their number.
        size: usize,
        /// What became of it.
        what: String,
    },
    /// A backward pass met gradients at an operation that it has not left there itself.
    #[error(
        "{op}: {found} gradients have arrived where this backward pass has left {expected}: an earlier pass ended half-way, \
         or another one ran within this; they were dropped, and the next pass begins anew"
    )]
    Pass {
        /// The operation.
        op: &'static str,
        /// Gradients that arrived.
        found: usize,
        /// Those that this pass has left.
        expected: usize,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{path}: {what}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        what: String,
    },
    /// An error of Candle's.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    /// An [`Error::Argument`].
    pub fn argument(
        op: &'static str,
        what: &'static str,
        found: impl std::fmt::Debug,
        expected: impl std::fmt::Display,
    ) -> Self {
        Self::Argument { op, what, found: format!("{found:?}"), expected: expected.to_string() }
    }

    /// An [`Error::Io`] for `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

impl From<Error> for candle_core::Error {
    fn from(e: Error) -> Self {
        match e {
            Error::Candle(e) => e,
            e => Self::wrap(e),
        }
    }
}
