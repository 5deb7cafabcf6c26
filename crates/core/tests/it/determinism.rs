//! The number of threads changes no bit.

use sconce_core::{
    DType, Device, Rng, Tensor, Var, backward,
    ops::{
        self, Activation, BatchNormParams, BinaryCrossEntropyParams, Conv2dParams, ConvTranspose2dParams,
        DeformConv2dParams, GridPadding, GridSampleParams, InterpolateMode, MaxPool2dParams, Padding2d, Reduction,
        RoiAlignParams, RoiPoolParams, RunningStats, SigmoidFocalLossParams, SmoothL1LossParams,
        SoftmaxFocalLossParams, SsimParams,
    },
};

fn draw(seed: u64, shape: &[usize]) -> Tensor {
    Rng::new(seed, "x").normal_tensor((0.0, 1.0), shape, DType::F32, &Device::Cpu).unwrap()
}

fn var(seed: u64, shape: &[usize]) -> Var {
    Var::from_tensor(&draw(seed, shape)).unwrap()
}

fn to_bits(tensors: &[Tensor]) -> Vec<u32> {
    tensors.iter().flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap()).map(f32::to_bits).collect()
}

/// All outputs and gradients of a small network whose layers take every path, as bits.
fn bits() -> Vec<u32> {
    let (x, w1, w2, w3) = (var(1, &[9, 3, 40, 36]), var(2, &[24, 3, 5, 5]), var(3, &[32, 24, 3, 3]), var(4, &[10, 32]));
    let (gamma, beta) = (var(5, &[24]), var(6, &[24]));
    let stats = Tensor::ones(24, DType::F32, &Device::Cpu).unwrap();
    let running = RunningStats { mean: &stats, var: &stats.copy().unwrap(), momentum: 0.1 };
    let y =
        ops::conv2d(&x, &w1, None, &Conv2dParams { stride: (2, 2), padding: (2, 2), ..Default::default() }).unwrap();
    let y = ops::batch_norm_train(&y, &gamma, &beta, &running, &BatchNormParams::default(), Activation::Relu).unwrap();
    let y = ops::max_pool2d(&y, &MaxPool2dParams::square(3, 2, 1)).unwrap();
    let y = ops::conv2d(&y, &w2, None, &Conv2dParams { padding: (1, 1), ..Default::default() }).unwrap();
    let y = ops::dropout(&ops::relu(&y).unwrap(), 0.2, &mut Rng::new(0, "mask")).unwrap();
    let y = ops::adaptive_avg_pool2d(&y, (1, 1)).unwrap().flatten_from(1).unwrap();
    let y = ops::linear(&y, &w3, None).unwrap();
    let target = Tensor::from_vec((0..9i64).collect(), 9, &Device::Cpu).unwrap();
    let loss = ops::cross_entropy(&y, &target, &Default::default()).unwrap();
    let grads = backward(&loss).unwrap();
    let gradients = [&x, &w1, &w2, &w3, &gamma, &beta].map(|v| grads.get(v).unwrap().clone());
    to_bits(&[&[y, loss, stats][..], &gradients].concat())
}

