//! The binary `detection-eval`, as its users run it.

mod voc_layout;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sconce_core::testing::cli::{fails_with, succeeds};
use serde_json::{Value, json};
use tempfile::TempDir;

fn eval(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_detection-eval"));
    command.args(args);
    command
}

/// The files `gt.json` and `dt.json` of a case, and what pycocotools says of them.
fn case(name: &str) -> (TempDir, Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/coco").join(format!("{name}.json"));
    let case: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gt.json"), case["ground_truth"].to_string()).unwrap();
    fs::write(folder.path().join("dt.json"), case["detections"].to_string()).unwrap();
    (folder, case)
}

/// `detection-eval KIND` of the files in `folder`.
fn on(kind: &str, folder: &Path, more: &[&str]) -> Command {
    let mut command = eval(&[kind, "--gt"]);
    command.arg(folder.join("gt.json")).arg("--dt").arg(folder.join("dt.json")).args(more);
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(succeeds(command).stdout).unwrap()
}

#[test]
fn the_table_is_that_of_pycocotools() {
    let (folder, case) = case("mixed");
    assert_eq!(stdout(&mut on("coco", folder.path(), &["--type", "bbox"])), case["table"].as_str().unwrap());
}

#[test]
fn the_numbers_are_those_of_pycocotools_as_json_too() {
    let (folder, case) = case("mixed");
    let report: Value = serde_json::from_str(&stdout(&mut on("coco", folder.path(), &["--json"]))).unwrap();
    let close = |ours: &Value, expected: &Value| (ours.as_f64().unwrap() - expected.as_f64().unwrap()).abs() <= 1e-9;
    let pairs = report["stats"].as_array().unwrap().iter().zip(case["stats"].as_array().unwrap());
    assert!(pairs.clone().count() == 12 && pairs.clone().all(|(ours, expected)| close(ours, expected)), "{report}");
    let mut categories: Vec<&Value> = case["ground_truth"]["categories"].as_array().unwrap().iter().collect();
    categories.sort_by_key(|category| category["id"].as_i64());
    assert_eq!(report["per_class"].as_object().unwrap().len(), categories.len());
    for (category, expected) in categories.iter().zip(case["per_class"].as_array().unwrap()) {
        let ours = &report["per_class"][category["name"].as_str().unwrap()];
        assert!(close(&ours["ap"], &expected[0]) && close(&ours["ap50"], &expected[1]), "{category}: {ours}");
        assert!(close(&ours["ar_large"], &expected[11]), "{category}: {ours}");
    }
}

#[test]
fn only_boxes_are_compared() {
    let (folder, _) = case("no_objects");
    fails_with(&mut on("coco", folder.path(), &["--type", "segm"]), &["--type", "bbox"]);
    fails_with(&mut on("coco", folder.path(), &["--type", "boxes"]), &["boxes", "bbox"]);
}

#[test]
fn what_is_wrong_is_named_with_its_record_and_field() {
    let (folder, _) = case("no_objects");
    let detections = folder.path().join("dt.json");
    let good: Value = serde_json::from_slice(&fs::read(&detections).unwrap()).unwrap();
    let with = |key: &str, value: Value| {
        let mut bad = good.clone();
        bad[2][key] = value;
        fs::write(&detections, bad.to_string()).unwrap();
    };
    with("bbox", json!([1, 2, 3]));
    fails_with(&mut on("coco", folder.path(), &[]), &["dt.json", "[2].bbox", "length 3", "four numbers"]);
    with("score", json!("high"));
    fails_with(&mut on("voc", folder.path(), &[]), &["dt.json", "[2].score", "\"high\"", "f64"]);
    with("image_id", json!(1000));
    fails_with(&mut on("coco", folder.path(), &[]), &["dt.json", "[2].image_id", "1000"]);
    with("category_id", json!(1000));
    fails_with(&mut on("coco", folder.path(), &[]), &["dt.json", "[2].category_id", "1000"]);
    let output = succeeds(&mut on("coco", folder.path(), &["--skip-unknown"]));
    let note = String::from_utf8(output.stderr).unwrap();
    assert!(note.contains("dt.json: 1 detections") && note.contains("[2].category_id is 1000"), "{note}");
    with("score", json!("high"));
    for flag in ["--skip-unknown", "--skip-invalid"] {
        let output = succeeds(&mut on("coco", folder.path(), &[flag]));
        let note = String::from_utf8(output.stderr).unwrap();
        assert!(note.contains("dt.json: 1 detections") && note.contains("[2].score"), "{note}");
    }
    fs::write(folder.path().join("gt.json"), "{\"images\": [").unwrap();
    fails_with(&mut on("coco", folder.path(), &[]), &["gt.json", "images", "line 1"]);
    fs::remove_file(folder.path().join("gt.json")).unwrap();
    fails_with(&mut on("coco", folder.path(), &[]), &["gt.json"]);
    fails_with(&mut eval(&["coco", "--gt", "gt.json"]), &["--dt"]);
}

