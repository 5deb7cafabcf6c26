//! Measures of a classifier, and the statistics of several runs.

use std::fmt;

use crate::{EngineError, Result};

/// The share of samples whose predicted class is the true one; NaN for no samples.
///
/// # Errors
/// [`EngineError::Mismatch`] if there are not as many predictions as labels.
pub fn accuracy(predicted: &[u32], labels: &[u32]) -> Result<f64> {
    same_length("predictions", predicted.len(), labels.len())?;
    let hits = predicted.iter().zip(labels).filter(|(p, l)| p == l).count();
    Ok(hits as f64 / labels.len() as f64)
}

/// How often each true class was predicted as each class.
///
/// ```
/// use sconce_engine::metrics::ConfusionMatrix;
/// let matrix = ConfusionMatrix::new(2, &[0, 1, 1, 1], &[0, 0, 1, 1])?;
/// assert_eq!(matrix.counts(), [[1, 1], [0, 2]]);
/// assert_eq!(matrix.accuracy(), 0.75);
/// assert_eq!(matrix.recall(0), Some(0.5));
/// # Ok::<(), sconce_engine::EngineError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    counts: Vec<Vec<usize>>,
}

impl ConfusionMatrix {
    /// Counts `predicted` against `labels`, both below `n_classes`.
    ///
    /// # Errors
    /// [`EngineError::LabelOutOfRange`] for a class that there is not; [`EngineError::Mismatch`] if there are not as many
    /// predictions as labels.
    pub fn new(n_classes: usize, predicted: &[u32], labels: &[u32]) -> Result<Self> {
        same_length("predictions", predicted.len(), labels.len())?;
        let class = |what: &'static str, sample: usize, label: u32| match usize::try_from(label) {
            Ok(class) if class < n_classes => Ok(class),
            _ => Err(EngineError::LabelOutOfRange { what, sample, label, n_classes }),
        };
        let mut counts = vec![vec![0; n_classes]; n_classes];
        for (sample, (&p, &l)) in predicted.iter().zip(labels).enumerate() {
            counts[class("label", sample, l)?][class("predicted class", sample, p)?] += 1;
        }
        Ok(Self { counts })
    }

    /// `counts[true class][predicted class]`.
    pub fn counts(&self) -> &[Vec<usize>] {
        &self.counts
    }

    /// The share on the diagonal; NaN for no samples.
    pub fn accuracy(&self) -> f64 {
        let hits: usize = (0..self.counts.len()).map(|class| self.counts[class][class]).sum();
        let all: usize = self.counts.iter().flatten().sum();
        hits as f64 / all as f64
    }

    /// The share of the samples predicted as `class` that are of it; `None` if none was, or there is no such class.
    pub fn precision(&self, class: usize) -> Option<f64> {
        let hits = *self.counts.get(class)?.get(class)?;
        ratio(hits, self.counts.iter().map(|row| row[class]).sum())
    }

    /// The share of the samples of `class` that were predicted as it, which is the accuracy of that class; `None` if there
    /// are none, or there is no such class.
    pub fn recall(&self, class: usize) -> Option<f64> {
        let row = self.counts.get(class)?;
        ratio(row[class], row.iter().sum())
    }

    /// [`ConfusionMatrix::recall`] of every class.
    pub fn per_class_accuracy(&self) -> Vec<Option<f64>> {
        (0..self.counts.len()).map(|class| self.recall(class)).collect()
    }

    /// The mean of [`ConfusionMatrix::per_class_accuracy`] over the classes that have samples; `None` if none has.
    pub fn mean_class_accuracy(&self) -> Option<f64> {
        let defined: Vec<f64> = self.per_class_accuracy().into_iter().flatten().collect();
        (!defined.is_empty()).then(|| mean(&defined))
    }
}

/// A line for each true class, with its recall; a last line with the precisions.
impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{:.1}%", 100.0 * x));
        let widest = self.counts.iter().flatten().map(|n| n.to_string().len()).max().unwrap_or(1);
        let width = widest.max("100.0%".len());
        write!(f, "{:>10}", "true\\pred")?;
        (0..self.counts.len()).try_for_each(|class| write!(f, " {class:>width$}"))?;
        writeln!(f, " {:>width$}", "recall")?;
        for (class, row) in self.counts.iter().enumerate() {
            write!(f, "{class:>10}")?;
            row.iter().try_for_each(|n| write!(f, " {n:>width$}"))?;
            writeln!(f, " {:>width$}", percent(self.recall(class)))?;
        }
        write!(f, "{:>10}", "precision")?;
        (0..self.counts.len()).try_for_each(|class| write!(f, " {:>width$}", percent(self.precision(class))))?;
        writeln!(f, " {:>width$}", percent(Some(self.accuracy()).filter(|a| a.is_finite())))
    }
}

