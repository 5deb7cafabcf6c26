//! A cut-out at the size, the angle and the aspect at which a scene shows it.

use super::cut_out::{CutOut, OPAQUE};

/// The fewest and the most samples of the cut-out along each side of a pixel: one for each of its pixels that is covered.
const SAMPLES: [f64; 2] = [4.0, 64.0];

/// How a cut-out is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pose {
    /// Pixels of the longer side of the box around it.
    pub(super) size: f64,
    /// Counter-clockwise, in radians.
    pub(super) angle: f64,
    /// By how much more the width is multiplied than the height, before it is turned.
    pub(super) stretch: f64,
    pub(super) is_mirrored: bool,
}

/// A cut-out in a pose, in pixels of a scene.
#[derive(Clone, Debug)]
pub(super) struct Sprite {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Red, green and blue times how opaque, and how opaque: 0 to 1 each.
    pub(super) pixels: Vec<[f64; 4]>,
}

impl Sprite {
    /// `cut_out` in `pose`: every pixel is the mean of what it covers.
    pub(super) fn new(cut_out: &CutOut, pose: &Pose) -> Self {
        let turn = Turn::new(cut_out, pose);
        // A whole number of pixels is one in spite of the rounding.
        let side = |extent: [f64; 2]| (((extent[1] - extent[0]) * turn.scale - 1e-6).ceil() as usize).max(1);
        let (width, height) = (side(turn.x), side(turn.y));
        let covered = 1.0 / (turn.scale * turn.axes[0].abs().min(turn.axes[1]));
        let samples = covered.ceil().clamp(SAMPLES[0], SAMPLES[1]) as usize;
        let pixel = |i: usize| {
            let mut sum = [0.0; 4];
            for sample in 0..samples * samples {
                let offset = |n: usize| (n as f64 + 0.5) / samples as f64;
                let x = (i % width) as f64 + offset(sample % samples);
                let y = (i / width) as f64 + offset(sample / samples);
                let value = bilinear(cut_out, turn.source(x, y));
                sum.iter_mut().zip(value).for_each(|(sum, value)| *sum += value);
            }
            sum.map(|sum| sum / (samples * samples) as f64)
        };
        Self { width, height, pixels: (0..width * height).map(pixel).collect() }
    }

    /// Whether pixel `i` belongs to the object.
    pub(super) fn is_opaque(&self, i: usize) -> bool {
        self.pixels[i][3] * 255.0 >= f64::from(OPAQUE)
    }
}

/// From a place in a sprite to one in its cut-out.
struct Turn {
    sin: f64,
    cos: f64,
    /// Stretch along the cut-out's axes; negative where it is mirrored.
    axes: [f64; 2],
    centre: [f64; 2],
    /// The extents of the opaque pixels after stretching and turning.
    x: [f64; 2],
    y: [f64; 2],
    /// Pixels of the sprite in a unit of these extents.
    scale: f64,
}

impl Turn {
    fn new(cut_out: &CutOut, pose: &Pose) -> Self {
        let (sin, cos) = pose.angle.sin_cos();
        let stretch = pose.stretch.sqrt();
        let axes = [if pose.is_mirrored { -stretch } else { stretch }, 1.0 / stretch];
        let centre = [cut_out.width() as f64 / 2.0, cut_out.height() as f64 / 2.0];
        let mut turn = Self { sin, cos, axes, centre, x: [f64::MAX, f64::MIN], y: [f64::MAX, f64::MIN], scale: 1.0 };
        for (i, _) in cut_out.pixels().iter().enumerate().filter(|(_, pixel)| pixel[3] >= OPAQUE) {
            let (left, top) = ((i % cut_out.width()) as f64, (i / cut_out.width()) as f64);
            for (x, y) in [(left, top), (left + 1.0, top), (left, top + 1.0), (left + 1.0, top + 1.0)] {
                let (x, y) = turn.target(x, y);
                turn.x = [turn.x[0].min(x), turn.x[1].max(x)];
                turn.y = [turn.y[0].min(y), turn.y[1].max(y)];
            }
        }
        turn.scale = pose.size / (turn.x[1] - turn.x[0]).max(turn.y[1] - turn.y[0]);
        turn
    }

    /// Where a place of the cut-out lies once it is stretched and turned.
    fn target(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = ((x - self.centre[0]) * self.axes[0], (y - self.centre[1]) * self.axes[1]);
        (x * self.cos + y * self.sin, y * self.cos - x * self.sin)
    }

    /// The place of the cut-out that is seen at (`x`, `y`) of the sprite.
    fn source(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = (x / self.scale + self.x[0], y / self.scale + self.y[0]);
        let (x, y) = (x * self.cos - y * self.sin, y * self.cos + x * self.sin);
        (x / self.axes[0] + self.centre[0], y / self.axes[1] + self.centre[1])
    }
}

