//! Resizing, sampling, padding and what is built on them.

use sconce_core::{
    Device, Rng, Tensor,
    ops::{
        self, ConvTranspose2dParams, DeformConv2dParams, GridPadding, GridSampleParams, InterpolateMode, Padding2d,
        SsimParams,
    },
    testing::check_gradients,
};

use crate::normal;

/// Values at least 0.1 away from integers, where bilinear interpolation has its kinks, in `low..high`.
fn between_integers(seed: u64, shape: &[usize], low: i32, high: i32) -> Tensor {
    let mut rng = Rng::new(seed, "positions");
    let mut value = || {
        let whole = low + rng.below((high - low) as usize) as i32;
        f64::from(whole) + 0.1 + 0.008 * rng.below(100) as f64
    };
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| value()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

#[test]
fn interpolate() {
    let modes = [
        InterpolateMode::Nearest,
        InterpolateMode::Bilinear { align_corners: false },
        InterpolateMode::Bilinear { align_corners: true },
    ];
    for mode in modes {
        for (x, size) in [
            ([2, 2, 3, 4], (6, 8)),
            ([1, 2, 5, 3], (3, 7)),
            ([1, 1, 4, 6], (1, 1)),
            ([1, 1, 1, 1], (3, 2)),
            ([1, 2, 3, 2], (3, 6)),
        ] {
            check_gradients(&[normal(1, &x)], |t| ops::interpolate(&t[0], size, mode));
        }
    }
}

#[test]
fn grid_sample() {
    for padding_mode in [GridPadding::Zeros, GridPadding::Border] {
        for align_corners in [false, true] {
            for (n, c, h, w) in [(2, 3, 4, 5), (1, 9, 3, 3), (1, 2, 1, 4), (3, 1, 3, 1), (1, 1, 1, 1)] {
                let axis = |seed, size: usize| {
                    let at = between_integers(seed, &[n, 3, 4, 1], -3, size as i32 + 2);
                    // With the border, a coordinate that is clipped has a kink where the clipping begins, an integer too.
                    if align_corners && size == 1 {
                        return (at * 0.3).unwrap(); // everything is at element 0
                    }
                    let span = if align_corners { size as f64 - 1.0 } else { size as f64 };
                    let scale = 2.0 / span;
                    at.affine(scale, if align_corners { -1.0 } else { scale / 2.0 - 1.0 }).unwrap()
                };
                let grid = Tensor::cat(&[axis(1, w), axis(2, h)], 3).unwrap();
                let params = GridSampleParams { padding_mode, align_corners };
                check_gradients(&[normal(3, &[n, c, h, w]), grid], |t| ops::grid_sample(&t[0], &t[1], &params));
            }
        }
    }
}

#[test]
fn reflection_pad2d() {
    for (x, (left, right, top, bottom)) in
        [([2, 2, 3, 4], (1, 1, 1, 1)), ([1, 2, 3, 3], (2, 0, 1, 2)), ([1, 1, 1, 4], (3, 3, 0, 0))]
    {
        let padding = Padding2d { left, right, top, bottom };
        check_gradients(&[normal(1, &x)], |t| ops::reflection_pad2d(&t[0], &padding));
    }
}

#[test]
fn ssim_loss() {
    for (shape, window) in [([1, 2, 4, 5], 3), ([2, 1, 3, 3], 5), ([1, 1, 4, 8], 7), ([1, 1, 2, 2], 1)] {
        // Similar images, whose dissimilarity stays within (0, 1), and constants that are not small beside their variance.
        let x = ((normal(1, &shape) * 0.3).unwrap() + 1.0).unwrap();
        let y = (&x + (normal(2, &shape) * 0.1).unwrap()).unwrap();
        let params = SsimParams { window, c1: 0.01, c2: 0.03 };
        check_gradients(&[x, y], |t| ops::ssim_loss(&t[0], &t[1], &params));
    }
}

#[test]
fn conv_transpose2d() {
    let pair = |v| (v, v);
    for (x, weight, stride, padding, output_padding, dilation, groups) in [
        ([2, 3, 3, 4], [3, 2, 3, 3], pair(2), pair(1), pair(1), pair(1), 1),
        ([1, 2, 3, 3], [2, 3, 2, 2], pair(2), pair(0), pair(0), pair(1), 1),
        ([2, 4, 2, 3], [4, 2, 3, 2], (1, 2), (1, 0), (0, 1), (2, 1), 2),
        ([1, 2, 1, 1], [2, 1, 3, 3], pair(1), pair(1), pair(0), pair(1), 1),
        // An output padding beyond the stride.
        ([1, 2, 2, 3], [2, 2, 2, 2], pair(1), pair(0), pair(2), pair(3), 1),
        ([1, 6, 3, 3], [6, 1, 3, 3], pair(2), pair(1), pair(0), pair(1), 3),
    ] {
        let params = ConvTranspose2dParams { stride, padding, output_padding, dilation, groups };
        let inputs = [normal(1, &x), normal(2, &weight), normal(3, &[weight[1] * groups])];
        check_gradients(&inputs, |t| ops::conv_transpose2d(&t[0], &t[1], Some(&t[2]), &params));
        check_gradients(&inputs[..2], |t| ops::conv_transpose2d(&t[0], &t[1], None, &params));
    }
}

#[test]
fn deform_conv2d() {
    for (x, weight, offset_groups, stride, padding, dilation) in [
        ([2, 2, 4, 5], [3, 2, 3, 3], 1, (1, 1), (1, 1), (1, 1)),
        ([1, 4, 5, 4], [4, 2, 2, 3], 2, (2, 1), (1, 2), (1, 2)),
        ([2, 3, 1, 1], [2, 3, 1, 1], 3, (1, 1), (0, 0), (1, 1)),
        ([1, 6, 3, 3], [2, 6, 3, 3], 1, (1, 1), (1, 1), (1, 1)),
    ] {
        let ([n, c, h, w], [co, _, kh, kw]) = (x, weight);
        let size = |i: usize, k: usize, s: usize, p: usize, d: usize| (i + 2 * p - d * (k - 1) - 1) / s + 1;
        let (oh, ow) = (size(h, kh, stride.0, padding.0, dilation.0), size(w, kw, stride.1, padding.1, dilation.1));
        let taps = offset_groups * kh * kw;
        let inputs = [
            normal(1, &[n, c, h, w]),
            between_integers(2, &[n, 2 * taps, oh, ow], -3, 3),
            normal(3, &weight),
            normal(4, &[co]),
            normal(5, &[n, taps, oh, ow]),
        ];
        let params = DeformConv2dParams { stride, padding, dilation };
        check_gradients(&inputs, |t| ops::deform_conv2d(&t[0], &t[1], &t[2], Some(&t[3]), Some(&t[4]), &params));
        check_gradients(&inputs[..3], |t| ops::deform_conv2d(&t[0], &t[1], &t[2], None, None, &params));
    }
}
