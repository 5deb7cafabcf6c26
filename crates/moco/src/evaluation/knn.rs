//! The weighted k-nearest-neighbour classifier (Wu et al., 2018, §3.4; the official notebook for CIFAR-10).

use rayon::prelude::*;
use sconce_core::{Device, Tensor, ops};
use serde::{Deserialize, Serialize};

use super::Features;
use crate::error::{MocoError, Result};

/// Who votes, and with which weight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnnConfig {
    /// Neighbours; all, if there are fewer.
    pub k: usize,
    /// τ: a neighbour at cosine s votes with exp(s / τ).
    pub temperature: f64,
}

impl Default for KnnConfig {
    /// 200 neighbours, τ = 0.1.
    fn default() -> Self {
        Self { k: 200, temperature: 0.1 }
    }
}

impl KnnConfig {
    /// Checks that the numbers have a sense.
    ///
    /// # Errors
    /// [`MocoError::Config`] with the first that does not.
    pub fn validate(&self) -> Result<()> {
        if self.k == 0 {
            return Err(MocoError::config("evaluation.knn.k", self.k, "at least 1"));
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(MocoError::config("evaluation.knn.temperature", self.temperature, "a positive number"));
        }
        Ok(())
    }
}

/// Rows whose similarities are computed at a time.
const ROWS: usize = 256;

/// The class of each query by its nearest neighbours in `bank`. Of equal votes the first class wins; of equally near neighbours
/// the first ones vote.
///
/// # Errors
/// If the dimensions differ, the bank is empty or the configuration has no sense.
pub fn knn_classify(bank: &Features, queries: &Features, config: &KnnConfig) -> Result<Vec<u32>> {
    let n_classes = bank.labels().iter().max().map_or(0, |&label| label as usize + 1);
    let neighbours = nearest(bank, queries, config)?;
    let vote = |neighbours: Vec<(usize, f32)>| {
        let mut votes = vec![0.0; n_classes];
        // Relative to the nearest, so that nothing overflows at a low temperature.
        let nearest = neighbours.first().map_or(0.0, |n| n.1);
        for (i, similarity) in neighbours {
            votes[bank.labels()[i] as usize] += (f64::from(similarity - nearest) / config.temperature).exp();
        }
        (0..n_classes).fold(0, |best, class| if votes[class] > votes[best] { class } else { best }) as u32
    };
    Ok(neighbours.into_iter().map(vote).collect())
}

/// The indices in `bank` of the `k` nearest rows of each query by cosine, and the cosines; nearest first.
///
/// # Errors
/// As [`knn_classify`].
pub fn nearest(bank: &Features, queries: &Features, config: &KnnConfig) -> Result<Vec<Vec<(usize, f32)>>> {
    config.validate()?;
    if bank.dim() != queries.dim() || bank.is_empty() {
        let found = format!("{} rows of dimension {}", bank.len(), bank.dim());
        return Err(MocoError::argument(
            "bank of a kNN",
            found,
            format!("at least one of dimension {}", queries.dim()),
        ));
    }
    let (bank, queries) = (bank.clone().normalized(), queries.clone().normalized());
    let (n, dim) = (bank.len(), bank.dim());
    let bank = bank.tensor(&Device::Cpu)?;
    let mut all = Vec::with_capacity(queries.len());
    for rows in queries.values().chunks(ROWS * dim) {
        let rows = Tensor::from_slice(rows, (rows.len() / dim, dim), &Device::Cpu)?;
        let similarities = ops::linear(&rows, &bank, None)?.flatten_all()?.to_vec1::<f32>()?;
        all.par_extend(similarities.par_chunks(n).map(|row| largest(row, config.k)));
    }
    Ok(all)
}

/// The `k` largest values and where they are, largest first, of equals the first.
fn largest(values: &[f32], k: usize) -> Vec<(usize, f32)> {
    let before = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let mut indexed: Vec<(usize, f32)> = values.iter().copied().enumerate().collect();
    let k = k.min(indexed.len());
    if k < indexed.len() {
        indexed.select_nth_unstable_by(k - 1, before);
        indexed.truncate(k);
    }
    indexed.sort_unstable_by(before);
    indexed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(rows: &[[f32; 2]], labels: &[u32]) -> Features {
        Features::new(rows.concat(), 2, labels.to_vec()).unwrap()
    }

    #[test]
    fn votes_are_weighted_by_similarity() {
        // Cosines with (1, 0): 1, 0.8, 0.6 and −1, whatever the lengths.
        let bank = features(&[[3.0, 0.0], [4.0, 3.0], [3.0, 4.0], [-1.0, 0.0]], &[1, 0, 0, 2]);
        let query = features(&[[10.0, 0.0]], &[0]);
        let classify = |k, temperature| knn_classify(&bank, &query, &KnnConfig { k, temperature }).unwrap()[0];
        assert_eq!(classify(1, 0.1), 1);
        // exp(10) against exp(8) + exp(6): the nearest outweighs the two.
        assert_eq!(classify(3, 0.1), 1);
        // exp(1) against exp(0.8) + exp(0.6).
        assert_eq!(classify(3, 1.0), 0);
        assert_eq!(classify(200, 1.0), 0, "no more than there are");
        assert_eq!(classify(200, 1e-6), 1, "nothing overflows");
    }

    #[test]
    fn neighbours_come_nearest_first_and_the_first_of_equals() {
        let bank = features(&[[0.0, 1.0], [1.0, 1.0], [2.0, 2.0], [1.0, 0.0]], &[0; 4]);
        let config = KnnConfig { k: 3, temperature: 1.0 };
        let found = nearest(&bank, &features(&[[1.0, 0.9]], &[0]), &config).unwrap();
        assert_eq!(found[0].iter().map(|n| n.0).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let bank = features(&[[0.0, 1.0]], &[0]);
        let other = Features::new(vec![1.0; 3], 3, vec![0]).unwrap();
        assert!(knn_classify(&bank, &other, &KnnConfig::default()).is_err());
        assert!(knn_classify(&bank, &bank, &KnnConfig { k: 0, temperature: 0.1 }).is_err());
        assert!(Features::new(vec![1.0; 3], 2, vec![0]).is_err());
    }
}
