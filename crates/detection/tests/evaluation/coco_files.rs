//! COCO's files: what is read, and what is refused.

use std::path::Path;

use sconce_core::geometry::BBox;
use sconce_detection::Detection;
use sconce_detection::evaluation::{
    EvaluationError, Result,
    coco::{CocoDetections, CocoGroundTruth, CocoId, CocoResult, Unknown},
};
use serde_json::{Value, json};

fn document() -> Value {
    json!({
        "info": {"year": 2017},
        "images": [{"id": 7, "file_name": "b.jpg", "width": 4}, {"id": -3}],
        "categories": [{"id": 9, "name": "dog", "supercategory": "animal"}, {"id": 2, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4.5], "area": 6.5, "iscrowd": 0, "segmentation": [[]]},
            {"id": 5, "image_id": -3, "category_id": 2, "bbox": [0, 0, 2, 2], "iscrowd": true},
            {"id": 3, "image_id": 7, "category_id": 2, "bbox": [0, 0, 2, 2], "area": null},
        ],
    })
}

fn truth(document: &Value, unknown: Unknown) -> Result<CocoGroundTruth> {
    CocoGroundTruth::parse(document.to_string().as_bytes(), Path::new("gt.json"), unknown)
}

fn detections(document: &str, unknown: Unknown) -> Result<CocoDetections> {
    let truth = truth(&self::document(), Unknown::Refuse).unwrap();
    CocoDetections::parse(document.as_bytes(), Path::new("dt.json"), &truth, unknown)
}

#[test]
fn what_may_be_missing_is_filled_in() {
    let truth = truth(&document(), Unknown::Refuse).unwrap();
    let ids: Vec<CocoId> = truth.images().iter().map(|image| image.id.clone()).collect();
    let names: Vec<&str> = truth.categories().iter().map(|category| category.name.as_str()).collect();
    assert_eq!((ids, names), (vec![CocoId::from(-3), CocoId::from(7)], vec!["cat", "dog"]));
    assert_eq!((truth.n_annotations(), truth.zero_id()), (3, None));
    let objects = truth.objects();
    assert_eq!((objects[0].len(), objects[1].len()), (1, 2));
    assert_eq!((objects[0][0].is_crowd, objects[0][0].area, objects[0][0].label), (true, Some(4.0), 0));
    assert_eq!(objects[1][0].bbox.xyxy(), [1.0, 2.0, 4.0, 6.5]);
    assert_eq!((objects[1][0].label, objects[1][0].area, objects[1][1].area), (1, Some(6.5), Some(4.0)));
    let found = r#"[{"image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 1], "score": 1, "segmentation": []}]"#;
    let found = detections(found, Unknown::Refuse).unwrap();
    assert_eq!((found.len(), found.is_empty(), found.by_image(&truth)[1][0].label), (1, false, 0));
    assert!(detections("[]", Unknown::Refuse).unwrap().is_empty());
}

#[test]
fn categories_need_no_names_of_their_own() {
    let names = |categories: Value| -> Vec<String> {
        let mut document = document();
        document["categories"] = categories;
        let truth = truth(&document, Unknown::Refuse).unwrap();
        truth.categories().iter().map(|category| category.name.clone()).collect()
    };
    assert_eq!(names(json!([{"id": 9}, {"id": 2}])), ["2", "9"]);
    assert_eq!(names(json!([{"id": 9, "name": "dog"}, {"id": 2, "name": "dog"}])), ["dog (2)", "dog (9)"]);
    assert_eq!(names(json!([{"id": 9, "name": "2"}, {"id": 2}])), ["2 (2)", "2 (9)"]);
}

#[test]
fn a_flag_may_be_written_in_several_ways() {
    for (flag, is_crowd) in [(json!(null), false), (json!(0.0), false), (json!(1.0), true), (json!(true), true)] {
        let mut document = document();
        document["annotations"][1]["iscrowd"] = flag;
        assert_eq!(truth(&document, Unknown::Refuse).unwrap().objects()[0][0].is_crowd, is_crowd);
    }
}

