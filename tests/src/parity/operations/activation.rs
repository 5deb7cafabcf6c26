//! Element-wise operations and selection.

use anyhow::Result;
use sconce_core::ops;
use serde::Deserialize;

use super::{Case, Found, Nothing, Operation, differentiate};

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("elu", elu),
    ("grad_reverse", grad_reverse),
    ("leaky_relu", leaky_relu),
    ("log_softmax", log_softmax),
    ("relu", relu),
];

fn relu(case: &Case) -> Result<Found> {
    let Nothing {} = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::relu(inputs.get("x")?)?)]))
}

fn elu(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        alpha: f64,
    }
    let Attrs { alpha } = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::elu(inputs.get("x")?, alpha)?)]))
}

fn leaky_relu(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        negative_slope: f64,
    }
    let Attrs { negative_slope } = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::leaky_relu(inputs.get("x")?, negative_slope)?)]))
}

fn log_softmax(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        dim: usize,
    }
    let Attrs { dim } = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::log_softmax(inputs.get("x")?, dim)?)]))
}

fn grad_reverse(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        lambda_: f64,
    }
    let Attrs { lambda_ } = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::gradient_reversal(inputs.get("x")?, lambda_)?)]))
}
