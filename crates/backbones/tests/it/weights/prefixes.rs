//! Networks below a prefix: found, named, or told.

use std::collections::BTreeMap;

use sconce_backbones::{
    ResNet, ResNetConfig,
    weights::{ConvertOptions, Prefix, StateDict, WeightsError, convert, load_backbone, read_weights, wanted_names},
};
use sconce_core::{DType, Device, Params, Tensor};

use super::{fixture, flat, names};

const MARKS: [&str; 2] = ["conv1.weight", "layer1.0.conv1.weight"];

fn narrow() -> Params {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let config = ResNetConfig { width: 0.0625, blocks: [1, 2, 1, 1], ..ResNetConfig::resnet18() };
    ResNet::new(&params.scope(), &config).unwrap();
    params
}

/// The tensors of the fixture below each of these prefixes, without its classifier.
fn below(prefixes: &[&str]) -> StateDict {
    let tensors = read_weights(&fixture("basic.safetensors")).unwrap().into_tensors();
    let backbone = tensors.into_iter().filter(|(name, _)| !name.starts_with("fc."));
    let all = backbone.flat_map(|(name, t)| prefixes.iter().map(move |p| (format!("{p}{name}"), t.clone())));
    StateDict::new("file", all.collect())
}

fn without(weights: StateDict, name: &str) -> StateDict {
    weights.without(|other| other == name, "that a test leaves out")
}

#[test]
fn the_files_that_people_have() {
    for file in ["lightly.ckpt", "net-key.pth"] {
        let weights = read_weights(&fixture(&format!("cases/moco-backbone-prefix/{file}"))).unwrap();
        let weights = weights.located(&MARKS, &Prefix::Find).unwrap();
        assert_eq!(names(weights.tensors()), MARKS, "{file}");
    }
    let weights = read_weights(&fixture("cases/moco-backbone-prefix/lightly.ckpt")).unwrap();
    let weights = weights.located(&MARKS, &Prefix::Find).unwrap();
    let told: Vec<String> = weights.passed_over().iter().map(ToString::to_string).collect();
    let left = "`projection_head.layers.0.weight` (a tensor that is not below `backbone.`)";
    assert!(told.iter().any(|told| told == left), "{told:?}");
    // Of a whole network they have two names.
    let weights = read_weights(&fixture("cases/moco-backbone-prefix/lightly.ckpt")).unwrap();
    let error = load_backbone(&narrow(), &weights, &["fc."]).unwrap_err().to_string();
    assert!(
        error.contains("lightly.ckpt: no prefix has all names") && error.contains("`backbone.`: 2 (not `"),
        "{error}"
    );
}

#[test]
fn one_prefix_that_has_all_names_is_found() {
    let expected = flat(below(&[""]).tensor("layer2.1.conv2.weight").unwrap());
    for prefix in ["backbone.", "module.", "student.backbone.", "encoder_q.", "a.b.c.d."] {
        let params = narrow();
        // Beside it a part of another one, and something else.
        let mut tensors = below(&[prefix]).into_tensors();
        let one = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        tensors.insert("other.conv1.weight".to_owned(), one.clone());
        tensors.insert("head.weight".to_owned(), one);
        load_backbone(&params, &StateDict::new("file", tensors), &["fc."]).unwrap();
        assert_eq!(flat(&params.tensors()["layer2.1.conv2.weight"]), expected, "{prefix}");
    }
    // As it is, even where another has the same names.
    load_backbone(&narrow(), &below(&[""]), &["fc."]).unwrap();
    let located = below(&["", "ema."]).located(&wanted_names(&narrow(), &[]), &Prefix::Find).unwrap();
    assert!(located.tensors().contains_key("conv1.weight") && located.tensors().contains_key("ema.conv1.weight"));
}

