//! One batch computed by hand and by PyTorch: losses, gradients, groups and labels.

use sconce_core::{DType, Device, Tensor, Var, backward, testing::check_gradients};
use sconce_scn::{
    Combine, Groups, RelabelConfig, RelabelScope, combine, label_tensor, rank_regularization, relabel,
    weighted_cross_entropy,
};

const LOGITS: [[f64; 3]; 5] = [[2.0, 0.5, -1.0], [0.1, 0.2, 0.3], [-0.5, 1.5, 0.0], [1.0, 1.0, -2.0], [0.0, 3.0, 1.0]];
const ALPHA: [f64; 5] = [0.9, 0.2, 0.6, 0.4, 0.8];
const LABELS: [u32; 5] = [0, 2, 0, 1, 2];

fn var(values: impl candle_core::NdArray) -> Var {
    Var::from_tensor(&Tensor::new(values, &Device::Cpu).unwrap()).unwrap()
}

fn scalar(value: f64) -> Tensor {
    Tensor::new(value, &Device::Cpu).unwrap()
}

fn value(t: &Tensor) -> f64 {
    t.to_scalar().unwrap()
}

#[track_caller]
fn assert_near(ours: &[f64], expected: &[f64]) {
    for (a, b) in ours.iter().zip(expected) {
        assert!((a - b).abs() < 1e-6, "{ours:?}, expected {expected:?}");
    }
}

fn weighted(logits: &Tensor, alpha: &Tensor) -> Tensor {
    logits.broadcast_mul(&alpha.unsqueeze(1).unwrap()).unwrap()
}

fn groups() -> Groups {
    Groups::split(&var(&ALPHA), 0.7).unwrap()
}

#[test]
fn groups_are_the_highest_three_and_the_rest() {
    let groups = groups();
    assert_eq!(groups.high, [0, 4, 2]);
    assert_eq!(groups.low, [3, 1]);
    assert_near(&[groups.difference], &[0.7666667 - 0.3]);
}

#[test]
fn group_sizes_are_truncated_as_in_the_code() {
    for (batch, high) in [(64, 44), (47, 32), (5, 3), (1, 0)] {
        let alpha = Tensor::ones(batch, DType::F64, &Device::Cpu).unwrap();
        let groups = Groups::split(&alpha, 0.7).unwrap();
        assert_eq!((groups.high.len(), groups.low.len()), (high, batch - high));
    }
}

#[test]
fn losses_are_the_fixtures() {
    let rank = |margin: f64| value(&rank_regularization(&var(&ALPHA), &groups(), &scalar(margin)).unwrap());
    assert_near(&[rank(0.15), rank(0.6)], &[0.0, 0.1333333]);
    let targets = label_tensor(&LABELS, &Device::Cpu).unwrap();
    let wce = weighted_cross_entropy(&weighted(&var(&LOGITS), &var(&ALPHA)), &targets).unwrap();
    assert_near(&[value(&wce)], &[1.1573057]);
}

#[test]
fn gradients_are_the_fixtures() {
    let (logits, alpha) = (var(&LOGITS), var(&ALPHA));
    let targets = label_tensor(&LABELS, &Device::Cpu).unwrap();
    let wce = weighted_cross_entropy(&weighted(&logits, &alpha), &targets).unwrap();
    let rank = rank_regularization(&alpha, &groups(), &scalar(0.6)).unwrap();
    let gradients = backward(&combine(&wce, &rank, Combine::Sum).unwrap()).unwrap();
    let of_alpha: Vec<f64> = gradients.get(&alpha).unwrap().to_vec1().unwrap();
    assert_near(&of_alpha, &[-0.4223648, 0.4802667, -0.0753018, 0.4214684, -0.0379194]);
    let of_logits: Vec<Vec<f64>> = gradients.get(&logits).unwrap().to_vec2().unwrap();
    assert_near(&of_logits[0], &[-0.0442990, 0.0351792, 0.0091199]);
}

#[test]
fn the_rank_gradient_is_one_over_each_group_while_active_and_zero_otherwise() {
    let gradient = |margin: f64| -> Vec<f64> {
        let alpha = var(&ALPHA);
        let rank = rank_regularization(&alpha, &groups(), &scalar(margin)).unwrap();
        backward(&rank).unwrap().get(&alpha).unwrap().to_vec1().unwrap()
    };
    let third = 1.0 / 3.0;
    assert_near(&gradient(0.6), &[-third, 0.5, -third, 0.5, -third]);
    assert_eq!(gradient(0.15), [0.0; 5]);
}

