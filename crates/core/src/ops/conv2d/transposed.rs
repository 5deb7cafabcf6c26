//! Transposed convolution: the data gradient of a convolution as an operation of its own.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use super::{Conv2dParams, Epilogue, Geometry, kernels};
use crate::{
    Error, Result,
    cpu::{Real, gradient_of, planes::Planes, slice, slices, vectorised, with_real},
    node::{Keep, apply2, apply3},
};

const NAME: &str = "conv_transpose2d";

/// The parameters of [`conv_transpose2d`] with PyTorch's names; pairs are (vertical, horizontal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTranspose2dParams {
    /// Output steps from one input to the next.
    pub stride: (usize, usize),
    /// Rows and columns that are cut off the output on every side.
    pub padding: (usize, usize),
    /// Rows and columns that the output has more at its end; it chooses among the sizes that a convolution of this stride
    /// takes to the input's.
    pub output_padding: (usize, usize),
    /// Output steps from one kernel element to the next.
    pub dilation: (usize, usize),
    /// Independent groups of channels.
    pub groups: usize,
}

impl Default for ConvTranspose2dParams {
    fn default() -> Self {
        Self { stride: (1, 1), padding: (0, 0), output_padding: (0, 0), dilation: (1, 1), groups: 1 }
    }
}

/// The transposed convolution of `x` with `weight`, as `torch.nn.functional.conv_transpose2d`: every input adds its
/// multiple of the kernel to the output,
///
/// `y[n, o, i·stride + u·dilation − padding, …] += weight[c, o, u, v] · x[n, c, i, j]`
///
/// # Shapes
/// - `x`: `(N, C_in, H, W)`
/// - `weight`: `(C_in, C_out / groups, K_h, K_w)`
/// - `bias`: `(C_out)`
/// - output: `(N, C_out, (H − 1)·stride − 2·padding + dilation·(K_h − 1) + output_padding + 1, …)`
///
/// # Errors
/// [`Error::Argument`] if the shapes do not fit or have a zero, an `output_padding` is smaller than neither stride nor
/// dilation, or nothing is left of the output.
pub fn conv_transpose2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    params: &ConvTranspose2dParams,
) -> Result<Tensor> {
    let op = ConvTranspose2d { geometry: geometry(x.dims(), weight.dims(), params)? };
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let Some(bias) = bias else {
        return Ok(apply2([&x, &weight], Keep::Inputs, op)?);
    };
    if bias.dims() != [op.channels()] {
        return Err(Error::argument(NAME, "bias", bias.dims(), format!("[{}]", op.channels())));
    }
    Ok(apply3([&x, &weight, &bias.contiguous()?], Keep::Inputs, op)?)
}

/// The convolution of which this is the data gradient: its input is our output.
fn geometry(x: &[usize], weight: &[usize], params: &ConvTranspose2dParams) -> Result<Geometry> {
    let &[n, ci, h, w] = x else {
        return Err(Error::argument(NAME, "x", x, "a shape (N, C_in, H, W)"));
    };
    let &[ci_weight, co_group, kh, kw] = weight else {
        return Err(Error::argument(NAME, "weight", weight, "a shape (C_in, C_out / groups, K_h, K_w)"));
    };
    let ConvTranspose2dParams { stride, padding, output_padding, dilation, groups } = *params;
    if x.contains(&0) || weight.contains(&0) {
        return Err(Error::argument(NAME, "the shapes of x and weight", (x, weight), "no zero in them"));
    }
    if ci_weight != ci {
        return Err(Error::argument(NAME, "weight", weight, format!("{ci} channels first, as x has")));
    }
    if groups == 0 || ci % groups != 0 {
        return Err(Error::argument(NAME, "groups", groups, format!("a divisor of the {ci} input channels")));
    }
    let rows = Axis {
        size: h,
        kernel: kh,
        stride: stride.0,
        padding: padding.0,
        more: output_padding.0,
        dilation: dilation.0,
    };
    let cols = Axis {
        size: w,
        kernel: kw,
        stride: stride.1,
        padding: padding.1,
        more: output_padding.1,
        dilation: dilation.1,
    };
    let out = [n, groups.saturating_mul(co_group), rows.out()?, cols.out()?];
    let elements = out.iter().try_fold(size_of::<f64>(), |product, &d| product.checked_mul(d));
    if elements.is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Error::argument(NAME, "the shape of the output", out, "one that memory can hold"));
    }
    let mut geometry = Geometry::new(&out, weight, &Conv2dParams { stride, padding, dilation, groups })?;
    // An output padding beyond the stride gives the convolution further outputs, which are not among our inputs.
    (geometry.oh, geometry.ow) = (h, w);
    Ok(geometry)
}

