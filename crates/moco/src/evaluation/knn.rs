//! The weighted k-nearest-neighbour classifier (Wu et al., 2018, §3.4; the official notebook for CIFAR-10).

use rayon::prelude::*;
use sconce_core::ops;
use serde::{Deserialize, Serialize};

use super::Features;
use crate::error::{MocoError, Result};

/// Who votes, and with which weight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KnnConfig {
    /// The number of neighbours that vote; all training images, if there are fewer.
    pub k: usize,
    /// The temperature τ: a neighbour at cosine s votes with the weight exp(s / τ).
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

/// Rows of the bank, and queries, whose similarities are computed at a time.
const BANK_ROWS: usize = 4096;
const QUERIES: usize = 1024;

/// A row of the bank and its cosine with a query.
type Neighbour = (usize, f32);

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
/// Neither is copied: a few thousand rows of both are normalised at a time.
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
    let mut all: Vec<Vec<Neighbour>> = vec![Vec::new(); queries.len()];
    for start in (0..bank.len()).step_by(BANK_ROWS) {
        let end = bank.len().min(start + BANK_ROWS);
        let rows = bank.unit_rows(start, end)?;
        for (i, found) in all.chunks_mut(QUERIES).enumerate() {
            let first = i * QUERIES;
            let queries = queries.unit_rows(first, first + found.len())?;
            let similarities = ops::linear(&queries, &rows, None)?.flatten_all()?.to_vec1::<f32>()?;
            found
                .par_iter_mut()
                .zip(similarities.par_chunks(end - start))
                .for_each(|(found, similarities)| keep_largest(found, (start, similarities), config.k));
        }
    }
    Ok(all)
}

/// Adds rows from `start` on, with their similarities, to the neighbours that were found among the rows before, and keeps the
/// `k` largest: largest first, and of equals the first.
fn keep_largest(found: &mut Vec<Neighbour>, (start, similarities): (usize, &[f32]), k: usize) {
    let before = |a: &Neighbour, b: &Neighbour| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    // Of the rows that follow, one that is as near as the last one kept comes behind it.
    let least = if found.len() < k { None } else { found.last().map(|last| last.1) };
    let rows = similarities.iter().enumerate().map(|(i, &similarity)| (start + i, similarity));
    found.extend(rows.filter(|row| least.is_none_or(|least| row.1.total_cmp(&least).is_gt())));
    if k < found.len() {
        found.select_nth_unstable_by(k - 1, before);
        found.truncate(k);
    }
    found.sort_unstable_by(before);
    found.shrink_to(k);
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

    /// A bank of several pieces, whose rows come in equal pairs, against all cosines in one list.
    #[test]
    fn neighbours_are_those_of_the_whole_bank() {
        use sconce_core::Rng;
        let (n, dim) = (2 * BANK_ROWS + 77, 5);
        let mut rng = Rng::new(0, "bank");
        let mut draw = |n: usize| (0..n * dim).map(|_| rng.normal() as f32).collect::<Vec<f32>>();
        let mut values = draw(n);
        let half = n / 2 * dim;
        values.copy_within(..half, half);
        let bank = Features::new(values, dim, vec![0; n]).unwrap();
        let queries = Features::new(draw(QUERIES + 3), dim, vec![0; QUERIES + 3]).unwrap();
        let found = nearest(&bank, &queries, &KnnConfig { k: 20, temperature: 1.0 }).unwrap();
        assert_eq!(found.len(), queries.len());
        let unit = |features: &Features| features.clone().normalized();
        let (bank, queries) = (unit(&bank), unit(&queries));
        for query in [0, QUERIES - 1, QUERIES, QUERIES + 2] {
            let cosine = |i: usize| bank.row(i).iter().zip(queries.row(query)).map(|(a, b)| a * b).sum::<f32>();
            let mut expected: Vec<usize> = (0..n).collect();
            expected.sort_by(|&a, &b| cosine(b).total_cmp(&cosine(a)).then(a.cmp(&b)));
            let indices: Vec<usize> = found[query].iter().map(|n| n.0).collect();
            // Of a pair the first comes first.
            assert_eq!(indices, expected[..20], "{query}");
            assert!(found[query].iter().all(|&(i, s)| (s - cosine(i)).abs() < 1e-5));
        }
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
