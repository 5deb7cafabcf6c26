//! Labels that are wrong on purpose.

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use crate::{DataError, Result};

/// How labels are made wrong. In TOML: `{ kind = "symmetric", rate = 0.3 }`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LabelNoise {
    /// Not at all.
    #[default]
    None,
    /// Each sample, independently with probability `rate`, gets one of the other labels, all equally likely.
    ///
    /// A share of `rate` of the labels is wrong, then; some papers draw among all labels, and have fewer.
    Symmetric {
        /// The probability of a wrong label.
        rate: f64,
    },
    /// Each sample, independently with probability `rate`, gets the label that `map` gives its class.
    Asymmetric {
        /// The probability of a wrong label.
        rate: f64,
        /// Which class is taken for which.
        map: ClassMap,
    },
}

/// Which class is taken for which, one target a class. In TOML: `"next"`, or `{ targets = [1, 0, 2] }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ClassMap {
    /// Class c for c + 1, and the last one for the first.
    Next,
    /// The target of each class. A class that maps to itself keeps its labels.
    Targets(Vec<u32>),
}

/// Labels before and after noise.
#[derive(Clone, Debug, PartialEq)]
pub struct NoisyLabels {
    original: Vec<u32>,
    noisy: Vec<u32>,
    n_classes: usize,
    made: Option<Made>,
}

/// How noisy labels were made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// The seed.
    pub seed: u64,
    /// The kind of noise.
    pub noise: LabelNoise,
}

impl LabelNoise {
    /// Draws noisy labels for `original`, whose classes are `0..n_classes`.
    ///
    /// Each sample has a stream of its own, so that at one seed the labels that 10 % noise makes wrong are wrong at 20 % too.
    ///
    /// # Errors
    /// [`DataError::Label`] for a label that no class has, [`DataError::Argument`] for a rate that is no probability, for
    /// symmetric noise among fewer than two classes, and for a map that does not fit the classes.
    pub fn apply(&self, original: &[u32], n_classes: usize, seed: u64) -> Result<NoisyLabels> {
        self.validate(n_classes)?;
        let draw = |(index, &label): (usize, &u32)| {
            let rng = &mut Rng::keyed(seed, "label noise", [index as u64, 0]);
            match self {
                Self::Symmetric { rate } if rng.bernoulli(*rate) => {
                    // One of the others: those from the true label on move up by one.
                    let other = rng.below(n_classes - 1) as u32;
                    if other < label { other } else { other + 1 }
                }
                Self::Asymmetric { rate, map } if rng.bernoulli(*rate) => map.target(label, n_classes),
                _ => label,
            }
        };
        check_labels(original, n_classes)?;
        let noisy = original.iter().enumerate().map(draw).collect();
        NoisyLabels::new(original.to_vec(), noisy, n_classes, Some(Made { seed, noise: self.clone() }))
    }

