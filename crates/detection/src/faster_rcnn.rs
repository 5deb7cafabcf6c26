//! Faster R-CNN (Ren et al., 2015): a trunk, region proposals, and heads on regions.

use sconce_core::{Error, Result, Rng, Scope, Tensor, nn::Mode};
use serde::{Deserialize, Serialize};

use crate::{
    anchors::AnchorRule,
    backbone::{Backbone, BackboneConfig},
    coder::BoxConvention,
    detection::Detection,
    roi_heads::{RoiHeads, RoiHeadsConfig, RoiLosses, RoiOutput, SampledRois},
    rpn::{Rpn, RpnConfig, RpnLosses},
    target::Targets,
};

/// How a [`FasterRcnn`] is built, trained and read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FasterRcnnConfig {
    /// The convolutional network.
    pub backbone: BackboneConfig,
    /// The region proposal network.
    pub rpn: RpnConfig,
    /// What runs on regions.
    pub roi_heads: RoiHeadsConfig,
    /// How boxes are read.
    pub convention: BoxConvention,
}

impl FasterRcnnConfig {
    /// Checks that there is such a detector.
    ///
    /// # Errors
    /// [`Error::Argument`] with the first setting that has no sense.
    pub fn validate(&self) -> Result<()> {
        const OP: &str = "FasterRcnnConfig";
        self.backbone.validate()?;
        self.rpn.validate()?;
        self.roi_heads.validate()?;
        let lists = self.rpn.anchors.sizes.len();
        if lists != 1 {
            return Err(Error::argument(OP, "lists of anchor sizes", lists, "1, for the trunk's one map"));
        }
        let (stride, size) = (self.backbone.stride(), self.roi_heads.pool.size);
        match self.rpn.anchors.rule {
            AnchorRule::Caffe { stride: found } if found != stride => {
                let expected = format!("{stride}, the pixels to a position of the trunk's map");
                Err(Error::argument(OP, "rpn.anchors.rule.stride", found, expected))
            }
            _ if self.backbone.region_size().is_some_and(|needed| needed != size) => {
                Err(Error::argument(OP, "roi_heads.pool.size", size, "7 for VGG's classifier"))
            }
            _ => Ok(()),
        }
    }
}

/// A detector in two stages. Its parts are public: a method that adds to it runs them one by one.
///
/// ```
/// use sconce_core::{DType, Device, Params, Rng, Tensor, geometry::{BBox, Object}};
/// use sconce_detection::{FasterRcnn, FasterRcnnConfig, Targets};
///
/// # let mut config = FasterRcnnConfig::small(3);
/// # config.roi_heads.pool.size = 2;
/// let params = Params::new(0, DType::F32, &Device::Cpu);
/// let model = FasterRcnn::new(&params.scope(), &config)?;
/// let images = Tensor::zeros((2, 3, 64, 96), DType::F32, &Device::Cpu)?;
/// let sizes = [(64, 96), (60, 80)]; // the second one is padded
/// let objects = [vec![Object::new(BBox::new(8.0, 8.0, 40.0, 40.0), 1)], vec![]];
///
/// let targets = Targets { sizes: &sizes, objects: &objects };
/// let losses = model.train(&images, &targets, &mut Rng::new(0, "sampling"))?;
/// let gradients = sconce_core::backward(&losses.total()?)?;
///
/// let evaluated = FasterRcnn::new(&params.detached(), &config)?;
/// let detections = evaluated.detect(&images, &sizes)?;
/// assert_eq!(detections.len(), 2);
/// # Ok::<(), sconce_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FasterRcnn {
    /// Trunk and region head.
    pub backbone: Backbone,
    /// Proposals.
    pub rpn: Rpn,
    /// Classes and boxes.
    pub roi_heads: RoiHeads,
}

/// The four losses, under torchvision's names in a log.
#[derive(Clone, Debug)]
pub struct DetectionLosses {
    /// Of the proposals: `loss_objectness` and `loss_rpn_box_reg`.
    pub rpn: RpnLosses,
    /// Of the regions: `loss_classifier` and `loss_box_reg`.
    pub roi_heads: RoiLosses,
}

impl DetectionLosses {
    /// Their sum.
    ///
    /// # Errors
    /// If the device fails.
    pub fn total(&self) -> Result<Tensor> {
        let Self { rpn, roi_heads } = self;
        Ok((((&roi_heads.classifier + &roi_heads.bbox)? + &rpn.objectness)? + &rpn.bbox)?)
    }

