//! Every differentiable operation in single precision, which is for training, against double precision, whose gradients are
//! checked by differences.

use sconce_core::{
    DType, Device, Result, Rng, Tensor, Var, backward,
    ops::{
        self, Activation, AvgPool2dParams, BatchNormParams, BinaryCrossEntropyParams, Conv2dParams,
        ConvTranspose2dParams, CrossEntropyParams, DeformConv2dParams, FrozenBatchNorm, GridPadding, GridSampleParams,
        InterpolateMode, MaxPool2dParams, Padding2d, Reduction, RoiAlignAvgParams, RoiAlignParams, RoiPoolParams,
        RunningStats, SigmoidFocalLossParams, SmoothL1LossParams, SoftmaxFocalLossParams, SsimParams, Statistics,
    },
};

use crate::{flat, normal};

/// Numbers of single precision, as those of double precision.
fn rounded(t: &Tensor) -> Tensor {
    t.to_dtype(DType::F32).unwrap().to_dtype(DType::F64).unwrap()
}

/// `normal · std + mean`.
fn draws(seed: u64, shape: &[usize], (mean, std): (f64, f64)) -> Tensor {
    rounded(&normal(seed, shape).affine(std, mean).unwrap())
}

/// Panics unless output and gradients of `f` in f32 are those in f64, to `tolerance` of the largest.
///
/// The loss weights outputs unevenly, and grows with them: else sums over a map, of the gradient by the output, would vanish.
#[track_caller]
fn check(what: &str, inputs: &[Tensor], tolerance: f64, f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let run = |dtype: DType| -> Vec<Vec<f64>> {
        let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(&t.to_dtype(dtype).unwrap()).unwrap()).collect();
        let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
        let y = f(&tensors).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(y.dtype(), dtype, "{what}");
        let weights = Rng::new(0, "weights").uniform_tensor((0.5, 1.5), y.shape(), DType::F32, &Device::Cpu).unwrap();
        let loss = (&y * (&y * 0.5).unwrap() + &y).unwrap() * weights.to_dtype(dtype).unwrap();
        let gradients = backward(&loss.unwrap().sum_all().unwrap()).unwrap();
        let of = |v: &Var| flat(gradients.get(v).unwrap_or_else(|| panic!("{what}: no gradient")));
        std::iter::once(flat(&y)).chain(vars.iter().map(of)).collect()
    };
    for (which, (single, double)) in run(DType::F32).iter().zip(run(DType::F64)).enumerate() {
        let largest = double.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        assert!(largest > 0.0, "{what}: values {which} are all zero");
        for (i, (a, b)) in single.iter().zip(&double).enumerate() {
            let close = (a - b).abs() <= tolerance * largest;
            assert!(close, "{what}: values {which} (0 is the output), element {i}: {a} in f32, {b} in f64");
        }
    }
}

const ROUNDING: f64 = 1e-5;

