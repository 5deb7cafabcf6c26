//! The picture of a scene while it is painted, and which object each of its pixels shows.

use sconce_core::Rng;

use super::{Background, Weather, sprite::Sprite};
use crate::{Image, Result};

/// A picture of values from 0 to 1.
#[derive(Clone, Debug)]
pub(super) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<[f64; 3]>,
    /// The object that each pixel shows, if any.
    owner: Vec<Option<usize>>,
}

impl Canvas {
    /// A flat or a gradient background, drawn from `rng`. Draws: which of both, only where both may be; the first colour; for a
    /// gradient the second one, then its direction.
    pub(super) fn painted(background: Background, (width, height): (usize, usize), rng: &mut Rng) -> Self {
        let is_flat = match background {
            Background::Flat => true,
            Background::FlatOrGradient => rng.bernoulli(0.5),
            Background::Gradient | Background::Photo => false,
        };
        let mut colour = || [0; 3].map(|_: u8| rng.uniform(0.0, 1.0));
        let first = colour();
        if is_flat {
            return Self::new((width, height), vec![first; width * height]);
        }
        let second = colour();
        let (sin, cos) = rng.uniform(0.0, std::f64::consts::TAU).sin_cos();
        // Along the direction, from 0 in one corner to 1 in the opposite one.
        let reach = width as f64 * cos.abs() + height as f64 * sin.abs();
        let pixel = |i: usize| {
            let x = (i % width) as f64 + 0.5 - width as f64 / 2.0;
            let y = (i / width) as f64 + 0.5 - height as f64 / 2.0;
            blend(first, second, 0.5 + (x * cos + y * sin) / reach)
        };
        Self::new((width, height), (0..width * height).map(pixel).collect())
    }

    /// A photo as background.
    pub(super) fn photo(photo: Image) -> Self {
        let size = (photo.width(), photo.height());
        let photo = photo.into_rgb();
        let pixels = photo.data().as_chunks::<3>().0.iter().map(|pixel| pixel.map(|v| f64::from(v) / 255.0));
        Self::new(size, pixels.collect())
    }

    fn new((width, height): (usize, usize), pixels: Vec<[f64; 3]>) -> Self {
        Self { width, height, pixels, owner: vec![None; width * height] }
    }

    /// How many pixels of each of `n_objects` objects `sprite` would hide at `place`, the column and row of its corner.
    pub(super) fn hidden(&self, sprite: &Sprite, place: (usize, usize), n_objects: usize) -> Vec<usize> {
        let mut hidden = vec![0; n_objects];
        for i in (0..sprite.pixels.len()).filter(|&i| sprite.is_opaque(i)) {
            if let Some(owner) = self.owner[self.at(sprite, place, i)] {
                hidden[owner] += 1;
            }
        }
        hidden
    }

    /// Paints `sprite` over what is there, as object `owner`.
    pub(super) fn paint(&mut self, sprite: &Sprite, place: (usize, usize), owner: usize) {
        for (i, &[red, green, blue, alpha]) in sprite.pixels.iter().enumerate() {
            let at = self.at(sprite, place, i);
            let pixel = &mut self.pixels[at];
            pixel.iter_mut().zip([red, green, blue]).for_each(|(old, new)| *old = *old * (1.0 - alpha) + new);
            if sprite.is_opaque(i) {
                self.owner[at] = Some(owner);
            }
        }
    }

    /// Where pixel `i` of a sprite lies.
    fn at(&self, sprite: &Sprite, (left, top): (usize, usize), i: usize) -> usize {
        (top + i / sprite.width) * self.width + left + i % sprite.width
    }

    /// Lets the weather in. Draws: the strength of fog.
    pub(super) fn weather(&mut self, weather: Weather, rng: &mut Rng) {
        let Weather::Fog { strength } = weather else { return };
        let strength = rng.uniform(strength[0], strength[1]);
        let last = self.height.max(2) - 1;
        for (y, row) in self.pixels.chunks_exact_mut(self.width).enumerate() {
            let distance = 1.0 - y as f64 / last as f64;
            let share = strength * (0.7 + 0.3 * distance);
            row.iter_mut().for_each(|pixel| *pixel = blend(*pixel, [1.0; 3], share));
        }
    }

