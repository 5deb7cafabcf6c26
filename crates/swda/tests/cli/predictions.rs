//! Evaluation and prediction with what was trained, and detectors that start from a classifier.

use std::{fs, path::Path};

use sconce_data::Image;

use crate::{fails_with, json_lines, scene, succeeds, swda, train};

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn evaluation_repeats_the_metrics_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeds(&mut train(&out, &["--max-steps", "12"]));
    let found = json(&succeeds(swda(&["eval", "--json", "--checkpoint"]).arg(&out)).stdout);
    let summary = json(&fs::read(out.join("summary.json")).unwrap());
    for name in ["ap50", "ap"] {
        assert_eq!(found[name], summary["metrics"][name], "{name}");
    }
    assert_eq!(found["source"]["ap50"], summary["metrics"]["source_ap50"]);
    assert_eq!(found["ap50_per_class"].as_object().unwrap().len(), 5);
    assert_eq!(found["coco_stats"].as_array().unwrap().len(), 12);
    for picture in ["target.png", "target-early.png", "source.png", "source-early.png"] {
        assert!(Image::read(&out.join("pictures").join(picture)).is_ok(), "{picture}");
    }
    let log = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    for name in ["domain_global", "domain_local", "global_accuracy", "local_accuracy", "loss_objectness"] {
        assert!(log.contains(name), "{name}");
    }
}

#[test]
fn predictions_name_boxes_and_draw_them() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeds(&mut train(&out, &["--max-steps", "4"]));
    let files = ["a.png", "b.png"].map(|name| folder.path().join(name));
    files.iter().zip(0..).for_each(|(path, i)| scene(path, i));
    let drawn = folder.path().join("drawn");
    let predict = || {
        let mut command = swda(&["predict", "--checkpoint"]);
        command.arg(&out).args(&files);
        command
    };
    let output = succeeds(predict().arg("--out").arg(&drawn));
    let lines = json_lines(&output.stdout);
    assert_eq!(lines.len(), 2);
    for (line, file) in lines.iter().zip(&files) {
        assert_eq!((line["file"].as_str().unwrap(), &line["width"]), (file.to_str().unwrap(), &128.into()));
        let found = line["detections"].as_array().unwrap();
        assert!(!found.is_empty());
        let scores: Vec<f64> = found.iter().map(|d| d["score"].as_f64().unwrap()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b));
        for detection in found {
            let corners: Vec<f64> = detection["box"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
            assert!(corners[0] >= 0.0 && corners[2] <= 128.0 && corners[1] >= 0.0 && corners[3] <= 96.0);
            assert!(["bird", "insect", "mammal", "fruit", "flower"].contains(&detection["class"].as_str().unwrap()));
        }
        let picture = drawn.join(file.file_name().unwrap());
        assert_eq!(Image::read(&picture).unwrap().width(), 128);
    }
    // A grey one, by a name with dots.
    let grey = folder.path().join("a_beta_0.02.png");
    let picture = Image::new(40, 30, 1, vec![90; 1200]).unwrap();
    fs::write(&grey, picture.encode_png().unwrap()).unwrap();
    let of_grey = folder.path().join("grey");
    let output_of_grey = succeeds(swda(&["predict", "--checkpoint"]).arg(&out).arg(&grey).arg("--out").arg(&of_grey));
    assert_eq!(json(&output_of_grey.stdout)["width"], 40);
    assert_eq!(Image::read(&of_grey.join("a_beta_0.02.png")).unwrap().width(), 40);
    // One that ends before the trunk does.
    let tiny = folder.path().join("tiny.png");
    fs::write(&tiny, Image::new(1, 1, 3, vec![0; 3]).unwrap().encode_png().unwrap()).unwrap();
    fails_with(swda(&["predict", "--checkpoint"]).arg(&out).arg(&tiny), &["tiny.png"]);
    // The same lines without pictures, and nothing is overwritten.
    let plain = json_lines(&succeeds(&mut predict()).stdout);
    for (plain, mut line) in plain.into_iter().zip(lines) {
        let picture = line.as_object_mut().unwrap().remove("picture").unwrap();
        assert!(plain == line && picture["min_score"] == 0.5 && picture["file"].as_str().unwrap().ends_with(".png"));
    }
    fails_with(predict().arg("--out").arg(&drawn), &["a.png", "overwrites nothing"]);
    fails_with(swda(&["predict", "--checkpoint"]).arg(&out).arg(folder.path().join("none.png")), &["none.png"]);
}

#[test]
fn a_detector_starts_from_a_classifier_and_from_another_detector() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let model = |run: &Path| run.join("checkpoints/last/model.safetensors");
    let classifier = path("classifier");
    let settings = ["train", "--preset", "small-classifier", "--max-steps", "3", "--out"];
    succeeds(swda(&settings).arg(&classifier));
    let accuracy = json(&fs::read(classifier.join("summary.json")).unwrap())["metrics"]["accuracy"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&accuracy));

    let source = path("source");
    let only = ["--set", "start=file", "--max-steps", "2", "--init-from"];
    let with = |out: &Path, start: &Path, more: &[&str]| {
        let mut command = train(out, &only);
        command.arg(model(start)).args(more);
        command
    };
    let nothing = ["--set", "swda.target=none", "--set", "swda.global=", "--set", "swda.local="];
    succeeds(&mut with(&source, &classifier, &nothing));
    // One that has seen the source alone goes on with an alignment, whose predictors are as wide without context vectors.
    let plain = ["--set", "swda.global.context=false", "--set", "swda.local.context=false"];
    succeeds(&mut with(&path("adapted"), &source, &plain));
}

#[test]
fn folders_are_predicted_and_what_is_broken_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeds(&mut train(&out, &["--max-steps", "4"]));
    let photos = folder.path().join("photos");
    fs::create_dir_all(photos.join("more")).unwrap();
    (0..9).for_each(|i| scene(&photos.join(format!("{i}.png")), i));
    scene(&photos.join("more/0.png"), 9);
    let whole = fs::read(photos.join("4.png")).unwrap();
    fs::write(photos.join("4.png"), &whole[..whole.len() / 2]).unwrap();
    let drawn = folder.path().join("drawn");
    let mut command = swda(&["predict", "--min-score", "0.3", "--checkpoint"]);
    let output =
        command.arg(&out).arg(&photos).arg(folder.path().join("gone")).arg("--out").arg(&drawn).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("4.png") && errors.contains("gone") && errors.contains("2 of 11"), "{errors}");
    let lines = json_lines(&output.stdout);
    assert_eq!(lines.len(), 9);
    for line in &lines {
        assert_eq!((&line["min_score"], &line["picture"]["min_score"]), (&0.3.into(), &0.3.into()));
        assert!(line["detections"].as_array().unwrap().iter().all(|d| d["score"].as_f64() >= Some(0.3)));
        assert!(Image::read(Path::new(line["picture"]["file"].as_str().unwrap())).is_ok());
    }
    // All that was found is there for evaluations, by names that differ.
    let coco = json(&fs::read(drawn.join("coco.json")).unwrap());
    let ids: std::collections::BTreeSet<String> =
        coco.as_array().unwrap().iter().map(|d| d["image_id"].to_string()).collect();
    assert!(ids.contains("8") && ids.contains("\"more/0\"") && !ids.contains("4"), "{ids:?}");
    for class in ["bird", "insect", "mammal", "fruit", "flower"] {
        assert!(drawn.join(format!("voc/comp4_det_test_{class}.txt")).is_file());
    }
}
