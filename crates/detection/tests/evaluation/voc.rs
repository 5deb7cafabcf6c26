//! Pascal VOC's numbers.

use sconce_core::geometry::{BBox, Object};
use sconce_detection::{
    Detection,
    evaluation::{
        EvaluationError, ImageResult,
        voc::{AbsentClasses, VocMetric, VocParams, VocRounding, average_precision, evaluate},
    },
};
use serde_json::Value;

use crate::{assert_close, fixture, numbers};

fn label(record: &Value) -> u32 {
    record["label"].as_u64().unwrap() as u32
}

/// The images of a case. Objects' boxes count from 1 there, detections' from 0.
fn images(case: &Value) -> Vec<ImageResult> {
    let bbox = |record: &Value, first: f64| {
        let edges = numbers(&record["box"]);
        BBox::from_inclusive(edges[0] - first, edges[1] - first, edges[2] - first, edges[3] - first)
    };
    let object =
        |o: &Value| Object { is_difficult: o["difficult"].as_bool().unwrap(), ..Object::new(bbox(o, 1.0), label(o)) };
    let detection = |d: &Value| Detection { bbox: bbox(d, 0.0), label: label(d), score: d["score"].as_f64().unwrap() };
    let of_image = |image: &Value| ImageResult {
        objects: image["objects"].as_array().unwrap().iter().map(object).collect(),
        detections: image["detections"].as_array().unwrap().iter().map(detection).collect(),
    };
    case["images"].as_array().unwrap().iter().map(of_image).collect()
}

#[test]
fn the_numbers_are_those_of_the_formulas() {
    for (i, case) in fixture("voc.json").as_array().unwrap().iter().enumerate() {
        let images = images(case);
        for (metric, name) in [(VocMetric::ElevenPoint, "eleven_point"), (VocMetric::AllPoint, "all_point")] {
            for (rounding, key) in [(VocRounding::None, "plain"), (VocRounding::AsWritten, "as_written")] {
                let params = VocParams { metric, rounding, ..VocParams::voc2007() };
                let evaluation = evaluate(&images, 4, &params).unwrap();
                for (class, expected) in evaluation.classes.iter().zip(case[key].as_array().unwrap()) {
                    assert_eq!(class.n_objects as u64, expected["n_objects"].as_u64().unwrap());
                    assert_eq!(class.ap.is_some(), class.n_objects > 0);
                    let Some(ap) = class.ap else { continue };
                    let what = format!("case {i}, {key}, {name}");
                    assert_close(&what, &class.recall, &numbers(&expected["recall"]));
                    assert_close(&what, &class.precision, &numbers(&expected["precision"]));
                    assert_close(&what, &[ap], &[expected[name].as_f64().unwrap()]);
                }
            }
        }
    }
}

#[test]
fn the_curve_of_the_specification_has_its_two_numbers() {
    // Spec §2.7: right and wrong by falling scores, and five objects.
    let (mut right, mut recall, mut precision) = (0.0, Vec::new(), Vec::new());
    for (n, hit) in (1..).zip([1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0]) {
        right += hit;
        recall.push(right / 5.0);
        precision.push(right / f64::from(n));
    }
    let ap = |metric| average_precision(&recall, &precision, metric);
    assert!((ap(VocMetric::ElevenPoint) - 0.6331169).abs() < 5e-8);
    assert!((ap(VocMetric::AllPoint) - 0.6142857).abs() < 5e-8);
}

fn found(bbox: BBox, score: f64) -> Detection {
    Detection { bbox, label: 0, score }
}

/// Whether each detection, by falling scores, is right, wrong, or does not count.
fn hits(objects: Vec<Object>, detections: Vec<Detection>) -> (Vec<f64>, Vec<f64>) {
    let images = [ImageResult { objects, detections }];
    let class = evaluate(&images, 1, &VocParams::voc2007()).unwrap().classes.remove(0);
    (class.recall, class.precision)
}

#[test]
fn exactly_a_half_is_not_enough() {
    let object = Object::new(BBox::from_inclusive(10.0, 10.0, 29.0, 19.0), 0);
    let half = BBox::from_inclusive(10.0, 10.0, 19.0, 19.0);
    let more = BBox::from_inclusive(10.0, 10.0, 20.0, 19.0);
    assert_eq!(half.iou(object.bbox), 0.5);
    assert_eq!(hits(vec![object], vec![found(half, 0.9), found(more, 0.8)]), (vec![0.0, 1.0], vec![0.0, 0.5]));
}

