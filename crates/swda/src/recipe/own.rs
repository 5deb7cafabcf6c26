//! A detector of one's own images.

use sconce_data::{DetectionPipeline, DetectionTransform, HorizontalFlip, OnInvalid, ResizeSides};
use sconce_engine::Preset;

use super::config::{Config, FitConfig};
use crate::images::Images;

/// The named configuration.
pub(super) fn presets() -> Vec<Preset<Config>> {
    vec![Preset::new(
        "own",
        "SWDA on images of your own: data.source, data.target, and if you have one data.test",
        Config::own(),
    )]
}

/// Pixels of an image's shorter side, and the most of its longer one.
const SHORTER: usize = 128;
const LONGER: usize = 256;

impl Config {
    /// SWDA on images of one's own, from random weights: the network and the losses of [`Config::small`], for as many steps whatever
    /// the number of images. Sizes are brought to those that the network is made for, classes and anchors are the data's.
    pub fn own() -> Self {
        let mut config = Self::small().started();
        let resize =
            DetectionTransform::ResizeSides(ResizeSides { shorter: SHORTER, longer: Some(LONGER), antialias: true });
        let flip = DetectionTransform::HorizontalFlip(HorizontalFlip { p: 0.5 });
        let with = |transforms| DetectionPipeline { transforms, ..config.data.eval.clone() };
        config.data.train = with(vec![DetectionTransform::Rgb, resize.clone(), flip]);
        config.data.eval = with(vec![DetectionTransform::Rgb, resize]);
        config.data.source = Images::Voc { root: "".into(), config: None };
        (config.data.target, config.data.test, config.data.source_test) = (None, None, None);
        config.data.on_invalid = OnInvalid::Skip;
        config.data.validation = 0.2;
        config.data.batches_per_epoch = Some(100);
        config.fit = FitConfig::ALL;
        config.trainer.epochs = 10;
        config.trainer.log_every = 20;
        config.trainer.checkpoint_every = 50;
        config
    }
}
