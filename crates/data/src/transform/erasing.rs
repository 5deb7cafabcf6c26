//! Random erasing (Zhong et al., 2017).

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use super::{AREA, RATIO, TRIES, check_range, probability, rounded};
use crate::{DataError, FloatImage, Result, resample::Rectangle};

/// With probability `p` fills a rectangle with `value`, in all channels: torchvision's `RandomErasing`.
///
/// The rectangle's area A is a uniform part of the image's, its aspect r is drawn as `aspect_draw` says; it is round(√(A·r)) high
/// and round(√(A/r)) wide. It must be lower and narrower than the image, and is drawn anew if not, up to ten times.
/// Draws: whether; area and aspect of each try; the row, then the column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RandomErasing {
    /// The probability.
    pub p: f64,
    /// The least and the largest area, as parts of the image's.
    pub area: [f64; 2],
    /// The least and the largest aspect, height over width.
    pub aspect: [f64; 2],
    /// How the aspect is drawn.
    pub aspect_draw: AspectDraw,
    /// The value to fill with; after normalisation, 0 is the mean colour.
    pub value: f32,
}

/// How the aspect of an erased rectangle is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AspectDraw {
    /// Uniform, as torchvision did at first (read in 0.7): more high rectangles than wide ones.
    Uniform,
    /// Uniform in the logarithm, as torchvision does now (read in 0.28).
    #[default]
    LogUniform,
}

impl Default for RandomErasing {
    /// torchvision's: half of the images, 2 to 33 % of the area, aspects from 0.3 to 3.3.
    fn default() -> Self {
        Self { p: 0.5, area: [0.02, 0.33], aspect: [0.3, 3.3], aspect_draw: AspectDraw::default(), value: 0.0 }
    }
}

impl RandomErasing {
    /// Erases in place.
    pub fn apply(&self, image: &mut FloatImage, rng: &mut Rng) {
        let [_, height, width] = image.shape();
        if !rng.bernoulli(self.p) {
            return;
        }
        let Some(hole) = self.rectangle(height, width, rng) else { return };
        for plane in image.data_mut().chunks_exact_mut(height * width) {
            for row in plane.chunks_exact_mut(width).skip(hole.top).take(hole.height) {
                row[hole.left..hole.left + hole.width].fill(self.value);
            }
        }
    }

    /// A rectangle that fits into `height` × `width` pixels, unless ten draws gave none.
    fn rectangle(&self, height: usize, width: usize, rng: &mut Rng) -> Option<Rectangle> {
        for _ in 0..TRIES {
            let area = (height * width) as f64 * rng.uniform(self.area[0], self.area[1]);
            let aspect = match self.aspect_draw {
                AspectDraw::Uniform => rng.uniform(self.aspect[0], self.aspect[1]),
                AspectDraw::LogUniform => rng.uniform(self.aspect[0].ln(), self.aspect[1].ln()).exp(),
            };
            let (h, w) = (rounded((area * aspect).sqrt()), rounded((area / aspect).sqrt()));
            if h < height && w < width {
                let (top, left) = (rng.below(height - h + 1), rng.below(width - w + 1));
                return Some(Rectangle { top, left, height: h, width: w });
            }
        }
        None
    }

    pub(super) fn validate(&self) -> Result<()> {
        probability("random erasing: p", self.p)?;
        check_range("random erasing: area", self.area, AREA)?;
        check_range("random erasing: aspect", self.aspect, RATIO)?;
        if !self.value.is_finite() {
            return Err(DataError::argument("random erasing: value", self.value, "a finite value"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::tests::draws;

    const SCN: RandomErasing =
        RandomErasing { p: 0.5, area: [0.02, 0.25], aspect: [0.3, 3.3], aspect_draw: AspectDraw::Uniform, value: -7.0 };

    /// The aspects of 4,000 rectangles in an image large enough that rounding does not matter.
    fn aspects(aspect_draw: AspectDraw) -> Vec<f64> {
        let erasing = RandomErasing { aspect_draw, ..SCN };
        let rectangles = draws(4000, |rng| erasing.rectangle(4000, 4000, rng).unwrap());
        rectangles.iter().map(|r| r.height as f64 / r.width as f64).collect()
    }

    #[test]
    fn aspects_are_uniform_as_code_and_log_uniform_today() {
        let share_below_1 = |draw| aspects(draw).iter().filter(|&&r| r < 1.0).count() as f64 / 4000.0;
        // 0.7 of 3.0, and ln(1/0.3) of ln(3.3/0.3); four standard errors.
        assert!((share_below_1(AspectDraw::Uniform) - 0.2333).abs() < 0.027);
        assert!((share_below_1(AspectDraw::LogUniform) - 0.5021).abs() < 0.032);
    }

    #[test]
    fn areas_and_aspects_stay_in_their_ranges() {
        for r in draws(2000, |rng| SCN.rectangle(2000, 1000, rng).unwrap()) {
            let area = (r.height * r.width) as f64 / 2e6;
            let aspect = r.height as f64 / r.width as f64;
            assert!((0.0195..0.2505).contains(&area), "{area}");
            assert!((0.298..3.32).contains(&aspect), "{aspect}");
            assert!(r.height < 2000 && r.width < 1000 && r.top + r.height <= 2000 && r.left + r.width <= 1000);
        }
    }

    #[test]
    fn half_of_the_images_lose_the_same_rectangle_in_every_channel() {
        let image = FloatImage::new([3, 20, 30], vec![1.0; 1800]).unwrap();
        let results = draws(1000, |rng| {
            let mut image = image.clone();
            SCN.apply(&mut image, rng);
            image
        });
        let erased: Vec<_> = results.iter().filter(|r| **r != image).collect();
        assert!(erased.len().abs_diff(500) < 80, "{}", erased.len());
        for result in erased {
            let planes: Vec<&[f32]> = result.data().chunks(600).collect();
            assert!(planes[0] == planes[1] && planes[1] == planes[2]);
            let holes: Vec<usize> = (0..600).filter(|&i| planes[0][i] == -7.0).collect();
            let rows = holes.iter().map(|i| i / 30).max().unwrap() - holes.iter().map(|i| i / 30).min().unwrap() + 1;
            let columns = holes.iter().map(|i| i % 30).max().unwrap() - holes.iter().map(|i| i % 30).min().unwrap() + 1;
            assert_eq!(holes.len(), rows * columns);
            assert!(planes[0].iter().all(|&v| v == -7.0 || v == 1.0));
        }
    }

    #[test]
    fn a_rectangle_as_large_as_the_image_is_not_accepted() {
        let whole = RandomErasing { p: 1.0, area: [1.0, 1.0], aspect: [1.0, 1.0], ..SCN };
        let mut image = FloatImage::new([1, 8, 8], vec![1.0; 64]).unwrap();
        whole.apply(&mut image, &mut Rng::new(0, "test"));
        assert!(image.data().iter().all(|&v| v == 1.0));
    }
}
