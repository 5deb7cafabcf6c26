//! Group and weight normalisation, ELU and leaky ReLU: values, edges and refusals.

use sconce_core::{DType, Device, Error, Result, Tensor, Var, backward, ops};

use crate::{assert_close, flat, normal};

#[test]
fn elu_and_leaky_relu_at_their_ends() {
    let x = [-1e30f32, f32::NEG_INFINITY, -1.0, -0.0, 0.0, 2.0, 1e30, f32::NAN];
    let x = Var::new(&x, &Device::Cpu).unwrap();
    let y = ops::elu(&x, 0.5).unwrap();
    let values = flat(&y);
    assert_eq!([&values[..2], &values[3..7]].concat(), [-0.5, -0.5, 0.0, 0.0, 2.0, f64::from(1e30f32)]);
    assert!((values[2] - 0.5 * (-1f64).exp_m1()).abs() < 1e-7 && values[7].is_nan());
    let gradients = backward(&y).unwrap();
    let g = flat(gradients.get(&x).unwrap());
    assert_eq!([&g[..2], &g[3..7]].concat(), [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]);
    assert!((g[2] - 0.5 * (-1f64).exp()).abs() < 1e-7);
    let y = ops::leaky_relu(&x, 0.1).unwrap();
    assert!(flat(&y)[7].is_nan());
    let gradients = backward(&y).unwrap();
    let g = flat(gradients.get(&x).unwrap());
    assert_eq!(g[..7].iter().map(|&g| g == 1.0).collect::<Vec<_>>(), [false, false, false, false, false, true, true]);
}

#[test]
fn elu_agrees_between_single_and_double_precision() {
    let x = (normal(1, &[100_003]) * 3.0).unwrap();
    let single = ops::elu(&x.to_dtype(DType::F32).unwrap(), 1.0).unwrap();
    let double = ops::elu(&x.to_dtype(DType::F32).unwrap().to_dtype(DType::F64).unwrap(), 1.0).unwrap();
    for (a, b) in flat(&single).iter().zip(flat(&double)) {
        assert!((a - b).abs() <= 2.5e-7 * b.abs(), "{a} {b}");
    }
}

#[test]
fn group_norm_by_hand() {
    let x = Tensor::new(&[[1.0f64, 3.0, 10.0, 10.0]], &Device::Cpu).unwrap();
    let (weight, bias) = (Tensor::new(&[2.0, 1.0, 1.0, 5.0], &Device::Cpu).unwrap(), normal(1, &[4]));
    let y = ops::group_norm(&x, 2, &weight, &bias, 0.0).unwrap();
    // The first group has mean 2 and deviation 1; the second none, and without an epsilon nothing to divide by.
    let expected = [-2.0 + flat(&bias)[0], 1.0 + flat(&bias)[1]];
    assert_close(&y.narrow(1, 0, 2).unwrap(), &Tensor::new(&[expected], &Device::Cpu).unwrap(), 1e-12);
    assert!(flat(&y)[2].is_nan());
    let y = ops::group_norm(&x, 2, &weight, &bias, 1e-5).unwrap();
    assert_eq!(flat(&y)[2..], flat(&bias)[2..]);
}

#[test]
fn group_norm_of_large_values_and_single_ones() {
    // One value a group: the output is the bias, as in PyTorch.
    let (weight, bias) = (normal(1, &[3]), normal(2, &[3]));
    let y = ops::group_norm(&normal(3, &[2, 3]), 3, &weight, &bias, 1e-5).unwrap();
    assert_close(&y, &bias.unsqueeze(0).unwrap().broadcast_as((2, 3)).unwrap(), 1e-12);
    // Far from zero, in single precision, with more values than are summed up at once.
    let x = (normal(4, &[1, 2, 150, 200]) + 1e3).unwrap();
    let ones = Tensor::ones(2, DType::F64, &Device::Cpu).unwrap();
    let zeros = ones.zeros_like().unwrap();
    let expected = ops::group_norm(&x, 1, &ones, &zeros, 1e-5).unwrap();
    let single = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
    let y = ops::group_norm(&single(&x), 1, &single(&ones), &single(&zeros), 1e-5).unwrap();
    assert_close(&y, &expected, 1e-3);
    let mean = flat(&expected).iter().sum::<f64>() / 60_000.0;
    assert!(mean.abs() < 1e-10);
}

