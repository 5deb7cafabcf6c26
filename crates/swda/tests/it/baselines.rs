//! What the method is compared with.

use sconce_core::{DType, Device, Params, Rng, backward};
use sconce_detection::FasterRcnnConfig;
use sconce_swda::{DaFasterConfig, Modulation, Swda, SwdaConfig, TargetUse};

use crate::{da_faster, flat, images, objects, swda, value};

fn train(config: &SwdaConfig) -> (Params, sconce_swda::StepLosses) {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let model = Swda::new(&params.scope(), config).unwrap();
    let rng = &mut Rng::new(0, "sampling");
    let losses = model.train(&images(1, 2), &objects(2), Some(&images(2, 2)), (0.0, rng)).unwrap();
    (params, losses)
}

#[test]
fn source_only_does_not_look_at_the_target() {
    let config = SwdaConfig::source_only(FasterRcnnConfig::small(3));
    let (params, losses) = train(&config);
    assert_eq!((losses.domain.len(), value(&losses.total)), (0, value(&losses.detection.total().unwrap())));
    let model = Swda::new(&params.detached(), &config).unwrap();
    let rng = &mut Rng::new(0, "sampling");
    assert!(model.train(&images(1, 2), &objects(2), None, (0.0, rng)).is_ok());
    assert!(params.names().iter().all(|name| !name.starts_with("netD") && !name.starts_with("da_")));
}

#[test]
fn the_control_shares_statistics_and_nothing_else() {
    let source = SwdaConfig::source_only(FasterRcnnConfig::small(3));
    let control = SwdaConfig { target: TargetUse::Statistics, ..source.clone() };
    let ((of_source, alone), (of_control, together)) = (train(&source), train(&control));
    assert_eq!(of_source.names(), of_control.names());
    assert!(together.domain.is_empty());
    assert_ne!(value(&alone.total), value(&together.total));
    let mean = |params: &Params| flat(&params.tensors()["backbone.features.1.running_mean"]);
    assert_ne!(mean(&of_source), mean(&of_control));
}

#[test]
fn bdc_faster_is_an_ordinary_classifier_of_images() {
    let config = SwdaConfig::bdc_faster(FasterRcnnConfig::small(3));
    assert_eq!(config.global.as_ref().unwrap().modulation, Modulation::Focal { gamma: 0.0 });
    assert_eq!((config.local.is_some(), config.context()), (false, 0));
    let (_, losses) = train(&config);
    assert_eq!(losses.domain.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["domain_global"]);
}

#[test]
fn da_faster_has_three_terms_that_can_be_left_out() {
    let names = |image, instance, consistency| {
        let mut config = da_faster();
        config.da_faster = Some(DaFasterConfig { image, instance, consistency, ..config.da_faster.unwrap() });
        let (params, losses) = train(&config);
        assert!(backward(&losses.total).is_ok());
        drop(params);
        losses.domain.iter().map(|(name, _)| *name).collect::<Vec<_>>()
    };
    assert_eq!(names(1.0, 0.1, 0.1), ["domain_image", "domain_instance", "domain_consistency"]);
    assert_eq!(names(1.0, 0.0, 0.0), ["domain_image"]);
    assert_eq!(names(0.0, 0.1, 0.0), ["domain_instance"]);
}

#[test]
fn regions_of_the_target_align_the_heads_features() {
    let mut config = da_faster();
    config.da_faster =
        Some(DaFasterConfig { image: 0.0, consistency: 0.0, instance: 1.0, ..config.da_faster.unwrap() });
    let (params, losses) = train(&config);
    let gradients = backward(&losses.domain[0].1).unwrap();
    for (name, var) in params.trainable() {
        let learns = gradients.get(&var).is_some_and(|g| flat(g).iter().any(|g| *g != 0.0));
        let expected = name.starts_with("backbone.features")
            || name.starts_with("roi_heads.box_head")
            || name.starts_with("dc_ip");
        // Before a normalisation, a bias is nothing.
        if !(name.starts_with("backbone.features") && name.ends_with("bias")) {
            assert_eq!(learns, expected, "{name}");
        }
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let refused = |change: fn(&mut SwdaConfig)| {
        let mut config = swda();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    };
    swda().validate().unwrap();
    for (change, expected) in [
        ((|c| c.target = TargetUse::None) as fn(&mut SwdaConfig), "target"),
        (|c| c.target = TargetUse::Statistics, "target"),
        (|c| (c.global, c.local) = (None, None), "target"),
        (|c| c.detector.roi_heads.context = 3, "context"),
        (|c| c.reversal.lambda = -1.0, "lambda"),
        (|c| c.eta.value = f64::NAN, "eta"),
        (|c| c.global.as_mut().unwrap().channels[1] = 0, "channels"),
        (|c| c.global.as_mut().unwrap().dropout = 1.0, "dropout"),
        (|c| c.global.as_mut().unwrap().modulation = Modulation::Focal { gamma: -1.0 }, "gamma"),
        (|c| c.local.as_mut().unwrap().init_std = Some(0.0), "init_std"),
        (|c| c.da_faster = da_faster().da_faster, "context"),
    ] {
        let error = refused(change);
        assert!(error.contains(expected), "{error}, expected {expected}");
    }
    let mut alone = da_faster();
    alone.da_faster.as_mut().unwrap().image = 0.0;
    assert!(alone.validate().unwrap_err().to_string().contains("consistency"));
}
