//! The devkit's result files.

use std::{fs, path::Path};

use sconce_core::geometry::BBox;
use sconce_detection::{
    Detection,
    evaluation::{Result, voc::read_results},
};

fn read(files: &[(&str, &str)], classes: &[&str]) -> Result<Vec<Vec<Detection>>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    read_results(folder.path(), &owned(&["000004", "2008_000002"]), &owned(classes))
}

#[test]
fn detections_of_all_classes_are_read() {
    let files = [
        ("comp4_det_test_light.txt", "2008_000002 0.5 1 1 10 20\r\n\n000004 0.25 1.5 2 3 4\n"),
        ("comp4_det_test_traffic_light.txt", "000004 1e-3 2 2 2 2"),
        ("comp4_det_test_car.txt", ""),
        ("notes.md", "x"),
    ];
    let found = read(&files, &["car", "traffic_light", "light"]).unwrap();
    let light = Detection { bbox: BBox::new(0.0, 0.0, 10.0, 20.0), label: 2, score: 0.5 };
    assert_eq!(found[1], [light]);
    let of_pixel = Detection { bbox: BBox::new(1.0, 1.0, 2.0, 2.0), label: 1, score: 0.001 };
    assert_eq!(found[0], [of_pixel, Detection { bbox: BBox::new(0.5, 1.0, 3.0, 4.0), label: 2, score: 0.25 }]);
}

#[test]
fn bad_lines_are_named() {
    let check = |text: &str, expected: &str| {
        let text = format!("000004 0.5 1 1 10 20\n{text}\n");
        let error = read(&[("comp4_det_test_car.txt", &text)], &["car"]).unwrap_err().to_string();
        assert!(error.ends_with(&format!("comp4_det_test_car.txt:2: found {expected}")), "{error}");
    };
    let form = "expected `image score x1 y1 x2 y2`";
    check("000004 0.5 1 1 10", &format!("\"000004 0.5 1 1 10\", {form}"));
    check("000004 0.5 1 1 10 20 3", &format!("\"000004 0.5 1 1 10 20 3\", {form}"));
    check("000004 x 1 1 10 20", &format!("\"000004 x 1 1 10 20\", {form}"));
    check("000004 NaN 1 1 10 20", &format!("\"000004 NaN 1 1 10 20\", {form}"));
    check("000005 0.5 1 1 10 20", "\"000005\", expected an image of the ground truth");
}

#[test]
fn a_class_has_one_file() {
    let error = |files: &[(&str, &str)]| read(files, &["car"]).unwrap_err().to_string();
    assert!(error(&[]).starts_with("results of a class is [], expected one file `…_car.txt` in "));
    let two = error(&[("comp3_det_test_car.txt", ""), ("comp4_det_test_car.txt", "")]);
    assert!(two.contains("comp3_det_test_car.txt") && two.contains("comp4_det_test_car.txt"), "{two}");
    let gone = read_results(Path::new("nowhere"), &[], &[]).unwrap_err().to_string();
    assert!(gone.starts_with("nowhere: "), "{gone}");
    let twice = ["a".to_owned(), "a".to_owned()];
    assert!(read_results(Path::new("nowhere"), &twice, &[]).unwrap_err().to_string().contains("names that differ"));
}