/// Outputs and gradients of the operations on boxes and regions, each large enough for several tasks.
fn bits_of_regions() -> Vec<u32> {
    let boxes = |n: usize| {
        let corner = (draw(1, &[n, 2]) * 20.0).unwrap();
        let size = ((draw(2, &[n, 2]) * 10.0).unwrap().abs().unwrap() + 1.0).unwrap();
        Tensor::cat(&[&corner, &(&corner + size).unwrap()], 1).unwrap()
    };
    let image: Vec<f32> = (0..90).map(|i| (i * 7 % 3) as f32).collect();
    let image = Tensor::from_vec(image, (90, 1), &Device::Cpu).unwrap();
    let regions = Tensor::cat(&[&image, &boxes(90)], 1).unwrap();
    let x = var(3, &[3, 37, 21, 18]);
    let align = RoiAlignParams { output_size: (5, 4), spatial_scale: 0.5, sampling_ratio: 0, aligned: true };
    let aligned = ops::roi_align(&x, &regions, &align).unwrap();
    let pool = RoiPoolParams { output_size: (3, 3), spatial_scale: 0.5 };
    let pooled = ops::roi_pool(&x, &regions, &pool).unwrap();
    let (a, b) = (Var::from_tensor(&boxes(200)).unwrap(), Var::from_tensor(&boxes(150)).unwrap());
    let overlaps = [ops::box_iou(&a, &b).unwrap(), ops::generalized_box_iou(&a, &b).unwrap()];
    let (largest, _) = ops::topk(&x, 7, 2).unwrap();
    let kept = ops::nms(&boxes(3000), &draw(4, &[3000]), 0.3).unwrap().to_dtype(DType::F32).unwrap();
    let mut all = vec![aligned, pooled, largest];
    all.extend(overlaps);
    let loss = all.iter().map(|y| y.sqr().unwrap().sum_all().unwrap()).reduce(|a, b| (a + b).unwrap()).unwrap();
    let grads = backward(&loss).unwrap();
    all.extend([&x, &a, &b].map(|v| grads.get(v).unwrap().clone()));
    all.push(kept);
    to_bits(&all)
}

/// Values and gradients of the losses, each of several tasks.
fn bits_of_losses() -> Vec<u32> {
    let (x, target) = (var(1, &[70, 5, 150]), var(2, &[70, 5, 150]));
    let reduction = Reduction::Sum;
    let classes: Vec<i64> = (0..70 * 150).map(|i| i * 3 % 5).collect();
    let classes = Tensor::from_vec(classes, (70, 150), &Device::Cpu).unwrap();
    let bce = BinaryCrossEntropyParams { reduction, ..Default::default() };
    let mut all = vec![
        ops::sigmoid_focal_loss(&x, &target, &SigmoidFocalLossParams { alpha: None, gamma: 2.0, reduction }).unwrap(),
        ops::smooth_l1_loss(&x, &target, &SmoothL1LossParams { beta: 0.5, reduction }).unwrap(),
        ops::binary_cross_entropy_with_logits(&x, &target, &bce).unwrap(),
        ops::softmax_focal_loss(&x, &classes, &SoftmaxFocalLossParams { gamma: 1.5, reduction }).unwrap(),
    ];
    let (q, k, queue) = (var(3, &[150, 24]), var(4, &[150, 24]), draw(5, &[24, 20_000]));
    let unit = ops::normalize(&q, 1, 1e-12).unwrap();
    all.push(ops::info_nce(&unit, &k, &queue, 0.2).unwrap());
    let grads = backward(&Tensor::stack(&all, 0).unwrap().sum_all().unwrap()).unwrap();
    all.extend([&x, &target, &q, &k].map(|v| grads.get(v).unwrap().clone()));
    all.push(ops::info_nce_logits(&unit, &k, &queue, 0.2).unwrap());
    to_bits(&all)
}

