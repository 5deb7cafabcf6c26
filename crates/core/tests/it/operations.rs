//! Values, ties, views and refusals.

use sconce_core::{
    DType, Device, Error, Result, Rng, Tensor, Var, backward,
    ops::{
        self, Activation, AvgPool2dParams, BatchNormParams, Conv2dParams, CrossEntropyParams, FrozenBatchNorm,
        MaxPool2dParams, RunningStats, Statistics,
    },
};

use crate::{assert_close, flat, normal};

/// A convolution by its definition.
fn conv2d_by_definition(x: &Tensor, weight: &Tensor, bias: &Tensor, params: &Conv2dParams) -> Tensor {
    let (n, c, h, w) = x.dims4().unwrap();
    let (o, cg, kh, kw) = weight.dims4().unwrap();
    let size = |i: usize, p: usize, d: usize, k: usize, s: usize| (i + 2 * p - d * (k - 1) - 1) / s + 1;
    let oh = size(h, params.padding.0, params.dilation.0, kh, params.stride.0);
    let ow = size(w, params.padding.1, params.dilation.1, kw, params.stride.1);
    let (xs, ws, bs) = (flat(x), flat(weight), flat(bias));
    let mut y = Vec::new();
    for (n, o_idx, i, j) in
        (0..n).flat_map(|n| (0..o).flat_map(move |o| (0..oh).flat_map(move |i| (0..ow).map(move |j| (n, o, i, j)))))
    {
        let first = o_idx / (o / params.groups) * cg;
        let mut sum = bs[o_idx];
        for (c_idx, u, v) in (0..cg).flat_map(|c| (0..kh).flat_map(move |u| (0..kw).map(move |v| (c, u, v)))) {
            let row = (i * params.stride.0 + u * params.dilation.0).checked_sub(params.padding.0);
            let col = (j * params.stride.1 + v * params.dilation.1).checked_sub(params.padding.1);
            if let (Some(row), Some(col)) = (row.filter(|&r| r < h), col.filter(|&c| c < w)) {
                sum += xs[((n * c + first + c_idx) * h + row) * w + col] * ws[((o_idx * cg + c_idx) * kh + u) * kw + v];
            }
        }
        y.push(sum);
    }
    Tensor::from_vec(y, (n, o, oh, ow), &Device::Cpu).unwrap()
}

#[test]
fn conv2d_is_its_definition_for_shapes_that_take_each_path() {
    let mut rng = Rng::new(0, "shapes");
    let mut one_to = |n: usize| 1 + rng.below(n);
    for case in 0..200 {
        let groups = one_to(3);
        let (ci, co) = (one_to(4), one_to(5));
        let kernel = (one_to(4), one_to(4));
        let dilation = (one_to(2), one_to(2));
        let stride = (one_to(3), one_to(3));
        let padding = (one_to(4) - 1, one_to(4) - 1);
        // Some with large maps, so that an image is cut into blocks, most with small ones, so that images go together.
        let most = if case % 20 == 0 { 150 } else { 12 };
        let field = |k: usize, d: usize| d * (k - 1) + 1;
        let (h, w) = (field(kernel.0, dilation.0) + one_to(most), field(kernel.1, dilation.1) + one_to(most));
        let params = Conv2dParams { stride, padding, dilation, groups };
        let x = normal(case, &[one_to(4), groups * ci, h, w]);
        let weight = normal(case + 1, &[groups * co, ci, kernel.0, kernel.1]);
        let bias = normal(case + 2, &[groups * co]);
        let y = ops::conv2d(&x, &weight, Some(&bias), &params).unwrap();
        assert_close(&y, &conv2d_by_definition(&x, &weight, &bias, &params), 1e-12);
    }
}

#[test]
fn conv2d_gradients_agree_between_many_and_few_columns() {
    // The gradient of one image must not depend on how many others are in the batch: the paths differ by batch size.
    let weight = Var::from_tensor(&normal(1, &[48, 40, 3, 3])).unwrap();
    let image = normal(2, &[1, 40, 5, 3]);
    let gradients = |copies: usize| {
        let x = Var::from_tensor(&Tensor::cat(&vec![&image; copies], 0).unwrap()).unwrap();
        let same = Conv2dParams { padding: (1, 1), ..Default::default() };
        let y = ops::conv2d(&x, &weight, None, &same).unwrap();
        let grads = backward(&y.sqr().unwrap().sum_all().unwrap()).unwrap();
        let gw = (grads.get(&weight).unwrap() / copies as f64).unwrap();
        (grads.get(&x).unwrap().narrow(0, copies - 1, 1).unwrap(), gw)
    };
    let (one, many) = (gradients(1), gradients(40));
    assert_close(&many.0, &one.0, 1e-12);
    assert_close(&many.1, &one.1, 1e-12);
}

