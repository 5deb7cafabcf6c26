//! What learns from what.

use std::collections::BTreeMap;

use sconce_backbones::ResNetConfig;
use sconce_core::{DType, Device, GradStore, Params, Rng, Tensor, Tolerance, Var, backward};
use sconce_detection::{BackboneConfig, FasterRcnnConfig};
use sconce_swda::{
    ContextGradient, EtaConfig, EtaScales, Images, LambdaSchedule, StepLosses, Swda, SwdaConfig, TargetUse,
};

use crate::{flat, images, objects, swda, value};

fn build(config: &SwdaConfig) -> (Params, Swda) {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let model = Swda::new(&params.scope(), config).unwrap();
    (params, model)
}

fn step(model: &Swda, progress: f64) -> StepLosses {
    let rng = &mut Rng::new(0, "sampling");
    model.train(&images(1, 2), &objects(2), Some(&images(2, 2)), (progress, rng)).unwrap()
}

fn domain_loss(losses: &StepLosses) -> Tensor {
    losses.domain.iter().skip(1).fold(losses.domain[0].1.clone(), |sum, (_, term)| (sum + term).unwrap())
}

fn by_name(params: &Params, gradients: &GradStore) -> BTreeMap<String, Vec<f64>> {
    let named = params.trainable().into_iter();
    named.filter_map(|(name, var): (String, Var)| Some((name, flat(gradients.get(&var)?)))).collect()
}

fn is_classifier(name: &str) -> bool {
    name.starts_with("netD")
}

#[test]
fn the_trunk_learns_in_proportion_to_lambda_and_the_classifiers_do_not() {
    let gradients = |lambda: f64| {
        let mut config = swda();
        config.reversal.lambda = lambda;
        let (params, model) = build(&config);
        let losses = step(&model, 0.0);
        by_name(&params, &backward(&domain_loss(&losses)).unwrap())
    };
    let (full, half, none) = (gradients(1.0), gradients(0.5), gradients(0.0));
    let trunk: Vec<&String> = full.keys().filter(|name| name.starts_with("backbone.features")).collect();
    assert!(trunk.len() > 8);
    for name in trunk {
        let most = full[name].iter().fold(0.0f64, |most, g| most.max(g.abs()));
        assert!(most > 0.0, "{name}");
        assert!(none[name].iter().all(|g| *g == 0.0), "λ of 0 stops the gradient");
        for (a, b) in full[name].iter().zip(&half[name]) {
            assert!((0.5 * a - b).abs() <= 1e-5 * most, "{name}: {a} {b}");
        }
    }
    // The classifiers learn the same whatever λ is.
    for name in full.keys().filter(|name| is_classifier(name)) {
        assert_eq!(full[name], half[name], "{name}");
    }
}

#[test]
fn reversing_is_the_negative_of_not_reversing() {
    // Without a reversal in between: the classifier's own loss on the trunk's map.
    use sconce_core::nn::Mode;
    use sconce_swda::{Domain, GlobalClassifier, LocalClassifier, Padding, global_loss, local_loss};
    let config = swda();
    let (params, model) = build(&config);
    let (global, local) = (config.global.unwrap(), config.local.unwrap());
    let reversed = by_name(&params, &backward(&domain_loss(&step(&model, 0.0))).unwrap());

    let plain_params = Params::new(0, DType::F32, &Device::Cpu);
    let detector = sconce_detection::FasterRcnn::new(&plain_params.scope(), &config.detector).unwrap();
    let d_g = GlobalClassifier::new(&plain_params.scope(), 128, &global).unwrap();
    let d_l = LocalClassifier::new(&plain_params.scope(), 32, &local).unwrap();
    let rng = &mut Rng::new(0, "dropout");
    let mut total: Option<Tensor> = None;
    for (domain, batch) in [(Domain::Source, images(1, 2)), (Domain::Target, images(2, 2))] {
        let lower = detector.backbone.lower(&batch.images, Mode::Train).unwrap();
        let upper = detector.backbone.upper(&lower, Mode::Train).unwrap();
        let logits =
            d_g.logits(&d_g.features(&upper, &Padding::new(&batch.sizes, 8), Mode::Train, rng).unwrap()).unwrap();
        let d = d_l.probabilities(&d_l.features(&lower).unwrap()).unwrap();
        let sum =
            (global_loss(&logits, domain, global.modulation).unwrap() + local_loss(&d, domain, None).unwrap()).unwrap();
        let half = (sum * 0.5).unwrap();
        total = Some(total.map_or(half.clone(), |total| (total + half).unwrap()));
    }
    let plain = by_name(&plain_params, &backward(&total.unwrap()).unwrap());
    for (name, reversed) in &reversed {
        let Some(plain) = plain.get(name) else { continue };
        let most = plain.iter().fold(0.0f64, |most, g| most.max(g.abs()));
        let sign = if is_classifier(name) { 1.0 } else { -1.0 };
        for (a, b) in reversed.iter().zip(plain) {
            assert!((a - sign * b).abs() <= 1e-5 * most, "{name}: {a} {b}");
        }
    }
    assert!(
        reversed.keys().any(|name| name.starts_with("backbone")) && reversed.keys().any(|name| is_classifier(name))
    );
}