#[test]
fn an_annotation_of_the_id_0_is_remarked() {
    let (folder, case) = case("identity_0");
    let output = succeeds(&mut on("coco", folder.path(), &[]));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), case["table"].as_str().unwrap());
    assert!(String::from_utf8(output.stderr).unwrap().contains("id 0"));
}

/// Two images with an object each of the class `car`, of which one is found; and a class without objects.
fn voc_files(folder: &Path) {
    let truth = json!({
        "images": [{"id": 1, "file_name": "VOC/000004.jpg"}, {"id": 2, "file_name": "000006.jpg"}],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [9, 9, 20, 10]},
            {"id": 2, "image_id": 2, "category_id": 1, "bbox": [9, 9, 20, 10]},
        ],
    });
    let found = json!([
        {"image_id": 1, "category_id": 1, "bbox": [9, 9, 20, 10], "score": 0.9},
        {"image_id": 2, "category_id": 1, "bbox": [9, 9, 10, 10], "score": 0.8},
    ]);
    fs::write(folder.join("gt.json"), truth.to_string()).unwrap();
    fs::write(folder.join("dt.json"), found.to_string()).unwrap();
    fs::create_dir(folder.join("results")).unwrap();
    let lines = "000004 0.9 10 10 29 19\n000006 0.8 10 10 19 19\n";
    fs::write(folder.join("results/comp4_det_test_car.txt"), lines).unwrap();
    fs::write(folder.join("results/comp4_det_test_bus.txt"), "").unwrap();
}

#[test]
fn average_precision_of_voc_is_that_of_both_forms_of_detections() {
    let folder = tempfile::tempdir().unwrap();
    voc_files(folder.path());
    let all = ["--metric", "all-point"];
    let expected = "car   0.5000  2 objects\nbus        -  0 objects\nmean  0.5000\n";
    assert_eq!(stdout(&mut on("voc", folder.path(), &all)), expected);
    let devkit = |more: &[&str]| {
        let mut command = eval(&["voc", "--gt"]);
        command.arg(folder.path().join("gt.json")).arg("--dt").arg(folder.path().join("results")).args(more);
        command
    };
    assert_eq!(stdout(&mut devkit(&all)), expected);
    let report: Value = serde_json::from_str(&stdout(&mut devkit(&["--json", "--as-written"]))).unwrap();
    assert!((report["mean_ap"].as_f64().unwrap() - 6.0 / 11.0).abs() < 1e-12, "{report}");
    assert_eq!(report["per_class"]["bus"], json!({"ap": null, "objects": 0}));
    let zero: Value = serde_json::from_str(&stdout(&mut devkit(&["--json", "--absent", "zero"]))).unwrap();
    assert!((zero["mean_ap"].as_f64().unwrap() - 3.0 / 11.0).abs() < 1e-12, "{zero}");
    // Half an object is not more than half of it.
    let lower: Value = serde_json::from_str(&stdout(&mut devkit(&["--json", "--iou", "0.49"]))).unwrap();
    assert!((lower["mean_ap"].as_f64().unwrap() - 1.0).abs() < 1e-12, "{lower}");
    fails_with(&mut devkit(&["--iou", "2"]), &["iou_threshold", "2"]);
    fs::remove_file(folder.path().join("results/comp4_det_test_bus.txt")).unwrap();
    fails_with(&mut devkit(&[]), &["results", "bus"]);
}

