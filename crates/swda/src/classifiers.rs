//! The classifiers of domains, under the official code's names.

use sconce_core::{
    Error, Init, Result, Rng, Scope, Tensor,
    nn::{BatchNorm2d, Conv2d, Conv2dConfig, Dropout, Linear, Mode},
    ops::{self, Activation},
};

use crate::{
    config::{DaFasterConfig, GlobalConfig, LocalConfig},
    loss::{Padding, mean_of_images, sigmoid},
};

/// The classifier of whole images, D_g: `netD`.
#[derive(Clone, Debug)]
pub struct GlobalClassifier {
    layers: Vec<(Conv2d, BatchNorm2d)>,
    fc: Linear,
    dropout: Dropout,
}

impl GlobalClassifier {
    /// Builds or finds `netD.*` in `scope`, for maps of `channels` channels.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn new(scope: &Scope, channels: usize, config: &GlobalConfig) -> Result<Self> {
        let scope = scope.pp("netD");
        let mut c_in = channels;
        let mut layers = Vec::new();
        for (i, c_out) in config.channels.into_iter().enumerate() {
            let halving = Conv2dConfig::same(3).stride(2).without_bias();
            let conv = Conv2d::new(&scope.pp(format_args!("conv{}", i + 1)), (c_in, c_out), &halving)?;
            layers.push((conv, BatchNorm2d::new(&scope.pp(format_args!("bn{}", i + 1)), c_out)?));
            c_in = c_out;
        }
        Ok(Self { layers, fc: Linear::new(&scope.pp("fc"), (c_in, 2))?, dropout: Dropout::new(config.dropout) })
    }

    /// The features that the last layer sees, which are the context vector. Dropout draws from `rng`.
    ///
    /// # Shapes
    /// - `x`: `(N, channels, H, W)`, the trunk's map
    /// - output: `(N, C)`, the mean over those positions that `padding`, that of `x`, leaves to an image
    ///
    /// # Errors
    /// If `x` does not fit, or ends as a single position of a single image, whose statistics a batch normalisation in training
    /// cannot take.
    pub fn features(&self, x: &Tensor, padding: &Padding, mode: Mode, rng: &mut Rng) -> Result<Tensor> {
        let (n, _, h, w) = x.dims4()?;
        let shrink = 1 << self.layers.len();
        if mode == Mode::Train && n * h.div_ceil(shrink) * w.div_ceil(shrink) == 1 {
            let expected = format!("more than {shrink} positions on a side, or more than one image in training");
            return Err(Error::argument("global classifier of domains", "x", x.dims(), expected));
        }
        // Beyond an image's edge there are zeros, as there are where it is not padded.
        let within = |map: Tensor, padding: &Padding| match padding.mask(&map)? {
            None => Ok(map),
            Some(mask) => Ok::<_, Error>(map.broadcast_mul(&mask)?),
        };
        let mut padding = padding.clone();
        let mut y = within(x.clone(), &padding)?;
        for (conv, norm) in &self.layers {
            let hidden = conv.forward_norm(&y, norm, mode, Activation::Relu)?;
            padding = padding.halved();
            y = within(self.dropout.forward(&hidden, mode, rng)?, &padding)?;
        }
        mean_of_images(&y, padding.mask(&y)?.as_ref())
    }

    /// Logits of both domains: `(N, C)`, as [`Self::features`] gives them → `(N, 2)`.
    ///
    /// # Errors
    /// If `features` do not fit.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        self.fc.forward(features)
    }
}

/// The classifier of every position, D_l: `netD_pixel`.
#[derive(Clone, Debug)]
pub struct LocalClassifier {
    convs: [Conv2d; 3],
}

impl LocalClassifier {
    /// Builds or finds `netD_pixel.*` in `scope`, for maps of `channels` channels.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn new(scope: &Scope, channels: usize, config: &LocalConfig) -> Result<Self> {
        let scope = scope.pp("netD_pixel");
        let init = config.init_std.map_or(Init::KAIMING_UNIFORM, |std| Init::Normal { mean: 0.0, std });
        let point = Conv2dConfig::square(1).without_bias().init(init);
        let [first, second] = config.channels;
        let conv = |name: &str, c_in, c_out| Conv2d::new(&scope.pp(name), (c_in, c_out), &point);
        Ok(Self { convs: [conv("conv1", channels, first)?, conv("conv2", first, second)?, conv("conv3", second, 1)?] })
    }

    /// The features that the last layer sees.
    ///
    /// # Shapes
    /// - `x`: `(N, channels, H, W)`, the map of the trunk's lower part
    /// - output: `(N, C, H, W)`, whose mean over the image is the context vector
    ///
    /// # Errors
    /// If `x` does not fit.
    pub fn features(&self, x: &Tensor) -> Result<Tensor> {
        let [first, second, _] = &self.convs;
        ops::relu(&second.forward(&ops::relu(&first.forward(x)?)?)?)
    }

    /// The probability of the target at every position: `(N, C, H, W)`, as [`Self::features`] gives them → `(N, 1, H, W)`.
    ///
    /// # Errors
    /// If `features` do not fit.
    pub fn probabilities(&self, features: &Tensor) -> Result<Tensor> {
        sigmoid(&self.convs[2].forward(features)?)
    }
}

/// The classifiers of DA-Faster (Chen et al., 2018, figure 2), under the names of its release.
#[derive(Clone, Debug)]
pub struct DaFasterClassifiers {
    image: [Conv2d; 2],
    instance: [Linear; 3],
    dropout: Dropout,
}

impl DaFasterClassifiers {
    /// Builds or finds `da_conv.*` and `dc_*` in `scope`, for maps of `channels` channels and regions of `n_features`.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn new(scope: &Scope, (channels, n_features): (usize, usize), config: &DaFasterConfig) -> Result<Self> {
        let (wide, point) = (config.instance_channels, Conv2dConfig::square(1));
        // As in the release; new layers begin small.
        let point = point.init(Init::Normal { mean: 0.0, std: 0.001 }).bias_init(Init::ZEROS);
        let linear = |name: &str, shape, std| {
            Linear::with_init(&scope.pp(name), shape, (Init::Normal { mean: 0.0, std }, Init::ZEROS))
        };
        Ok(Self {
            image: [
                Conv2d::new(&scope.pp("da_conv_6"), (channels, config.image_channels), &point)?,
                Conv2d::new(&scope.pp("da_conv_7"), (config.image_channels, 1), &point)?,
            ],
            instance: [
                linear("dc_ip1", (n_features, wide), 0.01)?,
                linear("dc_ip2", (wide, wide), 0.01)?,
                linear("dc_ip3", (wide, 1), 0.05)?,
            ],
            dropout: Dropout::new(config.dropout),
        })
    }

    /// Logits for the target at every position: `(N, channels, H, W)` → `(N, 1, H, W)`.
    ///
    /// # Errors
    /// If `x` does not fit.
    pub fn image(&self, x: &Tensor) -> Result<Tensor> {
        let [first, second] = &self.image;
        second.forward(&ops::relu(&first.forward(x)?)?)
    }

    /// Logits for the target of regions: `(K, n_features)` → `(K)`. Dropout draws from `rng`.
    ///
    /// # Errors
    /// If `x` does not fit.
    pub fn instance(&self, x: &Tensor, mode: Mode, rng: &mut Rng) -> Result<Tensor> {
        let [first, second, last] = &self.instance;
        let mut y = x.clone();
        for layer in [first, second] {
            y = self.dropout.forward(&ops::relu(&layer.forward(&y)?)?, mode, rng)?;
        }
        Ok(last.forward(&y)?.squeeze(1)?)
    }
}
