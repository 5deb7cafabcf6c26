//! What is on an image does not depend on what else is in its batch, and images without objects are trained on.

use sconce_backbones::ResNetConfig;
use sconce_core::{
    DType, Device, Params, Rng, Tensor, backward,
    geometry::{BBox, Object},
    nn::Mode,
};
use sconce_detection::{BackboneConfig, FasterRcnn, FasterRcnnConfig, Objectness, ProposalConfig, Targets};

fn images(n: usize, (height, width): (usize, usize)) -> Tensor {
    Rng::new(1, "images").normal_tensor((0.0, 1.0), (n, 3, height, width), DType::F32, &Device::Cpu).unwrap()
}

fn build(config: &FasterRcnnConfig) -> (Params, FasterRcnn) {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let model = FasterRcnn::new(&params.scope(), config).unwrap();
    (params, model)
}

fn value(t: &Tensor) -> f64 {
    t.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}

fn small_resnet() -> BackboneConfig {
    let network = ResNetConfig { width: 0.0625, blocks: [1, 1, 1, 1], ..ResNetConfig::resnet50() };
    BackboneConfig::resnet_c4(network.caffe())
}

/// Configurations of both kinds of trunk with each library's conventions.
fn configurations() -> [FasterRcnnConfig; 3] {
    let mut caffe = FasterRcnnConfig::faster_rcnn_pytorch(small_resnet(), 3, 32);
    caffe.rpn.anchors.sizes = vec![vec![16.0, 32.0]];
    caffe.rpn.hidden = 16;
    let mut torchvision = FasterRcnnConfig::torchvision(small_resnet(), 3);
    torchvision.rpn.anchors.sizes = vec![vec![16.0, 32.0]];
    torchvision.rpn.hidden = 16;
    [FasterRcnnConfig::small(3), torchvision, caffe]
}

