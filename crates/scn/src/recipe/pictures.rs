//! Contact sheets of the images that a network is least certain of, and of those whose labels it doubts.

use std::path::PathBuf;

use sconce_data::{ContactSheet, DataError, Image, ImageDataset, Resize, SheetCell};

use super::suspects::{Row, Split, Status};
use crate::{data::Datasets, eval::Predictions};

/// Images of a sheet.
pub(super) const MANY: usize = 60;

const NEUTRAL: [u8; 3] = [128, 128, 128];
const WRONG: [u8; 3] = [214, 39, 40];
const RIGHT: [u8; 3] = [44, 160, 44];

/// The training images with the smallest α, smallest first; where the true labels are known, framed in red where the label that
/// was given is wrong.
pub(super) fn least_certain(
    predictions: &Predictions,
    dataset: &ImageDataset,
    truth: Option<&[u32]>,
) -> Result<Image, DataError> {
    let cells = by_alpha(predictions)
        .into_iter()
        .take(MANY)
        .map(|i| {
            let index = predictions.indices[i];
            let is_wrong = truth.is_some_and(|truth| dataset.label(index) != truth[index]);
            let frame = if is_wrong { WRONG } else { NEUTRAL };
            Ok((dataset.image(index)?, frame))
        })
        .collect::<Result<Vec<_>, DataError>>()?;
    ContactSheet::default().draw(cells)
}

/// The images of `rows` with what they were called, what they are called now or might better be called, and the probability of
/// that. Where the true labels are known, frames are green if the new label is the true one, and red if not.
pub(super) fn doubted(
    rows: &[&Row],
    data: &Datasets,
    file: &dyn Fn(&Row) -> PathBuf,
    image: &dyn Fn(&Row) -> Result<Image, DataError>,
) -> Result<Image, DataError> {
    let classes = data.train.classes();
    let cells = rows.iter().map(|row| {
        let (was, now, new) = match row.status {
            Status::Relabelled => ("was", "now", row.current),
            Status::Suspect => ("is", "like", row.predicted),
        };
        let truth = data.truth.as_ref().filter(|_| row.split == Split::Train);
        let frame = truth.map_or(NEUTRAL, |truth| if truth[row.index] == new { RIGHT } else { WRONG });
        let name = file(row).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let labelled = |word: &str, class: u32| {
            format!("{word} {} {:.2}", shortened(&classes[class as usize]), row.probability(class))
        };
        let caption = vec![name, labelled(was, row.given), labelled(now, new)];
        Ok(SheetCell { image: image(row)?, frame, caption })
    });
    let cells = cells.collect::<Result<Vec<_>, DataError>>()?;
    ContactSheet { columns: 6, side: 144, frame: 4 }.draw_captioned(cells)
}

/// The beginning of a class's name, as much as has room with its probability.
fn shortened(class: &str) -> String {
    class.chars().take(14).collect()
}

/// A copy of `image` as small as a sheet shows it.
pub(super) fn thumbnail(image: &Image) -> Result<Image, DataError> {
    let side = ContactSheet::default().side;
    let longer = image.width().max(image.height());
    if longer <= side {
        return Ok(image.clone());
    }
    let scaled = |n: usize| (n * side / longer).max(1);
    Resize { width: scaled(image.width()), height: scaled(image.height()), antialias: true }.apply(image.clone())
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
