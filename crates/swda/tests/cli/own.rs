//! Images of one's own, from training to what evaluations read.

use std::{fs, path::Path};

use sconce_data::{CutOutStyle, Image, SceneConfig, Scenes, Split, cut_outs};

use crate::{fails_with, json_lines, succeeds, swda};

/// Classes and boxes on an image.
type Objects = Vec<(String, [f64; 4])>;

/// `n` scenes as PNG files in `folder`, called `NAME0.png` and so on, with what is on them.
fn scenes(folder: &Path, name: &str, n: usize, seed: u64) -> Vec<(String, Objects)> {
    fs::create_dir_all(folder).unwrap();
    let cut_outs = cut_outs(CutOutStyle::Clipart, Split::Train).unwrap();
    let classes = cut_outs.classes().to_vec();
    let scenes = Scenes::new(SceneConfig { width: 96, height: 64, ..SceneConfig::default() }, cut_outs, seed).unwrap();
    let scene = |i: usize| {
        let scene = scenes.scene(i as u64).unwrap();
        fs::write(folder.join(format!("{name}{i}.png")), scene.image.encode_png().unwrap()).unwrap();
        let objects = scene.objects.iter().map(|o| (classes[o.label as usize].clone(), o.bbox.xyxy())).collect();
        (format!("{name}{i}"), objects)
    };
    (0..n).map(scene).collect()
}

fn xml(objects: &[(String, [f64; 4])]) -> String {
    let object = |(class, [x1, y1, x2, y2]): &(String, [f64; 4])| {
        format!(
            "<object><name>{class}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>",
            x1 + 1.0,
            y1 + 1.0
        )
    };
    format!("<annotation>{}</annotation>", objects.iter().map(object).collect::<String>())
}

/// A source in VOC's layout.
fn voc(root: &Path, n: usize) {
    let images = scenes(&root.join("JPEGImages"), "s", n, 1);
    fs::create_dir_all(root.join("Annotations")).unwrap();
    fs::create_dir_all(root.join("ImageSets/Main")).unwrap();
    for (name, objects) in &images {
        fs::write(root.join("Annotations").join(format!("{name}.xml")), xml(objects)).unwrap();
    }
    let list: String = images.iter().map(|(name, _)| format!("{name}\n")).collect();
    fs::write(root.join("ImageSets/Main/trainval.txt"), list).unwrap();
}

/// A flat folder, as LabelImg leaves it.
fn label_img(root: &Path, n: usize) {
    for (name, objects) in scenes(root, "s", n, 1) {
        fs::write(root.join(format!("{name}.xml")), xml(&objects)).unwrap();
    }
}

/// A file in COCO's format, whose ids have gaps and whose images are in a folder of their own.
fn coco(root: &Path, n: usize) {
    let images = scenes(&root.join("pictures"), "s", n, 1);
    let classes = ["bird", "insect", "mammal", "fruit", "flower"];
    let mut annotations = Vec::new();
    for (i, (_, objects)) in images.iter().enumerate() {
        for (class, [x1, y1, x2, y2]) in objects {
            let category = 10 * (1 + classes.iter().position(|name| name == class).unwrap());
            annotations.push(serde_json::json!({
                "id": annotations.len() + 1, "image_id": 100 + i, "category_id": category, "iscrowd": 0,
                "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1),
            }));
        }
    }
    let file = serde_json::json!({
        "images": images.iter().enumerate().map(|(i, (name, _))| serde_json::json!({
            "id": 100 + i, "file_name": format!("{name}.png"), "width": 96, "height": 64,
        })).collect::<Vec<_>>(),
        "categories": classes.iter().enumerate().map(|(i, name)| serde_json::json!({
            "id": 10 * (i + 1), "name": name,
        })).collect::<Vec<_>>(),
        "annotations": annotations,
    });
    fs::write(root.join("own.json"), file.to_string()).unwrap();
}

/// A target without labels, one of whose pictures is truncated.
fn target(root: &Path) {
    scenes(root, "t", 5, 2);
    let whole = fs::read(root.join("t3.png")).unwrap();
    fs::write(root.join("t3.png"), &whole[..whole.len() / 2]).unwrap();
}

/// `swda train --preset own` in `folder`, with its source and a short run.
fn train(folder: &Path, out: &str, kind: &str, more: &[&str]) -> std::process::Command {
    let mut command = swda(&["train", "--preset", "own", "--set"]);
    command.arg(format!("data.source={{kind=\"{kind}\",root=\"source\"}}"));
    command.args(["--set", "data.target={kind=\"unlabelled\",root=\"target\"}", "--set", "data.batches_per_epoch=2"]);
    command.args(["--set", "trainer.epochs=2", "--out", out]).args(more).current_dir(folder);
    command
}