/// The area under the ROC curve: the chance that a positive sample scores higher than a negative one, where a tie counts
/// one half. `None` without positives or without negatives.
///
/// # Errors
/// [`EngineError::Mismatch`] if there are not as many scores as marks, or a score is NaN.
pub fn auroc(scores: &[f64], positives: &[bool]) -> Result<Option<f64>> {
    same_length("scores", scores.len(), positives.len())?;
    if let Some(sample) = scores.iter().position(|s| s.is_nan()) {
        return Err(EngineError::mismatch(format!("score of sample {sample}"), "NaN", "a number"));
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    // Twice the number of pairs won, so that halves stay exact.
    let (mut wins, mut negatives_below, mut n_positives) = (0u128, 0u128, 0u128);
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let p = tied.iter().filter(|&&i| positives[i]).count() as u128;
        let n = tied.len() as u128 - p;
        wins += p * (2 * negatives_below + n);
        negatives_below += n;
        n_positives += p;
    }
    let pairs = n_positives * negatives_below;
    Ok((pairs > 0).then(|| wins as f64 / (2 * pairs) as f64))
}

/// The mean; NaN for no values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sample standard deviation, with `n - 1` in the denominator; NaN for fewer than 2 values.
pub fn sample_std(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return f64::NAN;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn same_length(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected { Ok(()) } else { Err(EngineError::mismatch(format!("number of {what}"), found, expected)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three classes; class 2 is never predicted, and 5 of 8 are right.
    fn example() -> ConfusionMatrix {
        ConfusionMatrix::new(3, &[0, 0, 1, 1, 1, 1, 0, 1], &[0, 0, 0, 1, 1, 1, 2, 2]).unwrap()
    }

    #[test]
    fn counts_stand_at_true_then_predicted() {
        assert_eq!(example().counts(), [[2, 1, 0], [0, 3, 0], [1, 1, 0]]);
    }

    #[test]
    fn accuracies_are_those_computed_by_hand() {
        let matrix = example();
        assert_eq!(matrix.accuracy(), 0.625);
        assert_eq!(accuracy(&[0, 0, 1, 1, 1, 1, 0, 1], &[0, 0, 0, 1, 1, 1, 2, 2]).unwrap(), 0.625);
        assert_eq!(matrix.per_class_accuracy(), [Some(2.0 / 3.0), Some(1.0), Some(0.0)]);
        assert!((matrix.mean_class_accuracy().unwrap() - 5.0 / 9.0).abs() < 1e-15);
        assert_eq!([0, 1, 2, 3].map(|c| matrix.precision(c)), [Some(2.0 / 3.0), Some(0.6), None, None]);
    }

    #[test]
    fn a_class_without_samples_has_no_accuracy() {
        let matrix = ConfusionMatrix::new(2, &[0, 1], &[0, 0]).unwrap();
        assert_eq!(matrix.per_class_accuracy(), [Some(0.5), None]);
        assert_eq!(matrix.mean_class_accuracy(), Some(0.5));
        assert!(ConfusionMatrix::new(2, &[], &[]).unwrap().accuracy().is_nan());
    }

    #[test]
    fn a_label_out_of_range_is_named() {
        let error = ConfusionMatrix::new(2, &[0, 0], &[1, 2]).unwrap_err();
        assert_eq!(error.to_string(), "label of sample 1 is 2, expected less than 2");
        let error = ConfusionMatrix::new(2, &[9, 0], &[1, 1]).unwrap_err();
        assert_eq!(error.to_string(), "predicted class of sample 0 is 9, expected less than 2");
        let error = accuracy(&[0], &[0, 1]).unwrap_err();
        assert_eq!(error.to_string(), "number of predictions: found 1, expected 2");
    }

    #[test]
    fn the_matrix_prints_with_its_margins() {
        let text = example().to_string();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["true\\pred", "0", "1", "2", "recall"]);
        assert_eq!(lines[1], ["0", "2", "1", "0", "66.7%"]);
        assert_eq!(lines[4], ["precision", "66.7%", "60.0%", "-", "62.5%"]);
    }

    #[test]
    fn auroc_counts_pairs_and_half_of_ties() {
        // Positives 0.8 and 0.4 against negatives 0.4 and 0.1: wins 2 of 2, then a tie and a win.
        let scores = [0.4, 0.8, 0.1, 0.4];
        assert_eq!(auroc(&scores, &[false, true, false, true]).unwrap(), Some(3.5 / 4.0));
        assert_eq!(auroc(&scores, &[true, false, true, false]).unwrap(), Some(0.5 / 4.0));
        assert_eq!(auroc(&[1.0; 5], &[true, false, true, false, false]).unwrap(), Some(0.5));
        assert_eq!(auroc(&[0.0, -0.0], &[true, false]).unwrap(), Some(0.5), "zeros of both signs are a tie");
    }

    #[test]
    fn auroc_of_one_kind_is_not_defined() {
        assert_eq!(auroc(&[0.1, 0.2], &[true, true]).unwrap(), None);
        assert_eq!(auroc(&[], &[]).unwrap(), None);
        assert!(auroc(&[f64::NAN], &[true]).unwrap_err().to_string().contains("sample 0"));
    }

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        assert_eq!(mean(&[2.0, 4.0, 9.0]), 5.0);
        assert_eq!(sample_std(&[2.0, 4.0, 9.0]), 13f64.sqrt());
        assert!(sample_std(&[1.0]).is_nan() && mean(&[]).is_nan());
    }
}
