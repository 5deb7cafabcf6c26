//! Images with objects, to other sizes.

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use super::transform::Annotated;
use crate::{DataError, Resize, Result, resample::check_size, transform::check_range};

/// The shorter side to `shorter` pixels, or less where the longer side would have more than `longer`: the resizing in front of
/// torchvision's detectors and of faster-rcnn.pytorch (600 there, and no limit in its forks for domain adaptation).
///
/// Both sides are multiplied by one factor and cut to a whole number, at least 1; faster-rcnn.pytorch rounds instead. Boxes are
/// multiplied by the factors of the sizes that came out of it, one an axis, so that they stay on their pixels exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResizeSides {
    /// Pixels of the shorter side.
    pub shorter: usize,
    /// The most pixels of the longer side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longer: Option<usize>,
    /// As [`Resize::antialias`]. The two programs above do without.
    #[serde(default = "antialias")]
    pub antialias: bool,
}

/// As much of a box of `width` × `height` as the image fills at its own aspect, times a random factor: torchvision's
/// `ScaleJitter`, the first half of large-scale jitter (Ghiasi et al., 2021), whose second half is
/// [`FixedSizeCrop`](super::FixedSizeCrop).
///
/// Draws: the factor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ScaleJitter {
    /// Pixels in a row, at a factor of 1.
    pub width: usize,
    /// Rows, at a factor of 1.
    pub height: usize,
    /// The least and the largest factor.
    #[serde(default = "default_scale")]
    pub scale: [f64; 2],
    /// As [`Resize::antialias`].
    #[serde(default = "antialias")]
    pub antialias: bool,
}

fn antialias() -> bool {
    true
}

fn default_scale() -> [f64; 2] {
    [0.1, 2.0]
}

impl ResizeSides {
    pub(super) fn apply(&self, annotated: Annotated) -> Result<Annotated> {
        self.validate()?;
        let (width, height) = self.size(annotated.image.width(), annotated.image.height());
        resized(annotated, Resize { width, height, antialias: self.antialias })
    }

    /// The size that an image of `width` × `height` gets.
    pub fn size(&self, width: usize, height: usize) -> (usize, usize) {
        let (short, long) = (width.min(height), width.max(height));
        // Not in whole numbers: 1914 columns become 119 and not 120 there, because the nearest factor is a little too small.
        let factor = |to: usize, from: usize| to as f64 / from.max(1) as f64;
        let factor = self.longer.map_or(f64::INFINITY, |longer| factor(longer, long)).min(factor(self.shorter, short));
        let side = |n: usize| ((n as f64 * factor) as usize).max(1);
        (side(width), side(height))
    }

    pub(super) fn validate(&self) -> Result<()> {
        check_size("resize sides: shorter", self.shorter, 1)?;
        match self.longer {
            Some(longer) if longer < self.shorter => {
                Err(DataError::argument("resize sides: longer", longer, format!("at least shorter, {}", self.shorter)))
            }
            Some(longer) => check_size("resize sides: longer", longer, 1),
            None => Ok(()),
        }
    }
}

impl ScaleJitter {
    pub(super) fn apply(&self, annotated: Annotated, rng: &mut Rng) -> Result<Annotated> {
        self.validate()?;
        let (width, height) = (annotated.image.width(), annotated.image.height());
        let fit = (self.width as f64 / width as f64).min(self.height as f64 / height as f64);
        let factor = fit * rng.uniform(self.scale[0], self.scale[1]);
        let side = |n: usize| ((n as f64 * factor) as usize).max(1);
        resized(annotated, Resize { width: side(width), height: side(height), antialias: self.antialias })
    }

    pub(super) fn validate(&self) -> Result<()> {
        check_size("scale jitter: size", self.width, self.height)?;
        check_range("scale jitter: scale", self.scale, [f64::MIN_POSITIVE, f64::MAX])
    }
}

/// Image and boxes at another size, the boxes by the exact factors.
pub(super) fn resized(annotated: Annotated, resize: Resize) -> Result<Annotated> {
    let factor = |to: usize, from: usize| to as f64 / from as f64;
    let x = factor(resize.width, annotated.image.width());
    let y = factor(resize.height, annotated.image.height());
    let image = resize.apply(annotated.image)?;
    let mut objects = annotated.objects;
    for object in &mut objects {
        // A product may be rounded to beyond the last column.
        object.bbox = object.bbox.scaled(x, y).clipped(image.width() as f64, image.height() as f64);
        object.area = object.area.map(|area| area * x * y);
    }
    Ok(Annotated { image, objects, scale: (annotated.scale.0 * x, annotated.scale.1 * y) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides(shorter: usize, longer: Option<usize>) -> ResizeSides {
        ResizeSides { shorter, longer, antialias: true }
    }

    #[test]
    fn sizes_are_those_of_torchvisions_detectors() {
        // What torchvision 0.28 makes of them; see tests/detection/make_fixtures.py.
        let fixture = include_str!("../../tests/detection/resize_sides.csv");
        let mut n = 0;
        for line in fixture.lines().skip(1) {
            let numbers: Vec<usize> = line.split(',').map(|field| field.parse().unwrap()).collect();
            let [shorter, longer, width, height, new_width, new_height] = numbers[..] else { panic!("{line}") };
            assert_eq!(sides(shorter, Some(longer)).size(width, height), (new_width, new_height), "{line}");
            n += 1;
        }
        assert!(n >= 20, "{n}");
    }

    #[test]
    fn without_a_limit_the_shorter_side_decides() {
        assert_eq!(sides(600, None).size(500, 375), (800, 600));
        assert_eq!(sides(600, None).size(375, 500), (600, 800));
        assert_eq!(sides(600, None).size(2048, 1024), (1200, 600));
        assert_eq!(sides(600, None).size(3000, 100), (18000, 600));
        assert_eq!(sides(4, Some(8)).size(1000, 1), (8, 1));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [sides(0, None), sides(600, Some(599)), sides(1 << 21, None), sides(4, Some(1 << 21))] {
            assert!(matches!(bad.validate(), Err(DataError::Argument { .. })), "{bad:?}");
        }
        let jitter = ScaleJitter { width: 8, height: 8, scale: [0.1, 2.0], antialias: true };
        jitter.validate().unwrap();
        assert!(ScaleJitter { width: 0, ..jitter }.validate().is_err());
        assert!(ScaleJitter { scale: [0.0, 1.0], ..jitter }.validate().is_err());
        assert!(ScaleJitter { scale: [1.0, f64::NAN], ..jitter }.validate().is_err());
    }
}
