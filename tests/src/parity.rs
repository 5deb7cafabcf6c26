//! Sconce's operations against reference cases that PyTorch computed.
//!
//! `tests/golden/make_goldens.py` defines the format of a case and writes them.

mod case;
mod compare;
mod operations;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

pub use case::Case;
pub use compare::Mismatch;

/// How one case went.
#[derive(Debug)]
pub struct Outcome {
    /// The name of the case's file.
    pub case: String,
    /// The operation it is about; `None` if the file cannot be read.
    pub op: Option<String>,
    /// Why it failed; empty if it passed.
    pub failures: Vec<String>,
}

impl Outcome {
    /// Whether every tensor was what it should be.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = self.op.as_deref().unwrap_or("unreadable");
        if self.passed() {
            return write!(f, "{}: {op} passed", self.case);
        }
        for (i, failure) in self.failures.iter().enumerate() {
            write!(f, "{}{}: {op}: {failure}", if i > 0 { "\n" } else { "" }, self.case)?;
        }
        Ok(())
    }
}

/// Runs every `*.safetensors` case of `dir`, by name.
///
/// # Errors
/// If `dir` cannot be listed or has no case. What is wrong with a single case is part of its outcome.
pub fn run(dir: &Path) -> Result<Vec<Outcome>> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    paths.sort();
    ensure!(!paths.is_empty(), "{} has no *.safetensors case", dir.display());
    Ok(paths.iter().map(|path| outcome(path)).collect())
}

fn outcome(path: &Path) -> Outcome {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    match Case::read(path) {
        Err(error) => Outcome { case: name, op: None, failures: vec![format!("{error:#}")] },
        Ok(case) => {
            let failures = match operations::run(&case) {
                Ok(found) => compare::mismatches(&case, &found).iter().map(Mismatch::to_string).collect(),
                Err(error) => vec![format!("{error:#}")],
            };
            Outcome { case: name, op: Some(case.op), failures }
        }
    }
}
