//! What fits a model and what does not.

use std::collections::BTreeMap;

use sconce_backbones::{
    ResNet, ResNetClassifier, ResNetConfig, Vgg, VggConfig,
    weights::{KeyMap, Rule, StateDict, Unmatched, WeightsError, load_backbone, read_weights},
};
use sconce_core::{DType, Device, Error, LoadReport, Params, Tensor};

use super::{fixture, flat, names};

fn narrow() -> ResNetConfig {
    ResNetConfig { width: 0.0625, blocks: [1, 2, 1, 1], ..ResNetConfig::resnet18() }
}

fn params(build: impl FnOnce(&sconce_core::Scope)) -> Params {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    build(&params.scope());
    params
}

#[track_caller]
fn misfit(params: &Params, weights: &StateDict, head: &[&str]) -> (LoadReport, String) {
    let before: BTreeMap<_, _> = params.tensors().into_iter().map(|(name, t)| (name, flat(&t))).collect();
    let error = load_backbone(params, weights, head).unwrap_err();
    let message = error.to_string();
    let WeightsError::Core(Error::Load { report, .. }) = error else { panic!("{message}") };
    let after: BTreeMap<_, _> = params.tensors().into_iter().map(|(name, t)| (name, flat(&t))).collect();
    assert!(before == after, "the model changed");
    (*report, message)
}

#[test]
fn a_backbone_takes_everything_but_the_classifier() {
    let weights = read_weights(&fixture("basic.pth")).unwrap();
    let backbone = params(|scope| drop(ResNet::new(scope, &narrow()).unwrap()));
    let report = load_backbone(&backbone, &weights, &["fc."]).unwrap();
    assert_eq!((report.loaded.len(), report.missing.len(), report.unexpected.len()), (backbone.names().len(), 0, 0));
    // A model with a head of another size keeps it.
    let classifier = params(|scope| drop(ResNetClassifier::new(scope, &narrow(), 7).unwrap()));
    let before = flat(&classifier.tensors()["fc.weight"]);
    let report = load_backbone(&classifier, &weights, &["fc."]).unwrap();
    assert_eq!(report.missing, ["fc.bias", "fc.weight"]);
    assert_eq!(flat(&classifier.tensors()["fc.weight"]), before);
    assert_eq!(flat(&classifier.tensors()["conv1.weight"]), flat(weights.tensor("conv1.weight").unwrap()));
}