#[test]
fn an_id_of_zero_is_told() {
    let mut document = document();
    document["annotations"][1]["id"] = 0.into();
    assert_eq!(truth(&document, Unknown::Refuse).unwrap().zero_id(), Some(1));
}

/// A document with a change somewhere is refused with these words.
#[track_caller]
fn refused(pointer: &str, value: Value, expected: &str) {
    let mut document = document();
    *document.pointer_mut(pointer).unwrap() = value;
    let error = truth(&document, Unknown::Refuse).unwrap_err().to_string();
    assert!(error.starts_with(&format!("gt.json: {expected}")), "{error}");
}

#[test]
fn what_is_wrong_with_a_ground_truth_is_named() {
    refused(
        "/annotations/1/bbox",
        json!([1, 2, 3]),
        "annotations[1].bbox: invalid length 3, expected a box of four numbers",
    );
    refused("/annotations/1/bbox", json!([1, 2, 3, 4, 5]), "annotations[1].bbox: ");
    refused(
        "/annotations/1/bbox/2",
        json!("3"),
        "annotations[1].bbox[2]: invalid type: string \"3\", expected a finite f64",
    );
    refused("/annotations/2", json!({"id": 3}), "annotations[2]: missing field `image_id`");
    refused("/annotations/0/iscrowd", json!(2), "annotations[0].iscrowd: invalid value: integer `2`, expected 0 or 1");
    refused(
        "/annotations/0/iscrowd",
        json!("no"),
        "annotations[0].iscrowd: invalid type: string \"no\", expected 0 or 1",
    );
    let id = "a whole number from -2^63 to 2^64 - 1, or text";
    let refused_id = |value: Value, found: &str| {
        refused("/annotations/0/id", value, &format!("annotations[0].id: {found}, expected {id}"));
    };
    refused_id(json!(null), "invalid type: null");
    refused_id(json!(true), "invalid type: boolean `true`");
    refused_id(json!([1]), "invalid type: sequence");
    refused_id(json!(1.5), "invalid value: floating point `1.5`");
    // Such numbers would lose their last digits, and be others.
    refused_id(json!(2f64.powi(64)), "invalid value: floating point `1.8446744073709552e+19`");
    refused_id(json!(-2f64.powi(63) * 2.0), "invalid value: floating point `-1.8446744073709552e+19`");
    refused("/annotations/2/id", json!(1), "annotations[2].id is 1, expected another than that of annotations[0]");
    refused("/images/1/id", json!(7), "images[1].id is 7, expected another than that of images[0]");
    refused("/categories/1/id", json!(9), "categories[1].id is 9, expected another than that of categories[0]");
    refused(
        "/annotations/1/image_id",
        json!(8),
        "annotations[1].image_id is 8, expected an id that the ground truth has",
    );
    refused(
        "/annotations/1/category_id",
        json!(1),
        "annotations[1].category_id is 1, expected an id that the ground truth has",
    );
    refused("", json!([]), ".: found a list, expected an object with images, categories and annotations");
    refused("", json!({"images": []}), ".: missing field `categories`");
}

