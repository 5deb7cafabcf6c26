//! The devkit's result files.

use std::{fs, path::Path};

use sconce_core::geometry::BBox;
use sconce_detection::{
    Detection,
    evaluation::{
        Result,
        voc::{read_results, result_line, results_file},
    },
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
    assert!(
        error(&[])
            .starts_with("results of a class is [], expected one file `comp4_det_SET_car.txt`, or `…_car.txt`, in ")
    );
    let two = error(&[("comp3_det_test_car.txt", ""), ("comp4_det_test_car.txt", "")]);
    assert!(two.contains("comp3_det_test_car.txt") && two.contains("comp4_det_test_car.txt"), "{two}");
    let gone = read_results(Path::new("nowhere"), &[], &[]).unwrap_err().to_string();
    assert!(gone.starts_with("nowhere: "), "{gone}");
    let twice = ["a".to_owned(), "a".to_owned()];
    assert!(read_results(Path::new("nowhere"), &twice, &[]).unwrap_err().to_string().contains("names that differ"));
}

#[test]
fn names_of_images_may_have_blanks_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    let images = ["img 1", "ali (1)", "1", "img", "night/a b", "day/a b", "day/c 2"].map(str::to_owned);
    let lines = [
        "img 1 0.9 1 1 10 20",
        "ali (1) 0.8 1 1 10 20",
        "1 0.7 1 1 10 20",
        "img\t0.6\t1 1 10 20",
        "night/a b 0.5 1 1 10 20",
        "day/a b 0.4 1 1 10 20",
        " c 2 3e-1  1 1 10 20 ",
    ];
    fs::write(folder.path().join("comp4_det_test_car.txt"), format!("\u{feff}{}", lines.join("\r\n"))).unwrap();
    let found = read_results(folder.path(), &images, &["car".to_owned()]).unwrap();
    let scores: Vec<Vec<f64>> = found.iter().map(|found| found.iter().map(|d| d.score).collect()).collect();
    assert_eq!(scores, [[0.9], [0.8], [0.7], [0.6], [0.5], [0.4], [0.3]]);
    for (line, expected) in [
        // Both of two folders have it.
        ("a b 0.9 1 1 10 20", "\"a b\", expected an image"),
        ("img  1 0.9 1 1 10 20", "\"img  1 0.9 1 1 10 20\", expected `image score"),
        ("img 2 0.9 1 1 10 20", "\"img 2 0.9 1 1 10 20\", expected `image score"),
        ("0.9 1 1 10 20", "\"0.9 1 1 10 20\", expected `image score"),
    ] {
        fs::write(folder.path().join("comp4_det_test_car.txt"), format!("1 0.7 1 1 10 20\n{line}")).unwrap();
        let error = read_results(folder.path(), &images, &["car".to_owned()]).unwrap_err().to_string();
        assert!(error.contains(&format!("comp4_det_test_car.txt:2: found {expected}")), "{error}");
    }
}

#[test]
fn the_case_of_a_class_counts_where_it_tells_classes_apart() {
    let of = |files: &[(&str, &str)], classes: &[&str]| -> Vec<u32> {
        read(files, classes).unwrap()[0].iter().map(|detection| detection.label).collect()
    };
    let line = "000004 0.5 1 1 10 20";
    assert_eq!(of(&[("comp4_det_test_Car.txt", line)], &["car"]), [0]);
    let both = [("comp4_det_test_Car.txt", line), ("comp4_det_test_car.txt", "")];
    assert_eq!(of(&both, &["car", "Car"]), [1]);
    assert!(read(&both[..1], &["car", "Car"]).unwrap_err().to_string().contains("…_car.txt"));
}

#[test]
fn the_file_of_a_class_is_not_that_of_a_longer_one() {
    let line = "000004 0.5 1 1 10 20";
    let of = |names: &[&str], classes: &[&str]| -> Result<Vec<u32>> {
        let files: Vec<(&str, &str)> = names.iter().map(|&name| (name, line)).collect();
        Ok(read(&files, classes)?[0].iter().map(|detection| detection.label).collect())
    };
    let (light, traffic) = ("comp4_det_test_light.txt", "comp4_det_test_traffic_light.txt");
    assert_eq!(of(&[light, traffic], &["light"]).unwrap(), [0]);
    assert_eq!(of(&[light, traffic], &["traffic_light", "light"]).unwrap(), [0, 1]);
    assert_eq!(of(&[traffic], &["traffic_light"]).unwrap(), [0]);
    let error = of(&[traffic], &["light"]).unwrap_err().to_string();
    assert!(error.contains(traffic) && error.contains("comp4_det_SET_light.txt"), "{error}");
    assert!(
        of(&[traffic], &["LIGHT"]).is_err() && of(&[traffic, "comp4_det_test_car.txt"], &["light", "car"]).is_err()
    );
    // A set may have such a name if it is that of all classes.
    let of_set = ["comp4_det_my_set_car.txt", "comp4_det_my_set_bus.txt"];
    assert_eq!(of(&of_set, &["bus", "car"]).unwrap(), [0, 1]);
    for name in ["det_test_car.txt", "results_car.txt", "comp3_det_val_car.txt"] {
        assert_eq!(of(&[name], &["car"]).unwrap(), [0], "{name}");
    }
    assert_eq!(results_file("a/b"), "comp4_det_test_a_b.txt");
    assert_eq!(of(&["comp4_det_test_a_b.txt"], &["a/b"]).unwrap(), [0]);
}

#[test]
fn what_is_written_is_read_back() {
    let names = ["ali (1)", "1", "a\tb  c 0.5 1 1 2 2", "day/0 é"];
    let detection = |i: usize| {
        let x = i as f64 * 1.25;
        Detection { bbox: BBox::new(x, 0.5, x + 7.75, 12.0), label: 0, score: 1.0 / (3.0 + x) }
    };
    let lines: Vec<String> =
        names.iter().enumerate().map(|(i, name)| result_line(name, &detection(i)).unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("comp4_det_test_car.txt"), lines.join("\n")).unwrap();
    let found = read_results(folder.path(), &names.map(str::to_owned), &["car".to_owned()]).unwrap();
    for (i, found) in found.iter().enumerate() {
        assert_eq!(found, &[detection(i)]);
    }
    for bad in ["", " a", "a ", "a\nb", "a\rb"] {
        assert!(result_line(bad, &detection(0)).unwrap_err().to_string().contains("the name of an image"), "{bad:?}");
    }
}
