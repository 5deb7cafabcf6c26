//! Losses.

use anyhow::Result;
use sconce_core::{
    Tensor,
    ops::{self, CrossEntropyParams, Reduction},
};
use sconce_scn::{Combine, Groups};
use serde::Deserialize;

use super::{Case, Found, Operation, differentiate};

pub(super) const OPERATIONS: &[(&str, Operation)] =
    &[("cross_entropy", cross_entropy), ("scn_loss", scn_loss), ("soft_cross_entropy", soft_cross_entropy)];

/// PyTorch's names of [`Reduction`].
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ReductionName {
    None,
    Mean,
    Sum,
}

impl From<ReductionName> for Reduction {
    fn from(name: ReductionName) -> Self {
        match name {
            ReductionName::None => Self::None,
            ReductionName::Mean => Self::Mean,
            ReductionName::Sum => Self::Sum,
        }
    }
}

fn cross_entropy(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        reduction: ReductionName,
        ignore_index: Option<i64>,
        #[serde(default)]
        label_smoothing: f64,
    }
    let Attrs { reduction, ignore_index, label_smoothing } = case.attrs()?;
    differentiate(case, |inputs| {
        let weight = inputs.find("weight").cloned();
        let params = CrossEntropyParams { weight, ignore_index, label_smoothing, reduction: reduction.into() };
        Ok([("y", ops::cross_entropy(inputs.get("x")?, inputs.get("target")?, &params)?)])
    })
}

fn soft_cross_entropy(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        reduction: ReductionName,
    }
    let Attrs { reduction } = case.attrs()?;
    differentiate(case, |inputs| {
        Ok([("y", ops::soft_cross_entropy(inputs.get("x")?, inputs.get("target")?, reduction.into())?)])
    })
}

fn scn_loss(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum How {
        Sum,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        beta: f64,
        margin: f64,
        combine: How,
    }
    let Attrs { beta, margin, combine: How::Sum } = case.attrs()?;
    differentiate(case, |inputs| {
        let (logits, alpha, target) = (inputs.get("logits")?, inputs.get("alpha")?, inputs.get("target")?);
        let weighted = logits.broadcast_mul(&alpha.unsqueeze(1)?)?; // (B, C)
        let wce = sconce_scn::weighted_cross_entropy(&weighted, target)?;
        let groups = Groups::split(alpha, beta)?;
        let margin = Tensor::new(margin, alpha.device())?.to_dtype(alpha.dtype())?;
        let rank = sconce_scn::rank_regularization(alpha, &groups, &margin)?;
        Ok([("y", sconce_scn::combine(&wce, &rank, Combine::Sum)?), ("wce", wce), ("rank_regularization", rank)])
    })
}
