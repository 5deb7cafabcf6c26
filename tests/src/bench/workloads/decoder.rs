//! What monocular depth is made of: sampling by a grid, and the decoder.

use anyhow::Result;
use sconce_core::{
    Device, Tensor,
    ops::{self, Conv2dParams, GridPadding, GridSampleParams, InterpolateMode, Padding2d},
};

use super::{
    Workload, WorkloadSpec,
    differentiable::{Differentiable, Inputs},
    normal,
};

pub(super) const WORKLOADS: &[WorkloadSpec] = &[
    WorkloadSpec { name: "grid_sample 4x3x192x640 forward+backward", make: grid_sample },
    WorkloadSpec { name: "depth decoder 2x256x16x32 to 2x64x128x256 forward+backward", make: depth_decoder },
];

/// A view of another camera as monodepth2 makes it: an image warped by a few pixels, in part from beyond its edges.
fn grid_sample() -> Result<Box<dyn Workload>> {
    let (n, h, w) = (4, 192, 640);
    let mut grid = Vec::with_capacity(n * h * w * 2);
    for (i, row, col) in (0..n).flat_map(|i| (0..h).flat_map(move |row| (0..w).map(move |col| (i, row, col)))) {
        let (x, y) = ((2 * col + 1) as f32 / w as f32 - 1.0, (2 * row + 1) as f32 / h as f32 - 1.0);
        let phase = i as f32;
        grid.push(x + 0.05 * (3.0 * y + 2.0 * x + phase).sin() + 0.03);
        grid.push(y + 0.05 * (4.0 * x - y + phase).cos());
    }
    let grid = Tensor::from_vec(grid, (n, h, w, 2), &Device::Cpu)?;
    Differentiable::boxed(vec![("x", normal("x", &[n, 3, h, w])?), ("grid", grid)], &["x", "grid"], |inputs| {
        let params = GridSampleParams { padding_mode: GridPadding::Border, align_corners: false };
        Ok(ops::grid_sample(&inputs["x"], &inputs["grid"], &params)?)
    })
}

/// Names of the convolutions of the last three stages, without those of the skip connections, and (in, out) channels. Each
/// stage has one convolution before it doubles the map and one after.
const CONVOLUTIONS: [([&str; 2], (usize, usize)); 6] = [
    (["decoder.6.block.0.conv.weight", "decoder.6.block.0.conv.bias"], (256, 128)),
    (["decoder.8.block.0.conv.weight", "decoder.8.block.0.conv.bias"], (128, 128)),
    (["decoder.9.block.0.conv.weight", "decoder.9.block.0.conv.bias"], (128, 128)),
    (["decoder.11.block.0.conv.weight", "decoder.11.block.0.conv.bias"], (128, 128)),
    (["decoder.12.block.0.conv.weight", "decoder.12.block.0.conv.bias"], (128, 64)),
    (["decoder.13.block.0.conv.weight", "decoder.13.block.0.conv.bias"], (64, 64)),
];

fn depth_decoder() -> Result<Box<dyn Workload>> {
    let mut inputs = vec![("x", normal("x", &[2, 256, 16, 32])?)];
    let mut by = vec!["x"];
    for ([weight, bias], (c_in, c_out)) in CONVOLUTIONS {
        let scale = 1.0 / (9.0 * c_in as f64).sqrt();
        inputs.push((weight, (normal(weight, &[c_out, c_in, 3, 3])? * scale)?));
        inputs.push((bias, (normal(bias, &[c_out])? * scale)?));
        by.extend([weight, bias]);
    }
    Differentiable::boxed(inputs, &by, |inputs| {
        let mut x = inputs["x"].clone();
        for [before, after] in CONVOLUTIONS.as_chunks::<2>().0 {
            x = block(&x, inputs, before.0)?;
            let (_, _, h, w) = x.dims4()?;
            x = block(&ops::interpolate(&x, (2 * h, 2 * w), InterpolateMode::Nearest)?, inputs, after.0)?;
        }
        Ok(x) // (2, 64, 128, 256)
    })
}

/// Reflection, convolution, ELU.
fn block(x: &Tensor, inputs: &Inputs, [weight, bias]: [&str; 2]) -> Result<Tensor> {
    let x = ops::reflection_pad2d(x, &Padding2d::same(1))?;
    let x = ops::conv2d(&x, &inputs[weight], Some(&inputs[bias]), &Conv2dParams::default())?;
    Ok(ops::elu(&x, 1.0)?)
}
