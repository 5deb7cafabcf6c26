//! From what is said of every anchor to a few boxes.

use sconce_core::{Device, Error, Result, Tensor, geometry::BBox, ops};
use serde::{Deserialize, Serialize};

/// How many proposals there are, and how close they may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ProposalConfig {
    /// The best anchors of each map that are looked at.
    pub before_nms: usize,
    /// Proposals of an image.
    pub after_nms: usize,
    /// The intersection over union above which the worse of two is dropped.
    pub nms_iou: f64,
    /// The least width and height in pixels.
    pub min_size: f64,
}

/// A box and how much it looks like an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoredBox {
    /// Where.
    pub bbox: BBox,
    /// A logit.
    pub logit: f64,
}

impl ProposalConfig {
    /// Checks that there can be proposals.
    ///
    /// # Errors
    /// [`Error::Argument`] with the first setting that has no sense.
    pub fn validate(&self) -> Result<()> {
        const OP: &str = "ProposalConfig";
        if self.before_nms == 0 || self.after_nms == 0 {
            return Err(Error::argument(
                OP,
                "before_nms and after_nms",
                (self.before_nms, self.after_nms),
                "at least 1",
            ));
        }
        if !(0.0..=1.0).contains(&self.nms_iou) {
            return Err(Error::argument(OP, "nms_iou", self.nms_iou, "0 to 1"));
        }
        if !(self.min_size >= 0.0 && self.min_size.is_finite()) {
            return Err(Error::argument(OP, "min_size", self.min_size, "at least 0 and finite"));
        }
        Ok(())
    }
}

/// The proposals of one image, best first: the best anchors of each map by their `logits`, of which those that are inside are
/// decoded, and of overlapping ones of a map the best.
pub(crate) fn propose(
    logits: &[f64],
    ends: &[usize],
    (is_inside, decoded): (impl Fn(usize) -> bool, impl Fn(usize) -> BBox),
    config: &ProposalConfig,
) -> Result<Vec<ScoredBox>> {
    let (mut boxes, mut levels) = (Vec::new(), Vec::new());
    let starts = std::iter::once(0).chain(ends.iter().copied());
    for (level, (start, &end)) in starts.zip(ends).enumerate() {
        let mut order: Vec<usize> = (start..end).filter(|&anchor| is_inside(anchor)).collect();
        let by_logit = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
        if order.len() > config.before_nms {
            order.select_nth_unstable_by(config.before_nms, by_logit);
            order.truncate(config.before_nms);
        }
        order.sort_unstable_by(by_logit);
        for anchor in order {
            let bbox = decoded(anchor);
            if bbox.width() >= config.min_size && bbox.height() >= config.min_size {
                boxes.push(ScoredBox { bbox, logit: logits[anchor] });
                levels.push(level as i64);
            }
        }
    }
    let kept = batched_nms(&boxes, levels, config.nms_iou)?;
    Ok(kept.into_iter().take(config.after_nms).map(|i| boxes[i]).collect())
}

/// [`ops::batched_nms`] of `boxes`, each in the group that `groups` says; places by descending score.
pub(crate) fn batched_nms(boxes: &[ScoredBox], groups: Vec<i64>, iou: f64) -> Result<Vec<usize>> {
    let n = boxes.len();
    let corners: Vec<f64> = boxes.iter().flat_map(|b| b.bbox.xyxy()).collect();
    let corners = Tensor::from_vec(corners, (n, 4), &Device::Cpu)?;
    let scores = Tensor::from_vec(boxes.iter().map(|b| b.logit).collect::<Vec<_>>(), n, &Device::Cpu)?;
    let kept = ops::batched_nms(&corners, &scores, &Tensor::from_vec(groups, n, &Device::Cpu)?, iou)?;
    Ok(kept.to_vec1::<i64>()?.into_iter().map(|i| i as usize).collect())
}
