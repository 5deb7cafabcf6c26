//! `run.json`: what a run began with, known from the moment that its folder is taken.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{CheckpointState, EngineError, Result, config::hex, json::write_json};

/// A file of weights, and where in it the network's names stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightFile {
    /// The file.
    pub path: PathBuf,
    /// What stands before the network's names in it, such as `backbone.`; `None` to find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

impl WeightFile {
    /// The file at `path`, whose prefix is to be found.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), prefix: None }
    }
}

/// What a run began with. It holds no clock, so that the same run has the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub(crate) method: String,
    pub(crate) seed: u64,
    /// The weights that it started from, if a caller named any.
    pub(crate) init_from: Option<StartWeights>,
    /// The hash of its data, if the method has one.
    pub(crate) data_hash: Option<String>,
    /// What has been changed since, when the run was resumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<ConfigChange>,
}

/// The weights that a run started from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StartWeights {
    #[serde(flatten)]
    pub(crate) file: WeightFile,
    pub(crate) sha256: String,
}

/// A value of a run's configuration that was changed when the run was resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// The steps that were done before.
    pub step: usize,
    /// The key, with its path.
    pub key: String,
    /// The value before, as TOML; `absent` if there was none.
    pub from: String,
    /// The value from there on.
    pub to: String,
}

impl Identity {
    pub(super) const FILE: &str = "run.json";

    /// What the run in `dir` began with; `None` if no such file is there.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(Self::FILE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| EngineError::format(&path, e)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(EngineError::io(path)(e)),
        }
    }

    /// What is known of a run from before there was such a file: it goes on from a checkpoint, and so needs no weights.
    pub(super) fn of_checkpoint(state: &CheckpointState) -> Self {
        Self { method: state.method.clone(), seed: state.seed, init_from: None, data_hash: None, changes: Vec::new() }
    }

    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        write_json(&dir.join(Self::FILE), self)
    }
}

impl StartWeights {
    /// `file` under its absolute path, so that the run finds it from any working directory, with its content's hash.
    pub(super) fn of(file: &WeightFile) -> Result<Self> {
        let path = std::path::absolute(&file.path).map_err(EngineError::io(&file.path))?;
        let sha256 = hash_file(&path)?;
        Ok(Self { file: WeightFile { path, prefix: file.prefix.clone() }, sha256 })
    }
}

/// SHA-256 of a file's content in hexadecimal.
fn hash_file(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).map_err(EngineError::io(path))?;
    io::copy(&mut file, &mut hasher).map_err(EngineError::io(path))?;
    Ok(hex(&hasher.finalize()))
}
