//! Polygons and masks, beside `pycocotools.mask`.

use std::path::PathBuf;

use proptest::{collection::vec, prelude::*};
use sconce_core::geometry::{BBox, Polygon, Rle};
use serde_json::Value;

fn fixture() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/masks.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(|number| number.as_f64().unwrap()).collect()
}

fn size(case: &Value) -> (u32, u32) {
    let size = numbers(&case["size"]);
    (size[0] as u32, size[1] as u32)
}

/// That a mask is what pycocotools says of it, in every form.
#[track_caller]
fn check(mask: &Rle, expected: &Value) {
    let runs: Vec<u32> = numbers(&expected["runs"]).into_iter().map(|run| run as u32).collect();
    assert_eq!(mask.runs(), runs);
    assert_eq!(u64::from(mask.area()), expected["area"].as_u64().unwrap());
    assert_eq!(mask.bbox().xywh().to_vec(), numbers(&expected["xywh"]));
    let text = expected["counts"].as_str().unwrap();
    assert_eq!(mask.to_compressed(), text);
    assert_eq!(&Rle::from_compressed(mask.height(), mask.width(), text).unwrap(), mask);
    assert_eq!(&Rle::new(mask.height(), mask.width(), runs).unwrap(), mask);
    assert_eq!(&Rle::from_pixels(mask.height(), mask.width(), &mask.to_pixels()).unwrap(), mask);
}

#[test]
fn polygons_have_the_pixels_of_pycocotools() {
    let fixture = fixture();
    for case in list(&fixture["polygons"]) {
        let (height, width) = size(case);
        let polygon = Polygon::from_flat(&numbers(&case["polygon"])).unwrap();
        check(&polygon.rasterize(height, width).unwrap(), case);
    }
    let parts = &fixture["parts"];
    let polygons: Vec<Polygon> =
        list(&parts["polygons"]).iter().map(|part| Polygon::from_flat(&numbers(part)).unwrap()).collect();
    let (height, width) = size(parts);
    check(&Rle::from_polygons(height, width, &polygons).unwrap(), parts);
}

#[test]
fn masks_are_those_of_pycocotools() {
    let fixture = fixture();
    for case in list(&fixture["pairs"]) {
        let (height, width) = size(case);
        let masks = list(&case["masks"]).iter().map(|mask| {
            let rows = list(&mask["pixels"]).iter().flat_map(|row| row.as_str().unwrap().bytes());
            let pixels: Vec<u8> = rows.map(|digit| digit - b'0').collect();
            let ours = Rle::from_pixels(height, width, &pixels).unwrap();
            assert_eq!(ours.to_pixels(), pixels);
            check(&ours, mask);
            ours
        });
        let masks: Vec<Rle> = masks.collect();
        let (a, b) = (&masks[0], &masks[1]);
        assert_eq!(a.union(b).unwrap().to_compressed(), case["union"].as_str().unwrap());
        assert_eq!(a.intersection(b).unwrap().to_compressed(), case["intersection"].as_str().unwrap());
        assert_eq!(a.iou(b).unwrap(), case["iou"].as_f64().unwrap());
        assert_eq!(a.share_in(b).unwrap(), case["iou_crowd"].as_f64().unwrap());
    }
    // Runs of more than 15 bits.
    let large = &fixture["large"];
    let (height, width) = size(large);
    check(&Rle::from_compressed(height, width, large["counts"].as_str().unwrap()).unwrap(), large);
}

#[test]
fn the_area_of_a_polygon_is_known() {
    let square = Polygon::from_flat(&[1.0, 1.0, 4.0, 1.0, 4.0, 3.0, 1.0, 3.0]).unwrap();
    assert_eq!((square.area(), square.bbox()), (6.0, BBox::new(1.0, 1.0, 4.0, 3.0)));
    assert_eq!(square.rasterize(5, 5).unwrap().area(), 6);
    let turned = Polygon::new(square.corners.iter().rev().copied().collect());
    assert_eq!(turned.area(), 6.0);
    // As [2, 1], [4, 1], [3, 4].
    let triangle = Polygon::from_flat(&[0.0, 0.0, 2.0, 0.0, 1.0, 3.0]).unwrap().translated(2.0, 1.0);
    assert_eq!((triangle.area(), triangle.bbox()), (3.0, BBox::new(2.0, 1.0, 4.0, 4.0)));
    assert_eq!(triangle.scaled(2.0, 0.5).bbox(), triangle.bbox().scaled(2.0, 0.5));
    assert_eq!(triangle.flipped(10.0).bbox(), triangle.bbox().flipped(10.0));
    assert_eq!((Polygon::default().area(), Polygon::default().bbox()), (0.0, BBox::default()));
}

