//! The ways to compute a convolution on the CPU, and which of them suits which sizes.

use crate::cpu::{Real, planes::Planes};

use super::{
    backward,
    epilogue::Epilogue,
    forward as direct,
    geometry::{Geometry, Orientation},
    weight, winograd,
};

/// `y = weight ⋆ x`, and what follows; see [`super::conv2d`].
pub(in crate::ops) fn forward<T: Real>(g: &Geometry, x: &[T], weight: &[T], epilogue: Epilogue<'_, T>) -> Vec<T> {
    if winograd::suits(g) {
        return winograd::forward(g, x, weight, Orientation::Forward, epilogue);
    }
    direct::forward(g, x, weight, Orientation::Forward, epilogue)
}

/// The gradient of `x`, given that of `y`.
pub(in crate::ops) fn backward_data<T: Real>(g: &Geometry, weight: &[T], grad: &[T]) -> Vec<T> {
    match g.transposed() {
        Some(transposed) if winograd::suits(&transposed) => {
            winograd::forward(&transposed, grad, weight, Orientation::Turned, Epilogue::None)
        }
        Some(transposed) if g.area() == 1 => {
            direct::forward(&transposed, grad, &backward::exchanged(g, weight), Orientation::Forward, Epilogue::None)
        }
        Some(transposed) => direct::forward(&transposed, grad, weight, Orientation::Turned, Epilogue::None),
        None => backward::scattered(g, weight, grad),
    }
}

/// The gradient of `weight`, given that of `y`.
pub(in crate::ops) fn backward_weight<T: Real>(g: &Geometry, x: &[T], grad: &[T]) -> Vec<T> {
    if winograd::suits(g) {
        return winograd::backward_weight(g, x, grad);
    }
    match g.exchanged() {
        // The side that is turned should be the one with fewer channels.
        Some(exchanged) if g.ci > g.co => {
            backward::exchanged(&exchanged, &weight::backward_weight(&exchanged, grad, x))
        }
        _ => weight::backward_weight(g, x, grad),
    }
}

/// The gradient of `bias`: the sum over images and positions.
pub(in crate::ops) fn backward_bias<T: Real>(g: &Geometry, grad: &[T]) -> Vec<T> {
    Planes { n: g.n, channels: g.groups * g.co, plane: g.out_plane() }.sums(grad)
}
