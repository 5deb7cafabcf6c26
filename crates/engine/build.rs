//! Which commit a program is built from, for `--version`: `SCONCE_COMMIT`, empty where nobody knows.

use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let commit = if env::var_os("CARGO_FEATURE_CLI").is_some() { packaged().or_else(checked_out) } else { None };
    println!("cargo::rustc-env=SCONCE_COMMIT={}", commit.unwrap_or_default());
}

/// The commit that a packaged crate says it was made of.
fn packaged() -> Option<String> {
    let path = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).join(".cargo_vcs_info.json");
    let text = fs::read_to_string(path).ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    short(rest.split('"').nth(1)?)
}

/// The commit of the working tree.
fn checked_out() -> Option<String> {
    // What a commit changes: the branch that is checked out, or where it stands. Cargo takes a file that is not there for
    // one that always changes.
    let place = |name: &str| git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).is_file());
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in [Some("HEAD"), Some("packed-refs"), branch.as_deref()].into_iter().flatten() {
        if let Some(path) = place(name) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    short(&git(&["rev-parse", "HEAD"])?)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

fn short(commit: &str) -> Option<String> {
    let is_commit = commit.len() >= 12 && commit.bytes().all(|b| b.is_ascii_hexdigit());
    is_commit.then(|| commit[..12].to_owned())
}
