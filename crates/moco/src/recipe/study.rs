//! What each profile runs, and which claim it is held against.

use sconce_engine::{Arm, ClaimSpec, ComparisonSpec, Profile, Study};

use super::{
    ablations,
    config::{Config, Task},
};

/// The arms and claims of a profile.
pub(super) fn study(profile: Profile) -> Study<Config> {
    match profile {
        Profile::Smoke => headline(Config::smoke(), 2, &notes()),
        Profile::Small => headline(Config::small(), 3, &notes()),
        Profile::Study => ablations::study(),
        Profile::Paper => paper(),
    }
}

pub(super) fn arm(id: &str, label: &str, config: Config) -> Arm<Config> {
    Arm::new(id, label, config)
}

/// Accuracies of features, by their names among a run's metrics.
pub(super) const MEASURES: [&str; 3] = ["knn_accuracy", "linear_few_accuracy", "linear_accuracy"];

fn notes() -> Vec<String> {
    vec![
        "Scaled: 6,000 embedded Fashion-MNIST images and a narrow network stand in for ImageNet and ResNet-50.".into(),
        "kNN and linear classifiers look at the backbone's pooled features in evaluation mode. Labels serve these alone: \
         100 of them, ten a class, or all 6,000. Accuracy is on 1,000 test images."
            .into(),
        "Random weights are those that MoCo begins with, seed by seed. Fine-tuning trains backbone and classifier on 1,000 \
         labels (200 in the profile smoke); for random weights that is training from scratch."
            .into(),
        "Pixels are strong on these images, which are centred and of one size; nothing is claimed against them.".into(),
    ]
}

/// Features against those of the encoder as it begins.
fn headline(moco: Config, seeds: usize, notes: &[String]) -> Study<Config> {
    let with = |task| Config { task, ..moco.clone() };
    let claim = |text: &str, metric: &str| ClaimSpec {
        claim: text.into(),
        paper: "60.6 % on ImageNet, a linear classifier on frozen features".into(),
        source: "§4.1, table 1".into(),
        baseline: "random".into(),
        ours: "moco".into(),
        metric: metric.into(),
        higher_is_better: true,
        scaled: true,
    };
    Study {
        claims: vec![
            claim("features beat those of random weights: nearest neighbours", MEASURES[0]),
            claim("… a linear classifier on 100 labels", MEASURES[1]),
            claim("… a linear classifier on all labels", MEASURES[2]),
        ],
        comparisons: vec![ComparisonSpec {
            title: "What features are worth".into(),
            arms: ["moco", "random", "pixels"].map(Into::into).into(),
            metrics: MEASURES.iter().chain(&["fine_tuned_accuracy"]).map(|&name| name.to_owned()).collect(),
            curves: vec!["test_knn_accuracy".into(), "train_loss".into()],
        }],
        seeds,
        notes: notes.to_vec(),
        arms: vec![
            arm("random", "random weights", with(Task::RandomFeatures)),
            arm("pixels", "pixels", with(Task::PixelFeatures)),
            arm("moco", "MoCo", moco),
        ],
    }
}

