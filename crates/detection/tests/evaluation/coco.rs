//! COCO's numbers.

use std::path::Path;

use sconce_core::geometry::{BBox, Object};
use sconce_detection::{
    Detection,
    evaluation::{
        EvaluationError, ImageResult,
        coco::{Area, CocoDetections, CocoEvaluation, CocoGroundTruth, CocoParams, Unknown, evaluate, evaluate_images},
    },
};
use serde_json::Value;

use crate::{assert_close, fixture, numbers};

const CASES: [&str; 16] = [
    "mixed",
    "unrounded",
    "ties",
    "many",
    "crowds",
    "areas",
    "beyond",
    "sliding",
    "only_crowds",
    "no_objects",
    "no_detections",
    "identity_0",
    "text_ids",
    "large_ids",
    "half_float_ids",
    "not_numbers",
];

/// A part of a case as Python writes it, with what is not a number.
fn document(part: &Value) -> String {
    ["NaN", "-Infinity", "Infinity"]
        .iter()
        .fold(part.to_string(), |text, name| text.replace(&format!("\"{name}\""), name))
}

/// A case's files.
fn files(case: &Value) -> (CocoGroundTruth, CocoDetections) {
    let (truth, found) = (document(&case["ground_truth"]), document(&case["detections"]));
    let truth = CocoGroundTruth::parse(truth.as_bytes(), Path::new("gt.json"), Unknown::Refuse).unwrap();
    let found = CocoDetections::parse(found.as_bytes(), Path::new("dt.json"), &truth, Unknown::Refuse).unwrap();
    (truth, found)
}

fn evaluation(case: &Value) -> CocoEvaluation {
    let (truth, found) = files(case);
    evaluate(&truth, &found, &CocoParams::default()).unwrap()
}

/// A case as a training loop has it.
fn images(case: &Value) -> (Vec<ImageResult>, usize) {
    let (truth, found) = files(case);
    let images = truth.objects().into_iter().zip(found.by_image(&truth));
    let images = images.map(|(objects, detections)| ImageResult { objects, detections }).collect();
    (images, truth.categories().len())
}

#[test]
fn the_numbers_are_those_of_pycocotools() {
    for name in CASES {
        let case = fixture(&format!("coco/{name}.json"));
        let evaluation = evaluation(&case);
        assert_close(name, &evaluation.summary().stats(), &numbers(&case["stats"]));
        let per_class = case["per_class"].as_array().unwrap();
        assert_eq!(evaluation.n_classes(), per_class.len());
        for (class, expected) in per_class.iter().enumerate() {
            let ours = evaluation.class_summary(class).unwrap().stats();
            assert_close(&format!("{name}, class {class}"), &ours, &numbers(expected));
        }
        assert!(evaluation.class_summary(per_class.len()).is_none());
        assert_eq!(evaluation.to_string(), case["table"].as_str().unwrap());
    }
}

#[test]
fn the_thresholds_are_those_of_pycocotools_to_the_last_digit() {
    let (expected, params) = (fixture("coco/thresholds.json"), CocoParams::default());
    assert_eq!(params.iou_thresholds, numbers(&expected["iou"]));
    assert_eq!(params.recall_thresholds, numbers(&expected["recall"]));
}

#[test]
fn without_files_the_numbers_are_the_same() {
    // Coordinates of these are integers, so that nothing is rounded on the way.
    for name in ["ties", "many", "crowds", "areas", "beyond", "sliding"] {
        let case = fixture(&format!("coco/{name}.json"));
        let (images, n_classes) = images(&case);
        let evaluation = evaluate_images(&images, n_classes, &CocoParams::default()).unwrap();
        assert_close(name, &evaluation.summary().stats(), &numbers(&case["stats"]));
    }
}

#[test]
fn the_numbers_do_not_depend_on_threads() {
    let case = fixture("coco/mixed.json");
    let bits = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| evaluation(&case).summary().stats().map(f64::to_bits))
    };
    assert_eq!(bits(1), bits(3));
}

#[test]
fn settings_are_followed() {
    let case = fixture("coco/mixed.json");
    let (images, n_classes) = images(&case);
    let one = CocoParams { iou_thresholds: vec![0.5], ..CocoParams::default() };
    let evaluation = evaluate_images(&images, n_classes, &one).unwrap();
    let whole = evaluate_images(&images, n_classes, &CocoParams::default()).unwrap();
    assert_eq!(evaluation.summary().ap, whole.summary().ap50);
    assert_eq!((evaluation.summary().ap50, evaluation.summary().ap75), (whole.summary().ap50, -1.0));
    assert!(evaluation.to_string().contains("IoU=0.50:0.50 | area=   all | maxDets=100"));
    let few = CocoParams { max_dets: [1, 2, 3], ..CocoParams::default() };
    let few = evaluate_images(&images, n_classes, &few).unwrap().summary();
    assert!(few.ar1 == whole.summary().ar1 && few.ar10 < whole.summary().ar10 && few.ar100 < whole.summary().ar100);
}

