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

/// The first images of both domains at the first evaluation: what the detector finds there early in training, to be laid beside
/// what it finds at the end.
pub(super) struct Early {
    /// What is drawn, and where it goes; nothing if this process draws none, or has drawn it.
    sheets: Cell<Vec<(DetectionDataset, PathBuf)>>,
}

impl Early {
    pub(super) fn new(config: &Config, data: &Datasets, run: &Run) -> anyhow::Result<Self> {
        let mut sheets = Vec::new();
        if config.evaluation.every > 0 && run.is_root() {
            let folder = run.pictures()?;
            for (name, images) in
                [("target-early.png", Some(&data.test)), ("source-early.png", data.source_test.as_ref())]
            {
                let path = folder.join(name);
                // A run that resumes behind its first evaluation has it.
                if let (Some(images), false) = (images, path.exists()) {
                    let first: Vec<usize> = (0..MANY.min(images.len())).collect();
                    sheets.push((images.subset(&first)?, path));
                }
            }
        }
        Ok(Self { sheets: Cell::new(sheets) })
    }

    pub(super) fn draw_once(&self, config: &Config, model: &Swda, device: &Device) -> anyhow::Result<()> {
        for (images, path) in self.sheets.take() {
            let results = outcome::results(config, model, &images, device)?;
            write_atomic(&path, &sheet(&results, &images)?.encode_png()?)?;
        }
        Ok(())
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
