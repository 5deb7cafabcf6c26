//! The memory bank (figure 2b; Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", 2018).

use std::collections::HashSet;

use sconce_core::{Device, Rng, Scope, Tensor};

use crate::{
    error::{MocoError, Result},
    model::unit_rows,
};

/// An entry of length 1 for each training image: `memory_bank` `(n, dim)` among the model's parameters.
#[derive(Clone, Debug)]
pub struct MemoryBank {
    entries: Tensor,
    momentum: f64,
}

/// Entries that are drawn at a time.
const ROWS: usize = 4096;

impl MemoryBank {
    /// Random entries for `n` images; `momentum` is the share of an entry that stays when its image is seen.
    ///
    /// # Errors
    /// As [`Scope::buffer`].
    pub fn new(scope: &Scope, (n, dim): (usize, usize), momentum: f64, rng: &mut Rng) -> Result<Self> {
        let entries = scope.buffer("memory_bank", (n, dim), 0.0, scope.dtype())?;
        // Piece by piece, as a queue begins: all at once would take several times the bank's own memory.
        for start in (0..n).step_by(ROWS) {
            let rows = (ROWS.min(n - start), dim);
            let random = rng.normal_tensor((0.0, 1.0), rows, scope.dtype(), scope.device())?;
            entries.slice_set(&unit_rows(&random)?, 0, start)?;
        }
        Ok(Self { entries, momentum })
    }

    /// `(n, dim)`.
    pub fn entries(&self) -> &Tensor {
        &self.entries
    }

    /// The entries of `samples`, `(B, dim)`.
    ///
    /// # Errors
    /// If there is no such sample.
    pub fn of(&self, samples: &[usize]) -> Result<Tensor> {
        let n = self.entries.dim(0)?;
        if let Some(sample) = samples.iter().find(|&&sample| sample >= n) {
            return Err(MocoError::argument("memory bank: sample", sample, format!("less than {n}, its entries")));
        }
        Ok(self.entries.index_select(&indices(samples, self.entries.device())?, 0)?)
    }

    /// Entries of `count` samples other than `samples`, drawn with replacement: `(dim, count)`, a column each.
    ///
    /// # Errors
    /// If there are no others.
    pub fn negatives(&self, samples: &[usize], count: usize, rng: &mut Rng) -> Result<Tensor> {
        let n = self.entries.dim(0)?;
        let own: HashSet<usize> = samples.iter().copied().collect();
        if own.len() >= n {
            return Err(MocoError::argument(
                "memory bank: samples of a batch",
                own.len(),
                format!("less than all {n}"),
            ));
        }
        let mut draw = || loop {
            let sample = rng.below(n);
            if !own.contains(&sample) {
                return sample;
            }
        };
        let drawn: Vec<usize> = (0..count).map(|_| draw()).collect();
        Ok(self.of(&drawn)?.t()?.contiguous()?)
    }

    /// `v ← normalize(m v + (1 − m) q)` for each sample. Of a sample that comes twice, the last query counts.
    ///
    /// # Shapes
    /// - `queries`: `(B, dim)`, one for each of `samples`
    ///
    /// # Errors
    /// If they do not fit.
    pub fn update(&self, samples: &[usize], queries: &Tensor) -> Result<()> {
        let old = self.of(samples)?;
        let new = unit_rows(&((old * self.momentum)? + (queries.detach() * (1.0 - self.momentum))?)?)?;
        for (row, &sample) in samples.iter().enumerate() {
            self.entries.slice_set(&new.narrow(0, row, 1)?.copy()?, 0, sample)?;
        }
        Ok(())
    }
}

/// Rows to select.
pub(crate) fn indices(samples: &[usize], device: &Device) -> Result<Tensor> {
    let samples: Vec<i64> = samples.iter().map(|&sample| sample as i64).collect();
    let n = samples.len();
    Ok(Tensor::from_vec(samples, n, device)?)
}

#[cfg(test)]
mod tests {
    use sconce_core::{DType, Params};

    use super::*;

    fn bank() -> MemoryBank {
        let params = Params::new(0, DType::F64, &Device::Cpu);
        MemoryBank::new(&params.scope(), (6, 3), 0.5, &mut Rng::new(0, "bank")).unwrap()
    }

    #[test]
    fn an_entry_moves_towards_its_query_and_no_other_does() {
        let bank = bank();
        let before = bank.entries().to_vec2::<f64>().unwrap();
        let query = [[0.0, 1.0, 0.0]];
        bank.update(&[4], &Tensor::new(&query, &Device::Cpu).unwrap()).unwrap();
        let after = bank.entries().to_vec2::<f64>().unwrap();
        let middle: Vec<f64> = before[4].iter().zip(query[0]).map(|(v, q)| 0.5 * v + 0.5 * q).collect();
        let length = middle.iter().map(|x| x * x).sum::<f64>().sqrt();
        for (i, (before, after)) in before.iter().zip(&after).enumerate() {
            let expected = if i == 4 { middle.iter().map(|x| x / length).collect() } else { before.clone() };
            assert!(after.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{i}: {after:?} {expected:?}");
        }
    }

    #[test]
    fn negatives_are_entries_of_others() {
        let bank = bank();
        let negatives = bank.negatives(&[0, 2, 3], 40, &mut Rng::new(0, "draw")).unwrap();
        assert_eq!(negatives.dims(), [3, 40]);
        let entries = bank.entries().to_vec2::<f64>().unwrap();
        let mut seen = HashSet::new();
        for column in negatives.t().unwrap().to_vec2::<f64>().unwrap() {
            seen.insert(entries.iter().position(|entry| *entry == column).unwrap());
        }
        assert_eq!(seen, HashSet::from([1, 4, 5]));
        assert!(bank.negatives(&[0, 1, 2, 3, 4, 5], 1, &mut Rng::new(0, "draw")).is_err());
        assert!(bank.of(&[6]).is_err());
    }
}
