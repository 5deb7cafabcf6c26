//! Colours at random.

use sconce_core::Rng;
use serde::{Deserialize, Serialize};

use super::{check_range, probability};
use crate::{DataError, FloatImage, Result};

/// Changes brightness, contrast, saturation and hue by random factors, in a random order: torchvision's `ColorJitter`.
///
/// MoCo v2's is 0.4, 0.4, 0.4 and 0.1. By default nothing changes. Draws: the order, as one permutation of the four; then the
/// factors of brightness, contrast, saturation and hue, of those whose range is more than the factor that changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// Around 1; see [`FloatImage::adjust_brightness`].
    pub brightness: JitterRange,
    /// Around 1; see [`FloatImage::adjust_contrast`].
    pub contrast: JitterRange,
    /// Around 1; see [`FloatImage::adjust_saturation`].
    pub saturation: JitterRange,
    /// Around 0, and within −½ to ½; see [`FloatImage::adjust_hue`].
    pub hue: JitterRange,
}

/// Where a factor is drawn from, uniformly. In TOML: `0.4` or `[0.6, 1.4]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a number, or a pair of numbers")]
pub enum JitterRange {
    /// So far to both sides of the factor that changes nothing; a factor that has to be 0 or more is cut off there.
    Around(f64),
    /// From the first to the second.
    Between([f64; 2]),
}

impl Default for JitterRange {
    /// Always the factor that changes nothing.
    fn default() -> Self {
        Self::Around(0.0)
    }
}

/// Turns the colours into greys with probability `p`, a tenth by default: torchvision's `RandomGrayscale`.
///
/// The image keeps its number of channels. Draws: whether.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RandomGrayscale {
    /// The probability.
    pub p: f64,
}

/// One of the four things that change.
#[derive(Clone, Copy, Debug)]
struct Property {
    name: &'static str,
    range: JitterRange,
    /// The factor that changes nothing.
    neutral: f64,
    /// The least and the largest factor.
    limits: [f64; 2],
    adjust: fn(&mut FloatImage, f64) -> Result<()>,
}

impl Property {
    /// The range's ends; `Around` is cut off at the limit of a factor around 1.
    fn ends(&self) -> [f64; 2] {
        match self.range {
            JitterRange::Between(ends) => ends,
            JitterRange::Around(reach) if self.neutral == 1.0 => [(1.0 - reach).max(0.0), 1.0 + reach],
            JitterRange::Around(reach) => [self.neutral - reach, self.neutral + reach],
        }
    }

    fn validate(&self) -> Result<()> {
        if let JitterRange::Around(reach) = self.range
            && reach < 0.0
        {
            return Err(DataError::argument(self.name, reach, "0 or more, or a pair"));
        }
        check_range(self.name, self.ends(), self.limits)
    }
}

impl ColorJitter {
    /// Changes the image in place.
    ///
    /// # Errors
    /// [`DataError::Argument`] for an image of neither 1 nor 3 channels.
    pub fn apply(&self, image: &mut FloatImage, rng: &mut Rng) -> Result<()> {
        let properties = self.properties();
        let order = rng.permutation(properties.len());
        let factors = properties.map(|property| {
            let [low, high] = property.ends();
            (low != property.neutral || high != property.neutral).then(|| rng.uniform(low, high))
        });
        for i in order {
            if let Some(factor) = factors[i] {
                (properties[i].adjust)(image, factor)?;
            }
        }
        Ok(())
    }

    fn properties(&self) -> [Property; 4] {
        let around_1 = |name, range, adjust| Property { name, range, neutral: 1.0, limits: [0.0, f64::MAX], adjust };
        [
            around_1("color jitter: brightness", self.brightness, FloatImage::adjust_brightness),
            around_1("color jitter: contrast", self.contrast, FloatImage::adjust_contrast),
            around_1("color jitter: saturation", self.saturation, FloatImage::adjust_saturation),
            Property {
                name: "color jitter: hue",
                range: self.hue,
                neutral: 0.0,
                limits: [-0.5, 0.5],
                adjust: FloatImage::adjust_hue,
            },
        ]
    }

    pub(super) fn validate(&self) -> Result<()> {
        self.properties().iter().try_for_each(Property::validate)
    }
}

impl Default for RandomGrayscale {
    fn default() -> Self {
        Self { p: 0.1 }
    }
}

impl RandomGrayscale {
    /// Changes the image in place, or does not.
    ///
    /// # Errors
    /// [`DataError::Argument`] for an image of neither 1 nor 3 channels.
    pub fn apply(&self, image: &mut FloatImage, rng: &mut Rng) -> Result<()> {
        if rng.bernoulli(self.p) {
            let gray = image.rgb_to_grayscale()?;
            let planes = image.data_mut().chunks_exact_mut(gray.data().len());
            planes.for_each(|plane| plane.copy_from_slice(gray.data()));
        }
        Ok(())
    }

