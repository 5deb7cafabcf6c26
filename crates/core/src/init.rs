//! How parameters begin.

use crate::{DType, Device, Error, Result, Rng, Shape, Tensor};

/// An initialiser, as in `torch.nn.init`. The fans are those of a weight `(out, in, …)`, times its receptive field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Every value the same.
    Constant(f64),
    /// Normal with this mean and standard deviation.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// Uniform in `[low, high)`.
    Uniform {
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// Kaiming (He et al., 2015): variance `gain² / fan`.
    Kaiming {
        /// The distribution.
        distribution: Distribution,
        /// Which fan keeps its variance.
        fan: Fan,
        /// √2 for ReLU.
        gain: f64,
    },
    /// Xavier (Glorot & Bengio, 2010): variance `2 gain² / (fan_in + fan_out)`.
    Xavier {
        /// The distribution.
        distribution: Distribution,
        /// 1 for linear layers.
        gain: f64,
    },
    /// Uniform in ±1/√`fan_in`: PyTorch's default for the bias of a layer with that many inputs.
    Bias {
        /// Inputs of the layer, times the kernel's area.
        fan_in: usize,
    },
}

/// The shape of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Bell-shaped.
    Normal,
    /// Flat.
    Uniform,
}

/// Which side of a layer keeps its variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// The forward pass.
    In,
    /// The backward pass.
    Out,
}

impl Init {
    /// All zeros.
    pub const ZEROS: Self = Self::Constant(0.0);
    /// All ones.
    pub const ONES: Self = Self::Constant(1.0);
    /// PyTorch's default weight of convolutions and linear layers: `kaiming_uniform_(a=√5)`, that is ±1/√fan_in.
    pub const KAIMING_UNIFORM: Self = Self::Kaiming {
        distribution: Distribution::Uniform,
        fan: Fan::In,
        // √(2 / (1 + a²)) with a = √5
        gain: 0.577_350_269_189_625_8,
    };
    /// torchvision's ResNets: `kaiming_normal_(mode="fan_out", nonlinearity="relu")`.
    pub const KAIMING_NORMAL_FAN_OUT: Self =
        Self::Kaiming { distribution: Distribution::Normal, fan: Fan::Out, gain: std::f64::consts::SQRT_2 };

    /// Draws a tensor of `shape`.
    ///
    /// # Errors
    /// [`Error::Argument`] if the initialiser needs fans and `shape` has fewer than two dimensions.
    pub fn tensor(self, shape: impl Into<Shape>, rng: &mut Rng, dtype: DType, device: &Device) -> Result<Tensor> {
        let shape = shape.into();
        match self {
            Self::Constant(value) => constant(value, shape, dtype, device),
            Self::Normal { mean, std } => rng.normal_tensor((mean, std), shape, dtype, device),
            Self::Uniform { low, high } => rng.uniform_tensor((low, high), shape, dtype, device),
            Self::Kaiming { distribution, fan, gain } => {
                let (fan_in, fan_out) = fans(&shape)?;
                let n = match fan {
                    Fan::In => fan_in,
                    Fan::Out => fan_out,
                };
                distribution.with_std(gain / n.sqrt()).tensor(shape, rng, dtype, device)
            }
            Self::Xavier { distribution, gain } => {
                let (fan_in, fan_out) = fans(&shape)?;
                distribution.with_std(gain * (2.0 / (fan_in + fan_out)).sqrt()).tensor(shape, rng, dtype, device)
            }
            Self::Bias { fan_in } => {
                let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
                rng.uniform_tensor((-bound, bound), shape, dtype, device)
            }
        }
    }
}

/// The same value everywhere, without a detour over a tensor of another type.
pub(crate) fn constant(value: f64, shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Tensor> {
    let one = Tensor::new(value, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?;
    Ok(one.broadcast_as(shape)?.contiguous()?)
}

impl Distribution {
    /// The zero-mean initialiser of this distribution with standard deviation `std`.
    fn with_std(self, std: f64) -> Init {
        match self {
            Self::Normal => Init::Normal { mean: 0.0, std },
            Self::Uniform => Init::Uniform { low: -std * 3f64.sqrt(), high: std * 3f64.sqrt() },
        }
    }
}

/// (fan_in, fan_out) of a weight `(out, in, …)`.
fn fans(shape: &Shape) -> Result<(f64, f64)> {
    let &[out, input, ref field @ ..] = shape.dims() else {
        return Err(Error::argument("init", "shape", shape.dims(), "at least two dimensions, (out, in, …)"));
    };
    let area: usize = field.iter().product();
    Ok(((input * area) as f64, (out * area) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(init: Init, shape: &[usize]) -> (f64, f64, f64) {
        let t = init.tensor(shape, &mut Rng::new(0, "init"), DType::F64, &Device::Cpu).unwrap();
        let v: Vec<f64> = t.flatten_all().unwrap().to_vec1().unwrap();
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        let std = (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt();
        (mean, std, v.iter().fold(0.0, |m, x| x.abs().max(m)))
    }

    #[test]
    fn moments_are_those_of_torch_nn_init() {
        let shape = [64, 32, 3, 3]; // fan_in 288, fan_out 576
        let default = 1.0 / 288f64.sqrt();
        for (init, std, bound) in [
            (Init::KAIMING_UNIFORM, default / 3f64.sqrt(), default),
            (Init::KAIMING_NORMAL_FAN_OUT, (2.0f64 / 576.0).sqrt(), f64::INFINITY),
            (
                Init::Xavier { distribution: Distribution::Uniform, gain: 1.0 },
                (2.0f64 / 864.0).sqrt(),
                (6.0f64 / 864.0).sqrt(),
            ),
            (
                Init::Xavier { distribution: Distribution::Normal, gain: 2.0 },
                2.0 * (2.0f64 / 864.0).sqrt(),
                f64::INFINITY,
            ),
            (Init::Bias { fan_in: 288 }, default / 3f64.sqrt(), default),
        ] {
            let (mean, s, max) = moments(init, &shape);
            assert!(mean.abs() < 0.02 * std, "{init:?}: mean {mean}");
            assert!((s / std - 1.0).abs() < 0.02, "{init:?}: std {s}, expected {std}");
            assert!(max <= bound, "{init:?}: {max} leaves ±{bound}");
        }
    }

    #[test]
    fn fans_need_two_dimensions() {
        let e = Init::KAIMING_UNIFORM.tensor(5, &mut Rng::new(0, "init"), DType::F32, &Device::Cpu).unwrap_err();
        assert!(matches!(e, Error::Argument { .. }), "{e}");
    }
}