#[test]
fn a_large_linear_layer_computes_what_it_does_for_fewer_rows() {
    // Large ones are computed in other parts.
    let weight = Var::from_tensor(&normal(1, &[1100, 1000])).unwrap();
    let (x, bias) = (Var::from_tensor(&normal(2, &[300, 1000])).unwrap(), normal(3, &[1100]));
    let run = |first: usize, n: usize| {
        let y = ops::linear(&x.narrow(0, first, n).unwrap(), &weight, Some(&bias)).unwrap();
        let grads = backward(&y.sqr().unwrap().sum_all().unwrap()).unwrap();
        [y.detach(), grads.get(&x).unwrap().clone(), grads.get(&weight).unwrap().clone()]
    };
    let whole = run(0, 300);
    let parts = [run(0, 100), run(100, 100), run(200, 100)];
    let sum = |at: usize| ((&parts[0][at] + &parts[1][at]).unwrap() + &parts[2][at]).unwrap();
    let y = Tensor::cat(&[&parts[0][0], &parts[1][0], &parts[2][0]], 0).unwrap();
    assert_close(&whole[0], &y, 1e-11);
    assert_close(&whole[1], &sum(1), 1e-11);
    assert_close(&whole[2], &sum(2), 1e-11);
}

/// Sizes for which the batch is computed by Winograd's algorithm, and one image alone is not.
const FOR_WINOGRAD: [([usize; 4], [usize; 4], usize, usize); 5] = [
    ([1, 40, 9, 7], [48, 40, 3, 3], 1, 1),
    ([1, 17, 6, 13], [19, 17, 3, 3], 0, 1),
    ([1, 32, 5, 5], [50, 32, 3, 3], 2, 1),
    ([1, 36, 8, 10], [40, 18, 3, 3], 1, 2),
    ([1, 24, 4, 4], [20, 24, 3, 3], 1, 1),
];

#[test]
fn winograds_algorithm_computes_the_same_outputs_and_gradients() {
    for (case, (x, weight, padding, groups)) in FOR_WINOGRAD.into_iter().enumerate() {
        let seed = 10 * case as u64;
        let (image, bias) = (normal(seed, &x), normal(seed + 1, &weight[..1]));
        let weight = Var::from_tensor(&normal(seed + 2, &weight)).unwrap();
        let params = Conv2dParams { padding: (padding, padding), groups, ..Default::default() };
        let run = |copies: usize| {
            let x = Var::from_tensor(&Tensor::cat(&vec![&image; copies], 0).unwrap()).unwrap();
            let y = ops::conv2d(&x, &weight, Some(&bias), &params).unwrap();
            let grads = backward(&y.sqr().unwrap().sum_all().unwrap()).unwrap();
            let gw = (grads.get(&weight).unwrap() / copies as f64).unwrap();
            (y.narrow(0, copies - 1, 1).unwrap(), grads.get(&x).unwrap().narrow(0, copies - 1, 1).unwrap(), gw)
        };
        let (one, many) = (run(1), run(36));
        assert_close(&one.0, &conv2d_by_definition(&image, &weight, &bias, &params), 1e-11);
        assert_close(&many.0, &one.0, 1e-11);
        assert_close(&many.1, &one.1, 1e-11);
        assert_close(&many.2, &one.2, 1e-11);
    }
}

#[test]
fn winograds_algorithm_rounds_hardly_more_than_a_plain_sum() {
    let (x, weight) = (normal(1, &[12, 64, 12, 12]), (normal(2, &[64, 64, 3, 3]) / 24.0).unwrap());
    let params = Conv2dParams { padding: (1, 1), ..Default::default() };
    let run = |dtype| {
        let var = |t: &Tensor| Var::from_tensor(&t.to_dtype(dtype).unwrap()).unwrap();
        let (x, weight) = (var(&x), var(&weight));
        let y = ops::conv2d(&x, &weight, None, &params).unwrap();
        let grads = backward(&(&y * &y.detach()).unwrap().sum_all().unwrap()).unwrap();
        [y.clone(), grads.get(&x).unwrap().clone(), grads.get(&weight).unwrap().clone()].map(|t| flat(&t))
    };
    let (single, double) = (run(sconce_core::DType::F32), run(sconce_core::DType::F64));
    for (single, double) in single.iter().zip(&double) {
        let largest = double.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let error = single.iter().zip(double).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(error < 4e-6 * largest, "{error} for values up to {largest}");
    }
}

