//! The named configurations.

use sconce_backbones::{ResNetConfig, Stem};
use sconce_data::{
    AspectDraw, ColorJitter, FloatTransform, GaussianNoise, HorizontalFlip, JitterRange, LabelNoise, Normalize,
    OnInvalid, OneOf, Orientation, Pipeline, PixelTransform, RandomCrop, RandomErasing, RandomResizedCrop, Resize,
};
use sconce_engine::{Decay, OptimizerConfig, ScheduleConfig, TrainerConfig, Unit, Warmup};
use serde::{Deserialize, Serialize};

use crate::{
    config::{RelabelConfig, ScnConfig},
    data::{DataConfig, Images},
};

/// Epochs on the emoji, of some 200 images each.
const EMOJI_EPOCHS: usize = 60;

/// Everything that a run depends on, besides its seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the backbone starts from; a file that `--init-from` names takes precedence.
    pub pretraining: Pretraining,
    /// Images, noise, augmentation.
    pub data: DataConfig,
    /// The network and the three modules.
    pub scn: ScnConfig,
    /// Optimiser, schedule, epochs.
    pub trainer: TrainerConfig,
}

/// What the backbone begins as. Whatever it says, a file that `--init-from` names is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Pretraining {
    /// Random weights.
    None,
    /// A file that `--init-from` must name: a run that is meant to be pre-trained does not begin from nothing unnoticed.
    File,
    /// A file of a model repository on a hub (with the feature `hub`): `timm/resnet18.tv_in1k` has torchvision's weights.
    Hub {
        /// The repository, as `owner/name`.
        repo: String,
        /// The file in it.
        file: String,
        /// A branch, a tag or a commit.
        revision: String,
    },
}

impl Config {
    /// The embedded Fashion-MNIST subset with 30 % symmetric noise: a quarter-width ResNet-18, 16 epochs, optimiser, batch
    /// and margins of the official code.
    pub fn small() -> Self {
        let backbone = ResNetConfig { in_channels: 1, stem: Stem::ImageNet, width: 0.25, ..ResNetConfig::resnet18() };
        let mut scn = ScnConfig::code(backbone, 10);
        // 16 epochs in place of 70: the network is sure of the clean images much earlier.
        scn.relabel.start_epoch = 5;
        // Mean and deviation of Fashion-MNIST's training images.
        let normalize = Normalize { mean: vec![0.2860], std: vec![0.3530] };
        let eval = Pipeline { pixels: Vec::new(), floats: Vec::new(), normalize, erasing: None };
        let flip = PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.5 });
        Self {
            pretraining: Pretraining::None,
            data: DataConfig {
                images: Images::FashionMnistSubset,
                noise: LabelNoise::Symmetric { rate: 0.3 },
                noise_list: None,
                validation: 0.1,
                batch_size: 64,
                workers: 0,
                train: Pipeline { pixels: vec![flip], ..eval.clone() },
                eval,
            },
            scn,
            trainer: code_trainer(16),
        }
    }

    /// [`Config::small`] with less of everything: one epoch after the other shows that all of it runs.
    pub fn smoke() -> Self {
        let mut config = Self::small();
        config.scn.model.backbone.width = 0.125;
        config.scn.relabel.start_epoch = 2;
        config.trainer.epochs = 3;
        config
    }

    /// The official code on a folder of face images a class, 224×224: batches of 64, Adam, 70 epochs.
    pub fn faces() -> Self {
        let mut config = Self::small();
        let images = Images::image_folder("faces/train", Some("faces/test"));
        config.data = DataConfig {
            images,
            noise: LabelNoise::None,
            workers: 2,
            train: code_augmentation(224),
            eval: code_evaluation(224),
            ..config.data
        };
        config.scn = ScnConfig::code(ResNetConfig::resnet18(), None);
        config.trainer = code_trainer(70);
        config
    }

    /// Images of one's own, a folder for each class, of any size and number of classes: a half-width ResNet-18 on 64×64 pixels, which
    /// learns some hundred photos in minutes. Few images need strong augmentation. Labels are changed late, and only where the network is
    /// sure: most of one's own labels are right.
    pub fn own() -> Self {
        let backbone = ResNetConfig { width: 0.5, ..ResNetConfig::resnet18() };
        let mut scn = ScnConfig::code(backbone, None);
        scn.relabel = RelabelConfig { margin: 0.5, start_epoch: 40, ..scn.relabel };
        let images = Images::ImageFolder {
            train: "images/train".into(),
            test: None,
            test_share: 0.2,
            on_invalid: OnInvalid::Skip,
            orientation: Orientation::Upright,
            shrink_to: Some(128),
        };
        let (width, height) = (64, 64);
        let eval = Pipeline {
            pixels: vec![PixelTransform::Rgb, PixelTransform::Resize(Resize { width, height, antialias: true })],
            floats: Vec::new(),
            normalize: Normalize::imagenet(),
            erasing: None,
        };
        let crop = RandomResizedCrop { width, height, scale: [0.5, 1.0], ratio: [0.75, 4.0 / 3.0] };
        let jitter = ColorJitter {
            brightness: JitterRange::Around(0.3),
            contrast: JitterRange::Around(0.3),
            saturation: JitterRange::Around(0.3),
            hue: JitterRange::Around(0.1),
        };
        let train = Pipeline {
            pixels: vec![
                PixelTransform::Rgb,
                PixelTransform::RandomResizedCrop(crop),
                PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
            ],
            floats: vec![FloatTransform::ColorJitter(jitter)],
            ..eval.clone()
        };
        let small = Self::small();
        Self {
            pretraining: Pretraining::None,
            data: DataConfig { images, noise: LabelNoise::None, batch_size: 16, train, eval, ..small.data },
            scn,
            trainer: TrainerConfig {
                schedule: ScheduleConfig { decay: Decay::Exponential { gamma: 0.97 }, ..small.trainer.schedule },
                ..code_trainer(60)
            },
        }
    }

    /// The embedded emoji expressions, 64×64, with 30 % symmetric noise, tested on the drawings of a vendor that is not trained
    /// on. The network and the settings of [`Config::small`], with more epochs of the few images.
    pub fn emoji() -> Self {
        let mut config = Self::small();
        config.scn.model.backbone.in_channels = 3;
        config.scn.model.n_classes = Some(7);
        config.trainer.epochs = EMOJI_EPOCHS;
        // The same fall over all epochs as for the small profile: 0.9^16 is 0.97^52.
        config.trainer.schedule.decay = Decay::Exponential { gamma: 0.97 };
        // The few images are learned late; what relabels before that breaks more labels than it mends.
        config.scn.relabel.start_epoch = 40;
        let normalize = Normalize { mean: vec![0.5; 3], std: vec![0.5; 3] };
        let eval = Pipeline { pixels: vec![PixelTransform::Rgb], floats: Vec::new(), normalize, erasing: None };
        let pixels = vec![
            PixelTransform::Rgb,
            PixelTransform::RandomCrop(RandomCrop { width: 64, height: 64, padding: 4 }),
            PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
        ];
        config.data = DataConfig {
            images: Images::emoji_expressions(),
            batch_size: 16,
            train: Pipeline { pixels, ..eval.clone() },
            eval,
            ..config.data
        };
        config
    }

    /// The same run with cross-entropy alone.
    #[must_use]
    pub fn cross_entropy(mut self) -> Self {
        self.scn = self.scn.cross_entropy();
        self
    }
}