#[test]
fn several_prefixes_are_told_and_one_is_named() {
    let both = below(&["student.backbone.", "teacher.backbone."]);
    let error = load_backbone(&narrow(), &both, &["fc."]).unwrap_err();
    let message = error.to_string();
    for part in ["file: several prefixes", "`student.backbone.`: ", "`teacher.backbone.`: "] {
        assert!(message.contains(part), "{message}");
    }
    let WeightsError::Prefix { holders, .. } = error else { panic!("{message}") };
    assert!(holders[..2].iter().all(|holder| holder.lacks.is_none()) && holders[2].lacks.is_some());
    let wanted = wanted_names(&narrow(), &["fc."]);
    for named in ["teacher.backbone", "teacher.backbone."] {
        let weights = both.clone().located(&wanted, &Prefix::Named(named.to_owned())).unwrap();
        load_backbone(&narrow(), &weights, &["fc."]).unwrap();
    }
    let error = both.clone().located(&wanted, &Prefix::from(Some("pupil".to_owned()))).unwrap_err().to_string();
    assert!(error.contains("no name begins with `pupil.`") && error.contains("`student.backbone.`"), "{error}");
    // One that lacks a name is none.
    let weights = without(both, "student.backbone.bn1.bias");
    load_backbone(&narrow(), &weights, &["fc."]).unwrap();
    let lacking = without(below(&["student.backbone."]), "student.backbone.bn1.bias");
    let error = load_backbone(&narrow(), &lacking, &["fc."]).unwrap_err().to_string();
    assert!(error.contains("(not `bn1.bias`)"), "{error}");
    assert_eq!(Prefix::from(None), Prefix::Find);
    let settings: Prefix = serde_json::from_str(r#"{"named": "backbone"}"#).unwrap();
    assert_eq!(settings, Prefix::Named("backbone".to_owned()));
}

#[test]
fn a_name_is_matched_whole() {
    let one = || Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    let tensors = ["my_conv1.weight", "conv1.weight.extra", "x.conv1.weight"].map(|name| (name.to_owned(), one()));
    let weights = StateDict::new("file", BTreeMap::from(tensors));
    let holders = weights.holders(&["conv1.weight"]);
    assert_eq!(holders.len(), 1, "{holders:?}");
    assert_eq!((&holders[0].prefix[..], holders[0].n_names), ("x.", 1));
}

#[test]
fn a_conversion_says_what_a_network_lacks_and_what_was_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let output = |name: &str| folder.path().join(name);
    let input = fixture("basic.pth");
    // Whose names are known.
    let mut wanted = wanted_names(&narrow(), &["fc."]);
    wanted.push("layer9.weight".to_owned());
    let options = ConvertOptions { wanted: Some(wanted), ..ConvertOptions::default() };
    let report = convert(&input, &output("a"), &options).unwrap().report;
    assert_eq!(report.lacks, ["layer9.weight"]);
    let told = report.to_string();
    assert!(
        told.contains("the network lacks 1: `layer9.weight`") && told.contains("`optimizer` (a dictionary"),
        "{told}"
    );
    // Whose names are not: a ResNet-18 has two blocks in each layer.
    let report = convert(&input, &output("b"), &ConvertOptions::default()).unwrap().report;
    assert_eq!(report.network.as_deref(), Some("ResNet-18"));
    assert!(report.lacks.iter().all(|name| [".1.", ".downsample."].iter().any(|part| name.contains(part))));
    assert!(!report.lacks.is_empty());
    // Below a prefix, which is given.
    let input = fixture("cases/moco-backbone-prefix/lightly.ckpt");
    let options = ConvertOptions { prefix: Prefix::Named("backbone".to_owned()), ..ConvertOptions::default() };
    let done = convert(&input, &output("c"), &options).unwrap();
    assert_eq!(names(done.weights.tensors()), MARKS);
    assert!(done.report.to_string().contains("not below `backbone.`"), "{}", done.report);
    assert!(
        convert(&input, &output("d"), &ConvertOptions { prefix: Prefix::Named("x".to_owned()), ..options }).is_err()
    );
    assert!(!output("d").exists());
}
