//! Networks of real key names in every form give PyTorch's logits.

use std::{collections::BTreeMap, path::Path};

use sconce_backbones::{
    ResNetClassifier, ResNetConfig, VggClassifier, VggConfig, VggHeadConfig,
    weights::{
        ConvertOptions, Extent, KeyMap, Rule, StateDict, Unmatched, WeightsError, convert, load_backbone, read_weights,
    },
};
use sconce_core::{DType, Device, Params, Rng, Tensor, nn::Mode, read_tensors};

use super::{fixture, flat, names};
use crate::torchvision::fill;

fn images() -> Tensor {
    (fill("images", &[2, 3, 64, 64]) * 100.0).unwrap()
}

/// The logits of the network that is called so, with the weights in a file.
fn logits(network: &str, path: &Path) -> Vec<f64> {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let narrow = ResNetConfig { width: 0.0625, blocks: [1, 2, 1, 1], ..ResNetConfig::resnet18() };
    let weights = read_weights(path).unwrap();
    let load = || load_backbone(&params, &weights, &[]).unwrap();
    let y = match network {
        "vgg" => {
            let (config, head) =
                (VggConfig { width: 0.0625, ..VggConfig::vgg11() }, VggHeadConfig { hidden: 12, dropout: 0.5 });
            let model = VggClassifier::new(&params.scope(), &config, &head, 5).unwrap();
            load();
            model.forward(&images(), Mode::Eval, &mut Rng::new(0, "dropout"))
        }
        _ => {
            let block = if network == "basic" { narrow.block } else { ResNetConfig::resnet50().block };
            let model = ResNetClassifier::new(&params.scope(), &ResNetConfig { block, ..narrow }, 5).unwrap();
            load();
            model.forward(&images(), Mode::Eval)
        }
    };
    flat(&y.unwrap())
}

#[track_caller]
fn check(network: &str, path: &Path) {
    let expected: BTreeMap<String, Vec<Vec<f64>>> =
        serde_json::from_str(include_str!("../../fixtures/expected.json")).unwrap();
    let ours = logits(network, path);
    let expected = expected[network].concat();
    assert_eq!(ours.len(), expected.len());
    for (ours, expected) in ours.iter().zip(&expected) {
        let close = (ours - expected).abs() <= 1e-4 * expected.abs().max(1.0);
        assert!(close, "{}: {ours}, expected {expected}", path.display());
    }
}

#[test]
fn every_form_of_every_network_gives_pytorchs_logits() {
    for network in ["basic", "bottleneck", "vgg"] {
        for form in [".safetensors", ".pth", "-legacy.pth"] {
            check(network, &fixture(&format!("{network}{form}")));
        }
    }
}

#[test]
fn all_forms_hold_the_same_numbers() {
    for network in ["basic", "bottleneck", "vgg"] {
        let plain = read_weights(&fixture(&format!("{network}.safetensors"))).unwrap();
        for form in [".pth", "-legacy.pth"] {
            let other = read_weights(&fixture(&format!("{network}{form}"))).unwrap();
            let counted = |name: &&&str| !name.ends_with("num_batches_tracked") || network != "bottleneck";
            let (ours, theirs) = (names(other.tensors()), names(plain.tensors()));
            assert_eq!(
                ours.iter().filter(counted).collect::<Vec<_>>(),
                theirs.iter().filter(counted).collect::<Vec<_>>()
            );
            for (name, tensor) in other.tensors() {
                let expected = &plain.tensors()[name];
                assert_eq!((tensor.dims(), flat(tensor)), (expected.dims(), flat(expected)), "{network}{form}: {name}");
            }
        }
    }
}

#[test]
fn a_checkpoint_can_be_read_whole() {
    let all = StateDict::read(&fixture("basic.pth"), Extent::Everything).unwrap();
    assert_eq!(flat(all.tensor("best_acc1").unwrap()), [63.5]);
    assert!(all.tensors().contains_key("optimizer.state.0.momentum_buffer"), "{:?}", names(all.tensors()));
    let model = all.below("state_dict.module.");
    assert_eq!(model.tensor("conv1.weight").unwrap().dims(), [4, 3, 7, 7]);
    let missing = model.tensor("conv2.weight").unwrap_err().to_string();
    assert!(missing.contains("basic.pth") && missing.contains("`conv2.weight` is not there"), "{missing}");
}

