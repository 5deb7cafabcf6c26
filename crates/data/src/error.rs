//! What can go wrong in `sconce-data`.

use std::path::{Path, PathBuf};

use crate::{LeftOut, OnInvalid, Orientation};

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
    #[error("{path}: {}×{} pixels (width×height), its annotation says {}×{}{}", found.1, found.0, expected.1, expected.0, fit(*fits_as), path = path.display())]
    ImageSize {
        /// The image.
        path: PathBuf,
        /// Its height and width.
        found: (usize, usize),
        /// The annotated height and width.
        expected: (usize, usize),
        /// The rule for what a camera noted under which the sizes are the same, if there is one.
        fits_as: Option<Orientation>,
    },
    /// A folder, or a list, without what it should hold.
    #[error("{path}: empty, expected {expected}{left_out}", path = path.display())]
    Empty {
        /// The folder or the file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What it holds instead and was left out, with what is wrong with the first: empty, or behind a semicolon.
        left_out: String,
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
    /// A dataset has a class that a model does not know.
    #[error("{origin}: class `{class}` is unknown, expected {}", listed(known))]
    UnknownClass {
        /// The dataset.
        origin: String,
        /// Its class.
        class: String,
        /// The classes of the model.
        known: Vec<String>,
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
    /// A file or a folder is not as it should be.
    #[error("{path}: {found}, expected {expected}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// Labels are wanted of a dataset that has none.
    #[error("{origin}: images without labels, expected labelled ones: one folder a class, or a list of labels")]
    Unlabelled {
        /// The dataset.
        origin: String,
    },
    /// A sample could not be made.
    #[error("{}sample {index}{}", key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default(), name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default())]
    Sample {
        /// Its index in the source.
        index: usize,
        /// Its file, or what it is called, if the source says it and the cause does not.
        name: Option<String>,
        /// The key of the configuration under which the source stands, as `data.train`, if it says it.
        key: Option<String>,
        /// Why.
        source: Box<DataError>,
    },
    /// An image does not fit a step of its pipeline.
    #[error("{}{step}", key.as_ref().map(|key| format!("{key}.")).unwrap_or_default())]
    Step {
        /// The key of the configuration under which the pipeline stands, as `data.train`, if the source says it.
        key: Option<String>,
        /// The step by its place and name, as `pixels[2] random-crop`.
        step: String,
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

/// Names, as far as one can read them.
fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown} and {} more", names.len() - MOST) } else { shown }
}

/// What is to be done about a size that fits an image that is turned.
fn fit(orientation: Option<Orientation>) -> &'static str {
    match orientation {
        Some(Orientation::Upright) => {
            ", as the image is if turned as its camera noted: orientation = \"upright\" does so"
        }
        Some(Orientation::Stored) => {
            ", as the image is if not turned as its camera noted: orientation = \"stored\" does so"
        }
        None => "",
    }
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

    /// What went wrong in a step of a pipeline, as `pixels[2] random-crop`.
    pub(crate) fn step(step: String) -> impl FnOnce(Self) -> Self {
        move |source| Self::Step { key: None, step, source: Box::new(source) }
    }

    /// The same with the `key` of the pipeline, unless it has one.
    pub(crate) fn under(self, key: Option<&str>) -> Self {
        match (self, key) {
            (Self::Step { key: None, step, source }, Some(key)) => {
                Self::Step { key: Some(key.to_owned()), step, source }
            }
            (error, _) => error,
        }
    }

    /// The same; of a file that cannot be decoded it says how to leave it out, where the reader has such a setting.
    pub(crate) fn with_hint(self, on_invalid: Option<OnInvalid>) -> Self {
        match (self, on_invalid) {
            (Self::Decode { path, reason }, Some(OnInvalid::Fail)) => {
                Self::Decode { path, reason: format!("{reason}; on_invalid = \"skip\" leaves such files out") }
            }
            (error, _) => error,
        }
    }

    /// [`DataError::Empty`] of what holds nothing else either.
    pub fn empty(path: impl Into<PathBuf>, expected: &'static str) -> Self {
        Self::Empty { path: path.into(), expected, left_out: String::new() }
    }

    /// The same; of something empty it says what was left out.
    pub(crate) fn because_of(self, left_out: &[LeftOut]) -> Self {
        match self {
            Self::Empty { path, expected, left_out: before } if before.is_empty() => {
                let reasons: Vec<String> = left_out
                    .iter()
                    .filter(|left_out| left_out.count > 0)
                    .map(|LeftOut { reason, count, details }| {
                        let first = details.first().map(|first| format!(", the first: {first}")).unwrap_or_default();
                        format!("; {count} left out {reason}{first}")
                    })
                    .collect();
                Self::Empty { path, expected, left_out: reasons.concat() }
            }
            error => error,
        }
    }

    pub(crate) fn decode(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Decode { path: path.to_owned(), reason: reason.to_string() }
    }
}
