//! `fuzz`: every target of the folder `fuzz`, one after the other, each for a while.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::workspace;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The targets [default: all].
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// What `fuzz/Cargo.toml` says.
#[derive(Deserialize)]
struct Manifest {
    bin: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        workspace::which("cargo-fuzz").is_some(),
        "cargo-fuzz is needed and not on the search path; `cargo install cargo-fuzz` installs it"
    );
    let known = targets()?;
    if let Some(unknown) = args.targets.iter().find(|name| !known.contains(name)) {
        bail!("no fuzz target is called `{unknown}`; there are {}", known.join(", "));
    }
    let wanted = if args.targets.is_empty() { &known } else { &args.targets };
    for target in wanted {
        fuzz(target, args.seconds)?;
    }
    println!("{} targets, {} s each: nothing found", wanted.len(), args.seconds);
    Ok(())
}

/// The names of all targets.
fn targets() -> Result<Vec<String>> {
    let path = dir().join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let manifest: Manifest = toml::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(manifest.bin.into_iter().map(|target| target.name).collect())
}

/// Runs one target. What it adds to its seeds, and what it finds, lies below the target folder.
fn fuzz(target: &str, seconds: u64) -> Result<()> {
    let work = workspace::metadata()?.target_directory.join("fuzz");
    let folder = |kind: &str| -> Result<PathBuf> {
        let path = work.join(kind).join(target);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    };
    let (corpus, artifacts) = (folder("corpus")?, folder("artifacts")?);
    println!("{target}: {seconds} s");
    let status = Command::new("cargo")
        .current_dir(workspace::root())
        // Sanitizers and coverage are flags that a stable compiler has, but keeps to itself.
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["fuzz", "run", "--fuzz-dir", "fuzz", "--target-dir"])
        .arg(&work)
        .arg(target)
        .args([corpus, dir().join("seeds").join(target)])
        .args(["--".to_owned(), format!("-max_total_time={seconds}"), "-print_final_stats=1".to_owned()])
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .status()
        .context("cannot run cargo fuzz")?;
    ensure!(status.success(), "{target} failed; what it failed on is in {}", artifacts.display());
    Ok(())
}

fn dir() -> PathBuf {
    workspace::root().join("fuzz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_source_and_seeds() {
        let targets = targets().unwrap();
        assert!(targets.contains(&"idx".to_owned()));
        for target in targets {
            assert!(dir().join(format!("fuzz_targets/{target}.rs")).is_file(), "{target}");
            let seeds = fs::read_dir(dir().join("seeds").join(&target)).map(Iterator::count);
            assert!(seeds.is_ok_and(|n| n > 0), "{target} has no seeds");
        }
    }
}
