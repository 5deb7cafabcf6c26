//! Where the workspace is, what is in it, and how its binaries are built.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// What `cargo metadata` says about the workspace.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

/// One member of the workspace.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    /// The registries that it may go to: `None` is any, an empty list is none.
    pub(crate) publish: Option<Vec<String>>,
    metadata: Option<PackageMetadata>,
}

/// A dependency of a member, of whatever kind.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) optional: bool,
    /// `None` for a normal one, otherwise `dev` or `build`.
    pub(crate) kind: Option<String>,
}

#[derive(Deserialize)]
struct PackageMetadata {
    reproduce: Option<Reproduce>,
}

/// `[package.metadata.reproduce]`: the package is a method.
#[derive(Deserialize)]
pub(crate) struct Reproduce {
    pub(crate) paper: String,
    pub(crate) binary: String,
}

impl Package {
    /// The table that makes it a method.
    pub(crate) fn method(&self) -> Option<&Reproduce> {
        self.metadata.as_ref()?.reproduce.as_ref()
    }

    /// Whether it is meant for a registry.
    pub(crate) fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|registries| !registries.is_empty())
    }

    /// The folder of its manifest.
    pub(crate) fn dir(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }
}

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    // Cargo sets it for `cargo xtask`; a binary that is started by hand falls back to where it was built.
    let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
    let xtask = PathBuf::from(xtask);
    xtask.parent().map_or_else(|| xtask.clone(), Path::to_path_buf)
}

/// The cargo that runs us, in the workspace.
pub(crate) fn cargo() -> Command {
    cargo_in(&root())
}

/// The cargo that runs us, in a workspace elsewhere.
pub(crate) fn cargo_in(dir: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(dir);
    command
}

/// Git in the folder `dir`, free of what a hook or `rebase --exec` tells it of another repository.
pub(crate) fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(dir);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(variable);
    }
    command
}

/// Asks cargo what is in the workspace.
pub(crate) fn metadata() -> Result<Metadata> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", output.status);
    serde_json::from_slice(&output.stdout).context("cargo metadata printed something else than its JSON")
}

/// A binary of the workspace, to be built in release.
pub(crate) struct Binary<'a> {
    pub(crate) name: &'a str,
    pub(crate) features: &'a [&'a str],
}

impl Binary<'_> {
    /// Builds it and returns where it lies.
    ///
    /// Of the whole workspace, so that all binaries share what they are made of: cargo unites features over what is selected,
    /// and builds Candle anew for another union.
    pub(crate) fn build(&self) -> Result<PathBuf> {
        self.build_by(&mut cargo(), &metadata()?.target_directory)
    }

    /// Builds it by `cargo`, whose target folder is `target`, and returns where it lies.
    pub(crate) fn build_by(&self, cargo: &mut Command, target: &Path) -> Result<PathBuf> {
        let status = cargo
            .args(["build", "--release", "--workspace", "--bin", self.name])
            .args(["--features", &self.features.join(",")])
            .status()
            .context("cannot run cargo build")?;
        ensure!(status.success(), "`{}` does not build", self.name);
        let file = format!("{}{}", self.name, env::consts::EXE_SUFFIX);
        Ok(target.join("release").join(file))
    }
}

/// Where an executable called `program` is on the search path.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let file = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(&file)).find(|path| path.is_file())
}
