//! What can go wrong in `sconce-engine`.

use std::path::PathBuf;

/// A result whose error is [`EngineError`].
pub type Result<T> = std::result::Result<T, EngineError>;

/// A foreign error, for the seams where a method's or a loader's own code runs.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// An error that names the file, folder, key or term it is about, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    // Files and folders.
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
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
    /// A new run was asked for in a folder that holds something.
    #[error("{dir} is not empty: pass --resume to go on with the run in it, or --force to start over", dir = dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// Another process has the output folder.
    #[error("{dir} is in use by another run", dir = dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// Something lies where a run's files are replaced as a whole.
    #[error("{path}: no run wrote this, and --force would remove it; move it elsewhere", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A new run was asked for in a folder that holds something, but no run.
    #[error("{dir} is not empty, and no run wrote what is in it ({first}{}): choose another folder", if *n > 1 { format!(" and {} more", n - 1) } else { String::new() }, dir = dir.display())]
    NoRun {
        /// The folder.
        dir: PathBuf,
        /// The first name in it.
        first: String,
        /// How many names there are.
        n: usize,
    },
    /// There is no run to go on with.
    #[error("{dir} holds no run to resume: {what}", dir = dir.display())]
    NothingToResume {
        /// The folder.
        dir: PathBuf,
        /// What would help.
        what: String,
    },
    /// The run in the folder is another one than the run that wants to go on.
    #[error("{dir} holds another run: `{key}` is {found} there, not {expected}", dir = dir.display())]
    OtherRun {
        /// The folder.
        dir: PathBuf,
        /// The first key of the configuration that differs; `method`, `seed` or the like if it is not a part of it.
        key: String,
        /// The value in the folder.
        found: String,
        /// The value of the run that wants to go on.
        expected: String,
    },
    /// The data are not those that the run in the folder began with.
    #[error("{dir}: the data are not those that the run there began with: their hash is {found}, there {expected}", dir = dir.display())]
    OtherData {
        /// The folder.
        dir: PathBuf,
        /// The hash of the data now.
        found: String,
        /// The hash of the data that the run began with.
        expected: String,
    },
    /// A run has to begin again, but the weights that it began with are gone or changed.
    #[error("{dir} has no checkpoint yet and begins again from {path}, whose SHA-256 is {found}, expected {expected}", dir = dir.display(), path = path.display())]
    StartWeights {
        /// The run's folder.
        dir: PathBuf,
        /// The file of weights.
        path: PathBuf,
        /// Its hash now, or why it cannot be read.
        found: String,
        /// Its hash when the run began.
        expected: String,
    },
    /// No checkpoint stands where one was expected.
    #[error("{path} holds no checkpoint: expected a run's folder or one of its `checkpoints`", path = path.display())]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
    },

    // Configuration.
    /// A value of the configuration is out of its range.
    #[error("`{key}` is {found}, expected {expected}")]
    Config {
        /// The key.
        key: String,
        /// The value found.
        found: String,
        /// What would be right.
        expected: String,
    },

    /// A configuration has a key that there is not.
    #[error("{origin}: unknown key `{key}`{}", nearest.as_ref().map(|n| format!("; the nearest is `{n}`")).unwrap_or_default())]
    UnknownKey {
        /// The file, or `--set`.
        origin: String,
        /// The key, with its path.
        key: String,
        /// A key that looks like it.
        nearest: Option<String>,
    },
    /// A value of a configuration cannot be read.
    #[error("{origin}: {}{what}", if key.is_empty() { String::new() } else { format!("`{key}`: ") })]
    BadValue {
        /// The file, or `--set`.
        origin: String,
        /// The key, with its path; empty if no single one is to blame.
        key: String,
        /// What was found and what was expected.
        what: String,
    },

    // Metrics.
    /// A class that there is not.
    #[error("{what} of sample {sample} is {label}, expected less than {n_classes}")]
    LabelOutOfRange {
        /// `label` or `predicted class`.
        what: &'static str,
        /// The sample's index.
        sample: usize,
        /// The class found.
        label: u32,
        /// The number of classes.
        n_classes: usize,
    },

    // Training.
    /// The loss, one of its terms, a gradient or a parameter is not finite.
    #[error("step {step}: {term} is {value}{}", dump.as_ref().map(|p| format!("; its batch is saved as {}", p.display())).unwrap_or_default())]
    NonFinite {
        /// `loss`, the term's name, ``gradient of `NAME` ``, `gradient norm`, or the name of a parameter.
        term: String,
        /// Its value.
        value: f64,
        /// The step, counted from 1, that it would have been.
        step: usize,
        /// Where the batch was saved, unless it has no tensors.
        dump: Option<PathBuf>,
    },
    /// SIGINT, SIGTERM or the embedding program stopped the run, which has written a checkpoint.
    #[error("stopped by {} after step {step}; resume with --resume --out {dir}", crate::signals::name(*signal), dir = dir.display())]
    Interrupted {
        /// The signal's number.
        signal: i32,
        /// Steps done.
        step: usize,
        /// The run's folder.
        dir: PathBuf,
    },
    /// The loader failed.
    #[error("batch {batch} of epoch {epoch}: {source}")]
    Batch {
        /// The epoch, counted from 1.
        epoch: usize,
        /// The batch within it, counted from 1.
        batch: usize,
        /// The loader's error.
        source: Source,
    },
    /// A tracked state could not be saved or restored.
    #[error("state `{name}`: {source}")]
    State {
        /// The name it is tracked by.
        name: String,
        /// Its own error.
        source: Source,
    },
    /// What a checkpoint or a caller hands over does not fit what is there.
    #[error("{what}: found {found}, expected {expected}")]
    Mismatch {
        /// What does not fit.
        what: String,
        /// What was found.
        found: String,
        /// What would be right.
        expected: String,
    },

    // Ranks.
    /// The processes that were started together cannot train together.
    #[error("{what}")]
    Ranks {
        /// Why, and what would help.
        what: String,
    },
    /// Another rank has failed.
    #[error("rank {rank}: {what}")]
    OnRank {
        /// Which.
        rank: usize,
        /// Its error.
        what: String,
    },

    // Below.
    /// A device cannot be opened.
    #[error("device {name}: {what}")]
    Device {
        /// The device's name.
        name: String,
        /// Why.
        what: String,
    },
    /// The threads could not be started.
    #[error(transparent)]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// An error of `sconce-core`'s.
    #[error(transparent)]
    Core(#[from] sconce_core::Error),
    /// An error of Candle's.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl EngineError {
    /// An [`EngineError::Io`] for `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// An [`EngineError::Format`] for `path`.
    pub fn format(path: impl Into<PathBuf>, what: impl ToString) -> Self {
        Self::Format { path: path.into(), what: what.to_string() }
    }

    /// An [`EngineError::Config`].
    pub fn config(key: impl Into<String>, found: impl ToString, expected: impl Into<String>) -> Self {
        Self::Config { key: key.into(), found: found.to_string(), expected: expected.into() }
    }

    /// An [`EngineError::Mismatch`].
    pub fn mismatch(what: impl Into<String>, found: impl ToString, expected: impl ToString) -> Self {
        Self::Mismatch { what: what.into(), found: found.to_string(), expected: expected.to_string() }
    }
}
