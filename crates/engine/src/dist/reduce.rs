//! The sum of gradients over ranks.

use candle_core::{CpuStorage, Storage};
use sconce_core::{DType, GradStore, Tensor, Var};

use super::Communicator;
use crate::Result;

/// Elements that travel together, where parameters are not larger themselves: few enough that the next ones are packed while
/// they are under way, and many enough that what a message costs is nothing beside what they do.
const BUCKET: usize = 1 << 20;

/// Puts in place of every gradient of `params` its sum over all ranks. A parameter that has a gradient on some ranks alone
/// counts as zero on the others; one without any stays without.
///
/// The sums come after the backward pass and not while it runs: a parameter may be used several times, by operations of
/// Candle's too, and Candle tells nobody when the last use has been seen.
///
/// All ranks give the same `params` in the same order.
///
/// # Errors
/// [`EngineError::Core`](crate::EngineError::Core) if a rank is gone.
pub(crate) fn sum_gradients<'a>(
    ranks: &dyn Communicator,
    gradients: &mut GradStore,
    params: impl Iterator<Item = &'a Var>,
) -> Result<()> {
    if ranks.is_alone() {
        return Ok(());
    }
    let buckets = buckets(params);
    let mut packed = buckets.first().map(|bucket| bucket.pack(gradients)).transpose()?;
    for (i, bucket) in buckets.iter().enumerate() {
        let Some(mut values) = packed else { break };
        let next = buckets.get(i + 1);
        let (sum, next) = rayon::join(|| values.sum(ranks), || next.map(|bucket| bucket.pack(gradients)).transpose());
        sum?;
        bucket.unpack(&values, gradients)?;
        packed = next?;
    }
    Ok(())
}

/// Parameters that travel together.
struct Bucket<'a> {
    vars: Vec<&'a Var>,
    is_double: bool,
    len: usize,
}

fn buckets<'a>(params: impl Iterator<Item = &'a Var>) -> Vec<Bucket<'a>> {
    let mut buckets: Vec<Bucket<'a>> = Vec::new();
    for var in params {
        let (is_double, len) = (var.dtype() == DType::F64, var.elem_count() + 1);
        match buckets.last_mut() {
            Some(last) if last.is_double == is_double && last.len + len <= BUCKET => {
                last.vars.push(var);
                last.len += len;
            }
            _ => buckets.push(Bucket { vars: vec![var], is_double, len }),
        }
    }
    buckets
}

/// The gradients of a bucket one after the other, each with a one behind it if there is such a gradient, else a zero.
enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Values {
    fn sum(&mut self, ranks: &dyn Communicator) -> sconce_core::Result<()> {
        match self {
            Self::F32(values) => ranks.all_reduce_sum_f32(values),
            Self::F64(values) => ranks.all_reduce_sum_f64(values),
        }
    }
}

impl Bucket<'_> {
    fn pack(&self, gradients: &GradStore) -> Result<Values> {
        let mut values = match self.is_double {
            true => Values::F64(Vec::with_capacity(self.len)),
            false => Values::F32(Vec::with_capacity(self.len)),
        };
        for var in &self.vars {
            let gradient = gradients.get(var).map(|gradient| gradient.contiguous()).transpose()?;
            let gradient = match &gradient {
                Some(gradient) if !self.is_double => Some(gradient.to_dtype(DType::F32)?),
                other => other.clone(),
            };
            match &mut values {
                Values::F32(values) => append(values, gradient.as_ref(), var.elem_count(), 1.0)?,
                Values::F64(values) => append(values, gradient.as_ref(), var.elem_count(), 1.0)?,
            }
        }
        Ok(values)
    }

    fn unpack(&self, values: &Values, gradients: &mut GradStore) -> Result<()> {
        let mut at = 0;
        for var in &self.vars {
            let n = var.elem_count();
            let is_there = match values {
                Values::F32(values) => values[at + n] > 0.0,
                Values::F64(values) => values[at + n] > 0.0,
            };
            if is_there {
                let device = &sconce_core::Device::Cpu;
                let sum = match values {
                    Values::F32(values) => Tensor::from_slice(&values[at..at + n], var.shape(), device)?,
                    Values::F64(values) => Tensor::from_slice(&values[at..at + n], var.shape(), device)?,
                };
                gradients.insert(var, sum.to_dtype(var.dtype())?.to_device(var.device())?);
            }
            at += n + 1;
        }
        Ok(())
    }
}

/// Appends the elements of a contiguous gradient and `mark`, or zeros.
fn append<T: candle_core::WithDType + Default>(
    values: &mut Vec<T>,
    gradient: Option<&Tensor>,
    n: usize,
    mark: T,
) -> Result<()> {
    let Some(gradient) = gradient else {
        values.resize(values.len() + n + 1, T::default());
        return Ok(());
    };
    let (storage, layout) = gradient.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => values.extend_from_slice(elements(storage, layout.start_offset(), n)?),
        _ => {
            drop(storage);
            values.extend(gradient.flatten_all()?.to_vec1::<T>()?);
        }
    }
    values.push(mark);
    Ok(())
}

fn elements<T: candle_core::WithDType>(storage: &CpuStorage, start: usize, n: usize) -> Result<&[T]> {
    Ok(&storage.as_slice::<T>()?[start..start + n])
}
