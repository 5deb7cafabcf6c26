//! A fully connected layer.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{Mat, Real, Target, gradient_of, matmul, slice, slices, with_real},
    node::{Keep, apply2, apply3},
};

const NAME: &str = "linear";

/// `y = x · weightᵀ + bias`.
///
/// # Shapes
/// - `x`: `(…, in)`
/// - `weight`: `(out, in)`
/// - `bias`: `(out)`
/// - output: `(…, out)`
///
/// # Errors
/// [`Error::Argument`] if the shapes do not fit or have a zero.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let &[n_out, n_in] = weight.dims() else {
        return Err(Error::argument(NAME, "weight", weight.dims(), "a shape (out, in)"));
    };
    if x.dims().last() != Some(&n_in) || x.elem_count() == 0 || n_out == 0 {
        return Err(Error::argument(NAME, "x", x.dims(), format!("a shape (…, {n_in}) without a zero")));
    }
    let op = Linear { n_in, n_out };
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let Some(bias) = bias else {
        return Ok(apply2([&x, &weight], Keep::Inputs, op)?);
    };
    if bias.dims() != [n_out] {
        return Err(Error::argument(NAME, "bias", bias.dims(), format!("[{n_out}]")));
    }
    Ok(apply3([&x, &weight, &bias.contiguous()?], Keep::Inputs, op)?)
}

/// Rows of an output that one task computes.
const ROWS: usize = 64;

/// Products from which on a task computes [`LARGE_PART`]: for every task all that it reads of both matrices is copied in the
/// order of the kernel, and of the weights of a large layer that is more than a cache holds.
const LARGE: usize = 1 << 28;

/// Rows and columns of a large output that one task computes.
const LARGE_PART: (usize, usize) = (256, 512);

/// Rows and columns of an output that one task computes. The bits depend on it, and so it depends on the sizes alone.
fn part(rows: usize, cols: usize, depth: usize) -> (usize, usize) {
    if rows.saturating_mul(cols).saturating_mul(depth) < LARGE { (ROWS, cols) } else { LARGE_PART }
}

/// `a · b`, or `start + a · b` row by row, in parallel over parts of the result.
fn product<T: Real>(a: Mat<'_, T>, b: Mat<'_, T>, start: Option<&[T]>) -> Vec<T> {
    let (rows, cols) = (a.rows, b.cols);
    let (most_rows, most_cols) = part(rows, cols, a.cols);
    let mut y = vec![T::zero(); rows * cols];
    let across = cols.div_ceil(most_cols);
    let target = Target::new(&mut y, cols);
    (0..rows.div_ceil(most_rows) * across).into_par_iter().for_each(|task| {
        let (row, col) = (task / across * most_rows, task % across * most_cols);
        let a = Mat { data: &a.data[row * a.row_stride..], rows: most_rows.min(rows - row), ..a };
        let b = Mat { data: &b.data[col * b.col_stride..], cols: most_cols.min(cols - col), ..b };
        let part = target.offset(row * cols + col);
        // SAFETY: `y` is borrowed for us alone; these columns of these rows are this task's alone.
        unsafe {
            if let Some(start) = start {
                (0..a.rows).for_each(|i| part.offset(i * cols).write(&start[col..][..b.cols]));
            }
            matmul(part, start.is_some(), a, b);
        }
    });
    y
}

struct Linear {
    n_in: usize,
    n_out: usize,
}

impl Linear {
    fn forward<T: Real>(
        &self,
        x: &[T],
        weight: &[T],
        bias: Option<&[T]>,
        l: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = Mat::row_major(x, x.len() / self.n_in, self.n_in);
        let y = product(x, Mat::row_major(weight, self.n_out, self.n_in).t(), bias);
        let mut dims = l.dims().to_vec();
        dims.pop();
        dims.push(self.n_out);
        Ok((T::to_cpu_storage_owned(y), dims.into()))
    }

    fn gradients(&self, x: &Tensor, w: &Tensor, grad: &Tensor) -> candle_core::Result<[Option<Tensor>; 2]> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, xs = x, ws = w, gs = grad);
            let rows = gs.len() / self.n_out;
            let grad = Mat::row_major(gs, rows, self.n_out);
            let gx = x.track_op().then(|| product(grad, Mat::row_major(ws, self.n_out, self.n_in), None));
            let gw = w.track_op().then(|| product(grad.t(), Mat::row_major(xs, rows, self.n_in), None));
            Ok([gradient_of(x, gx)?, gradient_of(w, gw)?])
        })
    }
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, x.dtype(), T => self.forward::<T>(slice(NAME, x, xl)?, slice(NAME, w, wl)?, None, xl))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let [gx, gw] = self.gradients(x, w, grad)?;
        Ok((gx, gw))
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, x.dtype(), T => {
            self.forward::<T>(slice(NAME, x, xl)?, slice(NAME, w, wl)?, Some(slice(NAME, b, bl)?), xl)
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [gx, gw] = self.gradients(x, w, grad)?;
        let gb = b.track_op().then(|| grad.reshape(((), self.n_out))?.sum(0)).transpose()?;
        Ok((gx, gw, gb))
    }
}
