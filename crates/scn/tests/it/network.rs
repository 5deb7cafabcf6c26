//! The network: names, sizes, switches.

use sconce_backbones::{ResNetConfig, Stem};
use sconce_core::{DType, Device, Params, Rng, Tensor, nn::Mode};
use sconce_scn::{DropoutWhen, Margin, Scn, ScnConfig, Weighting};

fn small() -> ResNetConfig {
    ResNetConfig { stem: Stem::Cifar, width: 0.0625, ..ResNetConfig::resnet18() }
}

fn build(config: &ScnConfig) -> (Params, Scn) {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let model = Scn::new(&params.scope(), config).unwrap();
    (params, model)
}

fn images() -> Tensor {
    Rng::new(1, "images").normal_tensor((0.0, 1.0), (6, 3, 16, 16), DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn a_resnet18_has_the_official_count_of_parameters_and_entries() {
    let (params, _) = build(&ScnConfig::code(ResNetConfig::resnet18(), 7));
    assert_eq!((params.parameter_count(), params.names().len()), (11_180_616, 124));
}

#[test]
fn weights_lie_between_zero_and_one_and_scale_the_logits() {
    let config = ScnConfig::paper(small(), 7);
    let run = |config: &ScnConfig| build(config).1.forward(&images(), Mode::Eval, &mut Rng::new(0, "")).unwrap();
    let weighted = run(&config);
    let plain = run(&ScnConfig { weighting: Weighting::Off, ..config });
    let alpha: Vec<f32> = weighted.alpha.to_vec1().unwrap();
    assert!(alpha.iter().all(|a| *a > 0.0 && *a < 1.0), "{alpha:?}");
    let (weighted, plain) = (weighted.logits.to_vec2::<f32>().unwrap(), plain.logits.to_vec2::<f32>().unwrap());
    for ((w, p), a) in weighted.iter().zip(&plain).zip(&alpha) {
        for (w, p) in w.iter().zip(p) {
            assert!((w - a * p).abs() < 1e-6);
        }
    }
}

#[test]
fn dropout_sleeps_in_evaluation_as_paper_and_never_as_code() {
    let run = |when, stream| {
        let mut config = ScnConfig::paper(small(), 7);
        (config.model.dropout, config.model.dropout_when) = (0.5, when);
        let output = build(&config).1.forward(&images(), Mode::Eval, &mut Rng::new(stream, "")).unwrap();
        output.logits.to_vec2::<f32>().unwrap()
    };
    assert_eq!(run(DropoutWhen::Training, 1), run(DropoutWhen::Training, 2));
    assert_ne!(run(DropoutWhen::Always, 1), run(DropoutWhen::Always, 2));
}

#[test]
fn a_learned_margin_is_a_parameter() {
    let mut config = ScnConfig::paper(small(), 7);
    assert!(!build(&config).0.names().contains(&"margin".to_owned()));
    config.rank.margin = Margin::Learnable { initial: 0.15 };
    let (params, model) = build(&config);
    assert!(params.trainable().iter().any(|(n, _)| n == "margin"));
    assert_eq!(model.margin().unwrap().to_scalar::<f32>().unwrap(), 0.15);
}
