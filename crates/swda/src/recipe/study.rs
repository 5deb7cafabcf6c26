//! What each profile runs, and which claim it is held against.

use sconce_engine::{Arm, ClaimSpec, ComparisonSpec, Profile, Study};

use super::{ablations, config::Config, papers};
use crate::{
    config::{SwdaConfig, TargetUse},
    images::Scene,
};

/// The arms and claims of a profile.
pub(super) fn study(profile: Profile) -> Study<Config> {
    match profile {
        Profile::Smoke => headline(Config::smoke(), &smoke_classifier(), 2),
        Profile::Small => headline(Config::small(), &Config::classifier(Scene::Clear), 3),
        Profile::Study => ablations::study(),
        Profile::Paper => papers::study(),
    }
}

fn smoke_classifier() -> Config {
    let mut config = Config::classifier(Scene::Clear);
    config.trainer.epochs = 1;
    config
}

/// The arm that all detectors of scenes start from.
pub(super) const START: &str = "classifier";

/// AP on the target, AP on the source, COCO's AP on the target.
pub(super) const METRICS: [&str; 3] = ["ap50", "source_ap50", "ap"];

pub(super) fn notes() -> Vec<String> {
    vec![
        "Scaled: scenes of 128×96 pixels, composed of cut-outs, and a detector of four convolutions stand in for street scenes and \
         VGG-16. Cut-outs that are trained on are never tested on."
            .into(),
        "All detectors of a shift start from one classifier of single objects of its source, and see as many images of the source. \
         AP50 is COCO's, of the last checkpoint; no label of the target is seen in training, and none chooses a checkpoint."
            .into(),
        "The control puts images of the target through the trunk for the statistics of batch normalisations alone: what SWDA gains \
         beyond it, it gains by alignment."
            .into(),
    ]
}

pub(super) fn arm(id: &str, label: &str, config: Config) -> Arm<Config> {
    arm_from(START, id, label, config)
}

pub(super) fn arm_from(start: &str, id: &str, label: &str, config: Config) -> Arm<Config> {
    Arm::new(id, label, config).starting_from(start)
}

/// That one arm has a higher AP50 on the target than another, where the paper has values from a place of its own.
pub(super) fn claim(text: &str, (paper, source): (&str, &str), (baseline, ours): (&str, &str)) -> ClaimSpec {
    ClaimSpec {
        claim: text.into(),
        paper: paper.into(),
        source: source.into(),
        baseline: baseline.into(),
        ours: ours.into(),
        metric: "ap50".into(),
        higher_is_better: true,
        scaled: true,
    }
}

/// The arms with the source alone, with the target's statistics, and the full method.
pub(super) fn three(full: &Config) -> [Config; 3] {
    let source = full.clone().source_only();
    let control = SwdaConfig { target: TargetUse::Statistics, ..source.swda.clone() };
    [source.clone(), Config { swda: control, ..source }, full.clone()]
}

fn headline(full: Config, classifier: &Config, seeds: usize) -> Study<Config> {
    let [source, control, swda] = three(&full);
    let claim = |text: &str, baseline: &str, ours: &str| {
        let paper = ("34.3 against 20.3 mAP, Cityscapes → Foggy Cityscapes", "§4.2, table 3");
        claim(text, paper, (baseline, ours))
    };
    Study {
        claims: vec![
            claim("SWDA beats a detector that sees the source alone, clear → fog", "source", "swda"),
            claim("… and one that shares batch statistics with the target", "control", "swda"),
        ],
        comparisons: vec![ComparisonSpec {
            title: "On the target and on the source".into(),
            arms: ["source", "control", "swda"].map(Into::into).into(),
            metrics: METRICS.map(Into::into).into(),
            curves: vec!["test_ap50".into(), "train_global_accuracy".into(), "train_local_accuracy".into()],
        }],
        seeds,
        notes: notes(),
        arms: vec![
            Arm::new(START, "classifier of single objects", classifier.clone()),
            arm("source", "source only", source),
            arm("control", "target for batch statistics", control),
            arm("swda", "SWDA", swda),
        ],
    }
}

#[cfg(test)]
mod tests {
    use sconce_engine::{InitialWeights, Recipe as _, WeightFile};

    use super::{super::Recipe, *};

    #[test]
    fn every_claim_and_comparison_names_arms_of_the_study() {
        for profile in [Profile::Smoke, Profile::Small, Profile::Study, Profile::Paper] {
            let study = study(profile);
            study.validate().unwrap();
            for arm in &study.arms {
                let start = WeightFile::new("a finished arm");
                let initial =
                    arm.starts_from.as_ref().map_or(InitialWeights::Unspecified, |_| InitialWeights::File(&start));
                Recipe::validate(&arm.config, initial).unwrap_or_else(|e| panic!("{}: {e}", arm.id));
            }
        }
    }

    #[test]
    fn the_arms_of_the_headline_differ_in_what_is_done_with_the_target_alone() {
        let study = study(Profile::Small);
        let [_, source, control, swda] = &study.arms[..] else { panic!("four arms") };
        for arm in [source, control] {
            assert_eq!(Config { swda: swda.config.swda.clone(), ..arm.config.clone() }, swda.config);
        }
        assert_eq!((source.config.swda.target, control.config.swda.target), (TargetUse::None, TargetUse::Statistics));
    }
}
