//! Boxes.

use sconce_core::geometry::BBox;

#[test]
fn conventions_meet_in_one_box() {
    // Columns 3 to 5, rows 1 to 1: three pixels by one.
    let bbox = BBox::from_inclusive(3.0, 1.0, 5.0, 1.0);
    assert_eq!(bbox, BBox::from_xywh(3.0, 1.0, 3.0, 1.0));
    assert_eq!((bbox.xyxy(), bbox.xywh(), bbox.area()), ([3.0, 1.0, 6.0, 2.0], [3.0, 1.0, 3.0, 1.0], 3.0));
}

#[test]
fn overlaps_are_those_of_the_specification() {
    // Spec §2.4: in the inclusive convention, ex [10,20,49,79] and gt [16,24,63,71] overlap by 0.53125.
    let ex = BBox::from_inclusive(10.0, 20.0, 49.0, 79.0);
    let gt = BBox::from_inclusive(16.0, 24.0, 63.0, 71.0);
    assert_eq!((ex.iou(gt), gt.iou(ex), ex.iou(ex)), (0.53125, 0.53125, 1.0));
    assert_eq!(ex.hull(gt), BBox::new(10.0, 20.0, 64.0, 80.0));
    assert_eq!(ex.iou(ex.translated(40.0, 0.0)), 0.0);
}

#[test]
fn boxes_without_an_extent_overlap_nothing() {
    let point = BBox::new(5.0, 5.0, 5.0, 5.0);
    let inverted = BBox::new(6.0, 0.0, 4.0, 9.0);
    let nan = BBox::new(f64::NAN, 0.0, 4.0, 9.0);
    assert_eq!((point.iou(point), inverted.area(), inverted.iou(inverted)), (0.0, 0.0, 0.0));
    assert!(![point, inverted, nan].into_iter().any(BBox::has_extent));
}

#[test]
fn boxes_follow_their_image() {
    let bbox = BBox::new(2.0, 3.0, 12.0, 8.0);
    assert_eq!(bbox.flipped(20.0), BBox::new(8.0, 3.0, 18.0, 8.0));
    assert_eq!(bbox.flipped(20.0).flipped(20.0), bbox);
    assert_eq!(bbox.scaled(2.0, 0.5), BBox::new(4.0, 1.5, 24.0, 4.0));
    assert_eq!(bbox.clipped(10.0, 4.0), BBox::new(2.0, 3.0, 10.0, 4.0));
    assert!(!bbox.translated(20.0, 0.0).clipped(20.0, 20.0).has_extent());
}
