//! Element-wise operations and selection.

use anyhow::Result;
use sconce_core::ops;
use serde::Deserialize;

use super::{Case, Found, Nothing, Operation, differentiate};

pub(super) const OPERATIONS: &[(&str, Operation)] =
    &[("grad_reverse", grad_reverse), ("log_softmax", log_softmax), ("relu", relu)];

fn relu(case: &Case) -> Result<Found> {
    let Nothing {} = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::relu(inputs.get("x")?)?)]))
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
