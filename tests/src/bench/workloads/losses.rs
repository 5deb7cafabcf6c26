//! Losses.

use anyhow::Result;
use sconce_core::ops;

use super::{Workload, WorkloadSpec, differentiable::Differentiable, normal};

pub(super) const WORKLOADS: &[WorkloadSpec] =
    &[WorkloadSpec { name: "info_nce 256x65536x128 forward+backward", make: info_nce }];

/// MoCo's loss with its queue.
fn info_nce() -> Result<Box<dyn Workload>> {
    let unit = |name: &str, n: usize| -> Result<_> { Ok(ops::normalize(&normal(name, &[n, 128])?, 1, 1e-12)?) };
    let queue = unit("queue", 65_536)?.t()?.contiguous()?; // (128, 65536)
    let inputs = vec![("q", unit("q", 256)?), ("k", unit("k", 256)?), ("queue", queue)];
    Differentiable::boxed(inputs, &["q"], |inputs| {
        Ok(ops::info_nce(&inputs["q"], &inputs["k"], &inputs["queue"], 0.07)?)
    })
}
