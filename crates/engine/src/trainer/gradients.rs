//! The gradients of an update, between the backward pass and the optimiser.

use sconce_core::{GradStore, Var, first_not_finite};

use super::{BatchTensors, Trainer};
use crate::{Result, global_norm};

impl Trainer<'_> {
    /// The norm of the gradients, where it is needed. It is finite only if they are, so that they are looked at by themselves
    /// only where it is not, or not needed.
    pub(super) fn norm(&self, gradients: &GradStore, batch: &impl BatchTensors) -> Result<Option<f64>> {
        let norm = match self.config.clip_norm {
            Some(_) => Some(global_norm(gradients, self.optimizer.params().map(|(_, var)| var))?),
            None => None,
        };
        if norm.is_none_or(|norm| !norm.is_finite()) {
            let named = self.optimizer.params().filter_map(|(name, var)| Some((name, gradients.get(var)?)));
            if let Some((name, value)) = first_not_finite(named)? {
                self.require_finite((&format!("gradient of `{name}`"), value), true, batch)?;
            }
        }
        norm.map_or(Ok(()), |norm| self.require_finite(("gradient norm", norm), true, batch))?;
        Ok(norm)
    }
}

/// Adds `earlier` to `gradients`, for `params` alone: a store holds gradients of inputs too.
pub(super) fn add<'a>(
    gradients: &mut GradStore,
    earlier: &GradStore,
    params: impl Iterator<Item = &'a Var>,
) -> Result<()> {
    for var in params {
        let sum = match (earlier.get(var), gradients.get(var)) {
            (Some(a), Some(b)) => (a + b)?.detach(),
            (Some(a), None) => a.clone(),
            (None, _) => continue,
        };
        gradients.insert(var, sum);
    }
    Ok(())
}
