//! Classes and boxes of regions (Girshick, "Fast R-CNN", 2015).

use sconce_core::{
    DType, Error, Init, Result, Rng, Scope, Tensor,
    geometry::BBox,
    nn::{Linear, Mode},
    ops,
};
use serde::{Deserialize, Serialize};

use crate::{
    backbone::Backbone,
    coder::{BoxCoder, BoxConvention},
    detection::Detection,
    matcher::{Match, MatcherConfig},
    proposals::{ScoredBox, batched_nms},
    roi_pool::{RoiPoolConfig, rows_of_four},
    rpn::box_loss,
    sampler::SamplerConfig,
    target::{Targets, single},
};

/// How [`RoiHeads`] are built, trained and read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RoiHeadsConfig {
    /// Classes, the background not counted.
    pub n_classes: usize,
    /// How regions become maps of one size.
    pub pool: RoiPoolConfig,
    /// Which regions stand for objects.
    pub matcher: MatcherConfig,
    /// Which of them are trained on.
    pub sampler: SamplerConfig,
    /// The weights of a box's differences.
    pub box_weights: [f64; 4],
    /// The distance at which the loss of the boxes becomes linear: ⅑ in torchvision, 1 in the paper (eq. 3) and its code.
    pub box_beta: f64,
    /// A detection has more than this score: one of the score itself is none, as in torchvision.
    pub min_score: f64,
    /// The intersection over union above which the worse of two detections of a class is dropped.
    pub nms_iou: f64,
    /// Detections of an image.
    pub max_detections: usize,
    /// The least width and height of a detection in pixels.
    pub min_size: f64,
    /// Features of the whole image that are put before those of each region.
    pub context: usize,
    /// How the predictors begin.
    #[serde(default)]
    pub init: PredictorInit,
}

/// How the layers that predict classes and boxes of regions begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PredictorInit {
    /// As py-faster-rcnn's: normal with a standard deviation of 0.01 for classes and of 0.001 for boxes, and no bias. It is
    /// what configurations mean that do not say it.
    #[default]
    Caffe,
    /// As torchvision's `FastRCNNPredictor`: PyTorch's default, uniform in ±1/√n of n features.
    Torchvision,
}

/// The layers that say what a region is and where exactly: `roi_heads.box_predictor.{cls_score,bbox_pred}`.
#[derive(Clone, Debug)]
pub struct RoiHeads {
    cls_score: Linear,
    bbox_pred: Linear,
    config: RoiHeadsConfig,
    coder: BoxCoder,
    stride: usize,
}

/// What is said of K regions.
#[derive(Clone, Debug)]
pub struct RoiOutput {
    /// What the trunk's head made of each region, without the context: `(K, n_features)`.
    pub features: Tensor,
    /// `(K, 1 + n_classes)`, the background first.
    pub logits: Tensor,
    /// `(K, 4 · (1 + n_classes))`, four for each class; those of the background mean nothing.
    pub deltas: Tensor,
}

/// Regions that are trained on, and what they stand for.
#[derive(Clone, Debug, Default)]
pub struct SampledRois {
    /// The regions of each image.
    pub boxes: Vec<Vec<BBox>>,
    /// The class of each region, images one after the other: 0 for background, else 1 more than the object's label.
    pub classes: Vec<u32>,
    /// What [`BoxCoder::encode`] makes of the object of each region that stands for one.
    pub deltas: Vec<Option<[f64; 4]>>,
}

/// Both losses of the heads.
#[derive(Clone, Debug)]
pub struct RoiLosses {
    /// The mean over all regions.
    pub classifier: Tensor,
    /// The sum over the regions that stand for objects, by the number of all.
    pub bbox: Tensor,
}

impl RoiHeadsConfig {
    /// Checks that there are such heads.
    ///
    /// # Errors
    /// [`Error::Argument`] with the first setting that has no sense.
    pub fn validate(&self) -> Result<()> {
        const OP: &str = "RoiHeadsConfig";
        self.matcher.validate()?;
        self.sampler.validate()?;
        if self.n_classes == 0 || self.pool.size == 0 || self.max_detections == 0 {
            let found = (self.n_classes, self.pool.size, self.max_detections);
            return Err(Error::argument(OP, "n_classes, pool.size and max_detections", found, "at least 1"));
        }
        if !self.box_weights.iter().all(|&w| w > 0.0 && w.is_finite()) {
            return Err(Error::argument(OP, "box_weights", self.box_weights, "positive and finite"));
        }
        if !(0.0..=1.0).contains(&self.min_score) || !(0.0..=1.0).contains(&self.nms_iou) {
            return Err(Error::argument(OP, "min_score and nms_iou", (self.min_score, self.nms_iou), "0 to 1"));
        }
        let lengths = (self.box_beta, self.min_size);
        if !(lengths.0 >= 0.0 && lengths.0.is_finite() && lengths.1 >= 0.0 && lengths.1.is_finite()) {
            return Err(Error::argument(OP, "box_beta and min_size", lengths, "at least 0 and finite"));
        }
        Ok(())
    }
}

