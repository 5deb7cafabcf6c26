//! Parameters that are the same on all ranks.

use std::collections::BTreeMap;

use candle_core::safetensors::load_buffer;
use sconce_core::{DType, Device, Params, Tensor, Tolerance};

use super::Communicator;
use crate::{EngineError, Result};

/// Gives all ranks the values of rank 0, buffers included.
///
/// # Errors
/// [`EngineError::Mismatch`] on all ranks if their models differ in names, shapes or types.
pub fn broadcast_params(ranks: &dyn Communicator, params: &Params) -> Result<()> {
    if ranks.is_alone() {
        return Ok(());
    }
    let tensors = params.tensors();
    let layout = |(name, t): (&String, &Tensor)| format!("{name} {:?} {:?}", t.dims(), t.dtype());
    let own: Vec<String> = tensors.iter().map(layout).collect();
    let all = ranks.all_gather(own.join("\n").as_bytes())?;
    for (rank, bytes) in all.iter().enumerate() {
        let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
        let (found, expected) = (lines(bytes), lines(&all[0]));
        if found != expected {
            let at = found.iter().zip(&expected).take_while(|(a, b)| a == b).count();
            let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "nothing more".to_owned());
            let found = format!("{} on rank {rank}", line(&found));
            return Err(EngineError::mismatch("parameters of the ranks' models", found, line(&expected)));
        }
    }
    let own = match ranks.is_root() {
        true => safetensors::serialize(&tensors, None).map_err(|e| EngineError::format("parameters", e))?,
        false => Vec::new(),
    };
    let bytes = ranks.broadcast(0, own)?;
    if !ranks.is_root() {
        let tensors: BTreeMap<String, Tensor> = load_buffer(&bytes, &Device::Cpu)?.into_iter().collect();
        params.load("rank 0", &tensors, Tolerance::Exact)?;
    }
    Ok(())
}

/// Puts the mean over all ranks in place of every [statistic](sconce_core::Scope::statistic): what one process would have that
/// normalises the same groups. Values that are the same everywhere keep their bits.
///
/// [`Trainer`](crate::Trainer) does so with its own parameters after every update.
///
/// # Errors
/// [`EngineError::Core`] if a rank is gone.
pub fn average_statistics(ranks: &dyn Communicator, params: &Params) -> Result<()> {
    let statistics = params.statistics();
    if ranks.is_alone() || statistics.is_empty() {
        return Ok(());
    }
    let mut values = Vec::new();
    for (_, var) in &statistics {
        values.extend(var.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?);
    }
    ranks.all_reduce_sum_f64(&mut values)?;
    values.iter_mut().for_each(|value| *value /= ranks.size() as f64);
    let mut rest = values.as_slice();
    for (_, var) in &statistics {
        let (own, others) = rest.split_at(var.elem_count());
        rest = others;
        let mean = Tensor::from_slice(own, var.shape(), &Device::Cpu)?;
        var.set(&mean.to_dtype(var.dtype())?.to_device(var.device())?)?;
    }
    Ok(())
}

/// Checks that all ranks have the same bits in every parameter and buffer, as they must after the same steps.
pub(crate) fn require_equal(ranks: &dyn Communicator, params: &Params) -> Result<()> {
    if ranks.is_alone() {
        return Ok(());
    }
    let mut sums = Vec::new();
    for tensor in params.tensors().values() {
        let data = safetensors::View::data(tensor);
        sums.extend(crc32c::crc32c(&data).to_le_bytes());
    }
    let all = ranks.all_gather(&sums)?;
    let names = params.names();
    for (rank, of_rank) in all.iter().enumerate() {
        if let Some(at) = of_rank.chunks(4).zip(all[0].chunks(4)).position(|(a, b)| a != b) {
            let what = format!("`{}` after the same steps", names[at]);
            return Err(EngineError::mismatch(what, format!("other values on rank {rank}"), "those of rank 0"));
        }
    }
    Ok(())
}
