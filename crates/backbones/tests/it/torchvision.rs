//! Networks with weights filled by a rule give torchvision's numbers; `make_torchvision.py` beside this folder wrote them.

use std::collections::BTreeMap;

use sconce_backbones::{ResNet, ResNetClassifier, ResNetConfig, Vgg, VggConfig};
use sconce_core::{DType, Device, Params, Tensor, Tolerance, nn::Mode};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    eval: Pass,
    train: Pass,
    names: BTreeMap<String, Vec<usize>>,
    #[serde(default)]
    running_mean_after_train: Vec<f64>,
}

#[derive(Deserialize)]
struct Pass {
    logits: Vec<Vec<f64>>,
    shapes: Vec<Vec<usize>>,
    means: Vec<f64>,
}

/// A residual network, and what torchvision computes with it.
#[derive(Clone, Copy)]
struct Case {
    config: fn() -> ResNetConfig,
    expected: &'static str,
}

const RESNET18: Case = Case { config: ResNetConfig::resnet18, expected: include_str!("../resnet18.json") };
const RESNET50: Case = Case { config: ResNetConfig::resnet50, expected: include_str!("../resnet50.json") };

impl Case {
    fn expected(&self) -> Expected {
        serde_json::from_str(self.expected).unwrap()
    }

    /// The network, and its backbone alone on the same values.
    fn build(&self, dtype: DType) -> (Params, ResNetClassifier, ResNet) {
        let params = Params::new(0, dtype, &Device::Cpu);
        let config = (self.config)();
        let model = ResNetClassifier::new(&params.scope(), &config, 5).unwrap();
        let backbone = ResNet::new(&params.detached(), &config).unwrap();
        fill_all(&params);
        (params, model, backbone)
    }
}

/// The rule of `make_torchvision.py`.
pub(crate) fn fill(name: &str, shape: &[usize]) -> Tensor {
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

/// Fills every tensor by the rule.
pub(crate) fn fill_all(params: &Params) {
    let filled: BTreeMap<String, Tensor> = params
        .tensors()
        .into_iter()
        .map(|(name, t)| {
            let tensor = if name.ends_with("num_batches_tracked") { t } else { fill(&name, t.dims()) };
            (name, tensor)
        })
        .collect();
    params.load("the rule", &filled, Tolerance::Exact).unwrap();
}

pub(crate) fn shapes(params: &Params) -> BTreeMap<String, Vec<usize>> {
    params.tensors().into_iter().map(|(n, t)| (n, t.dims().to_vec())).collect()
}

#[test]
fn names_and_shapes_are_torchvisions() {
    for case in [RESNET18, RESNET50] {
        assert_eq!(shapes(&case.build(DType::F32).0), case.expected().names);
    }
}

#[track_caller]
fn check(case: Case, mode: Mode, dtype: DType, tolerance: f64) -> Params {
    let (params, model, _) = case.build(dtype);
    let expected = case.expected();
    let pass = if mode == Mode::Train { &expected.train } else { &expected.eval };
    let images = fill("images", &[2, 3, 45, 50]).to_dtype(dtype).unwrap();
    let logits = model.forward(&images, mode).unwrap().to_dtype(DType::F64).unwrap();
    for (ours, expected) in logits.to_vec2::<f64>().unwrap().iter().flatten().zip(pass.logits.iter().flatten()) {
        assert!((ours - expected).abs() <= tolerance * expected.abs().max(1.0), "{ours}, expected {expected}");
    }
    params
}

#[test]
fn logits_are_torchvisions() {
    for case in [RESNET18, RESNET50] {
        check(case, Mode::Eval, DType::F64, 1e-9);
        check(case, Mode::Eval, DType::F32, 1e-4);
    }
    // Not for ResNet-50: matrices that are filled by a sine have rank two, and through fifty layers the statistics of eight such
    // values a channel amplify the rounding even of f64. `cargo xtask bench` compares its training steps with torchvision's.
    check(RESNET18, Mode::Train, DType::F32, 1e-3);
    let params = check(RESNET18, Mode::Train, DType::F64, 1e-9);
    let running: Vec<f64> = params.tensors()["layer4.1.bn2.running_mean"].to_vec1().unwrap();
    for (ours, expected) in running.iter().zip(&RESNET18.expected().running_mean_after_train) {
        assert!((ours - expected).abs() < 1e-9, "{ours}, expected {expected}");
    }
}

#[track_caller]
fn check_stages(stages: &[Tensor], pass: &Pass) {
    assert_eq!(stages.len(), pass.means.len());
    for (i, stage) in stages.iter().enumerate() {
        assert_eq!(stage.dims(), pass.shapes[i]);
        let mean = stage.mean_all().unwrap().to_scalar::<f64>().unwrap();
        assert!((mean - pass.means[i]).abs() < 1e-9, "stage {}: {mean}, expected {}", i + 1, pass.means[i]);
    }
}

#[test]
fn every_stage_is_torchvisions() {
    let images = fill("images", &[2, 3, 45, 50]).to_dtype(DType::F64).unwrap();
    for case in [RESNET18, RESNET50] {
        let (_, _, backbone) = case.build(DType::F64);
        check_stages(&backbone.features(&images, Mode::Eval).unwrap(), &case.expected().eval);
    }
    let params = Params::new(0, DType::F64, &Device::Cpu);
    let config = VggConfig { frozen_stages: 2, ..VggConfig::vgg16() };
    let vgg = Vgg::new(&params.scope(), &config).unwrap();
    fill_all(&params);
    let expected: Expected = serde_json::from_str(include_str!("../vgg16.json")).unwrap();
    assert_eq!(shapes(&params), expected.names);
    let frozen = Vgg::new(&params.detached(), &config).unwrap();
    check_stages(&frozen.features(&images, Mode::Eval).unwrap(), &expected.eval);
    // Filled after it was built: what is frozen must follow, too.
    let stages = vgg.features(&images, Mode::Eval).unwrap();
    check_stages(&stages, &expected.eval);
    let gradients = sconce_core::backward(&stages[4].sum_all().unwrap()).unwrap();
    let trained: Vec<_> =
        params.trainable().into_iter().filter(|(_, v)| gradients.get(v).is_some()).map(|(name, _)| name).collect();
    assert_eq!(trained.len(), 2 * 9);
    assert!(
        trained.iter().all(|name| !["features.0.", "features.2.", "features.5.", "features.7."]
            .iter()
            .any(|f| name.starts_with(f)))
    );
}

#[test]
fn a_file_of_the_backbone_loads_into_the_classifier_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnet18.safetensors");
    let (params, ..) = RESNET18.build(DType::F32);
    params.save(&path).unwrap();
    let other = Params::new(1, DType::F32, &Device::Cpu);
    ResNet::new(&other.scope(), &ResNetConfig::resnet18()).unwrap();
    let report = other.load_file(&path, Tolerance::Any).unwrap();
    assert_eq!((report.loaded.len(), report.missing.len()), (120, 0));
    assert_eq!(report.unexpected, ["fc.bias", "fc.weight"]);
    assert!(other.load_file(&path, Tolerance::Exact).is_err());
}