#[test]
fn the_target_teaches_neither_proposals_nor_heads() {
    for target in [TargetUse::Separate, TargetUse::Joint] {
        let config = SwdaConfig { target, ..swda() };
        let (params, model) = build(&config);
        let learned = by_name(&params, &backward(&domain_loss(&step(&model, 0.0))).unwrap());
        let of_detector = |name: &&String| name.starts_with("rpn.") || name.starts_with("roi_heads.");
        assert!(learned.iter().filter(|(name, _)| of_detector(name)).all(|(_, g)| g.iter().all(|g| *g == 0.0)));
    }
}

#[test]
fn context_vectors_decide_who_learns_from_the_detector() {
    let learned = |context_gradient| {
        let (params, model) = build(&SwdaConfig { context_gradient, ..swda() });
        let losses = step(&model, 0.0);
        let gradients = by_name(&params, &backward(&losses.detection.total().unwrap()).unwrap());
        let nonzero = |name: &str| gradients.get(name).is_some_and(|g| g.iter().any(|g| *g != 0.0));
        (
            nonzero("netD.conv1.weight"),
            nonzero("netD_pixel.conv1.weight"),
            gradients["backbone.features.0.weight"].clone(),
        )
    };
    let [code, all, nothing] =
        [ContextGradient::Classifiers, ContextGradient::All, ContextGradient::Nothing].map(learned);
    assert_eq!((code.0, code.1, all.0, all.1, nothing.0, nothing.1), (true, true, true, true, false, false));
    // The trunk learns more only if the vectors are not cut off from it.
    assert_eq!(code.2, nothing.2);
    assert_ne!(code.2, all.2);
}

#[test]
fn context_widens_the_predictors_in_the_order_of_the_code() {
    let width = |config: &SwdaConfig| {
        let (params, _) = build(config);
        params.tensors()["roi_heads.box_predictor.cls_score.weight"].dims()[1]
    };
    assert_eq!(width(&swda()), 128 + 16 + 12);
    assert_eq!(width(&swda().without_context()), 128);
    // The paper's sizes: 4352 with VGG-16, 2304 with ResNet-101.
    let context = |backbone| SwdaConfig::swda(FasterRcnnConfig::torchvision(backbone, 20)).context();
    assert_eq!(4096 + context(BackboneConfig::vgg16()), 4352);
    assert_eq!(2048 + context(BackboneConfig::resnet_c4(ResNetConfig::resnet101())), 2304);

    // The global classifier's features come first: without them in the weights, the map of the upper part makes no difference.
    let (params, model) = build(&swda());
    let weight = &params.tensors()["roi_heads.box_predictor.cls_score.weight"];
    let zeros = Tensor::zeros((4, 16), DType::F32, &Device::Cpu).unwrap();
    let without_global = Tensor::cat(&[&zeros, &weight.narrow(1, 16, 140).unwrap()], 1).unwrap();
    let detect = |params: &Params| {
        let found = Swda::new(&params.detached(), &swda()).unwrap().detect(&images(1, 1)).unwrap();
        found[0].iter().map(|d| d.score).collect::<Vec<_>>()
    };
    let before = detect(&params);
    let var = params.trainable().into_iter().find(|(name, _)| name.ends_with("cls_score.weight")).unwrap().1;
    var.set(&without_global).unwrap();
    let after = detect(&params);
    assert!(!before.is_empty() && before != after);
    // And now what netD says is not heard.
    let bias = params.trainable().into_iter().find(|(name, _)| name == "netD.bn3.bias").unwrap().1;
    let cut = params.trainable().into_iter().find(|(name, _)| name.ends_with("bbox_pred.weight")).unwrap().1;
    cut.set(&cut.zeros_like().unwrap()).unwrap();
    let quiet = detect(&params);
    bias.set(&(bias.ones_like().unwrap() * 3.0).unwrap()).unwrap();
    assert_eq!(detect(&params), quiet);
    drop(model);
}

