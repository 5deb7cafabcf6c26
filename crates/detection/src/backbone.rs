//! The convolutional network of a detector: a trunk on images, and a head on regions.

use sconce_backbones::{ResNet, ResNetConfig, Vgg, VggConfig, VggHead, VggHeadConfig};
use sconce_core::{
    Error, Result, Rng, Scope, Tensor,
    nn::{Linear, Mode},
    ops,
};
use serde::{Deserialize, Serialize};

/// Which network a [`Backbone`] is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum BackboneConfig {
    /// VGG: the trunk is its last stage, without the pooling behind it.
    Vgg {
        /// The convolutions.
        network: VggConfig,
        /// Convolutions, counted from the input, that make up the lower part of the trunk.
        lower: usize,
        /// What runs on regions.
        head: VggRegionHead,
    },
    /// ResNet with one map from its fourth stage ("C4", He et al., 2016, appendix A): the lower part of the trunk ends with
    /// `layer1`, the upper part with `layer3`, and `layer4` and a mean run on regions.
    ResNet {
        /// The network.
        network: ResNetConfig,
    },
}

/// What runs on the regions of a VGG.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum VggRegionHead {
    /// The first two layers of the network's own classifier, with dropout: `backbone.classifier.{0,3}`. Needs regions of 7×7.
    Classifier {
        /// Their size.
        head: VggHeadConfig,
    },
    /// Two new layers, as torchvision's `TwoMLPHead`: `roi_heads.box_head.{fc6,fc7}`.
    Mlp {
        /// Channels of both.
        hidden: usize,
    },
}

impl BackboneConfig {
    /// VGG-16 as Faster R-CNN has it (Ren et al., 2015): the first two stages frozen. The lower part ends with conv3_2.
    pub fn vgg16() -> Self {
        Self::Vgg {
            network: VggConfig { frozen_stages: 2, ..VggConfig::vgg16() },
            lower: 6,
            head: VggRegionHead::Classifier { head: VggHeadConfig::default() },
        }
    }

    /// `network` with frozen batch normalisations, as small batches want it; its stem is frozen too.
    pub fn resnet_c4(network: ResNetConfig) -> Self {
        let batch_norm = sconce_core::nn::BatchNormKind::Frozen;
        Self::ResNet { network: ResNetConfig { frozen_stages: 1, batch_norm, ..network } }
    }

    /// Channels of the lower and the upper part's map.
    pub fn channels(&self) -> [usize; 2] {
        match self {
            Self::Vgg { network, lower, .. } => {
                let of_stages = network.convolutions.iter().zip(network.channels());
                let of_convolutions: Vec<usize> = of_stages.flat_map(|(&n, c)| vec![c; n]).collect();
                let last = |n: usize| of_convolutions.get(n.wrapping_sub(1)).copied().unwrap_or_default();
                [last(*lower), last(of_convolutions.len())]
            }
            Self::ResNet { network } => {
                let [lower, _, upper, _] = network.channels();
                [lower, upper]
            }
        }
    }

    /// Pixels of an image to a position of the upper part's map, along both axes.
    pub fn stride(&self) -> usize {
        let [_, upper] = self.strides();
        upper
    }

    /// Pixels of an image to a position of the lower and of the upper part's map, along both axes.
    pub fn strides(&self) -> [usize; 2] {
        match self {
            Self::Vgg { network, lower, .. } => {
                let stages = network.convolutions.iter().enumerate();
                let of_convolutions: Vec<usize> = stages.flat_map(|(stage, &n)| vec![stage; n]).collect();
                let stride = |n: usize| 1 << of_convolutions.get(n.wrapping_sub(1)).copied().unwrap_or_default();
                [stride(*lower), stride(of_convolutions.len())]
            }
            Self::ResNet { network } if network.stem == sconce_backbones::Stem::Cifar => [1, 4],
            Self::ResNet { network } => match network.replace_stride_with_dilation {
                [false, false, _] => [4, 16],
                [true, true, _] => [4, 4],
                _ => [4, 8],
            },
        }
    }

    /// Height and width of the upper part's map of an image of this height and width.
    pub fn map_size(&self, image: (usize, usize)) -> (usize, usize) {
        let stride = self.stride();
        match self {
            // Pooling leaves out what is less than a window.
            Self::Vgg { .. } => (image.0 / stride, image.1 / stride),
            Self::ResNet { .. } => (image.0.div_ceil(stride), image.1.div_ceil(stride)),
        }
    }

    /// Bins along both axes of the regions that the head takes, if it takes those alone.
    pub(crate) fn region_size(&self) -> Option<usize> {
        match self {
            Self::Vgg { head: VggRegionHead::Classifier { .. }, .. } => Some(7),
            _ => None,
        }
    }

