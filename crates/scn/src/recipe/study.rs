//! What each profile runs, and which claim it is held against.

use sconce_engine::{Arm, ClaimSpec, Preset, Profile, Study};

use super::{papers, presets::Config, sweeps};
use crate::config::{Margin, RankConfig, ScnConfig};

/// The named configurations, the default first.
pub(super) fn presets() -> Vec<Preset<Config>> {
    let as_paper = |mut config: Config| {
        let relabel = config.scn.relabel;
        let ScnConfig { model, .. } = config.scn;
        config.scn = ScnConfig::paper(model.backbone, model.n_classes);
        config.scn.rank = RankConfig { margin: Margin::Fixed { value: 0.07 }, ..config.scn.rank };
        config.scn.relabel.start_epoch = relabel.start_epoch;
        config
    };
    let embedded = vec![
        Preset::new(
            "small",
            "SCN as code on the embedded Fashion-MNIST subset with 30 % symmetric noise",
            Config::small(),
        ),
        Preset::new(
            "own",
            "your own images, a folder for each class: --set data.images.train=PATH [--set data.images.test=PATH]",
            Config::own(),
        ),
        Preset::new("small-ce", "its baseline: cross-entropy alone", Config::small().cross_entropy()),
        Preset::new(
            "small-paper",
            "SCN as paper at that size: losses mixed (§3.3), low group relabelled (§3.4); δ₁ stays 0.07, for batches of 64",
            as_paper(Config::small()),
        ),
        Preset::new("smoke", "three epochs of a smaller network: shows that everything runs", Config::smoke()),
        Preset::new(
            "emoji",
            "SCN as code on embedded emoji of seven expressions, tested on another vendor",
            Config::emoji(),
        ),
        Preset::new("emoji-ce", "its baseline: cross-entropy alone", Config::emoji().cross_entropy()),
        Preset::new("faces", "the official code's recipe on a folder of face images a class, 224×224", Config::faces()),
    ];
    embedded.into_iter().chain(papers::presets()).collect()
}

/// The arms and claims of a profile.
pub(super) fn study(profile: Profile) -> Study<Config> {
    match profile {
        Profile::Smoke => headline(Config::smoke(), 2),
        Profile::Small => headline(Config::small(), 3),
        Profile::Study => sweeps::study(),
        Profile::Paper => papers::study(),
    }
}

/// The method against its baseline.
fn headline(scn: Config, seeds: usize) -> Study<Config> {
    let arm = |id: &str, label: &str, config: Config| Arm::new(id, label, config);
    let claim = |text: &str, metric: &str| ClaimSpec {
        claim: text.into(),
        paper: "70.26 % on RAF-DB at 10 % noise".into(),
        source: "table 2; issue 35 of the official code".into(),
        baseline: "cross-entropy".into(),
        ours: "scn".into(),
        metric: metric.into(),
        higher_is_better: true,
        scaled: true,
    };
    let claims = vec![
        claim("30 % label noise: SCN beats cross-entropy", "accuracy"),
        claim("… both at their best epoch on validation", "best_accuracy"),
    ];
    Study {
        arms: vec![arm("cross-entropy", "cross-entropy", scn.clone().cross_entropy()), arm("scn", "SCN", scn)],
        claims,
        comparisons: Vec::new(),
        seeds,
        notes: vec![
            "Scaled: 5,400 of 6,000 embedded Fashion-MNIST images with synthetic noise stand in for RAF-DB's faces."
                .into(),
            "Both arms have the same network, images, noise, optimiser, schedule and number of epochs.".into(),
            "Accuracy is on 1,000 test images with their true labels; no choice within a run looks at them.".into(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Combine, RelabelScope};

    #[test]
    fn the_arms_differ_in_the_three_modules_alone() {
        for profile in [Profile::Smoke, Profile::Small] {
            let study = study(profile);
            let [ce, scn] = &study.arms[..] else { panic!("two arms") };
            assert_eq!(ce.config, scn.config.clone().cross_entropy());
            assert_ne!(ce.config, scn.config);
            assert_eq!(scn.config.scn.relabel.scope, RelabelScope::WholeBatch);
        }
    }

    #[test]
    fn every_claim_and_comparison_names_arms_of_the_study() {
        for profile in [Profile::Smoke, Profile::Small, Profile::Study, Profile::Paper] {
            study(profile).validate().unwrap();
        }
    }

    #[test]
    fn the_paper_preset_is_the_papers_reading() {
        let presets = presets();
        let paper = presets.iter().find(|p| p.name == "small-paper").unwrap();
        assert_eq!(paper.config.scn.relabel.scope, RelabelScope::LowGroup);
        assert_eq!(paper.config.scn.combine, Combine::Mix { gamma: 0.5 });
    }
}
