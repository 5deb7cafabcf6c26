//! The paper's recipes, on the paper's data.

use std::path::Path;

use sconce_backbones::ResNetConfig;
use sconce_data::{
    CityscapesConfig, CityscapesGroups, CityscapesImages, CityscapesSplit, DetectionPipeline, DetectionTransform,
    FogDensity, HorizontalFlip, Normalize, OnInvalid, ResizeSides, VocConfig, WATERCOLOR_CLASSES,
};
use sconce_detection::{BackboneConfig, FasterRcnnConfig};
use sconce_engine::{
    Arm, ClaimSpec, Decay, OptimizerConfig, Preset, ScheduleConfig, Study, TrainerConfig, Unit, Warmup,
};

use super::{
    config::{Config, EvaluationConfig, FitConfig, Start, Task},
    study::claim,
};
use crate::{
    config::{EtaConfig, EtaScales, SwdaConfig},
    data::{DataConfig, Leak},
    eval::Measure,
    images::Images,
    train::GroupsConfig,
};

/// The named configurations.
pub(super) fn presets() -> Vec<Preset<Config>> {
    vec![
        Preset::new(
            "paper-clipart",
            "Pascal VOC → Clipart1k, ResNet-101, G + L + context (Saito et al., 2019, table 1: 38.1)",
            Config::paper_clipart(),
        ),
        Preset::new(
            "paper-watercolor",
            "Pascal VOC → Watercolor2k, ResNet-101 (ibid., table 2)",
            Config::paper_watercolor(),
        ),
        Preset::new(
            "paper-foggy",
            "Cityscapes → Foggy Cityscapes, VGG-16 (ibid., table 3: 34.3)",
            Config::paper_foggy(),
        ),
        Preset::new(
            "paper-sim10k",
            "Sim10k → Cityscapes, VGG-16, η = 0.1 (ibid., table 4: 40.1)",
            Config::paper_sim10k(),
        ),
    ]
}

/// The lists of Pascal VOC that are trained on: 16,551 images.
const YEARS: [(&str, &str); 2] = [("2007", "trainval"), ("2012", "trainval")];

fn layout(root: &str, config: VocConfig) -> Images {
    Images::Voc { root: Path::new(root).to_owned(), config: Some(config) }
}

fn voc(config: VocConfig) -> Images {
    layout("datasets/VOCdevkit", config)
}

/// All of Clipart1k, on which the official code adapts and measures.
fn clipart() -> Images {
    layout("datasets/clipart", VocConfig::clipart1k("trainval"))
}

/// Cityscapes as the papers' conversion has it: whatever is no single instance is one object too.
fn cityscapes(config: CityscapesConfig) -> Images {
    let config = CityscapesConfig { groups: CityscapesGroups::Object, ..config };
    Images::Cityscapes { root: Path::new("datasets/cityscapes").to_owned(), config }
}

impl Config {
    /// Pascal VOC 2007 and 2012 to Clipart1k, as the official code trains with global and local alignment on ResNet-101.
    pub fn paper_clipart() -> Self {
        let network = ResNetConfig::resnet101().caffe();
        let detector = FasterRcnnConfig::faster_rcnn_pytorch(BackboneConfig::resnet_c4(network), 20, 128);
        let mut config = Self::paper(detector, voc(VocConfig::voc(&YEARS)), clipart(), clipart());
        // ResNet with both classifiers begins the local one so.
        if let Some(local) = &mut config.swda.local {
            local.init_std = Some(0.01);
        }
        config.groups.bias_lr = 1.0;
        config.trainer.optimizer = sgd(1e-4);
        config.weights = Some("datasets/resnet101_caffe.pth".into());
        config
    }

    /// Pascal VOC to Watercolor2k, which has six of its classes.
    pub fn paper_watercolor() -> Self {
        let mut config = Self::paper_clipart();
        // Of VOC, the images that show one of the six classes.
        config.data.source = voc(VocConfig::voc(&YEARS).only(&WATERCOLOR_CLASSES).without_empty_images());
        config.data.target = Some(layout("datasets/watercolor", VocConfig::watercolor2k("train")));
        config.data.test = Some(layout("datasets/watercolor", VocConfig::watercolor2k("test")));
        config.swda.detector.roi_heads.n_classes = 6;
        config
    }

    /// Cityscapes to Foggy Cityscapes on VGG-16.
    pub fn paper_foggy() -> Self {
        let detector = FasterRcnnConfig::faster_rcnn_pytorch(BackboneConfig::vgg16(), 8, 256);
        let fog = CityscapesImages::Foggy(FogDensity::Dense);
        let part = |split, images| cityscapes(CityscapesConfig::new(split, images));
        Self::paper(
            detector,
            part(CityscapesSplit::Train, CityscapesImages::Clear),
            part(CityscapesSplit::Train, fog),
            part(CityscapesSplit::Val, fog),
        )
    }

    /// Sim10k to the cars of Cityscapes on VGG-16, with η of 0.1 on the losses as in the official code.
    pub fn paper_sim10k() -> Self {
        let detector = FasterRcnnConfig::faster_rcnn_pytorch(BackboneConfig::vgg16(), 1, 256);
        let cars = |split| cityscapes(CityscapesConfig::new(split, CityscapesImages::Clear).only(&["car"]));
        let source = layout("datasets/sim10k", VocConfig::sim10k("train"));
        let mut config = Self::paper(detector, source, cars(CityscapesSplit::Train), cars(CityscapesSplit::Val));
        config.swda.eta = EtaConfig { value: 0.1, scales: EtaScales::Losses };
        config
    }

