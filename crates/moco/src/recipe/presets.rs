//! The named configurations.

use sconce_backbones::{ResNetConfig, Stem};
use sconce_data::{
    CenterCrop, ColorJitter, FloatTransform, GaussianBlur, HorizontalFlip, JitterRange, Normalize, OnInvalid, Pipeline,
    PixelTransform, RandomApply, RandomGrayscale, RandomResizedCrop, ResizeShorterSide,
};
use sconce_engine::{Decay, OptimizerConfig, Preset, ScheduleConfig, TrainerConfig, Unit, Warmup};

use super::config::{Config, EvaluationConfig, KnnFeatures, Task};
use crate::{
    config::{BatchNormGroups, EncoderConfig, Head, Mechanism, MocoConfig},
    data::{DataConfig, Images},
    evaluation::{FineTuneConfig, KnnConfig, ProbeConfig},
};

/// The named configurations, the default first.
pub(super) fn presets() -> Vec<Preset<Config>> {
    let with = |task, config: Config| Config { task, ..config };
    let (v1, v2) = (Config::paper_v1(), Config::paper_v2());
    let mut v2_800 = v2.clone();
    v2_800.trainer.epochs = 800;
    let mut symmetric = Config::cifar10();
    symmetric.moco.symmetric = true;
    vec![
        Preset::new(
            "small",
            "MoCo on the embedded Fashion-MNIST subset, and what its features are worth",
            Config::small(),
        ),
        Preset::new(
            "small-random",
            "its baseline: the encoder as it begins",
            with(Task::RandomFeatures, Config::small()),
        ),
        Preset::new("small-pixels", "pixels as features", with(Task::PixelFeatures, Config::small())),
        Preset::new("study", "the same with fewer epochs: an arm of the ablations", Config::study()),
        Preset::new("smoke", "two epochs of a smaller network: shows that everything runs", Config::smoke()),
        Preset::new(
            "own",
            "a folder of pictures of your own, without labels: --set data.images.train=PATH (v2, ResNet-18, 96×96 pixels)",
            Config::own(),
        ),
        Preset::new(
            "cifar10",
            "the authors' recipe for CIFAR-10 on one device: ResNet-18, split BN, 200 epochs (their notebook)",
            Config::cifar10(),
        ),
        Preset::new(
            "cifar10-symmetric",
            "the same with the symmetric loss: 85.3 % after 200 epochs (ibid.)",
            symmetric,
        ),
        Preset::new(
            "paper-v1",
            "MoCo v1 on ImageNet, 200 epochs (He et al., 2020, §4; official `main_moco.py`)",
            v1.clone(),
        ),
        Preset::new(
            "paper-v2",
            "MoCo v2 on ImageNet, 200 epochs (Chen et al., 2020; `--mlp --moco-t 0.2 --aug-plus --cos`)",
            v2,
        ),
        Preset::new("paper-v2-800", "the same for 800 epochs: 71.1 %", v2_800),
        Preset::new(
            "paper-linear",
            "linear classification on ImageNet, frozen ResNet-50, lr 30 (§4.1; official `main_lincls.py`)",
            Config::paper_linear(v1),
        ),
    ]
}

