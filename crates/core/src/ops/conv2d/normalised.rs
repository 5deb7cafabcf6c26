//! A convolution and the batch normalisation behind it in one pass.

use candle_core::DType;

use super::{Conv2dParams, NAME, conv2d, epilogue::Epilogue, geometry::Geometry, kernels};
use crate::{
    Error, Result, Tensor,
    cpu::{slices, with_real},
    ops::{
        Activation,
        batch_norm::{Channel, batch_norm_eval},
    },
};

/// A batch normalisation with given statistics, of `(C)` each.
#[derive(Clone, Copy, Debug)]
pub struct FrozenBatchNorm<'a> {
    /// The factor.
    pub weight: &'a Tensor,
    /// The summand.
    pub bias: &'a Tensor,
    /// The mean.
    pub mean: &'a Tensor,
    /// The variance.
    pub var: &'a Tensor,
    /// What is added to the variance, 1e-5 in PyTorch.
    pub eps: f64,
}

/// [`batch_norm_eval`] of [`conv2d`] without a bias, with the same bits. Where no gradient is asked for, outputs are
/// normalised before they leave the cache.
///
/// # Shapes
/// - `x`, `weight`, output: as of [`conv2d`]
/// - those of `norm`: `(C_out)`
/// - what the activation adds: as the output
///
/// # Errors
/// As [`conv2d`] and [`batch_norm_eval`].
pub fn conv2d_batch_norm_eval(
    x: &Tensor,
    weight: &Tensor,
    params: &Conv2dParams,
    norm: &FrozenBatchNorm<'_>,
    activation: Activation<'_>,
) -> Result<Tensor> {
    let residual = match activation {
        Activation::AddRelu(residual) => Some(residual),
        Activation::None | Activation::Relu => None,
    };
    let mut inputs = [x, weight, norm.weight, norm.bias].into_iter().chain(residual);
    let fits = |t: &Tensor| !t.track_op() && t.device().is_cpu() && t.dtype() == x.dtype();
    if !(inputs.all(fits) && matches!(x.dtype(), DType::F32 | DType::F64)) {
        let y = conv2d(x, weight, None, params)?;
        return batch_norm_eval(&y, norm.weight, norm.bias, (norm.mean, norm.var), norm.eps, activation);
    }
    let g = Geometry::new(x.dims(), weight.dims(), params)?;
    let shape = (g.n, g.groups * g.co, g.oh, g.ow);
    for t in [norm.weight, norm.bias, norm.mean, norm.var] {
        if t.dims() != [shape.1] {
            return Err(Error::argument(NAME, "a tensor per channel", t.dims(), format!("[{}]", shape.1)));
        }
    }
    if let Some(residual) = residual
        && residual.dims() != <[usize; 4]>::from(shape)
    {
        return Err(Error::argument(NAME, "the tensor to add", residual.dims(), format!("{shape:?}")));
    }
    // Without a residual its place is taken by what is there.
    let residual = residual.map(Tensor::contiguous).transpose()?;
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let relu = !matches!(activation, Activation::None);
    let y = with_real!(NAME, x.dtype(), T => {
        let channels = channels::<T>(norm)?;
        slices!(NAME, T, xs = x, ws = weight, rs = residual.as_ref().unwrap_or(&x));
        let residual = residual.is_some().then_some(rs);
        let y = kernels::forward(&g, xs, ws, Epilogue::Norm { channels: &channels, residual, relu });
        Tensor::from_vec(y, shape, x.device())
    })?;
    Ok(y)
}

fn channels<T: crate::cpu::Real>(norm: &FrozenBatchNorm<'_>) -> candle_core::Result<Vec<Channel<T>>> {
    let host = |t: &Tensor| t.to_dtype(DType::F64)?.to_vec1::<f64>();
    let (weight, bias) = (norm.weight.to_vec1::<T>()?, norm.bias.to_vec1::<T>()?);
    let stats = host(norm.mean)?.into_iter().zip(host(norm.var)?);
    Ok(stats.zip(weight.into_iter().zip(bias)).map(|(stats, affine)| Channel::new(stats, norm.eps, affine)).collect())
}