#[test]
fn views_are_read_where_they_are() {
    let whole = normal(1, &[4, 3, 6, 6]);
    let view = whole.narrow(0, 1, 2).unwrap().transpose(2, 3).unwrap();
    let copy = Tensor::from_vec(flat(&view), view.shape(), &Device::Cpu).unwrap();
    let weight = normal(2, &[5, 2, 3, 3, 3]).narrow(1, 1, 1).unwrap().squeeze(1).unwrap();
    let params = Conv2dParams::default();
    let same = |f: &dyn Fn(&Tensor) -> Result<Tensor>| assert_close(&f(&view).unwrap(), &f(&copy).unwrap(), 0.0);
    same(&|x| ops::conv2d(x, &weight, None, &params));
    same(&ops::relu);
    same(&|x| ops::max_pool2d(x, &MaxPool2dParams::square(2, 2, 0)));
    same(&|x| ops::avg_pool2d(x, &AvgPool2dParams::square(2, 2, 0)));
    same(&|x| ops::log_softmax(x, 1));
    same(&|x| ops::gradient_reversal(x, 1.0));
    same(&|x| ops::add_relu(x, x));
    let offset = whole.narrow(0, 2, 1).unwrap();
    assert_eq!(flat(&ops::gradient_reversal(&offset, 0.5).unwrap()), flat(&whole)[2 * 108..3 * 108]);
    let broadcast = normal(3, &[1, 3, 1, 1]).broadcast_as((2, 3, 4, 4)).unwrap();
    assert_close(
        &ops::adaptive_avg_pool2d(&broadcast, (1, 1)).unwrap(),
        &normal(3, &[1, 3, 1, 1]).broadcast_as((2, 3, 1, 1)).unwrap(),
        1e-12,
    );
}

#[test]
fn max_pool2d_gives_ties_to_the_first_and_relu_has_no_gradient_at_zero() {
    let zeros = Var::zeros((1, 1, 2, 2), sconce_core::DType::F64, &Device::Cpu).unwrap();
    let pooled = ops::max_pool2d(&zeros, &MaxPool2dParams::square(2, 2, 0)).unwrap();
    assert_eq!(flat(backward(&pooled).unwrap().get(&zeros).unwrap()), [1.0, 0.0, 0.0, 0.0]);
    let y = ops::relu(&zeros).unwrap().sum_all().unwrap();
    assert_eq!(flat(backward(&y).unwrap().get(&zeros).unwrap()), [0.0; 4]);
}

#[test]
fn nan_is_not_hidden() {
    let x = Tensor::new(&[[[[1.0, f64::NAN], [2.0, 3.0]]]], &Device::Cpu).unwrap();
    assert!(flat(&ops::max_pool2d(&x, &MaxPool2dParams::square(2, 2, 0)).unwrap())[0].is_nan());
    assert!(flat(&ops::relu(&x).unwrap())[1].is_nan());
    let logits = x.reshape((1, 4)).unwrap();
    let target = Tensor::new(&[0i64], &Device::Cpu).unwrap();
    let loss = ops::cross_entropy(&logits, &target, &CrossEntropyParams::default()).unwrap();
    assert!(loss.to_scalar::<f64>().unwrap().is_nan());
}

#[test]
fn cross_entropy_is_stable_for_huge_logits() {
    let logits = Tensor::new(&[[1e4f32, -1e4, 0.0]], &Device::Cpu).unwrap();
    let loss = |target: i64| {
        let target = Tensor::new(&[target], &Device::Cpu).unwrap();
        ops::cross_entropy(&logits, &target, &CrossEntropyParams::default()).unwrap().to_scalar::<f32>().unwrap()
    };
    assert_eq!((loss(0), loss(1), loss(2)), (0.0, 2e4, 1e4));
}

#[test]
fn gradient_reversal_is_the_identity_forward() {
    let x = Var::from_tensor(&normal(1, &[3, 4])).unwrap();
    let y = ops::gradient_reversal(&x, 0.25).unwrap();
    assert_eq!(flat(&y), flat(&x));
    assert_eq!(flat(backward(&y.sum_all().unwrap()).unwrap().get(&x).unwrap()), [-0.25; 12]);
}