    /// Each by its name.
    pub fn named(&self) -> [(&'static str, &Tensor); 4] {
        [
            ("loss_classifier", &self.roi_heads.classifier),
            ("loss_box_reg", &self.roi_heads.bbox),
            ("loss_objectness", &self.rpn.objectness),
            ("loss_rpn_box_reg", &self.rpn.bbox),
        ]
    }
}

/// What a forward pass in training gives besides losses.
#[derive(Clone, Debug)]
pub struct TrainingPass {
    /// The losses.
    pub losses: DetectionLosses,
    /// The regions that were trained on.
    pub sampled: SampledRois,
    /// What the heads said of them.
    pub regions: RoiOutput,
}

impl FasterRcnn {
    /// Builds or finds the parameters in `scope`: torchvision's names below `backbone`, `rpn.head` and `roi_heads`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a configuration without sense, else as [`Scope::param`].
    pub fn new(scope: &Scope, config: &FasterRcnnConfig) -> Result<Self> {
        config.validate()?;
        let (size, [_, channels]) = (config.roi_heads.pool.size, config.backbone.channels());
        let backbone = Backbone::new(scope, &config.backbone, (size, size))?;
        let regions = (backbone.n_features(), config.backbone.stride());
        Ok(Self {
            rpn: Rpn::new(scope, channels, &config.rpn, config.convention)?,
            roi_heads: RoiHeads::new(scope, &config.roi_heads, regions, config.convention)?,
            backbone,
        })
    }

    /// The trunk's map.
    ///
    /// # Shapes
    /// - `images`: `(N, 3, H, W)`, normalised; what is right of and below an image is padding
    ///
    /// # Errors
    /// If `images` does not fit.
    pub fn features(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        self.backbone.upper(&self.backbone.lower(images, mode)?, mode)
    }

    /// The losses of a batch. What is sampled and dropped is drawn from `rng`.
    ///
    /// # Errors
    /// If shapes do not fit, or an object is of no class or has a box without an extent.
    pub fn train(&self, images: &Tensor, targets: &Targets<'_>, rng: &mut Rng) -> Result<DetectionLosses> {
        let features = self.features(images, Mode::Train)?;
        Ok(self.train_on(&features, image_size(images)?, targets, None, rng)?.losses)
    }

    /// [`Self::train`] from the trunk's map on.
    ///
    /// # Arguments
    /// - `image`: height and width of the batch's images, padding included
    /// - `context`: features of each image `(N, context)`, where the configuration asks for them
    ///
    /// # Errors
    /// As [`Self::train`].
    pub fn train_on(
        &self,
        features: &Tensor,
        image: (usize, usize),
        targets: &Targets<'_>,
        context: Option<&Tensor>,
        rng: &mut Rng,
    ) -> Result<TrainingPass> {
        let output = self.rpn.forward(std::slice::from_ref(features), image)?;
        let rpn = self.rpn.losses(&output, targets, rng)?;
        let proposals = self.rpn.proposals(&output, targets.sizes, &self.rpn.config().train)?;
        let sampled = self.roi_heads.sample(&proposals, targets, rng)?;
        let regions =
            self.roi_heads.forward(&self.backbone, (features, context), &sampled.boxes, (Mode::Train, rng))?;
        let roi_heads = self.roi_heads.losses(&regions, &sampled)?;
        Ok(TrainingPass { losses: DetectionLosses { rpn, roi_heads }, sampled, regions })
    }

    /// The detections in each image, best first, in pixels of the images as they are given. Build the detector on
    /// [`Params::detached`](sconce_core::Params::detached), lest what a backward pass would need is kept.
    ///
    /// # Arguments
    /// - `sizes`: height and width of each image before padding
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn detect(&self, images: &Tensor, sizes: &[(usize, usize)]) -> Result<Vec<Vec<Detection>>> {
        let features = self.features(images, Mode::Eval)?;
        self.detect_on(&features, image_size(images)?, sizes, None)
    }

    /// [`Self::detect`] from the trunk's map on; see [`Self::train_on`].
    ///
    /// # Errors
    /// As [`Self::detect`].
    pub fn detect_on(
        &self,
        features: &Tensor,
        image: (usize, usize),
        sizes: &[(usize, usize)],
        context: Option<&Tensor>,
    ) -> Result<Vec<Vec<Detection>>> {
        let output = self.rpn.forward(std::slice::from_ref(features), image)?;
        let proposals = self.rpn.proposals(&output, sizes, &self.rpn.config().eval)?;
        let boxes: Vec<Vec<_>> =
            proposals.iter().map(|proposals| proposals.iter().map(|proposal| proposal.bbox).collect()).collect();
        // Nothing is dropped in evaluation.
        let rng = &mut Rng::new(0, "evaluation");
        let regions = self.roi_heads.forward(&self.backbone, (features, context), &boxes, (Mode::Eval, rng))?;
        self.roi_heads.detections(&regions, &boxes, sizes)
    }
}

/// Height and width of a batch of images.
fn image_size(images: &Tensor) -> Result<(usize, usize)> {
    let (_, _, height, width) = images.dims4()?;
    Ok((height, width))
}
