//! Boxes, and features of regions.

use anyhow::Result;
use sconce_core::ops::{self, RoiAlignParams, RoiPoolParams};
use serde::Deserialize;

use super::{Case, Found, Nothing, Operation, Pair, differentiate};

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("batched_nms", batched_nms),
    ("box_iou", box_iou),
    ("generalized_box_iou", generalized_box_iou),
    ("nms", nms),
    ("roi_align", roi_align),
    ("roi_pool", roi_pool),
];

fn box_iou(case: &Case) -> Result<Found> {
    let Nothing {} = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::box_iou(inputs.get("boxes1")?, inputs.get("boxes2")?)?)]))
}

fn generalized_box_iou(case: &Case) -> Result<Found> {
    let Nothing {} = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::generalized_box_iou(inputs.get("boxes1")?, inputs.get("boxes2")?)?)]))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Threshold {
    iou_threshold: f64,
}

fn nms(case: &Case) -> Result<Found> {
    let Threshold { iou_threshold } = case.attrs()?;
    differentiate(case, |inputs| Ok([("keep", ops::nms(inputs.get("boxes")?, inputs.get("scores")?, iou_threshold)?)]))
}

fn batched_nms(case: &Case) -> Result<Found> {
    let Threshold { iou_threshold } = case.attrs()?;
    differentiate(case, |inputs| {
        let (boxes, scores, idxs) = (inputs.get("boxes")?, inputs.get("scores")?, inputs.get("idxs")?);
        Ok([("keep", ops::batched_nms(boxes, scores, idxs, iou_threshold)?)])
    })
}

fn roi_align(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        output_size: Pair,
        spatial_scale: f64,
        sampling_ratio: usize,
        aligned: bool,
    }
    let Attrs { output_size, spatial_scale, sampling_ratio, aligned } = case.attrs()?;
    let params = RoiAlignParams { output_size: output_size.into(), spatial_scale, sampling_ratio, aligned };
    differentiate(case, |inputs| Ok([("y", ops::roi_align(inputs.get("x")?, inputs.get("boxes")?, &params)?)]))
}

fn roi_pool(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        output_size: Pair,
        spatial_scale: f64,
    }
    let Attrs { output_size, spatial_scale } = case.attrs()?;
    let params = RoiPoolParams { output_size: output_size.into(), spatial_scale };
    differentiate(case, |inputs| Ok([("y", ops::roi_pool(inputs.get("x")?, inputs.get("boxes")?, &params)?)]))
}
