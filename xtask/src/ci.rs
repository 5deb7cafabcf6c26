//! `ci`: what the continuous integration runs, on this machine.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::workspace;

pub(crate) fn run() -> Result<()> {
    let script = workspace::root().join(".ci/run");
    let status = Command::new("bash").arg(&script).status().context("cannot run bash")?;
    ensure!(status.success(), "{} failed: {status}", script.display());
    Ok(())
}
