//! The official code's files, written by PyTorch: `tests/fixtures/make.py`.

use std::path::{Path, PathBuf};

use sconce_backbones::ResNet;
use sconce_core::{DType, Device, Params, Rng, Tensor, nn::Mode, read_tensors};
use sconce_engine::WeightFile;
use sconce_scn::{
    ResNetConfig, Scn, ScnConfig, ScnError,
    weights::{Content, convert, load_backbone, load_network, official_key_map},
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn narrow() -> ResNetConfig {
    ResNetConfig { width: 0.0625, ..ResNetConfig::resnet18() }
}

fn network() -> (Params, Scn) {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let model = Scn::new(&params.scope(), &ScnConfig::code(narrow(), 7)).unwrap();
    (params, model)
}

#[track_caller]
fn assert_near(found: &Tensor, expected: &Tensor) {
    assert_eq!(found.dims(), expected.dims());
    let worst = (found - expected).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
    let worst = worst.to_scalar::<f32>().unwrap();
    assert!(worst < 1e-4, "{worst}");
}

#[track_caller]
fn check_official(path: &Path) {
    let expected = read_tensors(&fixture("expected.safetensors")).unwrap();
    let (params, model) = network();
    let report = load_network(&params, &WeightFile::new(path)).unwrap();
    assert_eq!(report.loaded.len(), 124);
    let output = model.forward(&expected["x"], Mode::Eval, &mut Rng::new(0, "")).unwrap();
    assert_near(&output.alpha, &expected["alpha"]);
    assert_near(&output.logits, &expected["logits"]);
}

#[test]
fn the_official_checkpoint_gives_pytorchs_weights_and_logits() {
    check_official(&fixture("official.pth"));
}

#[test]
fn a_converted_checkpoint_gives_the_same_and_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("official.safetensors");
    let converted = convert(&WeightFile::new(fixture("official.pth")), &output).unwrap();
    assert_eq!((converted.content, converted.tensors), (Content::Official, 124));
    check_official(&output);
    let before = std::fs::read(&output).unwrap();
    assert!(convert(&WeightFile::new(fixture("official.pth")), &output).is_err());
    assert_eq!(std::fs::read(&output).unwrap(), before);
}

#[test]
fn a_backbone_trained_on_faces_gives_pytorchs_features_and_leaves_the_head_alone() {
    let expected = read_tensors(&fixture("expected.safetensors")).unwrap();
    let (params, _) = network();
    let head = params.tensors()["fc.weight"].copy().unwrap();
    let report = load_backbone(&params, &WeightFile::new(fixture("face.pth.tar"))).unwrap();
    assert_eq!(report.loaded.len(), 120);
    let backbone = ResNet::new(&params.detached(), &narrow()).unwrap();
    assert_near(&backbone.pooled(&expected["x"], Mode::Eval).unwrap(), &expected["face_features"]);
    assert_near(&params.tensors()["fc.weight"], &head);
}

#[test]
fn a_network_is_also_a_backbone_but_a_backbone_is_no_network() {
    let (params, _) = network();
    assert_eq!(load_backbone(&params, &WeightFile::new(fixture("official.pth"))).unwrap().loaded.len(), 120);
    let error = load_network(&params, &WeightFile::new(fixture("face.pth.tar"))).unwrap_err().to_string();
    assert!(error.contains("face.pth.tar") && error.contains("`alpha.0.bias`"), "{error}");
}

#[test]
fn an_ir50_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ir50.safetensors");
    let one = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    let names = ["input_layer.0.weight", "body.0.res_layer.0.weight", "output_layer.3.weight"];
    let tensors = names.map(|name| (name.to_owned(), one.clone())).into();
    sconce_core::write_tensors(&path, &tensors).unwrap();
    let error = load_backbone(&network().0, &WeightFile::new(path)).unwrap_err();
    assert!(matches!(error, ScnError::Ir50 { .. }) && error.to_string().contains("IR-50"), "{error}");
}

#[test]
fn what_is_no_resnet_is_not_converted() {
    let folder = tempfile::tempdir().unwrap();
    let (path, output) = (folder.path().join("vgg.safetensors"), folder.path().join("out.safetensors"));
    let one = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    let names = ["features.0.weight", "features.2.weight", "classifier.0.weight"];
    sconce_core::write_tensors(&path, &names.map(|name| (name.to_owned(), one.clone())).into()).unwrap();
    let error = convert(&WeightFile::new(path), &output).unwrap_err();
    assert!(matches!(error, ScnError::NoResNet { .. }) && error.to_string().contains("classifier.0.weight"), "{error}");
    assert!(!output.exists());
}

#[test]
fn the_map_leads_back_to_the_official_names() {
    let (map, back) = (official_key_map(), official_key_map().reversed());
    for name in
        ["features.0.weight", "features.1.running_var", "features.6.0.downsample.1.bias", "fc.bias", "alpha.0.weight"]
    {
        let ours = map.rename(name).unwrap();
        assert_eq!(back.rename(&ours).as_deref(), Some(name), "{ours}");
        assert!(!ours.starts_with("features"), "{ours}");
    }
}