#[test]
fn an_image_without_objects_is_trained_on() {
    let objects = [vec![Object::new(BBox::new(10.0, 12.0, 40.0, 44.0), 2)], Vec::new()];
    for config in configurations() {
        let (params, model) = build(&config);
        for n in 1..=2 {
            // The first image alone, both, and the second one alone.
            for first in 0..=2 - n {
                let batch = images(2, (64, 80)).narrow(0, first, n).unwrap();
                let targets = Targets { sizes: &[(64, 80); 2][..n], objects: &objects[first..first + n] };
                let losses = model.train(&batch, &targets, &mut Rng::new(0, "sampling")).unwrap();
                assert!(losses.named().iter().all(|(_, loss)| value(loss).is_finite()));
                let is_alone = n == 1 && first == 1;
                assert_eq!(value(&losses.roi_heads.bbox) == 0.0, is_alone);
                assert_eq!(value(&losses.rpn.bbox) == 0.0, is_alone);
                let gradients = backward(&losses.total().unwrap()).unwrap();
                for (name, var) in params.trainable() {
                    let is_frozen =
                        name.contains("bn") || name.contains("downsample.1") || name.starts_with("backbone.conv1");
                    assert_eq!(
                        gradients.get(&var).is_some(),
                        !is_frozen || config == FasterRcnnConfig::small(3),
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn padding_has_no_anchors_and_no_proposals() {
    for config in configurations() {
        let (params, _) = build(&config);
        let model = FasterRcnn::new(&params.detached(), &config).unwrap();
        let batch = images(2, (96, 128));
        let sizes = [(96, 128), (50, 70)];
        for (image, found) in model.detect(&batch, &sizes).unwrap().iter().enumerate() {
            let (height, width) = sizes[image];
            assert!(!found.is_empty());
            assert!(found.iter().all(|d| d.bbox.x1 >= 0.0 && d.bbox.y1 >= 0.0));
            assert!(found.iter().all(|d| d.bbox.x2 <= width as f64 && d.bbox.y2 <= height as f64), "{image}");
        }
        // Anchors in the padding are neither background nor objects: the loss is that of the image's own ones.
        let features = model.features(&batch, Mode::Eval).unwrap();
        let output = model.rpn.forward(std::slice::from_ref(&features), (96, 128)).unwrap();
        let all = config.rpn.sampler.per_image;
        let inside = output.anchors.iter().filter(|a| (a.x1 + a.x2) / 2.0 < 70.0 && (a.y1 + a.y2) / 2.0 < 50.0).count();
        assert!(inside < output.anchors.len() && all > 0);
    }
}

#[test]
fn the_last_positions_of_a_map_are_the_images() {
    // 40 pixels are three rows of 16, whose last one has its centre on the edge.
    let [_, _, config] = configurations();
    let (_, model) = build(&config);
    let count = |padded: (usize, usize)| {
        let features = model.features(&images(1, padded), Mode::Eval).unwrap();
        let output = model.rpn.forward(std::slice::from_ref(&features), padded).unwrap();
        let all = ProposalConfig { before_nms: 1000, after_nms: 1000, nms_iou: 1.0, min_size: 0.0 };
        let proposals = model.rpn.proposals(&output, &[(40, 64)], &all).unwrap();
        (proposals[0].len(), output.anchors.len())
    };
    let (found, anchors) = count((40, 64));
    assert_eq!((found, anchors), (3 * 4 * 6, 3 * 4 * 6));
    assert_eq!(count((96, 128)), (found, 6 * 8 * 6));
}

#[test]
fn sizes_of_anchors_need_not_be_whole() {
    let mut config = FasterRcnnConfig::faster_rcnn_pytorch(small_resnet(), 3, 32);
    config.rpn.anchors.sizes = vec![vec![33.3, 40.317]];
    config.rpn.hidden = 16;
    let (_, model) = build(&config);
    let features = model.features(&images(1, (64, 64)), Mode::Eval).unwrap();
    let output = model.rpn.forward(std::slice::from_ref(&features), (64, 64)).unwrap();
    let all = ProposalConfig { before_nms: 1000, after_nms: 1000, nms_iou: 1.0, min_size: 0.0 };
    assert_eq!(model.rpn.proposals(&output, &[(64, 64)], &all).unwrap()[0].len(), output.anchors.len());
}

#[test]
fn strides_are_those_of_both_maps() {
    for config in [FasterRcnnConfig::small(3).backbone, BackboneConfig::vgg16(), small_resnet()] {
        let expected = if config == FasterRcnnConfig::small(3).backbone { [2, 8] } else { [4, 16] };
        assert_eq!((config.strides(), config.stride()), (expected, expected[1]));
    }
}

#[test]
fn an_image_without_a_region_is_trained_on() {
    for mut config in configurations() {
        config.rpn.train.min_size = 1e4;
        let (params, model) = build(&config);
        let targets = Targets { sizes: &[(64, 80)], objects: &[Vec::new()] };
        let losses = model.train(&images(1, (64, 80)), &targets, &mut Rng::new(0, "sampling")).unwrap();
        assert_eq!((value(&losses.roi_heads.classifier), value(&losses.roi_heads.bbox)), (0.0, 0.0));
        let gradients = backward(&losses.total().unwrap()).unwrap();
        let conv = params.trainable().into_iter().find(|(name, _)| name == "rpn.head.conv.0.0.weight").unwrap().1;
        assert!(gradients.get(&conv).is_some());
    }
}

#[test]
fn what_the_heads_said_must_be_of_these_regions() {
    let (_, model) = build(&FasterRcnnConfig::small(3));
    let features = model.features(&images(1, (64, 80)), Mode::Eval).unwrap();
    let bbox = BBox::new(4.0, 4.0, 40.0, 40.0);
    let rng = &mut Rng::new(0, "evaluation");
    let said = model.roi_heads.forward(&model.backbone, (&features, None), &[vec![bbox]], (Mode::Eval, rng)).unwrap();
    assert_eq!(model.roi_heads.detections(&said, &[vec![bbox]], &[(64, 80)]).unwrap().len(), 1);
    for (boxes, sizes) in [(vec![vec![bbox; 2]], vec![(64, 80)]), (vec![vec![bbox], Vec::new()], vec![(64, 80)])] {
        let error = model.roi_heads.detections(&said, &boxes, &sizes).unwrap_err().to_string();
        assert!(error.contains("RoiHeads::detections"), "{error}");
    }
}

#[test]
fn a_batch_of_equal_images_finds_in_each_what_it_finds_alone() {
    for config in configurations() {
        let (params, _) = build(&config);
        let model = FasterRcnn::new(&params.detached(), &config).unwrap();
        let batch = images(3, (64, 96));
        let together = model.detect(&batch, &[(64, 96); 3]).unwrap();
        for (i, together) in together.iter().enumerate() {
            let alone = model.detect(&batch.narrow(0, i, 1).unwrap(), &[(64, 96)]).unwrap();
            assert_eq!(alone[0].len(), together.len());
            for (a, b) in alone[0].iter().zip(together) {
                assert!(a.label == b.label && (a.score - b.score).abs() < 1e-5 && a.bbox.iou(b.bbox) > 0.999);
            }
        }
    }
}

#[test]
fn two_logits_say_what_one_says() {
    // With nothing said of the background, the softmax of both logits is the sigmoid of one.
    let sigmoid = FasterRcnnConfig::small(3);
    let mut softmax = sigmoid.clone();
    softmax.rpn.objectness = Objectness::Softmax;
    let ((one, first), (two, second)) = (build(&sigmoid), build(&softmax));
    let mut weights = one.tensors();
    for name in ["rpn.head.cls_logits.weight", "rpn.head.cls_logits.bias"] {
        let object = &weights[name];
        let both = Tensor::cat(&[&object.zeros_like().unwrap(), object], 0).unwrap();
        weights.insert(name.to_owned(), both);
    }
    two.load("the other one", &weights, sconce_core::Tolerance::Exact).unwrap();
    let objects = [vec![Object::new(BBox::new(10.0, 12.0, 40.0, 44.0), 2)]];
    let targets = Targets { sizes: &[(64, 80)], objects: &objects };
    let losses = [first, second].map(|model| {
        let losses = model.train(&images(1, (64, 80)), &targets, &mut Rng::new(0, "sampling")).unwrap();
        losses.named().map(|(_, loss)| value(loss))
    });
    for (a, b) in losses[0].iter().zip(losses[1]) {
        assert!((a - b).abs() < 1e-5, "{losses:?}");
    }
}

#[test]
fn targets_that_cannot_be_learned_are_refused() {
    let (_, model) = build(&FasterRcnnConfig::small(3));
    let batch = images(1, (64, 80));
    let train = |sizes: &[(usize, usize)], objects: &[Vec<Object>]| {
        model
            .train(&batch, &Targets { sizes, objects }, &mut Rng::new(0, "sampling"))
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    let object = |x2: f64, label| vec![Object::new(BBox::new(10.0, 10.0, x2, 30.0), label)];
    train(&[(64, 80)], &[object(30.0, 2)]).unwrap();
    for (what, objects, expected) in [
        ("no extent", object(10.0, 0), "box"),
        ("inverted", object(5.0, 0), "box"),
        ("not a number", object(f64::NAN, 0), "box"),
        ("a class that there is not", object(30.0, 3), "label"),
    ] {
        let error = train(&[(64, 80)], &[objects]).unwrap_err();
        assert!(error.contains(expected), "{what}: {error}");
    }
    assert!(train(&[(64, 80); 2], &[object(30.0, 0)]).is_err());
    assert!(train(&[], &[]).is_err());
}