    /// Checks that the settings fit a dataset of `n_classes` classes.
    ///
    /// # Errors
    /// [`DataError::Argument`], as for [`LabelNoise::apply`].
    pub fn validate(&self, n_classes: usize) -> Result<()> {
        match self {
            Self::Symmetric { rate } | Self::Asymmetric { rate, .. } if !(0.0..=1.0).contains(rate) => {
                Err(DataError::argument("label noise: rate", rate, "a probability from 0 to 1"))
            }
            Self::Symmetric { .. } if n_classes < 2 => {
                Err(DataError::argument("label noise: number of classes", n_classes, "at least 2"))
            }
            Self::Asymmetric { map: ClassMap::Targets(targets), .. } => {
                if targets.len() != n_classes {
                    let expected = format!("{n_classes}, one a class");
                    return Err(DataError::argument("label noise: number of targets", targets.len(), expected));
                }
                match targets.iter().find(|&&target| target as usize >= n_classes) {
                    Some(target) => {
                        Err(DataError::argument("label noise: target", target, format!("less than {n_classes}")))
                    }
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl ClassMap {
    fn target(&self, label: u32, n_classes: usize) -> u32 {
        match self {
            Self::Next => (label + 1) % n_classes as u32,
            Self::Targets(targets) => targets[label as usize],
        }
    }
}

impl NoisyLabels {
    /// Labels that somebody else made noisy, sample by sample; `made` says how, if that is known.
    ///
    /// # Errors
    /// [`DataError::Argument`] if there are not as many noisy labels as original ones, [`DataError::Label`] for a label that
    /// no class has.
    pub fn new(original: Vec<u32>, noisy: Vec<u32>, n_classes: usize, made: Option<Made>) -> Result<Self> {
        if original.len() != noisy.len() {
            let expected = format!("{}, one a sample", original.len());
            return Err(DataError::argument("number of noisy labels", noisy.len(), expected));
        }
        check_labels(&original, n_classes)?;
        check_labels(&noisy, n_classes)?;
        Ok(Self { original, noisy, n_classes, made })
    }

    /// The true labels.
    pub fn original(&self) -> &[u32] {
        &self.original
    }

    /// The labels after noise.
    pub fn noisy(&self) -> &[u32] {
        &self.noisy
    }

    /// The number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Seed and kind of noise; none if a list file does not say.
    pub fn made(&self) -> Option<&Made> {
        self.made.as_ref()
    }

    /// The number of samples.
    #[expect(clippy::len_without_is_empty, reason = "a dataset is never empty")]
    pub fn len(&self) -> usize {
        self.original.len()
    }

    /// The samples whose label is wrong, in order.
    pub fn flips(&self) -> Vec<usize> {
        (0..self.original.len()).filter(|&i| self.noisy[i] != self.original[i]).collect()
    }

    /// The share of wrong labels; 0 without labels.
    pub fn realised_rate(&self) -> f64 {
        self.flips().len() as f64 / self.original.len().max(1) as f64
    }
}

fn check_labels(labels: &[u32], n_classes: usize) -> Result<()> {
    match labels.iter().position(|&label| label as usize >= n_classes) {
        Some(i) => Err(DataError::Label { record: format!("sample {i}"), found: labels[i], classes: n_classes }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(n: usize, n_classes: usize) -> Vec<u32> {
        (0..n).map(|i| (i * 7 % n_classes) as u32).collect()
    }

    fn check_rate(labels: &NoisyLabels, rate: f64) {
        let n = labels.len() as f64;
        // Six standard deviations of a binomial draw: proptest draws many.
        let bound = 6.0 * (rate * (1.0 - rate) / n).sqrt() + 1e-9;
        assert!((labels.realised_rate() - rate).abs() <= bound, "{} of {rate}", labels.realised_rate());
    }

    proptest! {
        #[test]
        fn symmetric_noise_has_its_rate_and_never_draws_the_true_label(
            seed: u64, rate in 0.0..=1.0, n_classes in 2usize..20,
        ) {
            let original = labels(2000, n_classes);
            let noisy = LabelNoise::Symmetric { rate }.apply(&original, n_classes, seed).unwrap();
            // A draw of the true label would be no flip, and would show in the rate.
            check_rate(&noisy, rate);
            prop_assert!(noisy.noisy().iter().all(|&label| (label as usize) < n_classes));
            prop_assert_eq!(noisy.original(), original);
        }

        #[test]
        fn asymmetric_noise_follows_its_map(seed: u64, rate in 0.0..=1.0, n_classes in 2usize..20) {
            let original = labels(2000, n_classes);
            let targets: Vec<u32> = (0..n_classes as u32).rev().collect();
            let cases = [ClassMap::Next, ClassMap::Targets(targets)];
            for map in cases {
                let noise = LabelNoise::Asymmetric { rate, map: map.clone() };
                let noisy = noise.apply(&original, n_classes, seed).unwrap();
                for i in noisy.flips() {
                    let expected = match map {
                        ClassMap::Next => (original[i] + 1) % n_classes as u32,
                        ClassMap::Targets(_) => n_classes as u32 - 1 - original[i],
                    };
                    prop_assert_eq!(noisy.noisy()[i], expected);
                }
                if map == ClassMap::Next {
                    check_rate(&noisy, rate);
                }
            }
        }
    }

    #[test]
    fn every_other_label_is_equally_likely() {
        let noisy = LabelNoise::Symmetric { rate: 1.0 }.apply(&vec![2; 8000], 5, 0).unwrap();
        for label in [0, 1, 3, 4] {
            let n = noisy.noisy().iter().filter(|&&l| l == label).count();
            assert!(n.abs_diff(2000) < 194, "{label}: {n}"); // five standard deviations
        }
        assert_eq!(noisy.flips().len(), 8000);
    }

    #[test]
    fn a_seed_gives_the_same_labels_and_another_seed_others() {
        let noise = LabelNoise::Symmetric { rate: 0.3 };
        let draw = |seed| noise.apply(&labels(500, 10), 10, seed).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1).noisy(), draw(2).noisy());
    }

    #[test]
    fn more_noise_keeps_the_wrong_labels_of_less() {
        let draw = |rate| LabelNoise::Symmetric { rate }.apply(&labels(500, 10), 10, 0).unwrap();
        let (less, more) = (draw(0.1), draw(0.3));
        assert!(less.flips().len() < more.flips().len());
        for i in less.flips() {
            assert_eq!(less.noisy()[i], more.noisy()[i]);
        }
    }

    #[test]
    fn no_noise_changes_nothing() {
        let original = labels(100, 10);
        for noise in [LabelNoise::None, LabelNoise::Symmetric { rate: 0.0 }] {
            let noisy = noise.apply(&original, 10, 0).unwrap();
            assert_eq!(noisy.noisy(), original);
            assert_eq!(noisy.realised_rate(), 0.0);
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_refused() {
        let targets = |targets: &[u32]| LabelNoise::Asymmetric { rate: 0.5, map: ClassMap::Targets(targets.to_vec()) };
        let symmetric = |rate| LabelNoise::Symmetric { rate };
        for (noise, n_classes) in [
            (symmetric(1.1), 3),
            (symmetric(f64::NAN), 3),
            (symmetric(0.5), 1),
            (targets(&[1, 0]), 3),
            (targets(&[1, 0, 3]), 3),
        ] {
            let result = noise.apply(&[0], n_classes, 0);
            assert!(matches!(result, Err(DataError::Argument { .. })), "{noise:?}: {result:?}");
        }
        assert!(matches!(symmetric(0.5).apply(&[0, 3], 3, 0), Err(DataError::Label { found: 3, .. })));
        assert!(NoisyLabels::new(vec![0, 1], vec![0], 2, None).is_err());
        assert!(NoisyLabels::new(vec![0, 1], vec![0, 2], 2, None).is_err());
    }

    #[test]
    fn toml_has_kinds_and_maps() {
        #[derive(Deserialize)]
        struct Config {
            noise: LabelNoise,
        }
        let parse = |text: &str| toml::from_str::<Config>(&format!("noise = {text}")).map(|c| c.noise);
        assert_eq!(parse(r#"{ kind = "symmetric", rate = 0.3 }"#).unwrap(), LabelNoise::Symmetric { rate: 0.3 });
        let expected = LabelNoise::Asymmetric { rate: 0.3, map: ClassMap::Next };
        assert_eq!(parse(r#"{ kind = "asymmetric", rate = 0.3, map = "next" }"#).unwrap(), expected);
        let expected = LabelNoise::Asymmetric { rate: 0.3, map: ClassMap::Targets(vec![1, 0]) };
        assert_eq!(parse(r#"{ kind = "asymmetric", rate = 0.3, map = { targets = [1, 0] } }"#).unwrap(), expected);
        assert!(parse(r#"{ kind = "symmetric", rate = 0.3, seed = 3 }"#).is_err());
        assert!(parse(r#"{ kind = "salt" }"#).is_err());
    }
}
