//! What the runs say about a claim.

use serde::{Deserialize, Serialize};

use crate::{
    ClaimSpec,
    metrics::{mean, sample_std},
};

/// Mean and sample standard deviation over seeds. What is not defined is NaN here and `null` in JSON.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Statistic {
    /// The mean.
    #[serde(deserialize_with = "nan_for_null")]
    pub mean: f64,
    /// The sample standard deviation; not defined for one value.
    #[serde(deserialize_with = "nan_for_null")]
    pub std: f64,
    /// The number of seeds.
    pub n: usize,
}

impl Statistic {
    /// The statistic of `values`.
    pub fn of(values: &[f64]) -> Self {
        Self { mean: mean(values), std: sample_std(values), n: values.len() }
    }
}

/// Whether a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The paper's direction, by more than one standard deviation of the paired difference.
    #[serde(rename = "reproduced")]
    Reproduced,
    /// Tested, and not so.
    #[serde(rename = "not reproduced")]
    NotReproduced,
    /// Fewer than 2 seeds, or a value that is not defined.
    #[serde(rename = "not tested")]
    NotTested,
}

impl Verdict {
    /// The words of `report.json`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::NotReproduced => "not reproduced",
            Self::NotTested => "not tested",
        }
    }
}

/// A claim with its numbers, as `report.json` has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// The claim.
    pub claim: String,
    /// The paper's value.
    pub paper: String,
    /// Where the paper has it.
    pub source: String,
    /// The arm to beat.
    pub baseline: Statistic,
    /// The arm that should win.
    pub ours: Statistic,
    /// Ours minus baseline, seed by seed.
    pub difference: Statistic,
    /// What follows.
    pub verdict: Verdict,
    /// Whether data or size differ from the paper's.
    pub scaled: bool,
}

impl Claim {
    /// Tests `spec` on the metric's values in both arms, seed by seed. Seeds that only one arm has are left out.
    pub fn test(spec: &ClaimSpec, baseline: &[f64], ours: &[f64]) -> Self {
        let n = baseline.len().min(ours.len());
        let (baseline, ours) = (&baseline[..n], &ours[..n]);
        let differences: Vec<f64> = ours.iter().zip(baseline).map(|(o, b)| o - b).collect();
        let difference = Statistic::of(&differences);
        Self {
            claim: spec.claim.clone(),
            paper: spec.paper.clone(),
            source: spec.source.clone(),
            baseline: Statistic::of(baseline),
            ours: Statistic::of(ours),
            difference,
            verdict: verdict(difference, spec.higher_is_better),
            scaled: spec.scaled,
        }
    }
}

fn verdict(difference: Statistic, higher_is_better: bool) -> Verdict {
    let gain = if higher_is_better { difference.mean } else { -difference.mean };
    if difference.n < 2 || !gain.is_finite() {
        Verdict::NotTested
    } else if gain > difference.std {
        Verdict::Reproduced
    } else {
        Verdict::NotReproduced
    }
}

fn nan_for_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(higher_is_better: bool) -> ClaimSpec {
        ClaimSpec {
            claim: "ours is better".into(),
            paper: "+2.1".into(),
            source: "Table 1".into(),
            baseline: "b".into(),
            ours: "o".into(),
            metric: "accuracy".into(),
            higher_is_better,
            scaled: true,
        }
    }

    #[test]
    fn statistics_are_those_computed_by_hand() {
        let claim = Claim::test(&spec(true), &[1.0, 2.0, 3.0], &[3.0, 3.0, 7.0]);
        assert_eq!((claim.baseline.mean, claim.baseline.std, claim.baseline.n), (2.0, 1.0, 3));
        assert_eq!((claim.ours.mean, claim.ours.n), (13.0 / 3.0, 3));
        // Differences 2, 1, 4: mean 7/3, squares 1/9 + 16/9 + 25/9 = 42/9, halved.
        assert_eq!(claim.difference.mean, 7.0 / 3.0);
        assert!((claim.difference.std - (21f64 / 9.0).sqrt()).abs() < 1e-15);
        assert_eq!(claim.verdict, Verdict::Reproduced);
    }

    #[test]
    fn the_difference_is_paired_by_seed() {
        // The arms vary by 10 from seed to seed, the difference does not.
        let claim = Claim::test(&spec(true), &[10.0, 20.0, 30.0], &[11.0, 21.0, 31.0]);
        assert_eq!((claim.difference.mean, claim.difference.std), (1.0, 0.0));
        assert_eq!(claim.verdict, Verdict::Reproduced);
    }

    #[test]
    fn the_direction_is_the_papers() {
        assert_eq!(Claim::test(&spec(false), &[3.0, 3.0], &[1.0, 1.5]).verdict, Verdict::Reproduced);
        assert_eq!(Claim::test(&spec(true), &[3.0, 3.0], &[1.0, 1.5]).verdict, Verdict::NotReproduced);
    }

    #[test]
    fn exactly_one_deviation_is_not_enough() {
        // Differences 0 and 2: mean 1, squares 1 + 1. The deviation is √2, more than the mean.
        assert_eq!(Claim::test(&spec(true), &[0.0, 0.0], &[0.0, 2.0]).verdict, Verdict::NotReproduced);
        // Differences 1, 2, 3 less 1 = 0, 1, 2: mean 1 and deviation 1.
        let claim = Claim::test(&spec(true), &[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]);
        assert_eq!((claim.difference.mean, claim.difference.std), (1.0, 1.0));
        assert_eq!(claim.verdict, Verdict::NotReproduced);
        assert_eq!(Claim::test(&spec(true), &[1.0; 2], &[1.0; 2]).verdict, Verdict::NotReproduced, "equal arms");
    }

    #[test]
    fn one_seed_tests_nothing() {
        let claim = Claim::test(&spec(true), &[1.0], &[9.0]);
        assert_eq!(claim.verdict, Verdict::NotTested);
        let json = serde_json::to_value(&claim).unwrap();
        assert_eq!(json["difference"], serde_json::json!({"mean": 8.0, "std": null, "n": 1}));
    }

    #[test]
    fn a_value_that_is_not_defined_tests_nothing() {
        let claim = Claim::test(&spec(true), &[1.0, f64::NAN], &[9.0, 9.0]);
        assert_eq!(claim.verdict, Verdict::NotTested);
        let again: Claim = serde_json::from_str(&serde_json::to_string(&claim).unwrap()).unwrap();
        assert!(again.baseline.mean.is_nan() && again.ours.mean == 9.0);
    }
}