    /// Checks that there is such a network.
    ///
    /// # Errors
    /// [`Error::Argument`] with the first setting that has no sense.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Vgg { network, lower, head } => {
                let n: usize = network.convolutions.iter().sum();
                if *lower == 0 || *lower >= n {
                    let expected = format!("at least 1 and less than the network's {n} convolutions");
                    return Err(Error::argument("BackboneConfig", "lower", lower, expected));
                }
                match head {
                    VggRegionHead::Mlp { hidden: 0 } => {
                        Err(Error::argument("BackboneConfig", "hidden", 0, "at least 1"))
                    }
                    _ => Ok(()),
                }
            }
            Self::ResNet { network } => network.validate(),
        }
    }
}

/// A trunk in two parts, and the head that runs on its regions. torchvision's names below `backbone`.
#[derive(Clone, Debug)]
pub struct Backbone {
    network: Network,
    n_features: usize,
}

#[derive(Clone, Debug)]
enum Network {
    Vgg { trunk: Vgg, lower: usize, convolutions: usize, head: RegionHead },
    ResNet(Box<ResNet>),
}

#[derive(Clone, Debug)]
enum RegionHead {
    Classifier(VggHead),
    Mlp([Linear; 2]),
}

impl Backbone {
    /// Builds or finds the parameters in `scope`, for regions of `size` bins.
    ///
    /// # Errors
    /// [`Error::Argument`] for a configuration without sense, else as [`Scope::param`].
    pub fn new(scope: &Scope, config: &BackboneConfig, size: (usize, usize)) -> Result<Self> {
        config.validate()?;
        if config.region_size().is_some_and(|needed| size != (needed, needed)) {
            return Err(Error::argument("Backbone", "the size of regions", size, "(7, 7) for VGG's classifier"));
        }
        let [_, channels] = config.channels();
        let place = scope.pp("backbone");
        match config {
            BackboneConfig::Vgg { network, lower, head } => {
                let trunk = Vgg::new(&place, network)?;
                let (head, n_features) = match head {
                    VggRegionHead::Classifier { head } => {
                        (RegionHead::Classifier(VggHead::new(&place, channels, head)?), head.hidden)
                    }
                    VggRegionHead::Mlp { hidden } => {
                        let scope = scope.pp("roi_heads.box_head");
                        let first = Linear::new(&scope.pp("fc6"), (channels * size.0 * size.1, *hidden))?;
                        (RegionHead::Mlp([first, Linear::new(&scope.pp("fc7"), (*hidden, *hidden))?]), *hidden)
                    }
                };
                let convolutions = network.convolutions.iter().sum();
                Ok(Self { network: Network::Vgg { trunk, lower: *lower, convolutions, head }, n_features })
            }
            BackboneConfig::ResNet { network } => {
                let [.., n_features] = network.channels();
                Ok(Self { network: Network::ResNet(Box::new(ResNet::new(&place, network)?)), n_features })
            }
        }
    }

    /// Features of a region.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// The lower part of the trunk.
    ///
    /// # Shapes
    /// - `images`: `(N, 3, H, W)`, normalised
    /// - output: `(N, C, H', W')`, for VGG-16 and ResNets a quarter of the size
    ///
    /// # Errors
    /// If `images` does not fit.
    pub fn lower(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        match &self.network {
            Network::Vgg { trunk, lower, .. } => trunk.convolutions(images, 0..*lower, mode),
            Network::ResNet(network) => network.layer(0, &network.stem(images, mode)?, mode),
        }
    }

    /// The upper part of the trunk, on the lower part's map.
    ///
    /// # Shapes
    /// - `lower`: `(N, C, H', W')`
    /// - output: `(N, C'', H'', W'')`, of the [stride](BackboneConfig::stride) of the whole trunk
    ///
    /// # Errors
    /// If `lower` does not fit.
    pub fn upper(&self, lower: &Tensor, mode: Mode) -> Result<Tensor> {
        match &self.network {
            Network::Vgg { trunk, lower: from, convolutions, .. } => {
                trunk.convolutions(lower, *from..*convolutions, mode)
            }
            Network::ResNet(network) => network.layer(2, &network.layer(1, lower, mode)?, mode),
        }
    }

    /// The head: features of regions.
    ///
    /// # Shapes
    /// - `regions`: `(K, C'', h, w)`
    /// - output: `(K, n_features)`
    ///
    /// # Errors
    /// If `regions` does not fit.
    pub fn regions(&self, regions: &Tensor, mode: Mode, rng: &mut Rng) -> Result<Tensor> {
        match &self.network {
            Network::Vgg { head: RegionHead::Classifier(head), .. } => head.forward(regions, mode, rng),
            Network::Vgg { head: RegionHead::Mlp(layers), .. } => {
                layers.iter().try_fold(regions.flatten_from(1)?, |y, layer| ops::relu(&layer.forward(&y)?))
            }
            Network::ResNet(network) => {
                Ok(ops::adaptive_avg_pool2d(&network.layer(3, regions, mode)?, (1, 1))?.flatten_from(1)?)
            }
        }
    }
}
