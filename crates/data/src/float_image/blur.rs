//! Gaussian blur.

use sconce_core::vectorised;

use super::FloatImage;
use crate::{DataError, Result};

/// Values of a row that are computed together, in registers.
const LANES: usize = 32;

/// Weights below this part of the largest are left out: they are far below the rounding of `f32`, and might be denormal.
const NEGLIGIBLE: f64 = 1e-12;

impl FloatImage {
    /// Blurs by a Gaussian of the standard deviation `sigma`, in pixels, cut off to `kernel_size` values in each direction and
    /// normalised, over an image that is reflected at its borders; torchvision's `gaussian_blur`.
    ///
    /// # Errors
    /// [`DataError::Argument`] for a kernel of even or no size, a `sigma` that is not above 0, or an image with a side that is
    /// not above half of the kernel, which cannot be reflected so far.
    pub fn gaussian_blur(&mut self, kernel_size: usize, sigma: f64) -> Result<()> {
        check(kernel_size, sigma)?;
        let reach = kernel_size / 2;
        if reach >= self.height.min(self.width) {
            let expected = format!("sides above {reach} for a kernel of {kernel_size}");
            return Err(DataError::argument(
                "gaussian blur: image",
                format!("{}×{}", self.width, self.height),
                expected,
            ));
        }
        let weights = half_kernel(reach, sigma);
        let stride = self.width.next_multiple_of(LANES);
        let mut reflected = vec![0.0; stride + 2 * weights.len()];
        let mut blurred = vec![0.0; stride * self.height];
        for plane in self.data.chunks_exact_mut(self.height * self.width) {
            blur_rows(plane, self.width, &weights, &mut reflected, &mut blurred);
            blur_columns(&blurred, &weights, self.width, plane);
        }
        Ok(())
    }
}

/// Checks the settings of a blur.
pub(crate) fn check(kernel_size: usize, sigma: f64) -> Result<()> {
    if kernel_size.is_multiple_of(2) {
        return Err(DataError::argument("gaussian blur: kernel size", kernel_size, "an odd number"));
    }
    if !(sigma > 0.0 && sigma.is_finite()) {
        return Err(DataError::argument("gaussian blur: sigma", sigma, "a finite value above 0"));
    }
    Ok(())
}

/// The weights from the centre of the kernel to its end, without those that are negligible.
fn half_kernel(reach: usize, sigma: f64) -> Vec<f32> {
    let weights: Vec<f64> = (0..=reach).map(|x| (-0.5 * (x as f64 / sigma).powi(2)).exp()).collect();
    let sum = 2.0 * weights.iter().sum::<f64>() - 1.0; // the centre, of weight 1, is there once
    weights.into_iter().take_while(|&w| w > NEGLIGIBLE).map(|w| (w / sum) as f32).collect()
}

/// The place inside of `0..n` that is seen at `at` if a line is reflected at its first and last value.
fn reflect(at: isize, n: usize) -> usize {
    let at = at.unsigned_abs();
    if at < n { at } else { 2 * (n - 1) - at }
}

/// Every row of `plane` blurred along itself; the rows of `blurred` are as long as whole lanes.
fn blur_rows(plane: &[f32], width: usize, weights: &[f32], reflected: &mut [f32], blurred: &mut [f32]) {
    let reach = weights.len() - 1;
    let stride = width.next_multiple_of(LANES);
    for (row, blurred) in plane.chunks_exact(width).zip(blurred.chunks_exact_mut(stride)) {
        reflected[reach..reach + width].copy_from_slice(row);
        for i in 1..=reach {
            reflected[reach - i] = row[i];
            reflected[reach + width - 1 + i] = row[width - 1 - i];
        }
        let reflected = &*reflected;
        vectorised(
            #[inline(always)]
            || {
                for (i, blurred) in blurred.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                    let at = |x: usize| lanes(&reflected[i * LANES + x..]);
                    *blurred = weigh(weights, |x| (at(reach - x), at(reach + x)));
                }
            },
        );
    }
}

/// Every column of `blurred` blurred along itself, into `plane`.
fn blur_columns(blurred: &[f32], weights: &[f32], width: usize, plane: &mut [f32]) {
    let stride = width.next_multiple_of(LANES);
    let height = plane.len() / width;
    let row = |y: isize| &blurred[reflect(y, height) * stride..][..stride];
    for (y, target) in plane.chunks_exact_mut(width).enumerate() {
        let y = y as isize;
        vectorised(
            #[inline(always)]
            || {
                for (i, target) in target.chunks_mut(LANES).enumerate() {
                    let at = |y: isize| lanes(&row(y)[i * LANES..]);
                    let sums = weigh(weights, |x| (at(y - x as isize), at(y + x as isize)));
                    target.copy_from_slice(&sums[..target.len()]);
                }
            },
        );
    }
}

