//! Batch normalisation layer.

use std::sync::Arc;

use candle_core::{CpuStorage, DType, InplaceOp1, Layout};
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::{
    Communicator, Init, Result, Scope, Tensor,
    ops::{self, Activation, BatchNormParams, FrozenBatchNorm, RunningStats, Statistics},
};

/// Where a [`BatchNorm2d`] takes its statistics from when training; in evaluation they are always the running ones.
///
/// A configuration has `"learning"`, `"frozen"`, `"sync"` or `{ split = { splits = 8 } }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BatchNormKind {
    /// The batch.
    #[default]
    Learning,
    /// The running statistics, which stay as they are; weight and bias get no gradient: detectors' frozen batch norm.
    Frozen,
    /// The batches of all ranks that train the model together: one rank's numbers, whatever their number. By itself a rank
    /// does what [`BatchNormKind::Learning`] does.
    Sync,
    /// Parts of the batch, each normalised by itself, as if as many devices had trained side by side: sample n is in part n
    /// modulo `splits`. MoCo's recipe for one device counts on it, lest a batch's statistics tell what belongs together.
    Split {
        /// The number of parts, which divides every batch; where several ranks train, every rank's share of it.
        splits: usize,
    },
}

/// Batch normalisation with `weight`, `bias`, and the buffers `running_mean`, `running_var`, `num_batches_tracked`.
/// Momentum 0.1, eps 1e-5.
#[derive(Clone, Debug)]
pub struct BatchNorm2d {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    num_batches_tracked: Tensor,
    kind: BatchNormKind,
    communicator: Arc<dyn Communicator>,
}

const MOMENTUM: f64 = 0.1;
const EPS: f64 = 1e-5;

impl BatchNorm2d {
    /// Over `channels` channels.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn new(scope: &Scope, channels: usize) -> Result<Self> {
        Self::with_weight(scope, channels, Init::ONES)
    }

    /// Over `channels` channels, with a weight that begins so: zeros for the last one of a residual branch (Goyal et al., 2017).
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn with_weight(scope: &Scope, channels: usize, weight: Init) -> Result<Self> {
        Ok(Self {
            weight: scope.param("weight", channels, weight)?,
            bias: scope.param("bias", channels, Init::ZEROS)?,
            running_mean: scope.statistic("running_mean", channels, 0.0)?,
            running_var: scope.statistic("running_var", channels, 1.0)?,
            num_batches_tracked: scope.buffer("num_batches_tracked", (), 0.0, DType::I64)?,
            kind: BatchNormKind::Learning,
            communicator: scope.communicator().clone(),
        })
    }

    /// The same layer with this kind of statistics.
    #[must_use]
    pub fn kind(mut self, kind: BatchNormKind) -> Self {
        if kind == BatchNormKind::Frozen {
            self.weight = self.weight.detach();
            self.bias = self.bias.detach();
        }
        self.kind = kind;
        self
    }

    /// `(N, C, H, W)` or `(N, C)` → the same.
    ///
    /// # Errors
    /// As [`ops::batch_norm_train`] and [`ops::batch_norm_eval`].
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.forward_with(x, mode, Activation::None)
    }

    /// What this layer does in `mode` if that does not depend on the batch.
    pub(super) fn frozen(&self, mode: Mode) -> Option<FrozenBatchNorm<'_>> {
        let Self { weight, bias, running_mean: mean, running_var: var, .. } = self;
        (mode == Mode::Eval || self.kind == BatchNormKind::Frozen).then_some(FrozenBatchNorm {
            weight,
            bias,
            mean,
            var,
            eps: EPS,
        })
    }

    /// [`Self::forward`] and what follows it, in one pass.
    ///
    /// # Errors
    /// As [`Self::forward`], and if the shape of what is added differs.
    pub fn forward_with(&self, x: &Tensor, mode: Mode, activation: Activation<'_>) -> Result<Tensor> {
        if let Some(FrozenBatchNorm { weight, bias, mean, var, eps }) = self.frozen(mode) {
            return ops::batch_norm_eval(x, weight, bias, (mean, var), eps, activation);
        }
        let Self { weight, bias, running_mean, running_var, .. } = self;
        let running = RunningStats { mean: running_mean, var: running_var, momentum: MOMENTUM };
        let statistics = match self.kind {
            BatchNormKind::Learning | BatchNormKind::Frozen => Statistics::Batch,
            BatchNormKind::Sync => Statistics::Ranks(self.communicator.clone()),
            BatchNormKind::Split { splits } => Statistics::Splits(splits),
        };
        let y =
            ops::batch_norm_train(x, weight, bias, &running, &BatchNormParams { eps: EPS, statistics }, activation)?;
        self.num_batches_tracked.inplace_op1(&Increment)?;
        Ok(y)
    }
}

/// Adds one to a counter.
struct Increment;

impl InplaceOp1 for Increment {
    fn name(&self) -> &'static str {
        "increment"
    }

    fn cpu_fwd(&self, s: &mut CpuStorage, l: &Layout) -> candle_core::Result<()> {
        match s {
            CpuStorage::I64(counter) => counter[l.start_offset()] += 1,
            _ => candle_core::bail!("increment: a counter is an i64"),
        }
        Ok(())
    }
}
