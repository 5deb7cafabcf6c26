//! Resizing, sampling, padding, and what is built on sampling.

use anyhow::Result;
use sconce_core::ops::{
    self, DeformConv2dParams, GridPadding, GridSampleParams, InterpolateMode, Padding2d, SsimParams,
};
use serde::Deserialize;

use super::{Case, Found, Operation, Pair, differentiate};

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("deform_conv2d", deform_conv2d),
    ("grid_sample", grid_sample),
    ("interpolate", interpolate),
    ("reflection_pad2d", reflection_pad2d),
    ("ssim_loss", ssim_loss),
];

fn deform_conv2d(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        stride: Pair,
        padding: Pair,
        dilation: Pair,
    }
    let Attrs { stride, padding, dilation } = case.attrs()?;
    let params = DeformConv2dParams { stride: stride.into(), padding: padding.into(), dilation: dilation.into() };
    differentiate(case, |inputs| {
        let (x, offset, weight) = (inputs.get("x")?, inputs.get("offset")?, inputs.get("weight")?);
        Ok([("y", ops::deform_conv2d(x, offset, weight, inputs.find("bias"), inputs.find("mask"), &params)?)])
    })
}

fn grid_sample(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Bilinear,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Padding {
        Zeros,
        Border,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        mode: Mode,
        padding_mode: Padding,
        align_corners: bool,
    }
    let Attrs { mode: Mode::Bilinear, padding_mode, align_corners } = case.attrs()?;
    let padding_mode = match padding_mode {
        Padding::Zeros => GridPadding::Zeros,
        Padding::Border => GridPadding::Border,
    };
    let params = GridSampleParams { padding_mode, align_corners };
    differentiate(case, |inputs| Ok([("y", ops::grid_sample(inputs.get("x")?, inputs.get("grid")?, &params)?)]))
}

fn interpolate(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(tag = "mode", rename_all = "lowercase", deny_unknown_fields)]
    enum Attrs {
        Nearest { size: Pair },
        Bilinear { size: Pair, align_corners: bool },
    }
    let (size, mode) = match case.attrs()? {
        Attrs::Nearest { size } => (size, InterpolateMode::Nearest),
        Attrs::Bilinear { size, align_corners } => (size, InterpolateMode::Bilinear { align_corners }),
    };
    differentiate(case, |inputs| Ok([("y", ops::interpolate(inputs.get("x")?, size.into(), mode)?)]))
}

fn reflection_pad2d(case: &Case) -> Result<Found> {
    /// One number for all sides, or PyTorch's order.
    #[derive(Clone, Copy, Deserialize)]
    #[serde(untagged)]
    enum Sides {
        Same(usize),
        Each(usize, usize, usize, usize),
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        padding: Sides,
    }
    let Attrs { padding } = case.attrs()?;
    let padding = match padding {
        Sides::Same(padding) => Padding2d::same(padding),
        Sides::Each(left, right, top, bottom) => Padding2d { left, right, top, bottom },
    };
    differentiate(case, |inputs| Ok([("y", ops::reflection_pad2d(inputs.get("x")?, &padding)?)]))
}

fn ssim_loss(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        window: usize,
        c1: f64,
        c2: f64,
    }
    let Attrs { window, c1, c2 } = case.attrs()?;
    let params = SsimParams { window, c1, c2 };
    differentiate(case, |inputs| Ok([("y", ops::ssim_loss(inputs.get("x")?, inputs.get("y")?, &params)?)]))
}
