//! The region proposal network (Ren et al., "Faster R-CNN", 2015, section 3.1).

use sconce_core::{
    DType, Error, Init, Result, Rng, Scope, Tensor,
    geometry::BBox,
    nn::{Conv2d, Conv2dConfig},
    ops::{self, BinaryCrossEntropyParams, Reduction, SmoothL1LossParams},
};
use serde::{Deserialize, Serialize};

use crate::{
    anchors::AnchorConfig,
    coder::{BoxCoder, BoxConvention},
    matcher::{Match, MatcherConfig},
    proposals::{ProposalConfig, ScoredBox, propose},
    roi_pool::rows_of_four,
    sampler::SamplerConfig,
    target::Targets,
};

/// How a [`Rpn`] is built, trained and read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RpnConfig {
    /// The boxes that it starts from.
    pub anchors: AnchorConfig,
    /// Channels between both layers; torchvision has as many as the features.
    pub hidden: usize,
    /// What it says of each anchor.
    pub objectness: Objectness,
    /// Which anchors stand for objects.
    pub matcher: MatcherConfig,
    /// Which of them are trained on.
    pub sampler: SamplerConfig,
    /// What becomes of anchors that reach beyond their image in training.
    pub straddling: Straddling,
    /// The distance at which the loss of the boxes becomes linear; ⅑ in both references.
    pub box_beta: f64,
    /// Proposals in training.
    pub train: ProposalConfig,
    /// Proposals in evaluation.
    pub eval: ProposalConfig,
}

/// How the network says whether an anchor stands for an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Objectness {
    /// One logit, with a binary cross-entropy: torchvision's.
    #[default]
    Sigmoid,
    /// Two, background and object, with a cross-entropy: the paper's and py-faster-rcnn's. The channels of all anchors'
    /// backgrounds come first.
    Softmax,
}

/// What becomes of anchors that reach beyond their image in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Straddling {
    /// They are trained on: torchvision's.
    #[default]
    Keep,
    /// They are not: the paper's.
    Ignore,
}

/// Two layers that say, for every anchor, whether it stands for an object and where that is.
#[derive(Clone, Debug)]
pub struct Rpn {
    conv: Conv2d,
    cls_logits: Conv2d,
    bbox_pred: Conv2d,
    config: RpnConfig,
    coder: BoxCoder,
}

/// What the network says of all anchors of a batch.
#[derive(Clone, Debug)]
pub struct RpnOutput {
    /// `(N, A)` for [`Objectness::Sigmoid`], `(N, A, 2)` for [`Objectness::Softmax`].
    pub objectness: Tensor,
    /// `(N, A, 4)`.
    pub deltas: Tensor,
    /// The A anchors of every image, maps one after the other.
    pub anchors: Vec<BBox>,
    /// Where the anchors of each map end.
    pub ends: Vec<usize>,
}

/// Both losses of the network.
#[derive(Clone, Debug)]
pub struct RpnLosses {
    /// The mean over all sampled anchors.
    pub objectness: Tensor,
    /// The sum over the anchors that stand for objects, by the number of all sampled ones.
    pub bbox: Tensor,
}

impl RpnConfig {
    /// Checks that there is such a network.
    ///
    /// # Errors
    /// [`Error::Argument`] with the first setting that has no sense.
    pub fn validate(&self) -> Result<()> {
        const OP: &str = "RpnConfig";
        self.anchors.validate()?;
        self.matcher.validate()?;
        self.sampler.validate()?;
        self.train.validate()?;
        self.eval.validate()?;
        if self.hidden == 0 {
            return Err(Error::argument(OP, "hidden", 0, "at least 1"));
        }
        if !(self.box_beta >= 0.0 && self.box_beta.is_finite()) {
            return Err(Error::argument(OP, "box_beta", self.box_beta, "at least 0 and finite"));
        }
        Ok(())
    }
}

impl Rpn {
    /// Builds or finds `rpn.head.{conv.0.0,cls_logits,bbox_pred}.*` in `scope`, for features of `channels` channels.
    ///
    /// # Errors
    /// [`Error::Argument`] for a configuration without sense, else as [`Scope::param`].
    pub fn new(scope: &Scope, channels: usize, config: &RpnConfig, convention: BoxConvention) -> Result<Self> {
        config.validate()?;
        let scope = scope.pp("rpn.head");
        let layer = |name: &str, c_in: usize, c_out: usize, layer: Conv2dConfig| {
            let init = layer.init(Init::Normal { mean: 0.0, std: 0.01 }).bias_init(Init::ZEROS);
            Conv2d::new(&scope.pp(name), (c_in, c_out), &init)
        };
        let (hidden, anchors) = (config.hidden, config.anchors.per_position());
        let logits = match config.objectness {
            Objectness::Sigmoid => anchors,
            Objectness::Softmax => 2 * anchors,
        };
        Ok(Self {
            conv: layer("conv.0.0", channels, hidden, Conv2dConfig::same(3))?,
            cls_logits: layer("cls_logits", hidden, logits, Conv2dConfig::square(1))?,
            bbox_pred: layer("bbox_pred", hidden, 4 * anchors, Conv2dConfig::square(1))?,
            config: config.clone(),
            coder: BoxCoder::new([1.0; 4], convention),
        })
    }

