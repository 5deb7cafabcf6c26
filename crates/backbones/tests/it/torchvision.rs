//! ResNet-18 with weights filled by a rule gives torchvision's numbers; `make_resnet18.py` beside this folder wrote them.

use std::collections::BTreeMap;

use sconce_backbones::{ResNet, ResNetClassifier, ResNetConfig};
use sconce_core::{DType, Device, Params, Tensor, Tolerance, nn::Mode};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    eval: Pass,
    train: Pass,
    names: BTreeMap<String, Vec<usize>>,
    running_mean_after_train: Vec<f64>,
}

#[derive(Deserialize)]
struct Pass {
    logits: Vec<Vec<f64>>,
    shapes: Vec<Vec<usize>>,
    means: Vec<f64>,
}

fn expected() -> Expected {
    serde_json::from_str(include_str!("../resnet18.json")).unwrap()
}

/// The rule of `make_resnet18.py`.
fn fill(name: &str, shape: &[usize]) -> Tensor {
    let (centre, scale) = if name.ends_with("running_var") {
        (1.0, 0.5)
    } else if name.ends_with("running_mean") || name.ends_with("bias") {
        (0.0, 0.1)
    } else if shape.len() == 1 {
        (1.0, 0.2)
    } else {
        (0.0, (2.0 / shape[1..].iter().product::<usize>() as f64).sqrt())
    };
    let start = 1.0 + 31.0 * name.len() as f64;
    let values = (0..shape.iter().product::<usize>()).map(|i| (centre + scale * (start + i as f64).sin()) as f32);
    Tensor::from_iter(values, &Device::Cpu).unwrap().reshape(shape).unwrap()
}

/// The network, and its backbone alone on the same values.
fn resnet18(dtype: DType) -> (Params, ResNetClassifier, ResNet) {
    let params = Params::new(0, dtype, &Device::Cpu);
    let config = ResNetConfig::resnet18();
    let model = ResNetClassifier::new(&params.scope(), &config, 5).unwrap();
    let backbone = ResNet::new(&params.detached(), &config).unwrap();
    let filled: BTreeMap<String, Tensor> = params
        .tensors()
        .into_iter()
        .map(|(name, t)| {
            let tensor = if name.ends_with("num_batches_tracked") { t } else { fill(&name, t.dims()) };
            (name, tensor)
        })
        .collect();
    params.load("the rule", &filled, Tolerance::Exact).unwrap();
    (params, model, backbone)
}

#[test]
fn names_and_shapes_are_torchvisions() {
    let (params, ..) = resnet18(DType::F32);
    let ours: BTreeMap<_, _> = params.tensors().into_iter().map(|(n, t)| (n, t.dims().to_vec())).collect();
    assert_eq!(ours, expected().names);
}

#[track_caller]
fn check(pass: &Pass, mode: Mode, dtype: DType, tolerance: f64) -> Params {
    let (params, model, _) = resnet18(dtype);
    let images = fill("images", &[2, 3, 45, 50]).to_dtype(dtype).unwrap();
    let logits = model.forward(&images, mode).unwrap().to_dtype(DType::F64).unwrap();
    for (ours, expected) in logits.to_vec2::<f64>().unwrap().iter().flatten().zip(pass.logits.iter().flatten()) {
        assert!((ours - expected).abs() <= tolerance * expected.abs().max(1.0), "{ours}, expected {expected}");
    }
    params
}

#[test]
fn logits_are_torchvisions() {
    let expected = expected();
    check(&expected.eval, Mode::Eval, DType::F64, 1e-9);
    check(&expected.eval, Mode::Eval, DType::F32, 1e-4);
    let params = check(&expected.train, Mode::Train, DType::F64, 1e-9);
    check(&expected.train, Mode::Train, DType::F32, 1e-3);
    let running: Vec<f64> = params.tensors()["layer4.1.bn2.running_mean"].to_vec1().unwrap();
    for (ours, expected) in running.iter().zip(&expected.running_mean_after_train) {
        assert!((ours - expected).abs() < 1e-9, "{ours}, expected {expected}");
    }
}

#[test]
fn every_stage_is_torchvisions() {
    let (_, _, backbone) = resnet18(DType::F64);
    let images = fill("images", &[2, 3, 45, 50]).to_dtype(DType::F64).unwrap();
    let pass = expected().eval;
    for (i, stage) in backbone.features(&images, Mode::Eval).unwrap().iter().enumerate() {
        assert_eq!(stage.dims(), pass.shapes[i]);
        let mean = stage.mean_all().unwrap().to_scalar::<f64>().unwrap();
        assert!((mean - pass.means[i]).abs() < 1e-9, "layer{}: {mean}, expected {}", i + 1, pass.means[i]);
    }
}

#[test]
fn a_file_of_the_backbone_loads_into_the_classifier_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnet18.safetensors");
    let (params, ..) = resnet18(DType::F32);
    params.save(&path).unwrap();
    let other = Params::new(1, DType::F32, &Device::Cpu);
    ResNet::new(&other.scope(), &ResNetConfig::resnet18()).unwrap();
    let report = other.load_file(&path, Tolerance::Any).unwrap();
    assert_eq!((report.loaded.len(), report.missing.len()), (120, 0));
    assert_eq!(report.unexpected, ["fc.bias", "fc.weight"]);
    assert!(other.load_file(&path, Tolerance::Exact).is_err());
}
