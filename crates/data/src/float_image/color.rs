//! Colours of images in [0, 1], as `torchvision.transforms.functional` defines them for tensors.

use sconce_core::vectorised;

use super::FloatImage;
use crate::{DataError, Result};

/// The weights of red, green and blue in a grey value.
const LUMA: [f32; 3] = [0.2989, 0.587, 0.114];

/// Values that are summed up side by side.
const LANES: usize = 32;

impl FloatImage {
    /// Multiplies every value by `factor`, and clips to [0, 1].
    ///
    /// # Errors
    /// [`DataError::Argument`] for a factor that is negative or not finite.
    pub fn adjust_brightness(&mut self, factor: f64) -> Result<()> {
        let factor = blend_factor("brightness factor", factor)?;
        let data = &mut self.data;
        vectorised(
            #[inline(always)]
            || data.iter_mut().for_each(|value| *value = (factor * *value).clamp(0.0, 1.0)),
        );
        Ok(())
    }

    /// `factor` · image + (1 − `factor`) · the mean of the image in grey, clipped to [0, 1]; for 1 or 3 channels.
    ///
    /// # Errors
    /// [`DataError::Argument`] for a factor that is negative or not finite, or another number of channels.
    pub fn adjust_contrast(&mut self, factor: f64) -> Result<()> {
        self.color_channels()?;
        let factor = blend_factor("contrast factor", factor)?;
        let mean = match self.rgb() {
            None => mean(&self.data),
            // The mean of the grey values is the grey value of the means.
            Some(planes) => planes.into_iter().zip(LUMA).map(|(plane, luma)| f64::from(luma) * mean(plane)).sum(),
        };
        let offset = (1.0 - factor) * mean as f32;
        let data = &mut self.data;
        vectorised(
            #[inline(always)]
            || data.iter_mut().for_each(|value| *value = (factor * *value + offset).clamp(0.0, 1.0)),
        );
        Ok(())
    }

    /// `factor` · image + (1 − `factor`) · the image in grey, clipped to [0, 1]; nothing changes in an image of 1 channel.
    ///
    /// # Errors
    /// [`DataError::Argument`] for a factor that is negative or not finite, or a number of channels other than 1 or 3.
    pub fn adjust_saturation(&mut self, factor: f64) -> Result<()> {
        self.color_channels()?;
        let factor = blend_factor("saturation factor", factor)?;
        let Some([r, g, b]) = self.rgb_mut() else { return Ok(()) };
        vectorised(
            #[inline(always)]
            || {
                for ((r, g), b) in r.iter_mut().zip(&mut *g).zip(&mut *b) {
                    let offset = (1.0 - factor) * luma(*r, *g, *b);
                    *r = (factor * *r + offset).clamp(0.0, 1.0);
                    *g = (factor * *g + offset).clamp(0.0, 1.0);
                    *b = (factor * *b + offset).clamp(0.0, 1.0);
                }
            },
        );
        Ok(())
    }

    /// Turns the hue by `factor` of the colour circle, −½ to ½, at the same saturation and value (HSV); nothing changes in an
    /// image of 1 channel. The values must lie in [0, 1].
    ///
    /// # Errors
    /// [`DataError::Argument`] for a factor outside of −½ to ½, or a number of channels other than 1 or 3.
    pub fn adjust_hue(&mut self, factor: f64) -> Result<()> {
        self.color_channels()?;
        if !(-0.5..=0.5).contains(&factor) {
            return Err(DataError::argument("hue factor", factor, "-0.5 to 0.5"));
        }
        let turn = (6.0 * factor) as f32;
        let Some([r, g, b]) = self.rgb_mut() else { return Ok(()) };
        vectorised(
            #[inline(always)]
            || {
                for ((r, g), b) in r.iter_mut().zip(&mut *g).zip(&mut *b) {
                    [*r, *g, *b] = turned([*r, *g, *b], turn);
                }
            },
        );
        Ok(())
    }

