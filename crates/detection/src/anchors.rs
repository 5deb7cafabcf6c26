//! Boxes of fixed sizes and shapes around every position of a feature map (Ren et al., "Faster R-CNN", 2015, section 3.1.1).

use sconce_core::{Error, Result, geometry::BBox};
use serde::{Deserialize, Serialize};

/// Which anchors stand at every position of each feature map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AnchorConfig {
    /// The square roots of the anchors' areas in pixels of the image, a list for each map.
    pub sizes: Vec<Vec<f64>>,
    /// Heights as multiples of widths.
    pub aspect_ratios: Vec<f64>,
    /// How both become boxes.
    pub rule: AnchorRule,
}

/// How sizes and aspect ratios become boxes; the rules differ by rounding, order and centre.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AnchorRule {
    /// torchvision's `AnchorGenerator`: around the upper left corner of a position, rounded to whole pixels. The step from one
    /// position to the next is the image's side by the map's, rounded down: 15 pixels for 300 pixels on 19 positions.
    #[default]
    Torchvision,
    /// py-faster-rcnn's `generate_anchors`: around the centre of a box of `stride` pixels, whose sides are rounded before
    /// they are scaled.
    Caffe {
        /// Pixels from one position to the next.
        stride: usize,
    },
}

impl AnchorRule {
    /// How far the centre of an anchor is from where its position begins, in pixels on either axis.
    pub(crate) fn offset(self) -> f64 {
        match self {
            Self::Torchvision => 0.0,
            Self::Caffe { stride } => stride as f64 / 2.0,
        }
    }
}

impl AnchorConfig {
    /// The anchors of Faster R-CNN on one map: sizes 128, 256, 512 and ratios ½, 1, 2 (Ren et al., 2015, section 3.1.1).
    pub fn faster_rcnn(rule: AnchorRule) -> Self {
        Self { sizes: vec![vec![128.0, 256.0, 512.0]], aspect_ratios: vec![0.5, 1.0, 2.0], rule }
    }

    /// Checks that there are such anchors.
    ///
    /// # Errors
    /// [`Error::Argument`] with the first setting that has no sense.
    pub fn validate(&self) -> Result<()> {
        const OP: &str = "AnchorConfig";
        let positive = |values: &[f64]| !values.is_empty() && values.iter().all(|&v| v > 0.0 && v.is_finite());
        let expected = "at least one, all positive and finite";
        if self.sizes.is_empty() || !self.sizes.iter().all(|sizes| positive(sizes)) {
            return Err(Error::argument(OP, "sizes", &self.sizes, expected));
        }
        if !positive(&self.aspect_ratios) {
            return Err(Error::argument(OP, "aspect_ratios", &self.aspect_ratios, expected));
        }
        if self.rule == (AnchorRule::Caffe { stride: 0 }) {
            return Err(Error::argument(OP, "stride", 0, "at least 1"));
        }
        let different = self.sizes.iter().find(|sizes| sizes.len() != self.sizes[0].len());
        if let Some(sizes) = different {
            // One head predicts for all maps.
            return Err(Error::argument(OP, "sizes of a map", sizes, format!("{} of them", self.sizes[0].len())));
        }
        let all = (0..self.sizes.len()).flat_map(|level| self.cell(level));
        match all.into_iter().find(|anchor| !anchor.has_extent()) {
            Some(anchor) => {
                let expected = "sizes and ratios that leave it a width and a height when sides are rounded";
                Err(Error::argument(OP, "an anchor", anchor, expected))
            }
            None => Ok(()),
        }
    }

    /// Anchors at each position.
    pub fn per_position(&self) -> usize {
        self.sizes.first().map_or(0, Vec::len) * self.aspect_ratios.len()
    }

    /// Pixels from one position of a map to the next, down and across.
    ///
    /// # Errors
    /// [`Error::Argument`] if that is not what the rule says of an image of this size: a map may be a position smaller or larger
    /// than the image's side by the stride.
    pub(crate) fn steps(&self, image: (usize, usize), map: (usize, usize)) -> Result<(usize, usize)> {
        match self.rule {
            AnchorRule::Torchvision => Ok((image.0 / map.0.max(1), image.1 / map.1.max(1))),
            AnchorRule::Caffe { stride } => {
                let fits = |pixels: usize, positions: usize| pixels.abs_diff(positions * stride) < stride;
                if fits(image.0, map.0) && fits(image.1, map.1) {
                    return Ok((stride, stride));
                }
                let found = format!("{}×{} positions", map.0, map.1);
                let expected = format!("one of {}×{} pixels by a stride of {stride}", image.0, image.1);
                Err(Error::argument("anchors", "a feature map", found, expected))
            }
        }
    }

    /// The anchors of one position of the map `level`, at the origin: those of the first aspect ratio first.
    pub(crate) fn cell(&self, level: usize) -> Vec<BBox> {
        let pairs =
            self.aspect_ratios.iter().flat_map(|&ratio| self.sizes[level].iter().map(move |&size| (ratio, size)));
        match self.rule {
            AnchorRule::Torchvision => pairs.map(|(ratio, size)| torchvision(ratio, size)).collect(),
            AnchorRule::Caffe { stride } => pairs.map(|(ratio, size)| caffe(ratio, size, stride as f64)).collect(),
        }
    }