#[test]
fn eta_scales_losses_or_the_reversal() {
    let total = |eta: EtaConfig| {
        let (params, model) = build(&SwdaConfig { eta, ..swda() });
        let losses = step(&model, 0.0);
        (
            value(&losses.total) - value(&losses.detection.total().unwrap()),
            by_name(&params, &backward(&losses.total).unwrap()),
        )
    };
    let (full, of_full) = total(EtaConfig { value: 1.0, scales: EtaScales::Losses });
    let (less, of_less) = total(EtaConfig { value: 0.1, scales: EtaScales::Losses });
    let (same, of_paper) = total(EtaConfig { value: 0.1, scales: EtaScales::Reversal });
    assert!((less - 0.1 * full).abs() < 1e-5 && (same - full).abs() < 1e-6);
    // As code, the classifiers learn more slowly too; as paper, they learn at their full rate, and the trunk as slowly.
    let name = "netD.fc.weight";
    assert_eq!(of_paper[name], of_full[name]);
    assert!(of_less[name].iter().zip(&of_full[name]).all(|(a, b)| (a - 0.1 * b).abs() < 1e-6));
    let trunk = "backbone.features.0.weight";
    let most = of_less[trunk].iter().fold(0.0f64, |most, g| most.max(g.abs()));
    assert!(of_less[trunk].iter().zip(&of_paper[trunk]).all(|(a, b)| (a - b).abs() < 1e-4 * most));
}

#[test]
fn the_reversal_is_ramped_up() {
    let trunk = |progress| {
        let mut config = swda();
        config.reversal.schedule = LambdaSchedule::Ramp;
        let (params, model) = build(&config);
        let losses = step(&model, progress);
        by_name(&params, &backward(&domain_loss(&losses)).unwrap())["backbone.features.4.weight"].clone()
    };
    let (start, middle, end) = (trunk(0.0), trunk(0.1), trunk(1.0));
    assert!(start.iter().all(|g| *g == 0.0));
    // 2 / (1 + e⁻¹) − 1 and 2 / (1 + e⁻¹⁰) − 1.
    let ratio = 0.462_117_157 / 0.999_909_204;
    let most = end.iter().fold(0.0f64, |most, g| most.max(g.abs()));
    assert!(middle.iter().zip(&end).all(|(a, b)| (a - ratio * b).abs() < 1e-5 * most));
}

/// SGD with a large step, without an optimiser's bookkeeping.
fn descend(params: &Params, loss: &Tensor) {
    let gradients = backward(loss).unwrap();
    for (_, var) in params.trainable() {
        if let Some(gradient) = gradients.get(&var) {
            var.set(&(var.as_tensor() - (gradient * 0.01).unwrap()).unwrap()).unwrap();
        }
    }
}

#[test]
fn what_is_frozen_stays_and_the_classifiers_normalisation_moves() {
    let network = ResNetConfig { width: 0.0625, blocks: [1, 1, 1, 1], ..ResNetConfig::resnet50() };
    let backbone = BackboneConfig::resnet_c4(network.caffe());
    let mut detector = FasterRcnnConfig::faster_rcnn_pytorch(backbone, 3, 32);
    detector.rpn.anchors.sizes = vec![vec![16.0, 32.0]];
    detector.rpn.hidden = 16;
    let mut config = SwdaConfig::swda(detector);
    config.global.as_mut().unwrap().channels = [32, 16, 16];
    let (params, model) = build(&config);
    let copy = |params: &Params| -> BTreeMap<String, Vec<f64>> {
        params.tensors().iter().map(|(name, t)| (name.clone(), flat(t))).collect()
    };
    let before = copy(&params);
    for _ in 0..2 {
        descend(&params, &step(&model, 0.0).total);
    }
    let after = copy(&params);
    let is_frozen = |name: &str| {
        name.starts_with("backbone.")
            && (name.contains("bn") || name.contains("downsample.1") || name.contains("backbone.conv1"))
    };
    for (name, before) in &before {
        let same = before.iter().zip(&after[name]).all(|(a, b)| a.to_bits() == b.to_bits());
        if is_frozen(name) {
            assert!(same, "{name} moved");
        } else if !name.ends_with("num_batches_tracked") {
            assert!(!same, "{name} did not move");
        }
    }
    assert!(before.keys().any(|name| is_frozen(name) && name.ends_with("running_mean")));
    assert_ne!(before["netD.bn1.running_mean"], after["netD.bn1.running_mean"]);
}

