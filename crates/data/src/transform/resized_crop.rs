//! A part of the image, to a size.

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use super::{AREA, RATIO, TRIES, check_range, rounded};
use crate::{
    Image, Result,
    resample::{Rectangle, check_size},
};

/// A part of random area, aspect and place, as `width` × `height` pixels: torchvision's `RandomResizedCrop`, bilinear with
/// antialiasing.
///
/// The part's area A is a uniform share of the image's, its aspect r is uniform in the logarithm; it is round(√(A·r)) wide and
/// round(√(A/r)) high. It must fit into the image, and is drawn anew if not, up to ten times; then it is the largest part in the
/// middle whose aspect lies within `ratio`. Draws: area and aspect of each try, then the row and the column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Pixels in a row of the result.
    pub width: usize,
    /// Rows of the result.
    pub height: usize,
    /// The least and the largest area, as parts of the image's.
    #[serde(default = "default_scale")]
    pub scale: [f64; 2],
    /// The least and the largest aspect, width over height.
    #[serde(default = "default_ratio")]
    pub ratio: [f64; 2],
}

fn default_scale() -> [f64; 2] {
    [0.08, 1.0]
}

fn default_ratio() -> [f64; 2] {
    [3.0 / 4.0, 4.0 / 3.0]
}

impl RandomResizedCrop {
    /// With torchvision's ranges: 8 to 100 % of the area, aspects from 3:4 to 4:3.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, scale: default_scale(), ratio: default_ratio() }
    }

    /// The resized part, drawn from `rng`.
    ///
    /// # Errors
    /// [`DataError::Argument`](crate::DataError::Argument) if a setting makes no sense.
    pub fn apply(&self, image: &Image, rng: &mut Rng) -> Result<Image> {
        self.validate()?;
        let part = self.part(image.width(), image.height(), rng);
        image.resample(part, (self.width, self.height), true)
    }

    fn part(&self, width: usize, height: usize, rng: &mut Rng) -> Rectangle {
        let [low, high] = self.ratio.map(f64::ln);
        for _ in 0..TRIES {
            let area = (width * height) as f64 * rng.uniform(self.scale[0], self.scale[1]);
            let aspect = rng.uniform(low, high).exp();
            let (w, h) = (rounded((area * aspect).sqrt()), rounded((area / aspect).sqrt()));
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let (top, left) = (rng.below(height - h + 1), rng.below(width - w + 1));
                return Rectangle { top, left, height: h, width: w };
            }
        }
        self.middle(width, height)
    }

    /// The largest part in the middle whose aspect lies within the limits.
    fn middle(&self, width: usize, height: usize) -> Rectangle {
        let aspect = width as f64 / height as f64;
        let [least, largest] = self.ratio;
        let (w, h) = if aspect < least {
            (width, rounded(width as f64 / least).clamp(1, height))
        } else if aspect > largest {
            (rounded(height as f64 * largest).clamp(1, width), height)
        } else {
            (width, height)
        };
        Rectangle { top: (height - h) / 2, left: (width - w) / 2, height: h, width: w }
    }

    pub(super) fn validate(&self) -> Result<()> {
        check_size("random resized crop: size", self.width, self.height)?;
        check_range("random resized crop: scale", self.scale, AREA)?;
        check_range("random resized crop: ratio", self.ratio, RATIO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::tests::draws;

    const CROP: RandomResizedCrop =
        RandomResizedCrop { width: 2, height: 2, scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] };

    /// The mean of a measure of 20,000 parts, with its standard error.
    fn mean(width: usize, height: usize, measure: impl Fn(&Rectangle) -> f64) -> (f64, f64) {
        let values: Vec<f64> = draws(20_000, |rng| measure(&CROP.part(width, height, rng)));
        let mean = values.iter().sum::<f64>() / 2e4;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2e4;
        (mean, (variance / 2e4).sqrt())
    }

    #[test]
    fn parts_are_drawn_as_by_torchvision() {
        type Measure = fn(&Rectangle) -> f64;
        let measures: [Measure; 6] = [
            |r| r.width as f64,
            |r| r.height as f64,
            |r| (r.width * r.height) as f64,
            |r| r.width as f64 / r.height as f64,
            |r| r.left as f64,
            |r| r.top as f64,
        ];
        // Means of 120,000 draws of torchvision 0.28's; parts of the second image often do not fit.
        let expected = [
            ((500, 375), [282.1054, 270.3554, 81374.29, 1.045154, 108.5715, 52.3036]),
            ((120, 400), [95.5308, 102.2124, 10118.07, 0.962711, 12.1818, 148.5269]),
        ];
        for ((width, height), means) in expected {
            for (i, (measure, expected)) in measures.iter().zip(means).enumerate() {
                let (mean, error) = mean(width, height, measure);
                // Four standard errors of the difference: theirs is √6 smaller.
                let bound = 4.0 * error * (1.0f64 + 1.0 / 6.0).sqrt();
                assert!((mean - expected).abs() < bound, "{width}×{height}, {i}: {mean}, not {expected} ± {bound}");
            }
        }
    }

    #[test]
    fn every_part_lies_in_the_image() {
        for (width, height) in [(500, 375), (40, 3), (3, 40), (1, 1), (2, 1), (1, 7)] {
            for r in draws(500, |rng| CROP.part(width, height, rng)) {
                assert!(r.width >= 1 && r.height >= 1, "{r:?}");
                assert!(r.left + r.width <= width && r.top + r.height <= height, "{r:?} of {width}×{height}");
            }
        }
    }

    #[test]
    fn where_nothing_fits_it_is_the_middle() {
        // Ten draws of 90 % and more never fit into so long an image; the sizes are torchvision's.
        let crop = RandomResizedCrop { scale: [0.9, 1.0], ..CROP };
        for ((width, height), [top, left, h, w]) in
            [((40, 3), [0, 18, 3, 4]), ((3, 41), [18, 0, 4, 3]), ((97, 10), [0, 42, 10, 13]), ((1, 90), [44, 0, 1, 1])]
        {
            let part = crop.part(width, height, &mut Rng::new(0, "test"));
            assert_eq!(part, Rectangle { top, left, height: h, width: w }, "{width}×{height}");
        }
        let long = RandomResizedCrop { ratio: [4.0, 4.0], ..crop };
        assert_eq!(long.middle(1, 1), Rectangle::whole(1, 1)); // torchvision's has no rows and fails
    }

    #[test]
    fn the_part_is_resized() {
        let image = Image::pattern(20, 10, 3);
        let resized = RandomResizedCrop::new(7, 9).apply(&image, &mut Rng::new(0, "test")).unwrap();
        assert_eq!((resized.width(), resized.height(), resized.channels()), (7, 9, 3));
        // An area of 1 and the image's own aspect leave all of the image.
        let all = RandomResizedCrop { width: 20, height: 10, scale: [1.0, 1.0], ratio: [2.0, 2.0] };
        assert_eq!(all.apply(&image, &mut Rng::new(0, "test")).unwrap(), image);
    }
}