/// All outputs and gradients of what resizes, samples and normalises, as bits.
fn bits_of_sampling() -> Vec<u32> {
    let var = |seed: u64, std: f64, shape: &[usize]| {
        let draws = Rng::new(seed, "x").normal_tensor((0.0, std), shape, DType::F32, &Device::Cpu).unwrap();
        Var::from_tensor(&draws).unwrap()
    };
    let (x, y) = (var(1, 1.0, &[2, 8, 37, 41]), var(2, 1.0, &[2, 8, 50, 44]));
    let (grid, few) = (var(3, 0.6, &[2, 50, 44, 2]), var(4, 0.6, &[1, 50, 44, 2]));
    let (gamma, beta, g, v) =
        (var(5, 1.0, &[8]), var(6, 1.0, &[8]), var(7, 1.0, &[8, 1, 1, 1]), var(8, 1.0, &[8, 4, 3, 3]));
    let (offset, mask) = (var(9, 2.0, &[2, 36, 37, 41]), var(10, 1.0, &[2, 18, 37, 41]));
    let weight = ops::weight_norm(&v, &g, 0).unwrap();
    let sampled = |x: &Tensor, grid: &Tensor, padding_mode| {
        ops::grid_sample(x, grid, &GridSampleParams { padding_mode, align_corners: false }).unwrap()
    };
    let deform = DeformConv2dParams { padding: (1, 1), ..Default::default() };
    let up = ConvTranspose2dParams { stride: (2, 2), groups: 2, ..Default::default() };
    let bilinear = InterpolateMode::Bilinear { align_corners: true };
    let outputs = [
        sampled(&x, &grid, GridPadding::Border),
        sampled(&x.narrow(0, 1, 1).unwrap().narrow(1, 2, 3).unwrap(), &few, GridPadding::Zeros),
        ops::interpolate(&x, (74, 82), InterpolateMode::Nearest).unwrap(),
        ops::interpolate(&x, (60, 20), InterpolateMode::Nearest).unwrap(),
        ops::interpolate(&x, (50, 90), bilinear).unwrap(),
        ops::elu(&ops::reflection_pad2d(&x, &Padding2d::same(3)).unwrap(), 1.0).unwrap(),
        ops::group_norm(&ops::leaky_relu(&x, 0.1).unwrap(), 4, &gamma, &beta, 1e-5).unwrap(),
        ops::ssim_loss(&sampled(&x, &grid, GridPadding::Border), &y, &SsimParams::default()).unwrap(),
        ops::deform_conv2d(&x, &offset, &weight, Some(&beta), Some(&mask), &deform).unwrap(),
        ops::conv_transpose2d(&x, &weight, Some(&beta), &up).unwrap(),
    ];
    let losses: Vec<Tensor> = outputs.iter().map(|y| y.sqr().unwrap().sum_all().unwrap()).collect();
    let grads = backward(&Tensor::stack(&losses, 0).unwrap().sum_all().unwrap()).unwrap();
    let vars = [&x, &y, &grid, &few, &gamma, &beta, &g, &v, &offset, &mask];
    let gradients = vars.map(|v| grads.get(v).unwrap().clone());
    let all = [&outputs[..], &gradients].concat();
    all.iter().flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap()).map(f32::to_bits).collect()
}

/// Outputs and gradients of convolutions that are large enough for Winograd's algorithm, or strided, or of one element.
fn bits_of_convolutions() -> Vec<u32> {
    let mut all = Vec::new();
    for (x, weight, stride, padding) in [
        ([3, 40, 30, 23], [48, 40, 3, 3], 1, 1),
        ([2, 33, 31, 30], [64, 33, 3, 3], 2, 1),
        ([2, 96, 20, 21], [80, 96, 1, 1], 1, 0),
        ([5, 512, 2, 2], [70, 512, 3, 3], 1, 1),
    ] {
        let (x, weight) = (var(1, &x), var(2, &weight));
        let params = Conv2dParams { stride: (stride, stride), padding: (padding, padding), ..Default::default() };
        let y = ops::conv2d(&x, &weight, None, &params).unwrap();
        let grads = backward(&y.sqr().unwrap().sum_all().unwrap()).unwrap();
        all.extend([y.clone(), grads.get(&x).unwrap().clone(), grads.get(&weight).unwrap().clone()]);
    }
    to_bits(&all)
}

fn check(bits: fn() -> Vec<u32>) {
    let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(bits);
    let one = on(1);
    for threads in [2, 3, 8] {
        assert!(on(threads) == one, "{threads} threads differ from one");
    }
}

#[test]
fn one_thread_and_many_give_the_same_bits() {
    check(bits);
}

#[test]
fn one_thread_and_many_give_the_same_bits_of_regions() {
    check(bits_of_regions);
}

#[test]
fn one_thread_and_many_give_the_same_bits_of_losses() {
    check(bits_of_losses);
}

#[test]
fn one_thread_and_many_give_the_same_bits_of_sampling() {
    check(bits_of_sampling);
}

#[test]
fn one_thread_and_many_give_the_same_bits_of_convolutions() {
    check(bits_of_convolutions);
}
