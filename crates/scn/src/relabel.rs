//! Relabelling, §3.4: the labels that training believes, and what became of each.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sconce_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::{
    config::{RelabelConfig, RelabelScope},
    error::{Result, ScnError},
    loss::Groups,
};

/// What relabelling proposes for a batch: the label of each sample, changed where the condition holds.
///
/// `y' = argmax p` if `max p − p_y > margin` (strictly), with `p` the softmax of the weighted logits, for the samples that
/// `scope` lets change. Of equal maxima the first class wins.
///
/// # Shapes
/// - `logits`: `(B, C)`, as the loss of the step saw them
/// - `labels`: `B`
///
/// # Errors
/// If the shapes do not fit or a label is not a class.
pub fn relabel(logits: &Tensor, labels: &[u32], groups: &Groups, config: &RelabelConfig) -> Result<Vec<u32>> {
    let logits: Vec<Vec<f64>> = logits.to_dtype(DType::F64)?.to_vec2()?;
    let mut proposed = labels.to_vec();
    let candidates: Vec<usize> = match config.scope {
        RelabelScope::Off => Vec::new(),
        RelabelScope::LowGroup => groups.low.clone(),
        RelabelScope::WholeBatch => (0..labels.len()).collect(),
    };
    for i in candidates {
        let (p, n_classes) = (softmax(&logits[i]), logits[i].len());
        let label = labels[i] as usize;
        let p_label = *p.get(label).ok_or(ScnError::Label { index: i, label: labels[i], n_classes })?;
        let best = (0..n_classes).fold(0, |best, c| if p[c] > p[best] { c } else { best });
        if p[best] - p_label > config.margin {
            proposed[i] = best as u32;
        }
    }
    Ok(proposed)
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exp: Vec<f64> = logits.iter().map(|z| (z - max).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.iter().map(|e| e / sum).collect()
}

/// One label that was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The sample.
    pub index: usize,
    /// The label before.
    pub from: u32,
    /// The label after.
    pub to: u32,
}

/// The labels of a training set: as given, as they are now, and every change on the way.
///
/// It is shared between the loop, which changes it, and the checkpoint, which stores it.
#[derive(Debug)]
pub struct LabelTable {
    labels: Mutex<Labels>,
    n_classes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Labels {
    original: Vec<u32>,
    current: Vec<u32>,
    changes: Vec<Change>,
}

impl LabelTable {
    /// The table of the labels that training is given, noise included.
    ///
    /// # Errors
    /// [`ScnError::Label`] for a label that is not one of `n_classes`.
    pub fn new(labels: Vec<u32>, n_classes: usize) -> Result<Self> {
        check(&labels, n_classes)?;
        let labels = Labels { current: labels.clone(), original: labels, changes: Vec::new() };
        Ok(Self { labels: Mutex::new(labels), n_classes })
    }

    /// The labels as given.
    pub fn original(&self) -> Vec<u32> {
        self.lock().original.clone()
    }

    /// The labels as they are now.
    pub fn current(&self) -> Vec<u32> {
        self.lock().current.clone()
    }

    /// Every change, in order.
    pub fn changes(&self) -> Vec<Change> {
        self.lock().changes.clone()
    }

    /// The labels that samples `indices` have now.
    ///
    /// # Errors
    /// [`ScnError::Sample`] for an index beyond the table.
    pub fn of(&self, indices: &[usize]) -> Result<Vec<u32>> {
        let labels = self.lock();
        let label = |&index: &usize| {
            labels.current.get(index).copied().ok_or(ScnError::Sample { index, len: labels.current.len() })
        };
        indices.iter().map(label).collect()
    }

    /// Gives samples `indices` new labels and returns how many differ from what they had.
    ///
    /// # Errors
    /// [`ScnError::Sample`] or [`ScnError::Label`], before anything is changed.
    pub fn update(&self, indices: &[usize], new: &[u32], epoch: usize) -> Result<usize> {
        check(new, self.n_classes)?;
        let mut labels = self.lock();
        let len = labels.current.len();
        if let Some(&index) = indices.iter().find(|&&i| i >= len) {
            return Err(ScnError::Sample { index, len });
        }
        let before = labels.changes.len();
        for (&index, &to) in indices.iter().zip(new) {
            let from = labels.current[index];
            if from != to {
                labels.current[index] = to;
                labels.changes.push(Change { epoch, index, from, to });
            }
        }
        Ok(labels.changes.len() - before)
    }

    fn lock(&self) -> MutexGuard<'_, Labels> {
        // Nothing panics between the writes of an update.
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table as JSON, for a checkpoint.
    ///
    /// # Errors
    /// [`ScnError::LabelTable`] if it cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(&*self.lock()).map_err(|e| ScnError::LabelTable { what: e.to_string() })
    }

    /// Takes over a table that [`LabelTable::to_json`] wrote, for the same samples.
    ///
    /// # Errors
    /// [`ScnError::LabelTable`] if it is not such a table, or that of another training set.
    pub fn restore(&self, json: &[u8]) -> Result<()> {
        let stored: Labels = serde_json::from_slice(json).map_err(|e| ScnError::LabelTable { what: e.to_string() })?;
        let mut labels = self.lock();
        if stored.original != labels.original || stored.current.len() != stored.original.len() {
            let what = format!(
                "it is of another training set: {} labels stored, {} here, or other values",
                stored.original.len(),
                labels.original.len()
            );
            return Err(ScnError::LabelTable { what });
        }
        check(&stored.current, self.n_classes)?;
        *labels = stored;
        Ok(())
    }
}

fn check(labels: &[u32], n_classes: usize) -> Result<()> {
    match labels.iter().position(|&l| l as usize >= n_classes) {
        Some(index) => Err(ScnError::Label { index, label: labels[index], n_classes }),
        None => Ok(()),
    }
}

/// Labels as the tensor that a loss takes: `(B)`, i64.
///
/// # Errors
/// If the device has no room.
pub fn label_tensor(labels: &[u32], device: &Device) -> Result<Tensor> {
    let labels: Vec<i64> = labels.iter().map(|&l| l.into()).collect();
    let n = labels.len();
    Ok(Tensor::from_vec(labels, n, device)?)
}

/// How well a relabelling did, where the true labels are known. A share of nothing is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelabelQuality {
    /// Samples whose label is not the one given.
    pub relabelled: usize,
    /// Of those, the share whose label is now true.
    pub precision: Option<f64>,
    /// Of the samples whose given label was wrong, the share whose label is now true.
    pub recall: Option<f64>,
    /// Of the samples whose given label was right, the share whose label is now wrong.
    pub broken: Option<f64>,
    /// The share of all labels that is wrong now.
    pub noise_left: Option<f64>,
}

impl RelabelQuality {
    /// Compares given and current labels with the true ones; the three have one length.
    pub fn new(given: &[u32], current: &[u32], truth: &[u32]) -> Self {
        let rows = || given.iter().zip(current).zip(truth).map(|((&g, &c), &t)| (g, c, t));
        let count = |f: &dyn Fn(u32, u32, u32) -> bool| rows().filter(|&(g, c, t)| f(g, c, t)).count();
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        let relabelled = count(&|g, c, _| g != c);
        Self {
            relabelled,
            precision: share(count(&|g, c, t| g != c && c == t), relabelled),
            recall: share(count(&|g, c, t| g != t && c == t), count(&|g, _, t| g != t)),
            broken: share(count(&|g, c, t| g == t && c != t), count(&|g, _, t| g == t)),
            noise_left: share(count(&|_, c, t| c != t), given.len()),
        }
    }
}
