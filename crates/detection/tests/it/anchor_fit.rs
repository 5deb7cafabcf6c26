//! What is said of anchors and boxes is what matching finds.

use proptest::prelude::*;
use sconce_backbones::{ResNetConfig, VggConfig};
use sconce_core::geometry::BBox;
use sconce_detection::{
    AnchorConfig, AnchorCounts, AnchorRule, BackboneConfig, FasterRcnnConfig, Straddling, VggRegionHead,
};

fn config(vgg: bool, caffe: bool, straddling: Straddling) -> FasterRcnnConfig {
    let network = VggConfig { convolutions: [1, 1, 1, 0, 0], width: 0.0625, ..VggConfig::vgg11() };
    let backbone = match vgg {
        true => BackboneConfig::Vgg { network, lower: 1, head: VggRegionHead::Mlp { hidden: 4 } },
        false => BackboneConfig::resnet_c4(ResNetConfig { width: 0.0625, ..ResNetConfig::resnet50() }),
    };
    let stride = backbone.stride();
    let mut config = FasterRcnnConfig::torchvision(backbone, 2);
    config.rpn.straddling = straddling;
    config.rpn.matcher.foreground_iou = 0.5;
    config.rpn.anchors = AnchorConfig {
        sizes: vec![vec![12.0, 20.0, 41.0]],
        aspect_ratios: vec![0.4, 1.0, 3.0],
        rule: if caffe { AnchorRule::Caffe { stride } } else { AnchorRule::Torchvision },
    };
    config
}