#[test]
fn normalisations() {
    // Long rows for explicit vectors, short ones for what is left over; far from zero, where a mean is lost by rounding.
    for (shape, groups) in [([3, 6, 17, 19], 2), ([2, 4, 1, 5], 4), ([4, 8, 3, 3], 1)] {
        let affine = [draws(2, &shape[1..2], (1.0, 0.5)), draws(3, &shape[1..2], (0.0, 1.0))];
        let plane = shape[1];
        for mean in [0.0, 5.0] {
            let x = [&[draws(1, &shape, (mean, 2.0))], &affine[..]].concat();
            check("group_norm", &x, ROUNDING, |t| ops::group_norm(&t[0], groups, &t[1], &t[2], 1e-5));
            let zeros = |t: &Tensor| Tensor::zeros(plane, t.dtype(), &Device::Cpu).unwrap();
            for (statistics, n) in [(Statistics::default(), 1), (Statistics::Splits(shape[0]), shape[0])] {
                if n > 1 && shape[2] * shape[3] < 9 {
                    continue; // a few values, whose deviation may be next to nothing
                }
                let params = BatchNormParams { statistics, ..BatchNormParams::default() };
                let train = |t: &[Tensor], activation: Activation<'_>| {
                    let (mean, var) = (zeros(&t[0]), zeros(&t[0]));
                    let running = RunningStats { mean: &mean, var: &var, momentum: 0.1 };
                    ops::batch_norm_train(&t[0], &t[1], &t[2], &running, &params, activation)
                };
                check("batch_norm_train", &x, ROUNDING, |t| train(t, Activation::None));
                check("batch_norm_train, ReLU", &x, ROUNDING, |t| train(t, Activation::Relu));
                let with_residual = [&x[..], &[draws(4, &shape, (0.0, 1.0))]].concat();
                check("batch_norm_train, sum", &with_residual, ROUNDING, |t| train(t, Activation::AddRelu(&t[3])));
            }
            let of = |t: &Tensor| {
                let cast = |s: Tensor| s.to_dtype(t.dtype()).unwrap();
                (cast(draws(5, &[plane], (mean, 0.5))), cast((draws(6, &[plane], (3.0, 0.3))).abs().unwrap()))
            };
            check("batch_norm_eval", &x, ROUNDING, |t| {
                let (mean, var) = of(&t[0]);
                ops::batch_norm_eval(&t[0], &t[1], &t[2], (&mean, &var), 1e-5, Activation::Relu)
            });
        }
    }
    let (v, g) = (draws(1, &[7, 5, 3, 3], (0.3, 1.0)), draws(2, &[7, 1, 1, 1], (1.0, 0.2)));
    check("weight_norm", &[v, g], ROUNDING, |t| ops::weight_norm(&t[0], &t[1], 0));
    for dim in [0, 1] {
        check("normalize", &[draws(1, &[33, 130], (0.5, 1.0))], ROUNDING, |t| ops::normalize(&t[0], dim, 1e-12));
        check("log_softmax", &[draws(1, &[33, 130], (2.0, 3.0))], ROUNDING, |t| ops::log_softmax(&t[0], dim));
    }
}

#[test]
fn convolutions_and_products() {
    let inputs = |x: [usize; 4], w: [usize; 4], c: usize| {
        [draws(1, &x, (0.2, 1.0)), draws(2, &w, (0.0, 0.2)), draws(3, &[c], (0.0, 1.0))]
    };
    for (x, w, stride, dilation) in [
        ([2, 18, 20, 21], [17, 18, 3, 3], 1, 1),
        ([2, 3, 23, 20], [8, 3, 7, 7], 2, 1),
        ([1, 4, 9, 8], [3, 4, 3, 2], 1, 2),
    ] {
        let params =
            Conv2dParams { stride: (stride, stride), padding: (1, 1), dilation: (dilation, dilation), groups: 1 };
        let t = inputs(x, w, w[0]);
        check("conv2d", &t, ROUNDING, |t| ops::conv2d(&t[0], &t[1], Some(&t[2]), &params));
        let up = ConvTranspose2dParams { stride: (stride, stride), ..ConvTranspose2dParams::default() };
        let t = inputs([x[0], w[0], 7, 9], w, w[1]);
        check("conv_transpose2d", &t, ROUNDING, |t| ops::conv_transpose2d(&t[0], &t[1], Some(&t[2]), &up));
        let t = inputs(x, w, w[0]);
        let (mean, var) = (draws(4, &[w[0]], (0.0, 1.0)), draws(5, &[w[0]], (2.0, 0.2)));
        check("conv2d_batch_norm_eval", &t, ROUNDING, |t| {
            let [mean, var] = [&mean, &var].map(|s| s.to_dtype(t[0].dtype()).unwrap());
            let norm = FrozenBatchNorm { weight: &t[2], bias: &t[2], mean: &mean, var: &var, eps: 1e-5 };
            ops::conv2d_batch_norm_eval(&t[0], &t[1], &params, &norm, Activation::None)
        });
    }
    let t = [draws(1, &[37, 70], (0.2, 1.0)), draws(2, &[29, 70], (0.0, 0.2)), draws(3, &[29], (0.0, 1.0))];
    check("linear", &t, ROUNDING, |t| ops::linear(&t[0], &t[1], Some(&t[2])));
    let deform = DeformConv2dParams { padding: (1, 1), ..DeformConv2dParams::default() };
    let t = [
        draws(1, &[2, 4, 11, 12], (0.2, 1.0)),
        draws(2, &[2, 18, 11, 12], (0.0, 1.5)),
        draws(3, &[5, 4, 3, 3], (0.0, 0.3)),
        draws(4, &[5], (0.0, 1.0)),
        draws(5, &[2, 9, 11, 12], (1.0, 0.3)),
    ];
    check("deform_conv2d", &t, 1e-4, |t| ops::deform_conv2d(&t[0], &t[1], &t[2], Some(&t[3]), Some(&t[4]), &deform));
}

