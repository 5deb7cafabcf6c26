//! Every kind of network gives torchvision's numbers; `make_variants.py` wrote them.

use std::collections::BTreeMap;

use sconce_backbones::{Block, ResNet, ResNetClassifier, ResNetConfig, Vgg, VggClassifier, VggConfig, VggHeadConfig};
use sconce_core::{DType, Device, Params, Rng, Tensor, nn::Mode};
use serde::Deserialize;

use crate::torchvision::{fill, fill_all, shapes};

#[derive(Deserialize)]
struct Variants {
    networks: BTreeMap<String, Expected>,
    parameter_counts: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct Expected {
    logits: Vec<Vec<f64>>,
    shapes: Vec<Vec<usize>>,
    means: Vec<f64>,
    names: BTreeMap<String, Vec<usize>>,
}

fn expected() -> Variants {
    serde_json::from_str(include_str!("../variants.json")).unwrap()
}

#[track_caller]
fn check(name: &str, params: &Params, logits: &Tensor, stages: &[Tensor]) {
    let expected = &expected().networks[name];
    assert_eq!(shapes(params), expected.names, "{name}");
    let close = |ours: f64, expected: f64, what: &str| {
        assert!(
            (ours - expected).abs() <= 1e-9 * expected.abs().max(1.0),
            "{name}, {what}: {ours}, expected {expected}"
        );
    };
    assert_eq!(stages.len(), expected.shapes.len());
    for (i, stage) in stages.iter().enumerate() {
        assert_eq!(stage.dims(), expected.shapes[i], "{name}, stage {}", i + 1);
        close(stage.mean_all().unwrap().to_scalar().unwrap(), expected.means[i], "a stage's mean");
    }
    for (ours, expected) in logits.to_vec2::<f64>().unwrap().iter().flatten().zip(expected.logits.iter().flatten()) {
        close(*ours, *expected, "a logit");
    }
}

fn images() -> Tensor {
    fill("images", &[2, 3, 45, 50]).to_dtype(DType::F64).unwrap()
}

fn resnet(name: &str, config: &ResNetConfig) {
    let params = Params::new(0, DType::F64, &Device::Cpu);
    let model = ResNetClassifier::new(&params.scope(), config, 5).unwrap();
    let backbone = ResNet::new(&params.detached(), config).unwrap();
    fill_all(&params);
    let stages = backbone.features(&images(), Mode::Eval).unwrap();
    check(name, &params, &model.forward(&images(), Mode::Eval).unwrap(), &stages);
}

fn vgg(name: &str, config: &VggConfig) {
    let params = Params::new(0, DType::F64, &Device::Cpu);
    let head = VggHeadConfig { hidden: 12, ..VggHeadConfig::default() };
    let model = VggClassifier::new(&params.scope(), config, &head, 5).unwrap();
    let backbone = Vgg::new(&params.detached(), config).unwrap();
    fill_all(&params);
    let stages = backbone.features(&images(), Mode::Eval).unwrap();
    let logits = model.forward(&images(), Mode::Eval, &mut Rng::new(0, "dropout")).unwrap();
    check(name, &params, &logits, &stages);
}

fn bottlenecks(blocks: [usize; 4]) -> ResNetConfig {
    ResNetConfig { blocks, ..ResNetConfig::resnet50() }
}

#[test]
fn residual_networks_of_basic_blocks() {
    resnet("resnet34", &ResNetConfig::resnet34());
}

#[test]
fn grouped_bottlenecks() {
    let next = ResNetConfig::resnext50_32x4d();
    resnet("resnext_32x4d", &ResNetConfig { blocks: [1, 2, 1, 1], ..next });
    let next = ResNetConfig::resnext101_32x8d();
    resnet("resnext_32x8d", &ResNetConfig { blocks: [1; 4], ..next });
}

#[test]
fn a_dilation_in_place_of_a_stride_begins_in_the_stages_second_block() {
    let dilated =
        |replace_stride_with_dilation, blocks| ResNetConfig { replace_stride_with_dilation, ..bottlenecks(blocks) };
    resnet("dilated_ftt", &dilated([false, true, true], [1, 2, 2, 2]));
    resnet("dilated_tft", &dilated([true, false, true], [1, 1, 2, 2]));
}

#[test]
fn the_layout_of_caffe() {
    resnet("caffe", &bottlenecks([1, 2, 1, 1]).caffe());
}

#[test]
fn vgg_networks_with_their_classifier() {
    vgg("vgg11", &VggConfig::vgg11());
    vgg("vgg13", &VggConfig::vgg13());
}

#[test]
fn vgg_networks_with_batch_normalisation() {
    vgg("vgg11_bn", &VggConfig::vgg11().with_batch_norm());
    vgg("vgg16_bn", &VggConfig::vgg16().with_batch_norm());
    vgg("vgg19_bn", &VggConfig::vgg19().with_batch_norm());
}

#[test]
fn whole_networks_have_as_many_parameters_as_torchvisions() {
    let counts = expected().parameter_counts;
    for (name, config) in [
        ("resnet34", ResNetConfig::resnet34()),
        ("resnet101", ResNetConfig::resnet101()),
        ("resnet152", ResNetConfig::resnet152()),
        ("resnext50_32x4d", ResNetConfig::resnext50_32x4d()),
        ("resnext101_32x8d", ResNetConfig::resnext101_32x8d()),
    ] {
        assert_eq!(parameter_count(&config, 1000), counts[name], "{name}");
    }
}

/// From channels and blocks alone: making 90 million numbers takes longer than it says.
fn parameter_count(config: &ResNetConfig, n_classes: usize) -> usize {
    let count = |blocks| {
        let params = Params::new(0, DType::F32, &Device::Cpu);
        ResNetClassifier::new(&params.scope(), &ResNetConfig { blocks, ..*config }, n_classes).unwrap();
        params.parameter_count()
    };
    assert_eq!(config.block == Block::Basic, config.channels()[3] == 512);
    // Every block of a stage but its first one is the same.
    let first = count([1; 4]);
    let more = |stage: usize| {
        let mut blocks = [1; 4];
        blocks[stage] = 2;
        (config.blocks[stage] - 1) * (count(blocks) - first)
    };
    first + (0..4).map(more).sum::<usize>()
}