#[test]
fn any_form_becomes_safetensors_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    for (network, form) in
        [("basic", ".pth"), ("bottleneck", "-legacy.pth"), ("vgg", "-legacy.pth"), ("vgg", ".safetensors")]
    {
        let output = folder.path().join(format!("{network}{form}.safetensors"));
        let written = convert(&fixture(&format!("{network}{form}")), &output, &ConvertOptions::default()).unwrap();
        assert_eq!(names(&read_tensors(&output).unwrap()), names(written.weights.tensors()));
        assert_eq!(written.report.written, written.weights.tensors().len());
        check(network, &output);
    }
    let output = folder.path().join("there");
    std::fs::write(&output, "mine").unwrap();
    let error = convert(&fixture("vgg.pth"), &output, &ConvertOptions::default()).unwrap_err();
    assert!(matches!(&error, WeightsError::Exists { path } if *path == output), "{error}");
    assert_eq!(std::fs::read(&output).unwrap(), b"mine");
    let gone = folder.path().join("no/folder");
    assert!(convert(&fixture("vgg.pth"), &gone, &ConvertOptions::default()).is_err());
    let half = folder.path().join("half");
    assert!(convert(&fixture("expected.json"), &half, &ConvertOptions::default()).is_err());
    assert!(!half.exists());
}

#[test]
fn a_conversion_renames() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("renamed.safetensors");
    let map = KeyMap::new([Rule::prefix("features.0", "stem")], Unmatched::Drop);
    let options = ConvertOptions { map, ..ConvertOptions::default() };
    convert(&fixture("vgg-legacy.pth"), &output, &options).unwrap();
    assert_eq!(names(&read_tensors(&output).unwrap()), ["stem.bias", "stem.weight"]);
}

#[test]
fn what_stands_around_tensors_is_passed_over_and_a_small_file_may_expand_its_numbers() {
    for file in ["around.pth", "around-legacy.pth"] {
        let weights = read_weights(&fixture(file)).unwrap();
        assert_eq!(names(weights.tensors()), ["tagged", "wide"], "{file}");
        assert_eq!(flat(weights.tensor("tagged").unwrap()), [1.0, 2.0]);
        let row: Vec<f64> = (0..20).map(f64::from).collect();
        assert_eq!(flat(weights.tensor("wide").unwrap()), row.repeat(30));
    }
}

#[test]
fn weights_that_are_not_finite_are_named_before_a_model_has_them() {
    let params = || {
        let params = Params::new(0, DType::F32, &Device::Cpu);
        params.scope().buffer("a.weight", 3, 0.5, DType::F32).unwrap();
        params.scope().buffer("b.running_var", 3, 0.5, DType::F32).unwrap();
        params
    };
    for (name, value) in
        [("a.weight", f64::NAN), ("b.running_var", f64::INFINITY), ("b.running_var", f64::NEG_INFINITY)]
    {
        for dtype in [DType::F32, DType::F64, DType::F16] {
            let mut tensors = params().tensors();
            let bad = Tensor::new(&[1.0, value, 2.0], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            tensors.insert(name.to_owned(), bad);
            let model = params();
            let error = load_backbone(&model, &StateDict::new("w.pth", tensors), &[]).unwrap_err();
            let expected = format!("w.pth: `{name}` holds {value}, expected finite numbers");
            assert_eq!(error.to_string(), expected);
            assert_eq!(flat(&model.tensors()["a.weight"]), [0.5; 3]);
        }
    }
    // Large ones are numbers, and so is what a head of the file has.
    let mut tensors = params().tensors();
    tensors.insert("a.weight".to_owned(), Tensor::new(&[1e300, f64::MIN_POSITIVE, -0.0], &Device::Cpu).unwrap());
    tensors.insert("fc.bias".to_owned(), Tensor::new(&[f32::NAN], &Device::Cpu).unwrap());
    assert!(load_backbone(&params(), &StateDict::new("w.pth", tensors), &["fc."]).is_ok());
}
