//! What is on an image does not depend on what else is in its batch, and images without objects are trained on.

use sconce_backbones::ResNetConfig;
use sconce_core::{
    DType, Device, Params, Rng, Tensor, backward,
    geometry::{BBox, Object},
    nn::Mode,
};
use sconce_detection::{BackboneConfig, FasterRcnn, FasterRcnnConfig, Objectness, Targets};

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