/// The papers' recipes on ImageNet: nothing that a small machine can run.
fn paper() -> Study<Config> {
    let claim = |text: &str, paper: &str, (baseline, ours): (&str, &str)| ClaimSpec {
        claim: text.into(),
        paper: paper.into(),
        source: "official README: 60.8 ± 0.2 and 67.5 ± 0.1 over 5 runs".into(),
        baseline: baseline.into(),
        ours: ours.into(),
        metric: "linear_accuracy".into(),
        higher_is_better: true,
        // The data are the paper's, the classifier is not.
        scaled: true,
    };
    Study {
        claims: vec![
            claim("v1 beats random weights: a linear classifier", "60.6 %", ("random", "v1")),
            claim("v2 beats v1: a linear classifier", "67.5 % against 60.6 %", ("v1", "v2")),
        ],
        comparisons: Vec::new(),
        seeds: 1,
        notes: vec![
            "Scaled: the linear classifier of this table stands on standardised features of centre crops. The papers' own, on \
             augmented images at lr 30, is the preset paper-linear, which starts from a checkpoint of these arms."
                .into(),
        ],
        arms: vec![
            arm("random", "random weights", Config { task: Task::RandomFeatures, ..Config::paper_v1() }),
            arm("v1", "MoCo v1", Config::paper_v1()),
            arm("v2", "MoCo v2", Config::paper_v2()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BatchNormGroups, Mechanism};

    #[test]
    fn every_claim_and_comparison_names_arms_of_the_study() {
        for profile in [Profile::Smoke, Profile::Small, Profile::Study, Profile::Paper] {
            study(profile).validate().unwrap();
        }
    }

    #[test]
    fn the_arms_of_the_headline_differ_in_what_is_done_alone() {
        let study = study(Profile::Small);
        let [random, pixels, moco] = &study.arms[..] else { panic!("three arms") };
        for (arm, task) in [(random, Task::RandomFeatures), (pixels, Task::PixelFeatures), (moco, Task::Pretrain)] {
            assert_eq!(arm.config, Config { task, ..Config::small() });
        }
    }

    #[test]
    fn the_papers_numbers_are_theirs() {
        let [.., v1, v2] = &paper().arms[..] else { panic!("three arms") };
        let (v1, v2) = (&v1.config, &v2.config);
        assert_eq!((v1.moco.temperature, v2.moco.temperature), (0.07, 0.2));
        assert_eq!(v1.moco.mechanism, Mechanism::Queue { length: 65_536, momentum: 0.999 });
        assert_eq!(v1.moco.batch_norm, BatchNormGroups::Groups { groups: 8, shuffle: true });
        // Epochs 0, 1, 100 and 199 of 200, at 5,004 steps each.
        let rate = |config: &Config, epoch: usize| {
            let clock = sconce_engine::Clock { step: epoch * 5004, steps_per_epoch: 5004, epochs: 200 };
            config.trainer.schedule.lr(config.trainer.lr, clock)
        };
        for (epoch, expected) in [(0, 0.03), (1, 0.0299981), (100, 0.015), (199, 1.85e-6)] {
            assert!((rate(v2, epoch) - expected).abs() < 1e-7, "{epoch}");
        }
        for (epoch, expected) in [(119, 0.03), (120, 0.003), (160, 0.0003)] {
            assert!((rate(v1, epoch) - expected).abs() < 1e-12, "{epoch}");
        }
        let presets = super::super::presets::presets();
        let linear = &presets.iter().find(|preset| preset.name == "paper-linear").unwrap().config;
        for (epoch, expected) in [(59, 30.0), (60, 3.0), (80, 0.3)] {
            assert!((rate(linear, epoch) - expected).abs() < 1e-9, "{epoch}");
        }
    }

    #[test]
    fn the_notebooks_numbers_are_theirs() {
        let config = Config::cifar10();
        let moco = &config.moco;
        assert_eq!(moco.mechanism, Mechanism::Queue { length: 4096, momentum: 0.99 });
        assert_eq!(moco.batch_norm, BatchNormGroups::Groups { groups: 8, shuffle: true });
        assert_eq!((moco.temperature, moco.encoder.dim, config.data.batch_size), (0.1, 128, 512));
        assert_eq!((config.evaluation.knn.k, config.evaluation.knn.temperature), (200, 0.1));
        assert_eq!(config.evaluation.knn_features, super::super::KnnFeatures::Projected);
        // Epochs count from 1: the first is below the base rate, the last has none.
        let rate = |epoch: usize| {
            let clock = sconce_engine::Clock { step: epoch * 97, steps_per_epoch: 97, epochs: 200 };
            config.trainer.schedule.lr(config.trainer.lr, clock)
        };
        let cosine = |e: f64| 0.06 * 0.5 * (1.0 + (std::f64::consts::PI * e / 200.0).cos());
        for epoch in [0, 1, 99, 199] {
            assert!((rate(epoch) - cosine(epoch as f64 + 1.0)).abs() < 1e-12, "{epoch}");
        }
    }
}
