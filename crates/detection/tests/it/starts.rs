//! A detector starts another one, whose predictors may be others.

use std::fs;

use sconce_backbones::weights::{StateDict, read_weights};
use sconce_core::{DType, Device, Params, Tensor};
use sconce_detection::{FasterRcnn, FasterRcnnConfig, Predictors, load_backbone, load_start};

fn build(config: &FasterRcnnConfig, seed: u64) -> Params {
    let params = Params::new(seed, DType::F32, &Device::Cpu);
    FasterRcnn::new(&params.scope(), config).unwrap();
    params
}

fn flat(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1().unwrap()
}

fn weights(params: &Params) -> StateDict {
    let copies = params.tensors().into_iter().map(|(name, t)| (name, t.copy().unwrap())).collect();
    StateDict::new("trained.safetensors", copies)
}

/// A change of a configuration.
type Change = fn(&mut FasterRcnnConfig);

#[test]
fn what_does_not_fit_is_left_out_as_a_whole_and_said() {
    const REGIONS: &str = "roi_heads.box_predictor";
    const ANCHORS: &str = "rpn.head.{cls_logits,bbox_pred}";
    let cases: [(Change, &[&str]); 5] = [
        (|_| {}, &[]),
        (|config| config.roi_heads.n_classes = 5, &[REGIONS]),
        (|config| config.roi_heads.context = 6, &[REGIONS]),
        (|config| config.rpn.anchors.sizes = vec![vec![16.0, 32.0]], &[ANCHORS]),
        (
            |config| {
                config.roi_heads.n_classes = 1;
                config.rpn.anchors.aspect_ratios = vec![0.5, 1.0];
            },
            &[REGIONS, ANCHORS],
        ),
    ];
    let trained = build(&FasterRcnnConfig::small(3), 1);
    for (change, expected) in cases {
        let mut config = FasterRcnnConfig::small(3);
        change(&mut config);
        let (params, untouched) = (build(&config, 2), build(&config, 2));
        let report = load_start(&params, &weights(&trained), &[], Predictors::WhereTheyFit).unwrap();
        let left_out: Vec<&str> = report.left_out.iter().map(|part| part.name).collect();
        assert_eq!(left_out, expected);
        assert!(report.left_out.iter().all(|part| !part.wrong_shape.is_empty()));
        let said = report.to_string();
        assert!(expected.iter().all(|name| said.contains(&format!("{name} begins anew"))), "{said}");
        let prefixes = [(REGIONS, REGIONS), (ANCHORS, "rpn.head.cls_logits"), (ANCHORS, "rpn.head.bbox_pred")];
        for (name, t) in params.tensors() {
            let is_anew = prefixes.iter().any(|(part, prefix)| expected.contains(part) && name.starts_with(prefix));
            let source = if is_anew { &untouched } else { &trained };
            // Biases of an equal number too: half a predictor is none.
            assert_eq!(flat(&t), flat(&source.tensors()[&name]), "{name}");
            assert_eq!(report.report.loaded.contains(&name), !is_anew, "{name}");
        }
    }
}

#[test]
fn as_many_classes_may_be_other_ones() {
    let (config, trained) = (FasterRcnnConfig::small(3), build(&FasterRcnnConfig::small(3), 1));
    let (params, untouched) = (build(&config, 2), build(&config, 2));
    let report = load_start(&params, &weights(&trained), &[], Predictors::Anew).unwrap();
    assert_eq!(report.left_out.len(), 1);
    assert!(
        report.to_string().contains("roi_heads.box_predictor begins anew: the file's classes are others"),
        "{report}"
    );
    let name = "roi_heads.box_predictor.cls_score.weight";
    assert_eq!(flat(&params.tensors()[name]), flat(&untouched.tensors()[name]));
    let name = "rpn.head.cls_logits.weight";
    assert_eq!(flat(&params.tensors()[name]), flat(&trained.tensors()[name]));
}

#[test]
fn a_detector_below_a_prefix_is_found_though_its_predictors_do_not_fit() {
    let trained = build(&FasterRcnnConfig::small(3), 1);
    let below = weights(&trained).into_tensors().into_iter().map(|(name, t)| (format!("teacher.{name}"), t)).collect();
    let params = build(&FasterRcnnConfig::small(5), 2);
    let report = load_start(&params, &StateDict::new("ema.pth", below), &[], Predictors::WhereTheyFit).unwrap();
    assert_eq!(report.left_out.iter().map(|part| part.name).collect::<Vec<_>>(), ["roi_heads.box_predictor"]);
    let name = "rpn.head.cls_logits.weight";
    assert_eq!(flat(&params.tensors()[name]), flat(&trained.tensors()[name]));
}

#[test]
fn a_backbone_is_found_below_a_prefix_and_a_tensor_that_cannot_be_read_is_named() {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    for name in ["backbone.conv1.weight", "backbone.conv2.weight", "rpn.weight"] {
        params.scope().buffer(name, 1, 0.0, DType::F32).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let load = |dtype: &str, size: usize| {
        let header = format!(
            r#"{{"net.conv1.weight":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},
                "net.conv2.weight":{{"dtype":"{dtype}","shape":[1],"data_offsets":[4,{}]}}}}"#,
            4 + size
        );
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + 4 + size, 0);
        fs::write(&path, bytes).unwrap();
        load_backbone(&params, &read_weights(&path).unwrap())
    };
    assert_eq!(load("F32", 4).unwrap().loaded.len(), 2);
    let error = load("C64", 8).unwrap_err().to_string();
    assert!(error.contains("conv2.weight` is a tensor of complex numbers"), "{error}");
}

#[test]
fn another_trunk_is_an_error_and_changes_nothing() {
    let trained = build(&FasterRcnnConfig::small(3), 1);
    let mut config = FasterRcnnConfig::small(5);
    config.rpn.hidden = 64;
    let params = build(&config, 2);
    let before = weights(&params);
    let error = load_start(&params, &weights(&trained), &[], Predictors::WhereTheyFit).unwrap_err().to_string();
    assert!(error.contains("rpn.head.conv.0.0") && error.contains("trained.safetensors"), "{error}");
    for (name, t) in before.tensors() {
        assert_eq!(flat(t), flat(&params.tensors()[name]), "{name}");
    }
    // A part of a method's own is no part of the detector, on either side.
    let mut tensors = weights(&trained).tensors().clone();
    tensors.insert("netD.conv1.weight".to_owned(), Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap());
    let with_own = StateDict::new("trained.safetensors", tensors);
    let params = build(&FasterRcnnConfig::small(3), 2);
    assert!(load_start(&params, &with_own, &[], Predictors::WhereTheyFit).is_err());
    load_start(&params, &with_own, &["netD."], Predictors::WhereTheyFit).unwrap();
}
