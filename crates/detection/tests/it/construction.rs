//! Parts that do not fit each other are refused before anything is built.

use sconce_backbones::{ResNetConfig, VggConfig};
use sconce_core::{DType, Device, Error, Params, Rng, Tensor, nn::Mode};
use sconce_detection::{
    AnchorConfig, AnchorRule, BackboneConfig, BoxConvention, FasterRcnn, FasterRcnnConfig, RoiHeads, Targets,
    VggRegionHead,
};

fn build(config: &FasterRcnnConfig) -> Result<(Params, FasterRcnn), Error> {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let model = FasterRcnn::new(&params.scope(), config);
    if model.is_err() {
        assert!(params.names().is_empty(), "parameters were built before it was refused");
    }
    model.map(|model| (params, model))
}

fn vgg(convolutions: [usize; 5]) -> BackboneConfig {
    let network = VggConfig { convolutions, width: 0.0625, ..VggConfig::vgg11() };
    BackboneConfig::Vgg { network, lower: 2, head: VggRegionHead::Mlp { hidden: 8 } }
}

fn resnet(dilated: [bool; 3]) -> BackboneConfig {
    let network = ResNetConfig { width: 0.0625, blocks: [1, 1, 1, 1], ..ResNetConfig::resnet50() };
    BackboneConfig::ResNet { network: ResNetConfig { replace_stride_with_dilation: dilated, ..network } }
}

/// A detector whose anchors stand every `stride` pixels.
fn every(backbone: BackboneConfig, stride: usize) -> FasterRcnnConfig {
    let mut config = FasterRcnnConfig::small(3);
    config.backbone = backbone;
    config.rpn.anchors.rule = AnchorRule::Caffe { stride };
    config
}

#[test]
fn the_stride_of_anchors_is_that_of_the_trunk() {
    for (backbone, stride) in [
        (vgg([1, 1, 1, 1, 1]), 16),
        (vgg([1, 1, 1, 1, 0]), 8),
        (vgg([1, 1, 1, 0, 0]), 4),
        (resnet([false, false, false]), 16),
        (resnet([false, true, false]), 8),
        (resnet([true, true, false]), 4),
    ] {
        assert_eq!(backbone.stride(), stride);
        build(&every(backbone.clone(), stride)).unwrap();
        for other in [1, stride / 2, stride - 1, stride + 1, 2 * stride] {
            let config = every(backbone.clone(), other);
            let error = build(&config).unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{error}");
            let error = error.to_string();
            assert!(error.contains("stride") && error.contains(&format!("{stride}, the pixels")), "{error}");
            assert!(config.validate().is_err());
        }
        // torchvision's rule takes its steps from the map.
        let mut config = every(backbone, 1);
        config.rpn.anchors.rule = AnchorRule::Torchvision;
        build(&config).unwrap();
    }
}

#[test]
fn a_map_has_the_size_that_is_foreseen() {
    for backbone in
        [vgg([1, 1, 1, 1, 1]), vgg([1, 1, 1, 0, 0]), resnet([false, false, false]), resnet([false, true, false])]
    {
        let stride = backbone.stride();
        let (_, model) = build(&every(backbone.clone(), stride)).unwrap();
        for image in [(64, 64), (65, 79), (47, 97), (63, 33)] {
            let images = Tensor::zeros((1, 3, image.0, image.1), DType::F32, &Device::Cpu).unwrap();
            let (_, _, rows, columns) = model.features(&images, Mode::Eval).unwrap().dims4().unwrap();
            assert_eq!((rows, columns), backbone.map_size(image), "{image:?} of {backbone:?}");
            model.detect(&images, &[image]).unwrap();
        }
    }
}

#[test]
fn what_the_classifier_of_vgg_takes_is_seven_by_seven() {
    let mut config = FasterRcnnConfig::vgg16(3);
    config.roi_heads.pool.size = 4;
    let error = build(&config).unwrap_err().to_string();
    assert!(error.contains("roi_heads.pool.size") && error.contains('7'), "{error}");
}

#[test]
fn heads_need_features_and_a_stride() {
    let config = FasterRcnnConfig::small(3).roi_heads;
    for regions in [(0, 8), (16, 0)] {
        let params = Params::new(0, DType::F32, &Device::Cpu);
        assert!(RoiHeads::new(&params.scope(), &config, regions, BoxConvention::Continuous).is_err());
    }
}

#[test]
fn what_is_said_must_be_of_all_anchors() {
    let (_, model) = build(&FasterRcnnConfig::small(3)).unwrap();
    let images = Tensor::zeros((2, 3, 64, 80), DType::F32, &Device::Cpu).unwrap();
    let features = model.features(&images, Mode::Eval).unwrap();
    let good = model.rpn.forward(std::slice::from_ref(&features), (64, 80)).unwrap();
    // Of another image: its map has another stride.
    assert!(model.rpn.forward(std::slice::from_ref(&features), (128, 160)).is_err());
    let sizes = [(64, 80); 2];
    let objects = [Vec::new(), Vec::new()];
    let targets = Targets { sizes: &sizes, objects: &objects };
    let mut fewer = good.clone();
    fewer.anchors.pop();
    let mut other = good.clone();
    other.deltas = other.deltas.narrow(1, 0, 5).unwrap();
    let mut one = good.clone();
    one.objectness = one.objectness.narrow(0, 0, 1).unwrap();
    let mut ends = good.clone();
    ends.ends = vec![good.anchors.len() - 1];
    for (output, is_good) in [(good, true), (fewer, false), (other, false), (one, false), (ends, false)] {
        let losses = model.rpn.losses(&output, &targets, &mut Rng::new(0, "sampling"));
        let proposals = model.rpn.proposals(&output, &sizes, &model.rpn.config().eval);
        assert_eq!((losses.is_ok(), proposals.is_ok()), (is_good, is_good));
    }
}

#[test]
fn anchors_alone_know_their_stride() {
    let config = AnchorConfig::faster_rcnn(AnchorRule::Caffe { stride: 8 });
    let error = config.grid((320, 480), &[(20, 30)]).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }) && error.to_string().contains("20×30"), "{error}");
}
