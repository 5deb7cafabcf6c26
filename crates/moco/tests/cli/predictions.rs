//! Evaluation and prediction with what was trained.

use std::fs;

use crate::{fails_with, moco, picture, succeeds, train};

#[test]
fn evaluation_repeats_the_metrics_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeds(&mut train(&out, &["--max-steps", "5", "--seed", "3"]));
    let output = succeeds(moco(&["eval", "--json", "--checkpoint"]).arg(&out));
    let mut found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let data = found.as_object_mut().unwrap().remove("data").unwrap();
    assert!(
        data[0].as_str().unwrap().starts_with("train: 6,000 images") && data[1].as_str().unwrap().starts_with("test: ")
    );
    let summary: serde_json::Value = serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!(found, summary["metrics"]);
}

#[test]
fn baselines_and_fine_tuning_are_measured_too() {
    let folder = tempfile::tempdir().unwrap();
    let fine_tune = "evaluation.fine_tune={labels=200,epochs=5,batch_size=10,lr=0.03,weight_decay=0.0}";
    let run = |name: &str, settings: &[&str]| -> serde_json::Value {
        let out = folder.path().join(name);
        succeeds(&mut train(&out, &[&["--max-steps", "1", "--set", fine_tune], settings].concat()));
        serde_json::from_slice::<serde_json::Value>(&fs::read(out.join("summary.json")).unwrap()).unwrap()["metrics"]
            .clone()
    };
    let random = run("random", &["--set", "task=random-features"]);
    let accuracy = random["fine_tuned_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.2 && accuracy < 1.0, "ten classes: {accuracy}");
    assert_eq!(random, run("again", &["--set", "task=random-features"]));
    let pixels = run("pixels", &["--set", "task=pixel-features"]);
    assert!(pixels["fine_tuned_accuracy"].is_null());
    // What the study of this size gives; an independent kNN of k = 50 at cosine 0.1 has the same.
    assert_eq!(pixels["knn_accuracy"], 0.811);
}

#[test]
fn predictions_have_features_and_the_nearest_files() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeds(&mut train(&out, &["--max-steps", "2"]));
    // Twice the same picture, and others; one in colour.
    let files: Vec<_> = [("a", 1, 0), ("b", 1, 1), ("again", 1, 0), ("colour", 3, 2)]
        .into_iter()
        .map(|(name, channels, seed)| {
            let path = folder.path().join(format!("{name}.png"));
            picture(&path, (28, 28, channels), seed);
            path
        })
        .collect();
    let pictures = folder.path().join("pictures");
    let command = |out: bool| {
        let mut command = moco(&["predict", "--checkpoint"]);
        command.arg(folder.path().join("run")).args(&files);
        if out {
            command.arg("--out").arg(&pictures);
        }
        command
    };
    let output = succeeds(&mut command(true));
    let lines: Vec<serde_json::Value> = output
        .stdout
        .split(|&b| b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0]["nearest"][0]["file"].as_str().unwrap().ends_with("again.png"));
    assert!((lines[0]["nearest"][0]["cosine"].as_f64().unwrap() - 1.0).abs() < 1e-5);
    assert_eq!(lines[0]["nearest"].as_array().unwrap().len(), 3, "never the file itself");
    assert_eq!(lines[0]["features"], lines[2]["features"]);

    let stored = sconce_core::read_tensors(&pictures.join("features.safetensors")).unwrap();
    assert_eq!(stored["features"].dims(), [4, lines[0]["features"].as_array().unwrap().len()]);
    assert!(pictures.join("nearest.png").exists());
    fails_with(&mut command(true), &["nearest.png exists"]);
    succeeds(&mut command(false));
}

/// The baseline is the encoder that pre-training with the same seed begins with.
#[test]
fn random_features_are_those_that_pre_training_begins_with() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, more: &[&str]| -> serde_json::Value {
        let out = folder.path().join(name);
        succeeds(&mut train(&out, more));
        let summary =
            serde_json::from_slice::<serde_json::Value>(&fs::read(out.join("summary.json")).unwrap()).unwrap();
        summary["metrics"].clone()
    };
    let begins = run("begins", &["--seed", "5", "--max-steps", "0"]);
    let random = run("random", &["--seed", "5", "--set", "task=random-features"]);
    assert!(random.as_object().unwrap().len() >= 3, "{random}");
    assert_eq!(random, begins);
    assert_ne!(random, run("other", &["--seed", "6", "--set", "task=random-features"]));
}

#[test]
fn one_file_alone_has_no_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    let (out, file) = (folder.path().join("run"), folder.path().join("a.png"));
    succeeds(&mut train(&out, &["--max-steps", "1"]));
    picture(&file, (28, 28, 1), 0);
    let output =
        succeeds(moco(&["predict", "--checkpoint"]).arg(&out).arg(&file).arg("--out").arg(folder.path().join("p")));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"nearest\":[]"));
}