#[test]
fn masks_that_differ_have_known_overlaps() {
    let mask = |runs: &[u32]| Rle::new(4, 5, runs.to_vec()).unwrap();
    let (a, b, nothing) = (mask(&[2, 6, 12]), mask(&[4, 6, 10]), mask(&[20]));
    assert_eq!((a.iou(&b).unwrap(), a.share_in(&b).unwrap(), a.iou(&a).unwrap()), (0.5, 4.0 / 6.0, 1.0));
    assert_eq!((nothing.iou(&nothing).unwrap(), nothing.share_in(&a).unwrap()), (0.0, 0.0));
    assert_eq!((nothing.area(), nothing.bbox()), (0, BBox::default()));
    // Empty runs join their neighbours.
    assert_eq!(mask(&[0, 0, 2, 3, 0, 3, 12, 0]), a);
    let none = Rle::new(0, 3, vec![]).unwrap();
    assert_eq!((none.to_pixels(), none.area(), none.bbox()), (vec![], 0, BBox::default()));
    assert_eq!(Rle::from_compressed(0, 3, &none.to_compressed()).unwrap(), none);
}

#[test]
fn what_cannot_be_a_mask_is_named() {
    let check = |result: sconce_core::Result<Rle>, expected: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(Rle::new(2, 2, vec![1, 2]), "sum of the runs is 3, expected 2 × 2 pixels");
    check(Rle::new(2, 2, vec![u32::MAX, u32::MAX]), "sum of the runs is 8589934590");
    check(Rle::new(1 << 16, 1 << 16, vec![]), "size is (65536, 65536), expected at most 4294967295 pixels");
    check(Rle::from_pixels(2, 2, &[1; 5]), "number of pixels is 5, expected 2 × 2");
    check(Rle::from_compressed(2, 2, "1 2"), "' ' at byte 1");
    check(Rle::from_compressed(2, 2, "1ü"), "at byte 1");
    check(Rle::from_compressed(2, 2, "1P"), "the end of the text");
    check(Rle::from_compressed(2, 2, "1O"), "-1 at byte 1, expected the length of a run");
    check(Rle::from_compressed(2, 2, "oooooooooo"), "more than 40 bits");
    check(Rle::from_compressed(2, 2, "12"), "sum of the runs is 3");
    let far = Polygon::new(vec![[0.0, 0.0], [1e7, 0.0], [1.0, 1.0]]);
    check(far.rasterize(4, 4), "corner is [10000000.0, 0.0], expected coordinates up to 1000000");
    let nan = Polygon::new(vec![[0.0, 0.0], [f64::NAN, 0.0], [1.0, 1.0]]);
    check(nan.rasterize(4, 4), "corner is [NaN, 0.0]");
    let (a, b) = (Rle::new(2, 3, vec![6]).unwrap(), Rle::new(3, 2, vec![6]).unwrap());
    check(a.union(&b), "size of the second is (3, 2), expected (2, 3)");
    assert!(a.iou(&b).is_err() && a.share_in(&b).is_err() && a.intersection(&b).is_err());
    for flat in [&[1.0; 5][..], &[1.0; 4], &[1.0, 2.0, 3.0, f64::INFINITY, 5.0, 6.0], &[]] {
        assert!(Polygon::from_flat(flat).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn nothing_panics_and_forms_agree(
        (height, width) in (0u32..6, 0u32..6),
        corners in vec((-20.0..20.0, -20.0..20.0), 0..6),
        text in "[0-o]{0,8}|.{0,4}",
        runs in vec(0u32..9, 0..6),
    ) {
        let corners = corners.into_iter().map(|(x, y)| [x, y]).collect();
        let polygon = Polygon::new(corners).rasterize(height, width).unwrap();
        let masks = [Ok(polygon), Rle::from_compressed(height, width, &text), Rle::new(height, width, runs)];
        for mask in masks.into_iter().flatten() {
            prop_assert_eq!(&Rle::from_pixels(height, width, &mask.to_pixels()).unwrap(), &mask);
            prop_assert_eq!(&Rle::from_compressed(height, width, &mask.to_compressed()).unwrap(), &mask);
            prop_assert_eq!(&mask.union(&mask).unwrap(), &mask);
            prop_assert_eq!(mask.to_pixels().iter().map(|&p| u32::from(p)).sum::<u32>(), mask.area());
        }
    }
}
