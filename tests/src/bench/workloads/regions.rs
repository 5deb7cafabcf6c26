//! What a detector does with boxes.

use anyhow::Result;
use sconce_core::{
    Device, Rng, Tensor,
    ops::{self, RoiAlignParams},
};

use super::{Workload, WorkloadSpec, differentiable::Differentiable, normal};

pub(super) const WORKLOADS: &[WorkloadSpec] = &[
    WorkloadSpec { name: "nms 12000 boxes", make: nms },
    WorkloadSpec { name: "roi_align 512 boxes 256x50x76 7x7 forward+backward", make: roi_align },
];

/// The suppression among a region proposal network's candidates.
fn nms() -> Result<Box<dyn Workload>> {
    let boxes: Vec<f32> = proposals(12_000, (1000.0, 600.0)).into_flattened();
    let n = boxes.len() / 4;
    let scores = Rng::new(0, "scores").uniform_tensor((0.0, 1.0), n, sconce_core::DType::F32, &Device::Cpu)?;
    let inputs = vec![("boxes", Tensor::from_vec(boxes, (n, 4), &Device::Cpu)?), ("scores", scores)];
    Differentiable::boxed(inputs, &[], |inputs| Ok(ops::nms(&inputs["boxes"], &inputs["scores"], 0.7)?))
}

/// The features of Faster R-CNN's regions in an image of 1216 × 800 pixels.
fn roi_align() -> Result<Box<dyn Workload>> {
    let boxes = proposals(512, (1216.0, 800.0));
    let boxes: Vec<f32> = boxes.iter().flat_map(|&[x1, y1, x2, y2]| [0.0, x1, y1, x2, y2]).collect();
    let boxes = Tensor::from_vec(boxes, (512, 5), &Device::Cpu)?;
    Differentiable::boxed(vec![("x", normal("x", &[1, 256, 50, 76])?), ("boxes", boxes)], &["x"], |inputs| {
        let params =
            RoiAlignParams { output_size: (7, 7), spatial_scale: 1.0 / 16.0, sampling_ratio: 2, aligned: false };
        Ok(ops::roi_align(&inputs["x"], &inputs["boxes"], &params)?) // (512, 256, 7, 7)
    })
}

/// `n` boxes of an image of `width` × `height` pixels: every other one near one of 40 objects, the rest anywhere, with the
/// sizes and shapes of Faster R-CNN's anchors, more or less.
fn proposals(n: usize, (width, height): (f64, f64)) -> Vec<[f32; 4]> {
    let mut rng = Rng::new(0, "proposals");
    // Centre, width and height.
    let anywhere = |rng: &mut Rng| {
        let side = 128.0 * f64::from(1 << rng.below(3)) * (0.3 * rng.normal()).exp();
        let slenderness = [0.5f64, 1.0, 2.0][rng.below(3)].sqrt();
        let centre = [rng.uniform(0.0, width), rng.uniform(0.0, height)];
        (centre, [side / slenderness, side * slenderness])
    };
    let objects: Vec<_> = (0..40).map(|_| anywhere(&mut rng)).collect();
    let mut one = |i: usize| {
        let (centre, size) = if i.is_multiple_of(2) {
            let (centre, size) = objects[rng.below(objects.len())];
            let mut near = |c: usize| centre[c] + 0.1 * size[c] * rng.normal();
            let centre = [near(0), near(1)];
            (centre, size.map(|side| side * (0.1 * rng.normal()).exp()))
        } else {
            anywhere(&mut rng)
        };
        let corner = |c: usize, sign: f64, most: f64| (centre[c] + sign * size[c] / 2.0).clamp(0.0, most) as f32;
        [corner(0, -1.0, width), corner(1, -1.0, height), corner(0, 1.0, width), corner(1, 1.0, height)]
    };
    (0..n).map(&mut one).collect()
}
