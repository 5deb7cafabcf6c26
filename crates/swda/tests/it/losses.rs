//! The losses' fixtures (values computed with the official code's formulas in PyTorch), and their gradients.

use sconce_core::{DType, Device, Rng, Tensor, Var, testing::check_gradients};
use sconce_swda::{Domain, Modulation, binary_loss, consistency_loss, global_loss, local_loss};

use crate::{flat, value};

fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape, &Device::Cpu).unwrap()
}

#[test]
fn the_focal_loss_has_the_reference_values() {
    let logits = tensor(&[0.3, -0.2], &[1, 2]);
    let both =
        |modulation| [Domain::Source, Domain::Target].map(|d| value(&global_loss(&logits, d, modulation).unwrap()));
    for (gamma, expected) in [
        (0.0, [0.474_077_0, 0.974_077_0]),
        (2.0, [0.067_573_5, 0.377_411_6]),
        (3.0, [0.025_511_7, 0.234_923_3]),
        (5.0, [0.003_636_4, 0.091_022_3]),
    ] {
        let ours = both(Modulation::Focal { gamma });
        assert!(ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7), "γ {gamma}: {ours:?}");
    }
    let ours = both(Modulation::Exponential { gamma: 5.0 });
    assert!((ours[0] - 0.021_095_8).abs() < 1e-7 && (ours[1] - 0.147_493_9).abs() < 1e-7, "{ours:?}");
    // γ of 0 is the cross-entropy, in both forms.
    assert!(
        (both(Modulation::Exponential { gamma: 0.0 })[1] - both(Modulation::Focal { gamma: 0.0 })[1]).abs() < 1e-12
    );

    let logits = Var::from_tensor(&logits).unwrap();
    let loss = global_loss(logits.as_tensor(), Domain::Target, Modulation::Focal { gamma: 5.0 }).unwrap();
    let gradient = flat(loss.backward().unwrap().get(&logits).unwrap());
    assert!((gradient[0] - 0.229_988_8).abs() < 1e-7 && (gradient[1] + 0.229_988_8).abs() < 1e-7, "{gradient:?}");
}

#[test]
fn least_squares_have_the_reference_values() {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let d = tensor(&[-1.0, 0.0, 0.5, 2.0].map(sigmoid), &[1, 1, 2, 2]);
    // With the factor ½ of the sum over domains.
    let half = |domain, d: &Tensor| 0.5 * value(&local_loss(d, domain, None).unwrap());
    assert!((half(Domain::Source, &d) - 0.185_698_6).abs() < 1e-7);
    assert!((half(Domain::Target, &d) - 0.117_649_1).abs() < 1e-7);
    let torn = tensor(&[0.5; 4], &[1, 1, 2, 2]);
    assert_eq!((half(Domain::Source, &torn), half(Domain::Target, &torn)), (0.125, 0.125));
}

#[test]
fn positions_in_the_padding_do_not_count() {
    let d = tensor(&[0.2, 0.9, 0.4, 0.9], &[1, 1, 2, 2]);
    let mask = tensor(&[1.0, 0.0, 1.0, 0.0], &[1, 1, 2, 2]);
    let counted = tensor(&[0.2, 0.4], &[1, 1, 2, 1]);
    for domain in [Domain::Source, Domain::Target] {
        let masked = value(&local_loss(&d, domain, Some(&mask)).unwrap());
        assert!((masked - value(&local_loss(&counted, domain, None).unwrap())).abs() < 1e-12);
        let masked = value(&binary_loss(&d, domain, Some(&mask)).unwrap());
        assert!((masked - value(&binary_loss(&counted, domain, None).unwrap())).abs() < 1e-12);
    }
    let (regions, images) = (tensor(&[0.3, -0.7], &[2]), [0, 0]);
    let masked = value(&consistency_loss(&d, &regions, &images, Some(&mask)).unwrap());
    assert!((masked - value(&consistency_loss(&counted, &regions, &images, None).unwrap())).abs() < 1e-12);
}

#[test]
fn regions_are_held_to_their_own_image() {
    let image = tensor(&[0.0, 0.0, 2.0, 2.0], &[2, 1, 1, 2]);
    let regions = tensor(&[0.0, 2.0, 0.0], &[3]);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    // Only the last one is not what its image says.
    let loss = value(&consistency_loss(&image, &regions, &[0, 1, 1], None).unwrap());
    assert!((loss - (sigmoid(2.0) - 0.5) / 3.0).abs() < 1e-12, "{loss}");
}

#[test]
fn gradients_agree_with_differences() {
    let draw = |shape: &[usize]| Rng::new(3, "x").normal_tensor((0.0, 1.0), shape, DType::F64, &Device::Cpu).unwrap();
    for domain in [Domain::Source, Domain::Target] {
        for modulation in [Modulation::Focal { gamma: 3.0 }, Modulation::Exponential { gamma: 2.0 }] {
            check_gradients(&[draw(&[3, 2])], |t| global_loss(&t[0], domain, modulation));
        }
        check_gradients(&[draw(&[2, 1, 3, 2])], |t| local_loss(&t[0], domain, None));
        check_gradients(&[draw(&[2, 1, 3, 2])], |t| binary_loss(&t[0], domain, None));
    }
    check_gradients(&[draw(&[2, 1, 3, 2]), draw(&[4])], |t| consistency_loss(&t[0], &t[1], &[0, 0, 1, 1], None));
}
