//! COCO's average precision, from files to the twelve numbers.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use sconce_core::{Rng, Tensor};
use sconce_detection::evaluation::coco::{CocoDetections, CocoGroundTruth, CocoParams, Unknown, evaluate};
use serde_json::{Value, json};

use super::{Workload, WorkloadSpec};
use crate::bench::exchange;

pub(super) const WORKLOADS: &[WorkloadSpec] =
    &[WorkloadSpec { name: "coco bbox eval 5000 images x100", make: || Ok(Box::new(Evaluation { folder: None })) }];

const N_IMAGES: usize = 5000;
/// Images that both sides evaluate to see that they agree.
const N_CHECKED: usize = 100;
const CLASSES: usize = 80;
const OBJECTS: usize = 12;
const DETECTIONS: usize = 100;

/// Reads `gt.json` and `dt.json`, and evaluates them.
struct Evaluation {
    folder: Option<PathBuf>,
}

impl Evaluation {
    fn stats(&self, part: &str) -> Result<[f64; 12]> {
        let folder = self.folder.as_ref().context("the files were not written")?.join(part);
        let ground_truth = CocoGroundTruth::read(&folder.join("gt.json"), Unknown::Refuse)?;
        let detections = CocoDetections::read(&folder.join("dt.json"), &ground_truth, Unknown::Refuse)?;
        Ok(evaluate(&ground_truth, &detections, &CocoParams::default())?.summary().stats())
    }
}

impl Workload for Evaluation {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        BTreeMap::new()
    }

    /// Both sides read the same files, below `folder/all` and, of few images, `folder/few`.
    fn export(&mut self, folder: &Path) -> Result<()> {
        write(&folder.join("all"), N_IMAGES)?;
        write(&folder.join("few"), N_CHECKED)?;
        self.folder = Some(folder.to_owned());
        exchange::write(folder, &self.tensors())
    }

    fn check(&mut self) -> Result<Vec<f64>> {
        Ok(self.stats("few")?.to_vec())
    }

    fn run(&mut self) -> Result<()> {
        self.stats("all")?;
        Ok(())
    }
}

/// Writes images with up to `OBJECTS` objects, and as many detections as count, half of them near an object.
fn write(folder: &Path, n_images: usize) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut rng = Rng::new(0, "coco");
    let (mut annotations, mut detections) = (Vec::new(), Vec::new());
    for image in 1..=n_images {
        let first = annotations.len();
        for _ in 0..rng.below(OBJECTS + 1) {
            let [x, y, w, h] = random_box(&mut rng);
            annotations.push(json!({
                "id": annotations.len() + 1, "image_id": image, "category_id": rng.below(CLASSES) + 1,
                "bbox": [x, y, w, h], "area": w * h, "iscrowd": u8::from(rng.bernoulli(0.02)),
            }));
        }
        for i in 0..DETECTIONS {
            let here = &annotations[first..];
            let (category, bbox) = match here.get(i % here.len().max(1)) {
                Some(near) if i % 2 == 0 => (near["category_id"].clone(), moved(&mut rng, &near["bbox"])?),
                _ => (json!(rng.below(CLASSES) + 1), random_box(&mut rng)),
            };
            let score = (rng.uniform(0.0, 1.0) * 1000.0).round() / 1000.0;
            detections.push(json!({"image_id": image, "category_id": category, "bbox": bbox, "score": score}));
        }
    }
    let images: Vec<Value> = (1..=n_images).map(|id| json!({"id": id, "width": 640, "height": 480})).collect();
    let categories: Vec<Value> = (1..=CLASSES).map(|id| json!({"id": id, "name": format!("class {id}")})).collect();
    let ground_truth = json!({"images": images, "categories": categories, "annotations": annotations});
    write_json(&folder.join("gt.json"), &ground_truth)?;
    write_json(&folder.join("dt.json"), &Value::Array(detections))
}

/// x, y, width and height in an image of 640 × 480, to a tenth of a pixel.
fn random_box(rng: &mut Rng) -> [f64; 4] {
    let (w, h) = (8.0 * 2f64.powf(rng.uniform(0.0, 5.0)), 8.0 * 2f64.powf(rng.uniform(0.0, 5.0)));
    [rng.uniform(0.0, 640.0 - w), rng.uniform(0.0, 480.0 - h), w, h].map(tenth)
}

fn moved(rng: &mut Rng, bbox: &Value) -> Result<[f64; 4]> {
    let [x, y, w, h]: [f64; 4] = serde_json::from_value(bbox.clone())?;
    let mut by = |size: f64| size * rng.uniform(-0.15, 0.15);
    Ok([x + by(w), y + by(h), w + by(w), h + by(h)].map(tenth))
}

fn tenth(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let mut file = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
    serde_json::to_writer(&mut file, value)?;
    file.flush().with_context(|| path.display().to_string())
}
