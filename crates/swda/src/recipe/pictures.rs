//! Pictures of what a detector finds.

use std::path::PathBuf;

use sconce_core::{files::write_atomic, geometry::BBox};
use sconce_data::{ContactSheet, DetectionDataset, DrawnBox, Image, draw_boxes};
use sconce_detection::Detection;
use sconce_engine::Run;

use super::{
    Config,
    outcome::{Examined, picture},
};
use crate::eval::Results;

/// Images of a sheet.
const MANY: usize = 12;
/// A detection that is drawn has at least this score, unless another is asked for.
pub(super) const SURE: f64 = 0.5;

/// The first images of a dataset with what was found on them.
pub(super) fn sheet(results: &Results, data: &DetectionDataset) -> anyhow::Result<Image> {
    let cells = results.images.iter().take(MANY).enumerate();
    let cells = cells.map(|(i, result)| Ok((drawn(data.image(i)?, &result.detections, data.classes(), SURE), FRAME)));
    let cells = cells.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(ContactSheet { columns: 4, side: 256, frame: 3 }.draw(cells)?)
}

/// Those images of a dataset that a sheet shows.
pub(super) fn first(data: &DetectionDataset) -> anyhow::Result<DetectionDataset> {
    Ok(data.subset(&(0..MANY.min(data.len())).collect::<Vec<_>>())?)
}

const FRAME: [u8; 3] = [128, 128, 128];

/// An image with boxes, classes and scores of what is found with `min_score` at least.
pub(super) fn drawn(image: Image, found: &[Detection], classes: &[String], min_score: f64) -> Image {
    let boxes: Vec<DrawnBox> = found
        .iter()
        .filter(|d| d.score >= min_score)
        .map(|d| {
            let class = classes.get(d.label as usize).map_or("?", String::as_str);
            DrawnBox { bbox: d.bbox, label: d.label, text: format!("{class} {:.2}", d.score) }
        })
        .collect();
    draw_boxes(image, &boxes)
}

/// [`drawn`] within a frame that says which score is the least.
pub(super) fn captioned(image: Image, found: &[Detection], classes: &[String], min_score: f64) -> Image {
    let whole = BBox::new(0.0, 0.0, image.width() as f64, image.height() as f64);
    // A colour that no class has, unless there are as many classes as colours.
    let frame = DrawnBox { bbox: whole, label: classes.len() as u32, text: format!("min score {min_score:.2}") };
    drawn(draw_boxes(image, &[frame]), found, classes, min_score)
}

/// The first images of both domains at the first evaluation: what the detector finds there early in training, to be laid beside
/// what it finds at the end.
pub(super) struct Early {
    /// Where the pictures go; nowhere if this process draws none, or has drawn them.
    folder: Option<PathBuf>,
}

impl Early {
    pub(super) fn new(config: &Config, run: &Run) -> anyhow::Result<Self> {
        let draws = config.evaluation.every > 0 && run.is_root();
        Ok(Self { folder: if draws { Some(run.pictures()?) } else { None } })
    }

    pub(super) fn draw_once(&mut self, examined: &[Examined<'_>]) -> anyhow::Result<()> {
        let Some(folder) = self.folder.take() else { return Ok(()) };
        for of in examined.iter().filter(|of| of.split != "validation" || examined.len() == 1) {
            let path = folder.join(format!("{}-early.png", picture(of.split)));
            // A run that resumes behind its first evaluation has it.
            if !path.exists() {
                write_atomic(&path, &sheet(&of.results, of.data)?.encode_png()?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_seen() {
        let white = || Image::new(60, 40, 3, vec![255; 7200]).unwrap();
        let found = Detection { bbox: BBox::new(10.0, 10.0, 50.0, 35.0), label: 0, score: 0.9 };
        let drawn = |found: &[Detection], min_score| drawn(white(), found, &["bird".to_owned()], min_score);
        assert_ne!(drawn(&[found], 0.9), white());
        assert_eq!(drawn(&[found], 0.91), white());
        assert_eq!(drawn(&[], 0.5), white());
        let wide = || Image::new(200, 100, 3, vec![255; 60_000]).unwrap();
        assert!(captioned(wide(), &[], &[], 0.5) != captioned(wide(), &[], &[], 0.6));
    }
}
