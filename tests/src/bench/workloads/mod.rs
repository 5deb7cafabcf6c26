//! What is timed.

mod contrastive;
mod decoder;
mod detection;
mod differentiable;
mod evaluation;
mod losses;
mod optimizer;
mod pipeline;
mod regions;
mod training;

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, bail};
use candle_core::Storage;
use sconce_core::{DType, Device, Rng, Tensor};

use super::exchange;

/// A workload by its name.
pub struct WorkloadSpec {
    /// Its name, here and in the twin.
    pub name: &'static str,
    /// Builds it.
    pub make: fn() -> Result<Box<dyn Workload>>,
}

/// Something to be timed.
pub trait Workload {
    /// What it starts from: parameters by PyTorch's names, and inputs.
    fn tensors(&self) -> BTreeMap<String, Tensor>;

    /// Writes what a twin starts from to `folder`, before anything else is asked of it.
    ///
    /// # Errors
    /// If it cannot be written.
    fn export(&mut self, folder: &Path) -> Result<()> {
        exchange::write(folder, &self.tensors())
    }

    /// Runs it a few times, and gives numbers on which a twin has to agree.
    ///
    /// # Errors
    /// If it fails.
    fn check(&mut self) -> Result<Vec<f64>>;

    /// One repetition.
    ///
    /// # Errors
    /// If it fails.
    fn run(&mut self) -> Result<()>;
}

/// All workloads; a further one enters in one of these files and in the twin.
pub fn workloads() -> impl Iterator<Item = &'static WorkloadSpec> {
    let families = [
        training::WORKLOADS,
        detection::WORKLOADS,
        contrastive::WORKLOADS,
        differentiable::WORKLOADS,
        decoder::WORKLOADS,
        losses::WORKLOADS,
        regions::WORKLOADS,
        optimizer::WORKLOADS,
        pipeline::WORKLOADS,
        evaluation::WORKLOADS,
    ];
    families.into_iter().flatten()
}

/// Normal draws, the same for the same purpose.
fn normal(purpose: &str, shape: &[usize]) -> Result<Tensor> {
    Ok(Rng::new(0, purpose).normal_tensor((0.0, 1.0), shape, DType::F32, &Device::Cpu)?)
}

/// In place: a copy would count in the workload's peak memory.
fn mean_square(tensor: &Tensor) -> Result<f64> {
    let tensor = tensor.to_dtype(DType::F32)?.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { bail!("the result of a workload is not on the CPU") };
    let (start, end) = layout.contiguous_offsets().context("a contiguous tensor")?;
    let values = &storage.as_slice::<f32>()?[start..end];
    Ok(values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / values.len() as f64)
}
