//! What of a detector is taken from the images to train on, and how well its anchors fit them.

use sconce_core::{Rng, geometry::BBox};
use sconce_data::{CocoId, DetectionDataset, DetectionPipeline, Image};
use sconce_detection::{AnchorConfig, AnchorCounts};
use sconce_engine::{Checkpoint, Source, Stateful};
use serde::{Deserialize, Serialize};

use super::{
    Config,
    config::{FitConfig, Taken},
};
use crate::{
    datasets::Datasets,
    error::{Result, SwdaError},
    eval::other,
};

/// Images of which the boxes are looked at, at most: more change the anchors little.
const MOST_IMAGES: usize = 200;

/// A box and its image's height and width, as the network sees them.
type Seen = (BBox, (usize, usize));

/// What the data have decided of a detector, as a part of its checkpoints. A run that is resumed must come to the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fitted {
    n_classes: usize,
    anchors: AnchorConfig,
    /// By which ids a file in COCO's format calls the classes, if it was trained on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) category_ids: Option<Vec<Option<CocoId>>>,
}

impl Fitted {
    /// By this name a checkpoint has it.
    pub(super) const STATE: &str = "fitted";

    /// What a checkpoint's data have decided; nothing where its configuration has said everything.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn of(checkpoint: &Checkpoint) -> anyhow::Result<Option<Self>> {
        if !checkpoint.state().tracked.iter().any(|name| name == Self::STATE) {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&checkpoint.tracked(Self::STATE)?)?))
    }

    /// The configuration with it.
    pub(super) fn applied(&self, config: &Config) -> Config {
        let mut config = config.clone();
        config.swda.detector.roi_heads.n_classes = self.n_classes;
        config.swda.detector.rpn.anchors = self.anchors.clone();
        config
    }
}

impl Stateful for Fitted {
    fn save(&self) -> std::result::Result<Vec<u8>, Source> {
        Ok(serde_json::to_vec(self)?)
    }

    fn load(&self, bytes: &[u8]) -> std::result::Result<(), Source> {
        let stored: Self = serde_json::from_slice(bytes)?;
        if stored == *self {
            return Ok(());
        }
        Err(format!("the checkpoint has {stored:?}, the data lead to {self:?}").into())
    }
}

/// The configuration with what is taken from the data, what a checkpoint is to say of it, and what is to be said of it.
///
/// # Errors
/// If the detector has another number of classes than the data, no image has an object, or a box cannot be learned.
pub(super) fn fit(config: &Config, data: &Datasets) -> Result<(Config, Option<Fitted>, Vec<String>)> {
    let (mut config, source) = (config.clone(), &data.source);
    let detector = &mut config.swda.detector;
    let n_classes = source.classes().len();
    if config.fit.n_classes == Taken::FromData {
        detector.roi_heads.n_classes = n_classes;
    } else if detector.roi_heads.n_classes != n_classes {
        let expected =
            format!("{n_classes}, the classes of {}; fit.n_classes = \"from-data\" takes it", source.origin());
        return Err(SwdaError::config("swda.detector.roi_heads.n_classes", detector.roi_heads.n_classes, expected));
    }
    let boxes = seen(source, &config.data.eval)?;
    if boxes.is_empty() {
        let found = format!("{} images without an object", source.len());
        return Err(SwdaError::config("data.source", found, "objects to learn from"));
    }
    let mut lines = Vec::new();
    if config.fit.anchors == Taken::FromData {
        *detector = detector.clone().with_fitting_anchors(&boxes, AnchorCounts::default())?;
        let AnchorConfig { sizes, aspect_ratios, .. } = &detector.rpn.anchors;
        lines.push(format!(
            "anchors for the source's boxes: sizes {:?}, aspect ratios {aspect_ratios:?}",
            sizes.concat()
        ));
    }
    let fit = detector.anchor_fit(&boxes)?;
    let (warning, advice) = match (fit.is_poor(), config.fit.anchors) {
        (false, _) => ("", ""),
        (true, Taken::FromConfig) => {
            ("warning: ", "; swda.detector.rpn.anchors has them, and fit.anchors = \"from-data\" chooses others")
        }
        (true, Taken::FromData) => ("warning: ", "; larger images, by data.train and data.eval, may help"),
    };
    let missed = (100.0 * (1.0 - fit.recall())).round();
    lines.push(format!("{warning}anchors: {fit}; {missed} % have none{advice}"));
    let fitted = Fitted { n_classes, anchors: detector.rpn.anchors.clone(), category_ids: data.category_ids.clone() };
    let is_said = config.fit != FitConfig::default() || fitted.category_ids.is_some();
    Ok((config, is_said.then_some(fitted), lines))
}

/// Boxes of `dataset` as a network sees them behind `pipeline`, of images evenly through the set.
fn seen(dataset: &DetectionDataset, pipeline: &DetectionPipeline) -> Result<Vec<Seen>> {
    let with_objects: Vec<usize> = (0..dataset.len()).filter(|&i| !dataset.sample(i).objects.is_empty()).collect();
    // What becomes of a box does not depend on what is in the picture.
    let moves = DetectionPipeline { floats: Vec::new(), ..pipeline.clone() };
    let n = with_objects.len().min(MOST_IMAGES);
    let mut boxes = Vec::new();
    for k in 0..n {
        let sample = dataset.sample(with_objects[k * with_objects.len() / n]);
        let (height, width) = sample.size;
        let blank = Image::new(width, height, 3, vec![0; width * height * 3]).map_err(other)?;
        let input = moves.apply(blank, &sample.objects, &mut Rng::new(0, "anchors")).map_err(other)?;
        let [_, height, width] = input.image.shape();
        boxes.extend(input.objects.iter().map(|object| (object.bbox, (height, width))));
    }
    boxes.retain(|(bbox, _)| bbox.has_extent());
    Ok(boxes)
}
