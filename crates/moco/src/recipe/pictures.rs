//! Contact sheets of images and what lies near them in feature space.

use sconce_data::{ContactSheet, Image, ResizeShorterSide};

use super::outcome::{Measured, Splits};
use crate::evaluation::{KnnConfig, nearest};

/// Rows of a sheet: an image and what is near it.
pub(super) const ROWS: usize = 12;
/// Images that are shown beside the one they are near to.
pub(super) const NEIGHBOURS: usize = 8;

pub(super) const NEUTRAL: [u8; 3] = [128, 128, 128];
const RIGHT: [u8; 3] = [44, 160, 44];
const WRONG: [u8; 3] = [214, 39, 40];

/// Test images, evenly spread over the test set, and the training images that are nearest to each: green those of its class,
/// red the others.
pub(super) fn neighbours(measured: &Measured, splits: Splits<'_>) -> anyhow::Result<Image> {
    let n = measured.test.len();
    let rows = ROWS.min(n);
    let chosen: Vec<usize> = (0..rows).map(|i| i * n / rows).collect();
    let queries = measured.test.subset(&chosen);
    let found = nearest(&measured.train, &queries, &KnnConfig { k: NEIGHBOURS, temperature: 1.0 })?;
    let columns = 1 + NEIGHBOURS.min(measured.train.len());
    let layout = ContactSheet { columns, ..ContactSheet::default() };
    let mut cells = Vec::new();
    for (&query, found) in chosen.iter().zip(found) {
        cells.push((thumbnail(splits.test.image(query)?, &layout)?, NEUTRAL));
        for (neighbour, _) in found {
            let is_right = splits.train.label(neighbour) == splits.test.label(query);
            let image = thumbnail(splits.train.image(neighbour)?, &layout)?;
            cells.push((image, if is_right { RIGHT } else { WRONG }));
        }
    }
    Ok(layout.draw(cells)?)
}

/// The picture, no larger than the sheet needs: a hundred photographs would not fit into memory.
pub(super) fn thumbnail(image: Image, layout: &ContactSheet) -> sconce_data::Result<Image> {
    let is_small = image.width().min(image.height()) <= layout.side;
    let resize = ResizeShorterSide { size: layout.side, antialias: true };
    if is_small { Ok(image) } else { resize.apply(image) }
}
