//! What a run is and where it goes, as a caller says it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sconce_core::{Communicator, Device};

use super::{MayChange, WeightFile};
use crate::{Result, dist::alone};

/// How a run treats what its folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A new run; a folder that is not empty is refused.
    Fresh,
    /// The run in the folder goes on from its last checkpoint, or from its beginning if it had none yet: with the seed and
    /// the weights that it began with.
    Resume,
    /// A new run in the place of the one in the folder; files that no run wrote stay. A folder that holds something, but no
    /// run, is refused.
    Force,
}

/// What a run is and where it goes.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The run's folder, created if need be.
    pub dir: PathBuf,
    /// What to do with what is in it.
    pub start: Start,
    /// The method's name.
    pub method: String,
    /// The complete configuration.
    pub config_toml: String,
    /// How a configuration, given as its file's path and text, is written today: [`config::rewrite`](crate::config::rewrite)
    /// of its type. With it a run goes on that an older version began, which lacks keys that have a default; without it any
    /// key that is absent from one of the two is a difference.
    pub rewrite: Option<fn(&Path, &str) -> Result<String>>,
    /// The seed of every random stream; `None` for that of the run which is resumed, or 0 for a new one.
    pub seed: Option<u64>,
    /// Stop after so many steps in all, those of earlier parts included.
    pub max_steps: Option<usize>,
    /// Where tensors live.
    pub device: Device,
    /// Weights that a new run starts from. A run that is resumed knows its own; another file is refused.
    pub init_from: Option<WeightFile>,
    /// What a run that is resumed may change of its configuration.
    pub may_change: Vec<MayChange>,
    /// Show progress on stderr (with the feature `cli`).
    pub progress: bool,
    /// The ranks that share the run; [`alone`](crate::dist::alone) for a process by itself. All open it, and rank 0 alone
    /// writes: what the others log or report goes nowhere, and what a method writes by itself is up to
    /// [`Run::is_root`](super::Run::is_root). They read checkpoints, and so need to see the folder.
    pub communicator: Arc<dyn Communicator>,
}

impl RunOptions {
    /// A new run of `method` in `dir`, on the CPU, of one process, with the seed 0 and without a word: what is to be otherwise
    /// is set by its field.
    pub fn new(dir: impl Into<PathBuf>, method: impl Into<String>, config_toml: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            start: Start::Fresh,
            method: method.into(),
            config_toml: config_toml.into(),
            rewrite: None,
            seed: None,
            max_steps: None,
            device: Device::Cpu,
            init_from: None,
            may_change: Vec::new(),
            progress: false,
            communicator: alone(),
        }
    }
}
