//! The binary `moco`, as its users run it.

mod failures;
mod own;
mod papers;
mod predictions;
mod resume;

use std::{path::Path, process::Command};

use sconce_core::{
    Rng,
    testing::cli::{assert_same_files, fails_with, files, succeeds},
};
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

/// A picture of noise, as a file.
fn picture(path: &Path, (width, height, channels): (usize, usize, usize), seed: u64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let rng = &mut Rng::new(seed, "picture");
    let pixels = (0..width * height * channels).map(|_| rng.below(256) as u8).collect();
    let image = Image::new(width, height, channels, pixels).unwrap();
    std::fs::write(path, image.encode_png().unwrap()).unwrap();
}
