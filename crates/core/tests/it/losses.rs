//! Losses of detectors and of contrastive learning: definitions, extremes and refusals.

use sconce_core::{
    DType, Device, Error, Result, Tensor, Var, backward,
    ops::{
        self, BinaryCrossEntropyParams, CrossEntropyParams, Reduction, SigmoidFocalLossParams, SmoothL1LossParams,
        SoftmaxFocalLossParams,
    },
};

use crate::{assert_close, flat, normal};

fn numbers(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

/// The gradient of `Σ f(x)` for several `x` at once.
fn gradient(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Vec<f64> {
    let x = Var::from_tensor(x).unwrap();
    flat(backward(&f(&x).unwrap()).unwrap().get(&x).unwrap())
}

const NONE: Reduction = Reduction::None;

#[test]
fn smooth_l1_loss_and_its_gradient_where_it_bends() {
    let x = numbers(&[0.0, 0.25, -0.5, 0.5, 2.0, -3.0]);
    let run = |beta| {
        let params = SmoothL1LossParams { beta, reduction: NONE };
        let loss = |x: &Tensor| ops::smooth_l1_loss(x, &x.zeros_like()?, &params);
        (flat(&loss(&x).unwrap()), gradient(&x, loss))
    };
    assert_eq!(run(0.5).0, [0.0, 0.0625, 0.25, 0.25, 1.75, 2.75]);
    assert_eq!(run(0.5).1, [0.0, 0.5, -1.0, 1.0, 1.0, -1.0]);
    // The L1 loss, whose gradient at 0 is 0 as in PyTorch.
    assert_eq!(run(0.0).0, [0.0, 0.25, 0.5, 0.5, 2.0, 3.0]);
    assert_eq!(run(0.0).1, [0.0, 1.0, -1.0, 1.0, 1.0, -1.0]);
}

#[test]
fn binary_cross_entropy_is_stable_for_huge_logits() {
    let x = Tensor::new(&[1e4f32, 1e4, -1e4, -1e4, 0.0], &Device::Cpu).unwrap();
    let target = Tensor::new(&[1f32, 0.0, 1.0, 0.0, 0.5], &Device::Cpu).unwrap();
    let params = BinaryCrossEntropyParams { reduction: NONE, ..Default::default() };
    let loss = |x: &Tensor| ops::binary_cross_entropy_with_logits(x, &target, &params);
    let ln_2 = f64::from(std::f32::consts::LN_2);
    assert_eq!(flat(&loss(&x).unwrap()), [0.0, 1e4, 1e4, 0.0, ln_2]);
    assert_eq!(gradient(&x, loss), [0.0, 1.0, -1.0, 0.0, 0.0]);
}

#[test]
fn weights_of_binary_cross_entropy_multiply_what_they_should() {
    let (x, target) = (normal(1, &[3, 2]), numbers(&[1.0, 0.0, 0.0, 1.0, 0.25, 1.0]).reshape((3, 2)).unwrap());
    let (weight, pos_weight) = (numbers(&[2.0, 0.0, 3.0]).reshape((3, 1)).unwrap(), numbers(&[5.0, 0.5]));
    let params = |reduction| BinaryCrossEntropyParams {
        weight: Some(weight.clone()),
        pos_weight: Some(pos_weight.clone()),
        reduction,
    };
    let expected: Vec<f64> = (0..6)
        .map(|i| {
            let (x, t) = (flat(&x)[i], flat(&target)[i]);
            let p = 1.0 / (1.0 + (-x).exp());
            -flat(&weight)[i / 2] * (flat(&pos_weight)[i % 2] * t * p.ln() + (1.0 - t) * (1.0 - p).ln())
        })
        .collect();
    let run = |reduction| ops::binary_cross_entropy_with_logits(&x, &target, &params(reduction)).unwrap();
    assert_close(&run(NONE), &Tensor::from_vec(expected.clone(), (3, 2), &Device::Cpu).unwrap(), 1e-12);
    let sum: f64 = expected.iter().sum();
    assert_close(&run(Reduction::Sum), &Tensor::new(sum, &Device::Cpu).unwrap(), 1e-12);
    // The mean is over all elements, whatever their weights.
    assert_close(&run(Reduction::Mean), &Tensor::new(sum / 6.0, &Device::Cpu).unwrap(), 1e-12);
}

#[test]
fn weights_stay_with_their_elements_over_many_blocks() {
    let n = (1 << 14) + 3000;
    let (x, target, weight, pos_weight) = (normal(1, &[n]), normal(2, &[n]), normal(3, &[n]), normal(4, &[n]));
    let params = BinaryCrossEntropyParams { weight: Some(weight), pos_weight: Some(pos_weight), reduction: NONE };
    let whole = |x: &Tensor| ops::binary_cross_entropy_with_logits(x, &target, &params);
    let part = |t: &Tensor| t.narrow(0, n - 700, 700).unwrap();
    let of_part = BinaryCrossEntropyParams {
        weight: params.weight.as_ref().map(part),
        pos_weight: params.pos_weight.as_ref().map(part),
        reduction: NONE,
    };
    let alone = |x: &Tensor| ops::binary_cross_entropy_with_logits(x, &part(&target), &of_part);
    assert_close(&part(&whole(&x).unwrap()), &alone(&part(&x)).unwrap(), 0.0);
    assert_eq!(gradient(&x, whole)[n - 700..], gradient(&part(&x), alone));
}

#[test]
fn a_sum_of_many_losses_is_that_of_its_chunks() {
    // More than one chunk, the last one short.
    let n = (1 << 15) + 77;
    let (x, target) = (normal(1, &[n]), normal(2, &[n]));
    let run = |reduction| ops::smooth_l1_loss(&x, &target, &SmoothL1LossParams { beta: 1.0, reduction }).unwrap();
    let each = flat(&run(NONE));
    assert_eq!(each.len(), n);
    let sum = each.iter().sum::<f64>();
    assert_close(&run(Reduction::Sum), &Tensor::new(sum, &Device::Cpu).unwrap(), 1e-12);
    assert_close(&run(Reduction::Mean), &Tensor::new(sum / n as f64, &Device::Cpu).unwrap(), 1e-12);
}

#[test]
fn focal_losses_without_focus_are_cross_entropies() {
    let (x, target) = (normal(1, &[4, 3]), normal(2, &[4, 3]).gt(0.0).unwrap().to_dtype(DType::F64).unwrap());
    let focal = SigmoidFocalLossParams { alpha: None, gamma: 0.0, reduction: Reduction::Mean };
    assert_close(
        &ops::sigmoid_focal_loss(&x, &target, &focal).unwrap(),
        &ops::binary_cross_entropy_with_logits(&x, &target, &Default::default()).unwrap(),
        1e-14,
    );
    let classes = Tensor::new(&[2i64, 0, 1, 1], &Device::Cpu).unwrap();
    for reduction in [NONE, Reduction::Mean, Reduction::Sum] {
        assert_close(
            &ops::softmax_focal_loss(&x, &classes, &SoftmaxFocalLossParams { gamma: 0.0, reduction }).unwrap(),
            &ops::cross_entropy(&x, &classes, &CrossEntropyParams { reduction, ..Default::default() }).unwrap(),
            1e-14,
        );
    }
}

#[test]
fn sigmoid_focal_loss_of_known_numbers() {
    // σ(ln 3) = 3/4.
    let x = numbers(&[3f64.ln(), 3f64.ln()]);
    let params = SigmoidFocalLossParams { alpha: Some(0.25), gamma: 2.0, reduction: NONE };
    let loss = ops::sigmoid_focal_loss(&x, &numbers(&[1.0, 0.0]), &params).unwrap();
    let expected = [0.25 * 0.0625 * (4f64 / 3.0).ln(), 0.75 * 0.5625 * 4f64.ln()];
    assert_close(&loss, &numbers(&expected), 1e-14);
}

#[test]
fn focal_losses_stay_finite_where_probabilities_are_0_or_1() {
    let extremes = [-1e4f64, -200.0, -104.0, -90.0, -20.0, 0.0, 20.0, 90.0, 104.0, 200.0, 1e4];
    for dtype in [DType::F32, DType::F64] {
        let x = numbers(&extremes).to_dtype(dtype).unwrap();
        for gamma in [0.0, 0.5, 1.0, 1.5, 2.0, 5.0] {
            for target in [0.0, 0.3, 1.0] {
                let target = (x.ones_like().unwrap() * target).unwrap();
                let params = SigmoidFocalLossParams { alpha: Some(0.25), gamma, reduction: NONE };
                let loss = |x: &Tensor| ops::sigmoid_focal_loss(x, &target, &params);
                let by_target = gradient(&target, |target| ops::sigmoid_focal_loss(&x, target, &params));
                let values = [flat(&loss(&x).unwrap()), gradient(&x, loss), by_target].concat();
                assert!(values.iter().all(|v| v.is_finite()), "{gamma} {target} {values:?}");
            }
            let logits = Tensor::stack(&[&x, &x.zeros_like().unwrap()], 1).unwrap();
            for class in [0i64, 1] {
                let target = Tensor::full(class, extremes.len(), &Device::Cpu).unwrap();
                let params = SoftmaxFocalLossParams { gamma, reduction: NONE };
                let loss = |x: &Tensor| ops::softmax_focal_loss(x, &target, &params);
                let values = [flat(&loss(&logits).unwrap()), gradient(&logits, loss)].concat();
                assert!(values.iter().all(|v| v.is_finite()), "{gamma} {class} {values:?}");
                assert!(values[..extremes.len()].iter().all(|&v| v >= 0.0));
            }
        }
    }
}

#[test]
fn a_certain_and_right_class_has_the_gradient_of_its_small_miss() {
    // 1 − p = e⁻⁴⁰ / (1 + e⁻⁴⁰), which 1 − p itself would round to 0: the loss is about m² · m, its slope −3 m³.
    let logits = Tensor::new(&[[40f64, 0.0]], &Device::Cpu).unwrap();
    let target = Tensor::new(&[0i64], &Device::Cpu).unwrap();
    let loss = |x: &Tensor| ops::softmax_focal_loss(x, &target, &SoftmaxFocalLossParams::default());
    let cube = (-120f64).exp();
    assert!((flat(&loss(&logits).unwrap())[0] / cube - 1.0).abs() < 1e-12);
    let slopes = gradient(&logits, loss);
    assert!((slopes[0] / (-3.0 * cube) - 1.0).abs() < 1e-12 && (slopes[1] / (3.0 * cube) - 1.0).abs() < 1e-12);
}

#[test]
fn normalize_leaves_zeros_and_makes_unit_vectors() {
    let x = Tensor::new(&[[3f64, 4.0], [0.0, 0.0], [1e-13, 0.0]], &Device::Cpu).unwrap();
    let y = ops::normalize(&x, 1, 1e-12).unwrap();
    assert_close(&y, &Tensor::new(&[[0.6, 0.8], [0.0, 0.0], [0.1, 0.0]], &Device::Cpu).unwrap(), 1e-15);
    let slopes = gradient(&x, |x| ops::normalize(x, 1, 1e-12));
    assert_eq!(slopes[2..4], [1e12; 2]);
    assert!(slopes.iter().all(|s| s.is_finite()));
}

/// InfoNCE by way of the whole matrix of logits.
fn info_nce_by_definition(q: &Tensor, k: &Tensor, queue: &Tensor, temperature: f64) -> (Tensor, Tensor) {
    let own = (q * k).unwrap().sum_keepdim(1).unwrap();
    let logits = (Tensor::cat(&[&own, &q.matmul(queue).unwrap()], 1).unwrap() / temperature).unwrap();
    let target = Tensor::zeros(q.dims()[0], DType::I64, &Device::Cpu).unwrap();
    (ops::cross_entropy(&logits, &target, &CrossEntropyParams::default()).unwrap(), logits)
}

#[test]
fn info_nce_is_the_cross_entropy_of_its_logits() {
    // Around the sizes of blocks: 512 keys, 8192 keys and 128 queries.
    for (n, d, keys) in [(1, 1, 1), (3, 5, 511), (2, 3, 513), (130, 2, 8193), (129, 7, 600)] {
        let q = Var::from_tensor(&normal(1, &[n, d])).unwrap();
        let k = Var::from_tensor(&normal(2, &[n, d])).unwrap();
        let queue = normal(3, &[d, keys]);
        let loss = ops::info_nce(&q, &k, &queue, 0.3).unwrap();
        let (expected, logits) = info_nce_by_definition(&q, &k, &queue, 0.3);
        assert_close(&loss, &expected, 1e-12);
        assert_close(&ops::info_nce_logits(&q, &k, &queue, 0.3).unwrap(), &logits, 1e-12);
        let (ours, theirs) = (backward(&loss).unwrap(), backward(&expected).unwrap());
        for var in [&q, &k] {
            assert_close(ours.get(var).unwrap(), theirs.get(var).unwrap(), 1e-12);
        }
    }
}

#[test]
fn info_nce_is_stable_for_huge_logits() {
    let q = Tensor::new(&[[100f32, 0.0], [0.0, -100.0]], &Device::Cpu).unwrap();
    let queue = Tensor::new(&[[-100f32, 0.0, 10.0], [0.0, -100.0, 10.0]], &Device::Cpu).unwrap();
    // Logits 1e4 of the first own key against 0; of the second 0 against 1e4.
    let k = Tensor::new(&[[100f32, 0.0], [0.0, 0.0]], &Device::Cpu).unwrap();
    let loss = ops::info_nce(&q, &k, &queue, 1.0).unwrap();
    assert_eq!(flat(&loss), [5e3]);
    let slopes = gradient(&q, |q| ops::info_nce(q, &k, &queue, 1.0));
    assert_eq!(slopes, [0.0, 0.0, 0.0, -50.0]);
    let nan = Tensor::new(&[[f32::NAN, 0.0], [0.0, 0.0]], &Device::Cpu).unwrap();
    assert!(flat(&ops::info_nce(&nan, &k, &queue, 1.0).unwrap())[0].is_nan());
}

#[test]
fn the_queue_of_info_nce_is_a_constant() {
    let (q, k) = (Var::from_tensor(&normal(1, &[2, 3])).unwrap(), normal(2, &[2, 3]));
    let queue = Var::from_tensor(&normal(3, &[3, 4])).unwrap();
    let grads = backward(&ops::info_nce(&q, &k, &queue, 0.5).unwrap()).unwrap();
    assert!(grads.get(&queue).is_none() && grads.get(&q).is_some());
}

#[test]
fn views_are_read_where_they_are() {
    let whole = normal(1, &[6, 5, 4]);
    let x = whole.narrow(0, 2, 3).unwrap().transpose(1, 2).unwrap();
    let target = normal(2, &[1, 4, 1]).gt(0.0).unwrap().to_dtype(DType::F64).unwrap();
    let target = target.broadcast_as(x.shape()).unwrap();
    let copy = |t: &Tensor| Tensor::from_vec(flat(t), t.shape(), &Device::Cpu).unwrap();
    let (xs, ts) = (copy(&x), copy(&target));
    let same = |f: &dyn Fn(&Tensor, &Tensor) -> Result<Tensor>| {
        assert_close(&f(&x, &target).unwrap(), &f(&xs, &ts).unwrap(), 0.0);
    };
    same(&|x, t| ops::sigmoid_focal_loss(x, t, &SigmoidFocalLossParams::default()));
    same(&|x, t| ops::smooth_l1_loss(x, t, &SmoothL1LossParams::default()));
    same(&|x, t| ops::binary_cross_entropy_with_logits(x, t, &BinaryCrossEntropyParams::default()));
    same(&|x, _| ops::normalize(x, 1, 1e-12));
    let classes = Tensor::new(&[1u32, 2, 3], &Device::Cpu).unwrap().unsqueeze(1).unwrap().broadcast_as((3, 5)).unwrap();
    same(&|x, _| ops::softmax_focal_loss(x, &classes, &SoftmaxFocalLossParams::default()));
    let (q, queue) = (normal(3, &[5, 4]).t().unwrap(), normal(4, &[9, 5]).t().unwrap().narrow(1, 2, 6).unwrap());
    assert_close(
        &ops::info_nce(&q, &q, &queue, 0.5).unwrap(),
        &ops::info_nce(&copy(&q), &copy(&q), &copy(&queue), 0.5).unwrap(),
        0.0,
    );
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let t = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let whole = |dims: &[usize]| Tensor::zeros(dims, DType::I64, &Device::Cpu).unwrap();
    let labels = |v: &[i64]| Tensor::new(v, &Device::Cpu).unwrap();
    let (focal, soft) = (SigmoidFocalLossParams::default(), SoftmaxFocalLossParams::default());
    let (smooth, bce) = (SmoothL1LossParams::default(), BinaryCrossEntropyParams::default());
    let nce =
        |q: &[usize], k: &[usize], queue: &[usize], temperature| ops::info_nce(&t(q), &t(k), &t(queue), temperature);
    let refused: Vec<(&str, Result<Tensor>)> = vec![
        ("shapes", ops::sigmoid_focal_loss(&t(&[2]), &t(&[3]), &focal)),
        ("types", ops::sigmoid_focal_loss(&t(&[2]), &whole(&[2]), &focal)),
        ("nothing", ops::sigmoid_focal_loss(&t(&[0]), &t(&[0]), &focal)),
        ("alpha", ops::sigmoid_focal_loss(&t(&[2]), &t(&[2]), &SigmoidFocalLossParams { alpha: Some(1.5), ..focal })),
        ("gamma", ops::sigmoid_focal_loss(&t(&[2]), &t(&[2]), &SigmoidFocalLossParams { gamma: -1.0, ..focal })),
        ("NaN", ops::sigmoid_focal_loss(&t(&[2]), &t(&[2]), &SigmoidFocalLossParams { gamma: f64::NAN, ..focal })),
        ("whole numbers", ops::smooth_l1_loss(&whole(&[2]), &whole(&[2]), &smooth)),
        ("beta", ops::smooth_l1_loss(&t(&[2]), &t(&[2]), &SmoothL1LossParams { beta: -1.0, ..smooth })),
        ("broadcast", ops::smooth_l1_loss(&t(&[2, 2]), &t(&[2]), &smooth)),
        ("label", ops::softmax_focal_loss(&t(&[2, 3]), &labels(&[0, 3]), &soft)),
        ("negative label", ops::softmax_focal_loss(&t(&[2, 3]), &labels(&[0, -1]), &soft)),
        ("labels", ops::softmax_focal_loss(&t(&[2, 3]), &labels(&[0]), &soft)),
        ("broken labels", ops::softmax_focal_loss(&t(&[2, 3]), &t(&[2]), &soft)),
        ("no classes", ops::softmax_focal_loss(&t(&[2]), &labels(&[0, 0]), &soft)),
        ("empty", ops::softmax_focal_loss(&t(&[0, 3]), &whole(&[0]), &soft)),
        ("type", ops::softmax_focal_loss(&whole(&[1, 3]), &labels(&[0]), &soft)),
        (
            "weight",
            ops::binary_cross_entropy_with_logits(
                &t(&[2, 3]),
                &t(&[2, 3]),
                &BinaryCrossEntropyParams { weight: Some(t(&[2])), ..bce.clone() },
            ),
        ),
        ("targets", ops::binary_cross_entropy_with_logits(&t(&[2, 3]), &t(&[3]), &bce)),
        ("dim", ops::normalize(&t(&[2]), 1, 1e-12)),
        ("eps", ops::normalize(&t(&[2]), 0, 0.0)),
        ("nothing to normalise", ops::normalize(&t(&[2, 0]), 0, 1e-12)),
        ("queries", nce(&[2], &[2], &[2, 3], 1.0)),
        ("no queries", nce(&[0, 2], &[0, 2], &[2, 3], 1.0)),
        ("keys", nce(&[2, 3], &[2, 2], &[3, 4], 1.0)),
        ("queue", nce(&[2, 3], &[2, 3], &[4, 3], 1.0)),
        ("empty queue", nce(&[2, 3], &[2, 3], &[3, 0], 1.0)),
        ("temperature", nce(&[2, 3], &[2, 3], &[3, 4], 0.0)),
        ("NaN temperature", nce(&[2, 3], &[2, 3], &[3, 4], f64::NAN)),
        ("logits", ops::info_nce_logits(&t(&[2, 3]), &t(&[2, 3]), &whole(&[3, 4]), 1.0)),
    ];
    for (what, result) in refused {
        assert!(matches!(result, Err(Error::Argument { .. })), "{what}: {result:?}");
    }
}
