//! Files of the official code, and backbones.

use std::{collections::BTreeMap, path::Path};

use sconce_backbones::{ResNetConfig, VggConfig, VggHeadConfig, weights::ColourOrder};
use sconce_core::{DType, Device, Params, Tensor, write_tensors};
use sconce_detection::{BackboneConfig, FasterRcnnConfig, VggRegionHead};
use sconce_swda::{
    Swda, SwdaConfig, SwdaError,
    sconce_engine::WeightFile,
    weights::{Predictors, Started, Trunk, convert, load_detector, load_start as load_start_from, official_key_map},
};

use crate::flat;

fn file(path: &Path) -> WeightFile {
    WeightFile::new(path)
}

fn load_start(params: &Params, path: &Path, channels: ColourOrder) -> sconce_swda::Result<Started> {
    load_start_from(params, &file(path), channels, Predictors::WhereTheyFit)
}

/// A narrow VGG-16 or ResNet with the official heads.
fn config(trunk: Trunk) -> SwdaConfig {
    let backbone = match trunk {
        Trunk::Vgg16 => BackboneConfig::Vgg {
            network: VggConfig { width: 0.03125, ..VggConfig::vgg16() },
            lower: 6,
            head: VggRegionHead::Classifier { head: VggHeadConfig { hidden: 8, dropout: 0.5 } },
        },
        Trunk::ResNet => {
            let network = ResNetConfig { width: 0.0625, blocks: [1, 2, 1, 1], ..ResNetConfig::resnet101() };
            BackboneConfig::resnet_c4(network.caffe())
        }
    };
    let mut detector = FasterRcnnConfig::faster_rcnn_pytorch(backbone, 3, 32);
    detector.rpn.hidden = 8;
    let mut config = SwdaConfig::swda(detector);
    config.global.as_mut().unwrap().channels = [8, 4, 4];
    config.local.as_mut().unwrap().channels = [8, 4];
    config
}

fn build(config: &SwdaConfig, seed: u64) -> Params {
    let params = Params::new(seed, DType::F32, &Device::Cpu);
    Swda::new(&params.scope(), config).unwrap();
    params
}

/// Names of the official code for each of ours, written down by hand from the specification's table.
fn official_name(trunk: Trunk, name: &str) -> String {
    let vgg = |rest: &str| {
        let (place, tail) = rest.split_once('.').unwrap();
        let place: usize = place.parse().unwrap();
        if place < 14 { format!("RCNN_base1.{place}.{tail}") } else { format!("RCNN_base2.{}.{tail}", place - 14) }
    };
    for (ours, official) in [
        ("rpn.head.conv.0.0", "RCNN_rpn.RPN_Conv"),
        ("rpn.head.cls_logits", "RCNN_rpn.RPN_cls_score"),
        ("rpn.head.bbox_pred", "RCNN_rpn.RPN_bbox_pred"),
        ("roi_heads.box_predictor", "RCNN"),
    ] {
        if let Some(rest) = name.strip_prefix(ours) {
            // RCNN_cls_score and RCNN_bbox_pred.
            return if official == "RCNN" { format!("RCNN_{}", &rest[1..]) } else { format!("{official}{rest}") };
        }
    }
    match (trunk, name.strip_prefix("backbone.")) {
        (Trunk::Vgg16, Some(rest)) => match rest.strip_prefix("features.") {
            Some(rest) => vgg(rest),
            None => rest.replace("classifier.", "RCNN_top."),
        },
        (Trunk::ResNet, Some(rest)) => {
            let (part, tail) = rest.split_once('.').unwrap();
            let official = match part {
                "conv1" => "RCNN_base1.0",
                "bn1" => "RCNN_base1.1",
                "layer1" => "RCNN_base1.4",
                "layer2" => "RCNN_base2.0",
                "layer3" => "RCNN_base2.1",
                "layer4" => "RCNN_top.0",
                other => panic!("{other}"),
            };
            format!("{official}.{tail}")
        }
        (_, None) => name.to_owned(),
    }
}

