//! What a classifier says of images.

use crate::error::{MocoError, Result};

/// A row of logits for each image, one for each class.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits(Vec<Vec<f32>>);

impl Logits {
    /// Of these rows.
    ///
    /// # Errors
    /// If a logit is not finite.
    pub fn new(rows: Vec<Vec<f32>>) -> Result<Self> {
        match rows.iter().position(|row| row.iter().any(|logit| !logit.is_finite())) {
            Some(row) => Err(MocoError::argument(
                "logits",
                format!("{:?} in row {row}", rows[row]),
                "finite numbers; check that the weights are finite",
            )),
            None => Ok(Self(rows)),
        }
    }

    /// The class with the largest logit of each row; of equals the first.
    pub fn classes(&self) -> Vec<u32> {
        let best = |row: &Vec<f32>| (0..row.len()).fold(0, |best, c| if row[c] > row[best] { c } else { best }) as u32;
        self.0.iter().map(best).collect()
    }

    /// The share of rows whose label is among the classes with the `k` largest logits.
    pub fn top_accuracy(&self, labels: &[u32], k: usize) -> f64 {
        let is_among = |(row, label): &(&Vec<f32>, &u32)| {
            let class = **label as usize;
            // Of equal logits the first class comes first.
            let is_before = |(c, &logit): (usize, &f32)| logit > row[class] || (logit == row[class] && c < class);
            class < row.len() && row.iter().enumerate().filter(|&other| is_before(other)).count() < k
        };
        self.0.iter().zip(labels).filter(is_among).count() as f64 / self.0.len().max(1) as f64
    }

    /// The probabilities of the classes for each row.
    pub fn probabilities(&self) -> Vec<Vec<f64>> {
        let softmax = |row: &Vec<f32>| {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights: Vec<f64> = row.iter().map(|&logit| f64::from(logit - largest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            weights.into_iter().map(|weight| weight / sum).collect()
        };
        self.0.iter().map(softmax).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_classes_are_those_with_the_largest_logits() {
        let logits = Logits::new(vec![vec![0.0, 2.0, 1.0, 2.0], vec![3.0, 0.0, 0.0, 1.0]]).unwrap();
        assert_eq!(logits.classes(), [1, 0]);
        assert_eq!(logits.top_accuracy(&[1, 0], 1), 1.0);
        assert_eq!(logits.top_accuracy(&[3, 3], 1), 0.0, "of equals the first comes first");
        assert_eq!(logits.top_accuracy(&[3, 2], 2), 0.5);
        assert_eq!(logits.top_accuracy(&[0, 2], 4), 1.0);
        assert_eq!(logits.top_accuracy(&[9, 2], 4), 0.5, "a label that is no class");
        let row = &logits.probabilities()[1];
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12 && (row[0] / row[3] - 2f64.exp()).abs() < 1e-9);
        assert!(Logits::new(vec![vec![0.0], vec![f32::NAN]]).unwrap_err().to_string().contains("row 1"));
    }
}
