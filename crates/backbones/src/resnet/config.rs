//! Which residual network.

use sconce_core::{Error, Result, nn::BatchNormKind};
use serde::{Deserialize, Serialize};

/// Blocks of a stage beyond this are a slip: ResNet-152 has 36.
const MOST_BLOCKS: usize = 1024;

/// Channels of an input beyond this are a slip too.
const MOST_CHANNELS: usize = 1 << 14;

/// How a [`ResNet`](super::ResNet) is built.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// Channels of the input: 3 for colour.
    pub in_channels: usize,
    /// What comes before the first stage.
    pub stem: Stem,
    /// What a residual block is made of.
    #[serde(default)]
    pub block: Block,
    /// Residual blocks of each stage.
    pub blocks: [usize; 4],
    /// Channels of the first stage, within its blocks, as a multiple of 64; each later stage doubles them.
    pub width: f64,
    /// Groups of a bottleneck's 3×3 convolution (Xie et al., 2017: cardinality).
    #[serde(default = "one")]
    pub groups: usize,
    /// Channels of each group in the first stage's bottlenecks, for `width` 1.
    #[serde(default = "sixty_four")]
    pub width_per_group: usize,
    /// Whether the second, third and fourth stage dilate their 3×3 convolutions in place of a stride of 2. As in torchvision
    /// a stage's first block still has the dilation of the stage before it.
    #[serde(default)]
    pub replace_stride_with_dilation: [bool; 3],
    /// Which convolution of a bottleneck has the stride.
    #[serde(default)]
    pub stride_in: StrideIn,
    /// Stages whose weights have no gradient and whose batch normalisations keep their statistics, counted from the input:
    /// 1 is what comes before `layer1`, 2 has `layer1` too, as detectors have it, 5 is all.
    #[serde(default)]
    pub frozen_stages: usize,
    /// What the batch normalisations of the other stages do; detectors freeze these, too.
    #[serde(default)]
    pub batch_norm: BatchNormKind,
}

/// What a residual block is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Block {
    /// Two 3×3 convolutions.
    #[default]
    Basic,
    /// A 1×1, a 3×3 and a 1×1 convolution to four times the channels.
    Bottleneck,
}

impl Block {
    /// Channels after a block over those of its stage.
    fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// What comes before the first stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// A 7×7 convolution with stride 2 and a 3×3 max-pool with stride 2: a quarter of the input's size.
    ImageNet,
    /// As `ImageNet`, but the max-pool has no padding, and a last window that hangs over the edge counts.
    Caffe,
    /// A 3×3 convolution at the input's size, for small images.
    Cifar,
}

/// Which convolution of a bottleneck has the stride of its stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum StrideIn {
    /// The 3×3 one, as in torchvision.
    #[default]
    Conv3x3,
    /// The first 1×1 one, as in He et al. (2016) and their models for Caffe.
    Conv1x1,
}

fn one() -> usize {
    1
}

fn sixty_four() -> usize {
    64
}

impl ResNetConfig {
    /// ResNet-18 for colour images with the ImageNet stem (He et al., 2016, table 1).
    pub fn resnet18() -> Self {
        Self {
            in_channels: 3,
            stem: Stem::ImageNet,
            block: Block::Basic,
            blocks: [2, 2, 2, 2],
            width: 1.0,
            groups: 1,
            width_per_group: 64,
            replace_stride_with_dilation: [false; 3],
            stride_in: StrideIn::Conv3x3,
            frozen_stages: 0,
            batch_norm: BatchNormKind::Learning,
        }
    }

    /// ResNet-34 (He et al., 2016, table 1).
    pub fn resnet34() -> Self {
        Self { blocks: [3, 4, 6, 3], ..Self::resnet18() }
    }

    /// ResNet-50 (He et al., 2016, table 1).
    pub fn resnet50() -> Self {
        Self { block: Block::Bottleneck, ..Self::resnet34() }
    }

    /// ResNet-101 (He et al., 2016, table 1).
    pub fn resnet101() -> Self {
        Self { blocks: [3, 4, 23, 3], ..Self::resnet50() }
    }

    /// ResNet-152 (He et al., 2016, table 1).
    pub fn resnet152() -> Self {
        Self { blocks: [3, 8, 36, 3], ..Self::resnet50() }
    }

    /// ResNeXt-50 32×4d (Xie et al., 2017, table 1).
    pub fn resnext50_32x4d() -> Self {
        Self { groups: 32, width_per_group: 4, ..Self::resnet50() }
    }

    /// ResNeXt-101 32×8d, as torchvision has it.
    pub fn resnext101_32x8d() -> Self {
        Self { groups: 32, width_per_group: 8, ..Self::resnet101() }
    }

    /// The same network in the layout of the models for Caffe, as detectors start from it: the stride in the first 1×1
    /// convolution, the max-pool without padding.
    #[must_use]
    pub fn caffe(self) -> Self {
        Self { stem: Stem::Caffe, stride_in: StrideIn::Conv1x1, ..self }
    }

    /// Channels of the four stages.
    pub fn channels(&self) -> [usize; 4] {
        self.widths().map(|width| width * self.block.expansion())
    }

    /// Channels of the four stages before the expansion.
    pub(super) fn widths(&self) -> [usize; 4] {
        let first = (64.0 * self.width).round().max(1.0) as usize;
        [first, 2 * first, 4 * first, 8 * first]
    }

    /// Channels of the 3×3 convolutions of the four stages.
    pub(super) fn inner_widths(&self) -> [usize; 4] {
        self.widths().map(|width| width * self.width_per_group / 64 * self.groups)
    }

    /// Checks that there is such a network.
    ///
    /// # Errors
    /// [`Error::Argument`] with the first setting that has no sense.
    pub fn validate(&self) -> Result<()> {
        const OP: &str = "ResNetConfig";
        if !(1..=MOST_CHANNELS).contains(&self.in_channels) {
            return Err(Error::argument(OP, "in_channels", self.in_channels, format!("1 to {MOST_CHANNELS}")));
        }
        if !self.blocks.iter().all(|blocks| (1..=MOST_BLOCKS).contains(blocks)) {
            return Err(Error::argument(OP, "blocks", self.blocks, format!("1 to {MOST_BLOCKS} in each stage")));
        }
        if !(self.width > 0.0 && self.width <= 64.0) {
            return Err(Error::argument(OP, "width", self.width, "more than 0 and at most 64"));
        }
        let grouped = (self.groups, self.width_per_group);
        let most = 1 << 14;
        if grouped.0 == 0 || grouped.1 == 0 || grouped.0 > most || grouped.1 > most {
            return Err(Error::argument(OP, "groups and width_per_group", grouped, "1 to 16384"));
        }
        let dilation = self.replace_stride_with_dilation;
        if self.block == Block::Basic && (grouped != (1, 64) || dilation.contains(&true)) {
            let expected = "groups 1, width_per_group 64 and no dilation with basic blocks, as in torchvision";
            return Err(Error::argument(OP, "the block", (self.block, grouped, dilation), expected));
        }
        if self.inner_widths().contains(&0) {
            let found = (self.width, self.width_per_group);
            return Err(Error::argument(OP, "width and width_per_group", found, "a product of at least 1"));
        }
        if self.frozen_stages > 5 {
            return Err(Error::argument(OP, "frozen_stages", self.frozen_stages, "at most 5"));
        }
        Ok(())
    }
}