    /// The object that each pixel shows, if any, row by row.
    pub(super) fn owner(&self) -> &[Option<usize>] {
        &self.owner
    }

    /// The picture in 8 bits.
    pub(super) fn into_image(self) -> Result<Image> {
        let values = self.pixels.iter().flatten().map(|value| (value * 255.0).round() as u8);
        Image::new(self.width, self.height, 3, values.collect())
    }
}

fn blend(first: [f64; 3], second: [f64; 3], share: f64) -> [f64; 3] {
    std::array::from_fn(|k| first[k] * (1.0 - share) + second[k] * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::tests::draws;

    fn painted(background: Background, rng: &mut Rng) -> Image {
        Canvas::painted(background, (9, 6), rng).into_image().unwrap()
    }

    fn is_flat(image: &Image) -> bool {
        image.data().as_chunks::<3>().0.iter().all(|pixel| pixel[..] == image.data()[..3])
    }

    #[test]
    fn backgrounds_are_flat_or_go_from_colour_to_colour() {
        assert!(draws(20, |rng| painted(Background::Flat, rng)).iter().all(is_flat));
        let gradients = draws(20, |rng| Canvas::painted(Background::Gradient, (9, 6), rng));
        for canvas in &gradients {
            // Equal steps along rows, and in [0, 1] everywhere.
            let step = |at: usize| canvas.pixels[at + 1][0] - canvas.pixels[at][0];
            assert!((0..53).filter(|at| at % 9 != 8).all(|at| (step(at) - step(0)).abs() < 1e-12));
            assert!(canvas.pixels.iter().flatten().all(|v| (0.0..=1.0).contains(v)));
        }
        let n = draws(400, |rng| painted(Background::FlatOrGradient, rng)).iter().filter(|i| is_flat(i)).count();
        assert!(n.abs_diff(200) < 50, "{n}"); // five standard deviations
    }

    #[test]
    fn fog_is_thicker_above_and_never_darkens() {
        let mut canvas = Canvas::new((2, 3), vec![[0.0, 0.5, 1.0]; 6]);
        canvas.weather(Weather::Fog { strength: [0.8, 0.8] }, &mut Rng::new(0, "test"));
        // a = 0.8, 0.68 and 0.56: from the upper to the lower edge.
        for (y, share) in [0.8, 0.68, 0.56].into_iter().enumerate() {
            let expected = [share, 0.5 + 0.5 * share, 1.0];
            let found = canvas.pixels[2 * y + 1];
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
        }
        let before = canvas.pixels.clone();
        canvas.weather(Weather::Clear, &mut Rng::new(0, "test"));
        assert_eq!(canvas.pixels, before);
    }

    #[test]
    fn a_sprite_is_blended_by_its_opacity_and_owns_what_it_covers_by_half() {
        let mut canvas = Canvas::new((3, 2), vec![[1.0; 3]; 6]);
        let half = [0.0, 0.25, 0.5, 0.5];
        let sprite =
            Sprite { width: 2, height: 1, pixels: vec![[0.1, 0.0, 0.0, 0.125], half.map(|v| f64::from(v as f32))] };
        canvas.paint(&sprite, (1, 1), 3);
        assert_eq!(canvas.pixels[4], [0.975, 0.875, 0.875]);
        assert_eq!(canvas.pixels[5], [0.5, 0.75, 1.0]);
        // 0.5 is 127.5 of 255, less than 128.
        assert_eq!(canvas.owner(), [None; 6]);
        let full = Sprite { width: 1, height: 1, pixels: vec![[0.2, 0.2, 0.2, 1.0]] };
        canvas.paint(&full, (2, 0), 4);
        canvas.paint(&full, (2, 1), 5);
        assert_eq!(canvas.owner(), [None, None, Some(4), None, None, Some(5)]);
        let wide = Sprite { width: 3, height: 2, pixels: vec![[0.0, 0.0, 0.0, 1.0]; 6] };
        assert_eq!(canvas.hidden(&wide, (0, 0), 6), [0, 0, 0, 0, 1, 1]);
    }
}
