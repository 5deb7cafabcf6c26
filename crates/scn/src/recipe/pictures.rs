//! Contact sheets of the images that a network is least certain of.

use sconce_data::{ContactSheet, DataError, Image, ImageDataset};

use crate::eval::Predictions;

/// Images of a sheet.
const MANY: usize = 60;

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
    ContactSheet::default().draw(cells)
}

/// Leaves of `images`, each with its α, those that a sheet shows, smallest α first.
pub(super) fn keep_least_certain(images: &mut Vec<(f64, Image)>) {
    images.sort_by(|a, b| a.0.total_cmp(&b.0));
    images.truncate(MANY);
}

/// `images` in their order.
pub(super) fn sheet_of(images: Vec<(f64, Image)>) -> Result<Image, DataError> {
    ContactSheet::default().draw(images.into_iter().map(|(_, image)| (image, NEUTRAL)).collect())
}

/// Positions in `predictions`, by ascending α.
fn by_alpha(predictions: &Predictions) -> Vec<usize> {
    let mut order: Vec<usize> = (0..predictions.alpha.len()).collect();
    order.sort_by(|&a, &b| predictions.alpha[a].total_cmp(&predictions.alpha[b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_by_alpha() {
        let predictions = Predictions { indices: vec![5, 6, 7], alpha: vec![0.5, 0.1, 0.3], probabilities: vec![] };
        assert_eq!(by_alpha(&predictions), [1, 2, 0]);
    }
}