    /// The image in grey, one channel: 0.2989 R + 0.587 G + 0.114 B. An image of 1 channel stays as it is.
    ///
    /// # Errors
    /// [`DataError::Argument`] for a number of channels other than 1 or 3.
    pub fn rgb_to_grayscale(&self) -> Result<Self> {
        self.color_channels()?;
        let Some([r, g, b]) = self.rgb() else { return Ok(self.clone()) };
        let mut data = vec![0.0; r.len()];
        vectorised(
            #[inline(always)]
            || {
                for (((gray, &r), &g), &b) in data.iter_mut().zip(r).zip(g).zip(b) {
                    *gray = luma(r, g, b);
                }
            },
        );
        Ok(Self { channels: 1, height: self.height, width: self.width, data })
    }

    fn color_channels(&self) -> Result<()> {
        if matches!(self.channels, 1 | 3) {
            return Ok(());
        }
        Err(DataError::argument("number of channels of an image whose colours change", self.channels, "1 or 3"))
    }

    /// The three planes of an image that has three.
    fn rgb(&self) -> Option<[&[f32]; 3]> {
        if self.channels != 3 {
            return None;
        }
        let (r, rest) = self.data.split_at(self.height * self.width);
        let (g, b) = rest.split_at(r.len());
        Some([r, g, b])
    }

    fn rgb_mut(&mut self) -> Option<[&mut [f32]; 3]> {
        if self.channels != 3 {
            return None;
        }
        let (r, rest) = self.data.split_at_mut(self.height * self.width);
        let (g, b) = rest.split_at_mut(r.len());
        Some([r, g, b])
    }
}

fn blend_factor(what: &'static str, factor: f64) -> Result<f32> {
    if factor >= 0.0 && factor <= f64::from(f32::MAX) {
        return Ok(factor as f32);
    }
    Err(DataError::argument(what, factor, "a finite factor, 0 or more"))
}

#[inline(always)]
fn luma(r: f32, g: f32, b: f32) -> f32 {
    LUMA[0] * r + LUMA[1] * g + LUMA[2] * b
}

/// The mean, of sums that are short enough for `f32`.
fn mean(values: &[f32]) -> f64 {
    let mut sum = 0.0;
    for part in values.chunks(LANES * LANES) {
        let mut lanes = [0f32; LANES];
        vectorised(
            #[inline(always)]
            || {
                let (whole, rest) = part.as_chunks::<LANES>();
                for values in whole {
                    for (lane, value) in lanes.iter_mut().zip(values) {
                        *lane += value;
                    }
                }
                for (lane, value) in lanes.iter_mut().zip(rest) {
                    *lane += value;
                }
            },
        );
        sum += lanes.iter().copied().map(f64::from).sum::<f64>();
    }
    sum / values.len() as f64
}

