//! The binary `moco`, as its users run it.

mod failures;
mod papers;
mod predictions;
mod resume;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use sconce_core::Rng;
use sconce_data::Image;

fn moco(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moco"));
    command.args(args);
    command
}

/// `moco train` of a small network on the embedded images into `out`.
fn train(out: &Path, more: &[&str]) -> Command {
    let settings = [
        "train",
        "--preset",
        "smoke",
        "--set",
        "trainer.log_every=5",
        "--set",
        "trainer.checkpoint_every=10",
        "--set",
        "evaluation.fine_tune=",
        "--set",
        "evaluation.probe.epochs=1",
        // No multiple of the batch: the queue's pointer goes over its end.
        "--set",
        "moco.mechanism.length=100",
    ];
    let mut command = moco(&settings);
    command.arg("--out").arg(out).args(more);
    command
}

#[track_caller]
fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs a command that must fail with an error that has all of `parts`.
#[track_caller]
fn fails_with(command: &mut Command, parts: &[&str]) {
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it succeeded: {message}");
    assert!(output.status.code().is_some(), "it was killed: {message}");
    assert!(!message.contains("panicked"), "{message}");
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

/// Every file below `folder` but those that hold a clock, by its path in it.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fn visit(folder: &Path, root: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, root, found);
            } else {
                found.push((path.strip_prefix(root).unwrap().to_owned(), std::fs::read(&path).unwrap()));
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

#[track_caller]
fn assert_same_files(a: &Path, b: &Path) {
    let (a, b) = (files(a), files(b));
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    for ((path, a), (_, b)) in a.iter().zip(&b) {
        assert!(a == b, "{} differs", path.display());
    }
}

/// A picture of noise, as a file.
fn picture(path: &Path, (width, height, channels): (usize, usize, usize), seed: u64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let rng = &mut Rng::new(seed, "picture");
    let pixels = (0..width * height * channels).map(|_| rng.below(256) as u8).collect();
    let image = Image::new(width, height, channels, pixels).unwrap();
    std::fs::write(path, image.encode_png().unwrap()).unwrap();
}
