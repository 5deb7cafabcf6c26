//! Boxes as differences from other boxes (Girshick et al., "Rich feature hierarchies", 2014, appendix C).

use sconce_core::geometry::BBox;
use serde::{Deserialize, Serialize};

/// How a reference reads the lower right corner of a box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BoxConvention {
    /// As the edge behind the last pixel: torchvision's, and this crate's own everywhere.
    #[default]
    Continuous,
    /// As the last pixel itself, so that a width is `x2 − x1 + 1`: py-faster-rcnn's and its descendants'. They forget it in one
    /// place, where a decoded box ends at its centre plus half its width: it is one pixel wider and higher than it was encoded.
    /// Regions are cut to the image by its last pixel, and RoIAlign gets that corner.
    Inclusive,
}

/// Centre and size of a box relative to those of another: `(x − x_a) / w_a, (y − y_a) / h_a, log w / w_a, log h / h_a`, each
/// times a weight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BoxCoder {
    /// The weights; the reciprocals of what py-faster-rcnn calls the standard deviations of the targets.
    pub weights: [f64; 4],
    /// What a decoded box ends with.
    pub convention: BoxConvention,
}

/// A decoded box is at most `1000 / 16` times as large as the one it is decoded from, as in torchvision: a network that has
/// learned nothing yet may say anything.
const MAX_LOG_RATIO: f64 = 4.135_166_556_742_356;

impl BoxCoder {
    /// A coder with these weights.
    pub fn new(weights: [f64; 4], convention: BoxConvention) -> Self {
        Self { weights, convention }
    }

    /// `bbox` as seen from `reference`; both need an extent.
    pub fn encode(&self, reference: BBox, bbox: BBox) -> [f64; 4] {
        let ([x, y, w, h], [xa, ya, wa, ha]) = (centre_and_size(bbox), centre_and_size(reference));
        let deltas = [(x - xa) / wa, (y - ya) / ha, (w / wa).ln(), (h / ha).ln()];
        std::array::from_fn(|i| deltas[i] * self.weights[i])
    }

    /// The box that [`BoxCoder::encode`] made these `deltas` of; see [`BoxConvention`] for what the references differ in.
    pub fn decode(&self, reference: BBox, deltas: [f64; 4]) -> BBox {
        let [dx, dy, dw, dh]: [f64; 4] = std::array::from_fn(|i| deltas[i] / self.weights[i]);
        let [xa, ya, wa, ha] = centre_and_size(reference);
        let (x, y) = (xa + dx * wa, ya + dy * ha);
        let (w, h) = (wa * dw.min(MAX_LOG_RATIO).exp(), ha * dh.min(MAX_LOG_RATIO).exp());
        let beyond = match self.convention {
            BoxConvention::Continuous => 0.0,
            BoxConvention::Inclusive => 1.0,
        };
        BBox::new(x - w / 2.0, y - h / 2.0, x + w / 2.0 + beyond, y + h / 2.0 + beyond)
    }
}

impl BoxConvention {
    /// The part of `bbox` inside an image of `height` × `width` pixels.
    pub fn clip(self, bbox: BBox, (height, width): (usize, usize)) -> BBox {
        let (width, height) = (width as f64, height as f64);
        match self {
            Self::Continuous => bbox.clipped(width, height),
            // Every corner is a pixel of the image, and the box ends behind it.
            Self::Inclusive => {
                let column = |x: f64| x.clamp(0.0, (width - 1.0).max(0.0));
                let row = |y: f64| y.clamp(0.0, (height - 1.0).max(0.0));
                BBox::from_inclusive(column(bbox.x1), row(bbox.y1), column(bbox.x2 - 1.0), row(bbox.y2 - 1.0))
            }
        }
    }

    /// The corners that the reference would hand to its pooling of regions.
    pub fn corners(self, bbox: BBox) -> [f64; 4] {
        match self {
            Self::Continuous => bbox.xyxy(),
            Self::Inclusive => [bbox.x1, bbox.y1, bbox.x2 - 1.0, bbox.y2 - 1.0],
        }
    }
}

fn centre_and_size(bbox: BBox) -> [f64; 4] {
    let (width, height) = (bbox.width(), bbox.height());
    [bbox.x1 + width / 2.0, bbox.y1 + height / 2.0, width, height]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_and_boxes_are_those_of_the_specification() {
        let ex = BBox::from_inclusive(10.0, 20.0, 49.0, 79.0);
        let gt = BBox::from_inclusive(16.0, 24.0, 63.0, 71.0);
        let close = |a: [f64; 4], b: [f64; 4]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        let plain = BoxCoder::new([1.0; 4], BoxConvention::Inclusive);
        assert!(close(plain.encode(ex, gt), [0.25, -0.033_333_3, 0.182_321_6, -0.223_143_6]));
        let coder = BoxCoder::new([10.0, 10.0, 5.0, 5.0], BoxConvention::Inclusive);
        let deltas = coder.encode(ex, gt);
        assert!(close(deltas, [2.5, -0.333_333_3, 0.911_607_8, -1.115_717_8]), "{deltas:?}");
        // The reference's own decoding ends a pixel later.
        assert!(close(BoxConvention::Inclusive.corners(coder.decode(ex, deltas)), [16.0, 24.0, 64.0, 72.0]));
        let exact = BoxCoder { convention: BoxConvention::Continuous, ..coder };
        assert!(close(exact.decode(ex, deltas).xyxy(), gt.xyxy()));
    }

    #[test]
    fn a_network_that_says_anything_gives_finite_boxes() {
        let coder = BoxCoder::new([1.0; 4], BoxConvention::Continuous);
        let bbox = coder.decode(BBox::new(0.0, 0.0, 16.0, 16.0), [0.0, 0.0, 1e9, 1e9]);
        assert!((bbox.width() - 1000.0).abs() < 1e-9 && bbox.has_extent(), "{bbox:?}");
    }

    #[test]
    fn boxes_are_cut_to_the_image() {
        let bbox = BBox::new(-5.0, 3.0, 30.0, 40.0);
        assert_eq!(BoxConvention::Continuous.clip(bbox, (20, 24)), BBox::new(0.0, 3.0, 24.0, 20.0));
        assert_eq!(BoxConvention::Inclusive.clip(bbox, (20, 24)), BBox::from_inclusive(0.0, 3.0, 23.0, 19.0));
        // What lies outside keeps the last pixel in one convention, and no extent in the other.
        let outside = BBox::new(50.0, 0.0, 60.0, 9.0);
        assert!(!BoxConvention::Continuous.clip(outside, (20, 24)).has_extent());
        assert_eq!(BoxConvention::Inclusive.clip(outside, (20, 24)).x1, 23.0);
    }
}
