//! What can go wrong in an evaluation.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A result whose error is [`EvaluationError`].
pub type Result<T> = std::result::Result<T, EvaluationError>;

/// An error that says which file or image, record and field it is about, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A file or folder could not be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file is not JSON, or does not have the fields of its format.
    #[error("{path}: {at}: {reason}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where in the document, as `annotations[3].bbox`.
        at: String,
        /// What is wrong there.
        reason: String,
    },
    /// A field has a value that it cannot have.
    #[error("{origin}: {record}.{field} is {found}, expected {expected}")]
    Record {
        /// The file, or the image as `image 3`.
        origin: String,
        /// The record, as `annotations[3]`, counted from 0.
        record: String,
        /// Its field.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A line of a text file is wrong.
    #[error("{path}:{line}: found {found}, expected {expected}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What stands there.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A setting does not fit.
    #[error("{what} is {found}, expected {expected}")]
    Argument {
        /// The setting.
        what: &'static str,
        /// Its value.
        found: String,
        /// What would be right.
        expected: String,
    },
}

impl EvaluationError {
    /// An [`EvaluationError::Io`] for `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn argument(what: &'static str, found: impl fmt::Debug, expected: &str) -> Self {
        Self::Argument { what, found: format!("{found:?}"), expected: expected.to_owned() }
    }
}

/// A record of a file or an image, for errors: counted from 0 in its list.
#[derive(Clone, Copy)]
pub(crate) struct RecordAt<'a> {
    pub(crate) origin: &'a dyn fmt::Display,
    pub(crate) list: &'static str,
    pub(crate) index: usize,
}

impl RecordAt<'_> {
    pub(crate) fn fail(
        self,
        field: &'static str,
        found: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> EvaluationError {
        EvaluationError::Record {
            origin: self.origin.to_string(),
            record: format!("{}[{}]", self.list, self.index),
            field,
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}