    /// What the network says of every anchor.
    ///
    /// # Shapes
    /// - `features`: one `(N, C, H, W)` for each list of anchor sizes
    /// - `image`: height and width of the batch's images, padding included
    ///
    /// # Errors
    /// If `features` do not fit.
    pub fn forward(&self, features: &[Tensor], image: (usize, usize)) -> Result<RpnOutput> {
        let (mut objectness, mut deltas, mut maps, mut ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let per_position = self.config.anchors.per_position();
        for map in features {
            let hidden = ops::relu(&self.conv.forward(map)?)?;
            let (n, _, h, w) = hidden.dims4()?;
            maps.push((h, w));
            ends.push(ends.last().copied().unwrap_or(0) + h * w * per_position);
            // Channels become the innermost axis, so that a row is an anchor.
            let logits = self.cls_logits.forward(&hidden)?;
            objectness.push(match self.config.objectness {
                Objectness::Sigmoid => logits.permute((0, 2, 3, 1))?.reshape((n, h * w * per_position))?,
                Objectness::Softmax => logits
                    .reshape((n, 2, per_position, h * w))?
                    .permute((0, 3, 2, 1))?
                    .reshape((n, h * w * per_position, 2))?,
            });
            let boxes = self.bbox_pred.forward(&hidden)?;
            deltas.push(boxes.permute((0, 2, 3, 1))?.reshape((n, h * w * per_position, 4))?);
        }
        let anchors = self.config.anchors.grid(image, &maps)?;
        let join = |maps: Vec<Tensor>| match &maps[..] {
            [only] => Ok(only.clone()),
            maps => Tensor::cat(maps, 1),
        };
        Ok(RpnOutput { objectness: join(objectness)?, deltas: join(deltas)?, anchors, ends })
    }

    /// The losses of what `output` says of the images' objects. In an image without any, all anchors are background.
    ///
    /// Anchors at positions that begin in an image's padding are left out. A position of which only a part is the image's counts: a
    /// ResNet has it for the image alone too, a VGG, which rounds down, has not. By torchvision's rule the steps from one anchor to
    /// the next depend on the batch's size besides.
    ///
    /// # Errors
    /// If `output` does not fit `targets`.
    pub fn losses(&self, output: &RpnOutput, targets: &Targets<'_>, rng: &mut Rng) -> Result<RpnLosses> {
        let n_anchors = output.anchors.len();
        targets.check("Rpn::losses", output.deltas.dim(0)?)?;
        self.check("Rpn::losses", output, targets.sizes.len())?;
        // Rows of the flattened output, whether each stands for an object, and the boxes of those that do.
        let (mut rows, mut is_object, mut positives, mut boxes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (image, (&size, objects)) in targets.sizes.iter().zip(targets.objects).enumerate() {
            let objects = crate::target::boxes(objects);
            let matches = self.matches(&output.anchors, &objects, size);
            let sample = self.config.sampler.sample(&matches, rng);
            let first = image * n_anchors;
            for &anchor in &sample.positives {
                if let Match::Object(object) = matches[anchor] {
                    boxes.push(self.coder.encode(output.anchors[anchor], objects[object]));
                    positives.push((first + anchor) as u32);
                }
            }
            let sampled = sample.positives.iter().map(|&i| (i, 1)).chain(sample.negatives.iter().map(|&i| (i, 0)));
            for (anchor, label) in sampled {
                rows.push((first + anchor) as u32);
                is_object.push(label);
            }
        }
        let n_sampled = rows.len();
        Ok(RpnLosses {
            objectness: self.objectness_loss(&output.objectness, rows, is_object)?,
            bbox: box_loss(&output.deltas.flatten_to(1)?, positives, boxes, (self.config.box_beta, n_sampled))?,
        })
    }

    /// Refuses what is not said of `n` images and all anchors.
    fn check(&self, op: &'static str, output: &RpnOutput, n: usize) -> Result<()> {
        let a = output.anchors.len();
        let objectness = match self.config.objectness {
            Objectness::Sigmoid => vec![n, a],
            Objectness::Softmax => vec![n, a, 2],
        };
        let found = (output.objectness.dims(), output.deltas.dims(), output.ends.last().copied().unwrap_or(0));
        let expected = (&objectness[..], &[n, a, 4][..], a);
        if found == expected {
            return Ok(());
        }
        const WHAT: &str = "objectness, deltas and the end of the last map's anchors";
        Err(Error::argument(op, WHAT, format!("{found:?}"), format!("{expected:?}")))
    }

    /// What each anchor stands for in an image of this size.
    fn matches(&self, anchors: &[BBox], objects: &[BBox], size: (usize, usize)) -> Vec<Match> {
        let counts: Vec<bool> = anchors.iter().map(|anchor| self.is_trained_on(*anchor, size)).collect();
        // What is left out must not be an object's best anchor either.
        let trained: Vec<BBox> = anchors.iter().zip(&counts).filter(|(_, counts)| **counts).map(|(a, _)| *a).collect();
        let mut matches = self.config.matcher.match_boxes(&trained, objects).into_iter();
        counts.iter().map(|&counts| if counts { matches.next() } else { None }.unwrap_or(Match::Ignored)).collect()
    }

    fn is_trained_on(&self, anchor: BBox, (height, width): (usize, usize)) -> bool {
        match self.config.straddling {
            Straddling::Keep => self.is_at_image(anchor, (height, width)),
            Straddling::Ignore => {
                anchor.x1 >= 0.0 && anchor.y1 >= 0.0 && anchor.x2 <= width as f64 && anchor.y2 <= height as f64
            }
        }
    }

    /// Whether an anchor's position begins in an image of `height` × `width` pixels, not in its padding.
    fn is_at_image(&self, anchor: BBox, (height, width): (usize, usize)) -> bool {
        let offset = self.config.anchors.rule.offset();
        // Positions begin at whole pixels; corners have rounding errors.
        let begin = |a: f64, b: f64| ((a + b) / 2.0 - offset).round();
        let (x, y) = (begin(anchor.x1, anchor.x2), begin(anchor.y1, anchor.y2));
        (0.0..width as f64).contains(&x) && (0.0..height as f64).contains(&y)
    }

    fn objectness_loss(&self, objectness: &Tensor, rows: Vec<u32>, is_object: Vec<u32>) -> Result<Tensor> {
        if rows.is_empty() {
            return untouched(objectness);
        }
        let n = rows.len();
        let rows = Tensor::from_vec(rows, n, objectness.device())?;
        let labels = Tensor::from_vec(is_object, n, objectness.device())?;
        let logits = objectness.flatten_to(1)?.index_select(&rows, 0)?;
        match self.config.objectness {
            Objectness::Sigmoid => ops::binary_cross_entropy_with_logits(
                &logits,
                &labels.to_dtype(logits.dtype())?,
                &BinaryCrossEntropyParams::default(),
            ),
            Objectness::Softmax => ops::cross_entropy(&logits, &labels, &Default::default()),
        }
    }

    /// The proposals of each image, best first; without a gradient.
    ///
    /// # Errors
    /// If `output` does not fit `sizes`, height and width of each image before padding.
    pub fn proposals(
        &self,
        output: &RpnOutput,
        sizes: &[(usize, usize)],
        config: &ProposalConfig,
    ) -> Result<Vec<Vec<ScoredBox>>> {
        self.check("Rpn::proposals", output, sizes.len())?;
        let logits = match self.config.objectness {
            Objectness::Sigmoid => output.objectness.clone(),
            // The object's probability as that of one logit.
            Objectness::Softmax => {
                let of = |class| output.objectness.narrow(2, class, 1)?.squeeze(2);
                (of(1)? - of(0)?)?
            }
        };
        let n_anchors = output.anchors.len();
        let logits = logits.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        let deltas = rows_of_four(&output.deltas)?;
        let of_image = |image: usize| {
            let decoded = |anchor: usize| {
                let bbox = self.coder.decode(output.anchors[anchor], deltas[image * n_anchors + anchor]);
                self.coder.convention.clip(bbox, sizes[image])
            };
            let is_inside = |anchor: usize| self.is_at_image(output.anchors[anchor], sizes[image]);
            propose(&logits[image], &output.ends, (is_inside, decoded), config)
        };
        (0..sizes.len()).map(of_image).collect()
    }

    /// Proposals in training and in evaluation, as configured.
    pub fn config(&self) -> &RpnConfig {
        &self.config
    }
}

/// The smooth L1 loss of those rows of `deltas` `(R, 4)` that stand for objects, summed, by the number of all that were
/// sampled.
pub(crate) fn box_loss(
    deltas: &Tensor,
    positives: Vec<u32>,
    boxes: Vec<[f64; 4]>,
    (beta, n_sampled): (f64, usize),
) -> Result<Tensor> {
    if positives.is_empty() {
        return untouched(deltas);
    }
    let n = positives.len();
    let positives = Tensor::from_vec(positives, n, deltas.device())?;
    let boxes = Tensor::from_vec(boxes.into_flattened(), (n, 4), deltas.device())?.to_dtype(deltas.dtype())?;
    let params = SmoothL1LossParams { beta, reduction: Reduction::Sum };
    let sum = ops::smooth_l1_loss(&deltas.index_select(&positives, 0)?, &boxes, &params)?;
    Ok((sum / n_sampled as f64)?)
}

/// A loss of 0 with gradients of 0: where nothing is to be learned, weights still decay and momentum still runs out.
fn untouched(t: &Tensor) -> Result<Tensor> {
    // By a tensor: Candle leaves out the gradient of a product with the number 0.
    let sum = t.sum_all()?;
    Ok((&sum * sum.zeros_like()?)?)
}
