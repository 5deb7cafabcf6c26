//! Training, evaluating and predicting from the command line.

use std::fs;

use sconce_data::{Split, fashion_mnist_subset};
use serde_json::Value;

use crate::{fails_with, scn, succeeds, train};

#[test]
fn a_run_leaves_what_it_promises_and_its_checkpoint_predicts() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeds(&mut train(&out, &["--set", "scn.model.backbone.width=0.125"]));
    for file in [
        "config.toml",
        "metrics.jsonl",
        "summary.json",
        "report.html",
        "evaluation.json",
        "labels.txt",
        "pictures/least-certain.png",
        "checkpoints/last/model.safetensors",
        "checkpoints/best/model.safetensors",
    ] {
        assert!(out.join(file).exists(), "{file}");
    }
    let summary: Value = serde_json::from_str(&fs::read_to_string(out.join("summary.json")).unwrap()).unwrap();
    let accuracy = summary["metrics"]["accuracy"].as_f64().unwrap();
    // Ten classes, 30 % of the labels wrong, three epochs: far above chance.
    assert!(accuracy > 0.4, "{accuracy}");
    for metric in
        ["alpha_auroc", "relabel_precision", "relabel_recall", "relabel_broken", "noise_left", "best_accuracy"]
    {
        let value = summary["metrics"][metric].as_f64().unwrap_or(f64::NAN);
        assert!((0.0..=1.0).contains(&value), "{metric}: {value}");
    }

    let evaluated = succeeds(scn(&["eval", "--json", "--checkpoint"]).arg(&out));
    let evaluated: Value = serde_json::from_slice(&evaluated.stdout).unwrap();
    assert_eq!(evaluated["accuracy"].as_f64(), Some(accuracy));
    let matrix: Vec<Vec<usize>> = serde_json::from_value(evaluated["confusion_matrix"].clone()).unwrap();
    assert_eq!(matrix.iter().flatten().sum::<usize>(), 1000);

    let test = fashion_mnist_subset(Split::Test).unwrap();
    let names: Vec<_> = (0..70).map(|i| folder.path().join(format!("{i}.png"))).collect();
    for (i, name) in names.iter().enumerate() {
        fs::write(name, test.image(i).unwrap().encode_png().unwrap()).unwrap();
    }
    let pictures = folder.path().join("pictures");
    let mut predict = scn(&["predict", "--checkpoint"]);
    let predicted = succeeds(predict.arg(&out).arg("--out").arg(&pictures).args(&names));
    let lines: Vec<Value> =
        String::from_utf8(predicted.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), names.len());
    let mut right = 0;
    for (i, line) in lines.iter().enumerate() {
        assert_eq!(line["file"], names[i].display().to_string());
        let p = line["probabilities"].as_object().unwrap();
        let sum: f64 = p.values().map(|v| v.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        let class = line["class"].as_str().unwrap();
        assert!(p.values().all(|v| v.as_f64() <= p[class].as_f64()), "{line}");
        let alpha = line["alpha"].as_f64().unwrap();
        assert!(alpha > 0.0 && alpha < 1.0);
        right += usize::from(class == test.classes()[test.label(i) as usize]);
    }
    // The same network on the same images: its share of right answers is near the accuracy on all of them.
    assert!((right as f64 / 70.0 - accuracy).abs() < 0.2, "{right} of 70 right, accuracy {accuracy}");
    assert!(pictures.join("least-certain.png").exists());
    let mut again = scn(&["predict", "--checkpoint"]);
    fails_with(again.arg(&out).arg("--out").arg(&pictures).arg(&names[0]), &["least-certain.png", "exists"]);
}

#[test]
fn the_configuration_is_complete_and_reads_itself() {
    let folder = tempfile::tempdir().unwrap();
    for preset in [
        "small",
        "small-ce",
        "small-paper",
        "smoke",
        "faces",
        "emoji",
        "paper-fer-plus-10",
        "paper-affect-net",
        "code-raf-db",
    ] {
        let printed = succeeds(&mut scn(&["config", "--preset", preset])).stdout;
        let file = folder.path().join(format!("{preset}.toml"));
        fs::write(&file, &printed).unwrap();
        let again = succeeds(scn(&["config", "--preset", "small", "--config"]).arg(&file)).stdout;
        assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(printed).unwrap(), "{preset}");
    }
}
