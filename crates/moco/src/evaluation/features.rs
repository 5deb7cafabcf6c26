//! Features of images, without a gradient.

use rayon::prelude::*;
use sconce_core::{Batches, DType, Device, Position, Tensor};

use crate::error::{MocoError, Result};

/// The features of `N` images, in the order of their dataset, with their labels.
///
/// Of ImageNet's training images those of a ResNet-50 take 10 GB, so that nothing here copies all of them:
/// [`Features::normalized`] and [`Features::into_tensor`] keep the memory that there is.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// `N` rows of `dim` values.
    values: Vec<f32>,
    dim: usize,
    labels: Vec<u32>,
}

/// Images with labels.
#[derive(Clone, Debug)]
pub struct LabelledImages {
    /// `(B, C, H, W)`, normalised.
    pub images: Tensor,
    /// `B` labels.
    pub labels: Vec<u32>,
}

const MOST_CLASSES: u32 = 1 << 20;

impl Features {
    /// Rows of `dim` values, a label each.
    ///
    /// # Errors
    /// If the lengths do not fit, a value is not finite or a label is beyond 2²⁰.
    pub fn new(values: Vec<f32>, dim: usize, labels: Vec<u32>) -> Result<Self> {
        if dim == 0 || values.len() != dim * labels.len() {
            let found = format!("{} values of dimension {dim}", values.len());
            return Err(MocoError::argument("features", found, format!("{} rows", labels.len())));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let found = format!("{} in row {}", values[at], at / dim);
            return Err(MocoError::argument("features", found, "finite numbers; check that the weights are finite"));
        }
        if let Some(row) = labels.iter().position(|&label| label >= MOST_CLASSES) {
            let found = format!("{} in row {row}", labels[row]);
            return Err(MocoError::argument("label of features", found, format!("less than {MOST_CLASSES}")));
        }
        Ok(Self { values, dim, labels })
    }

    /// What `encode` makes of each batch of an epoch: `(B, dim)`, on a model without a gradient and in evaluation mode.
    ///
    /// # Errors
    /// If a batch cannot be made or does not fit the model.
    pub fn extract<B: Batches<Batch = LabelledImages>>(
        batches: &mut B,
        encode: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        let failed = |e: B::Error| MocoError::Batches(Box::new(e));
        batches.seek(Position::default()).map_err(failed)?;
        let (mut values, mut labels, mut dim) = (Vec::new(), Vec::new(), 0);
        let n_batches = batches.batches_per_epoch();
        for i in 0..n_batches {
            let batch = batches.next_batch().map_err(failed)?;
            let rows = encode(&batch.images)?.to_dtype(DType::F32)?;
            dim = rows.dim(1)?;
            if i == 0 {
                // No batch is larger than the first one. Growing would hold the rows twice for a moment.
                values.reserve_exact(n_batches * rows.elem_count());
            }
            values.extend_from_slice(&rows.flatten_all()?.to_vec1::<f32>()?);
            labels.extend(batch.labels);
        }
        Self::new(values, dim, labels)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The length of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The rows, one after the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// A row.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.dim..][..self.dim]
    }

    /// The labels.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The rows at `rows`.
    #[must_use]
    pub fn subset(&self, rows: &[usize]) -> Self {
        let mut values = Vec::with_capacity(rows.len() * self.dim);
        rows.iter().for_each(|&i| values.extend_from_slice(self.row(i)));
        Self { values, dim: self.dim, labels: rows.iter().map(|&i| self.labels[i]).collect() }
    }

    /// Each row divided by its length, in place; a row of zeros stays one.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        normalize(&mut self.values, self.dim);
        self
    }

    /// The rows from `start` to `end` as a tensor `(end − start, dim)`, each divided by its length.
    pub(super) fn unit_rows(&self, start: usize, end: usize) -> Result<Tensor> {
        let mut rows = self.values[start * self.dim..end * self.dim].to_vec();
        normalize(&mut rows, self.dim);
        Ok(Tensor::from_vec(rows, (end - start, self.dim), &Device::Cpu)?)
    }

    /// All rows as a tensor `(N, dim)` on the CPU, which takes over their memory.
    ///
    /// # Errors
    /// If the tensor cannot be made.
    pub fn into_tensor(self) -> Result<Tensor> {
        let shape = (self.len(), self.dim);
        Ok(Tensor::from_vec(self.values, shape, &Device::Cpu)?)
    }
}

/// Divides each row of `dim` values by its length.
fn normalize(values: &mut [f32], dim: usize) {
    values.par_chunks_mut(dim).for_each(|row| {
        let length = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt().max(1e-12);
        row.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    });
}
