//! Losses of detectors and of contrastive learning.

use anyhow::Result;
use sconce_core::ops::{
    self, BinaryCrossEntropyParams, SigmoidFocalLossParams, SmoothL1LossParams, SoftmaxFocalLossParams,
};
use serde::Deserialize;

use super::{Case, Found, Operation, differentiate, losses::ReductionName};

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("binary_cross_entropy_with_logits", binary_cross_entropy_with_logits),
    ("info_nce", info_nce),
    ("sigmoid_focal_loss", sigmoid_focal_loss),
    ("smooth_l1_loss", smooth_l1_loss),
    ("softmax_focal_loss", softmax_focal_loss),
];

fn sigmoid_focal_loss(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        alpha: f64,
        gamma: f64,
        reduction: ReductionName,
    }
    let Attrs { alpha, gamma, reduction } = case.attrs()?;
    // torchvision's way to say that there is none.
    let alpha = (alpha >= 0.0).then_some(alpha);
    let params = SigmoidFocalLossParams { alpha, gamma, reduction: reduction.into() };
    differentiate(case, |inputs| {
        Ok([("y", ops::sigmoid_focal_loss(inputs.get("x")?, inputs.get("target")?, &params)?)])
    })
}

fn softmax_focal_loss(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        gamma: f64,
        reduction: ReductionName,
    }
    let Attrs { gamma, reduction } = case.attrs()?;
    let params = SoftmaxFocalLossParams { gamma, reduction: reduction.into() };
    differentiate(case, |inputs| {
        Ok([("y", ops::softmax_focal_loss(inputs.get("x")?, inputs.get("target")?, &params)?)])
    })
}

fn smooth_l1_loss(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        beta: f64,
        reduction: ReductionName,
    }
    let Attrs { beta, reduction } = case.attrs()?;
    let params = SmoothL1LossParams { beta, reduction: reduction.into() };
    differentiate(case, |inputs| Ok([("y", ops::smooth_l1_loss(inputs.get("x")?, inputs.get("target")?, &params)?)]))
}

fn binary_cross_entropy_with_logits(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        reduction: ReductionName,
    }
    let Attrs { reduction } = case.attrs()?;
    differentiate(case, |inputs| {
        let (weight, pos_weight) = (inputs.find("weight").cloned(), inputs.find("pos_weight").cloned());
        let params = BinaryCrossEntropyParams { weight, pos_weight, reduction: reduction.into() };
        Ok([("y", ops::binary_cross_entropy_with_logits(inputs.get("x")?, inputs.get("target")?, &params)?)])
    })
}

fn info_nce(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        temperature: f64,
        normalize_query: bool,
    }
    let Attrs { temperature, normalize_query } = case.attrs()?;
    differentiate(case, |inputs| {
        let (q, k, queue) = (inputs.get("q")?, inputs.get("k")?, inputs.get("queue")?);
        let q = if normalize_query { ops::normalize(q, 1, 1e-12)? } else { q.clone() };
        let logits = ops::info_nce_logits(&q, k, queue, temperature)?;
        Ok([("y", ops::info_nce(&q, k, queue, temperature)?), ("logits", logits)])
    })
}
