//! Contact sheets: many images in a grid.

use sconce_data::{DataError, Image, ImageDataset, Resize};

use crate::eval::Predictions;

/// Images of a sheet, and in a row of it.
const MANY: usize = 60;
const COLUMNS: usize = 12;
/// Pixels of an image's longer side, and of the frame around it.
const SIDE: usize = 64;
const FRAME: usize = 4;

const NEUTRAL: [u8; 3] = [128, 128, 128];
const WRONG: [u8; 3] = [214, 39, 40];

/// The training images with the smallest α, smallest first; framed in red where the label that was given is wrong.
pub(super) fn least_certain(
    predictions: &Predictions,
    dataset: &ImageDataset,
    truth: &[u32],
) -> Result<Image, DataError> {
    let cells = by_alpha(predictions)
        .into_iter()
        .take(MANY)
        .map(|i| {
            let index = predictions.indices[i];
            let frame = if dataset.label(index) == truth[index] { NEUTRAL } else { WRONG };
            Ok((dataset.image(index)?, frame))
        })
        .collect::<Result<Vec<_>, DataError>>()?;
    sheet(cells)
}

/// Leaves of `images`, each with its α, those that a sheet shows, smallest α first.
pub(super) fn keep_least_certain(images: &mut Vec<(f64, Image)>) {
    images.sort_by(|a, b| a.0.total_cmp(&b.0));
    images.truncate(MANY);
}

/// `images` in their order.
pub(super) fn sheet_of(images: Vec<(f64, Image)>) -> Result<Image, DataError> {
    sheet(images.into_iter().map(|(_, image)| (image, NEUTRAL)).collect())
}

/// Positions in `predictions`, by ascending α.
fn by_alpha(predictions: &Predictions) -> Vec<usize> {
    let mut order: Vec<usize> = (0..predictions.alpha.len()).collect();
    order.sort_by(|&a, &b| predictions.alpha[a].total_cmp(&predictions.alpha[b]));
    order
}

/// A grid of images, each scaled into a square and framed in a colour of its own.
fn sheet(cells: Vec<(Image, [u8; 3])>) -> Result<Image, DataError> {
    let cell = SIDE + 2 * FRAME;
    let columns = cells.len().clamp(1, COLUMNS);
    let rows = cells.len().div_ceil(columns).max(1);
    let (width, height) = (columns * cell, rows * cell);
    let mut pixels = vec![255u8; width * height * 3];
    for (i, (image, frame)) in cells.into_iter().enumerate() {
        let scale = SIDE as f64 / image.width().max(image.height()) as f64;
        let size = |n: usize| ((n as f64 * scale).round() as usize).clamp(1, SIDE);
        let resize = Resize { width: size(image.width()), height: size(image.height()), antialias: true };
        let image = resize.apply(image.into_rgb())?;
        let (left, top) = (i % columns * cell, i / columns * cell);
        for y in 0..cell {
            let row = ((top + y) * width + left) * 3;
            for (x, pixel) in pixels[row..row + cell * 3].chunks_exact_mut(3).enumerate() {
                let inside = |v: usize| v.checked_sub(FRAME).filter(|&v| v < SIDE);
                let at = inside(x).zip(inside(y));
                let colour = match at {
                    Some((x, y)) if x < image.width() && y < image.height() => {
                        let start = (y * image.width() + x) * 3;
                        [image.data()[start], image.data()[start + 1], image.data()[start + 2]]
                    }
                    Some(_) => [255; 3],
                    None => frame,
                };
                pixel.copy_from_slice(&colour);
            }
        }
    }
    Image::new(width, height, 3, pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_frames_each_image_in_its_colour() {
        let image = |value| Image::new(2, 4, 1, vec![value; 8]).unwrap();
        let sheet = sheet(vec![(image(10), WRONG), (image(200), NEUTRAL)]).unwrap();
        let cell = SIDE + 2 * FRAME;
        assert_eq!((sheet.width(), sheet.height()), (2 * cell, cell));
        let pixel = |x: usize, y: usize| &sheet.data()[(y * sheet.width() + x) * 3..][..3];
        assert_eq!(pixel(0, 0), WRONG);
        assert_eq!(pixel(cell, 0), NEUTRAL);
        assert_eq!(pixel(FRAME, FRAME), [10; 3]);
        assert_eq!(pixel(cell + FRAME, FRAME), [200; 3]);
        // The image is half as wide as high; beside it is white.
        assert_eq!(pixel(FRAME + SIDE - 1, FRAME), [255; 3]);
    }

    #[test]
    fn the_order_is_by_alpha() {
        let predictions = Predictions { indices: vec![5, 6, 7], alpha: vec![0.5, 0.1, 0.3], probabilities: vec![] };
        assert_eq!(by_alpha(&predictions), [1, 2, 0]);
    }
}