    pub(super) fn validate(&self) -> Result<()> {
        probability("random grayscale: p", self.p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::tests::draws;

    /// One pixel, none of whose values is clipped by the factors of the tests.
    fn pixel() -> FloatImage {
        FloatImage::new([3, 1, 1], vec![0.3, 0.2, 0.1]).unwrap()
    }

    fn jittered(jitter: ColorJitter, n: u64) -> Vec<Vec<f32>> {
        draws(n, |rng| {
            let mut image = pixel();
            jitter.apply(&mut image, rng).unwrap();
            image.data().to_vec()
        })
    }

    #[test]
    fn ranges_are_torchvisions() {
        let ends = |brightness, hue| {
            let [b, _, _, h] = ColorJitter { brightness, hue, ..ColorJitter::default() }.properties();
            (b.ends(), h.ends())
        };
        assert_eq!(ends(JitterRange::Around(0.25), JitterRange::Around(0.25)), ([0.75, 1.25], [-0.25, 0.25]));
        assert_eq!(ends(JitterRange::Around(2.0), JitterRange::Around(0.5)), ([0.0, 3.0], [-0.5, 0.5]));
        let pair = JitterRange::Between([0.1, 0.3]);
        assert_eq!(ends(pair, pair), ([0.1, 0.3], [0.1, 0.3]));
    }

    #[test]
    fn factors_are_uniform_in_their_range() {
        let jitter = ColorJitter { brightness: JitterRange::Around(0.5), ..ColorJitter::default() };
        let factors: Vec<f64> = jittered(jitter, 4000).iter().map(|v| f64::from(v[0]) / 0.3).collect();
        let mean = factors.iter().sum::<f64>() / 4000.0;
        let variance = factors.iter().map(|f| (f - mean).powi(2)).sum::<f64>() / 4000.0;
        assert!(factors.iter().all(|f| (0.499..1.501).contains(f)));
        // Of a uniform draw of width 1; four standard errors.
        assert!((mean - 1.0).abs() < 0.0183, "{mean}");
        assert!((variance - 1.0 / 12.0).abs() < 0.0048, "{variance}");
    }

    #[test]
    fn every_order_is_drawn() {
        // Fixed factors that do not commute: each order of the four is told by its result.
        let fixed = |factor| JitterRange::Between([factor, factor]);
        let jitter =
            ColorJitter { brightness: fixed(2.0), contrast: fixed(3.0), saturation: fixed(0.5), hue: fixed(0.2) };
        let image = FloatImage::new([3, 1, 2], vec![0.3, 0.9, 0.2, 0.5, 0.1, 0.4]).unwrap();
        let mut results: Vec<Vec<i64>> = draws(2000, |rng| {
            let mut image = image.clone();
            jitter.apply(&mut image, rng).unwrap();
            image.data().iter().map(|v| (f64::from(*v) * 1e4).round() as i64).collect()
        });
        results.sort();
        results.dedup();
        assert!(results.len() >= 12, "{}", results.len());
    }

    #[test]
    fn nothing_changes_by_default_and_a_neutral_range_draws_nothing() {
        assert!(jittered(ColorJitter::default(), 10).iter().all(|v| *v == pixel().data()));
        let next = |jitter: ColorJitter| {
            let mut rng = Rng::new(0, "test");
            jitter.apply(&mut pixel(), &mut rng).unwrap();
            rng.below(usize::MAX)
        };
        let neutral = ColorJitter { contrast: JitterRange::Between([1.0, 1.0]), ..ColorJitter::default() };
        assert_eq!(next(neutral), next(ColorJitter::default()));
    }

    #[test]
    fn a_share_of_the_images_turns_gray_in_every_channel() {
        let gray = 0.2989 * 0.3 + 0.587 * 0.2 + 0.114 * 0.1;
        let results = draws(3000, |rng| {
            let mut image = pixel();
            RandomGrayscale { p: 0.2 }.apply(&mut image, rng).unwrap();
            image
        });
        let n = results.iter().filter(|i| i.data().iter().all(|v| (v - gray).abs() < 1e-6)).count();
        assert!(n.abs_diff(600) < 110, "{n}"); // five standard deviations
        assert_eq!(results.iter().filter(|i| **i == pixel()).count(), 3000 - n);
    }

    #[test]
    fn a_range_is_a_number_or_a_pair_in_toml() {
        let jitter: ColorJitter = toml::from_str("brightness = 0.4\ncontrast = [0, 2]\nhue = 0").unwrap();
        let expected = ColorJitter {
            brightness: JitterRange::Around(0.4),
            contrast: JitterRange::Between([0.0, 2.0]),
            ..ColorJitter::default()
        };
        assert_eq!(jitter, expected);
        assert_eq!(toml::from_str::<ColorJitter>(&toml::to_string(&jitter).unwrap()).unwrap(), jitter);
        for wrong in ["hue = \"much\"", "hue = [0.1]", "hue = [0.1, 0.2, 0.3]"] {
            let error = toml::from_str::<ColorJitter>(wrong).unwrap_err().to_string();
            assert!(error.contains("expected a number, or a pair of numbers"), "{error}");
        }
    }
}
