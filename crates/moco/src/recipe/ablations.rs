//! The profile `study`: what each part of the method is worth.

use sconce_engine::{Arm, ClaimSpec, ComparisonSpec, Study};

use super::{
    config::{Config, Task},
    study::{MEASURES, arm},
};
use crate::config::{BatchNormGroups, Head, Mechanism};

/// The arm that all others differ from in one thing.
const BASE: &str = "moco";

pub(super) fn study() -> Study<Config> {
    let mut all = vec![
        arm("random", "random weights", Config { task: Task::RandomFeatures, ..Config::study() }),
        arm("pixels", "pixels", Config { task: Task::PixelFeatures, ..Config::study() }),
        arm(BASE, "MoCo", Config::study()),
    ];
    let groups = [
        ("What features are worth", vec![]),
        ("Mechanisms", mechanisms()),
        ("Length of the queue", lengths()),
        ("Momentum of the key encoder", momenta()),
        ("Batch normalisation", batch_norms()),
        ("Head, temperature, symmetric loss", rest()),
    ];
    let mut comparisons = Vec::new();
    for (title, arms) in groups {
        let mut ids = vec![BASE.to_owned()];
        ids.extend(if arms.is_empty() { vec!["random".into(), "pixels".into()] } else { Vec::new() });
        ids.extend(arms.iter().map(|arm| arm.id.clone()));
        comparisons.push(ComparisonSpec {
            title: title.into(),
            arms: ids,
            metrics: MEASURES.map(Into::into).into(),
            curves: ["test_knn_accuracy", "train_loss", "train_effective_rank"].map(Into::into).into(),
        });
        all.extend(arms);
    }
    Study { arms: all, claims: claims(), comparisons, seeds: 3, notes: notes() }
}

/// The base with one thing changed.
fn changed(id: &str, label: &str, change: impl FnOnce(&mut Config)) -> Arm<Config> {
    let mut config = Config::study();
    change(&mut config);
    arm(id, label, config)
}

fn queue(length: usize, momentum: f64) -> Mechanism {
    Mechanism::Queue { length, momentum }
}

/// Length and momentum of the base's queue.
const LENGTH: usize = 2048;
const MOMENTUM: f64 = 0.99;

fn mechanisms() -> Vec<Arm<Config>> {
    vec![
        changed("end-to-end", "end-to-end: the batch's 64 keys", |c| c.moco.mechanism = Mechanism::EndToEnd),
        changed("memory-bank", "memory bank, 2,048 negatives", |c| {
            c.moco.mechanism = Mechanism::MemoryBank { negatives: LENGTH, momentum: 0.5 };
        }),
    ]
}

fn lengths() -> Vec<Arm<Config>> {
    [64, 256, 4096]
        .map(|n| changed(&format!("queue-{n}"), &format!("K = {n}"), |c| c.moco.mechanism = queue(n, MOMENTUM)))
        .into()
}

fn momenta() -> Vec<Arm<Config>> {
    [0.0, 0.9, 0.999]
        .map(|m| changed(&format!("momentum-{m}"), &format!("m = {m}"), |c| c.moco.mechanism = queue(LENGTH, m)))
        .into()
}

fn batch_norms() -> Vec<Arm<Config>> {
    let groups = |shuffle| BatchNormGroups::Groups { groups: 4, shuffle };
    vec![
        changed("not-shuffled", "4 groups, not shuffled", |c| c.moco.batch_norm = groups(false)),
        changed("whole-batch", "the whole batch", |c| c.moco.batch_norm = BatchNormGroups::Whole),
    ]
}

fn rest() -> Vec<Arm<Config>> {
    vec![
        changed("linear-head", "linear head, as v1", |c| c.moco.encoder.head = Head::Linear),
        changed("temperature-0.07", "τ = 0.07, as v1", |c| c.moco.temperature = 0.07),
        changed("temperature-0.5", "τ = 0.5", |c| c.moco.temperature = 0.5),
        changed("symmetric", "symmetric loss", |c| c.moco.symmetric = true),
    ]
}

fn claims() -> Vec<ClaimSpec> {
    let claim = |claim: &str, (paper, source): (&str, &str), (baseline, ours): (&str, &str), metric: &str| ClaimSpec {
        claim: claim.into(),
        paper: paper.into(),
        source: source.into(),
        baseline: baseline.into(),
        ours: ours.into(),
        metric: metric.into(),
        higher_is_better: true,
        scaled: true,
    };
    let features = ("60.6 % on ImageNet, linear", "§4.1, table 1");
    let mechanism = ("queue 60.6 %, memory bank 58.0 %, end-to-end as far as memory goes", "figure 3");
    let momentum = ("m = 0 fails, 0.9: 55.2 %, 0.99: 57.8 %, 0.999: 59.0 %", "§4.1, ablation of momentum");
    let bn = ("without it queries cheat", "§3.3, shuffling BN");
    let knn = MEASURES[0];
    let mut claims = vec![
        claim("features beat those of random weights: nearest neighbours", features, ("random", BASE), knn),
        claim("… a linear classifier on 100 labels", features, ("random", BASE), MEASURES[1]),
        claim("… a linear classifier on all labels", features, ("random", BASE), MEASURES[2]),
    ];
    for (text, paper, baseline) in [
        ("a queue beats end-to-end at the same batch", mechanism, "end-to-end"),
        ("a queue beats a memory bank with as many negatives", mechanism, "memory-bank"),
        ("momentum 0.99 beats 0.9", momentum, "momentum-0.9"),
        ("momentum 0.99 beats 0", momentum, "momentum-0"),
        ("shuffled BN beats BN in the same groups", bn, "not-shuffled"),
        ("shuffled BN beats BN over the whole batch", bn, "whole-batch"),
    ] {
        claims.push(claim(&format!("{text}: nearest neighbours"), paper, (baseline, BASE), knn));
    }
    claims.push(claim(
        "momentum 0.999 beats 0.9: nearest neighbours",
        momentum,
        ("momentum-0.9", "momentum-0.999"),
        knn,
    ));
    claims.push(claim("momentum 0.999 beats 0: nearest neighbours", momentum, ("momentum-0", "momentum-0.999"), knn));
    claims
}

fn notes() -> Vec<String> {
    vec![
        "Scaled: 6,000 embedded Fashion-MNIST images and a narrow network stand in for ImageNet and ResNet-50; every arm \
         has a third of the epochs of the profile small."
            .into(),
        "Every arm is MoCo with the one thing changed that its name says; none had settings of its own tuned.".into(),
        "A batch holds 64 images. End-to-end keeps the activations of both views for its backward pass, where a queue keeps \
         those of one: at the same batch it has the larger memory, and 63 negatives."
            .into(),
        "The memory bank's positive is an image's own entry, and its entries move by half towards each new query.".into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_differs_from_the_base_in_what_it_is_named_after() {
        let base = sconce_engine::config::to_toml(&Config::study()).unwrap();
        for arm in study().arms {
            let text = sconce_engine::config::to_toml(&arm.config).unwrap();
            let mut left: Vec<&str> = base.lines().collect();
            let mut differing: Vec<&str> = text.lines().collect();
            differing.retain(|line| match left.iter().position(|l| l == line) {
                Some(at) => {
                    left.remove(at);
                    false
                }
                None => true,
            });
            let expected = match arm.id.as_str() {
                BASE => 0,
                "memory-bank" => 3, // kind, negatives, momentum
                _ => 1,
            };
            assert_eq!(differing.len(), expected, "{}: {differing:?}", arm.id);
        }
    }
}