#[test]
fn dropout_keeps_the_mean_and_repeats_with_its_stream() {
    let ones = Tensor::ones(100_000, sconce_core::DType::F32, &Device::Cpu).unwrap();
    let run = |seed| flat(&ops::dropout(&ones, 0.3, &mut Rng::new(seed, "mask")).unwrap());
    let y = run(1);
    let dropped = y.iter().filter(|&&v| v == 0.0).count() as f64 / 1e5;
    // Three standard deviations of a binomial share.
    assert!((dropped - 0.3).abs() < 3.0 * (0.3f64 * 0.7 / 1e5).sqrt(), "{dropped}");
    assert!(y.iter().all(|&v| v == 0.0 || (v - 1.0 / 0.7).abs() < 1e-6));
    assert_eq!(y, run(1));
    assert_ne!(y, run(2));
}

#[test]
fn batch_norm_adds_a_residual_as_the_operations_apart_do() {
    let (x, residual) = (normal(1, &[3, 4, 5, 6]), normal(2, &[3, 4, 5, 6]));
    let (weight, bias) = (normal(3, &[4]), normal(4, &[4]));
    let run = |together: bool| {
        let vars = [&x, &weight, &bias, &residual].map(|t| Var::from_tensor(t).unwrap());
        let [x, weight, bias, residual] = &vars;
        let statistics = RunningStats { mean: &normal(5, &[4]), var: &normal(6, &[4]), momentum: 0.1 };
        let norm = |activation| {
            ops::batch_norm_train(x, weight, bias, &statistics, &BatchNormParams::default(), activation).unwrap()
        };
        let y = match together {
            true => norm(Activation::AddRelu(residual)),
            false => ops::add_relu(&norm(Activation::None), residual).unwrap(),
        };
        let grads = backward(&y.sqr().unwrap().sum_all().unwrap()).unwrap();
        let gradients = vars.each_ref().map(|v| flat(grads.get(v).unwrap()));
        (flat(&y), gradients, flat(statistics.mean), flat(statistics.var))
    };
    assert_eq!(run(true), run(false));
    let running = RunningStats { mean: &bias, var: &bias, momentum: 0.1 };
    let wrong =
        ops::batch_norm_train(&x, &weight, &bias, &running, &BatchNormParams::default(), Activation::AddRelu(&weight));
    assert!(matches!(wrong, Err(Error::Argument { .. })), "{wrong:?}");
}

#[test]
fn a_convolution_is_normalised_in_one_pass_with_the_bits_of_two() {
    // Winograd's algorithm; products of one image and of several; a stride; groups; a part of a vector.
    let cases = [
        ((2, 20, 23, 23), (19, 20, 3, 3), 1, 1),
        ((1, 30, 40, 50), (33, 30, 1, 1), 1, 1),
        ((3, 10, 5, 5), (70, 10, 3, 3), 1, 1),
        ((2, 8, 17, 9), (6, 4, 3, 3), 2, 2),
    ];
    for (x_shape, w_shape, stride, groups) in cases {
        let single = |seed, shape: &[usize]| normal(seed, shape).to_dtype(DType::F32).unwrap();
        let x = single(1, &<[usize; 4]>::from(x_shape));
        let weight = single(2, &<[usize; 4]>::from(w_shape));
        let params = Conv2dParams { stride: (stride, stride), padding: (1, 1), groups, ..Conv2dParams::default() };
        let per_channel = [3, 4, 5, 6].map(|seed| single(seed, &[w_shape.0]));
        let [scale, bias, mean, var] = &per_channel;
        let var = &var.sqr().unwrap();
        let norm = FrozenBatchNorm { weight: scale, bias, mean, var, eps: 1e-5 };
        let y = ops::conv2d(&x, &weight, None, &params).unwrap();
        let residual = single(7, y.dims());
        for activation in [Activation::None, Activation::Relu, Activation::AddRelu(&residual)] {
            let apart = ops::batch_norm_eval(&y, scale, bias, (mean, var), 1e-5, activation).unwrap();
            let at_once = ops::conv2d_batch_norm_eval(&x, &weight, &params, &norm, activation).unwrap();
            assert_eq!(flat(&at_once), flat(&apart), "{x_shape:?} {activation:?}");
            // With a gradient, and that of the operations apart.
            let var_weight = Var::from_tensor(&weight).unwrap();
            let y = ops::conv2d_batch_norm_eval(&x, &var_weight, &params, &norm, activation).unwrap();
            assert_eq!(flat(&y), flat(&apart));
            assert!(backward(&y).unwrap().get(&var_weight).is_some());
        }
        let wrong = single(8, &[1, 1, 1, 1]);
        let refused = ops::conv2d_batch_norm_eval(&x, &weight, &params, &norm, Activation::AddRelu(&wrong));
        assert!(matches!(refused, Err(Error::Argument { .. })));
        let norm = FrozenBatchNorm { mean: &wrong, ..norm };
        let refused = ops::conv2d_batch_norm_eval(&x, &weight, &params, &norm, Activation::None);
        assert!(matches!(refused, Err(Error::Argument { .. })));
    }
}

