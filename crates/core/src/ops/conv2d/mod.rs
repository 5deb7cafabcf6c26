//! Two-dimensional convolution.

mod backward;
mod epilogue;
mod forward;
mod geometry;
mod kernels;
mod normalised;
mod panels;
mod transposed;
mod weight;
mod winograd;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor, backend::BackendStorage as _};

use crate::{
    Error, Result,
    cpu::{gradient_of, slice, slices, with_real},
    node::{Keep, apply2, apply3},
};
use epilogue::Epilogue;
use geometry::Geometry;

pub use normalised::{FrozenBatchNorm, conv2d_batch_norm_eval};
pub use transposed::{ConvTranspose2dParams, conv_transpose2d};

/// The parameters of [`conv2d`] with PyTorch's names; pairs are (vertical, horizontal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dParams {
    /// Input steps from one output to the next.
    pub stride: (usize, usize),
    /// Zeros on every side.
    pub padding: (usize, usize),
    /// Input steps from one kernel element to the next.
    pub dilation: (usize, usize),
    /// Independent groups of channels.
    pub groups: usize,
}

impl Default for Conv2dParams {
    fn default() -> Self {
        Self { stride: (1, 1), padding: (0, 0), dilation: (1, 1), groups: 1 }
    }
}

/// The cross-correlation of `x` with `weight`, as `torch.nn.functional.conv2d`:
///
/// `y[n, o, i, j] = bias[o] + Σ_{c, u, v} weight[o, c, u, v] · x[n, c, i·stride + u·dilation − padding, …]`
///
/// # Shapes
/// - `x`: `(N, C_in, H, W)`
/// - `weight`: `(C_out, C_in / groups, K_h, K_w)`
/// - `bias`: `(C_out)`
/// - output: `(N, C_out, ⌊(H + 2·padding − dilation·(K_h − 1) − 1) / stride⌋ + 1, …)`
///
/// # Errors
/// [`Error::Argument`] if the shapes do not fit, have a zero, or the kernel exceeds the padded input.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, params: &Conv2dParams) -> Result<Tensor> {
    let geometry = Geometry::new(x.dims(), weight.dims(), params)?;
    let op = Conv2d { geometry };
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let Some(bias) = bias else {
        return Ok(apply2([&x, &weight], Keep::Inputs, op)?);
    };
    if bias.dims() != [weight.dims()[0]] {
        return Err(Error::argument(NAME, "bias", bias.dims(), format!("[{}]", weight.dims()[0])));
    }
    Ok(apply3([&x, &weight, &bias.contiguous()?], Keep::Inputs, op)?)
}

const NAME: &str = "conv2d";

struct Conv2d {
    geometry: Geometry,
}

impl Conv2d {
    fn out_shape(&self) -> Shape {
        let g = &self.geometry;
        (g.n, g.groups * g.co, g.oh, g.ow).into()
    }

    fn gradients(&self, x: &Tensor, weight: &Tensor, grad: &Tensor) -> candle_core::Result<[Option<Tensor>; 2]> {
        let grad = grad.contiguous()?;
        let g = &self.geometry;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, xs = x, ws = weight, gs = grad);
            let data = x.track_op().then(|| kernels::backward_data(g, ws, gs));
            let weights = weight.track_op().then(|| kernels::backward_weight(g, xs, gs));
            Ok([gradient_of(x, data)?, gradient_of(weight, weights)?])
        })
    }
}

impl CustomOp2 for Conv2d {
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
            let y = kernels::forward(&self.geometry, slice::<T>(NAME, x, xl)?, slice(NAME, w, wl)?, Epilogue::None);
            Ok((candle_core::WithDType::to_cpu_storage_owned(y), self.out_shape()))
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

impl CustomOp3 for Conv2d {
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
            let bias = Epilogue::Bias(slice(NAME, b, bl)?);
            let y = kernels::forward(&self.geometry, slice::<T>(NAME, x, xl)?, slice(NAME, w, wl)?, bias);
            Ok((candle_core::WithDType::to_cpu_storage_owned(y), self.out_shape()))
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
            gradient_of(b, b.track_op().then(|| kernels::backward_bias(&self.geometry, gs)))
        })?;
        Ok((gx, gw, gb))
    }
}