/// What the official code trains on: with probability ½ either a flip or Gaussian noise, then `size` × `size` pixels, ImageNet's
/// normalisation, and erasing with aspects drawn as torchvision did in 2020.
fn code_augmentation(size: usize) -> Pipeline {
    let transforms = vec![
        PixelTransform::HorizontalFlip(HorizontalFlip { p: 1.0 }),
        PixelTransform::GaussianNoise(GaussianNoise::default()),
    ];
    let mut pipeline = code_evaluation(size);
    pipeline.pixels.insert(1, PixelTransform::OneOf(OneOf { p: 0.5, transforms }));
    pipeline.erasing = Some(RandomErasing {
        p: 0.5,
        area: [0.02, 0.25],
        aspect: [0.3, 3.3],
        aspect_draw: AspectDraw::Uniform,
        value: 0.0,
    });
    pipeline
}

/// What the official code evaluates on: `size` × `size` pixels and ImageNet's normalisation.
pub(super) fn code_evaluation(size: usize) -> Pipeline {
    Pipeline {
        pixels: vec![
            PixelTransform::Rgb,
            PixelTransform::Resize(Resize { width: size, height: size, antialias: true }),
        ],
        floats: Vec::new(),
        normalize: Normalize::imagenet(),
        erasing: None,
    }
}

/// Adam at 1e-3 with 1e-4 of L2, falling by a tenth each epoch: the official code's defaults.
pub(super) fn code_trainer(epochs: usize) -> TrainerConfig {
    TrainerConfig {
        lr: 1e-3,
        epochs,
        accumulate: 1,
        clip_norm: None,
        ema: None,
        log_every: 20,
        checkpoint_every: 0,
        optimizer: OptimizerConfig::Adam { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 1e-4 },
        schedule: ScheduleConfig { decay: Decay::Exponential { gamma: 0.9 }, unit: Unit::Epoch, warmup: Warmup::None },
    }
}
