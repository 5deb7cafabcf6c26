//! Normalisations.

use anyhow::Result;
use sconce_core::ops::{self, Activation, BatchNormParams, RunningStats, Statistics};
use serde::Deserialize;

use super::{Case, Found, Operation, differentiate};

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("batch_norm_eval", batch_norm_eval),
    ("batch_norm_train", batch_norm_train),
    ("group_norm", group_norm),
    ("weight_norm", weight_norm),
];

fn batch_norm_train(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        eps: f64,
        momentum: f64,
        /// Parts of the batch that are normalised by themselves.
        splits: Option<usize>,
    }
    let Attrs { eps, momentum, splits } = case.attrs()?;
    differentiate(case, |inputs| {
        let (x, weight, bias) = (inputs.get("x")?, inputs.get("weight")?, inputs.get("bias")?);
        // The format has every case start from mean 0 and variance 1.
        let (mean, var) = (bias.zeros_like()?, bias.ones_like()?);
        let running = RunningStats { mean: &mean, var: &var, momentum };
        let params = BatchNormParams { eps, statistics: splits.map_or(Statistics::Batch, Statistics::Splits) };
        let y = ops::batch_norm_train(x, weight, bias, &running, &params, Activation::None)?;
        Ok([("y", y), ("running_mean", mean), ("running_var", var)])
    })
}

fn batch_norm_eval(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        eps: f64,
    }
    let Attrs { eps } = case.attrs()?;
    differentiate(case, |inputs| {
        let (x, weight, bias) = (inputs.get("x")?, inputs.get("weight")?, inputs.get("bias")?);
        let statistics = (inputs.get("running_mean")?, inputs.get("running_var")?);
        Ok([("y", ops::batch_norm_eval(x, weight, bias, statistics, eps, Activation::None)?)])
    })
}

fn group_norm(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        num_groups: usize,
        eps: f64,
    }
    let Attrs { num_groups, eps } = case.attrs()?;
    differentiate(case, |inputs| {
        let (x, weight, bias) = (inputs.get("x")?, inputs.get("weight")?, inputs.get("bias")?);
        Ok([("y", ops::group_norm(x, num_groups, weight, bias, eps)?)])
    })
}

fn weight_norm(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        dim: usize,
    }
    let Attrs { dim } = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::weight_norm(inputs.get("v")?, inputs.get("g")?, dim)?)]))
}
