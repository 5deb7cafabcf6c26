//! Ground truth in VOC's layout, as people have it.

use std::{fs, path::Path};

use sconce_core::testing::cli::{fails_with, succeeds};
use tempfile::TempDir;

use super::{eval, stdout};

/// A folder of annotations (id and the file's bytes), with a list `test` of them, and a result file of cars.
fn tree(annotations: &[(&str, Vec<u8>)], results: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in ["Annotations", "ImageSets/Main", "results"] {
        fs::create_dir_all(folder.path().join(part)).unwrap();
    }
    for (id, bytes) in annotations {
        fs::write(folder.path().join(format!("Annotations/{id}.xml")), bytes).unwrap();
    }
    let list: String = annotations.iter().map(|(id, _)| format!("{id}\n")).collect();
    fs::write(folder.path().join("ImageSets/Main/test.txt"), list).unwrap();
    fs::write(folder.path().join("results/comp4_det_test_car.txt"), results).unwrap();
    folder
}

/// An annotation of an image of 40×30 pixels with cars in these boxes.
fn annotation(size: bool, boxes: &[[i32; 4]]) -> Vec<u8> {
    let object = |[x1, y1, x2, y2]: &[i32; 4]| {
        format!(
            "<object><name>car</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>\
             </object>"
        )
    };
    let objects: String = boxes.iter().map(object).collect();
    let size = if size { "<size><width>40</width><height>30</height><depth>3</depth></size>" } else { "" };
    format!("<annotation>{size}{objects}</annotation>").into_bytes()
}

fn voc(folder: &Path, more: &[&str]) -> std::process::Command {
    let mut command = eval(&["voc", "--split", "test", "--classes", "car", "--metric", "all-point", "--root"]);
    command.arg(folder).arg("--dt").arg(folder.join("results")).args(more);
    command
}

