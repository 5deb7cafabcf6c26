//! Evaluation: what a network says of a set of images, without a gradient.

use sconce_core::{Batches, DType, Position, Rng, nn::Mode, ops};

use crate::{
    error::{Result, ScnError},
    model::{Output, Scn},
    train::Batch,
};

/// What a network says of `N` images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// The samples, in the order of the rest.
    pub indices: Vec<usize>,
    /// The importance weights.
    pub alpha: Vec<f64>,
    /// The probabilities of the classes: the softmax of the logits as the loss sees them.
    pub probabilities: Vec<Vec<f64>>,
}

impl Predictions {
    /// Adds what a network says of the samples `indices`.
    ///
    /// # Errors
    /// [`ScnError::NotFinite`] for NaN or infinity, which no class and no certainty can be told from; if the tensors cannot be read.
    pub fn extend(&mut self, output: &Output, indices: impl IntoIterator<Item = usize>) -> Result<()> {
        let probabilities = ops::log_softmax(&output.logits, 1)?.exp()?.to_dtype(DType::F64)?;
        let (probabilities, alpha) =
            (probabilities.to_vec2::<f64>()?, output.alpha.to_dtype(DType::F64)?.to_vec1::<f64>()?);
        for ((index, p), alpha) in indices.into_iter().zip(probabilities).zip(alpha) {
            if !alpha.is_finite() || !p.iter().all(|p| p.is_finite()) {
                return Err(ScnError::NotFinite { index });
            }
            self.indices.push(index);
            self.probabilities.push(p);
            self.alpha.push(alpha);
        }
        Ok(())
    }

    /// The most probable class of each image; of equals the first. α > 0 does not change it.
    pub fn classes(&self) -> Vec<u32> {
        let best = |p: &Vec<f64>| (0..p.len()).fold(0, |best, c| if p[c] > p[best] { c } else { best }) as u32;
        self.probabilities.iter().map(best).collect()
    }

    /// The mean of `−log p` of `labels`, which are by sample index.
    ///
    /// # Errors
    /// [`ScnError::Sample`] or [`ScnError::Label`] for an image without a proper label.
    pub fn mean_loss(&self, labels: &[u32]) -> Result<f64> {
        let mut sum = 0.0;
        for (&index, p) in self.indices.iter().zip(&self.probabilities) {
            let &label = labels.get(index).ok_or(ScnError::Sample { index, len: labels.len() })?;
            let p = p.get(label as usize).ok_or(ScnError::Label { index, label, n_classes: p.len() })?;
            sum -= p.max(f64::MIN_POSITIVE).ln();
        }
        Ok(sum / self.indices.len().max(1) as f64)
    }
}

/// Runs `model` over one epoch of `batches`, in evaluation mode.
///
/// Give it a model on [`Params::detached`](sconce_core::Params::detached) parameters: it then keeps no activations.
///
/// # Errors
/// If a batch cannot be made or does not fit the model.
pub fn predict<B: Batches<Batch = Batch>>(model: &Scn, batches: &mut B) -> Result<Predictions> {
    let failed = |e: B::Error| ScnError::Batches(Box::new(e));
    batches.seek(Position::default()).map_err(failed)?;
    let mut all = Predictions::default();
    // Only a dropout that never sleeps draws from it; every evaluation sees the same masks.
    let rng = &mut Rng::new(0, "evaluation dropout");
    for _ in 0..batches.batches_per_epoch() {
        let batch = batches.next_batch().map_err(failed)?;
        let output = model.forward(&batch.images, Mode::Eval, rng)?;
        all.extend(&output, batch.indices)?;
    }
    Ok(all)
}