impl Config {
    /// The embedded Fashion-MNIST subset: a narrow residual network with one block a stage, SGD as in the authors' recipe for
    /// CIFAR-10.
    ///
    /// Views differ less than for photographs: crops of 0.7 to 1 of the area at almost the image's own aspect, and no colour to
    /// change. What tells a coat from a shirt is its outline.
    pub fn small() -> Self {
        let backbone = ResNetConfig {
            in_channels: 1,
            stem: Stem::Cifar,
            width: 0.125,
            blocks: [1, 1, 1, 1],
            ..ResNetConfig::resnet18()
        };
        let crop = RandomResizedCrop { width: 28, height: 28, scale: [0.7, 1.0], ratio: [0.9, 1.1] };
        let jitter = ColorJitter {
            brightness: JitterRange::Around(0.4),
            contrast: JitterRange::Around(0.4),
            ..ColorJitter::default()
        };
        // Mean and deviation of Fashion-MNIST's training images.
        let eval = normalized(vec![0.2860], vec![0.3530]);
        Self {
            task: Task::Pretrain,
            fit_to_data: None,
            data: DataConfig {
                images: Images::FashionMnistSubset,
                batch_size: 64,
                workers: 0,
                train: Pipeline {
                    pixels: vec![
                        PixelTransform::RandomResizedCrop(crop),
                        PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
                    ],
                    floats: vec![FloatTransform::ColorJitter(jitter)],
                    ..eval.clone()
                },
                eval,
            },
            moco: MocoConfig {
                encoder: EncoderConfig { backbone, head: Head::Mlp, dim: 64 },
                mechanism: Mechanism::Queue { length: 2048, momentum: 0.99 },
                temperature: 0.2,
                batch_norm: BatchNormGroups::Groups { groups: 4, shuffle: true },
                symmetric: false,
            },
            trainer: sgd((0.06, 5e-4), 30, ScheduleConfig::COSINE),
            evaluation: EvaluationConfig {
                every: 3,
                knn: KnnConfig { k: 50, temperature: 0.1 },
                knn_features: KnnFeatures::Pooled,
                probe: PROBE,
                few_labels: 100,
                fine_tune: Some(FineTuneConfig {
                    labels: 1000,
                    epochs: 10,
                    batch_size: 64,
                    lr: 0.03,
                    weight_decay: 5e-4,
                }),
            },
        }
    }

    /// [`Config::small`] with fewer epochs, for the many arms of the study.
    pub fn study() -> Self {
        let mut config = Self::small();
        config.trainer.epochs = 10;
        config.evaluation.every = 2;
        config.evaluation.fine_tune = None;
        config
    }

    /// [`Config::small`] with less of everything.
    pub fn smoke() -> Self {
        let mut config = Self::small();
        config.moco.encoder.backbone.width = 0.0625;
        config.moco.mechanism = Mechanism::Queue { length: 1000, momentum: 0.99 };
        config.trainer.epochs = 2;
        config.evaluation.every = 1;
        config.evaluation.probe.epochs = 5;
        config.evaluation.fine_tune =
            Some(FineTuneConfig { labels: 200, epochs: 1, batch_size: 64, lr: 0.03, weight_decay: 5e-4 });
        config
    }

    /// A folder of one's own pictures, of any size and number: v2's augmentation and head on a ResNet-18, at 96×96 pixels, which
    /// two cores can train. Batches and queue shrink to what a small folder can fill, files that cannot be decoded are left out,
    /// and without a test set nothing is measured.
    pub fn own() -> Self {
        let crop = RandomResizedCrop { width: 96, height: 96, scale: [0.2, 1.0], ratio: ASPECT };
        let blur = FloatTransform::GaussianBlur(GaussianBlur { kernel_size: 9, sigma: [0.1, 2.0] });
        let eval = Pipeline {
            pixels: vec![
                PixelTransform::Rgb,
                PixelTransform::ResizeShorterSide(ResizeShorterSide { size: 110, antialias: true }),
                PixelTransform::CenterCrop(CenterCrop { width: 96, height: 96 }),
            ],
            normalize: Normalize::imagenet(),
            ..normalized(Vec::new(), Vec::new())
        };
        let images = Images::ImageFolder { train: "".into(), test: None, on_invalid: Some(OnInvalid::Skip) };
        let mut trainer = sgd((0.03, 5e-4), 100, ScheduleConfig::COSINE);
        // A small folder has few steps in an epoch, and a checkpoint of this network 130 MB.
        (trainer.log_every, trainer.checkpoint_every) = (10, 50);
        Self {
            task: Task::Pretrain,
            fit_to_data: Some(true),
            data: DataConfig {
                images,
                batch_size: 32,
                workers: 2,
                train: Pipeline {
                    pixels: vec![
                        PixelTransform::Rgb,
                        PixelTransform::RandomResizedCrop(crop),
                        PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
                    ],
                    floats: vec![sometimes(0.8, colour_jitter(0.1)), gray(), sometimes(0.5, blur)],
                    ..eval.clone()
                },
                eval,
            },
            moco: MocoConfig {
                encoder: EncoderConfig { backbone: ResNetConfig::resnet18(), head: Head::Mlp, dim: 128 },
                mechanism: Mechanism::Queue { length: 4096, momentum: 0.99 },
                temperature: 0.2,
                batch_norm: BatchNormGroups::Groups { groups: 4, shuffle: true },
                symmetric: false,
            },
            trainer,
            evaluation: EvaluationConfig {
                every: 10,
                knn: KnnConfig { k: 20, temperature: 0.1 },
                knn_features: KnnFeatures::Pooled,
                probe: PROBE,
                few_labels: 100,
                fine_tune: None,
            },
        }
    }

