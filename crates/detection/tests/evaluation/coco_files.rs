//! COCO's files: what is read, and what is refused.

use std::path::Path;

use sconce_detection::evaluation::{
    EvaluationError, Result,
    coco::{CocoDetections, CocoGroundTruth, Unknown},
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
    let ids: Vec<i64> = truth.images().iter().map(|image| image.id).collect();
    let names: Vec<&str> = truth.categories().iter().map(|category| category.name.as_str()).collect();
    assert_eq!((ids, names), (vec![-3, 7], vec!["cat", "dog"]));
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
        "annotations[1].bbox: invalid length 3, expected an array of length 4",
    );
    refused("/annotations/1/bbox", json!([1, 2, 3, 4, 5]), "annotations[1].bbox: ");
    refused("/annotations/1/bbox/2", json!("3"), "annotations[1].bbox[2]: invalid type: string \"3\", expected f64");
    refused("/annotations/2", json!({"id": 3}), "annotations[2]: missing field `image_id`");
    refused("/annotations/0/iscrowd", json!(2), "annotations[0].iscrowd: invalid value: integer `2`, expected 0 or 1");
    refused(
        "/annotations/0/iscrowd",
        json!("no"),
        "annotations[0].iscrowd: invalid type: string \"no\", expected 0 or 1",
    );
    refused("/annotations/0/id", json!("a"), "annotations[0].id: invalid type: string \"a\", expected i64");
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
    refused("", json!([]), ".: invalid length 0");
}

#[test]
fn what_is_wrong_with_detections_is_named() {
    let check = |document: &str, expected: &str| {
        let error = detections(document, Unknown::Refuse).unwrap_err().to_string();
        assert!(error.starts_with(&format!("dt.json: {expected}")), "{error}");
    };
    let good = r#"{"image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 1], "score": 1}"#;
    let second = |from: &str, to: &str| format!("[{good}, {}]", good.replace(from, to));
    check(&second("\"score\": 1", "\"score\": null"), "[1].score: invalid type: null, expected f64 at line 1 column");
    check(&second("\"score\": 1", "\"score\": NaN"), "[1].score: expected value at line 1 column");
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
