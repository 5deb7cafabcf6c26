//! Selection of elements.

use anyhow::Result;
use sconce_core::ops;
use serde::Deserialize;

use super::{Case, Found, Operation, differentiate};

pub(super) const OPERATIONS: &[(&str, Operation)] = &[("topk", topk)];

fn topk(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        k: usize,
        dim: usize,
    }
    let Attrs { k, dim } = case.attrs()?;
    differentiate(case, |inputs| {
        let (values, indices) = ops::topk(inputs.get("x")?, k, dim)?;
        Ok([("values", values), ("indices", indices)])
    })
}