impl RoiHeads {
    /// Builds or finds the parameters in `scope`, for regions of a map of this `stride` that have `n_features`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a configuration without sense, else as [`Scope::param`].
    pub fn new(
        scope: &Scope,
        config: &RoiHeadsConfig,
        (n_features, stride): (usize, usize),
        convention: BoxConvention,
    ) -> Result<Self> {
        config.validate()?;
        if n_features == 0 || stride == 0 {
            return Err(Error::argument("RoiHeads", "n_features and stride", (n_features, stride), "at least 1"));
        }
        let scope = scope.pp("roi_heads.box_predictor");
        let (n_in, classes) = (n_features + config.context, 1 + config.n_classes);
        let layer = |name: &str, n_out: usize, std: f64| match config.init {
            PredictorInit::Torchvision => Linear::new(&scope.pp(name), (n_in, n_out)),
            PredictorInit::Caffe => {
                Linear::with_init(&scope.pp(name), (n_in, n_out), (Init::Normal { mean: 0.0, std }, Init::ZEROS))
            }
        };
        Ok(Self {
            cls_score: layer("cls_score", classes, 0.01)?,
            bbox_pred: layer("bbox_pred", 4 * classes, 0.001)?,
            config: *config,
            coder: BoxCoder::new(config.box_weights, convention),
            stride,
        })
    }

    /// Draws the regions to train on from the proposals of each image; the objects' own boxes are among them.
    ///
    /// # Errors
    /// If the numbers of images differ, or an object is of no class.
    pub fn sample(&self, proposals: &[Vec<ScoredBox>], targets: &Targets<'_>, rng: &mut Rng) -> Result<SampledRois> {
        targets.check("RoiHeads::sample", proposals.len())?;
        let mut sampled = SampledRois::default();
        for (proposals, objects) in proposals.iter().zip(targets.objects) {
            let objects: Vec<_> = single(objects).collect();
            if let Some(object) = objects.iter().find(|object| object.label as usize >= self.config.n_classes) {
                let expected = format!("below {}, the number of classes", self.config.n_classes);
                return Err(Error::argument("RoiHeads::sample", "an object's label", object.label, expected));
            }
            let of_objects: Vec<BBox> = objects.iter().map(|object| object.bbox).collect();
            let boxes: Vec<BBox> = proposals.iter().map(|p| p.bbox).chain(of_objects.iter().copied()).collect();
            let matches = self.config.matcher.match_boxes(&boxes, &of_objects);
            let sample = self.config.sampler.sample(&matches, rng);
            let mut rois = Vec::new();
            for place in sample.positives.into_iter().chain(sample.negatives) {
                let object = match matches[place] {
                    Match::Object(object) => Some(object),
                    _ => None,
                };
                rois.push(boxes[place]);
                sampled.classes.push(object.map_or(0, |object| objects[object].label + 1));
                sampled.deltas.push(object.map(|object| self.coder.encode(boxes[place], of_objects[object])));
            }
            sampled.boxes.push(rois);
        }
        Ok(sampled)
    }

    /// What the heads say of `boxes` in each image; of none, tensors of no rows and without a gradient.
    ///
    /// # Shapes
    /// - `features`: the trunk's map `(N, C, H, W)`
    /// - `context`: `(N, context)`, where the configuration asks for it
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn forward(
        &self,
        backbone: &Backbone,
        (features, context): (&Tensor, Option<&Tensor>),
        boxes: &[Vec<BBox>],
        (mode, rng): (Mode, &mut Rng),
    ) -> Result<RoiOutput> {
        if boxes.iter().all(Vec::is_empty) {
            return self.nothing(backbone, features);
        }
        let place = (self.stride, self.coder.convention);
        let regions = self.config.pool.pool(features, boxes, place)?;
        let features = backbone.regions(&regions, mode, rng)?;
        let found = context.map(|context| context.dims().to_vec());
        let joined = match context {
            None if self.config.context == 0 => features.clone(),
            Some(context) if context.dims() == [boxes.len(), self.config.context] => {
                // Each region gets its image's.
                let image = |(i, boxes): (usize, &Vec<BBox>)| vec![i as u32; boxes.len()];
                let images: Vec<u32> = boxes.iter().enumerate().flat_map(image).collect();
                let n = images.len();
                let of_regions = context.index_select(&Tensor::from_vec(images, n, features.device())?, 0)?;
                Tensor::cat(&[&of_regions, &features], 1)?
            }
            _ => {
                let expected = format!("{:?}", [boxes.len(), self.config.context]);
                return Err(Error::argument("RoiHeads", "context", found, expected));
            }
        };
        Ok(RoiOutput { logits: self.cls_score.forward(&joined)?, deltas: self.bbox_pred.forward(&joined)?, features })
    }

