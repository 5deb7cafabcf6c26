//! What lies on a threshold itself is on the side that the references have it on, and what is left out has no effect.

use std::collections::BTreeSet;

use sconce_core::{
    DType, Device, Params, Rng, Tensor, Var, backward,
    geometry::{BBox, Object},
    nn::Mode,
};
use sconce_detection::{
    Detection, FasterRcnn, FasterRcnnConfig, Match, MatcherConfig, Objectness, ProposalConfig, RoiHeadsConfig,
    RoiOutput, Rpn, RpnOutput, SamplerConfig, Shortage, Straddling, Targets,
};

const IMAGE: (usize, usize) = (64, 80);

fn model(change: impl FnOnce(&mut FasterRcnnConfig)) -> FasterRcnn {
    let mut config = FasterRcnnConfig::small(2);
    config.roi_heads.box_weights = [1.0; 4];
    change(&mut config);
    FasterRcnn::new(&Params::new(0, DType::F32, &Device::Cpu).scope(), &config).unwrap()
}

/// What a network says that has nothing to say: zeros of all anchors, of which the gradient can be asked.
fn silent(rpn: &Rpn) -> (RpnOutput, Var) {
    let map = Tensor::zeros((1, 128, 8, 10), DType::F32, &Device::Cpu).unwrap();
    let output = rpn.forward(&[map], IMAGE).unwrap();
    let logits = Var::from_tensor(&output.objectness.zeros_like().unwrap()).unwrap();
    let deltas = output.deltas.zeros_like().unwrap();
    (RpnOutput { objectness: logits.as_tensor().clone(), deltas, ..output }, logits)
}

/// An image that ends where an anchor does, and is padded.
const PADDED: (usize, usize) = (60, 76);

/// The anchors that the loss of objectness learns from, as objects and as background.
fn trained_on(rpn: &Rpn, objects: &[BBox]) -> (Vec<BBox>, Vec<BBox>) {
    let (output, logits) = silent(rpn);
    let objects = [objects.iter().map(|&bbox| Object::new(bbox, 0)).collect()];
    let targets = Targets { sizes: &[PADDED], objects: &objects };
    let losses = rpn.losses(&output, &targets, &mut Rng::new(0, "sampling")).unwrap();
    let gradient = backward(&losses.objectness).unwrap().get(&logits).unwrap().flatten_all().unwrap();
    let gradient: Vec<f32> = gradient.to_vec1().unwrap();
    let of = |wanted: fn(f32) -> bool| {
        let anchors = output.anchors.iter().zip(&gradient);
        anchors.filter(|(_, slope)| wanted(**slope)).map(|(anchor, _)| *anchor).collect()
    };
    (of(|slope| slope < 0.0), of(|slope| slope > 0.0))
}

fn is_inside(a: &BBox) -> bool {
    a.x1 >= 0.0 && a.y1 >= 0.0 && a.x2 <= PADDED.1 as f64 && a.y2 <= PADDED.0 as f64
}

#[test]
fn anchors_that_reach_beyond_the_image_are_trained_on_if_they_are_kept() {
    let rpn = |straddling| {
        let all = SamplerConfig { per_image: 100_000, positive_fraction: 0.5, shortage: Shortage::Fewer };
        model(|config| (config.rpn.straddling, config.rpn.sampler) = (straddling, all)).rpn
    };
    // The first object is best overlapped by an anchor that reaches beyond the edge, the second one by one inside.
    let objects = [BBox::new(0.0, 0.0, 24.0, 24.0), BBox::new(20.0, 20.0, 52.0, 52.0)];
    let (positives, negatives) = trained_on(&rpn(Straddling::Keep), &objects);
    assert!(positives.iter().any(|a| !is_inside(a)) && negatives.iter().any(|a| !is_inside(a)));
    let (positives, negatives) = trained_on(&rpn(Straddling::Ignore), &objects);
    assert!(positives.iter().chain(&negatives).all(is_inside));
    // An anchor may end where the image does.
    assert!(negatives.iter().any(|a| a.x2 == 76.0) && negatives.iter().any(|a| a.y2 == 60.0));
    let best = |bbox: BBox| positives.iter().map(|a| a.iou(bbox)).fold(0.0, f64::max);
    // The first object has the best of what is left.
    assert!(best(objects[0]) > 0.3 && best(objects[1]) > 0.7, "{positives:?}");
}

#[test]
fn an_overlap_of_the_threshold_itself() {
    let object = [BBox::new(0.0, 0.0, 10.0, 8.0)];
    // Overlaps by a half exactly, and by a quarter.
    let boxes = [BBox::new(0.0, 0.0, 10.0, 4.0), BBox::new(0.0, 0.0, 5.0, 4.0)];
    let matches = |foreground_iou, background_iou| {
        let config = MatcherConfig { foreground_iou, background_iou, best_for_each_object: false };
        config.match_boxes(&boxes, &object)
    };
    assert_eq!(matches(0.5, 0.25), [Match::Object(0), Match::Ignored]);
    assert_eq!(matches(0.5, 0.5), [Match::Object(0), Match::Background]);
    assert_eq!(matches(0.6, 0.5), [Match::Ignored, Match::Background]);
    assert_eq!(matches(0.6, 0.6), [Match::Background; 2]);
}

