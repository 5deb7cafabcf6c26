//! The binary `swda`, as its users run it.

mod failures;
mod own;
mod papers;
mod predictions;
mod resume;

use std::{path::Path, process::Command};

use sconce_core::testing::cli::{assert_same_files, fails_with, files, succeeds};
use sconce_data::{CutOutStyle, SceneConfig, Scenes, Split, cut_outs};

fn swda(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swda"));
    command.args(args);
    command
}

/// `swda train` on few embedded scenes into `out`.
fn train(out: &Path, more: &[&str]) -> Command {
    let mut command = swda(&["train", "--preset", "smoke", "--set", "trainer.log_every=3"]);
    command.args(["--set", "trainer.checkpoint_every=4", "--out"]).arg(out).args(more);
    command
}

/// The lines of an output.
fn json_lines(output: &[u8]) -> Vec<serde_json::Value> {
    let lines = output.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// A scene as a file.
fn scene(path: &Path, index: u64) {
    let drawings = cut_outs(CutOutStyle::Clipart, Split::Test).unwrap();
    let scene = Scenes::new(SceneConfig::default(), drawings, 9).unwrap().scene(index).unwrap();
    std::fs::write(path, scene.image.encode_png().unwrap()).unwrap();
}