    /// The authors' notebook for CIFAR-10 on one device (branch `colab-notebook` of the official repository).
    pub fn cifar10() -> Self {
        let backbone = ResNetConfig { stem: Stem::Cifar, ..ResNetConfig::resnet18() };
        let crop = RandomResizedCrop { width: 32, height: 32, scale: [0.08, 1.0], ratio: ASPECT };
        let eval = normalized(vec![0.4914, 0.4822, 0.4465], vec![0.2023, 0.1994, 0.2010]);
        let schedule = ScheduleConfig {
            // Its epochs count from 1, and the last one has a rate of 0.
            decay: Decay::Cosine { final_ratio: 0.0, offset: 1 },
            unit: Unit::Epoch,
            warmup: Warmup::None,
        };
        Self {
            task: Task::Pretrain,
            fit_to_data: None,
            data: DataConfig {
                images: Images::Cifar10 { root: "datasets/cifar-10-batches-bin".into() },
                batch_size: 512,
                workers: 2,
                train: Pipeline {
                    pixels: vec![
                        PixelTransform::RandomResizedCrop(crop),
                        PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
                    ],
                    floats: vec![sometimes(0.8, colour_jitter(0.1)), gray()],
                    ..eval.clone()
                },
                eval,
            },
            moco: MocoConfig {
                encoder: EncoderConfig { backbone, head: Head::Linear, dim: 128 },
                mechanism: Mechanism::Queue { length: 4096, momentum: 0.99 },
                temperature: 0.1,
                batch_norm: BatchNormGroups::Groups { groups: 8, shuffle: true },
                symmetric: false,
            },
            trainer: sgd((0.06, 5e-4), 200, schedule),
            evaluation: EvaluationConfig {
                every: 1,
                knn: KnnConfig::default(),
                knn_features: KnnFeatures::Projected,
                probe: PROBE,
                few_labels: 1000,
                fine_tune: None,
            },
        }
    }

    /// MoCo v1 on ImageNet (He et al., 2020, §4): batches of 256 over 8 groups, lr 0.03 falling by 10 at epochs 120 and 160.
    pub fn paper_v1() -> Self {
        let steps = Decay::MultiStep { milestones: vec![120, 160], gamma: 0.1 };
        // Grey before jitter, as the official code has it. Its flip comes last, which makes no difference.
        Self::imagenet(
            MocoConfig::v1(),
            vec![gray(), colour_jitter(0.4)],
            ScheduleConfig { decay: steps, unit: Unit::Epoch, warmup: Warmup::None },
        )
    }

    /// MoCo v2 on ImageNet (Chen et al., 2020): an MLP head, τ = 0.2, blur, and a rate that falls as a cosine, epoch by epoch.
    pub fn paper_v2() -> Self {
        let blur = FloatTransform::GaussianBlur(GaussianBlur { kernel_size: 23, sigma: [0.1, 2.0] });
        let decay = Decay::Cosine { final_ratio: 0.0, offset: 0 };
        Self::imagenet(
            MocoConfig::v2(),
            vec![sometimes(0.8, colour_jitter(0.1)), gray(), sometimes(0.5, blur)],
            ScheduleConfig { decay, unit: Unit::Epoch, warmup: Warmup::None },
        )
    }

