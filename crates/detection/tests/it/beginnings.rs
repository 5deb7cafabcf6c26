//! How the parameters of a detector begin: as those of its reference.

use sconce_backbones::{ResNetConfig, VggClassifier, VggConfig, VggHeadConfig};
use sconce_core::{DType, Device, Params, Tensor};
use sconce_detection::{BackboneConfig, FasterRcnn, FasterRcnnConfig, PredictorInit, VggRegionHead};

/// What a fresh parameter is drawn from.
#[derive(Clone, Copy, Debug)]
enum Drawn {
    Normal(f64),
    /// In ± this.
    Uniform(f64),
    Zeros,
}

/// That a parameter looks drawn so. Tolerances are four standard errors or more of the largest parameters.
#[track_caller]
fn assert_drawn(params: &Params, name: &str, expected: Drawn) {
    let t: &Tensor = &params.tensors()[name];
    let values: Vec<f64> = t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let std = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    let most = values.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let (expected_std, flatness) = match expected {
        Drawn::Normal(std) => (std, 1.0),
        Drawn::Uniform(bound) => (bound / 3f64.sqrt(), 0.632),
        Drawn::Zeros => return assert_eq!(most, 0.0, "{name} is not 0"),
    };
    let error = 5.0 / n.sqrt();
    assert!(mean.abs() < error * expected_std, "{name}: mean {mean} of {expected:?}");
    assert!((std / expected_std - 1.0).abs() < error, "{name}: std {std} of {expected:?}");
    // A normal distribution has tails, a uniform one has none, and reaches its bounds.
    let bound = 3f64.sqrt() * expected_std;
    match flatness {
        1.0 => assert!(n < 300.0 || most > 1.2 * bound, "{name}: {most} is the largest of {expected:?}"),
        _ => assert!(most <= bound && most > (1.0 - 20.0 / n) * bound, "{name}: {most} is the largest of {expected:?}"),
    }
}

fn fresh(config: &FasterRcnnConfig) -> Params {
    let params = Params::new(3, DType::F32, &Device::Cpu);
    FasterRcnn::new(&params.scope(), config).unwrap();
    params
}

/// Fewer channels; the rules stay.
fn small_vgg(head: VggRegionHead) -> BackboneConfig {
    BackboneConfig::Vgg { network: VggConfig { width: 0.125, ..VggConfig::vgg16() }, lower: 6, head }
}

fn assert_rpn(params: &Params) {
    for layer in ["conv.0.0", "cls_logits", "bbox_pred"] {
        assert_drawn(params, &format!("rpn.head.{layer}.weight"), Drawn::Normal(0.01));
        assert_drawn(params, &format!("rpn.head.{layer}.bias"), Drawn::Zeros);
    }
}

#[test]
fn torchvisions_preset_begins_as_torchvision() {
    let network = ResNetConfig { width: 0.25, blocks: [1, 1, 1, 1], ..ResNetConfig::resnet50() };
    for (backbone, n_features) in
        [(BackboneConfig::resnet_c4(network), 512.0), (small_vgg(VggRegionHead::Mlp { hidden: 128 }), 128.0)]
    {
        let params = fresh(&FasterRcnnConfig::torchvision(backbone, 20));
        assert_rpn(&params);
        let bound = 1.0 / f64::sqrt(n_features);
        for layer in ["cls_score", "bbox_pred"] {
            for part in ["weight", "bias"] {
                assert_drawn(&params, &format!("roi_heads.box_predictor.{layer}.{part}"), Drawn::Uniform(bound));
            }
        }
    }
    // `TwoMLPHead` on regions of 7×7 of 64 channels.
    let params = fresh(&FasterRcnnConfig::torchvision(small_vgg(VggRegionHead::Mlp { hidden: 128 }), 20));
    for (layer, n_in) in [("fc6", 64.0 * 49.0), ("fc7", 128.0)] {
        for part in ["weight", "bias"] {
            let bound = 1.0 / f64::sqrt(n_in);
            assert_drawn(&params, &format!("roi_heads.box_head.{layer}.{part}"), Drawn::Uniform(bound));
        }
    }
}

#[test]
fn caffes_rule_begins_predictors_small() {
    let head = VggRegionHead::Classifier { head: VggHeadConfig { hidden: 64, dropout: 0.5 } };
    let caffe = FasterRcnnConfig::faster_rcnn_pytorch(small_vgg(head), 20, 256);
    for config in [caffe, FasterRcnnConfig::small(20)] {
        assert_eq!(config.roi_heads.init, PredictorInit::Caffe);
        let params = fresh(&config);
        assert_rpn(&params);
        for (layer, std) in [("cls_score", 0.01), ("bbox_pred", 0.001)] {
            assert_drawn(&params, &format!("roi_heads.box_predictor.{layer}.weight"), Drawn::Normal(std));
            assert_drawn(&params, &format!("roi_heads.box_predictor.{layer}.bias"), Drawn::Zeros);
        }
    }
}

#[test]
fn vgg_begins_as_torchvisions() {
    let params = Params::new(3, DType::F32, &Device::Cpu);
    let head = VggHeadConfig { hidden: 64, dropout: 0.5 };
    let network = VggConfig { width: 0.125, ..VggConfig::vgg11() };
    VggClassifier::new(&params.scope(), &network, &head, 10).unwrap();
    // Kaiming's normal by the outputs: √(2 / (9 · channels)).
    for (place, channels) in [(0, 8.0), (3, 16.0), (8, 32.0), (18, 64.0)] {
        let std = f64::sqrt(2.0 / (9.0 * channels));
        assert_drawn(&params, &format!("features.{place}.weight"), Drawn::Normal(std));
        assert_drawn(&params, &format!("features.{place}.bias"), Drawn::Zeros);
    }
    for layer in [0, 3, 6] {
        assert_drawn(&params, &format!("classifier.{layer}.weight"), Drawn::Normal(0.01));
        assert_drawn(&params, &format!("classifier.{layer}.bias"), Drawn::Zeros);
    }
    // The same layers on the regions of a detector.
    let head = VggRegionHead::Classifier { head };
    let params = fresh(&FasterRcnnConfig::torchvision(small_vgg(head), 3));
    assert_drawn(&params, "backbone.classifier.0.weight", Drawn::Normal(0.01));
    assert_drawn(&params, "backbone.features.0.bias", Drawn::Zeros);
}

#[test]
fn configurations_that_do_not_say_it_begin_as_they_did() {
    let mut config = serde_json::to_value(FasterRcnnConfig::vgg16(3)).unwrap();
    assert_eq!(config["roi_heads"]["init"], "torchvision");
    config["roi_heads"].as_object_mut().unwrap().remove("init");
    let config: FasterRcnnConfig = serde_json::from_value(config).unwrap();
    assert_eq!(config.roi_heads.init, PredictorInit::Caffe);
}