#[test]
fn what_is_wrong_with_detections_is_named() {
    let check = |document: &str, expected: &str| {
        let error = detections(document, Unknown::Refuse).unwrap_err().to_string();
        assert!(error.starts_with(&format!("dt.json: {expected}")), "{error}");
    };
    let good = r#"{"image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 1], "score": 1}"#;
    let second = |from: &str, to: &str| format!("[{good}, {}]", good.replace(from, to));
    check(
        &second("\"score\": 1", "\"score\": null"),
        "[1].score: invalid type: null, expected a finite f64 at line 1 column",
    );
    check(
        &second("\"score\": 1", "\"score\": NaN"),
        "[1].score: invalid type: NaN, expected a finite f64 at line 1 column 138",
    );
    check(
        &second("[0, 0, 1, 1]", "[0, -Infinity, 1, 1]"),
        "[1].bbox[1]: invalid type: -Infinity, expected a finite f64",
    );
    let four = "a box of four numbers: x, y, width, height";
    check(&second("[0, 0, 1, 1]", "NaN"), &format!("[1].bbox: invalid type: NaN, expected {four}"));
    check(&second("[0, 0, 1, 1]", "-Infinity"), &format!("[1].bbox: invalid type: -Infinity, expected {four}"));
    check(&second("[0, 0, 1, 1]", "[0, 0, 1]"), &format!("[1].bbox: invalid length 3, expected {four}"));
    check(&second("[0, 0, 1, 1]", "[0, 0, 1, 1, 0.5, 1]"), &format!("[1].bbox: invalid length 6, expected {four}"));
    let truth = truth(&self::document(), Unknown::Refuse).unwrap();
    let utf16: Vec<u8> = "[]".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, expected) in [
        (&b"\x1f\x8b\x08\x00"[..], "a file that is compressed by gzip, expected JSON"),
        (b"PK\x03\x04", "a zip archive, expected JSON"),
        (&utf16, "text in UTF-16, expected JSON in UTF-8"),
    ] {
        let error = CocoDetections::parse(bytes, Path::new("dt.json"), &truth, Unknown::Skip).unwrap_err().to_string();
        assert!(error.starts_with("dt.json: ") && error.ends_with(expected), "{error}");
    }
    check(&second("\"image_id\": 7", "\"image_id\": NaN"), "[1].image_id: invalid value: floating point `NaN`");
    check(
        &second("\"image_id\": 7", "\"image_id\": \"7\""),
        "[1].image_id is \"7\", expected an id that the ground truth has",
    );
    check(&second("\"score\": 1", "\"score\": 1e999"), "[1].score: number out of range at line 1 column");
    check(&second(", \"score\": 1", ""), "[1]: missing field `score`");
    check(&second("\"image_id\": 7", "\"image_id\": 8"), "[1].image_id is 8, expected an id that the ground truth has");
    check(
        &second("\"category_id\": 2", "\"category_id\": 8"),
        "[1].category_id is 8, expected an id that the ground truth has",
    );
    check(&format!("[{good}"), "");
    check(&format!("[{good}] {good}"), "after the document: trailing characters at line 1 column");
    check(good, ".: invalid type: map, expected a sequence");
    check("", ".: EOF while parsing a value");
}