    /// Linear classification (§4.1): batches of 256, 100 epochs, lr 30 falling by 10 at 60 and 80, no weight decay.
    fn paper_linear(pretraining: Self) -> Self {
        let steps = Decay::MultiStep { milestones: vec![60, 80], gamma: 0.1 };
        let crop = RandomResizedCrop { width: 224, height: 224, scale: [0.08, 1.0], ratio: ASPECT };
        let pixels = vec![
            PixelTransform::Rgb,
            PixelTransform::RandomResizedCrop(crop),
            PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
        ];
        let data = pretraining.data;
        Self {
            task: Task::LinearClassifier,
            data: DataConfig { train: Pipeline { pixels, ..data.eval.clone() }, ..data },
            trainer: sgd((30.0, 0.0), 100, ScheduleConfig { decay: steps, unit: Unit::Epoch, warmup: Warmup::None }),
            ..pretraining
        }
    }

    fn imagenet(moco: MocoConfig, floats: Vec<FloatTransform>, schedule: ScheduleConfig) -> Self {
        let crop = RandomResizedCrop { width: 224, height: 224, scale: [0.2, 1.0], ratio: ASPECT };
        let plain = Pipeline { normalize: Normalize::imagenet(), ..normalized(Vec::new(), Vec::new()) };
        let eval = vec![
            PixelTransform::Rgb,
            PixelTransform::ResizeShorterSide(ResizeShorterSide { size: 256, antialias: true }),
            PixelTransform::CenterCrop(CenterCrop { width: 224, height: 224 }),
        ];
        let flip = PixelTransform::HorizontalFlip(HorizontalFlip { p: 0.5 });
        let pixels = vec![PixelTransform::Rgb, PixelTransform::RandomResizedCrop(crop), flip];
        Self {
            task: Task::Pretrain,
            fit_to_data: None,
            data: DataConfig {
                images: Images::ImageFolder {
                    train: "imagenet/train".into(),
                    test: Some("imagenet/val".into()),
                    on_invalid: None,
                },
                batch_size: 256,
                workers: 32,
                train: Pipeline { pixels, floats, ..plain.clone() },
                eval: Pipeline { pixels: eval, ..plain },
            },
            moco,
            trainer: sgd((0.03, 1e-4), 200, schedule),
            evaluation: EvaluationConfig {
                every: 0,
                knn: KnnConfig::default(),
                knn_features: KnnFeatures::Pooled,
                probe: PROBE,
                few_labels: 10_000,
                fine_tune: None,
            },
        }
    }
}

/// torchvision's range of aspects of a random crop.
const ASPECT: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];

const PROBE: ProbeConfig = ProbeConfig { epochs: 40, batch_size: 256, lr: 0.05, weight_decay: 1e-4 };

fn normalized(mean: Vec<f32>, std: Vec<f32>) -> Pipeline {
    Pipeline { pixels: Vec::new(), floats: Vec::new(), normalize: Normalize { mean, std }, erasing: None }
}

/// Brightness, contrast and saturation by up to 0.4, and hue.
fn colour_jitter(hue: f64) -> FloatTransform {
    let strength = JitterRange::Around(0.4);
    FloatTransform::ColorJitter(ColorJitter {
        brightness: strength,
        contrast: strength,
        saturation: strength,
        hue: JitterRange::Around(hue),
    })
}

fn gray() -> FloatTransform {
    FloatTransform::RandomGrayscale(RandomGrayscale { p: 0.2 })
}

fn sometimes(p: f64, transform: FloatTransform) -> FloatTransform {
    FloatTransform::RandomApply(RandomApply { p, transforms: vec![transform] })
}

/// SGD with momentum 0.9, at this rate and with so much L2 on all parameters.
fn sgd((lr, weight_decay): (f64, f64), epochs: usize, schedule: ScheduleConfig) -> TrainerConfig {
    TrainerConfig {
        lr,
        epochs,
        accumulate: 1,
        clip_norm: None,
        ema: None,
        log_every: 0,
        checkpoint_every: 0,
        optimizer: OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay },
        schedule,
    }
}