/// A colour with its hue turned by `turn` sixths of the circle.
///
/// With V the largest and C the largest less the smallest of r, g and b, and the hue h in sixths of the circle from red, HSV is
/// back in RGB by V − C · clamp(min(k, 4 − k), 0, 1), where k is h + 5, h + 3 and h + 1, modulo 6, for red, green and blue. It
/// is continuous, so that it does not matter on which side of a sixth rounding leaves a hue, and branches nowhere.
#[inline(always)]
fn turned([r, g, b]: [f32; 3], turn: f32) -> [f32; 3] {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let smaller = |a: f32, b: f32| if a < b { a } else { b };
    let v = larger(larger(r, g), b);
    let c = v - smaller(smaller(r, g), b);
    let (from, difference) =
        if v == r { (0.0, g - b) } else { (if v == g { 2.0 } else { 4.0 }, if v == g { b - r } else { r - g }) };
    // Grey has no hue; with C = 0 it does not matter which.
    let h = from + difference / if c == 0.0 { 1.0 } else { c } + turn;
    let component = |n: f32| {
        let k = n + h;
        let k = k - 6.0 * (k * (1.0 / 6.0)).floor();
        let ramp = smaller(k, 4.0 - k);
        v - c * smaller(larger(ramp, 0.0), 1.0)
    };
    [component(5.0), component(3.0), component(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgb(pixels: &[[f32; 3]]) -> FloatImage {
        let data = (0..3).flat_map(|k| pixels.iter().map(move |p| p[k])).collect();
        FloatImage::new([3, 1, pixels.len()], data).unwrap()
    }

    #[track_caller]
    fn check(image: &FloatImage, expected: &[[f32; 3]]) {
        let expected = rgb(expected);
        assert_eq!(image.shape(), expected.shape());
        let worst = image.data().iter().zip(expected.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-6, "{worst}: {:?}", image.data());
    }

    const RED: [f32; 3] = [1.0, 0.0, 0.0];
    const GREEN: [f32; 3] = [0.0, 1.0, 0.0];
    const BLUE: [f32; 3] = [0.0, 0.0, 1.0];

    #[test]
    fn a_third_of_the_circle_turns_red_to_green() {
        let third = 1.0 / 3.0;
        let mut image = rgb(&[RED, GREEN, BLUE, [0.4; 3], [0.0; 3], [1.0; 3]]);
        image.adjust_hue(third).unwrap();
        check(&image, &[GREEN, BLUE, RED, [0.4; 3], [0.0; 3], [1.0; 3]]);
        image.adjust_hue(-third).unwrap();
        check(&image, &[RED, GREEN, BLUE, [0.4; 3], [0.0; 3], [1.0; 3]]);
    }

    #[test]
    fn half_of_the_circle_is_the_same_in_both_directions() {
        // torchvision 0.28's values; in two pixels two channels share the largest value.
        let pixels = [[0.9, 0.9, 0.1], [0.2, 0.7, 0.7], [0.3, 0.2, 0.25]];
        for factor in [-0.5, 0.5] {
            let mut image = rgb(&pixels);
            image.adjust_hue(factor).unwrap();
            check(&image, &[[0.1, 0.1, 0.9], [0.7, 0.2, 0.2], [0.2, 0.3, 0.25]]);
        }
    }

    #[test]
    fn factor_0_gives_black_the_mean_and_gray() {
        let pixels = [RED, [0.5, 0.5, 0.5]];
        let red = 0.2989;
        let gray = 0.5 * 0.9999;
        let after = |adjust: fn(&mut FloatImage, f64) -> Result<()>| {
            let mut image = rgb(&pixels);
            adjust(&mut image, 0.0).unwrap();
            image
        };
        check(&after(FloatImage::adjust_brightness), &[[0.0; 3]; 2]);
        check(&after(FloatImage::adjust_contrast), &[[(red + gray) / 2.0; 3]; 2]);
        check(&after(FloatImage::adjust_saturation), &[[red; 3], [gray; 3]]);
    }

    #[test]
    fn values_are_clipped() {
        let mut image = rgb(&[[0.6, 0.2, 0.0]]);
        image.adjust_brightness(2.0).unwrap();
        check(&image, &[[1.0, 0.4, 0.0]]);
        image.adjust_saturation(3.0).unwrap();
        check(&image, &[[1.0, 0.1326, 0.0]]); // grey 0.5337
    }

    #[test]
    fn a_gray_image_has_contrast_and_no_colour() {
        let gray = FloatImage::new([1, 1, 2], vec![0.2, 0.6]).unwrap();
        let mut image = gray.clone();
        image.adjust_saturation(0.0).unwrap();
        image.adjust_hue(0.5).unwrap();
        assert_eq!(image, gray);
        assert_eq!(image.rgb_to_grayscale().unwrap(), gray);
        image.adjust_contrast(0.5).unwrap();
        assert!(image.data().iter().zip([0.3, 0.5]).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", image.data());
    }

    #[test]
    fn the_mean_counts_every_value_once() {
        for n in [1, 31, 32, 1023, 1024, 1025, 5000] {
            let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
            assert_eq!(mean(&values), (n - 1) as f64 / 2.0, "{n}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut image = rgb(&[RED]);
        for factor in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(matches!(image.adjust_brightness(factor), Err(DataError::Argument { .. })));
            assert!(matches!(image.adjust_contrast(factor), Err(DataError::Argument { .. })));
            assert!(matches!(image.adjust_saturation(factor), Err(DataError::Argument { .. })));
        }
        for factor in [-0.51, 0.51, f64::NAN] {
            assert_eq!(
                image.adjust_hue(factor).unwrap_err().to_string(),
                format!("hue factor is {factor}, expected -0.5 to 0.5")
            );
        }
        check(&image, &[RED]);
        let mut two = FloatImage::new([2, 1, 1], vec![0.0; 2]).unwrap();
        assert!(two.adjust_contrast(1.0).is_err() && two.adjust_saturation(1.0).is_err());
        assert!(two.adjust_hue(0.0).is_err() && two.rgb_to_grayscale().is_err());
    }
}
