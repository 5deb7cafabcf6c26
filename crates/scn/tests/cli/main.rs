//! The binary `scn`, as its users run it.

mod failures;
mod own;
mod papers;
mod predictions;
mod resume;

use std::{path::Path, process::Command};

use sconce_core::testing::cli::{assert_same_files, fails_with, files, succeeds};

/// The command, in a small network on the embedded images; labels change from the first epoch on.
fn scn(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scn"));
    command.args(args);
    command
}

/// `scn train` into `out`.
fn train(out: &Path, more: &[&str]) -> Command {
    let settings = [
        "train",
        "--preset",
        "smoke",
        "--set",
        "scn.model.backbone.width=0.0625",
        "--set",
        "scn.relabel.start_epoch=1",
        "--set",
        "scn.relabel.margin=0.02",
        "--set",
        "trainer.log_every=5",
        "--set",
        "trainer.checkpoint_every=10",
    ];
    let mut command = scn(&settings);
    command.arg("--out").arg(out).args(more);
    command
}
