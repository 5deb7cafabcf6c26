//! What can go wrong in `sconce-data`.

use std::path::{Path, PathBuf};

/// A result whose error is [`DataError`].
pub type Result<T> = std::result::Result<T, DataError>;

/// An error that says which file, record or setting it is about, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder could not be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file would have been overwritten.
    #[error("{path}: exists already; it is never overwritten", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file is no image that can be decoded, or not all of one.
    #[error("{path}: cannot decode the image: {reason}", path = path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A field of an IDX file is wrong.
    #[error("{path}: {field} is {found}, expected {expected}", path = path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// The field, such as `magic number`.
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
    /// A record of a binary file, or of a list in a JSON file, is wrong.
    #[error("{path}: record {record} is {found}, expected {expected}", path = path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The record, counted from 0.
        record: usize,
        /// What stands there.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A label that no class has.
    #[error("{record}: label {found}, expected 0 to {}", classes.saturating_sub(1))]
    Label {
        /// The sample.
        record: String,
        /// Its label.
        found: u32,
        /// The number of classes.
        classes: usize,
    },
    /// An object on an image is wrong.
    #[error("{record}: object {index} is {found}, expected {expected}")]
    Object {
        /// The image, or the file that says what is on it.
        record: String,
        /// The object, counted from 0.
        index: usize,
        /// What stands there.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// An image has another size than what is said to be on it.
    #[error("{path}: {}×{} pixels (width×height), its annotation says {}×{}", found.1, found.0, expected.1, expected.0, path = path.display())]
    ImageSize {
        /// The image.
        path: PathBuf,
        /// Its height and width.
        found: (usize, usize),
        /// The annotated height and width.
        expected: (usize, usize),
    },
    /// A folder, or a list, without what it should hold.
    #[error("{path}: empty, expected {expected}", path = path.display())]
    Empty {
        /// The folder or the file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// Two datasets that should name their classes alike do not.
    #[error("{origin}: class {index} is {found}, expected {expected}")]
    Classes {
        /// The dataset.
        origin: String,
        /// The first class that differs.
        index: usize,
        /// Its name here.
        found: String,
        /// Its name there.
        expected: String,
    },
    /// A setting or an argument does not fit.
    #[error("{what} is {found}, expected {expected}")]
    Argument {
        /// The setting, as `random crop: width`.
        what: &'static str,
        /// Its value.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A sample could not be made.
    #[error("sample {index}")]
    Sample {
        /// Its index in the source.
        index: usize,
        /// Why.
        source: Box<DataError>,
    },
    /// The code that makes a sample panicked.
    #[error("panic: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// The threads of a loader could not be started.
    #[error("cannot start {workers} loader threads: {reason}")]
    Workers {
        /// How many were asked for.
        workers: usize,
        /// The system's reason.
        reason: String,
    },
    /// An error of `sconce-core`'s: a tensor, or a file that could not be written.
    #[error(transparent)]
    Core(#[from] sconce_core::Error),
}

impl DataError {
    /// A [`DataError::Io`] for `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// A [`DataError::Argument`].
    pub fn argument(what: &'static str, found: impl std::fmt::Display, expected: impl std::fmt::Display) -> Self {
        Self::Argument { what, found: found.to_string(), expected: expected.to_string() }
    }

    pub(crate) fn decode(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Decode { path: path.to_owned(), reason: reason.to_string() }
    }
}