#[inline(always)]
fn lanes(values: &[f32]) -> &[f32; LANES] {
    match values.first_chunk() {
        Some(lanes) => lanes,
        None => &[0.0; LANES], // never: the rows are as long as whole lanes
    }
}

/// The sum of `weights` times the values before and after, which `pair` has for each distance from the centre.
#[inline(always)]
fn weigh<'a>(weights: &[f32], pair: impl Fn(usize) -> (&'a [f32; LANES], &'a [f32; LANES])) -> [f32; LANES] {
    let mut sums = *pair(0).0;
    for sum in &mut sums {
        *sum *= weights[0];
    }
    for (x, &weight) in weights.iter().enumerate().skip(1) {
        let (before, after) = pair(x);
        for (sum, (before, after)) in sums.iter_mut().zip(before.iter().zip(after)) {
            *sum += weight * (before + after);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The blur by its definition, in f64, with the kernel in two dimensions.
    fn by_definition(image: &FloatImage, kernel_size: usize, sigma: f64) -> Vec<f64> {
        let [channels, height, width] = image.shape();
        let reach = (kernel_size / 2) as isize;
        let weight = |x: isize| (-0.5 * (x as f64 / sigma).powi(2)).exp();
        let total: f64 = (-reach..=reach).map(weight).sum();
        let mut blurred = Vec::new();
        for i in 0..channels * height * width {
            let (plane, y, x) = (i / (height * width), i / width % height, i % width);
            let mut sum = 0.0;
            for dy in -reach..=reach {
                for dx in -reach..=reach {
                    let (y, x) = (reflect(y as isize + dy, height), reflect(x as isize + dx, width));
                    let value = image.data()[(plane * height + y) * width + x];
                    sum += weight(dy) * weight(dx) * f64::from(value);
                }
            }
            blurred.push(sum / total.powi(2));
        }
        blurred
    }

    #[test]
    fn lines_are_reflected_without_their_ends() {
        let seen: Vec<usize> = (-3..7).map(|at| reflect(at, 4)).collect();
        assert_eq!(seen, [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]);
    }

    #[test]
    fn both_passes_are_the_kernel_in_two_dimensions() {
        let shapes = [[3, 5, 4], [1, 33, 70], [2, 12, 32], [1, 12, 65]];
        for (shape, (kernel_size, sigma)) in shapes.into_iter().zip([(7, 2.0), (23, 0.4), (5, 1.2), (23, 9.0)]) {
            let data = (0..shape.iter().product()).map(|i| (i * i % 97) as f32 / 96.0).collect();
            let image = FloatImage::new(shape, data).unwrap();
            let mut blurred = image.clone();
            blurred.gaussian_blur(kernel_size, sigma).unwrap();
            let expected = by_definition(&image, kernel_size, sigma);
            let differences = blurred.data().iter().zip(&expected).map(|(&a, b)| (f64::from(a) - b).abs());
            let worst = differences.fold(0.0, f64::max);
            assert!(worst < 1e-6, "{shape:?} {kernel_size} {sigma}: {worst}");
        }
    }

    #[test]
    fn a_kernel_of_one_value_or_of_no_width_changes_nothing() {
        let image = FloatImage::new([1, 2, 3], vec![0.1, 0.9, 0.3, 0.7, 0.2, 1.0]).unwrap();
        for (kernel_size, sigma) in [(1, 5.0), (3, 1e-3), (3, f64::MIN_POSITIVE)] {
            let mut blurred = image.clone();
            blurred.gaussian_blur(kernel_size, sigma).unwrap();
            assert_eq!(blurred, image);
        }
    }

    #[test]
    fn what_makes_no_sense_or_cannot_be_reflected_is_refused() {
        let mut image = FloatImage::new([1, 3, 9], vec![0.5; 27]).unwrap();
        assert!(image.gaussian_blur(5, 1.0).is_ok());
        assert_eq!(
            image.gaussian_blur(7, 1.0).unwrap_err().to_string(),
            "gaussian blur: image is 9×3, expected sides above 3 for a kernel of 7"
        );
        assert_eq!(
            image.gaussian_blur(4, 1.0).unwrap_err().to_string(),
            "gaussian blur: kernel size is 4, expected an odd number"
        );
        for (kernel_size, sigma) in
            [(0, 1.0), (3, 0.0), (3, -1.0), (3, f64::NAN), (3, f64::INFINITY), (usize::MAX, 1.0)]
        {
            assert!(matches!(image.gaussian_blur(kernel_size, sigma), Err(DataError::Argument { .. })));
        }
    }
}