#[test]
fn domains_of_other_sizes_are_aligned() {
    let wide = Images { images: images(3, 1).images.narrow(2, 0, 48).unwrap(), sizes: vec![(40, 90)] };
    for target in [TargetUse::Separate, TargetUse::Joint, TargetUse::Statistics] {
        let mut config = SwdaConfig { target, ..swda() };
        if target == TargetUse::Statistics {
            (config.global, config.local) = (None, None);
        }
        let (_, model) = build(&config);
        let rng = &mut Rng::new(0, "sampling");
        let losses = model.train(&images(1, 2), &objects(2), Some(&wide), (0.0, rng)).unwrap();
        assert!(value(&losses.total).is_finite());
        assert_eq!(losses.domain.len(), if target == TargetUse::Statistics { 0 } else { 2 });
        assert!(model.train(&images(1, 2), &objects(2), None, (0.0, rng)).is_err());
    }
}

#[test]
fn padding_says_nothing_of_an_image() {
    use sconce_core::nn::Mode;
    use sconce_swda::{GlobalClassifier, GlobalConfig, Padding};

    let params = Params::new(0, DType::F32, &Device::Cpu);
    let config = GlobalConfig { channels: [8, 8, 8], ..swda().global.unwrap() };
    let classifier = GlobalClassifier::new(&params.scope(), 3, &config).unwrap();
    // A shift, so that what is not there would tell after the first layer.
    let shift = Tensor::full(0.5f32, 8, &Device::Cpu).unwrap();
    params.load("a shift", &[("netD.bn1.bias".to_owned(), shift)].into(), Tolerance::Missing).unwrap();
    let features = |map: &Tensor, size: (usize, usize)| {
        flat(&classifier.features(map, &Padding::new(&[size], 1), Mode::Eval, &mut Rng::new(0, "dropout")).unwrap())
    };
    // Odd at one layer and at another.
    let map = images(1, 1).images.narrow(2, 0, 18).unwrap().narrow(3, 0, 25).unwrap();
    let alone = features(&map, (18, 25));
    // Whatever lies in the padding.
    let padded = Tensor::cat(&[&map, &map], 2).unwrap();
    let padded = Tensor::cat(&[&padded, &padded], 3).unwrap();
    for (a, b) in alone.iter().zip(features(&padded, (18, 25))) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[test]
fn a_classifier_of_images_that_ends_at_one_position_of_one_image_is_refused_by_its_name() {
    use sconce_core::nn::Mode;
    use sconce_swda::{GlobalClassifier, GlobalConfig, Padding};

    let params = Params::new(0, DType::F32, &Device::Cpu);
    let config = GlobalConfig { channels: [8, 8, 8], ..swda().global.unwrap() };
    let classifier = GlobalClassifier::new(&params.scope(), 4, &config).unwrap();
    let features = |n: usize, side: usize, mode: Mode| {
        let map = Tensor::ones((n, 4, side, side), DType::F32, &Device::Cpu).unwrap();
        classifier.features(&map, &Padding::new(&vec![(side, side); n], 1), mode, &mut Rng::new(0, "dropout"))
    };
    // Three convolutions that halve: 8 positions become 1, 9 become 2.
    let error = features(1, 8, Mode::Train).unwrap_err().to_string();
    assert!(error.contains("classifier of domains") && error.contains("[1, 4, 8, 8]"), "{error}");
    for (n, side, mode) in [(1, 9, Mode::Train), (2, 8, Mode::Train), (1, 8, Mode::Eval)] {
        assert_eq!(features(n, side, mode).unwrap().dims(), [n, 8]);
    }
}

#[test]
fn the_detector_learns_from_the_source_alone() {
    use sconce_core::nn::Mode;
    use sconce_detection::Targets;

    let config = SwdaConfig { target: TargetUse::Joint, ..swda().without_context() };
    let (_, model) = build(&config);
    let (source, target) = (images(1, 2), images(2, 2));
    let losses = step(&model, 0.0);
    // Both share the statistics of the trunk's normalisations, and the source's part of the map alone is looked at.
    let detector = model.detector();
    let both = Tensor::cat(&[&source.images, &target.images], 0).unwrap();
    let lower = detector.backbone.lower(&both, Mode::Train).unwrap();
    let upper = detector.backbone.upper(&lower, Mode::Train).unwrap();
    let expected = |first: usize| {
        let targets = Targets { sizes: &source.sizes, objects: &objects(2) };
        let (upper, rng) = (upper.narrow(0, first, 2).unwrap(), &mut Rng::new(0, "sampling"));
        let pass = detector.train_on(&upper, (64, 96), &targets, None, rng).unwrap();
        value(&pass.losses.total().unwrap())
    };
    let found = value(&losses.detection.total().unwrap());
    assert!((found - expected(0)).abs() < 1e-5, "{found} {}", expected(0));
    assert!((found - expected(2)).abs() > 1e-4);
}
