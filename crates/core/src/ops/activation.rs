//! Element-wise activations.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use num_traits::Zero as _;

use crate::{
    Error, Result,
    cpu::{CHUNK, Real, build, gradient_of, map, slice, slices, with_real, zip},
    exp::Exp,
    node::{Keep, apply1, apply2},
};

/// `max(x, 0)`, whose gradient at 0 is 0 as PyTorch's (Candle's is 1). NaN stays NaN.
///
/// # Shapes
/// - `x`: any
/// - output: as `x`
pub fn relu(x: &Tensor) -> Result<Tensor> {
    Ok(apply1(&x.contiguous()?, Keep::Output, Relu)?)
}

/// `max(a + b, 0)` in one pass: the end of a residual block.
///
/// # Shapes
/// - `a`, `b`: any, equal
/// - output: as `a`
///
/// # Errors
/// [`Error::Argument`] if the shapes differ.
pub fn add_relu(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.shape() != b.shape() {
        return Err(Error::argument("add_relu", "b", b.dims(), format!("the shape of a, {:?}", a.dims())));
    }
    Ok(apply2([&a.contiguous()?, &b.contiguous()?], Keep::Output, AddRelu)?)
}

/// `x` where it is positive, else `alpha · (eˣ − 1)` (Clevert et al., 2016), as `torch.nn.functional.elu`. NaN stays NaN.
///
/// The gradient at 0 is `alpha`.
///
/// # Shapes
/// - `x`: any
/// - output: as `x`
pub fn elu(x: &Tensor, alpha: f64) -> Result<Tensor> {
    let keep = if alpha >= 0.0 { Keep::Output } else { Keep::Inputs };
    Ok(apply1(&x.contiguous()?, keep, Elu { alpha })?)
}

/// `x` where it is positive, else `negative_slope · x`, as `torch.nn.functional.leaky_relu`. NaN stays NaN.
///
/// The gradient at 0 is `negative_slope`.
///
/// # Shapes
/// - `x`: any
/// - output: as `x`
pub fn leaky_relu(x: &Tensor, negative_slope: f64) -> Result<Tensor> {
    Ok(apply1(&x.contiguous()?, Keep::Inputs, LeakyRelu { negative_slope })?)
}

/// `x` where it is not below zero; so written, NaN passes through.
#[inline]
pub(super) fn positive_part<T: Real>(x: T) -> T {
    if x < T::zero() { T::zero() } else { x }
}

fn where_positive<T: Real>(y: &[T], grad: &[T]) -> Vec<T> {
    zip(y, grad, |y, g| if y > T::zero() { g } else { T::zero() })
}

/// The gradient through a ReLU, by its output.
fn masked(name: &'static str, y: &Tensor, grad: &Tensor) -> candle_core::Result<Tensor> {
    let grad = grad.contiguous()?;
    with_real!(name, grad.dtype(), T => {
        slices!(name, T, y = y, g = grad);
        Tensor::from_vec(where_positive::<T>(y, g), grad.shape(), grad.device())
    })
}

struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(self.name(), s.dtype(), T => {
            let y = map(slice::<T>("relu", s, l)?, positive_part);
            Ok((T::to_cpu_storage_owned(y), l.shape().clone()))
        })
    }

    fn bwd(&self, _x: &Tensor, y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        masked("relu", y, grad).map(Some)
    }
}

struct AddRelu;

impl CustomOp2 for AddRelu {
    fn name(&self) -> &'static str {
        "add_relu"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        al: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(self.name(), a.dtype(), T => {
            let (a, b) = (slice::<T>("add_relu", a, al)?, slice::<T>("add_relu", b, bl)?);
            let y = zip(a, b, |a, b| positive_part(a + b));
            Ok((T::to_cpu_storage_owned(y), al.shape().clone()))
        })
    }

    fn bwd(
        &self,
        _a: &Tensor,
        _b: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = masked("add_relu", y, grad)?;
        Ok((Some(grad.clone()), Some(grad)))
    }
}