#[test]
fn equal_boxes_overlap_by_one_whatever_their_last_digits() {
    // Of such boxes the overlap is computed as a little less than 1.
    let bboxes = (1..200).map(|i| BBox::from_xywh(0.1 * f64::from(i), 0.7, 1.0 / f64::from(i), 0.3));
    let result = |(score, bbox): (i32, BBox)| ImageResult {
        objects: vec![Object::new(bbox, 0)],
        detections: vec![Detection { bbox, label: 0, score: score.into() }],
    };
    let images: Vec<ImageResult> = (0..).zip(bboxes).map(result).collect();
    let all = CocoParams { iou_thresholds: vec![1.0], ..CocoParams::default() };
    assert_eq!(evaluate_images(&images, 1, &all).unwrap().summary().ar1, 1.0);
}

#[test]
fn a_curve_is_the_precision_of_its_class() {
    let evaluation = evaluation(&fixture("coco/many.json"));
    let class = (0..evaluation.n_classes()).find(|&k| evaluation.class_summary(k).unwrap().ap > 0.0).unwrap();
    let curve = evaluation.precision(class, Area::All, 0).unwrap();
    assert!(curve.len() == 101 && curve.is_sorted_by(|a, b| a >= b));
    let mean = curve.iter().sum::<f64>() / 101.0;
    assert_close("ap50", &[mean], &[evaluation.class_summary(class).unwrap().ap50]);
    assert!(evaluation.precision(class, Area::All, 10).is_none());
    assert!(evaluation.precision(99, Area::All, 0).is_none());
}

#[test]
fn what_cannot_be_compared_is_named() {
    let case = fixture("coco/ties.json");
    let (good, n_classes) = images(&case);
    let at = good.iter().position(|image| !image.detections.is_empty() && !image.objects.is_empty()).unwrap();
    let check = |change: &dyn Fn(&mut ImageResult), expected: &str| {
        let mut images = good.clone();
        change(&mut images[at]);
        let error = evaluate_images(&images, n_classes, &CocoParams::default()).err().unwrap();
        assert!(matches!(error, EvaluationError::Record { .. }));
        assert_eq!(error.to_string(), format!("image {at}: {expected}"));
    };
    check(&|i| i.detections[0].label = 9, "detections[0].label is 9, expected a class below 3");
    check(&|i| i.objects[0].label = 3, "objects[0].label is 3, expected a class below 3");
    check(&|i| i.detections[0].score = f64::NAN, "detections[0].score is NaN, expected a finite number");
    check(&|i| i.objects[0].area = Some(f64::INFINITY), "objects[0].area is inf, expected a finite number");
    check(
        &|i| i.objects[0].bbox = BBox::new(0.0, f64::NAN, 1.0, 1.0),
        "objects[0].bbox is [0.0, NaN, 1.0, 1.0], expected finite numbers",
    );
}

#[test]
fn settings_without_sense_are_refused() {
    let default = CocoParams::default;
    let bad = [
        CocoParams { iou_thresholds: vec![], ..default() },
        CocoParams { iou_thresholds: vec![0.5; 33], ..default() },
        CocoParams { iou_thresholds: vec![f64::NAN], ..default() },
        CocoParams { recall_thresholds: vec![], ..default() },
        CocoParams { recall_thresholds: vec![0.5, 0.4], ..default() },
        CocoParams { recall_thresholds: vec![1.5], ..default() },
        CocoParams { max_dets: [0, 1, 2], ..default() },
        CocoParams { max_dets: [1, 100, 10], ..default() },
    ];
    for params in bad {
        let error = evaluate_images(&[], 1, &params).err().unwrap();
        assert!(matches!(error, EvaluationError::Argument { .. }), "{error}");
    }
    let most = CocoParams { iou_thresholds: vec![0.5; 32], ..default() };
    assert_eq!(evaluate_images(&[], 1, &most).unwrap().summary().stats(), [-1.0; 12]);
}

#[test]
fn an_overlap_of_the_threshold_itself_finds_an_object() {
    let object = BBox::new(0.0, 0.0, 40.0, 32.0);
    let half = Detection { bbox: BBox::new(0.0, 0.0, 40.0, 16.0), label: 0, score: 1.0 };
    let images = [ImageResult { objects: vec![Object::new(object, 0)], detections: vec![half] }];
    let recall = |threshold: f64| {
        let params = CocoParams { iou_thresholds: vec![threshold], ..CocoParams::default() };
        evaluate_images(&images, 1, &params).unwrap().summary().ar100
    };
    assert_eq!((recall(0.5), recall(0.5f64.next_up())), (1.0, 0.0));
}
