//! The official code's files, written by PyTorch: `tests/fixtures/make.py`.

use std::path::{Path, PathBuf};

use sconce_backbones::{Block, ResNet, weights::read_weights};
use sconce_core::{
    DType, Device, Params, Tensor,
    nn::{BatchNormKind, Mode},
    read_tensors,
};
use sconce_engine::WeightFile;
use sconce_moco::{
    Encoder, EncoderConfig, Head, MocoError, ResNetConfig,
    weights::{Content, convert, load_backbone, load_encoder},
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn narrow() -> ResNetConfig {
    ResNetConfig { width: 0.0625, block: Block::Bottleneck, blocks: [1, 2, 1, 1], ..ResNetConfig::resnet18() }
}

fn encoder(head: Head) -> (Params, Encoder) {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let config = EncoderConfig { backbone: narrow(), head, dim: 16 };
    let encoder = Encoder::new(&params.scope(), &config, BatchNormKind::Learning).unwrap();
    (params, encoder)
}

#[track_caller]
fn assert_near(found: &Tensor, expected: &Tensor) {
    assert_eq!(found.dims(), expected.dims());
    let worst = (found - expected).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
    let worst = worst.to_scalar::<f32>().unwrap();
    assert!(worst < 1e-5, "{worst}");
}

#[test]
fn official_checkpoints_give_pytorchs_queries() {
    let expected = read_tensors(&fixture("expected.safetensors")).unwrap();
    for (head, name) in [(Head::Linear, "v1"), (Head::Mlp, "v2")] {
        let (params, encoder) = encoder(head);
        let report = load_encoder(&params, &WeightFile::new(fixture(&format!("moco_{name}.pth.tar")))).unwrap();
        assert_eq!(report.loaded.len(), params.names().len());
        assert_near(&encoder.forward(&expected["x"], Mode::Eval).unwrap(), &expected[name]);
    }
}

#[test]
fn a_head_of_the_other_version_is_an_error_that_names_it() {
    let (params, _) = encoder(Head::Mlp);
    let error = load_encoder(&params, &WeightFile::new(fixture("moco_v1.pth.tar"))).unwrap_err().to_string();
    assert!(error.contains("moco_v1.pth.tar") && error.contains("fc.0.bias"), "{error}");
}

#[test]
fn a_converted_backbone_has_torchvisions_names_and_goes_into_a_backbone() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("backbone.safetensors");
    let converted = convert(&WeightFile::new(fixture("moco_v2.pth.tar")), &output).unwrap();
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let backbone = ResNet::new(&params.scope(), &narrow()).unwrap();
    assert_eq!((converted.content, converted.tensors), (Content::Moco, params.names().len()));
    // As a detector does it.
    sconce_backbones::weights::load_backbone(&params, &read_weights(&output).unwrap(), &[]).unwrap();

    let x = &read_tensors(&fixture("expected.safetensors")).unwrap()["x"];
    let (params, encoder) = encoder(Head::Mlp);
    load_encoder(&params, &WeightFile::new(fixture("moco_v2.pth.tar"))).unwrap();
    assert_near(&backbone.pooled(x, Mode::Eval).unwrap(), &encoder.features(x, Mode::Eval).unwrap());

    let before = std::fs::read(&output).unwrap();
    assert!(convert(&WeightFile::new(fixture("moco_v1.pth.tar")), &output).is_err());
    assert_eq!(std::fs::read(&output).unwrap(), before, "nothing is overwritten");
}

#[test]
fn of_several_networks_the_whole_one_is_converted_and_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let params = Params::new(0, DType::F32, &Device::Cpu);
    ResNet::new(&params.scope(), &ResNetConfig { width: 0.0625, ..ResNetConfig::resnet18() }).unwrap();
    let whole = params.tensors();
    let below = |prefix: &str| whole.iter().map(|(name, t)| (format!("{prefix}{name}"), t.clone())).collect::<Vec<_>>();
    let converted = |name: &str, tensors: Vec<(String, Tensor)>| {
        let (input, output) = (folder.path().join(name), folder.path().join(format!("{name}-out")));
        sconce_core::write_tensors(&input, &tensors.into_iter().collect()).unwrap();
        let converted = convert(&WeightFile::new(input), &output).unwrap();
        (read_tensors(&output).unwrap(), converted.to_string())
    };
    let mut tensors = [below(""), below("student."), below("teacher.")].concat();
    tensors.push(("mask".to_owned(), Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap()));
    tensors.push(("fc.weight".to_owned(), Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap()));
    let (written, said) = converted("beside", tensors);
    assert_eq!(written.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>());
    assert!(said.contains("a tensor beside a ResNet-18"), "{said}");
    let mut tensors = [below("a."), below("b.")].concat();
    tensors.retain(|(name, _)| name != "b.layer4.1.conv2.weight");
    let (written, _) = converted("prefixes", tensors);
    assert_eq!(written.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>());
    // A larger network than any that is known stays whole.
    let mut tensors = below("");
    tensors.push(("layer4.2.conv1.weight".to_owned(), Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap()));
    assert_eq!(converted("larger", tensors).0.len(), whole.len() + 1);
}

#[test]
fn a_backbone_leaves_the_head_alone_and_other_files_are_refused() {
    let (params, _) = encoder(Head::Linear);
    let head = params.tensors()["fc.weight"].copy().unwrap();
    load_backbone(&params, &WeightFile::new(fixture("moco_v2.pth.tar"))).unwrap();
    assert_near(&params.tensors()["fc.weight"], &head);

    let error = load_encoder(&params, &WeightFile::new(fixture("expected.safetensors"))).unwrap_err();
    assert!(matches!(&error, MocoError::NoEncoder { found, .. } if found == "v1, v2, x"), "{error}");
}