/// The channels of the input the other way round.
fn reversed(t: &Tensor) -> Tensor {
    let channels: Vec<Tensor> = [2, 1, 0].iter().map(|&c| t.narrow(1, c, 1).unwrap()).collect();
    Tensor::cat(&channels, 1).unwrap()
}

#[test]
fn official_detectors_load_name_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for trunk in [Trunk::Vgg16, Trunk::ResNet] {
        let (trained, params) = (build(&config(trunk), 1), build(&config(trunk), 2));
        let official: BTreeMap<String, Tensor> = trained
            .tensors()
            .into_iter()
            // Files from before PyTorch 0.4.1 have no counters.
            .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
            .map(|(name, t)| (official_name(trunk, &name), t))
            .collect();
        assert!(official.contains_key("RCNN_cls_score.weight") && official.contains_key("netD_pixel.conv3.weight"));
        let path = dir.path().join(format!("{trunk:?}.safetensors"));
        write_tensors(&path, &official).unwrap();
        load_detector(&params, &file(&path)).unwrap();
        for (name, t) in trained.tensors() {
            // Theirs is blue first.
            let is_first = t.rank() == 4 && t.dims()[1] == 3;
            let expected = if is_first { flat(&reversed(&t)) } else { flat(&t) };
            assert_eq!(flat(&params.tensors()[&name]), expected, "{name}");
        }
        let converted = dir.path().join(format!("{trunk:?}-ours.safetensors"));
        convert(&file(&path), &converted).unwrap();
        load_detector(&build(&config(trunk), 3), &file(&converted)).unwrap();
        // A missing tensor is named, and nothing is changed.
        let mut short = official.clone();
        short.remove("RCNN_rpn.RPN_bbox_pred.bias");
        write_tensors(&path, &short).unwrap();
        assert!(load_detector(&params, &file(&path)).unwrap_err().to_string().contains("rpn.head.bbox_pred.bias"));
    }
}

#[test]
fn the_model_of_whole_images_alone_has_one_sequence() {
    let vgg = official_key_map(Trunk::Vgg16);
    assert_eq!(vgg.rename("RCNN_base.28.bias").as_deref(), Some("backbone.features.28.bias"));
    let resnet = official_key_map(Trunk::ResNet);
    assert_eq!(resnet.rename("RCNN_base.6.22.conv3.weight").as_deref(), Some("backbone.layer3.22.conv3.weight"));
    assert_eq!(resnet.rename("RCNN_base.1.running_var").as_deref(), Some("backbone.bn1.running_var"));
}