#[test]
fn a_batch_in_parts_is_normalised_as_if_each_stood_alone() {
    let (weight, bias) = (normal(3, &[4]), normal(4, &[4]));
    for (shape, splits) in [(&[6, 4, 3, 5][..], 3), (&[6, 4, 3, 5], 1), (&[8, 4], 4), (&[4, 4, 1, 33], 4)] {
        let (x, residual) = (normal(1, shape), normal(2, shape));
        let run = |[x, weight, bias, residual]: [&Tensor; 4], splits| {
            let vars = [x, weight, bias, residual].map(|t| Var::from_tensor(t).unwrap());
            let (mean, var) = (normal(5, &[4]), normal(6, &[4]));
            let running = RunningStats { mean: &mean, var: &var, momentum: 0.1 };
            let params = BatchNormParams { statistics: splits, ..BatchNormParams::default() };
            let [x, weight, bias, residual] = &vars;
            let y = ops::batch_norm_train(x, weight, bias, &running, &params, Activation::AddRelu(residual)).unwrap();
            let grads = backward(&y.sqr().unwrap().sum_all().unwrap()).unwrap();
            let of = |v: &Var| grads.get(v).unwrap().clone();
            [y.detach(), of(x), of(residual), of(weight), of(bias), mean, var]
        };
        let found = run([&x, &weight, &bias, &residual], Statistics::Splits(splits));
        // Part s by itself: samples s, s + splits, s + 2 · splits, …
        let part = |t: &Tensor, s: usize| {
            let own: Vec<u32> = (s..shape[0]).step_by(splits).map(|n| n as u32).collect();
            t.index_select(&Tensor::new(own, &Device::Cpu).unwrap(), 0).unwrap()
        };
        let parts: Vec<_> =
            (0..splits).map(|s| run([&part(&x, s), &weight, &bias, &part(&residual, s)], Statistics::Batch)).collect();
        for (s, expected) in parts.iter().enumerate() {
            for of_samples in 0..3 {
                assert_eq!(flat(&part(&found[of_samples], s)), flat(&expected[of_samples]), "{shape:?}, part {s}");
            }
        }
        // Gradients of weight and bias add up; the running statistics are a mean.
        for (i, scale) in [(3, 1.0), (4, 1.0), (5, 1.0 / splits as f64), (6, 1.0 / splits as f64)] {
            let sum = parts.iter().map(|part| &part[i]).fold(weight.zeros_like().unwrap(), |sum, t| (sum + t).unwrap());
            assert_close(&found[i], &(sum * scale).unwrap(), if splits == 1 { 0.0 } else { 1e-13 });
        }
    }
}

#[test]
fn batch_norm_updates_running_statistics_as_pytorch() {
    let x = Tensor::new(&[[1.0f64], [3.0], [8.0]], &Device::Cpu).unwrap();
    let one = |v: f64| Tensor::new(&[v], &Device::Cpu).unwrap();
    let (mean, var) = (one(0.5), one(1.0));
    let running = RunningStats { mean: &mean, var: &var, momentum: 0.1 };
    ops::batch_norm_train(&x, &one(1.0), &one(0.0), &running, &BatchNormParams::default(), Activation::None).unwrap();
    // Mean 4; unbiased variance (9 + 1 + 16) / 2 = 13.
    assert_close(&mean, &one(0.9 * 0.5 + 0.1 * 4.0), 1e-12);
    assert_close(&var, &one(0.9 * 1.0 + 0.1 * 13.0), 1e-12);
}

