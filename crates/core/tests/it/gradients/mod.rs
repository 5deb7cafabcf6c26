//! Every differentiable operation against central differences.

mod losses;
mod normalisation;
mod regions;
mod sampling;

use sconce_core::{
    DType, Device, Rng, Tensor,
    ops::{
        self, Activation, AvgPool2dParams, BatchNormParams, Conv2dParams, CrossEntropyParams, MaxPool2dParams,
        Reduction, RunningStats, Statistics,
    },
    testing::check_gradients,
};

use crate::normal;

#[test]
fn conv2d() {
    let pair = |v| (v, v);
    for (x, weight, stride, padding, dilation, groups) in [
        ([2, 3, 5, 6], [4, 3, 3, 3], pair(1), pair(1), pair(1), 1),
        ([1, 2, 6, 5], [3, 2, 3, 3], pair(2), pair(1), pair(1), 1),
        ([2, 2, 7, 4], [2, 2, 1, 1], pair(2), pair(0), pair(1), 1),
        ([1, 2, 4, 7], [2, 2, 1, 3], (2, 1), (0, 2), (1, 2), 1),
        ([1, 4, 5, 5], [6, 2, 3, 2], (1, 2), (1, 0), pair(1), 2),
        ([2, 3, 4, 4], [3, 1, 3, 3], pair(1), pair(2), pair(2), 3),
        // A padding wider than the kernel: whole rows and columns of the output see nothing.
        ([1, 1, 3, 3], [1, 1, 2, 2], pair(1), pair(3), pair(1), 1),
        // A single position: few outputs for many weights.
        ([2, 6, 1, 1], [5, 6, 3, 3], pair(1), pair(1), pair(1), 1),
    ] {
        let params = Conv2dParams { stride, padding, dilation, groups };
        let inputs = [normal(1, &x), normal(2, &weight), normal(3, &[weight[0]])];
        check_gradients(&inputs, |t| ops::conv2d(&t[0], &t[1], Some(&t[2]), &params));
    }
}

#[test]
fn batch_norm() {
    for activation in [Activation::None, Activation::Relu] {
        for x in [&[4, 3, 2, 3][..], &[5, 2], &[2, 2, 1, 1], &[3, 2, 1, 17]] {
            let c = x[1];
            let inputs = [normal(1, x), normal(2, &[c]), normal(3, &[c])];
            let zeros = || Tensor::zeros(c, DType::F64, &Device::Cpu).unwrap();
            check_gradients(&inputs, |t| {
                let running = RunningStats { mean: &zeros(), var: &zeros(), momentum: 0.1 };
                ops::batch_norm_train(&t[0], &t[1], &t[2], &running, &BatchNormParams::default(), activation)
            });
            let (mean, var) = (normal(4, &[c]), normal(5, &[c]).sqr().unwrap());
            check_gradients(&inputs, |t| ops::batch_norm_eval(&t[0], &t[1], &t[2], (&mean, &var), 1e-5, activation));
            let inputs = [&inputs[..], &[normal(6, x)]].concat();
            check_gradients(&inputs, |t| {
                let running = RunningStats { mean: &zeros(), var: &zeros(), momentum: 0.1 };
                ops::batch_norm_train(
                    &t[0],
                    &t[1],
                    &t[2],
                    &running,
                    &BatchNormParams::default(),
                    Activation::AddRelu(&t[3]),
                )
            });
        }
    }
}

#[test]
fn batch_norm_in_splits() {
    for (x, splits) in [(&[6, 3, 2, 3][..], 3), (&[8, 2], 2), (&[4, 2, 1, 2], 4)] {
        let c = x[1];
        let inputs = [normal(1, x), normal(2, &[c]), normal(3, &[c]), normal(6, x)];
        let params = BatchNormParams { statistics: Statistics::Splits(splits), ..BatchNormParams::default() };
        let zeros = || Tensor::zeros(c, DType::F64, &Device::Cpu).unwrap();
        let norm = |t: &[Tensor], activation: Activation<'_>| {
            let running = RunningStats { mean: &zeros(), var: &zeros(), momentum: 0.1 };
            ops::batch_norm_train(&t[0], &t[1], &t[2], &running, &params, activation)
        };
        check_gradients(&inputs[..3], |t| norm(t, Activation::None));
        check_gradients(&inputs[..3], |t| norm(t, Activation::Relu));
        check_gradients(&inputs, |t| norm(t, Activation::AddRelu(&t[3])));
    }
}

#[test]
fn pooling() {
    let x = [normal(1, &[2, 2, 7, 6])];
    for ceil_mode in [false, true] {
        for (kernel_size, stride, padding) in
            [((2, 2), (2, 2), (0, 0)), ((3, 3), (2, 2), (1, 1)), ((3, 2), (1, 3), (0, 1))]
        {
            check_gradients(&x, |t| {
                ops::max_pool2d(&t[0], &MaxPool2dParams { kernel_size, stride, padding, ceil_mode })
            });
            for count_include_pad in [false, true] {
                let params = AvgPool2dParams { kernel_size, stride, padding, ceil_mode, count_include_pad };
                check_gradients(&x, |t| ops::avg_pool2d(&t[0], &params));
            }
        }
    }
    for size in [(1, 1), (3, 4), (7, 6), (9, 8)] {
        check_gradients(&x, |t| ops::adaptive_avg_pool2d(&t[0], size));
    }
}

#[test]
fn linear() {
    for x in [&[3, 4][..], &[4], &[2, 3, 4]] {
        let inputs = [normal(1, x), normal(2, &[5, 4]), normal(3, &[5])];
        check_gradients(&inputs, |t| ops::linear(&t[0], &t[1], Some(&t[2])));
        check_gradients(&inputs[..2], |t| ops::linear(&t[0], &t[1], None));
    }
}

#[test]
fn activations() {
    let inputs = [normal(1, &[3, 7]), normal(2, &[3, 7])];
    check_gradients(&inputs[..1], |t| ops::relu(&t[0]));
    check_gradients(&inputs, |t| ops::add_relu(&t[0], &t[1]));
    for dim in [0, 1] {
        check_gradients(&inputs[..1], |t| ops::log_softmax(&t[0], dim));
    }
    check_gradients(&inputs[..1], |t| ops::dropout(&t[0], 0.4, &mut Rng::new(3, "mask")));
}

#[test]
fn cross_entropy() {
    let weight = Tensor::new(&[0.3, 1.7, 0.5, 1.1], &Device::Cpu).unwrap();
    for dims in [&[5, 4][..], &[2, 4, 3]] {
        let x = [normal(1, dims)];
        let n: usize = dims.iter().product::<usize>() / 4;
        let shape: Vec<usize> = [&dims[..1], &dims[2..]].concat();
        let target: Vec<i64> = (0..n as i64).map(|i| if i == 2 { -1 } else { i % 4 }).collect();
        let target = Tensor::from_vec(target, shape, &Device::Cpu).unwrap();
        for reduction in [Reduction::None, Reduction::Mean, Reduction::Sum] {
            for label_smoothing in [0.0, 0.2] {
                for weight in [None, Some(weight.clone())] {
                    let params = CrossEntropyParams { weight, ignore_index: Some(-1), label_smoothing, reduction };
                    check_gradients(&x, |t| ops::cross_entropy(&t[0], &target, &params));
                }
            }
            let soft = [normal(1, dims), normal(2, dims)];
            check_gradients(&soft, |t| ops::soft_cross_entropy(&t[0], &t[1], reduction));
        }
    }
}
