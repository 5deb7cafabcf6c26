//! Convolutions.

use anyhow::Result;
use sconce_core::ops::{self, Conv2dParams, ConvTranspose2dParams};
use serde::Deserialize;

use super::{Case, Found, Operation, Pair, differentiate};

pub(super) const OPERATIONS: &[(&str, Operation)] = &[("conv2d", conv2d), ("conv_transpose2d", conv_transpose2d)];

fn conv2d(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: usize,
    }
    let Attrs { stride, padding, dilation, groups } = case.attrs()?;
    let params = Conv2dParams { stride: stride.into(), padding: padding.into(), dilation: dilation.into(), groups };
    differentiate(case, |inputs| {
        Ok([("y", ops::conv2d(inputs.get("x")?, inputs.get("weight")?, inputs.find("bias"), &params)?)])
    })
}

fn conv_transpose2d(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        stride: Pair,
        padding: Pair,
        output_padding: Pair,
        dilation: Pair,
        groups: usize,
    }
    let Attrs { stride, padding, output_padding, dilation, groups } = case.attrs()?;
    let params = ConvTranspose2dParams {
        stride: stride.into(),
        padding: padding.into(),
        output_padding: output_padding.into(),
        dilation: dilation.into(),
        groups,
    };
    differentiate(case, |inputs| {
        let (x, weight) = (inputs.get("x")?, inputs.get("weight")?);
        Ok([("y", ops::conv_transpose2d(x, weight, inputs.find("bias"), &params)?)])
    })
}