/// The colour times how opaque, and how opaque, at a place of the cut-out; nothing around it.
fn bilinear(cut_out: &CutOut, (x, y): (f64, f64)) -> [f64; 4] {
    let (x, y) = (x - 0.5, y - 0.5);
    let (left, top) = (x.floor(), y.floor());
    let (right_part, lower_part) = (x - left, y - top);
    let mut sum = [0.0; 4];
    for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        let (column, row) = (left as i64 + dx, top as i64 + dy);
        let inside = |at: i64, side: usize| usize::try_from(at).ok().filter(|&at| at < side);
        let (Some(column), Some(row)) = (inside(column, cut_out.width()), inside(row, cut_out.height())) else {
            continue;
        };
        let part = |take: i64, part: f64| if take == 1 { part } else { 1.0 - part };
        let [red, green, blue, alpha] = cut_out.pixels()[row * cut_out.width() + column].map(|v| f64::from(v) / 255.0);
        let weight = part(dx, right_part) * part(dy, lower_part) * alpha;
        sum.iter_mut().zip([red, green, blue, 1.0]).for_each(|(sum, value)| *sum += weight * value);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPRIGHT: Pose = Pose { size: 4.0, angle: 0.0, stretch: 1.0, is_mirrored: false };

    /// Four by two pixels, all of their own colour, opaque.
    fn cut_out() -> CutOut {
        let pixels = (0..8).map(|i| [30 * i, 255 - 30 * i, 7 * i, 255]).collect();
        CutOut::new(("test", "test"), 0, (4, 2), pixels).unwrap()
    }

    /// What is seen, in 0 to 255, without what is not opaque.
    fn reds(sprite: &Sprite) -> Vec<u8> {
        sprite.pixels.iter().map(|p| (p[0] / p[3] * 255.0).round() as u8).collect()
    }

    #[test]
    fn quarter_turns_and_mirrors_move_pixels() {
        // Large enough that the middle of a pixel is seen in the middle of a block of 8 by 8.
        let block = |pose: Pose| {
            let sprite = Sprite::new(&cut_out(), &Pose { size: 32.0, ..pose });
            let (columns, rows) = (sprite.width / 8, sprite.height / 8);
            let at = |i: usize| {
                let near: Vec<u8> = [(3, 3), (4, 3), (3, 4), (4, 4)]
                    .iter()
                    .map(|(x, y)| reds(&sprite)[(i / columns * 8 + y) * sprite.width + i % columns * 8 + x])
                    .collect();
                (near.iter().map(|&v| f64::from(v)).sum::<f64>() / 4.0 / 30.0).round() as u8
            };
            ((columns, rows), (0..columns * rows).map(at).collect::<Vec<u8>>())
        };
        assert_eq!(block(UPRIGHT), ((4, 2), vec![0, 1, 2, 3, 4, 5, 6, 7]));
        assert_eq!(block(Pose { is_mirrored: true, ..UPRIGHT }), ((4, 2), vec![3, 2, 1, 0, 7, 6, 5, 4]));
        let quarter = Pose { angle: std::f64::consts::FRAC_PI_2, ..UPRIGHT };
        // Counter-clockwise: the right column becomes the upper row.
        let (size, values) = block(quarter);
        assert_eq!((size, values), ((2, 4), vec![3, 7, 2, 6, 1, 5, 0, 4]));
    }

    #[test]
    fn the_longer_side_has_the_size_and_the_aspect_follows() {
        for (stretch, size, expected) in
            [(1.0, 20.0, (20, 10)), (0.5, 20.0, (20, 20)), (2.0, 40.0, (40, 10)), (0.125, 32.0, (8, 32))]
        {
            let sprite = Sprite::new(&cut_out(), &Pose { stretch, size, ..UPRIGHT });
            // Rounding may add a row.
            assert!(sprite.width.abs_diff(expected.0) <= 1 && sprite.height.abs_diff(expected.1) <= 1);
            let n_opaque = (0..sprite.pixels.len()).filter(|&i| sprite.is_opaque(i)).count();
            assert!(n_opaque >= (expected.0 - 1) * (expected.1 - 1), "{n_opaque}");
        }
    }

    #[test]
    fn a_large_cut_out_becomes_the_mean_of_what_a_pixel_covers() {
        // Stripes of one pixel: any fewer samples would see one colour alone, or too much of it.
        let pixels = (0..200 * 200).map(|i| [if i % 2 == 0 { 255 } else { 0 }, 100, 0, 255]).collect();
        let cut_out = CutOut::new(("test", "test"), 0, (200, 200), pixels).unwrap();
        let sprite = Sprite::new(&cut_out, &Pose { size: 10.0, ..UPRIGHT });
        assert_eq!((sprite.width, sprite.height), (10, 10));
        assert!(reds(&sprite).iter().all(|red| red.abs_diff(127) <= 2), "{:?}", reds(&sprite));
    }

    #[test]
    fn what_is_not_opaque_has_no_colour_and_no_extent() {
        let clear = [255, 0, 0, 0];
        let pixels = vec![clear, [0, 0, 255, 255], clear, clear, [0, 0, 255, 255], clear];
        let cut_out = CutOut::new(("test", "test"), 0, (3, 2), pixels).unwrap();
        let sprite = Sprite::new(&cut_out, &Pose { size: 10.0, ..UPRIGHT });
        assert_eq!((sprite.width, sprite.height), (5, 10));
        assert!(sprite.pixels.iter().all(|p| p[0] == 0.0 && (p[2] - p[3]).abs() < 1e-12));
        assert!(sprite.pixels.iter().all(|p| (0.0..=1.0).contains(&p[3])));
    }
}