fn read(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_layout_is_trained_on_measured_and_predicted_with() {
    for (kind, write) in [("voc", voc as fn(&Path, usize)), ("voc", label_img), ("coco", coco)] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        write(&path("source"), 10);
        target(&path("target"));
        let output = succeeds(&mut train(folder.path(), "run", kind, &[]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        for part in [
            "source: 8 images with",
            "in 5 classes (",
            "validation: 2 images",
            "target: 4 images without labels",
            "t3.png",
            "nothing is measured on it",
            "anchors for the source's boxes",
            "have an anchor that overlaps them",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let summary = read(&path("run/summary.json"));
        assert!(summary["metrics"]["validation_ap50"].is_number() && summary["metrics"]["ap50"].is_null(), "{summary}");
        assert!(Image::read(&path("run/pictures/target.png")).is_ok());

        // The same images of the source are measured on.
        let output = succeeds(swda(&["eval", "--json", "--checkpoint", "run"]).current_dir(folder.path()));
        let evaluation: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(evaluation["validation"]["ap50"], summary["metrics"]["validation_ap50"]);

        // Neither data nor settings are needed to predict; of a file in COCO's format the ids are known as long as it is there.
        let drawn = |name: &str| {
            let mut command = swda(&["predict", "--checkpoint", "run", "--out", name]);
            command.arg(if name == "drawn" { "source" } else { "moved" }).current_dir(folder.path());
            succeeds(&mut command)
        };
        assert_eq!(json_lines(&drawn("drawn").stdout).len(), 10);
        let results = read(&path("drawn/coco.json"));
        let first = &results.as_array().unwrap()[0];
        let id = |value: &serde_json::Value| value.as_u64();
        match kind {
            "coco" => assert!(id(&first["image_id"]) >= Some(100) && id(&first["category_id"]) >= Some(10), "{first}"),
            _ => assert!(first["image_id"] == "s0" && (1..=5).contains(&id(&first["category_id"]).unwrap()), "{first}"),
        }
        fs::rename(path("source"), path("moved")).unwrap();
        fs::remove_dir_all(path("target")).unwrap();
        assert_eq!(json_lines(&drawn("again").stdout).len(), 10);
        let lines = fs::read_to_string(path("again/voc/comp4_det_test_bird.txt")).unwrap();
        assert!(lines.lines().all(|line| line.starts_with('s')), "{lines}");
    }
}

#[test]
fn a_test_set_of_the_target_is_measured_on_and_a_run_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    voc(&path("source"), 8);
    target(&path("target"));
    label_img(&path("test"), 3);
    let test = ["--set", "data.test={kind=\"voc\",root=\"test\"}"];
    succeeds(&mut train(folder.path(), "run", "voc", &[&test[..], &["--max-steps", "3"]].concat()));
    let output = succeeds(swda(&["train", "--resume", "--out", "run"]).current_dir(folder.path()));
    assert!(String::from_utf8_lossy(&output.stderr).contains("step 3"));
    let summary = read(&path("run/summary.json"));
    assert_eq!((&summary["steps"], summary["metrics"]["ap50"].is_number()), (&4.into(), true), "{summary}");
    // In another place they are the same data.
    fs::rename(path("target"), path("photos")).unwrap();
    let moved = ["train", "--resume", "--out", "run", "--set", "data.target.root=photos"];
    succeeds(swda(&moved).current_dir(folder.path()));
    // A test set that says other classes is refused by name.
    let other = xml(&[("boat".to_owned(), [1.0, 1.0, 20.0, 20.0])]);
    fs::write(path("test/s0.xml"), other).unwrap();
    fs::remove_file(path("photos/t3.png")).unwrap();
    let strict = ["--set", "data.on_invalid=fail", "--set", "data.target.root=photos"];
    fails_with(
        &mut train(folder.path(), "strict", "voc", &[&test[..], &strict].concat()),
        &["data.test", "s0.xml", "boat"],
    );
    assert!(!path("strict").exists());
}

#[test]
fn what_is_missing_is_said_before_the_folder_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let run = |settings: &[&str], parts: &[&str]| {
        let mut command = swda(&["train", "--preset", "own", "--out", "run"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        fails_with(command.current_dir(folder.path()), parts);
        assert!(!folder.path().join("run").exists());
    };
    run(&[], &["data.source.root", "kind"]);
    let source = "data.source={kind=\"voc\",root=\"source\"}";
    run(&[source], &["data.target", "unlabelled"]);
    let target = "data.target={kind=\"unlabelled\",root=\"target\"}";
    run(&[source, target], &["data.source", "source"]);
    voc(&folder.path().join("source"), 6);
    run(&[source, target], &["data.target", "target"]);
    let coco = "data.source={kind=\"coco\",root=\"source\"}";
    run(&[coco, target], &["data.source", "no file of JSON"]);
}

#[test]
fn what_cannot_be_measured_is_refused_and_what_is_left_out_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    voc(&path("source"), 8);
    target(&path("target"));
    label_img(&path("test"), 4);
    succeeds(&mut train(folder.path(), "run", "voc", &["--max-steps", "1"]));
    let test = ["--set", "data.test={kind=\"voc\",root=\"test\"}"];
    let eval = || {
        let mut command = swda(&["eval", "--checkpoint", "run"]);
        command.args(test).current_dir(folder.path());
        command
    };
    fs::write(path("test/s1.png"), "").unwrap();
    let said = succeeds(&mut eval()).stderr;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("test: 3 images with") && said.contains("s1.png"), "{said}");
    let evaluation: serde_json::Value = serde_json::from_slice(&succeeds(eval().arg("--json")).stdout).unwrap();
    assert!(evaluation["data"][0].as_str().unwrap().contains("1 image left out (1 undecodable)"), "{evaluation}");
    // Objects of other classes alone are no objects.
    for name in ["s0", "s2", "s3"] {
        fs::write(path(&format!("test/{name}.xml")), xml(&[("boat".to_owned(), [1.0, 1.0, 20.0, 20.0])])).unwrap();
    }
    fails_with(&mut eval(), &["data.test", "3 images with 0 objects", "an object to measure on"]);
    fails_with(&mut train(folder.path(), "fresh", "voc", &test), &["data.test", "boat 3", "an object to measure on"]);
    // Nor can the best checkpoint be chosen on images without any.
    for i in 0..8 {
        fs::write(path(&format!("source/Annotations/s{i}.xml")), xml(&[])).unwrap();
    }
    let one = xml(&[("bird".to_owned(), [1.0, 1.0, 20.0, 20.0])]);
    let held_out = |i: usize| {
        fs::write(path(&format!("source/Annotations/s{i}.xml")), &one).unwrap();
        let mut command = train(folder.path(), &format!("one-{i}"), "voc", &["--max-steps", "1"]);
        let output = command.output().unwrap();
        fs::write(path(&format!("source/Annotations/s{i}.xml")), xml(&[])).unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let refused =
        (0..8).map(held_out).filter(|said| said.contains("data.validation is 0.2: 2 images without an object"));
    assert_eq!(refused.count(), 6, "all but the two that are held out");
    assert!(!path("fresh").exists());
}

#[test]
fn pictures_too_flat_for_the_network_are_named_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    voc(&path("source"), 8);
    target(&path("target"));
    let strip = Image::new(9000, 3, 3, vec![90; 81_000]).unwrap().encode_png().unwrap();
    fs::write(path("target/strip.png"), &strip).unwrap();
    let parts = ["9000", "strip.png", "behind data.train"];
    fails_with(&mut train(folder.path(), "run", "voc", &[]), &parts[1..]);
    assert!(!path("run").exists());
}

#[test]
fn a_file_in_cocos_format_has_its_own_ids_for_the_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    voc(&path("source"), 8);
    target(&path("target"));
    coco(&path("test"), 3);
    let file = read(&path("test/own.json"));
    succeeds(&mut train(folder.path(), "run", "voc", &["--max-steps", "2"]));
    let mut command = swda(&["predict", "--checkpoint", "run", "--set", "data.test={kind=\"coco\",root=\"test\"}"]);
    let output = succeeds(command.args(["test/pictures", "--out", "drawn"]).current_dir(folder.path()));
    let results = read(&path("drawn/coco.json"));
    let names: std::collections::BTreeMap<u64, String> = file["categories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|category| (category["id"].as_u64().unwrap(), category["name"].as_str().unwrap().to_owned()))
        .collect();
    let found: Vec<String> = results
        .as_array()
        .unwrap()
        .iter()
        .map(|found| names[&found["category_id"].as_u64().unwrap()].clone())
        .collect();
    let said = json_lines(&output.stdout);
    let detections = said.iter().flat_map(|line| line["detections"].as_array().unwrap());
    let expected: Vec<&str> = detections.map(|found| found["class"].as_str().unwrap()).collect();
    assert!(!expected.is_empty());
    assert_eq!(found, expected);
}
