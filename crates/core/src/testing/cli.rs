//! What tests of a binary ask: whether a command succeeds, how it fails, and which bytes it leaves.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Runs a command that must succeed.
///
/// # Panics
/// If it cannot be started or fails, with what it said.
#[track_caller]
pub fn succeeds(command: &mut Command) -> Output {
    let output = command.output().expect("it cannot be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs a command that must fail with an error that has all of `parts`.
///
/// # Panics
/// If it succeeds, panics, is killed, or says something else.
#[track_caller]
pub fn fails_with(command: &mut Command, parts: &[&str]) {
    let output = command.output().expect("it cannot be started");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it succeeded: {message}");
    assert!(output.status.code().is_some(), "it was killed: {message}");
    assert!(!message.contains("panicked"), "{message}");
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

/// Every file of a run but those that hold a clock, by its path in `folder`.
///
/// # Panics
/// If one cannot be read.
pub fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fn visit(folder: &Path, root: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                visit(&path, root, found);
            } else {
                let bytes = fs::read(&path).expect("a file");
                found.push((path.strip_prefix(root).expect("below it").to_owned(), bytes));
            }
        }
    }
    let mut found = Vec::new();
    visit(folder, folder, &mut found);
    let has_a_clock = |path: &Path| matches!(path.to_str(), Some("summary.json" | "report.html" | ".sconce"));
    found.retain(|(path, _)| !has_a_clock(path));
    found.sort();
    found
}

/// That two runs have the same [`files`], byte for byte.
///
/// # Panics
/// If they have not, with the first that differs.
#[track_caller]
pub fn assert_same_files(a: &Path, b: &Path) {
    let (a, b) = (files(a), files(b));
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    for ((path, a), (_, b)) in a.iter().zip(&b) {
        assert!(a == b, "{} differs", path.display());
    }
}
