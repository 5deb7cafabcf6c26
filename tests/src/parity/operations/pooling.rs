//! Pooling.

use anyhow::Result;
use sconce_core::ops::{self, AvgPool2dParams, MaxPool2dParams};
use serde::Deserialize;

use super::{Case, Found, Operation, Pair, differentiate};

pub(super) const OPERATIONS: &[(&str, Operation)] =
    &[("adaptive_avg_pool2d", adaptive_avg_pool2d), ("avg_pool2d", avg_pool2d), ("max_pool2d", max_pool2d)];

fn max_pool2d(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        ceil_mode: bool,
    }
    let Attrs { kernel_size, stride, padding, ceil_mode } = case.attrs()?;
    let params =
        MaxPool2dParams { kernel_size: kernel_size.into(), stride: stride.into(), padding: padding.into(), ceil_mode };
    differentiate(case, |inputs| Ok([("y", ops::max_pool2d(inputs.get("x")?, &params)?)]))
}

fn avg_pool2d(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        #[serde(default)]
        ceil_mode: bool,
        count_include_pad: bool,
    }
    let Attrs { kernel_size, stride, padding, ceil_mode, count_include_pad } = case.attrs()?;
    let params = AvgPool2dParams {
        kernel_size: kernel_size.into(),
        stride: stride.into(),
        padding: padding.into(),
        ceil_mode,
        count_include_pad,
    };
    differentiate(case, |inputs| Ok([("y", ops::avg_pool2d(inputs.get("x")?, &params)?)]))
}

fn adaptive_avg_pool2d(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        output_size: Pair,
    }
    let Attrs { output_size } = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::adaptive_avg_pool2d(inputs.get("x")?, output_size.into())?)]))
}
