//! Stems, widths, refusals, and the depth of the graph.

use sconce_backbones::{Block, ResNet, ResNetConfig, Stem, Vgg, VggClassifier, VggConfig, VggHeadConfig, VggNorm};
use sconce_core::{
    DType, Device, Params, Rng, Tensor, backward,
    nn::{BatchNormKind, Mode},
};

fn build(config: &ResNetConfig) -> sconce_core::Result<(Params, ResNet)> {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let model = ResNet::new(&params.scope(), config)?;
    Ok((params, model))
}

fn images(dims: [usize; 4]) -> Tensor {
    Rng::new(0, "images").normal_tensor((0.0, 1.0), &dims[..], DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn the_cifar_stem_keeps_the_size_and_the_width_scales_every_stage() {
    let config = ResNetConfig {
        in_channels: 1,
        stem: Stem::Cifar,
        width: 0.25,
        block: Block::Basic,
        blocks: [1, 2, 1, 1],
        ..ResNetConfig::resnet18()
    };
    let (params, model) = build(&config).unwrap();
    assert_eq!(params.tensors()["conv1.weight"].dims(), [16, 1, 3, 3]);
    let shapes = model.features(&images([2, 1, 28, 27]), Mode::Train).unwrap().map(|f| f.dims().to_vec());
    assert_eq!(shapes, [[2, 16, 28, 27], [2, 32, 14, 14], [2, 64, 7, 7], [2, 128, 4, 4]].map(Vec::from));
}

#[test]
fn configurations_without_sense_are_refused() {
    let good = ResNetConfig::resnet18();
    for bad in [
        ResNetConfig { in_channels: 0, ..good },
        ResNetConfig { blocks: [2, 0, 2, 2], ..good },
        ResNetConfig { width: 0.0, ..good },
        ResNetConfig { width: f64::NAN, ..good },
        ResNetConfig { width: 1e9, ..good },
        ResNetConfig { groups: 2, ..good },
        ResNetConfig { width_per_group: 128, ..good },
        ResNetConfig { replace_stride_with_dilation: [false, false, true], ..good },
        ResNetConfig { frozen_stages: 6, ..good },
        ResNetConfig { groups: 0, ..ResNetConfig::resnet50() },
        ResNetConfig { groups: usize::MAX, ..ResNetConfig::resnet50() },
        ResNetConfig { width_per_group: usize::MAX, ..ResNetConfig::resnet50() },
        ResNetConfig { width: 0.125, width_per_group: 4, ..ResNetConfig::resnet50() },
    ] {
        assert!(build(&bad).is_err(), "{bad:?}");
    }
    let good = VggConfig::vgg11();
    for bad in [
        VggConfig { in_channels: 0, ..good },
        VggConfig { convolutions: [1, 0, 1, 1, 1], ..good },
        VggConfig { convolutions: [0; 5], ..good },
        VggConfig { frozen_stages: 6, ..good },
        VggConfig { width: f64::INFINITY, ..good },
    ] {
        assert!(Vgg::new(&Params::new(0, DType::F32, &Device::Cpu).scope(), &bad).is_err(), "{bad:?}");
    }
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let head = VggHeadConfig { hidden: 0, dropout: 0.5 };
    assert!(VggClassifier::new(&params.scope(), &VggConfig { width: 0.0625, ..good }, &head, 5).is_err());
}

#[test]
fn a_configuration_says_only_what_is_not_torchvisions_and_nothing_unknown() {
    let old = r#"{"in_channels": 3, "stem": "imagenet", "blocks": [2, 2, 2, 2], "width": 1.0}"#;
    assert_eq!(serde_json::from_str::<ResNetConfig>(old).unwrap(), ResNetConfig::resnet18());
    let caffe = old.replace("imagenet", "caffe").replace('}', r#", "stride_in": "conv1x1", "batch_norm": "frozen"}"#);
    let config: ResNetConfig = serde_json::from_str(&caffe).unwrap();
    assert_eq!(config, ResNetConfig { batch_norm: BatchNormKind::Frozen, ..ResNetConfig::resnet18() }.caffe());
    let unknown = serde_json::from_str::<ResNetConfig>(&old.replace('}', r#", "groop": 2}"#)).unwrap_err();
    assert!(unknown.to_string().contains("groop"), "{unknown}");
    let old = r#"{"in_channels": 3, "convolutions": [2, 2, 3, 3, 3], "frozen_stages": 0}"#;
    assert_eq!(serde_json::from_str::<VggConfig>(old).unwrap(), VggConfig::vgg16());
}

/// The names whose parameters get a gradient, and those of the tensors that change, in a training pass.
fn trained(params: &Params, features: impl FnOnce(&Tensor) -> Tensor) -> (Vec<String>, Vec<String>) {
    let before: Vec<_> = params.tensors().into_iter().map(|(name, t)| (name, t.copy().unwrap())).collect();
    let gradients = backward(&features(&images([2, 3, 33, 32])).sqr().unwrap().sum_all().unwrap()).unwrap();
    let after = params.tensors();
    let bits = |t: &Tensor| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let changed =
        before.iter().filter(|(name, t)| bits(t) != bits(&after[name])).map(|(name, _)| name.clone()).collect();
    let trainable = params.trainable().into_iter();
    (trainable.filter(|(_, v)| gradients.get(v).is_some()).map(|(name, _)| name).collect(), changed)
}

#[test]
fn frozen_stages_are_neither_trained_nor_counted() {
    let small = ResNetConfig { width: 0.0625, blocks: [1; 4], ..ResNetConfig::resnet50() };
    let (params, model) = build(&ResNetConfig { frozen_stages: 2, ..small }).unwrap();
    let (trained_names, changed) = trained(&params, |x| model.pooled(x, Mode::Train).unwrap());
    let is_frozen = |name: &String| ["conv1.", "bn1.", "layer1."].iter().any(|prefix| name.starts_with(prefix));
    assert!(!trained_names.iter().chain(&changed).any(is_frozen), "{trained_names:?} {changed:?}");
    assert_eq!(trained_names.len(), params.trainable().iter().filter(|(name, _)| !is_frozen(name)).count());
    // Mean, variance and counter of the four normalisations of each of three stages.
    assert_eq!(changed.len(), 3 * 4 * 3);
}

#[test]
fn frozen_batch_normalisations_learn_nothing_anywhere() {
    let small = ResNetConfig { width: 0.0625, blocks: [1; 4], ..ResNetConfig::resnet50() };
    let (params, model) = build(&ResNetConfig { batch_norm: BatchNormKind::Frozen, ..small }).unwrap();
    let (names, changed) = trained(&params, |x| model.pooled(x, Mode::Train).unwrap());
    assert!(changed.is_empty(), "{changed:?}");
    // conv1, and four convolutions in each of four stages.
    assert_eq!(names.len(), 1 + 4 * 4, "{names:?}");
    assert!(names.iter().all(|name| name.contains("conv") || name.contains("downsample.0")), "{names:?}");
    let config = VggConfig { width: 0.0625, frozen_stages: 1, batch_norm: VggNorm::Frozen, ..VggConfig::vgg11() };
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let vgg = Vgg::new(&params.scope(), &config).unwrap();
    let (names, changed) = trained(&params, |x| vgg.features(x, Mode::Train).unwrap().pop().unwrap());
    assert!(changed.is_empty(), "{changed:?}");
    assert_eq!(names.len(), 2 * 7, "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("features.0.")), "{names:?}");
}

#[test]
fn a_stage_alone_is_the_stage_in_the_whole() {
    let (_, model) = build(&ResNetConfig { width: 0.0625, blocks: [1; 4], ..ResNetConfig::resnet50() }).unwrap();
    let x = images([1, 3, 33, 32]);
    let whole = model.features(&x, Mode::Eval).unwrap();
    let y = model.layer(0, &model.stem(&x, Mode::Eval).unwrap(), Mode::Eval).unwrap();
    let y = model.layer(1, &y, Mode::Eval).unwrap();
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(values(&y), values(&whole[1]));
    assert!(model.layer(4, &y, Mode::Eval).is_err());
}

#[test]
fn every_parameter_has_a_gradient_from_a_thread_with_a_small_stack() {
    // 50 blocks are deeper than any ResNet-50; Candle walks the graph recursively.
    let config =
        ResNetConfig { stem: Stem::Cifar, width: 0.0625, blocks: [10, 15, 15, 10], ..ResNetConfig::resnet18() };
    let run = move || {
        let (params, model) = build(&config).unwrap();
        let loss = model.pooled(&images([2, 3, 16, 16]), Mode::Train).unwrap().sqr().unwrap().sum_all().unwrap();
        let gradients = backward(&loss).unwrap();
        params.trainable().iter().filter(|(_, v)| gradients.get(v).is_none()).count()
    };
    let without = std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
    assert_eq!(without, 0);
}

#[test]
fn a_vgg_runs_in_parts_and_may_end_early() {
    let params = Params::new(0, DType::F64, &Device::Cpu);
    let config = VggConfig { convolutions: [2, 1, 2, 1, 0], width: 0.0625, ..VggConfig::vgg11() }.with_batch_norm();
    let vgg = Vgg::new(&params.scope(), &config).unwrap();
    let x = Rng::new(0, "x").normal_tensor((0.0, 1.0), (1, 3, 17, 24), DType::F64, &Device::Cpu).unwrap();
    let stages = vgg.features(&x, Mode::Eval).unwrap();
    assert_eq!((config.stages(), stages.len(), stages[3].dims()), (4, 4, &[1, 32, 2, 3][..]));
    for cut in 0..=6 {
        let lower = vgg.convolutions(&x, 0..cut, Mode::Eval).unwrap();
        let upper = vgg.convolutions(&lower, cut..6, Mode::Eval).unwrap();
        assert_eq!(
            upper.flatten_all().unwrap().to_vec1::<f64>().unwrap(),
            stages[3].flatten_all().unwrap().to_vec1::<f64>().unwrap(),
            "{cut}"
        );
    }
    // The pooling belongs to what follows: the third convolution is of the second stage.
    assert_eq!(vgg.convolutions(&x, 0..2, Mode::Eval).unwrap().dims(), [1, 4, 17, 24]);
    assert!(vgg.convolutions(&x, 3..7, Mode::Eval).is_err());
}