#[test]
fn a_missing_counter_is_no_fault_but_anything_else_is_named() {
    let bottleneck = ResNetConfig { block: ResNetConfig::resnet50().block, ..narrow() };
    let backbone = params(|scope| drop(ResNet::new(scope, &bottleneck).unwrap()));
    let old = read_weights(&fixture("bottleneck-legacy.pth")).unwrap();
    let report = load_backbone(&backbone, &old, &["fc."]).unwrap();
    assert!(!report.missing.is_empty() && report.missing.iter().all(|name| name.ends_with("num_batches_tracked")));

    let mut tensors = old.into_tensors();
    tensors.remove("layer3.0.bn2.running_var");
    let lacking = StateDict::new("lacking.pth", tensors.clone());
    let (report, message) = misfit(&backbone, &lacking, &["fc."]);
    assert_eq!(report.missing, ["layer3.0.bn2.running_var"]);
    assert!(message.contains("lacking.pth") && message.contains("`layer3.0.bn2.running_var`"), "{message}");

    let (report, message) = misfit(&backbone, &StateDict::new("x", tensors), &[]);
    assert_eq!(report.unexpected, ["fc.bias", "fc.weight"]);
    assert!(message.contains("2 unexpected (`fc.bias`"), "{message}");
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both() {
    let wide = params(|scope| {
        drop(Vgg::new(scope, &VggConfig { in_channels: 4, width: 0.0625, ..VggConfig::vgg11() }).unwrap())
    });
    let weights = read_weights(&fixture("vgg-legacy.pth")).unwrap();
    let (report, message) = misfit(&wide, &weights, &["classifier."]);
    assert_eq!(report.wrong_shape.len(), 1);
    assert!(message.contains("`features.0.weight` has shape [4, 3, 3, 3], expected [4, 4, 3, 3]"), "{message}");
}

fn tensors(names: &[&str]) -> StateDict {
    let one = |name: &&str| ((*name).to_owned(), Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap());
    StateDict::new("file", names.iter().map(one).collect())
}

#[test]
fn a_key_map_goes_there_and_back() {
    let blocks = (1..=4).map(|layer| Rule::prefix(format!("features.{}", layer + 3), format!("layer{layer}")));
    let rules = [Rule::prefix("features.0", "conv1"), Rule::prefix("features.1", "bn1")].into_iter().chain(blocks);
    let map = KeyMap::new(rules, Unmatched::Keep);
    let scn = ["alpha.0.weight", "features.0.weight", "features.1.bias", "features.7.0.downsample.0.weight"];
    let torchvision = ["alpha.0.weight", "bn1.bias", "conv1.weight", "layer4.0.downsample.0.weight"];
    let renamed = tensors(&scn).renamed(&map).unwrap();
    assert_eq!(names(renamed.tensors()), torchvision);
    assert_eq!(names(renamed.renamed(&map.reversed()).unwrap().tensors()), scn);
    // A name is matched part by part.
    assert_eq!(map.rename("features.10.weight").unwrap(), "features.10.weight");
}

#[test]
fn numbers_are_shifted_and_prefixes_added_or_cut_off() {
    let map = KeyMap::new(
        [Rule::index("RCNN_base2", "features", 14), Rule::prefix("RCNN_base1", "features")],
        Unmatched::Drop,
    );
    assert_eq!(map.rename("RCNN_base2.3.bias").unwrap(), "features.17.bias");
    assert_eq!(map.rename("RCNN_base1.5.bias").unwrap(), "features.5.bias");
    assert_eq!(map.rename("RCNN_rpn.conv.bias"), None);
    assert_eq!(KeyMap::new([Rule::index("f", "g", -4)], Unmatched::Drop).rename("f.3.bias"), None);
    assert_eq!(KeyMap::new([Rule::index("f", "g", i64::MAX)], Unmatched::Drop).rename("f.3"), None);
    let adds = KeyMap::new([Rule::prefix("", "backbone")], Unmatched::Keep);
    assert_eq!(adds.rename("conv1.weight").unwrap(), "backbone.conv1.weight");
    assert_eq!(adds.reversed().rename("backbone.conv1.weight").unwrap(), "conv1.weight");
    assert_eq!(
        KeyMap::new([Rule::prefix("a.weight", "b.kernel")], Unmatched::Drop).rename("a.weight").unwrap(),
        "b.kernel"
    );
}

#[test]
fn two_tensors_cannot_get_one_name() {
    let map = KeyMap::new([Rule::prefix("a", "c"), Rule::prefix("b", "c")], Unmatched::Keep);
    let message = tensors(&["a.x", "b.x"]).renamed(&map).unwrap_err().to_string();
    assert_eq!(message, "file: `a.x` and `b.x` would both be called `c.x`");
}

#[test]
fn a_prefix_goes_only_where_every_name_has_it() {
    let all = tensors(&["module.module.a", "module.module.b"]).without_parallel();
    assert_eq!(names(all.tensors()), ["a", "b"]);
    let some = tensors(&["module.a", "b"]).without_parallel();
    assert_eq!(names(some.tensors()), ["b", "module.a"]);
    assert!(tensors(&[]).without_parallel().tensors().is_empty());
}

#[test]
fn a_key_map_is_data() {
    let text =
        r#"{"rules": [{"prefix": {"from": "a", "to": "b"}}, {"index": {"from": "c", "to": "d", "offset": -1}}]}"#;
    let map: KeyMap = serde_json::from_str(text).unwrap();
    assert_eq!(map, KeyMap::new([Rule::prefix("a", "b"), Rule::index("c", "d", -1)], Unmatched::Keep));
    assert!(serde_json::from_str::<KeyMap>(&text.replace("offset", "shift")).is_err());
}
