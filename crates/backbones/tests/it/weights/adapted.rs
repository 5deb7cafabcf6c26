//! Weights for another order and scale of colours.

use sconce_backbones::{
    ResNetClassifier, ResNetConfig, Vgg, VggConfig,
    weights::{FoldOffset, InputConvention, StateDict, fold_input, load_backbone, read_weights},
};
use sconce_core::{DType, Device, Params, Rng, Tensor, nn::Mode, ops};

use super::{fixture, flat};

const CONVENTIONS: (&InputConvention, &InputConvention) = (&InputConvention::TORCHVISION, &InputConvention::CAFFE);

/// A picture from 0 to 1, red first.
fn picture() -> Tensor {
    Rng::new(0, "picture").uniform_tensor((0.0, 1.0), (1, 3, 40, 44), DType::F64, &Device::Cpu).unwrap()
}

fn channels(x: &Tensor, of: [(usize, f64, f64); 3]) -> Tensor {
    let channel =
        |(place, factor, term): (usize, f64, f64)| x.narrow(1, place, 1).unwrap().affine(factor, term).unwrap();
    Tensor::cat(&of.map(channel), 1).unwrap()
}

/// The picture as torchvision's networks take it.
fn torchvision() -> Tensor {
    let of = |c: usize, mean: f64, std: f64| (c, 1.0 / std, -mean / std);
    channels(&picture(), [of(0, 0.485, 0.229), of(1, 0.456, 0.224), of(2, 0.406, 0.225)])
}

/// The picture as Caffe's networks take it, with something added.
fn caffe(shift: [f64; 3]) -> Tensor {
    let means = [102.9801, 115.9465, 122.7717];
    channels(&picture(), [0, 1, 2].map(|place| (2 - place, 255.0, shift[place] - means[place])))
}

fn logits(weights: &StateDict, x: &Tensor, mode: Mode) -> Vec<f64> {
    let params = Params::new(0, DType::F64, &Device::Cpu);
    let config = ResNetConfig { width: 0.0625, blocks: [1, 2, 1, 1], ..ResNetConfig::resnet18() };
    let model = ResNetClassifier::new(&params.scope(), &config, 5).unwrap();
    load_backbone(&params, weights, &[]).unwrap();
    flat(&model.forward(x, mode).unwrap())
}

#[track_caller]
fn assert_close(ours: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len());
    for (ours, expected) in ours.iter().zip(expected) {
        assert!((ours - expected).abs() <= tolerance * expected.abs().max(1.0), "{ours}, expected {expected}");
    }
}

#[test]
fn the_same_picture_gives_the_same_logits() {
    let weights = read_weights(&fixture("basic.safetensors")).unwrap();
    let expected = logits(&weights, &torchvision(), Mode::Eval);
    let folded = fold_input(&weights, "conv1.weight", CONVENTIONS, FoldOffset::ToInput).unwrap();
    // The weights are f32, and so are their products with the factors.
    assert_close(&logits(&folded.weights, &caffe(folded.shift), Mode::Eval), &expected, 1e-5);
    // Without the constant it is another input, though nearly the same one.
    let near = logits(&folded.weights, &caffe([0.0; 3]), Mode::Eval);
    assert!(near.iter().zip(&expected).any(|(n, e)| (n - e).abs() > 1e-4), "{near:?}");
    assert_close(&near, &expected, 0.1);
    let shift: Vec<f64> = folded.shift.iter().map(|s| (s * 1e4).round() / 1e4).collect();
    // caffe_mean − 255·mean, blue first.
    assert_eq!(shift, [-0.5499, -0.3335, -0.9033]);
}

#[test]
fn a_constant_in_a_bias_or_a_mean_is_exact_away_from_the_border() {
    let vgg = read_weights(&fixture("vgg.safetensors")).unwrap();
    let folded = fold_input(&vgg, "features.0.weight", CONVENTIONS, FoldOffset::Bias("features.0.bias")).unwrap();
    assert_eq!(folded.shift, [0.0; 3]);
    let first = |weights: &StateDict, x: &Tensor| {
        let params = Params::new(0, DType::F64, &Device::Cpu);
        let model = Vgg::new(&params.scope(), &VggConfig { width: 0.0625, ..VggConfig::vgg11() }).unwrap();
        load_backbone(&params, weights, &["classifier."]).unwrap();
        model.features(x, Mode::Eval).unwrap().swap_remove(0)
    };
    let inside = |y: &Tensor| flat(&y.narrow(2, 1, 38).unwrap().narrow(3, 1, 42).unwrap());
    let (ours, expected) = (first(&folded.weights, &caffe([0.0; 3])), first(&vgg, &torchvision()));
    assert_close(&inside(&ours), &inside(&expected), 1e-5);
    assert!(flat(&ours).iter().zip(flat(&expected)).any(|(o, e)| (o - e).abs() > 1e-4), "the border is the same, too");

    let resnet = read_weights(&fixture("basic.safetensors")).unwrap();
    let mean = FoldOffset::RunningMean("bn1.running_mean");
    let folded = fold_input(&resnet, "conv1.weight", CONVENTIONS, mean).unwrap();
    let first = |weights: &StateDict, x: &Tensor| {
        let t = |name: &str| weights.tensor(name).unwrap().to_dtype(DType::F64).unwrap();
        let params = ops::Conv2dParams { stride: (2, 2), ..ops::Conv2dParams::default() };
        let y = ops::conv2d(x, &t("conv1.weight"), None, &params).unwrap();
        y.broadcast_sub(&t("bn1.running_mean").reshape((1, 4, 1, 1)).unwrap()).unwrap()
    };
    assert_close(&flat(&first(&folded.weights, &caffe([0.0; 3]))), &flat(&first(&resnet, &torchvision())), 1e-5);
}

#[test]
fn there_and_back_is_nothing() {
    let weights = read_weights(&fixture("basic.safetensors")).unwrap();
    let mean = FoldOffset::RunningMean("bn1.running_mean");
    let there = fold_input(&weights, "conv1.weight", CONVENTIONS, mean).unwrap().weights;
    let back = fold_input(&there, "conv1.weight", (CONVENTIONS.1, CONVENTIONS.0), mean).unwrap().weights;
    for name in ["conv1.weight", "bn1.running_mean"] {
        assert_close(&flat(back.tensor(name).unwrap()), &flat(weights.tensor(name).unwrap()), 1e-6);
    }
}

#[test]
fn what_cannot_be_folded_is_named() {
    let weights = read_weights(&fixture("basic.safetensors")).unwrap();
    let says = |conv: &str, offset, what: &str| {
        let message = fold_input(&weights, conv, CONVENTIONS, offset).unwrap_err().to_string();
        assert!(message.contains("basic.safetensors") && message.contains(what), "{message}");
    };
    says("features.0.weight", FoldOffset::ToInput, "`features.0.weight` is not there");
    says("layer1.0.conv1.weight", FoldOffset::ToInput, "has shape [4, 4, 3, 3], expected (C_out, 3, kH, kW)");
    says("conv1.weight", FoldOffset::Bias("conv1.bias"), "`conv1.bias` is not there");
    says("conv1.weight", FoldOffset::RunningMean("fc.bias"), "`fc.bias` has shape [5], expected [4]");
}