    /// What all experiments of the paper have in common: 50,000 iterations at 1e-3 and 20,000 at 1e-4, one image of each domain,
    /// whose shorter side has 600 pixels, flipped or not.
    fn paper(detector: FasterRcnnConfig, source: Images, target: Images, test: Images) -> Self {
        let (train, eval) = caffe_pipelines([122.7717, 115.9465, 102.9801], 600);
        Self {
            task: Task::Detector,
            data: DataConfig {
                source,
                target: Some(target),
                test: Some(test),
                source_test: None,
                validation: 0.0,
                on_invalid: OnInvalid::Fail,
                orientation: None,
                leak: Leak::None,
                batch_size: 1,
                target_batch_size: 1,
                batches_per_epoch: Some(10_000),
                workers: 2,
                train,
                eval,
            },
            swda: SwdaConfig::swda(detector),
            groups: GroupsConfig { bias_lr: 2.0, bias_decay: false, classifier_lr: 1.0 },
            trainer: TrainerConfig {
                lr: 1e-3,
                epochs: 7,
                accumulate: 1,
                clip_norm: None,
                ema: None,
                log_every: 100,
                checkpoint_every: 5000,
                optimizer: sgd(5e-4),
                schedule: ScheduleConfig {
                    decay: Decay::MultiStep { milestones: vec![5, 11, 17], gamma: 0.1 },
                    unit: Unit::Epoch,
                    warmup: Warmup::None,
                },
            },
            evaluation: EvaluationConfig { every: 1, measure: Measure::Voc2007 },
            fit: FitConfig::default(),
            start: Start::CaffeFile,
            weights: Some("datasets/vgg16_caffe.pth".into()),
        }
    }
}

/// Images to train on, flipped or not, and to measure on: `shorter` pixels on their shorter side, and values from 0 to 255 less
/// `mean`, of red, green and blue, as models for Caffe see them.
pub(super) fn caffe_pipelines(mean: [f32; 3], shorter: usize) -> (DetectionPipeline, DetectionPipeline) {
    let normalize = Normalize { mean: mean.map(|m| m / 255.0).to_vec(), std: vec![1.0 / 255.0; 3] };
    // The official code limits the longer side nowhere.
    let resize = DetectionTransform::ResizeSides(ResizeSides { shorter, longer: None, antialias: false });
    let flip = DetectionTransform::HorizontalFlip(HorizontalFlip { p: 0.5 });
    let with = |transforms| DetectionPipeline { transforms, ..DetectionPipeline::new(normalize.clone()) };
    let train = with(vec![DetectionTransform::Rgb, flip, resize.clone()]);
    (train, with(vec![DetectionTransform::Rgb, resize]))
}

fn sgd(weight_decay: f64) -> OptimizerConfig {
    OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay }
}

/// The paper's recipes: nothing that a small machine can run. Each starts from a file of Caffe's weights.
pub(super) fn study() -> Study<Config> {
    let mut arms = Vec::new();
    let mut claims = Vec::new();
    for (name, full, paper, table) in [
        ("clipart", Config::paper_clipart(), "38.1 against 27.8 mAP", "table 1"),
        ("watercolor", Config::paper_watercolor(), "53.3 against 44.6 mAP, not checked against the paper", "table 2"),
        ("foggy", Config::paper_foggy(), "34.3 against 20.3 mAP", "table 3"),
        ("sim10k", Config::paper_sim10k(), "40.1 against 34.6 AP", "table 4"),
    ] {
        let (source, ours) = (format!("{name}-source"), format!("{name}-swda"));
        let text = format!("SWDA beats a detector that sees the source alone: {name}");
        let own = claim(&text, (paper, &format!("§4, {table}")), (&source, &ours));
        claims.push(ClaimSpec { scaled: false, ..own });
        arms.push(Arm::new(source, format!("{name}: source only"), full.clone().source_only()));
        arms.push(Arm::new(ours, format!("{name}: SWDA"), full));
    }
    Study { arms, claims, comparisons: Vec::new(), seeds: 1, notes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_numbers_are_theirs() {
        for (config, decay, eta) in [
            (Config::paper_clipart(), 1e-4, 1.0),
            (Config::paper_foggy(), 5e-4, 1.0),
            (Config::paper_sim10k(), 5e-4, 0.1),
        ] {
            // Iterations 0 to 49,999 at 1e-3, 20,000 more at 1e-4.
            let rate = |step: usize| {
                let clock = sconce_engine::Clock { step, steps_per_epoch: 10_000, epochs: 7 };
                config.trainer.schedule.lr(config.trainer.lr, clock)
            };
            assert!((rate(49_999) - 1e-3).abs() < 1e-12 && (rate(50_000) - 1e-4).abs() < 1e-12);
            assert_eq!(config.swda.eta.value, eta);
            assert!(format!("{:?}", config.trainer.optimizer).contains(&format!("weight_decay: {decay:?}")));
        }
    }
}
