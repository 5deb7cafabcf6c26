//! What rank 0 does for all.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use super::Communicator;
use crate::{EngineError, Result};

/// What `f` gives on rank 0, which alone runs it. If it fails there, it fails everywhere.
///
/// # Errors
/// That of `f` on rank 0, and on the others [`EngineError::OnRank`], which quotes it.
pub fn on_root<T, E>(
    ranks: &dyn Communicator,
    f: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E>
where
    T: Serialize + DeserializeOwned,
    E: fmt::Display + From<EngineError>,
{
    if ranks.is_alone() {
        return f();
    }
    if ranks.is_root() {
        let outcome = f();
        let told = outcome.as_ref().map_err(|e| format!("{e:#}"));
        let bytes = serde_json::to_vec(&told).map_err(|e| EngineError::format("what rank 0 tells", e))?;
        ranks.broadcast(0, bytes).map_err(EngineError::from)?;
        outcome
    } else {
        let bytes = ranks.broadcast(0, Vec::new()).map_err(EngineError::from)?;
        let told: std::result::Result<T, String> =
            serde_json::from_slice(&bytes).map_err(|e| EngineError::format("what rank 0 tells", e))?;
        told.map_err(|what| EngineError::OnRank { rank: 0, what }.into())
    }
}

/// The greatest of all ranks' numbers.
pub(crate) fn greatest(ranks: &dyn Communicator, own: i32) -> Result<i32> {
    if ranks.is_alone() {
        return Ok(own);
    }
    let all = ranks.all_gather_f64(&[f64::from(own)])?;
    Ok(all.into_iter().flatten().fold(own, |greatest, of_rank| greatest.max(of_rank as i32)))
}
