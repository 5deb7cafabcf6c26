//! Resizing, sampling, padding: values, edges and refusals.

use sconce_core::{
    DType, Device, Error, Result, Tensor, Var, backward,
    ops::{
        self, Conv2dParams, ConvTranspose2dParams, DeformConv2dParams, GridPadding, GridSampleParams, InterpolateMode,
        Padding2d, SsimParams,
    },
};

use crate::{assert_close, flat, normal};

const NEAREST: InterpolateMode = InterpolateMode::Nearest;
const ZEROS: GridSampleParams = GridSampleParams { padding_mode: GridPadding::Zeros, align_corners: true };
const BORDER: GridSampleParams = GridSampleParams { padding_mode: GridPadding::Border, align_corners: true };

fn bilinear(align_corners: bool) -> InterpolateMode {
    InterpolateMode::Bilinear { align_corners }
}

fn tensor<const N: usize>(values: [f64; N], shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape, &Device::Cpu).unwrap()
}

/// The gradient of `Σ f(x)`.
fn gradient(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Tensor {
    let x = Var::from_tensor(x).unwrap();
    backward(&f(&x).unwrap().sum_all().unwrap()).unwrap().get(&x).unwrap().clone()
}

#[test]
fn interpolate_by_hand() {
    let x = tensor([1.0, 2.0, 3.0], &[1, 1, 1, 3]);
    let row = |size, mode| flat(&ops::interpolate(&x, (1, size), mode).unwrap());
    assert_eq!(row(6, NEAREST), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
    assert_eq!(row(5, NEAREST), [1.0, 1.0, 2.0, 2.0, 3.0]);
    assert_eq!(row(2, NEAREST), [1.0, 2.0]);
    assert_eq!(row(3, NEAREST), [1.0, 2.0, 3.0]);
    assert_eq!(row(6, bilinear(false)), [1.0, 1.25, 1.75, 2.25, 2.75, 3.0]);
    assert_eq!(row(5, bilinear(true)), [1.0, 1.5, 2.0, 2.5, 3.0]);
    assert_eq!(row(1, bilinear(true)), [1.0]);
    assert_eq!(row(1, bilinear(false)), [2.0]);
    let rows = ops::interpolate(&tensor([1.0, 2.0], &[1, 1, 2, 1]), (4, 2), NEAREST).unwrap();
    assert_eq!(flat(&rows), [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
}

#[test]
fn nearest_takes_the_index_in_single_precision() {
    let source = |size: usize, out: usize, at: usize| {
        let x = Tensor::arange(0f64, size as f64, &Device::Cpu).unwrap().reshape((1, 1, 1, size)).unwrap();
        flat(&ops::interpolate(&x, (1, out), NEAREST).unwrap())[at]
    };
    // Exactly half of 82 outputs have gone by, but 41 · (2 / 82) is a little below 1.
    assert_eq!(source(2, 82, 41), 0.0);
    for (size, out) in [(60, 138), (7, 49), (41, 82), (3, 7), (100, 41)] {
        for at in 0..out {
            let expected = (at as f32 * (size as f32 / out as f32)).floor().min(size as f32 - 1.0);
            assert_eq!(source(size, out, at), f64::from(expected), "{size} to {out} at {at}");
        }
    }
}

#[test]
fn interpolate_gradients_are_sums_over_copies() {
    let x = normal(1, &[2, 3, 4, 5]);
    assert_eq!(flat(&gradient(&x, |x| ops::interpolate(x, (8, 10), NEAREST))), [4.0; 120]);
    assert_eq!(flat(&gradient(&x, |x| ops::interpolate(x, (12, 10), NEAREST))), [6.0; 120]);
    // What is not looked at has no gradient.
    let g = flat(&gradient(&tensor([1.0, 2.0, 3.0], &[1, 1, 1, 3]), |x| ops::interpolate(x, (1, 2), NEAREST)));
    assert_eq!(g, [1.0, 1.0, 0.0]);
}

#[test]
fn sampling_the_identity_gives_the_image() {
    let x = normal(1, &[2, 5, 4, 6]);
    for align_corners in [false, true] {
        let axis = |n: usize| -> Vec<f64> {
            let n = n as f64;
            (0..n as usize)
                .map(
                    |i| if align_corners { 2.0 * i as f64 / (n - 1.0) - 1.0 } else { (2.0 * i as f64 + 1.0) / n - 1.0 },
                )
                .collect()
        };
        let (rows, cols) = (axis(4), axis(6));
        let grid: Vec<f64> =
            (0..2).flat_map(|_| rows.iter().flat_map(|&y| cols.iter().flat_map(move |&x| [x, y]))).collect();
        let grid = Tensor::from_vec(grid, (2, 4, 6, 2), &Device::Cpu).unwrap();
        for padding_mode in [GridPadding::Zeros, GridPadding::Border] {
            let y = ops::grid_sample(&x, &grid, &GridSampleParams { padding_mode, align_corners }).unwrap();
            assert_close(&y, &x, 1e-12);
        }
    }
}

#[test]
fn grid_sample_beyond_the_edges() {
    let x = tensor([1.0, 2.0, 3.0, 4.0], &[1, 1, 2, 2]);
    let at = |x_at: f64, y_at: f64| tensor([x_at, y_at], &[1, 1, 1, 2]);
    let value = |grid: &Tensor, params| flat(&ops::grid_sample(&x, grid, params).unwrap())[0];
    assert_eq!(value(&at(-1.0, -1.0), &ZEROS), 1.0);
    assert_eq!(value(&at(0.0, 0.0), &ZEROS), 2.5);
    // Half an element outside.
    assert_eq!(value(&at(-2.0, -1.0), &ZEROS), 0.5);
    assert_eq!(value(&at(2.0, 1.0), &ZEROS), 2.0);
    assert_eq!(value(&at(3.0, 1.0), &ZEROS), 0.0);
    assert_eq!(value(&at(9.0, 1.0), &BORDER), 4.0);
    assert_eq!(value(&at(-9.0, 9.0), &BORDER), 3.0);
    for far in [1e30, -1e30, f64::INFINITY, f64::NEG_INFINITY] {
        for (params, expected) in [(&ZEROS, 0.0), (&BORDER, if far > 0.0 { 2.0 } else { 1.0 })] {
            let grid = Var::from_tensor(&at(far, -1.0)).unwrap();
            let image = Var::from_tensor(&x).unwrap();
            let y = ops::grid_sample(&image, &grid, params).unwrap();
            assert_eq!(flat(&y), [expected], "{far}");
            let gradients = backward(&y).unwrap();
            assert_eq!(
                flat(gradients.get(&image).unwrap()).iter().sum::<f64>(),
                if expected > 0.0 { 1.0 } else { 0.0 }
            );
            assert_eq!(flat(gradients.get(&grid).unwrap())[0], 0.0);
        }
    }
    let far = Tensor::new(&[[[[1e30f32, f32::MIN], [f32::INFINITY, 0.0]]]], &Device::Cpu).unwrap();
    let y = ops::grid_sample(&x.to_dtype(DType::F32).unwrap(), &far, &ZEROS).unwrap();
    assert_eq!(flat(&y), [0.0, 0.0]);
}

#[test]
fn a_nan_position_shows_and_stays_out_of_the_image() {
    let x = normal(1, &[1, 6, 3, 3]);
    let grid = tensor([f64::NAN, 0.0, 0.0, 0.0, 0.0, f64::NAN], &[1, 1, 3, 2]);
    let image = Var::from_tensor(&x).unwrap();
    let positions = Var::from_tensor(&grid).unwrap();
    let y = ops::grid_sample(&image, &positions, &ZEROS).unwrap();
    let values = flat(&y);
    assert!(values[0].is_nan() && values[1] == flat(&x)[4] && values[2].is_nan());
    let gradients = backward(&y).unwrap();
    let mut expected = [0.0; 54];
    expected.chunks_mut(9).for_each(|plane| plane[4] = 1.0);
    assert_eq!(flat(gradients.get(&image).unwrap()), expected);
    let by_position = flat(gradients.get(&positions).unwrap());
    assert_eq!([&by_position[..2], &by_position[4..]].concat(), [0.0; 4]);
    // With the border the coordinate is the first element's.
    let y = flat(&ops::grid_sample(&x, &grid, &BORDER).unwrap());
    assert_eq!((y[0], y[2]), (flat(&x)[3], flat(&x)[1]));
}

#[test]
fn clipped_positions_have_no_gradient() {
    // On the edge itself too, as PyTorch's.
    let x = normal(1, &[1, 2, 4, 4]);
    let grid = tensor([-1.0, 0.1, 0.2, 1.0, 1.5, -0.3, 0.3, -7.0], &[1, 2, 2, 2]);
    let g = flat(&gradient(&grid, |grid| ops::grid_sample(&x, grid, &BORDER)));
    let zero: Vec<bool> = g.iter().map(|&g| g == 0.0).collect();
    assert_eq!(zero, [true, false, false, true, true, false, false, true]);
}

#[test]
fn reflection_by_hand_and_its_gradient() {
    let x = tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1, 1, 2, 3]);
    let padding = Padding2d { left: 2, right: 1, top: 1, bottom: 0 };
    let y = ops::reflection_pad2d(&x, &padding).unwrap();
    assert_eq!(flat(&y), [6.0, 5.0, 4.0, 5.0, 6.0, 5.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 6.0, 5.0, 4.0, 5.0, 6.0, 5.0]);
    // How often each appears above.
    assert_eq!(flat(&gradient(&x, |x| ops::reflection_pad2d(x, &padding))), [1.0, 3.0, 2.0, 2.0, 6.0, 4.0]);
    let same = ops::reflection_pad2d(&x, &Padding2d::default()).unwrap();
    assert_eq!(flat(&same), flat(&x));
}

#[test]
fn ssim_of_equal_and_constant_images() {
    let x = normal(1, &[2, 3, 5, 6]);
    let params = SsimParams::default();
    assert!(flat(&ops::ssim_loss(&x, &x, &params).unwrap()).iter().all(|v| v.abs() < 1e-9));
    for (a, b) in [(0.5, 0.5), (0.0, 0.0), (0.2, 0.9)] {
        let constant = |v: f64| (Tensor::ones((1, 2, 4, 4), DType::F32, &Device::Cpu).unwrap() * v).unwrap();
        let image = Var::from_tensor(&constant(a)).unwrap();
        let y = ops::ssim_loss(&image, &constant(b), &params).unwrap();
        let expected = (1.0 - (2.0 * a * b + 1e-4) / (a * a + b * b + 1e-4)) / 2.0;
        assert!(flat(&y).iter().all(|v| (v - expected).abs() < 1e-3), "{y}");
        let gradients = backward(&y).unwrap();
        assert!(flat(gradients.get(&image).unwrap()).iter().all(|v| v.is_finite()));
    }
    // Equal in brightness, opposite in structure.
    let image = |sign: f64| x.affine(0.3 * sign, 1.0).unwrap();
    let opposite = ops::ssim_loss(&image(1.0), &image(-1.0), &SsimParams { window: 5, ..params }).unwrap();
    assert!(flat(&opposite).iter().all(|&v| v > 0.5 && v <= 1.0));
}

#[test]
fn ssim_by_its_definition() {
    let (x, y) = (normal(1, &[1, 2, 6, 7]), normal(2, &[1, 2, 6, 7]));
    for window in [1, 3, 5, 7] {
        let params = SsimParams { window, c1: 0.01, c2: 0.09 };
        let mean = |t: &Tensor| {
            let padded = ops::reflection_pad2d(t, &Padding2d::same(window / 2)).unwrap();
            ops::avg_pool2d(&padded, &ops::AvgPool2dParams::square(window, 1, 0)).unwrap()
        };
        let (mx, my) = (mean(&x), mean(&y));
        let of =
            |a: &Tensor, b: &Tensor, ma: &Tensor, mb: &Tensor| (mean(&(a * b).unwrap()) - (ma * mb).unwrap()).unwrap();
        let (sx, sy, sxy) = (of(&x, &x, &mx, &mx), of(&y, &y, &my, &my), of(&x, &y, &mx, &my));
        let over = (((&mx * &my).unwrap() * 2.0).unwrap() + 0.01).unwrap() * ((sxy * 2.0).unwrap() + 0.09).unwrap();
        let squares = (mx.sqr().unwrap() + my.sqr().unwrap()).unwrap();
        let under = (squares + 0.01).unwrap() * ((sx + sy).unwrap() + 0.09).unwrap();
        let ssim = (over.unwrap() / under.unwrap()).unwrap();
        let expected = ((1.0 - ssim).unwrap() * 0.5).unwrap().clamp(0.0, 1.0).unwrap();
        assert_close(&ops::ssim_loss(&x, &y, &params).unwrap(), &expected, 1e-12);
    }
}

#[test]
fn a_deformable_convolution_without_offsets_is_a_convolution() {
    for (groups, offset_groups, stride) in [(1, 1, (1, 1)), (2, 3, (2, 1))] {
        let (x, weight, bias) = (normal(1, &[2, 6, 7, 8]), normal(2, &[4, 6 / groups, 3, 3]), normal(3, &[4]));
        let params = DeformConv2dParams { stride, padding: (1, 1), dilation: (1, 1) };
        let conv = Conv2dParams { stride, padding: (1, 1), groups, ..Default::default() };
        let expected = ops::conv2d(&x, &weight, Some(&bias), &conv).unwrap();
        let (_, _, oh, ow) = expected.dims4().unwrap();
        let offset = Tensor::zeros((2, 18 * offset_groups, oh, ow), DType::F64, &Device::Cpu).unwrap();
        let mask = Tensor::ones((2, 9 * offset_groups, oh, ow), DType::F64, &Device::Cpu).unwrap();
        for mask in [None, Some(&mask)] {
            assert_close(
                &ops::deform_conv2d(&x, &offset, &weight, Some(&bias), mask, &params).unwrap(),
                &expected,
                1e-12,
            );
        }
        // Whole offsets move the image: one row down is one row of the output up.
        let down = offset.ones_like().unwrap();
        let moved = ops::deform_conv2d(&x, &down, &weight, Some(&bias), None, &params).unwrap();
        if stride == (1, 1) {
            let inner = |t: &Tensor, at: usize| t.narrow(2, at, 4).unwrap().narrow(3, at, 4).unwrap();
            assert_close(&inner(&moved, 1), &inner(&expected, 2), 1e-12);
        }
    }
}

#[test]
fn offsets_out_of_the_map_see_zeros_and_nan_shows() {
    let x = Var::from_tensor(&normal(1, &[1, 2, 3, 3])).unwrap();
    let (weight, bias) = (normal(2, &[1, 2, 1, 1]), tensor([0.25], &[1]));
    let mut offsets = vec![0.0; 18];
    (offsets[0], offsets[9], offsets[4], offsets[8]) = (1e30, f64::INFINITY, f64::NAN, -1.0);
    // Position 4 is NaN by its row; position 5 by its column.
    offsets[9 + 5] = f64::NAN;
    let offset = Var::from_vec(offsets, (1, 2, 3, 3), &Device::Cpu).unwrap();
    let y = ops::deform_conv2d(&x, &offset, &weight, Some(&bias), None, &DeformConv2dParams::default()).unwrap();
    let values = flat(&y);
    assert_eq!(values[0], 0.25);
    let nan: Vec<usize> = (0..9).filter(|&i| values[i].is_nan()).collect();
    assert_eq!(nan, [4, 5]);
    // The last position looks one row up.
    let (pixels, weights) = (flat(&x), flat(&weight));
    assert!((values[8] - (0.25 + weights[0] * pixels[5] + weights[1] * pixels[9 + 5])).abs() < 1e-12);
    let gradients = backward(&y).unwrap();
    assert!(flat(gradients.get(&x).unwrap()).iter().all(|v| v.is_finite()));
    assert!(flat(gradients.get(&offset).unwrap()).iter().all(|v| v.is_finite()));
}

#[test]
fn conv_transpose2d_is_its_definition() {
    let pair = |v| (v, v);
    for (x_shape, w_shape, stride, padding, output_padding, dilation, groups) in [
        ([2, 4, 3, 5], [4, 3, 3, 2], (2, 3), (1, 0), (1, 2), pair(1), 2),
        ([1, 2, 4, 4], [2, 2, 3, 3], pair(1), pair(2), pair(1), pair(2), 1),
        ([1, 1, 1, 1], [1, 1, 1, 1], pair(3), pair(0), pair(2), pair(1), 1),
        ([1, 2, 3, 3], [2, 2, 2, 2], pair(1), pair(0), pair(3), pair(4), 1),
    ] {
        let params = ConvTranspose2dParams { stride, padding, output_padding, dilation, groups };
        let (x, weight) = (normal(1, &x_shape), normal(2, &w_shape));
        let y = ops::conv_transpose2d(&x, &weight, None, &params).unwrap();
        let ([n, ci, h, w], [_, co, kh, kw]) = (x_shape, w_shape);
        let (oh, ow) = (
            (h - 1) * stride.0 + dilation.0 * (kh - 1) + output_padding.0 + 1 - 2 * padding.0,
            (w - 1) * stride.1 + dilation.1 * (kw - 1) + output_padding.1 + 1 - 2 * padding.1,
        );
        let mut expected = vec![0.0; n * groups * co * oh * ow];
        let (xs, ws) = (flat(&x), flat(&weight));
        for at in 0..xs.len() * co * kh * kw {
            let (input, tap) = (at / (co * kh * kw), at % (co * kh * kw));
            let (image, c, i, j) = (input / (ci * h * w), input / (h * w) % ci, input / w % h, input % w);
            let (o, u, v) = (tap / (kh * kw), tap / kw % kh, tap % kw);
            let row = (i * stride.0 + u * dilation.0).checked_sub(padding.0).filter(|&r| r < oh);
            let col = (j * stride.1 + v * dilation.1).checked_sub(padding.1).filter(|&c| c < ow);
            if let (Some(row), Some(col)) = (row, col) {
                let channel = c / (ci / groups) * co + o;
                expected[((image * groups * co + channel) * oh + row) * ow + col] +=
                    xs[input] * ws[c * co * kh * kw + tap];
            }
        }
        let expected = Tensor::from_vec(expected, (n, groups * co, oh, ow), &Device::Cpu).unwrap();
        assert_close(&y, &expected, 1e-12);
    }
}

#[test]
fn views_are_read_where_they_are() {
    let whole = normal(1, &[4, 3, 6, 6]);
    let view = whole.narrow(0, 1, 2).unwrap().transpose(2, 3).unwrap();
    let copy = Tensor::from_vec(flat(&view), view.shape(), &Device::Cpu).unwrap();
    let grid = (normal(2, &[1, 2, 5, 4]) * 0.4).unwrap().permute((0, 3, 2, 1)).unwrap(); // (1, 4, 5, 2)
    let grid = grid.broadcast_as((2, 4, 5, 2)).unwrap();
    let weight = normal(3, &[3, 2, 3, 3]).transpose(2, 3).unwrap();
    let offset = normal(4, &[1, 18, 1, 1]).broadcast_as((2, 18, 4, 4)).unwrap();
    let square = normal(5, &[5, 3, 3, 3]).transpose(2, 3).unwrap();
    let same = |f: &dyn Fn(&Tensor) -> Result<Tensor>| assert_close(&f(&view).unwrap(), &f(&copy).unwrap(), 0.0);
    same(&|x| ops::interpolate(x, (9, 12), NEAREST));
    same(&|x| ops::interpolate(x, (9, 4), bilinear(false)));
    same(&|x| ops::grid_sample(x, &grid, &ZEROS));
    same(&|x| ops::reflection_pad2d(x, &Padding2d::same(2)));
    same(&|x| ops::ssim_loss(x, &(x * 0.5)?, &SsimParams::default()));
    same(&|x| ops::conv_transpose2d(x, &weight, None, &ConvTranspose2dParams::default()));
    same(&|x| ops::deform_conv2d(x, &offset, &square, None, None, &DeformConv2dParams::default()));
}

#[test]
fn large_batches_and_many_channels_agree_with_single_ones() {
    // Channels are worked on in groups that depend on how many there are.
    let (x, grid) = (normal(1, &[3, 11, 5, 6]), (normal(2, &[3, 30, 40, 2]) * 0.7).unwrap());
    let y = ops::grid_sample(&x, &grid, &ZEROS).unwrap();
    let all = gradient(&grid, |grid| ops::grid_sample(&x, grid, &ZEROS));
    let mut sum = grid.zeros_like().unwrap();
    for c in 0..11 {
        let plane = x.narrow(1, c, 1).unwrap();
        assert_close(&ops::grid_sample(&plane, &grid, &ZEROS).unwrap(), &y.narrow(1, c, 1).unwrap(), 0.0);
        sum = (sum + gradient(&grid, |grid| ops::grid_sample(&plane, grid, &ZEROS))).unwrap();
        let gx = gradient(&plane, |x| ops::grid_sample(x, &grid, &ZEROS));
        let whole = gradient(&x, |x| ops::grid_sample(x, &grid, &ZEROS));
        assert_close(&gx, &whole.narrow(1, c, 1).unwrap(), 0.0);
    }
    assert_close(&all, &sum, 1e-12);
    for i in 0..3 {
        let one = |t: &Tensor| t.narrow(0, i, 1).unwrap();
        let single = gradient(&one(&grid), |grid| ops::grid_sample(&one(&x), grid, &ZEROS));
        assert_close(&single, &one(&all), 1e-12);
    }
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let t = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let x = t(&[2, 4, 5, 6]);
    let transposed = ConvTranspose2dParams::default();
    let up = |x: &Tensor, w: &[usize], params| ops::conv_transpose2d(x, &t(w), None, &params);
    let deform = |offset: &[usize], w: &[usize], mask: Option<&[usize]>, bias: Option<usize>| {
        let (bias, mask) = (bias.map(|n| t(&[n])), mask.map(t));
        ops::deform_conv2d(&x, &t(offset), &t(w), bias.as_ref(), mask.as_ref(), &DeformConv2dParams::default())
    };
    let ssim = |y: &[usize], params| ops::ssim_loss(&x, &t(y), &params);
    let huge = usize::MAX / 2;
    let refused: Vec<(&str, Result<Tensor>)> = vec![
        ("rank", ops::interpolate(&t(&[4, 5, 6]), (2, 2), NEAREST)),
        ("to nothing", ops::interpolate(&x, (0, 2), bilinear(false))),
        ("of nothing", ops::interpolate(&t(&[1, 1, 0, 3]), (2, 2), NEAREST)),
        ("grid's batch", ops::grid_sample(&x, &t(&[1, 3, 3, 2]), &ZEROS)),
        ("grid's coordinates", ops::grid_sample(&x, &t(&[2, 3, 3, 3]), &ZEROS)),
        ("grid's rank", ops::grid_sample(&x, &t(&[2, 3, 2]), &ZEROS)),
        ("empty grid", ops::grid_sample(&x, &t(&[2, 0, 3, 2]), &ZEROS)),
        ("empty image", ops::grid_sample(&t(&[2, 4, 0, 6]), &t(&[2, 3, 3, 2]), &ZEROS)),
        ("padding as large", ops::reflection_pad2d(&x, &Padding2d { top: 5, ..Padding2d::default() })),
        ("padding as large", ops::reflection_pad2d(&x, &Padding2d { right: 6, ..Padding2d::default() })),
        ("padding rank", ops::reflection_pad2d(&t(&[5, 6]), &Padding2d::same(1))),
        ("huge padding", ops::reflection_pad2d(&x, &Padding2d::same(usize::MAX))),
        ("other image", ssim(&[2, 4, 5, 5], SsimParams::default())),
        ("even window", ssim(&[2, 4, 5, 6], SsimParams { window: 4, ..SsimParams::default() })),
        ("wide window", ssim(&[2, 4, 5, 6], SsimParams { window: 11, ..SsimParams::default() })),
        ("no window", ssim(&[2, 4, 5, 6], SsimParams { window: 0, ..SsimParams::default() })),
        ("constant", ssim(&[2, 4, 5, 6], SsimParams { c2: 0.0, ..SsimParams::default() })),
        ("constant", ssim(&[2, 4, 5, 6], SsimParams { c1: f64::NAN, ..SsimParams::default() })),
        ("channels", up(&x, &[3, 2, 3, 3], transposed)),
        ("groups", up(&x, &[4, 2, 3, 3], ConvTranspose2dParams { groups: 3, ..transposed })),
        ("no groups", up(&x, &[4, 2, 3, 3], ConvTranspose2dParams { groups: 0, ..transposed })),
        ("stride", up(&x, &[4, 2, 3, 3], ConvTranspose2dParams { stride: (0, 1), ..transposed })),
        ("output padding", up(&x, &[4, 2, 3, 3], ConvTranspose2dParams { output_padding: (1, 0), ..transposed })),
        ("nothing left", up(&x, &[4, 2, 1, 1], ConvTranspose2dParams { padding: (3, 0), ..transposed })),
        ("huge stride", up(&x, &[4, 2, 3, 3], ConvTranspose2dParams { stride: (huge, 1), ..transposed })),
        ("huge output", up(&x, &[4, 2, 3, 3], ConvTranspose2dParams { stride: (1 << 31, 1 << 31), ..transposed })),
        ("huge padding", up(&x, &[4, 2, 3, 3], ConvTranspose2dParams { padding: (usize::MAX, 1), ..transposed })),
        ("rank", up(&t(&[4, 5, 6]), &[4, 2, 3, 3], transposed)),
        ("empty", up(&t(&[0, 4, 5, 6]), &[4, 2, 3, 3], transposed)),
        ("bias", ops::conv_transpose2d(&x, &t(&[4, 2, 3, 3]), Some(&t(&[4])), &transposed)),
        ("offset's size", deform(&[2, 18, 3, 3], &[3, 4, 3, 3], None, None)),
        ("offset's channels", deform(&[2, 17, 3, 4], &[3, 4, 3, 3], None, None)),
        ("offset groups", deform(&[2, 54, 3, 4], &[3, 4, 3, 3], None, None)),
        ("no offset", deform(&[2, 0, 3, 4], &[3, 4, 3, 3], None, None)),
        ("weight's channels", deform(&[2, 18, 3, 4], &[3, 3, 3, 3], None, None)),
        ("weight's groups", deform(&[2, 18, 3, 4], &[3, 2, 3, 3], None, None)),
        ("mask", deform(&[2, 18, 3, 4], &[3, 4, 3, 3], Some(&[2, 18, 3, 4]), None)),
        ("bias", deform(&[2, 18, 3, 4], &[3, 4, 3, 3], None, Some(4))),
        ("kernel", deform(&[2, 18, 3, 4], &[3, 4, 6, 3], None, None)),
    ];
    for (what, result) in refused {
        assert!(matches!(result, Err(Error::Argument { .. })), "{what}: {result:?}");
    }
}
