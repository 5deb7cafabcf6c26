//! Times single operations, forward and backward, each at one representative shape: `cargo bench -p sconce-core`.
//!
//! What is compared with PyTorch is `cargo xtask bench`; this is for work on one operation.

use divan::Bencher;
use sconce_core::{
    DType, Device, GradStore, Result, Rng, Tensor, Var, backward,
    ops::{
        self, Activation, BatchNormParams, BinaryCrossEntropyParams, Conv2dParams, CrossEntropyParams, MaxPool2dParams,
        RoiAlignParams, RoiPoolParams, RunningStats, SigmoidFocalLossParams, SmoothL1LossParams,
        SoftmaxFocalLossParams, Statistics,
    },
};

fn main() {
    divan::main();
}

fn normal(purpose: &str, shape: &[usize]) -> Tensor {
    Rng::new(0, purpose).normal_tensor((0.0, 1.0), shape, DType::F32, &Device::Cpu).unwrap()
}

/// `n` classes of `0..classes` in the given shape.
fn classes(classes: usize, shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<i64> = (0..n).map(|i| (i * 7 % classes) as i64).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// `n` boxes of 16 to 512 pixels in an image of 1216 × 800.
fn boxes(n: usize) -> Tensor {
    let mut rng = Rng::new(0, "boxes");
    let corners: Vec<f32> = (0..n)
        .flat_map(|_| {
            let (x, y) = (rng.uniform(0.0, 1200.0), rng.uniform(0.0, 784.0));
            let mut far = |near: f64, limit: f64| (near + 16.0 * 2f64.powf(rng.uniform(0.0, 5.0))).min(limit);
            let (right, below) = (far(x, 1216.0), far(y, 800.0));
            [x, y, right, below].map(|v| v as f32)
        })
        .collect();
    Tensor::from_vec(corners, (n, 4), &Device::Cpu).unwrap()
}

/// [`boxes`] of the first image.
fn regions(n: usize) -> Tensor {
    let image = Tensor::zeros((n, 1), DType::F32, &Device::Cpu).unwrap();
    Tensor::cat(&[&image, &boxes(n)], 1).unwrap()
}

/// Times `f` and its gradients by all of `inputs`.
fn both_ways(bencher: Bencher<'_, '_>, inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
    let inputs: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let run = || -> Result<GradStore> { backward(&f(&inputs)?) };
    bencher.bench_local(|| run().unwrap());
}

#[divan::bench]
fn conv2d_3x3_16x64x16x16(bencher: Bencher<'_, '_>) {
    let inputs = [normal("x", &[16, 64, 16, 16]), normal("weight", &[64, 64, 3, 3])];
    let params = Conv2dParams { padding: (1, 1), ..Conv2dParams::default() };
    both_ways(bencher, &inputs, |t| ops::conv2d(&t[0], &t[1], None, &params));
}

#[divan::bench]
fn batch_norm_train_16x64x32x32(bencher: Bencher<'_, '_>) {
    let inputs = [normal("x", &[16, 64, 32, 32]), normal("weight", &[64]), normal("bias", &[64])];
    let (mean, var) = (normal("mean", &[64]), normal("var", &[64]).sqr().unwrap());
    both_ways(bencher, &inputs, |t| {
        let running = RunningStats { mean: &mean, var: &var, momentum: 0.1 };
        ops::batch_norm_train(&t[0], &t[1], &t[2], &running, &BatchNormParams::default(), Activation::Relu)
    });
}

#[divan::bench]
fn batch_norm_train_in_8_splits_16x64x32x32(bencher: Bencher<'_, '_>) {
    let inputs = [normal("x", &[16, 64, 32, 32]), normal("weight", &[64]), normal("bias", &[64])];
    let (mean, var) = (normal("mean", &[64]), normal("var", &[64]).sqr().unwrap());
    let params = BatchNormParams { statistics: Statistics::Splits(8), ..BatchNormParams::default() };
    both_ways(bencher, &inputs, |t| {
        let running = RunningStats { mean: &mean, var: &var, momentum: 0.1 };
        ops::batch_norm_train(&t[0], &t[1], &t[2], &running, &params, Activation::Relu)
    });
}

#[divan::bench]
fn max_pool2d_3x3_16x64x32x32(bencher: Bencher<'_, '_>) {
    let params = MaxPool2dParams::square(3, 2, 1);
    both_ways(bencher, &[normal("x", &[16, 64, 32, 32])], |t| ops::max_pool2d(&t[0], &params));
}

#[divan::bench]
fn cross_entropy_256x1000(bencher: Bencher<'_, '_>) {
    let target = classes(1000, &[256]);
    both_ways(bencher, &[normal("x", &[256, 1000])], |t| {
        ops::cross_entropy(&t[0], &target, &CrossEntropyParams::default())
    });
}

#[divan::bench]
fn softmax_focal_loss_256x80(bencher: Bencher<'_, '_>) {
    let target = classes(80, &[256]);
    both_ways(bencher, &[normal("x", &[256, 80])], |t| {
        ops::softmax_focal_loss(&t[0], &target, &SoftmaxFocalLossParams::default())
    });
}

#[divan::bench]
fn sigmoid_focal_loss_20000x20(bencher: Bencher<'_, '_>) {
    let target = normal("target", &[20_000, 20]).gt(2.0).unwrap().to_dtype(DType::F32).unwrap();
    both_ways(bencher, &[normal("x", &[20_000, 20])], |t| {
        ops::sigmoid_focal_loss(&t[0], &target, &SigmoidFocalLossParams::default())
    });
}

#[divan::bench]
fn binary_cross_entropy_with_logits_20000x20(bencher: Bencher<'_, '_>) {
    let target = normal("target", &[20_000, 20]).gt(2.0).unwrap().to_dtype(DType::F32).unwrap();
    both_ways(bencher, &[normal("x", &[20_000, 20])], |t| {
        ops::binary_cross_entropy_with_logits(&t[0], &target, &BinaryCrossEntropyParams::default())
    });
}

#[divan::bench]
fn smooth_l1_loss_20000x4(bencher: Bencher<'_, '_>) {
    let target = normal("target", &[20_000, 4]);
    both_ways(bencher, &[normal("x", &[20_000, 4])], |t| {
        ops::smooth_l1_loss(&t[0], &target, &SmoothL1LossParams::default())
    });
}

#[divan::bench]
fn normalize_4096x128(bencher: Bencher<'_, '_>) {
    both_ways(bencher, &[normal("x", &[4096, 128])], |t| ops::normalize(&t[0], 1, 1e-12));
}

#[divan::bench]
fn info_nce_64x8192x128(bencher: Bencher<'_, '_>) {
    let (k, queue) = (normal("k", &[64, 128]), normal("queue", &[128, 8192]));
    both_ways(bencher, &[normal("q", &[64, 128])], |t| ops::info_nce(&t[0], &k, &queue, 1.0));
}

#[divan::bench]
fn box_iou_100x5000(bencher: Bencher<'_, '_>) {
    let (truths, anchors) = (boxes(100), boxes(5000));
    bencher.bench_local(|| ops::box_iou(&truths, &anchors).unwrap());
}

#[divan::bench]
fn generalized_box_iou_300x300(bencher: Bencher<'_, '_>) {
    both_ways(bencher, &[boxes(300), boxes(300)], |t| ops::generalized_box_iou(&t[0], &t[1]));
}

#[divan::bench]
fn nms_4000(bencher: Bencher<'_, '_>) {
    let (boxes, scores) = (boxes(4000), normal("scores", &[4000]));
    bencher.bench_local(|| ops::nms(&boxes, &scores, 0.7).unwrap());
}

#[divan::bench]
fn batched_nms_4000(bencher: Bencher<'_, '_>) {
    let (boxes, scores, idxs) = (boxes(4000), normal("scores", &[4000]), classes(80, &[4000]));
    bencher.bench_local(|| ops::batched_nms(&boxes, &scores, &idxs, 0.5).unwrap());
}

#[divan::bench]
fn topk_1000_of_100000(bencher: Bencher<'_, '_>) {
    both_ways(bencher, &[normal("x", &[2, 100_000])], |t| Ok(ops::topk(&t[0], 1000, 1)?.0));
}

#[divan::bench]
fn roi_align_128_of_64x50x76(bencher: Bencher<'_, '_>) {
    let regions = regions(128);
    let params = RoiAlignParams { output_size: (7, 7), spatial_scale: 1.0 / 16.0, sampling_ratio: 2, aligned: true };
    both_ways(bencher, &[normal("x", &[1, 64, 50, 76])], |t| ops::roi_align(&t[0], &regions, &params));
}

#[divan::bench]
fn roi_pool_128_of_64x50x76(bencher: Bencher<'_, '_>) {
    let regions = regions(128);
    let params = RoiPoolParams { output_size: (7, 7), spatial_scale: 1.0 / 16.0 };
    both_ways(bencher, &[normal("x", &[1, 64, 50, 76])], |t| ops::roi_pool(&t[0], &regions, &params));
}