#[test]
fn arguments_that_do_not_fit_are_refused_with_what_was_expected() {
    let t = |dims: &[usize]| Tensor::zeros(dims, sconce_core::DType::F32, &Device::Cpu).unwrap();
    let conv = Conv2dParams::default();
    let pool = MaxPool2dParams::square(3, 2, 1);
    let avg = AvgPool2dParams::square(2, 2, 0);
    let ce = CrossEntropyParams::default();
    let labels = |v: &[i64]| Tensor::new(v, &Device::Cpu).unwrap();
    let stats = RunningStats { mean: &t(&[2]), var: &t(&[2]), momentum: 0.1 };
    let splits = |statistics| {
        let params = BatchNormParams { statistics, ..BatchNormParams::default() };
        ops::batch_norm_train(&t(&[6, 2]), &t(&[2]), &t(&[2]), &stats, &params, Activation::None)
    };
    let bn = |x: &Tensor, c: usize| {
        ops::batch_norm_train(x, &t(&[c]), &t(&[c]), &stats, &BatchNormParams::default(), Activation::None)
    };
    let refused: Vec<(&str, Result<Tensor>)> = vec![
        ("no splits", splits(Statistics::Splits(0))),
        ("splits", splits(Statistics::Splits(4))),
        ("splits of one value", splits(Statistics::Splits(6))),
        ("more splits than samples", splits(Statistics::Splits(12))),
        ("rank", ops::conv2d(&t(&[3, 4, 4]), &t(&[2, 3, 3, 3]), None, &conv)),
        ("channels", ops::conv2d(&t(&[1, 4, 4, 4]), &t(&[2, 3, 3, 3]), None, &conv)),
        ("empty batch", ops::conv2d(&t(&[0, 3, 4, 4]), &t(&[2, 3, 3, 3]), None, &conv)),
        ("kernel too large", ops::conv2d(&t(&[1, 3, 2, 2]), &t(&[2, 3, 3, 3]), None, &conv)),
        ("bias", ops::conv2d(&t(&[1, 3, 4, 4]), &t(&[2, 3, 3, 3]), Some(&t(&[3])), &conv)),
        ("groups", ops::conv2d(&t(&[1, 3, 4, 4]), &t(&[2, 3, 3, 3]), None, &Conv2dParams { groups: 0, ..conv })),
        (
            "padding",
            ops::conv2d(&t(&[1, 3, 4, 4]), &t(&[2, 3, 3, 3]), None, &Conv2dParams { padding: (usize::MAX, 0), ..conv }),
        ),
        (
            "dilation",
            ops::conv2d(
                &t(&[1, 3, 4, 4]),
                &t(&[2, 3, 3, 3]),
                None,
                &Conv2dParams { dilation: (usize::MAX, 1), ..conv },
            ),
        ),
        ("stride", ops::conv2d(&t(&[1, 3, 4, 4]), &t(&[2, 3, 3, 3]), None, &Conv2dParams { stride: (0, 1), ..conv })),
        ("pool rank", ops::max_pool2d(&t(&[3, 4]), &pool)),
        ("pool padding", ops::max_pool2d(&t(&[1, 1, 4, 4]), &MaxPool2dParams { padding: (2, 0), ..pool })),
        ("pool too large", ops::avg_pool2d(&t(&[1, 1, 1, 4]), &avg)),
        ("pool empty", ops::adaptive_avg_pool2d(&t(&[1, 1, 0, 4]), (1, 1))),
        ("pool to nothing", ops::adaptive_avg_pool2d(&t(&[1, 1, 4, 4]), (0, 1))),
        ("features", ops::linear(&t(&[2, 3]), &t(&[4, 5]), None)),
        ("one value a channel", bn(&t(&[1, 2, 1, 1]), 2)),
        ("statistics", bn(&t(&[4, 3]), 3)),
        ("label", ops::cross_entropy(&t(&[2, 3]), &labels(&[0, 3]), &ce)),
        ("negative label", ops::cross_entropy(&t(&[2, 3]), &labels(&[0, -1]), &ce)),
        ("labels", ops::cross_entropy(&t(&[2, 3]), &labels(&[0]), &ce)),
        ("dropout", ops::dropout(&t(&[2]), 1.0, &mut Rng::new(0, ""))),
        ("dim", ops::log_softmax(&t(&[2]), 1)),
        ("add_relu", ops::add_relu(&t(&[2]), &t(&[3]))),
    ];
    for (what, result) in refused {
        assert!(matches!(result, Err(Error::Argument { .. })), "{what}: {result:?}");
    }
}