/// What the heads make of regions, given the logit of each region's first class; that of the others is 0.
fn detections(boxes: &[BBox], logits: &[f32], change: impl FnOnce(&mut RoiHeadsConfig)) -> Vec<Detection> {
    let heads = model(|config| change(&mut config.roi_heads)).roi_heads;
    let rows: Vec<f32> = logits.iter().flat_map(|&logit| [0.0, logit, f32::NEG_INFINITY]).collect();
    let output = RoiOutput {
        features: Tensor::zeros((boxes.len(), 1), DType::F32, &Device::Cpu).unwrap(),
        logits: Tensor::from_vec(rows, (boxes.len(), 3), &Device::Cpu).unwrap(),
        deltas: Tensor::zeros((boxes.len(), 12), DType::F32, &Device::Cpu).unwrap(),
    };
    heads.detections(&output, &[boxes.to_vec()], &[IMAGE]).unwrap().remove(0)
}

#[test]
fn a_score_of_the_threshold_itself_is_no_detection() {
    let boxes = [BBox::new(0.0, 0.0, 16.0, 8.0)];
    let with = |min_score| detections(&boxes, &[1.0], |config| config.min_score = min_score);
    let score = with(0.0)[0].score;
    assert!((score - 0.731).abs() < 1e-3);
    assert!(with(score).is_empty());
    assert_eq!(with(score.next_down()).len(), 1);
}

#[test]
fn two_detections_may_overlap_by_the_threshold_itself() {
    let boxes = [BBox::new(0.0, 0.0, 16.0, 8.0), BBox::new(0.0, 0.0, 16.0, 4.0)];
    let with = |nms_iou| detections(&boxes, &[1.0, 2.0], |config| config.nms_iou = nms_iou);
    assert_eq!(with(0.5).len(), 2);
    let kept = with(0.49);
    assert_eq!((kept.len(), kept[0].bbox), (1, boxes[1]));
}

#[test]
fn limits_of_detections_include_themselves() {
    let boxes = [BBox::new(0.0, 0.0, 16.0, 8.0), BBox::new(30.0, 30.0, 50.0, 60.0), BBox::new(0.0, 20.0, 8.0, 32.0)];
    let with = |most, size| {
        let found = detections(&boxes, &[1.0, 3.0, 2.0], |config| {
            (config.max_detections, config.min_size) = (most, size);
        });
        found.iter().map(|d| d.bbox).collect::<Vec<_>>()
    };
    assert_eq!(with(3, 8.0), [boxes[1], boxes[2], boxes[0]]);
    assert_eq!(with(2, 8.0), [boxes[1], boxes[2]]);
    assert_eq!(with(3, 8.001), [boxes[1]]);
}

#[test]
fn limits_of_proposals_include_themselves() {
    let rpn = model(|config| config.rpn.objectness = Objectness::Sigmoid).rpn;
    let (output, _) = silent(&rpn);
    let n = output.anchors.len();
    let proposals = |before_nms, after_nms, min_size| {
        let config = ProposalConfig { before_nms, after_nms, nms_iou: 1.0, min_size };
        rpn.proposals(&output, &[IMAGE], &config).unwrap().remove(0)
    };
    assert_eq!(proposals(n, n, 0.0).len(), n);
    assert_eq!(proposals(n - 1, n, 0.0).len(), n - 1);
    assert_eq!(proposals(n, 5, 0.0).len(), 5);
    // Clipped to the image, the smallest anchors at its corner are 12 pixels wide.
    let least = proposals(n, n, 0.0).iter().map(|p| p.bbox.width().min(p.bbox.height())).fold(f64::INFINITY, f64::min);
    assert_eq!(proposals(n, n, least).len(), n);
    assert!(proposals(n, n, least + 1e-9).len() < n);
}

#[test]
fn a_sampler_takes_up_to_its_limit() {
    let matches: Vec<Match> = (0..10).map(Match::Object).chain(vec![Match::Background; 30]).collect();
    for (per_image, positive_fraction, expected) in [
        (16, 0.25, (4, 12)),
        // A share of a box is none.
        (10, 0.25, (2, 8)),
        (40, 0.25, (10, 30)),
        (41, 0.25, (10, 30)),
        (20, 1.0, (10, 10)),
        (8, 1.0, (8, 0)),
        (8, 0.0, (0, 8)),
    ] {
        let config = SamplerConfig { per_image, positive_fraction, shortage: Shortage::Fewer };
        let sample = config.sample(&matches, &mut Rng::new(0, "sampling"));
        assert_eq!((sample.positives.len(), sample.negatives.len()), expected, "{config:?}");
        let places: BTreeSet<usize> = sample.positives.iter().chain(&sample.negatives).copied().collect();
        assert_eq!(places.len(), expected.0 + expected.1, "a box twice");
    }
    // Where all are taken nothing is drawn, so that what is drawn next does not depend on it.
    let config = SamplerConfig { per_image: 40, positive_fraction: 0.25, shortage: Shortage::Fewer };
    let mut rng = Rng::new(0, "sampling");
    config.sample(&matches, &mut rng);
    assert_eq!(rng.below(1 << 40), Rng::new(0, "sampling").below(1 << 40));
}

#[test]
fn an_anchor_belongs_to_the_image_in_which_its_position_begins() {
    let rpn = model(|_| {}).rpn;
    let (output, _) = silent(&rpn);
    let all = ProposalConfig { before_nms: 10_000, after_nms: 10_000, nms_iou: 1.0, min_size: 0.0 };
    // Positions stand every 8 pixels, each with three anchors; one more begins in the 65th pixel.
    for (size, positions) in
        [((64, 80), 80), ((64, 72), 72), ((64, 73), 80), ((56, 80), 70), ((57, 80), 80), ((1, 1), 1)]
    {
        let found = rpn.proposals(&output, &[size], &all).unwrap().remove(0);
        assert_eq!(found.len(), 3 * positions, "{size:?}");
    }
    assert!(
        model(|_| {}).features(&Tensor::zeros((1, 3, 64, 80), DType::F32, &Device::Cpu).unwrap(), Mode::Eval).is_ok()
    );
}
