//! What cannot work is said before anything is written.

use crate::{fails_with, succeeds, swda, train};

#[test]
fn settings_without_sense_are_named_and_leave_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for (setting, parts) in [
        ("swda.target=none", &["target"][..]),
        ("swda.global.modulation.gamma=-1", &["global.modulation.gamma"]),
        ("swda.reversal.lambda=-1", &["reversal.lambda"]),
        ("swda.detector.rpn.matcher.background_iou=2", &["background_iou"]),
        ("swda.detector.backbone.lower=9", &["lower"]),
        ("data.batch_size=0", &["data.batch_size"]),
        ("data.validation=1", &["data.validation"]),
        ("start=file", &["--init-from"]),
        ("weights=a.pth", &["weights is a.pth", "random"]),
        ("trainer.ema=0.9", &["trainer.ema"]),
        ("swda.globl.context=true", &["globl", "global"]),
    ] {
        fails_with(&mut train(&out, &["--set", setting]), parts);
        assert!(!out.exists(), "{setting}");
    }
}

#[test]
fn a_detector_for_other_classes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    fails_with(&mut train(&out, &["--set", "swda.detector.roi_heads.n_classes=7"]), &["n_classes is 7", "5"]);
}

#[test]
fn a_start_of_another_network_and_a_checkpoint_of_another_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeds(&mut train(&out, &["--max-steps", "1"]));
    let model = out.join("checkpoints/last/model.safetensors");
    let settings = ["--preset", "smoke", "--set", "swda.local.channels=[32,7]"];
    fails_with(swda(&["eval", "--weights"]).arg(&model).args(settings), &["model.safetensors", "netD_pixel"]);
    let other = folder.path().join("other");
    let start = ["--set", "start=file", "--init-from", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")];
    fails_with(&mut train(&other, &start), &["Cargo.toml"]);
}
