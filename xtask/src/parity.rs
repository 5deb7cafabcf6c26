//! `parity`: builds and runs the comparison with PyTorch's reference cases.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::workspace::{self, Binary};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder of `*.safetensors` cases [default: tests/golden].
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let dir = args.dir.clone().unwrap_or_else(|| workspace::root().join("tests/golden"));
    let binary = Binary { name: "parity", features: &["cli"] }.build()?;
    let status =
        Command::new(&binary).arg(&dir).status().with_context(|| format!("cannot run {}", binary.display()))?;
    ensure!(status.success(), "not every case of {} passes", dir.display());
    Ok(())
}
