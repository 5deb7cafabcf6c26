//! Pictures of what a detector finds.

use std::{cell::Cell, path::PathBuf};

use sconce_core::{Device, files::write_atomic};
use sconce_data::{ContactSheet, DetectionDataset, DrawnBox, Image, draw_boxes};
use sconce_detection::Detection;
use sconce_engine::Run;

use super::{Config, outcome};
use crate::{data::Datasets, eval::Results, model::Swda};

/// Images of a sheet.
const MANY: usize = 12;
/// A detection that is drawn has at least this score.
const SURE: f64 = 0.5;

/// The first images of a dataset with what was found on them.
pub(super) fn sheet(results: &Results, data: &DetectionDataset) -> anyhow::Result<Image> {
    let cells = results.images.iter().take(MANY).enumerate();
    let cells = cells.map(|(i, result)| Ok((drawn(data.image(i)?, &result.detections, data.classes()), FRAME)));
    let cells = cells.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(ContactSheet { columns: 4, side: 256, frame: 3 }.draw(cells)?)
}

const FRAME: [u8; 3] = [128, 128, 128];

/// An image with boxes, classes and scores of what is more likely than not on it.
pub(super) fn drawn(image: Image, found: &[Detection], classes: &[String]) -> Image {
    let boxes: Vec<DrawnBox> = found
        .iter()
        .filter(|d| d.score >= SURE)
        .map(|d| {
            let class = classes.get(d.label as usize).map_or("?", String::as_str);
            DrawnBox { bbox: d.bbox, label: d.label, text: format!("{class} {:.2}", d.score) }
        })
        .collect();
    draw_boxes(image, &boxes)
}

/// The target's first images after the first evaluation: what the detector finds there early in training, to be laid beside
/// what it finds at the end.
pub(super) struct Early {
    images: DetectionDataset,
    /// Where the picture goes; nowhere if this process draws none, or has drawn it.
    path: Cell<Option<PathBuf>>,
}

impl Early {
    pub(super) fn new(config: &Config, data: &Datasets, run: &Run) -> anyhow::Result<Self> {
        let n = MANY.min(data.test.len());
        let images = data.test.subset(&(0..n).collect::<Vec<_>>())?;
        let is_wanted = config.evaluation.every > 0 && run.is_root();
        let path = is_wanted.then(|| run.pictures().map(|folder| folder.join("target-early.png"))).transpose()?;
        // A run that resumes behind its first evaluation has it.
        let path = path.filter(|path| !path.exists());
        Ok(Self { images, path: Cell::new(path) })
    }

    pub(super) fn draw_once(&self, config: &Config, model: &Swda, device: &Device) -> anyhow::Result<()> {
        let Some(path) = self.path.take() else { return Ok(()) };
        let results = outcome::results(config, model, &self.images, device)?;
        Ok(write_atomic(&path, &sheet(&results, &self.images)?.encode_png()?)?)
    }
}

#[cfg(test)]
mod tests {
    use sconce_core::geometry::BBox;

    use super::*;

    #[test]
    fn what_is_found_is_seen() {
        let white = || Image::new(60, 40, 3, vec![255; 7200]).unwrap();
        let found = Detection { bbox: BBox::new(10.0, 10.0, 50.0, 35.0), label: 0, score: 0.9 };
        let picture = drawn(white(), &[found], &["bird".to_owned()]);
        assert_ne!(picture, white());
        assert_eq!(drawn(white(), &[], &[]), white());
    }
}