#[test]
fn activations_and_pooling() {
    let (a, b) = (draws(1, &[3, 5, 19, 21], (0.1, 1.5)), draws(2, &[3, 5, 19, 21], (0.0, 1.0)));
    let x = std::slice::from_ref(&a);
    check("relu", x, ROUNDING, |t| ops::relu(&t[0]));
    check("add_relu", &[a.clone(), b.clone()], ROUNDING, |t| ops::add_relu(&t[0], &t[1]));
    check("elu", x, ROUNDING, |t| ops::elu(&t[0], 0.7));
    check("leaky_relu", x, ROUNDING, |t| ops::leaky_relu(&t[0], 0.1));
    check("dropout", x, ROUNDING, |t| ops::dropout(&t[0], 0.4, &mut Rng::new(3, "mask")));
    check("gradient_reversal", x, ROUNDING, |t| ops::gradient_reversal(&t[0], 0.7));
    check("max_pool2d", x, ROUNDING, |t| ops::max_pool2d(&t[0], &MaxPool2dParams::square(3, 2, 1)));
    check("avg_pool2d", x, ROUNDING, |t| ops::avg_pool2d(&t[0], &AvgPool2dParams::square(3, 2, 1)));
    check("adaptive_avg_pool2d", x, ROUNDING, |t| ops::adaptive_avg_pool2d(&t[0], (4, 6)));
    check("reflection_pad2d", x, ROUNDING, |t| ops::reflection_pad2d(&t[0], &Padding2d::same(3)));
    check("topk", x, ROUNDING, |t| Ok(ops::topk(&t[0], 4, 3)?.0));
}

#[test]
fn sampling_and_regions() {
    let x = draws(1, &[2, 5, 19, 21], (0.3, 1.0));
    let map = std::slice::from_ref(&x);
    for mode in [
        InterpolateMode::Nearest,
        InterpolateMode::Bilinear { align_corners: false },
        InterpolateMode::Bilinear { align_corners: true },
    ] {
        for size in [(38, 42), (7, 30)] {
            check("interpolate", map, ROUNDING, |t| ops::interpolate(&t[0], size, mode));
        }
    }
    let grid = draws(2, &[2, 13, 17, 2], (0.0, 0.6));
    for padding_mode in [GridPadding::Zeros, GridPadding::Border] {
        let params = GridSampleParams { padding_mode, align_corners: false };
        // A position is a number of some twenty, rounded, and its gradient a difference of neighbours.
        check("grid_sample", &[x.clone(), grid.clone()], 1e-4, |t| ops::grid_sample(&t[0], &t[1], &params));
    }
    let other = rounded(&(&x + (normal(4, x.dims()) * 0.3).unwrap()).unwrap());
    check("ssim_loss", &[x.clone(), other], 1e-4, |t| ops::ssim_loss(&t[0], &t[1], &SsimParams::default()));
    let boxes = Tensor::new(
        &[[0.0f64, 1.3, 2.1, 9.7, 8.3], [1.0, -3.2, 4.4, 30.1, 27.3], [1.0, 3.0, 0.7, 38.9, 12.2]],
        &Device::Cpu,
    );
    let boxes = rounded(&boxes.unwrap());
    let cast = |t: &Tensor| boxes.to_dtype(t.dtype()).unwrap();
    let align = RoiAlignParams { output_size: (3, 4), spatial_scale: 0.5, sampling_ratio: 2, aligned: true };
    check("roi_align", map, 1e-4, |t| ops::roi_align(&t[0], &cast(&t[0]), &align));
    let average = RoiAlignAvgParams { output_size: (3, 4), spatial_scale: 0.5 };
    check("roi_align_avg", map, 1e-4, |t| ops::roi_align_avg(&t[0], &cast(&t[0]), &average));
    let pool = RoiPoolParams { output_size: (3, 4), spatial_scale: 0.5 };
    check("roi_pool", map, ROUNDING, |t| ops::roi_pool(&t[0], &cast(&t[0]), &pool));
    let corners = |seed| {
        let low = (normal(seed, &[12, 2]) * 3.0).unwrap();
        let high = (&low + normal(seed + 1, &[12, 2]).abs().unwrap().affine(5.0, 1.0).unwrap()).unwrap();
        rounded(&Tensor::cat(&[&low, &high], 1).unwrap())
    };
    let pairs = [corners(5), corners(7)];
    check("box_iou", &pairs, 1e-4, |t| ops::box_iou(&t[0], &t[1]));
    check("generalized_box_iou", &pairs, 1e-4, |t| ops::generalized_box_iou(&t[0], &t[1]));
}