/// The largest overlap with any anchor of the grid that is trained on.
fn naive(config: &FasterRcnnConfig, bbox: BBox, image: (usize, usize)) -> f64 {
    let map = config.backbone.map_size(image);
    let anchors = config.rpn.anchors.grid(image, &[map]).unwrap();
    let (height, width) = (image.0 as f64, image.1 as f64);
    let counts = |a: &BBox| {
        config.rpn.straddling == Straddling::Keep || a.x1 >= 0.0 && a.y1 >= 0.0 && a.x2 <= width && a.y2 <= height
    };
    anchors.iter().filter(|a| counts(a)).map(|a| a.iou(bbox)).fold(0.0, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_best_anchor_is_that_of_the_whole_grid(
        [vgg, caffe, ignore] in any::<[bool; 3]>(),
        image in (20usize..90, 20usize..90),
        corners in proptest::collection::vec((0.0..1.0f64, 0.0..1.0f64, 0.02..1.0f64, 0.02..1.0f64), 1..6),
    ) {
        let config = config(vgg, caffe, if ignore { Straddling::Ignore } else { Straddling::Keep });
        let (height, width) = (image.0 as f64, image.1 as f64);
        let boxes: Vec<(BBox, (usize, usize))> = corners
            .into_iter()
            .map(|(x, y, w, h)| (BBox::from_xywh(x * width * (1.0 - w), y * height * (1.0 - h), w * width, h * height), image))
            .collect();
        let fit = config.anchor_fit(&boxes).unwrap();
        let expected: Vec<f64> = boxes.iter().map(|&(bbox, image)| naive(&config, bbox, image)).collect();
        let mean = expected.iter().sum::<f64>() / expected.len() as f64;
        prop_assert!((fit.mean_best_iou - mean).abs() < 1e-12, "{} and {mean}", fit.mean_best_iou);
        prop_assert_eq!(fit.covered, expected.iter().filter(|&&iou| iou >= 0.5).count());
        prop_assert_eq!((fit.boxes, fit.threshold), (expected.len(), 0.5));
    }

    #[test]
    fn proposed_anchors_fit_at_least_as_well(
        caffe: bool,
        boxes in proptest::collection::vec((1.0..300.0f64, 1.0..300.0f64), 1..40),
        (sizes, aspect_ratios) in (1usize..5, 1usize..4),
    ) {
        let config = config(false, caffe, Straddling::Keep);
        let rule = config.rpn.anchors.rule;
        let counts = AnchorCounts { sizes, aspect_ratios };
        let anchors = AnchorConfig::fitting(&boxes, counts, rule).unwrap();
        let (found, ratios) = (&anchors.sizes[0], &anchors.aspect_ratios);
        prop_assert!(found.len() <= sizes && ratios.len() <= aspect_ratios && found.is_sorted() && ratios.is_sorted());
        // The order of the boxes does not matter.
        let turned: Vec<(f64, f64)> = boxes.iter().rev().copied().collect();
        prop_assert_eq!(&anchors, &AnchorConfig::fitting(&turned, counts, rule).unwrap());
        let placed: Vec<(BBox, (usize, usize))> =
            boxes.iter().map(|&(w, h)| (BBox::from_xywh(20.0, 10.0, w, h), (320, 352))).collect();
        let before = config.anchor_fit(&placed).unwrap().mean_best_iou;
        let after = config.with_fitting_anchors(&placed, counts).unwrap().anchor_fit(&placed).unwrap().mean_best_iou;
        prop_assert!(after >= before);
    }
}

#[test]
fn small_boxes_get_small_anchors() {
    // Two kinds of objects, of which the paper's anchors fit neither.
    let boxes: Vec<(BBox, (usize, usize))> = (0..40)
        .map(|i| {
            let (x, y, more) = (f64::from(i) * 7.0, f64::from(i) * 4.0, f64::from(i % 5) * 0.5);
            let (w, h) = if i % 2 == 0 { (16.0 + more, 14.0) } else { (30.0, 60.0 + more) };
            (BBox::from_xywh(x, y, w, h), (300, 400))
        })
        .collect();
    let mut paper = FasterRcnnConfig::small(3);
    paper.rpn.anchors.sizes = vec![vec![128.0, 256.0, 512.0]];
    let fit = paper.anchor_fit(&boxes).unwrap();
    assert!(fit.is_poor() && fit.recall() < 0.1, "{fit}");
    let counts = AnchorCounts { sizes: 2, aspect_ratios: 2 };
    let fitting = paper.with_fitting_anchors(&boxes, counts).unwrap();
    let fit = fitting.anchor_fit(&boxes).unwrap();
    assert!(!fit.is_poor() && fit.mean_best_iou > 0.65, "{fit} with {:?}", fitting.rpn.anchors);
    let sizes = &fitting.rpn.anchors.sizes[0];
    assert!((sizes[0] - 15.5).abs() < 1.0 && (sizes[1] - 42.7).abs() < 1.0, "{sizes:?}");
    // Anchors that fit already stay.
    assert_eq!(fitting.clone().with_fitting_anchors(&boxes, counts).unwrap(), fitting);
}

#[test]
fn boxes_that_are_none_are_refused() {
    let config = FasterRcnnConfig::small(3);
    assert_eq!(config.anchor_fit(&[]).unwrap().recall(), 1.0);
    for bad in [BBox::new(5.0, 5.0, 5.0, 9.0), BBox::new(5.0, 5.0, f64::NAN, 9.0), BBox::new(9.0, 5.0, 1.0, 9.0)] {
        assert!(config.anchor_fit(&[(bad, (64, 64))]).is_err());
        assert!(config.clone().with_fitting_anchors(&[(bad, (64, 64))], AnchorCounts::default()).is_err());
    }
    let rule = AnchorRule::Torchvision;
    assert!(AnchorConfig::fitting(&[], AnchorCounts::default(), rule).is_err());
    assert!(AnchorConfig::fitting(&[(3.0, f64::INFINITY)], AnchorCounts::default(), rule).is_err());
    assert!(AnchorConfig::fitting(&[(3.0, 4.0)], AnchorCounts { sizes: 0, aspect_ratios: 1 }, rule).is_err());
    // An image without a position has no anchor.
    assert_eq!(config.anchor_fit(&[(BBox::new(1.0, 1.0, 4.0, 4.0), (5, 5))]).unwrap().mean_best_iou, 0.0);
}