/// `f(x, c)` for every element, in parallel. The constant is handed on by value: a loop that looked it up where only some
/// elements need it would not become vectors.
fn map_with<T: Real>(x: &[T], c: T, f: impl Fn(T, T) -> T + Copy + Sync) -> Vec<T> {
    build(x.len(), CHUNK, |i, y| {
        let x = &x[i * CHUNK..][..y.len()];
        y.extend(x.iter().map(move |&x| f(x, c)));
    })
}

/// `f(a, b, c)` for every pair of elements, in parallel.
fn zip_with<T: Real>(a: &[T], b: &[T], c: T, f: impl Fn(T, T, T) -> T + Copy + Sync) -> Vec<T> {
    build(a.len(), CHUNK, |i, y| {
        let (a, b) = (&a[i * CHUNK..][..y.len()], &b[i * CHUNK..][..y.len()]);
        y.extend(a.iter().zip(b).map(move |(&a, &b)| f(a, b, c)));
    })
}

/// The slope where `at` tells the side of zero and `y` is the result; written without a branch.
#[inline(always)]
fn elu_slope<T: Real>(at: T, y: T, alpha: T) -> T {
    let below = y + alpha;
    if at > T::zero() || at.is_nan() { T::one() } else { below }
}

struct Elu {
    alpha: f64,
}

impl Elu {
    fn forward<T: Exp>(&self, x: &[T]) -> Vec<T> {
        map_with(
            x,
            T::from_f64(self.alpha),
            #[inline(always)]
            |x, alpha| {
                let below = alpha * x.expm1();
                if x > T::zero() { x } else { below }
            },
        )
    }

    /// The slope below zero, `alpha · eˣ`, is `y + alpha`; for a negative alpha `y` does not tell where that is.
    fn backward_by_output<T: Exp>(&self, y: &[T], grad: &[T]) -> Vec<T> {
        let alpha = T::from_f64(self.alpha);
        zip_with(y, grad, alpha, |y, g, alpha| g * elu_slope(y, y, alpha))
    }

    fn backward_by_input<T: Exp>(&self, x: &[T], grad: &[T]) -> Vec<T> {
        let alpha = T::from_f64(self.alpha);
        zip_with(x, grad, alpha, |x, g, alpha| g * elu_slope(x, alpha * x.expm1(), alpha))
    }
}

impl CustomOp1 for Elu {
    fn name(&self) -> &'static str {
        "elu"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(self.name(), s.dtype(), T => {
            let y = self.forward(slice::<T>("elu", s, l)?);
            Ok((T::to_cpu_storage_owned(y), l.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        with_real!(self.name(), grad.dtype(), T => {
            slices!("elu", T, gs = grad);
            let gx = if self.alpha >= 0.0 {
                slices!("elu", T, ys = y);
                self.backward_by_output(ys, gs)
            } else {
                slices!("elu", T, xs = x);
                self.backward_by_input(xs, gs)
            };
            gradient_of(x, Some(gx))
        })
    }
}

struct LeakyRelu {
    negative_slope: f64,
}

impl CustomOp1 for LeakyRelu {
    fn name(&self) -> &'static str {
        "leaky_relu"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(self.name(), s.dtype(), T => {
            let y = map_with(slice::<T>("leaky_relu", s, l)?, T::from_f64(self.negative_slope), |x, slope| {
                let below = slope * x;
                if x > T::zero() { x } else { below }
            });
            Ok((T::to_cpu_storage_owned(y), l.shape().clone()))
        })
    }

    /// By the input: with a negative slope the output does not tell its sign.
    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        with_real!(self.name(), grad.dtype(), T => {
            slices!("leaky_relu", T, xs = x, gs = grad);
            let gx = zip_with(xs, gs, T::from_f64(self.negative_slope), |x, g, slope| {
                let below = slope * g;
                if x > T::zero() { g } else { below }
            });
            gradient_of(x, Some(gx))
        })
    }
}