    /// What is said of no regions: nothing.
    fn nothing(&self, backbone: &Backbone, map: &Tensor) -> Result<RoiOutput> {
        let classes = 1 + self.config.n_classes;
        let empty = |columns: usize| Tensor::zeros((0, columns), map.dtype(), map.device());
        Ok(RoiOutput { features: empty(backbone.n_features())?, logits: empty(classes)?, deltas: empty(4 * classes)? })
    }

    /// The losses of what `output` says of the regions that were sampled.
    ///
    /// # Errors
    /// If both do not fit.
    pub fn losses(&self, output: &RoiOutput, sampled: &SampledRois) -> Result<RoiLosses> {
        let n = sampled.classes.len();
        if n == 0 {
            let zero = Tensor::zeros((), output.logits.dtype(), output.logits.device())?;
            return Ok(RoiLosses { classifier: zero.clone(), bbox: zero });
        }
        let classes = 1 + self.config.n_classes;
        let (mut positives, mut boxes) = (Vec::new(), Vec::new());
        for (i, (class, deltas)) in sampled.classes.iter().zip(&sampled.deltas).enumerate() {
            if let Some(deltas) = deltas {
                positives.push((i * classes) as u32 + class);
                boxes.push(*deltas);
            }
        }
        let targets = Tensor::from_vec(sampled.classes.clone(), n, output.logits.device())?;
        let deltas = output.deltas.reshape((n * classes, 4))?;
        Ok(RoiLosses {
            classifier: ops::cross_entropy(&output.logits, &targets, &Default::default())?,
            bbox: box_loss(&deltas, positives, boxes, (self.config.box_beta, n))?,
        })
    }

    /// The detections in each image, best first; without a gradient.
    ///
    /// # Arguments
    /// - `output`: of all `boxes`, images one after the other
    /// - `sizes`: height and width of each image before padding
    ///
    /// # Errors
    /// If both do not fit.
    pub fn detections(
        &self,
        output: &RoiOutput,
        boxes: &[Vec<BBox>],
        sizes: &[(usize, usize)],
    ) -> Result<Vec<Vec<Detection>>> {
        let classes = 1 + self.config.n_classes;
        let n: usize = boxes.iter().map(Vec::len).sum();
        let found = (boxes.len(), output.logits.dims(), output.deltas.dims());
        let expected = (sizes.len(), &[n, classes][..], &[n, 4 * classes][..]);
        if found != expected {
            const WHAT: &str = "lists of boxes, logits and deltas";
            return Err(Error::argument("RoiHeads::detections", WHAT, found, format!("{expected:?}")));
        }
        if n == 0 {
            return Ok(vec![Vec::new(); sizes.len()]);
        }
        let scores = ops::log_softmax(&output.logits.detach(), 1)?.exp()?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        let deltas = rows_of_four(&output.deltas)?;
        let mut first = 0;
        let mut of_image = |(boxes, &size): (&Vec<BBox>, &(usize, usize))| {
            let regions = first..first + boxes.len();
            first = regions.end;
            let (mut found, mut groups) = (Vec::new(), Vec::new());
            for (region, bbox) in regions.zip(boxes) {
                for class in 1..classes {
                    let score = scores[region][class];
                    // A NaN is no detection.
                    if score.is_nan() || score <= self.config.min_score {
                        continue;
                    }
                    let bbox = self.coder.decode(*bbox, deltas[region * classes + class]);
                    let bbox = self.coder.convention.clip(bbox, size);
                    if bbox.width() >= self.config.min_size && bbox.height() >= self.config.min_size {
                        found.push(ScoredBox { bbox, logit: score });
                        groups.push(class as i64);
                    }
                }
            }
            let kept = batched_nms(&found, groups.clone(), self.config.nms_iou)?;
            let detection = |i: usize| {
                let ScoredBox { bbox, logit: score } = found[i];
                Detection { bbox, label: groups[i] as u32 - 1, score }
            };
            Ok(kept.into_iter().take(self.config.max_detections).map(detection).collect())
        };
        boxes.iter().zip(sizes).map(&mut of_image).collect()
    }
}