#[test]
fn losses() {
    let (x, target) = (draws(1, &[40, 9], (0.3, 2.0)), draws(2, &[40, 9], (0.0, 1.0)));
    let logits = std::slice::from_ref(&x);
    let shares = rounded(
        &Tensor::from_vec(
            flat(&target).iter().map(|v| 0.5 + 0.4 * v.sin()).collect::<Vec<f64>>(),
            (40, 9),
            &Device::Cpu,
        )
        .unwrap(),
    );
    let classes = Tensor::from_vec((0..40i64).map(|i| i * 5 % 9).collect::<Vec<_>>(), 40, &Device::Cpu).unwrap();
    for reduction in [Reduction::None, Reduction::Mean, Reduction::Sum] {
        let params = CrossEntropyParams { label_smoothing: 0.1, reduction, ..CrossEntropyParams::default() };
        check("cross_entropy", logits, ROUNDING, |t| ops::cross_entropy(&t[0], &classes, &params));
        let pair = [x.clone(), shares.clone()];
        check("soft_cross_entropy", &pair, ROUNDING, |t| ops::soft_cross_entropy(&t[0], &t[1], reduction));
        let params = SigmoidFocalLossParams { alpha: Some(0.25), gamma: 2.0, reduction };
        check("sigmoid_focal_loss", &pair, ROUNDING, |t| ops::sigmoid_focal_loss(&t[0], &t[1], &params));
        let params = SoftmaxFocalLossParams { gamma: 2.0, reduction };
        check("softmax_focal_loss", logits, ROUNDING, |t| ops::softmax_focal_loss(&t[0], &classes, &params));
        let params = BinaryCrossEntropyParams { reduction, ..BinaryCrossEntropyParams::default() };
        check("binary_cross_entropy", &pair, ROUNDING, |t| {
            ops::binary_cross_entropy_with_logits(&t[0], &t[1], &params)
        });
        let params = SmoothL1LossParams { beta: 0.5, reduction };
        let pair = [x.clone(), target.clone()];
        check("smooth_l1_loss", &pair, ROUNDING, |t| ops::smooth_l1_loss(&t[0], &t[1], &params));
    }
    let unit = |seed| rounded(&ops::normalize(&normal(seed, &[20, 24]), 1, 1e-12).unwrap());
    let queue = rounded(&ops::normalize(&normal(3, &[24, 900]), 0, 1e-12).unwrap());
    check("info_nce", &[unit(1), unit(2)], ROUNDING, |t| {
        ops::info_nce(&t[0], &t[1], &queue.to_dtype(t[0].dtype())?, 0.2)
    });
}
