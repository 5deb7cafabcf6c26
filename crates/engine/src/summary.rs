//! `summary.json`: what came out of a run, and what it cost.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    EngineError, Result,
    json::write_json,
    log::{Metrics, null_for_nan},
};

/// The content of `summary.json`. It is the only file of a run that holds a clock.
///
/// Every checkpoint writes it too, with `finished: false` and no metrics, so that the time of a resumed run is the sum of its
/// parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The method's name.
    pub method: String,
    /// The version of Sconce.
    pub version: String,
    /// Whether the method reported its outcome.
    pub finished: bool,
    /// The final metrics.
    #[serde(with = "null_for_nan")]
    pub metrics: Metrics,
    /// The seed.
    pub seed: u64,
    /// SHA-256 of `config.toml`, in hexadecimal.
    pub config_hash: String,
    /// The method's hash of its data.
    pub data_hash: Option<String>,
    /// Steps done.
    pub steps: usize,
    /// Wall-clock seconds of all parts of the run.
    pub seconds: f64,
    /// Seconds spent on drawing batches and on steps, in all parts: without evaluation and checkpoints.
    pub training_seconds: f64,
    /// Steps per second of that time; zero before the first step.
    pub steps_per_second: f64,
    /// The largest resident set of the process so far in bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// The device: `cpu`, `cuda` or `metal`.
    pub device: String,
    /// Ranks of the part that wrote this.
    #[serde(default = "one")]
    pub ranks: usize,
    /// Threads of each of them.
    pub threads: usize,
}

fn one() -> usize {
    1
}

impl Summary {
    /// The file's name in a run's folder.
    pub const FILE: &str = "summary.json";

    /// Reads the summary of the run in `dir`; `None` if it has none yet.
    ///
    /// # Errors
    /// If the file is there but cannot be read.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(Self::FILE);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| EngineError::format(&path, e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(EngineError::io(&path)(e)),
        }
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        write_json(&dir.join(Self::FILE), self)
    }
}

/// The peak resident set size of this process in bytes, from `/proc`, where there is one.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
