//! Stems, widths, refusals, and the depth of the graph.

use sconce_backbones::{Block, ResNet, ResNetConfig, Stem};
use sconce_core::{DType, Device, Params, Rng, Tensor, backward, nn::Mode};

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
    let config =
        ResNetConfig { in_channels: 1, stem: Stem::Cifar, width: 0.25, block: Block::Basic, blocks: [1, 2, 1, 1] };
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
    ] {
        assert!(build(&bad).is_err(), "{bad:?}");
    }
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