#[test]
fn an_object_is_found_once_and_a_difficult_one_never() {
    let bbox = BBox::new(10.0, 10.0, 30.0, 20.0);
    let twice = vec![found(bbox, 0.8), found(bbox, 0.9)];
    assert_eq!(hits(vec![Object::new(bbox, 0)], twice.clone()), (vec![1.0, 1.0], vec![1.0, 0.5]));
    let far = Object::new(bbox.translated(50.0, 0.0), 0);
    for ignored in
        [Object { is_difficult: true, ..Object::new(bbox, 0) }, Object { is_crowd: true, ..Object::new(bbox, 0) }]
    {
        assert_eq!(hits(vec![far, ignored], twice.clone()), (vec![0.0, 0.0], vec![0.0, 0.0]));
        let third = found(far.bbox, 0.1);
        let (recall, precision) = hits(vec![far, ignored], vec![twice[0], twice[1], third]);
        assert_eq!((recall[2], precision[2]), (1.0, 1.0));
    }
}

#[test]
fn of_equal_overlaps_the_first_counts() {
    let object = Object::new(BBox::new(10.0, 10.0, 30.0, 20.0), 0);
    let difficult = Object { is_difficult: true, ..object };
    let detections = vec![found(object.bbox, 0.9)];
    assert_eq!(hits(vec![object, difficult], detections.clone()).0, [1.0]);
    assert_eq!(hits(vec![difficult, object], detections).0, [0.0]);
}

#[test]
fn written_boxes_have_one_decimal() {
    // Columns 10 to 29 of the object, 10 to 19.04 of the detection: a little more than a half, which writing takes away.
    let object = Object::new(BBox::from_inclusive(9.0, 9.0, 28.0, 18.0), 0);
    let detection = found(BBox::from_inclusive(9.0, 9.0, 18.04, 18.0), 0.9);
    let images = [ImageResult { objects: vec![object], detections: vec![detection] }];
    let ap = |params: &VocParams| evaluate(&images, 1, params).unwrap().mean_ap.unwrap();
    assert!((ap(&VocParams::voc2007()) - 1.0).abs() < 1e-12);
    assert_eq!(ap(&VocParams::as_code()), 0.0);
}

#[test]
fn classes_without_objects_are_left_out_or_zero() {
    let bbox = BBox::new(10.0, 10.0, 30.0, 20.0);
    let images = [ImageResult { objects: vec![Object::new(bbox, 1)], detections: vec![] }];
    let right = [ImageResult { detections: vec![Detection { label: 1, ..found(bbox, 1.0) }], ..images[0].clone() }];
    let aps = |images: &[ImageResult], params: &VocParams| {
        let evaluation = evaluate(images, 2, params).unwrap();
        (evaluation.classes[0].ap, evaluation.classes[1].ap, evaluation.mean_ap)
    };
    let all_point = VocParams::voc2010();
    assert_eq!(aps(&images, &all_point), (None, Some(0.0), Some(0.0)));
    assert_eq!(aps(&right, &all_point), (None, Some(1.0), Some(1.0)));
    assert_eq!(aps(&[], &all_point), (None, None, None));
    let zero = VocParams { absent: AbsentClasses::Zero, ..all_point };
    assert_eq!(aps(&right, &zero), (Some(0.0), Some(1.0), Some(0.5)));
    assert_eq!(VocParams::as_code().absent, AbsentClasses::Zero);
}

#[test]
fn what_cannot_be_compared_is_named() {
    let nan = [ImageResult { objects: vec![], detections: vec![found(BBox::default(), f64::NAN)] }];
    let error = evaluate(&nan, 1, &VocParams::voc2007()).unwrap_err();
    assert_eq!(error.to_string(), "image 0: detections[0].score is NaN, expected a finite number");
    let params = VocParams { iou_threshold: 50.0, ..VocParams::voc2007() };
    assert!(matches!(evaluate(&[], 1, &params), Err(EvaluationError::Argument { .. })));
}

#[test]
fn an_overlap_of_the_threshold_itself_finds_nothing() {
    let object = BBox::new(0.0, 0.0, 10.0, 8.0);
    let half = Detection { bbox: BBox::new(0.0, 0.0, 10.0, 4.0), label: 0, score: 1.0 };
    let images = [ImageResult { objects: vec![Object::new(object, 0)], detections: vec![half] }];
    let ap = |iou_threshold| {
        let params = VocParams { iou_threshold, ..VocParams::voc2010() };
        evaluate(&images, 1, &params).unwrap().mean_ap.unwrap()
    };
    assert_eq!((ap(0.5), ap(0.5f64.next_down())), (0.0, 1.0));
}