/// One direction.
#[derive(Clone, Copy, Debug)]
struct Axis {
    size: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    more: usize,
    dilation: usize,
}

impl Axis {
    /// `(size − 1)·stride − 2·padding + dilation·(kernel − 1) + more + 1`.
    fn out(&self) -> Result<usize> {
        let Self { size, kernel, stride, padding, more, dilation } = *self;
        if stride == 0 || dilation == 0 {
            return Err(Error::argument(NAME, "stride and dilation", (stride, dilation), "at least 1"));
        }
        if more >= stride.max(dilation) {
            let expected = format!("less than stride or dilation, {}", stride.max(dilation));
            return Err(Error::argument(NAME, "output_padding", more, expected));
        }
        let whole = || {
            let inputs = (size - 1).checked_mul(stride)?;
            let field = dilation.checked_mul(kernel - 1)?;
            inputs.checked_add(field)?.checked_add(more)?.checked_add(1)
        };
        let cut = padding.checked_mul(2);
        match (whole(), cut) {
            (Some(whole), Some(cut)) if whole > cut => Ok(whole - cut),
            _ => Err(Error::argument(NAME, "an axis", *self, "an output of at least 1, within the range of sizes")),
        }
    }
}

struct ConvTranspose2d {
    geometry: Geometry,
}

impl ConvTranspose2d {
    /// Of the output.
    fn channels(&self) -> usize {
        self.geometry.groups * self.geometry.ci
    }

    fn out_plane(&self) -> usize {
        self.geometry.h * self.geometry.w
    }

    fn out_shape(&self) -> Shape {
        (self.geometry.n, self.channels(), self.geometry.h, self.geometry.w).into()
    }

    fn forward<T: Real>(&self, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
        let mut y = kernels::backward_data(&self.geometry, weight, x);
        if let Some(bias) = bias {
            y.par_chunks_mut(self.out_plane()).enumerate().for_each(|(i, y)| {
                let bias = bias[i % bias.len()];
                vectorised(
                    #[inline(always)]
                    || y.iter_mut().for_each(|y| *y += bias),
                );
            });
        }
        y
    }

    /// The gradient of `bias`: the sum over images and positions.
    fn backward_bias<T: Real>(&self, grad: &[T]) -> Vec<T> {
        Planes { n: self.geometry.n, channels: self.channels(), plane: self.out_plane() }.sums(grad)
    }

    fn gradients(&self, x: &Tensor, weight: &Tensor, grad: &Tensor) -> candle_core::Result<[Option<Tensor>; 2]> {
        let grad = grad.contiguous()?;
        let g = &self.geometry;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, xs = x, ws = weight, gs = grad);
            let data = x.track_op().then(|| kernels::forward(g, gs, ws, Epilogue::None));
            let weights = weight.track_op().then(|| kernels::backward_weight(g, gs, xs));
            Ok([gradient_of(x, data)?, gradient_of(weight, weights)?])
        })
    }
}

impl CustomOp2 for ConvTranspose2d {
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
        with_real!(NAME, x.dtype(), T => {
            let y = self.forward(slice::<T>(NAME, x, xl)?, slice(NAME, w, wl)?, None);
            Ok((T::to_cpu_storage_owned(y), self.out_shape()))
        })
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

impl CustomOp3 for ConvTranspose2d {
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
            let y = self.forward(slice::<T>(NAME, x, xl)?, slice(NAME, w, wl)?, Some(slice(NAME, b, bl)?));
            Ok((T::to_cpu_storage_owned(y), self.out_shape()))
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
        let grad = grad.contiguous()?;
        let gb = with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, gs = grad);
            gradient_of(b, b.track_op().then(|| self.backward_bias(gs)))
        })?;
        Ok((gx, gw, gb))
    }
}