/// Two images as Pascal VOC annotates them: an ordinary car on each, a difficult one on the second, and the results of the
/// devkit: both ordinary ones are found, one of them only by half.
fn voc_tree(folder: &Path) {
    for part in ["Annotations", "JPEGImages", "ImageSets/Main", "results"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    let object = |name: &str, difficult: u8, [x1, y1, x2, y2]: [u32; 4]| {
        format!(
            "<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>\
             <xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        )
    };
    let image = |id: &str, objects: &str| {
        let size = "<size><width>40</width><height>30</height><depth>3</depth></size>";
        fs::write(folder.join(format!("Annotations/{id}.xml")), format!("<annotation>{size}{objects}</annotation>"))
            .unwrap();
        let pixels = sconce_data::Image::new(40, 30, 3, vec![0; 40 * 30 * 3]).unwrap();
        fs::write(folder.join(format!("JPEGImages/{id}.png")), pixels.encode_png().unwrap()).unwrap();
    };
    image("000004", &object("car", 0, [10, 10, 29, 19]));
    image("000006", &(object("car", 0, [10, 10, 29, 19]) + &object("car", 1, [30, 20, 40, 30])));
    fs::write(folder.join("ImageSets/Main/test.txt"), "000004\n000006\n").unwrap();
    let lines = "000004 0.9 10 10 29 19\n000006 0.8 10 10 19 19\n000006 0.7 30 20 40 30\n";
    fs::write(folder.join("results/comp4_det_test_car.txt"), lines).unwrap();
}

#[test]
fn ground_truth_in_vocs_layout_is_read_as_the_devkit_has_it() {
    let folder = tempfile::tempdir().unwrap();
    voc_tree(folder.path());
    let with = |more: &[&str]| {
        let mut command = eval(&["voc", "--root"]);
        command.arg(folder.path()).arg("--dt").arg(folder.path().join("results")).args(more);
        command
    };
    let all = ["--split", "test", "--classes", "car", "--metric", "all-point"];
    assert_eq!(stdout(&mut with(&all)), "car   0.5000  2 objects\nmean  0.5000\n");
    let found: Value =
        serde_json::from_str(&stdout(&mut with(&[&all[..], &["--iou", "0.49", "--json"]].concat()))).unwrap();
    assert_eq!(found, json!({"mean_ap": 1.0, "per_class": {"car": {"ap": 1.0, "objects": 2}}}));
    // Counted from 0, boxes stand a pixel further on, beside those of the results.
    let shifted: Value =
        serde_json::from_str(&stdout(&mut with(&[&all[..], &["--zero-based", "--iou", "0.9", "--json"]].concat())))
            .unwrap();
    assert_eq!(shifted["mean_ap"], json!(0.0));
    fails_with(&mut with(&["--classes", "car"]), &["--split"]);
    fails_with(&mut with(&["--split", "val"]), &["val.txt"]);
    fails_with(&mut with(&["--split", "test"]), &["results", "aeroplane"]);
    fails_with(&mut with(&["--split", "test", "--gt", "gt.json"]), &["--gt", "--root"]);
    let mut file = eval(&["voc", "--split", "test", "--root"]);
    file.arg(folder.path()).arg("--dt").arg(folder.path().join("results/comp4_det_test_car.txt"));
    fails_with(&mut file, &["comp4_det_test_car.txt", "folder"]);
    fs::write(folder.path().join("Annotations/000006.xml"), "<annotation><object>").unwrap();
    fails_with(&mut with(&all), &["000006.xml"]);
}

/// The twelve numbers of a ground truth and results.
fn stats(folder: &Path) -> Vec<f64> {
    let report: Value = serde_json::from_str(&stdout(&mut on("coco", folder, &["--json"]))).unwrap();
    report["stats"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn files_of_python_give_the_numbers_of_pycocotools() {
    for name in ["text_ids", "large_ids", "half_float_ids", "not_numbers"] {
        let (folder, case) = case(name);
        for file in ["gt.json", "dt.json"] {
            // As Python writes them, and Windows' editors save them.
            let text = fs::read_to_string(folder.path().join(file)).unwrap();
            let text = ["NaN", "-Infinity", "Infinity"].iter().fold(text, |t, n| t.replace(&format!("\"{n}\""), n));
            fs::write(folder.path().join(file), format!("\u{feff}{text}\r\n")).unwrap();
        }
        for (i, (ours, expected)) in stats(folder.path()).iter().zip(case["stats"].as_array().unwrap()).enumerate() {
            assert!((ours - expected.as_f64().unwrap()).abs() <= 1e-9, "{name}, number {i}: {ours}, not {expected}");
        }
    }
}

#[test]
fn categories_that_differ_by_case_are_two_to_both_measures() {
    let folder = tempfile::tempdir().unwrap();
    let truth = json!({
        "images": [{"id": "001", "file_name": "a b.jpg"}, {"id": "1", "file_name": "c.jpg"}],
        "categories": [{"id": "Car", "name": "Car"}, {"id": "car", "name": "car"}],
        "annotations": [
            {"id": "x", "image_id": "001", "category_id": "Car", "bbox": [9, 9, 20, 10], "area": 200, "iscrowd": 0},
            {"id": "y", "image_id": "1", "category_id": "car", "bbox": [9, 9, 20, 10], "area": 200, "iscrowd": 0},
        ],
    });
    let found = json!([{"image_id": "001", "category_id": "Car", "bbox": [9, 9, 20, 10], "score": 0.9}]);
    fs::write(folder.path().join("gt.json"), truth.to_string()).unwrap();
    fs::write(folder.path().join("dt.json"), found.to_string()).unwrap();
    assert!((stats(folder.path())[1] - 0.5).abs() < 1e-9);
    let json: Value = serde_json::from_str(&stdout(&mut on("coco", folder.path(), &["--json"]))).unwrap();
    assert!((json["per_class"]["Car"]["ap"].as_f64().unwrap() - 1.0).abs() < 1e-9, "{json}");
    assert_eq!(json["per_class"]["car"]["ap"], json!(0.0));
    assert_eq!(
        stdout(&mut on("voc", folder.path(), &[])),
        "Car   1.0000  1 objects\ncar   0.0000  1 objects\nmean  0.5000\n"
    );
    fs::create_dir(folder.path().join("results")).unwrap();
    fs::write(folder.path().join("results/comp4_det_test_Car.txt"), "a b 0.9 10 10 29 19\n").unwrap();
    fs::write(folder.path().join("results/comp4_det_test_car.txt"), "").unwrap();
    let mut devkit = eval(&["voc", "--gt"]);
    devkit.arg(folder.path().join("gt.json")).arg("--dt").arg(folder.path().join("results"));
    assert_eq!(stdout(&mut devkit), "Car   1.0000  1 objects\ncar   0.0000  1 objects\nmean  0.5000\n");
}

#[test]
fn shells_and_readers_are_served() {
    let complete = |shell: &str| stdout(&mut eval(&["completions", shell]));
    assert!(complete("bash").contains("--skip-unknown") && complete("zsh").contains("detection-eval"));
    fails_with(&mut eval(&["completions", "nosh"]), &["nosh", "bash"]);
    let manual = stdout(&mut eval(&["man"]));
    assert!(manual.contains(".TH") && manual.contains("pycocotools") && manual.contains("root"), "{manual}");
    assert!(stdout(&mut eval(&["--version"])).starts_with("detection-eval 0."));
}
