//! The profile `study`: every row of the paper's ablation, what the method is compared with, and a second shift.

use sconce_detection::FasterRcnnConfig;
use sconce_engine::{Arm, ComparisonSpec, Study};

use super::{
    config::Config,
    study::{METRICS, START, arm, arm_from, claim, notes, three},
};
use crate::{
    config::{Modulation, SwdaConfig},
    images::Scene,
};

/// λ that the methods of alignment are tried with.
const STRENGTHS: [f64; 3] = [0.1, 0.3, 1.0];

/// The arm that the detectors of the second shift start from.
const EMOJI_START: &str = "emoji-classifier";

/// Epochs of every arm: fewer than in the profile `small`, so that all end within an hour.
const EPOCHS: usize = 5;

pub(super) fn study() -> Study<Config> {
    let with_epochs = |mut config: Config| {
        config.trainer.epochs = EPOCHS;
        config
    };
    let full = with_epochs(Config::small());
    let [source, control, swda] = three(&full);
    let [global, local, both] = parts(&full);
    let oracle = |full: &Config| {
        let mut config = full.clone().source_only();
        // Every shift of the study has a target of scenes.
        config.data.source = full.data.target.clone().unwrap_or(config.data.source);
        config
    };
    let [bdc, da_faster, swda] = [
        arm("bdc", "BDC-Faster", bdc_faster(&full)),
        arm("da-faster", "DA-Faster", da_faster(&full)),
        arm("swda", "G + L + CTX: SWDA", swda),
    ];
    let others = [&bdc, &da_faster, &swda].map(other_strengths);
    let second = Config { start: full.start, ..with_epochs(Config::emoji_to_clipart()) };
    let second_arm = |id: &str, label: &str, config| {
        arm_from(EMOJI_START, &format!("emoji-{id}"), &format!("emoji → clipart: {label}"), config)
    };
    let claim = |text, paper, arms| claim(text, (paper, "§4, tables 1 and 3"), arms);
    let strengths = [&bdc, &da_faster, &swda].into_iter().zip(&others);
    let strengths = strengths.flat_map(|(own, others)| std::iter::once(own).chain(others)).map(|arm| arm.id.clone());
    let row = |arms: &[&str]| arms.iter().map(|&id| id.to_owned()).collect();
    Study {
        claims: vec![
            claim(
                "SWDA beats a detector that sees the source alone, clear → fog",
                "34.3 against 20.3 mAP",
                ("source", "swda"),
            ),
            claim(
                "… and one that shares batch statistics with the target",
                "34.3 against 20.3 mAP",
                ("control", "swda"),
            ),
            // With the λ that suits it best of those that are tried.
            claim("SWDA beats BDC-Faster with λ 0.1", "34.3 against 27.5 mAP", ("bdc-0.1", "swda")),
            claim("SWDA beats DA-Faster", "34.3 against 27.6 mAP", ("da-faster", "swda")),
            claim(
                "SWDA beats the source alone, emoji → clipart",
                "38.1 against 27.8 mAP",
                ("emoji-source", "emoji-swda"),
            ),
        ],
        comparisons: vec![
            ComparisonSpec {
                title: "Clear → fog: each part, and what it is compared with".into(),
                arms: row(&["source", "control", "bdc", "da-faster", "g", "l", "g-l", "swda", "oracle"]),
                metrics: METRICS.map(Into::into).into(),
                curves: vec!["test_ap50".into(), "train_global_accuracy".into(), "train_local_accuracy".into()],
            },
            ComparisonSpec {
                title: "Clear → fog: λ, by which the reversed gradient is multiplied".into(),
                arms: strengths.collect(),
                metrics: METRICS.map(Into::into).into(),
                curves: Vec::new(),
            },
            ComparisonSpec {
                title: "Emoji → clipart".into(),
                arms: row(&["emoji-source", "emoji-swda", "emoji-oracle"]),
                metrics: METRICS.map(Into::into).into(),
                curves: vec!["test_ap50".into()],
            },
        ],
        seeds: 3,
        notes: {
            let mut notes = notes();
            notes.push(format!(
                "{EPOCHS} epochs for every arm, where the profile small has {}.",
                Config::small().trainer.epochs
            ));
            notes
        },
        arms: [
            vec![
                Arm::new(START, "classifier of single objects", Config::classifier(Scene::Clear)),
                // Of the source alone: clipart is the target here.
                Arm::new(EMOJI_START, "classifier of single emoji", Config::classifier(Scene::Emoji)),
                arm("source", "source only", source),
                arm("control", "target for batch statistics", control),
                bdc,
                da_faster,
                arm("g", "G", global),
                arm("l", "L", local),
                arm("g-l", "G + L", both),
                swda,
                arm("oracle", "oracle: labels of the target", oracle(&full)),
                second_arm("source", "source only", second.clone().source_only()),
                second_arm("swda", "SWDA", second.clone()),
                second_arm("oracle", "oracle: labels of the target", oracle(&second)),
            ],
            others.concat(),
        ]
        .concat(),
    }
}

/// Global alignment, local alignment, and both, without context vectors.
pub(super) fn parts(full: &Config) -> [Config; 3] {
    let both = full.swda.clone().without_context();
    let with = |swda| Config { swda, ..full.clone() };
    [with(SwdaConfig { local: None, ..both.clone() }), with(SwdaConfig { global: None, ..both.clone() }), with(both)]
}

/// The same method with every other λ, so that none is held against another for a λ that suits it less.
fn other_strengths(method: &Arm<Config>) -> Vec<Arm<Config>> {
    let own = method.config.swda.reversal.lambda;
    let others = STRENGTHS.into_iter().filter(|&lambda| lambda != own);
    others
        .map(|lambda| {
            let mut config = method.config.clone();
            config.swda.reversal.lambda = lambda;
            arm(&format!("{}-{lambda}", method.id), &format!("{}, λ {lambda}", method.label), config)
        })
        .collect()
}

/// BDC-Faster: an ordinary classifier of images, everything else as in `full`.
pub(super) fn bdc_faster(full: &Config) -> Config {
    let mut config = Config { swda: SwdaConfig { local: None, ..full.swda.clone().without_context() }, ..full.clone() };
    if let Some(global) = &mut config.swda.global {
        global.modulation = Modulation::Focal { gamma: 0.0 };
    }
    config
}

/// DA-Faster with classifiers of the detector's size, and its own strength of the reversal.
pub(super) fn da_faster(full: &Config) -> Config {
    let detector: FasterRcnnConfig = full.swda.detector.clone();
    let mut swda = SwdaConfig { target: full.swda.target, ..SwdaConfig::da_faster(detector) };
    if let Some(da_faster) = &mut swda.da_faster {
        (da_faster.image_channels, da_faster.instance_channels, da_faster.proposals) = (64, 64, 32);
    }
    Config { swda, ..full.clone() }
}