#[test]
fn a_backbone_starts_a_detector_and_a_detector_another() {
    let dir = tempfile::tempdir().unwrap();
    for trunk in [Trunk::Vgg16, Trunk::ResNet] {
        let (trained, params) = (build(&config(trunk), 1), build(&config(trunk), 2));
        let heads = |params: &Params| flat(&params.tensors()["rpn.head.conv.0.0.weight"]);
        let before = heads(&params);
        let mut backbone: BTreeMap<String, Tensor> = trained
            .tensors()
            .into_iter()
            .filter_map(|(name, t)| Some((name.strip_prefix("backbone.")?.to_owned(), t)))
            .collect();
        // The classifier's last layer is nobody's.
        let last = if trunk == Trunk::Vgg16 { "classifier.6.weight" } else { "fc.weight" };
        backbone.insert(last.to_owned(), Tensor::zeros((5, 3), DType::F32, &Device::Cpu).unwrap());
        let path = dir.path().join(format!("{trunk:?}.safetensors"));
        write_tensors(&path, &backbone).unwrap();
        load_start(&params, &path, ColourOrder::Rgb).unwrap();
        for (name, t) in trained.tensors().iter().filter(|(name, _)| name.starts_with("backbone.")) {
            assert_eq!(flat(&params.tensors()[name]), flat(t), "{name}");
        }
        assert_eq!(heads(&params), before);
        // A backbone that was trained on blue first.
        load_start(&params, &path, ColourOrder::Bgr).unwrap();
        let first = if trunk == Trunk::Vgg16 { "backbone.features.0.weight" } else { "backbone.conv1.weight" };
        assert_eq!(flat(&params.tensors()[first]), flat(&reversed(&trained.tensors()[first])));

        // What has seen the source alone has no classifiers of domains.
        let source = SwdaConfig::source_only(config(trunk).detector);
        let path = dir.path().join(format!("{trunk:?}-source.safetensors"));
        build(&source, 4).save(&path).unwrap();
        load_start(&build(&config(trunk).without_context(), 5), &path, ColourOrder::Rgb).unwrap();

        // One that has seen both goes on with them, or without them.
        let plain = config(trunk).without_context();
        let aligned = build(&plain, 6);
        aligned.save(&path).unwrap();
        let next = build(&plain, 7);
        load_start(&next, &path, ColourOrder::Rgb).unwrap();
        for (name, t) in aligned.tensors() {
            assert_eq!(flat(&next.tensors()[&name]), flat(&t), "{name}");
        }
        load_start(&build(&source, 8), &path, ColourOrder::Rgb).unwrap();
    }
}

#[test]
fn other_files_are_named_by_what_is_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.safetensors");
    let tensors = BTreeMap::from([("encoder.weight".to_owned(), Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap())]);
    write_tensors(&path, &tensors).unwrap();
    let error = load_detector(&build(&config(Trunk::Vgg16), 0), &file(&path)).unwrap_err();
    assert!(matches!(error, SwdaError::NoNetwork { .. }) && error.to_string().contains("encoder.weight"), "{error}");
}

#[test]
fn a_detector_of_other_classes_or_without_context_vectors_starts_another() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("others.safetensors");
    let before = config(Trunk::Vgg16);
    let trained = build(&before, 1);
    trained.save(&path).unwrap();
    let heads = ["roi_heads.box_predictor.cls_score.weight", "roi_heads.box_predictor.bbox_pred.bias"];
    let of = |params: &Params, name: &str| flat(&params.tensors()[name]);

    let mut more = before.clone();
    more.detector.roi_heads.n_classes = 5;
    let mut narrow = before.clone().without_context();
    narrow.local = None;
    narrow.global.as_mut().unwrap().channels = [8, 8, 4];
    for (name, config) in [("more", &more), ("narrow", &narrow)] {
        let (params, fresh) = (build(config, 2), build(config, 2));
        let started = load_start(&params, &path, ColourOrder::Rgb).unwrap();
        for part in ["backbone.features.0.weight", "rpn.head.conv.0.0.weight", "rpn.head.cls_logits.weight"] {
            assert_eq!(of(&params, part), of(&trained, part), "{name}: {part}");
        }
        for head in heads {
            assert_eq!(of(&params, head), of(&fresh, head), "{name}: {head}");
        }
        assert!(started.to_string().contains("roi_heads.box_predictor begins anew"), "{started}");
    }
    let started = load_start(&build(&narrow, 2), &path, ColourOrder::Rgb).unwrap();
    assert_eq!((started.anew.len(), started.anew[0].0, &started.unused[..]), (1, "netD.", &["netD_pixel."][..]));

    // As many classes, but others.
    let params = build(&before, 3);
    let started = load_start_from(&params, &file(&path), ColourOrder::Rgb, Predictors::Anew).unwrap();
    assert!(started.to_string().contains("classes are others"), "{started}");
    assert_ne!(of(&params, heads[0]), of(&trained, heads[0]));
    assert_eq!(of(&params, "netD.conv1.weight"), of(&trained, "netD.conv1.weight"));
}