#[test]
fn what_is_unknown_is_skipped_if_asked() {
    let mut document = document();
    document["annotations"][1]["image_id"] = 8.into();
    let skipping = truth(&document, Unknown::Skip).unwrap();
    assert_eq!((skipping.n_annotations(), skipping.n_skipped()), (2, 1));
    let found = r#"[{"image_id": 7, "category_id": 3, "bbox": [0, 0, 1, 1], "score": 1},
        {"image_id": 8, "category_id": 2, "bbox": [0, 0, 1, 1], "score": 1},
        {"image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 1], "score": 1}]"#;
    let found = detections(found, Unknown::Skip).unwrap();
    assert_eq!((found.len(), found.n_skipped()), (1, 2));
}

/// A ground truth and a detection whose ids are written as `image` and `category`, with the id for `{}`.
fn with_ids(image: &str, category: &str) -> (String, String) {
    let [i3, i7] = ["-3", "7"].map(|id| image.replace("{}", id));
    let [c2, c9] = ["2", "9"].map(|id| category.replace("{}", id));
    let annotation = |id: u32, image: &str, category: &str| {
        format!(r#"{{"id": {id}, "image_id": {image}, "category_id": {category}, "bbox": [0, 0, 2, 2]}}"#)
    };
    let annotations = [annotation(1, &i7, &c9), annotation(5, &i3, &c2), annotation(3, &i7, &c2)].join(", ");
    let truth = format!(
        r#"{{"images": [{{"id": {i7}}}, {{"id": {i3}}}], "categories": [{{"id": {c9}}}, {{"id": {c2}}}], "annotations": [{annotations}]}}"#
    );
    (truth, format!(r#"[{{"image_id": {i7}, "category_id": {c2}, "bbox": [0, 0, 1, 1], "score": 1}}]"#))
}

#[test]
fn ids_are_whole_numbers_or_text() {
    for (image, category) in [
        ("{}", "{}"),
        ("{}.0", "{}"),
        ("{}", "{}e0"),
        ("\"{}\"", "{}"),
        ("\"seq {}.jpg\"", "\"{} é\""),
        ("\"00{}\"", "{}.00"),
    ] {
        let (document, found) = with_ids(image, category);
        let truth = CocoGroundTruth::parse(document.as_bytes(), Path::new("gt.json"), Unknown::Refuse)
            .unwrap_or_else(|e| panic!("{document}: {e}"));
        let found = CocoDetections::parse(found.as_bytes(), Path::new("dt.json"), &truth, Unknown::Refuse)
            .unwrap_or_else(|e| panic!("{found}: {e}"));
        let boxes: Vec<usize> = truth.objects().iter().map(Vec::len).collect();
        assert_eq!((boxes, found.len()), (vec![1, 2], 1), "{image} {category}");
        assert_eq!(found.by_image(&truth)[1][0].label, 0);
    }
    // What is text here is no number there.
    let (document, _) = with_ids("\"{}\"", "{}");
    let (_, found) = with_ids("{}", "{}");
    let truth = CocoGroundTruth::parse(document.as_bytes(), Path::new("gt.json"), Unknown::Refuse).unwrap();
    let error = CocoDetections::parse(found.as_bytes(), Path::new("dt.json"), &truth, Unknown::Refuse).unwrap_err();
    assert_eq!(error.to_string(), "dt.json: [0].image_id is 7, expected an id that the ground truth has");
}

#[test]
fn results_are_read_as_they_are_written() {
    for (image, category) in [("7", "2"), ("\"a b 7\"", "\"00 2\""), ("18446744073709551615", "-9223372036854775808")] {
        let text = format!(
            r#"{{"images": [{{"id": {image}}}], "categories": [{{"id": {category}, "name": "x"}}], "annotations": []}}"#
        );
        let truth = CocoGroundTruth::parse(text.as_bytes(), Path::new("gt.json"), Unknown::Refuse).unwrap();
        let (image, category) = (truth.images()[0].id.clone(), truth.categories()[0].id.clone());
        let detection = Detection { bbox: BBox::new(1.5, 2.0, 4.0, 8.25), label: 0, score: 0.1 };
        let text = serde_json::to_string(&[CocoResult::new(image, category, &detection)]).unwrap();
        let found = CocoDetections::parse(text.as_bytes(), Path::new("dt.json"), &truth, Unknown::Refuse).unwrap();
        assert_eq!(found.by_image(&truth), [[detection]], "{text}");
    }
}

#[test]
fn names_that_differ_by_case_alone_are_two() {
    let mut document = document();
    document["categories"] = json!([{"id": 9, "name": "Car"}, {"id": 2, "name": "car"}]);
    let truth = truth(&document, Unknown::Refuse).unwrap();
    let names: Vec<&str> = truth.categories().iter().map(|category| category.name.as_str()).collect();
    assert_eq!(names, ["car", "Car"]);
    let labels: Vec<u32> = truth.objects()[1].iter().map(|object| object.label).collect();
    assert_eq!(labels, [1, 0]);
}

#[test]
fn what_is_not_needed_may_be_anything() {
    for aside in ["null", "NaN", "-Infinity", "[Infinity]", "\"\"", "{\"a\": [NaN, \"\\\"NaN\"]}", "1e999"] {
        let mut document = document();
        document["aside"] = "ASIDE".into();
        for list in ["images", "categories", "annotations"] {
            for record in document[list].as_array_mut().unwrap() {
                for field in ["aside", "license", "segmentation", "supercategory", "width"] {
                    record[field] = "ASIDE".into();
                }
            }
        }
        document["images"][0]["file_name"] = "ASIDE".into();
        document["categories"][1]["name"] = "ASIDE".into();
        let text = format!("\u{feff}\r\n{}", document.to_string().replace("\"ASIDE\"", aside));
        let truth = CocoGroundTruth::parse(text.as_bytes(), Path::new("gt.json"), Unknown::Refuse);
        if aside == "1e999" {
            // A name is looked at.
            assert!(truth.unwrap_err().to_string().contains("out of range"));
            continue;
        }
        let truth = truth.unwrap_or_else(|e| panic!("{aside}: {e}"));
        assert_eq!((truth.n_annotations(), truth.categories()[0].name.as_str()), (3, "2"), "{aside}");
        assert_eq!(truth.images()[1].file_name.as_deref(), (aside == "\"\"").then_some(""));
        let found = format!(
            "\u{feff}[{{\"image_id\": 7, \"category_id\": 2, \"bbox\": [0, 0, 1, 1], \"score\": 1, \"id\": {aside}}}]"
        );
        assert_eq!(detections(&found, Unknown::Refuse).unwrap().len(), 1, "{aside}");
    }
}

#[test]
fn one_bad_record_skips_itself_alone() {
    for (pointer, value, left) in [
        ("/annotations/1/bbox", json!([1, 2, 3]), 2),
        ("/annotations/1/bbox", json!(null), 2),
        ("/annotations/2/area", json!("x"), 2),
        ("/annotations/1/iscrowd", json!(2), 2),
        ("/annotations/1/id", json!([1]), 2),
        ("/annotations/2/id", json!(1), 2),
        ("/annotations/1", json!(7), 2),
        ("/annotations/1", json!({}), 2),
        // With an image go its annotations.
        ("/images/1/id", json!(null), 2),
        ("/images/1/id", json!(7), 2),
        ("/categories/0/id", json!(1.5), 2),
    ] {
        let mut document = document();
        *document.pointer_mut(pointer).unwrap() = value.clone();
        let refused = truth(&document, Unknown::Refuse).unwrap_err().to_string();
        let record = pointer[1..].split('/').take(2).collect::<Vec<_>>().join("[") + "]";
        assert!(refused.starts_with(&format!("gt.json: {record}")), "{pointer} {value}: {refused}");
        let skipping = truth(&document, Unknown::Skip).unwrap();
        let n = if pointer.starts_with("/annotations") { 1 } else { 2 };
        assert_eq!((skipping.n_annotations(), skipping.n_skipped()), (left, n), "{pointer} {value}");
        let first = skipping.skipped().first.as_deref().unwrap();
        assert!(first.starts_with(&format!("gt.json: {record}")), "{first}");
    }
    let good = r#"{"image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 1], "score": 1}"#;
    for (from, to, field) in [
        ("\"score\": 1", "\"score\": NaN", "[1].score"),
        ("\"score\": 1", "\"score\": \"high\"", "[1].score"),
        (", \"score\": 1", "", "[1]"),
        ("[0, 0, 1, 1]", "[0, 0, 1]", "[1].bbox"),
        ("[0, 0, 1, 1]", "[0, 0, 1, null]", "[1].bbox[3]"),
        ("7", "null", "[1].image_id"),
    ] {
        let text = format!("[{good}, {}, {good}]", good.replace(from, to));
        let found = detections(&text, Unknown::Skip).unwrap();
        assert_eq!((found.len(), found.n_skipped()), (2, 1), "{to}");
        let first = found.skipped().first.as_deref().unwrap();
        assert!(first.starts_with(&format!("dt.json: {field}")), "{first}");
    }
    // Half a file has no records.
    assert!(detections(&format!("[{good}, {{"), Unknown::Skip).is_err());
    assert!(detections(good, Unknown::Skip).is_err());
}

#[test]
fn files_are_read_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gt.json");
    let error = CocoGroundTruth::read(&path, Unknown::Refuse).unwrap_err();
    assert!(matches!(error, EvaluationError::Io { .. }) && error.to_string().contains("gt.json"), "{error}");
    std::fs::write(&path, document().to_string()).unwrap();
    let truth = CocoGroundTruth::read(&path, Unknown::Refuse).unwrap();
    let error = CocoDetections::read(&path, &truth, Unknown::Refuse).unwrap_err();
    assert!(matches!(error, EvaluationError::Json { .. }), "{error}");
}
