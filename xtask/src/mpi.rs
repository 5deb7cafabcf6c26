//! Several processes of a binary, by way of MPI.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// What has to be there to build the feature `mpi` and to start more than one process.
const PROGRAMS: [&str; 2] = ["mpirun", "mpicc"];

/// Checks that the machine has an MPI.
pub(crate) fn require() -> Result<()> {
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| workspace::which(program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "more than one rank needs an MPI, but there is no {}; on Debian: apt-get install libopenmpi-dev openmpi-bin \
         libclang-dev",
        missing.join(" and no ")
    )
}

/// The command that starts `ranks` processes of `binary`; what is added to it goes to each of them.
pub(crate) fn command(binary: &Path, ranks: u32) -> Result<Command> {
    let version = Command::new("mpirun").arg("--version").output().context("cannot run mpirun")?;
    let is_open_mpi = String::from_utf8_lossy(&version.stdout).contains("Open MPI");
    let mut command = Command::new("mpirun");
    command.args(["-n", &ranks.to_string()]).args(options(is_open_mpi, is_root())).arg(binary);
    Ok(command)
}

/// Threads are the processes' own affair, and there may be more processes than Open MPI counts cores.
fn options(is_open_mpi: bool, is_root: bool) -> Vec<&'static str> {
    let mut options = Vec::new();
    if is_open_mpi {
        options.extend(["--bind-to", "none", "--oversubscribe"]);
        options.extend(is_root.then_some("--allow-run-as-root"));
    }
    options
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_open_mpi_gets_its_own_options_and_only_root_the_permission() {
        assert_eq!(options(true, true), ["--bind-to", "none", "--oversubscribe", "--allow-run-as-root"]);
        assert_eq!(options(true, false), ["--bind-to", "none", "--oversubscribe"]);
        assert!(options(false, true).is_empty());
    }
}