#[test]
fn a_box_that_reaches_out_is_clipped_left_out_or_refused() {
    let boxes = [[1, 1, 20, 20], [25, 5, 43, 20]];
    let folder = tree(&[("a", annotation(true, &boxes))], "a 0.9 1 1 20 20\na 0.8 25 5 40 20\n");
    let said = |more: &[&str]| {
        let output = succeeds(&mut voc(folder.path(), &[more, &["--iou", "0.95"]].concat()));
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (table, note) = said(&[]);
    assert_eq!(table, "car   1.0000  2 objects\nmean  1.0000\n");
    assert!(note.contains("1 boxes reach out of their image and are clipped"), "{note}");
    assert_eq!(said(&["--outside", "clip"]).0, table);
    let (table, note) = said(&["--outside", "skip"]);
    assert!(table.starts_with("car   1.0000  1 objects"), "{table}");
    assert!(note.contains("1 boxes reach out of their image and are left out"), "{note}");
    fails_with(&mut voc(folder.path(), &["--outside", "refuse"]), &["a.xml", "40×30", "43"]);
    // What lies beside its image is no object of it.
    let beside = tree(&[("a", annotation(true, &[[50, 1, 60, 9]]))], "");
    fails_with(&mut voc(beside.path(), &[]), &["a.xml", "60"]);
}

#[test]
fn an_image_that_is_wrong_is_an_error_whatever_becomes_of_boxes() {
    let folder = tree(&[("a", annotation(true, &[[1, 1, 20, 20]])), ("b", b"<annotation><object>".to_vec())], "");
    for outside in ["clip", "skip", "refuse"] {
        fails_with(&mut voc(folder.path(), &["--outside", outside]), &["b.xml"]);
    }
    // Classes that are not Pascal VOC's are not left out in silence.
    let text = String::from_utf8(annotation(true, &[[1, 1, 20, 20]])).unwrap().replace("car", "unicorn");
    let folder = tree(&[("a", text.into_bytes())], "");
    let mut all = eval(&["voc", "--split", "test", "--outside", "skip", "--root"]);
    all.arg(folder.path()).arg("--dt").arg(folder.path().join("results"));
    fails_with(&mut all, &["unicorn", "--classes"]);
}

#[test]
fn images_are_needed_only_for_sizes_that_nobody_notes() {
    let folder = tree(&[("a", annotation(true, &[[1, 1, 20, 20]]))], "a 0.9 1 1 20 20\n");
    assert_eq!(stdout(&mut voc(folder.path(), &[])), "car   1.0000  1 objects\nmean  1.0000\n");
    let folder = tree(&[("a", annotation(false, &[[1, 1, 20, 20]]))], "a 0.9 1 1 20 20\n");
    fails_with(&mut voc(folder.path(), &[]), &["a.jpg", "test.txt"]);
    fs::create_dir(folder.path().join("JPEGImages")).unwrap();
    let pixels = sconce_data::Image::new(40, 30, 3, vec![0; 40 * 30 * 3]).unwrap();
    fs::write(folder.path().join("JPEGImages/a.PNG"), pixels.encode_png().unwrap()).unwrap();
    assert_eq!(stdout(&mut voc(folder.path(), &[])), "car   1.0000  1 objects\nmean  1.0000\n");
}

#[test]
fn ids_may_have_blanks() {
    let ids = ["img 1", "img 0", "ali (1)", "b"];
    let annotations: Vec<(&str, Vec<u8>)> = ids.iter().map(|&id| (id, annotation(true, &[[1, 1, 20, 20]]))).collect();
    let lines: String = ids.iter().map(|id| format!("{id} 0.9 1 1 20 20\n")).collect();
    let folder = tree(&annotations, &lines);
    assert_eq!(stdout(&mut voc(folder.path(), &[])), "car   1.0000  4 objects\nmean  1.0000\n");
    fs::write(folder.path().join("ImageSets/Main/one.txt"), "img 1\n").unwrap();
    fs::write(folder.path().join("results/comp4_det_test_car.txt"), "img 1 0.9 1 1 20 20\n").unwrap();
    let mut one = eval(&["voc", "--split", "one", "--classes", "car", "--root"]);
    one.arg(folder.path()).arg("--dt").arg(folder.path().join("results"));
    assert_eq!(stdout(&mut one), "car   1.0000  1 objects\nmean  1.0000\n");
    fs::write(folder.path().join("results/comp4_det_test_car.txt"), "img 1 0.9 1 1 20 20\nimg 7 0.9 1 1 20 20\n")
        .unwrap();
    fails_with(&mut one, &["comp4_det_test_car.txt:2", "img 7"]);
}

#[test]
fn declared_encodings_are_read_or_named() {
    let text = |encoding: &str| {
        let body = String::from_utf8(annotation(true, &[[1, 1, 20, 20]])).unwrap();
        let body = body.replace("<annotation>", "<annotation><filename>été.jpg</filename>");
        format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>\n{body}")
    };
    let latin1: Vec<u8> = text("ISO-8859-1").chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let utf16: Vec<u8> = format!("\u{feff}{}", text("UTF-16")).encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [latin1, utf16, text("UTF-8").into_bytes()] {
        let folder = tree(&[("a", bytes)], "a 0.9 1 1 20 20\n");
        assert_eq!(stdout(&mut voc(folder.path(), &[])), "car   1.0000  1 objects\nmean  1.0000\n");
    }
    let folder = tree(&[("a", text("EBCDIC-CP-US").into_bytes())], "");
    fails_with(&mut voc(folder.path(), &[]), &["a.xml", "EBCDIC-CP-US"]);
}

#[test]
fn the_head_of_an_image_is_read_as_it_is_decoded() {
    // Two stray bytes before the frame's header; no size is annotated.
    let image = include_bytes!("../fixtures/stray_bytes.jpg");
    let folder = tree(&[("a", annotation(false, &[[5, 6, 30, 28]]))], "a 0.9 5 6 30 28\n");
    fs::create_dir(folder.path().join("JPEGImages")).unwrap();
    fs::write(folder.path().join("JPEGImages/a.jpg"), image).unwrap();
    assert_eq!(stdout(&mut voc(folder.path(), &[])), "car   1.0000  1 objects\nmean  1.0000\n");
}
