//! Normalisations and activations.

use sconce_core::{ops, testing::check_gradients};

use crate::normal;

#[test]
fn group_norm() {
    for (x, groups) in [(&[2, 6, 2, 3][..], 2), (&[3, 4], 2), (&[1, 4, 5], 4), (&[2, 2, 1, 17], 1), (&[1, 6, 1, 1], 2)]
    {
        let c = x[1];
        let inputs = [normal(1, x), normal(2, &[c]), normal(3, &[c])];
        check_gradients(&inputs, |t| ops::group_norm(&t[0], groups, &t[1], &t[2], 1e-2));
    }
}

#[test]
fn weight_norm() {
    for (v, dim) in [(&[4, 3, 2, 2][..], 0), (&[3, 4, 5], 1), (&[3, 4], 1), (&[5], 0)] {
        let mut g = vec![1; v.len()];
        g[dim] = v[dim];
        check_gradients(&[normal(1, v), normal(2, &g)], |t| ops::weight_norm(&t[0], &t[1], dim));
    }
}

#[test]
fn activations() {
    let x = [normal(1, &[5, 7])];
    for slope in [1.0, 0.3, 0.0, -0.5] {
        check_gradients(&x, |t| ops::elu(&t[0], slope));
        check_gradients(&x, |t| ops::leaky_relu(&t[0], slope));
    }
}