    /// All anchors of feature maps of these sizes, maps one after the other: positions row by row, and the anchors of a
    /// position side by side.
    ///
    /// # Arguments
    /// - `image`: height and width of the batch's images, padding included, in pixels
    /// - `maps`: height and width of each feature map, in positions
    ///
    /// # Errors
    /// [`Error::Argument`] if there are not as many maps as lists of sizes, or by Caffe's rule a map is not of its stride.
    pub fn grid(&self, image: (usize, usize), maps: &[(usize, usize)]) -> Result<Vec<BBox>> {
        if maps.len() != self.sizes.len() {
            let expected = format!("{}, one for each list of anchor sizes", self.sizes.len());
            return Err(Error::argument("anchors", "the number of feature maps", maps.len(), expected));
        }
        let mut anchors = Vec::new();
        for (level, &(rows, columns)) in maps.iter().enumerate() {
            let (down, across) = self.steps(image, (rows, columns))?;
            let cell = self.cell(level);
            for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                let (x, y) = ((column * across) as f64, (row * down) as f64);
                anchors.extend(cell.iter().map(|anchor| anchor.translated(x, y)));
            }
        }
        Ok(anchors)
    }
}

fn torchvision(ratio: f64, size: f64) -> BBox {
    // In f32 as there, since what lies near a half is rounded.
    let height_ratio = (ratio as f32).sqrt();
    let (width, height) = ((1.0 / height_ratio) * size as f32, height_ratio * size as f32);
    let half = |side: f32| f64::from((side / 2.0).round_ties_even());
    BBox::new(-half(width), -half(height), half(width), half(height))
}

fn caffe(ratio: f64, size: f64, stride: f64) -> BBox {
    let width = (stride * stride / ratio).sqrt().round_ties_even();
    let height = (width * ratio).round_ties_even();
    let (scale, centre) = (size / stride, (stride - 1.0) / 2.0);
    let half = |side: f64| (side * scale - 1.0) / 2.0;
    let (x, y) = (half(width), half(height));
    BBox::from_inclusive(centre - x, centre - y, centre + x, centre + y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nine_anchors_are_those_of_the_reference() {
        // Inclusive corners, as `generate_anchors` of py-faster-rcnn has them.
        let expected = [
            [-84.0, -40.0, 99.0, 55.0],
            [-176.0, -88.0, 191.0, 103.0],
            [-360.0, -184.0, 375.0, 199.0],
            [-56.0, -56.0, 71.0, 71.0],
            [-120.0, -120.0, 135.0, 135.0],
            [-248.0, -248.0, 263.0, 263.0],
            [-36.0, -80.0, 51.0, 95.0],
            [-80.0, -168.0, 95.0, 183.0],
            [-168.0, -344.0, 183.0, 359.0],
        ];
        let config = AnchorConfig::faster_rcnn(AnchorRule::Caffe { stride: 16 });
        let anchors = config.grid((32, 48), &[(2, 3)]).unwrap();
        assert_eq!((anchors.len(), config.per_position()), (54, 9));
        for (anchor, [x1, y1, x2, y2]) in anchors.iter().zip(expected) {
            assert_eq!(*anchor, BBox::from_inclusive(x1, y1, x2, y2));
        }
        // The second position is to the right of the first one, the fourth below it.
        assert_eq!(anchors[9], anchors[0].translated(16.0, 0.0));
        assert_eq!(anchors[27], anchors[0].translated(0.0, 16.0));
    }

    #[test]
    fn torchvision_rounds_halves_to_even_and_steps_down() {
        let config = AnchorConfig {
            sizes: vec![vec![32.0, 45.0]],
            aspect_ratios: vec![0.5, 1.0],
            rule: AnchorRule::Torchvision,
        };
        let anchors = config.grid((300, 400), &[(19, 25)]).unwrap();
        // AnchorGenerator(((32, 45),), ((0.5, 1.0),)) of torchvision 0.28.
        assert_eq!(anchors[0].xyxy(), [-23.0, -11.0, 23.0, 11.0]);
        assert_eq!(anchors[1].xyxy(), [-32.0, -16.0, 32.0, 16.0]);
        assert_eq!(anchors[2].xyxy(), [-16.0, -16.0, 16.0, 16.0]);
        assert_eq!(anchors[3].xyxy(), [-22.0, -22.0, 22.0, 22.0]);
        assert_eq!(anchors[4 * 25].xyxy(), [-23.0, 4.0, 23.0, 26.0]);
    }

    #[test]
    fn settings_without_sense_are_refused() {
        let good = AnchorConfig::faster_rcnn(AnchorRule::Torchvision);
        good.validate().unwrap();
        for bad in [
            AnchorConfig { sizes: vec![], ..good.clone() },
            AnchorConfig { sizes: vec![vec![]], ..good.clone() },
            AnchorConfig { sizes: vec![vec![32.0], vec![64.0, 128.0]], ..good.clone() },
            AnchorConfig { aspect_ratios: vec![1.0, f64::NAN], ..good.clone() },
            AnchorConfig { aspect_ratios: vec![0.0], ..good.clone() },
            AnchorConfig { rule: AnchorRule::Caffe { stride: 0 }, ..good.clone() },
            // Rounded, they have no width or no height.
            AnchorConfig { sizes: vec![vec![128.0, 0.9]], ..good.clone() },
            AnchorConfig { aspect_ratios: vec![1500.0], rule: AnchorRule::Caffe { stride: 16 }, ..good.clone() },
            AnchorConfig { aspect_ratios: vec![1e-9], ..good.clone() },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
        assert!(good.grid((64, 64), &[(4, 4), (2, 2)]).is_err());
    }

    #[test]
    fn a_map_of_another_stride_is_refused() {
        let config = AnchorConfig::faster_rcnn(AnchorRule::Caffe { stride: 8 });
        // A map is rounded down or up.
        for map in [(8, 12), (7, 12), (8, 13)] {
            config.grid((63, 100), &[map]).unwrap();
        }
        for map in [(4, 6), (16, 24), (8, 6), (0, 12)] {
            let error = config.grid((63, 100), &[map]).unwrap_err().to_string();
            assert!(error.contains("stride of 8"), "{error}");
        }
    }
}
