//! A detector gives torchvision's losses, gradients and detections; `make_faster_rcnn.py` wrote them.

use std::collections::BTreeMap;

use sconce_backbones::VggConfig;
use sconce_core::{
    DType, Device, Params, Rng, Tensor, Tolerance, backward,
    geometry::{BBox, Object},
    read_tensors,
};
use sconce_detection::{
    AnchorConfig, AnchorRule, BackboneConfig, FasterRcnn, FasterRcnnConfig, ProposalConfig, RoiOperation,
    RoiPoolConfig, Targets, VggRegionHead,
};

fn config() -> FasterRcnnConfig {
    let network = VggConfig { convolutions: [1, 1, 1, 1, 0], width: 0.0625, ..VggConfig::vgg11() };
    let backbone = BackboneConfig::Vgg { network, lower: 2, head: VggRegionHead::Mlp { hidden: 24 } };
    let mut config = FasterRcnnConfig::torchvision(backbone, 4);
    config.rpn.anchors = AnchorConfig {
        sizes: vec![vec![12.0, 24.0]],
        aspect_ratios: vec![0.5, 1.0, 2.0],
        rule: AnchorRule::Torchvision,
    };
    let proposals = ProposalConfig { before_nms: 60, after_nms: 25, nms_iou: 0.7, min_size: 1e-3 };
    (config.rpn.train, config.rpn.eval) = (proposals, ProposalConfig { after_nms: 40, ..proposals });
    // All of them, so that nothing is left to chance.
    config.rpn.sampler.per_image = 100_000;
    config.roi_heads.sampler.per_image = 100_000;
    config.roi_heads.sampler.positive_fraction = 0.5;
    config.roi_heads.pool =
        RoiPoolConfig { size: 4, operation: RoiOperation::Align { sampling_ratio: 2, aligned: false } };
    config
}

type Tensors = BTreeMap<String, Tensor>;

fn reference() -> Tensors {
    read_tensors(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/faster_rcnn.safetensors").as_ref()).unwrap()
}

fn loaded(reference: &Tensors) -> Params {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    FasterRcnn::new(&params.scope(), &config()).unwrap();
    let weights: Tensors =
        reference.iter().filter_map(|(n, t)| Some((n.strip_prefix("param.")?.to_owned(), t.clone()))).collect();
    params.load("the fixture", &weights, Tolerance::Exact).unwrap();
    params
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn rows(t: &Tensor) -> Vec<[f64; 4]> {
    flat(t).as_chunks().0.to_vec()
}

#[track_caller]
fn assert_close(what: &str, ours: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3f64, |most, x| most.max(x.abs()));
    for (i, (a, b)) in ours.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * scale, "{what}, {i}: {a}, expected {b}");
    }
}

#[test]
fn losses_and_gradients_are_torchvisions() {
    let reference = reference();
    // The gradient of a parameter is asked for of a model that owns it, so that the fixture is loaded into a training model.
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let model = FasterRcnn::new(&params.scope(), &config()).unwrap();
    params.load("the fixture", &loaded(&reference).tensors(), Tolerance::Exact).unwrap();

    let labels: Vec<i64> = reference["labels"].to_vec1().unwrap();
    let object = |(row, &label): (&[f64; 4], &i64)| {
        let [x1, y1, x2, y2] = *row;
        Object::new(BBox::new(x1, y1, x2, y2), label as u32)
    };
    // A crowd is not trained on, and there is nothing in the second image.
    let crowd = Object { is_crowd: true, ..Object::new(BBox::new(0.0, 0.0, 88.0, 64.0), 0) };
    let mut first: Vec<Object> = rows(&reference["boxes"]).iter().zip(&labels).map(object).collect();
    first.push(crowd);
    let targets = Targets { sizes: &[(64, 88); 2], objects: &[first, Vec::new()] };
    let losses = model.train(&reference["images"], &targets, &mut Rng::new(0, "sampling")).unwrap();
    for (name, ours) in losses.named() {
        assert_close(name, &flat(ours), &flat(&reference[name]), 2e-5);
    }
    let gradients = backward(&losses.total().unwrap()).unwrap();
    for (name, var) in params.trainable() {
        let ours = gradients.get(&var).unwrap_or_else(|| panic!("no gradient of {name}"));
        assert_close(&name, &flat(ours), &flat(&reference[&format!("grad.{name}")]), 1e-4);
    }
}

#[test]
fn detections_are_torchvisions() {
    let reference = reference();
    let params = loaded(&reference);
    let model = FasterRcnn::new(&params.detached(), &config()).unwrap();
    let detections = model.detect(&reference["images"], &[(64, 88); 2]).unwrap();
    for (image, found) in detections.iter().enumerate() {
        let expected = |what: &str| flat(&reference[&format!("detections.{image}.{what}")]);
        assert!(found.len() >= 20, "{} detections show little", found.len());
        let boxes: Vec<f64> = found.iter().flat_map(|d| d.bbox.xyxy()).collect();
        let labels: Vec<f64> = found.iter().map(|d| f64::from(d.label + 1)).collect();
        assert_close("scores", &found.iter().map(|d| d.score).collect::<Vec<_>>(), &expected("scores"), 1e-5);
        assert_close("labels", &labels, &expected("labels"), 0.0);
        assert_close("boxes", &boxes, &expected("boxes"), 1e-5);
    }
}