#[test]
fn weight_norm_has_the_length_asked_for() {
    let (v, g) = (normal(1, &[4, 3, 5]), normal(2, &[1, 3, 1]));
    let w = ops::weight_norm(&v, &g, 1).unwrap();
    let lengths = w.sqr().unwrap().sum_keepdim(2).unwrap().sum_keepdim(0).unwrap().sqrt().unwrap();
    assert_close(&lengths, &g.abs().unwrap(), 1e-12);
    // The gradient of the length by the direction is zero: `Σ w²` does not change with v.
    let (v, g) = (Var::from_tensor(&v).unwrap(), Var::from_tensor(&g).unwrap());
    let loss = ops::weight_norm(&v, &g, 1).unwrap().sqr().unwrap().sum_all().unwrap();
    let gradients = backward(&loss).unwrap();
    assert!(flat(gradients.get(&v).unwrap()).iter().all(|g| g.abs() < 1e-12));
    assert_close(gradients.get(&g).unwrap(), &(g.as_tensor() * 2.0).unwrap(), 1e-12);
    // No direction.
    let zeros = Tensor::zeros((2, 3), DType::F64, &Device::Cpu).unwrap();
    let ones = Tensor::ones((2, 1), DType::F64, &Device::Cpu).unwrap();
    assert!(flat(&ops::weight_norm(&zeros, &ones, 0).unwrap()).iter().all(|v| v.is_nan()));
}

#[test]
fn views_are_read_where_they_are() {
    let view = normal(1, &[3, 4, 5, 6]).narrow(0, 1, 2).unwrap().permute((0, 2, 1, 3)).unwrap(); // (2, 5, 4, 6)
    let copy = Tensor::from_vec(flat(&view), view.shape(), &Device::Cpu).unwrap();
    let same = |f: &dyn Fn(&Tensor) -> Result<Tensor>| assert_close(&f(&view).unwrap(), &f(&copy).unwrap(), 0.0);
    let weight = normal(2, &[1]).broadcast_as(5).unwrap();
    let g = normal(3, &[1, 1, 1, 1]).broadcast_as((1, 5, 1, 1)).unwrap();
    same(&|x| ops::elu(x, 1.0));
    same(&|x| ops::leaky_relu(x, 0.2));
    same(&|x| ops::group_norm(x, 5, &weight, &weight, 1e-5));
    same(&|x| ops::weight_norm(x, &g, 1));
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let t = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let group = |x: &[usize], groups, c: usize| ops::group_norm(&t(x), groups, &t(&[c]), &t(&[c]), 1e-5);
    let refused: Vec<(&str, Result<Tensor>)> = vec![
        ("groups", group(&[2, 4, 3], 3, 4)),
        ("no groups", group(&[2, 4, 3], 0, 4)),
        ("more groups than channels", group(&[2, 4, 3], 8, 4)),
        ("weight", group(&[2, 4, 3], 2, 3)),
        ("rank", group(&[4], 2, 4)),
        ("empty", group(&[2, 4, 0], 2, 4)),
        ("a single value", group(&[1, 4, 1, 1], 4, 4)),
        ("dim", ops::weight_norm(&t(&[2, 3]), &t(&[2, 1]), 2)),
        ("g", ops::weight_norm(&t(&[2, 3]), &t(&[2]), 0)),
        ("empty", ops::weight_norm(&t(&[0, 3]), &t(&[0, 1]), 0)),
    ];
    for (what, result) in refused {
        assert!(matches!(result, Err(Error::Argument { .. })), "{what}: {result:?}");
    }
}