#[test]
fn a_learned_margin_receives_a_gradient() {
    let margin = var(0.6f64);
    let rank = rank_regularization(&var(&ALPHA), &groups(), &margin).unwrap();
    assert_near(&[value(backward(&rank).unwrap().get(&margin).unwrap())], &[1.0]);
    check_gradients(&[var(&ALPHA).as_tensor().clone(), scalar(0.6)], |t| rank_regularization(&t[0], &groups(), &t[1]));
}

#[test]
fn a_batch_of_one_has_no_rank() {
    let alpha = var(&[0.5f64]);
    let groups = Groups::split(&alpha, 0.7).unwrap();
    assert_eq!(value(&rank_regularization(&alpha, &groups, &scalar(0.6)).unwrap()), 0.0);
}

#[test]
fn the_mix_at_one_half_is_half_of_the_sum() {
    let (wce, rank) = (scalar(1.1), scalar(0.3));
    let sum = value(&combine(&wce, &rank, Combine::Sum).unwrap());
    assert_near(&[value(&combine(&wce, &rank, Combine::Mix { gamma: 0.5 }).unwrap())], &[sum / 2.0]);
    assert_near(&[value(&combine(&wce, &rank, Combine::Mix { gamma: 0.25 }).unwrap())], &[0.25 * 0.3 + 0.75 * 1.1]);
}

#[test]
fn weights_of_one_are_plain_cross_entropy_and_weights_near_zero_give_ln_c() {
    let targets = label_tensor(&LABELS, &Device::Cpu).unwrap();
    let wce = |alpha: f64| {
        let alpha = (Tensor::ones(5, DType::F64, &Device::Cpu).unwrap() * alpha).unwrap();
        value(&weighted_cross_entropy(&weighted(&var(&LOGITS), &alpha), &targets).unwrap())
    };
    let plain = value(&weighted_cross_entropy(&var(&LOGITS), &targets).unwrap());
    assert_near(&[wce(1.0), wce(1e-9)], &[plain, 3f64.ln()]);
}

fn relabelled(scope: RelabelScope, margin: f64, labels: &[u32]) -> Vec<u32> {
    let config = RelabelConfig { scope, margin, start_epoch: 1, warn_above: 1.0 };
    relabel(&weighted(&var(&LOGITS), &var(&ALPHA)), labels, &groups(), &config).unwrap()
}

#[test]
fn relabelling_is_the_truth_table() {
    assert_eq!(relabelled(RelabelScope::WholeBatch, 0.2, &LABELS), [0, 2, 1, 1, 1]);
    assert_eq!(relabelled(RelabelScope::LowGroup, 0.2, &LABELS), [0, 2, 0, 1, 2]);
    assert_eq!(relabelled(RelabelScope::Off, 0.2, &LABELS), LABELS);
}

#[test]
fn relabelling_again_changes_nothing() {
    let once = relabelled(RelabelScope::WholeBatch, 0.2, &LABELS);
    assert_eq!(relabelled(RelabelScope::WholeBatch, 0.2, &once), once);
}

#[test]
fn the_threshold_is_strict() {
    // p = 1/4 and 3/4: a difference of one half.
    let logits = Tensor::new(&[[0.0, 3f64.ln()]], &Device::Cpu).unwrap();
    let groups = Groups { high: vec![], low: vec![0], difference: f64::NAN };
    let at = |margin: f64| {
        let config = RelabelConfig { scope: RelabelScope::LowGroup, margin, start_epoch: 1, warn_above: 1.0 };
        relabel(&logits, &[0], &groups, &config).unwrap()[0]
    };
    assert_eq!((at(0.5 + 1e-12), at(0.5 - 1e-12)), (0, 1));
    // A tie of exactly equal logits has the difference 0, which does not exceed 0.
    let tie = Tensor::new(&[[1.0f64, 1.0]], &Device::Cpu).unwrap();
    let config = RelabelConfig { scope: RelabelScope::WholeBatch, margin: 0.0, start_epoch: 1, warn_above: 1.0 };
    assert_eq!(relabel(&tie, &[1], &groups, &config).unwrap(), [1]);
}
