//! Losses of detectors and of contrastive learning against central differences.

use sconce_core::{
    Device, Tensor,
    ops::{
        self, BinaryCrossEntropyParams, Reduction, SigmoidFocalLossParams, SmoothL1LossParams, SoftmaxFocalLossParams,
    },
    testing::check_gradients,
};

use crate::{flat, normal};

const REDUCTIONS: [Reduction; 3] = [Reduction::None, Reduction::Mean, Reduction::Sum];

/// Numbers within 0 and 1, and not near them.
fn shares(seed: u64, shape: &[usize]) -> Tensor {
    let values = flat(&normal(seed, shape)).iter().map(|x| 0.5 + 0.4 * x.sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

#[test]
fn sigmoid_focal_loss() {
    for reduction in REDUCTIONS {
        for (alpha, gamma) in [(None, 0.0), (Some(0.25), 2.0), (Some(0.0), 0.5), (Some(1.0), 1.0), (None, 3.5)] {
            let params = SigmoidFocalLossParams { alpha, gamma, reduction };
            let soft = [normal(1, &[3, 4]), shares(2, &[3, 4])];
            check_gradients(&soft, |t| ops::sigmoid_focal_loss(&t[0], &t[1], &params));
            let hard = Tensor::new(&[[0f64, 1.0, 0.0], [1.0, 1.0, 0.0]], &Device::Cpu).unwrap();
            let logits = (normal(3, &[2, 3]) * 4.0).unwrap();
            check_gradients(&[logits], |t| ops::sigmoid_focal_loss(&t[0], &hard, &params));
        }
    }
}

#[test]
fn softmax_focal_loss() {
    for reduction in REDUCTIONS {
        for gamma in [0.0, 0.5, 1.0, 2.0, 3.5] {
            let params = SoftmaxFocalLossParams { gamma, reduction };
            let target = Tensor::new(&[2i64, 0, 1], &Device::Cpu).unwrap();
            let logits = (normal(1, &[3, 4]) * 3.0).unwrap();
            check_gradients(&[logits], |t| ops::softmax_focal_loss(&t[0], &target, &params));
            let target = Tensor::new(&[[[1i64, 0], [1, 1]], [[0, 0], [1, 0]]], &Device::Cpu).unwrap();
            check_gradients(&[normal(2, &[2, 2, 2, 2])], |t| ops::softmax_focal_loss(&t[0], &target, &params));
        }
    }
}

#[test]
fn smooth_l1_loss() {
    for reduction in REDUCTIONS {
        for beta in [0.0, 1.0 / 9.0, 1.0, 3.0] {
            let params = SmoothL1LossParams { beta, reduction };
            check_gradients(&[normal(1, &[4, 5]), normal(2, &[4, 5])], |t| ops::smooth_l1_loss(&t[0], &t[1], &params));
        }
    }
}

#[test]
fn binary_cross_entropy_with_logits() {
    for reduction in REDUCTIONS {
        let inputs = [(normal(1, &[3, 4]) * 3.0).unwrap(), shares(2, &[3, 4])];
        for weight in [None, Some(shares(3, &[3, 1]))] {
            for pos_weight in [None, Some((shares(4, &[4]) * 5.0).unwrap())] {
                let params = BinaryCrossEntropyParams { weight: weight.clone(), pos_weight, reduction };
                check_gradients(&inputs, |t| ops::binary_cross_entropy_with_logits(&t[0], &t[1], &params));
            }
        }
    }
}

#[test]
fn normalize() {
    for (shape, dim) in [(vec![3, 5], 1), (vec![3, 5], 0), (vec![2, 3, 2, 2], 1), (vec![4], 0), (vec![2, 1], 1)] {
        check_gradients(&[normal(1, &shape)], |t| ops::normalize(&t[0], dim, 1e-12));
        // Shorter than eps: a division by a constant.
        check_gradients(&[normal(1, &shape)], |t| ops::normalize(&t[0], dim, 100.0));
    }
}

#[test]
fn info_nce() {
    for (n, d, keys, temperature) in [(3, 4, 5, 0.5), (1, 1, 1, 1.0), (2, 3, 600, 0.2)] {
        let queue = normal(3, &[d, keys]);
        let inputs = [normal(1, &[n, d]), normal(2, &[n, d])];
        check_gradients(&inputs, |t| ops::info_nce(&t[0], &t[1], &queue, temperature));
        check_gradients(&inputs[..1], |t| ops::info_nce(&t[0], &inputs[1], &queue, temperature));
        check_gradients(&inputs[1..], |t| ops::info_nce(&inputs[0], &t[0], &queue, temperature));
    }
}
