//! Photos to clipart, on what `cargo xtask data fetch photo-cut-outs campus-photos hed-vgg16` gets.

use std::path::{Path, PathBuf};

use sconce_backbones::VggConfig;
use sconce_data::Split;
use sconce_detection::{BackboneConfig, FasterRcnnConfig, VggRegionHead};
use sconce_engine::{Preset, ScheduleConfig, Unit, Warmup};

use super::{config::Config, papers::caffe_pipelines};
use crate::{
    config::SwdaConfig,
    eval::Measure,
    images::{Images, Scene},
    train::GroupsConfig,
};

/// The named configurations.
pub(super) fn presets() -> Vec<Preset<Config>> {
    let full = Config::photo_clipart();
    vec![
        Preset::new("photo-clipart", "SWDA on VGG-16, composed photos → clipart, with fetched files", full.clone()),
        Preset::new("photo-clipart-source-only", "its baseline: photos alone", full.source_only()),
    ]
}

/// Scenes to train on, and to measure on.
const TRAIN: usize = 400;
const TEST: usize = 200;

/// Pixels of the shorter side: twice as many as scenes have, for a trunk of stride 16.
const SHORTER: usize = 192;

fn photo_scenes(split: Split, n: usize, seed: u64) -> Images {
    let data = Path::new("data");
    let [cut_outs, backgrounds]: [PathBuf; 2] = ["photo-cut-outs", "campus-photos"].map(|name| data.join(name));
    Images::PhotoScenes { cut_outs, backgrounds, split, n, seed }
}

impl Config {
    /// Photos to clipart: VGG-16 with the first two stages frozen, one image of each domain a step, and SGD, as from Cityscapes to
    /// Foggy Cityscapes; with new layers on regions, for the start is a file of convolutions alone, and anchors for small objects.
    pub fn photo_clipart() -> Self {
        let network = VggConfig { frozen_stages: 2, ..VggConfig::vgg16() };
        let head = VggRegionHead::Mlp { hidden: 256 };
        let backbone = BackboneConfig::Vgg { network, lower: 6, head };
        let mut detector = FasterRcnnConfig::faster_rcnn_pytorch(backbone, 5, 64);
        detector.rpn.anchors.sizes = vec![vec![32.0, 64.0, 96.0]];
        detector.rpn.train.after_nms = 300;
        detector.rpn.eval.after_nms = 100;

        let mut config = Self::paper_foggy();
        config.swda = SwdaConfig::swda(detector);
        config.weights = Some("data/hed-vgg16/vgg16.safetensors".into());
        config.groups = GroupsConfig::PLAIN;
        config.data.source = photo_scenes(Split::Train, TRAIN, 5);
        config.data.target = Some(Images::scenes(Scene::Clear, TRAIN));
        config.data.test = Some(Images::test_scenes(Scene::Clear, TEST));
        config.data.source_test = Some(photo_scenes(Split::Test, TEST, 4));
        config.data.batches_per_epoch = None;
        // What the weights were trained on.
        (config.data.train, config.data.eval) = caffe_pipelines([123.68, 116.779, 103.939], SHORTER);
        config.trainer.epochs = 3;
        config.trainer.clip_norm = Some(10.0);
        config.trainer.log_every = 50;
        config.trainer.checkpoint_every = 0;
        config.trainer.schedule = ScheduleConfig {
            warmup: Warmup::Linear { length: 100, unit: Unit::Step, start_factor: 0.1 },
            ..ScheduleConfig::COSINE
        };
        config.evaluation.measure = Measure::Coco;
        config
    }
}
