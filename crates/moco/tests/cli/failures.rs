//! What cannot work is said before anything is written.

use crate::{fails_with, moco, train};

#[test]
fn settings_without_sense_are_named_and_leave_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for (setting, part) in [
        ("moco.temperature=0", "moco.temperature is 0"),
        ("moco.mechanism.length=0", "moco.mechanism.length is 0"),
        ("moco.mechanism.momentum=1.5", "moco.mechanism.momentum is 1.5"),
        ("moco.batch_norm.groups=0", "moco.batch_norm.groups is 0"),
        ("moco.batch_norm.groups=5", "moco.batch_norm.groups is 5"),
        ("moco.encoder.backbone.width=0", "width"),
        ("moco.encoder.backbone.batch_norm=frozen", "moco.encoder.backbone.batch_norm"),
        ("moco.encoder.dim=1000000", "moco.encoder.dim is 1000000"),
        ("moco.mechanism.length=9000000000000000000", "moco.mechanism.length is 9000000000000000000"),
        ("evaluation.probe.epochs=9000000000000000000", "evaluation.probe.epochs is 9"),
        ("trainer.accumulate=2", "trainer.accumulate is 2"),
        ("data.batch_size=0", "data.batch_size is 0"),
        ("data.batch_size=1", "data.batch_size is 1"),
        ("evaluation.knn.k=0", "evaluation.knn.k is 0"),
        ("evaluation.probe.lr=0", "evaluation.probe.lr is 0"),
        ("evaluation.fine_tune={labels=0,epochs=1,batch_size=1,lr=0.1,weight_decay=0}", "evaluation.fine_tune"),
        ("trainer.ema=0.9", "trainer.ema"),
        ("task=linear-classifier", "--init-from"),
        ("moco.mechanism.lenght=7", "did you mean"),
    ] {
        let parts: &[&str] = if part == "did you mean" { &["lenght", "length"] } else { &[part] };
        fails_with(&mut train(&out, &["--set", setting]), parts);
        assert!(!out.exists(), "{setting}");
    }
    let file = ["--set", "task=random-features", "--init-from", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")];
    fails_with(&mut train(&out, &file), &["--init-from"]);
    assert!(!out.exists());
    let symmetric =
        ["--set", "moco.symmetric=true", "--set", "moco.mechanism={kind=\"memory-bank\",negatives=9,momentum=0.5}"];
    fails_with(moco(&["train", "--preset", "smoke", "--out"]).arg(&out).args(symmetric), &["moco.symmetric"]);
    assert!(!out.exists());
}

#[test]
fn too_few_labels_and_weights_that_are_not_finite_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    fails_with(&mut train(&out, &["--set", "evaluation.few_labels=3"]), &["evaluation.few_labels is 3", "at least 10"]);

    let out = folder.path().join("other");
    crate::succeeds(&mut train(&out, &["--max-steps", "1"]));
    let mut tensors = sconce_core::read_tensors(&out.join("checkpoints/last/model.safetensors")).unwrap();
    let bad = (tensors["encoder_q.conv1.weight"].clone() * f64::NAN).unwrap();
    tensors.insert("encoder_q.conv1.weight".to_owned(), bad);
    let file = folder.path().join("bad.safetensors");
    sconce_core::write_tensors(&file, &tensors).unwrap();
    fails_with(
        moco(&["eval", "--preset", "smoke", "--weights"]).arg(&file),
        &["bad.safetensors", "conv1.weight", "holds NaN"],
    );
}

#[test]
fn a_checkpoint_of_another_network_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    crate::succeeds(&mut train(&out, &["--max-steps", "1"]));
    let model = out.join("checkpoints/last/model.safetensors");
    let settings = ["--preset", "smoke", "--set", "moco.encoder.dim=7"];
    fails_with(moco(&["eval", "--weights"]).arg(&model).args(settings), &["model.safetensors", "fc.2"]);
    fails_with(train(&out, &["--resume"]).args(["--set", "moco.temperature=0.1"]), &["moco.temperature"]);
}
