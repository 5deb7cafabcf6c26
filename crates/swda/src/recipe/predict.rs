//! `swda predict`: objects in image files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sconce_core::{Device, Rng, files::write_atomic};
use sconce_data::{FloatImage, Image, Orientation, find_images};
use sconce_detection::Detection;
use sconce_engine::{PredictRequest, Predictions};

use super::{
    Config,
    files::{ResultFiles, coco_ids, ids},
    model::Model,
    pictures::{self, SURE},
};
use crate::{eval::unscaled, model::Images};

/// Writes a JSON line for each file: the file, its size, and every detection with box, class and score, best first; of `--min-score`
/// at least, if it is given. With an output folder, also the pictures with the boxes of what is more likely than not, or of that
/// score, and all detections as evaluations read them.
pub(super) fn predict(config: &Config, request: &PredictRequest, lines: &mut Predictions<'_>) -> anyhow::Result<()> {
    let model = Model::open(config, &request.weights, &request.device)?;
    let found = find_images(&request.files);
    found.failed.iter().for_each(|(path, error)| lines.failed(path, error));
    found.left_out.iter().for_each(|(folder, left_out)| lines.note(folder, left_out));
    let files = found.files;
    let ids = ids(&files);
    let mut results = None;
    if let Some(folder) = &request.out {
        // Before the first picture is made.
        let mut paths = BTreeSet::new();
        for id in &ids {
            let path = picture_file(folder, id);
            anyhow::ensure!(!path.exists(), "{} exists: predict overwrites nothing", path.display());
            anyhow::ensure!(paths.insert(path.clone()), "{} is the picture of two files", path.display());
        }
        let mut own = ResultFiles::new(folder, &model.classes, model.category_ids.as_deref())?;
        let data = &model.config.data;
        [Some(&data.source), data.target.as_ref(), data.test.as_ref()].into_iter().flatten().for_each(|i| own.know(i));
        results = Some(own);
    }
    let coco_ids = coco_ids(&ids);
    for (((file, _), id), coco_id) in files.iter().zip(&ids).zip(&coco_ids) {
        let (image, found) = match found_in(&model, file, &request.device) {
            Ok(found) => found,
            Err(error) => {
                lines.failed(file, format!("{error:#}"));
                continue;
            }
        };
        let mut line = line(file, &image, &model.classes, &found, request.min_score);
        if let (Some(folder), Some(results)) = (&request.out, &mut results) {
            let min_score = request.min_score.unwrap_or(SURE);
            let path = picture_file(folder, id);
            line["picture"] = serde_json::json!({ "file": path.display().to_string(), "min_score": min_score });
            results.add(file, (id, coco_id), &found)?;
            let picture = pictures::captioned(image, &found, &model.classes, min_score);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
            }
            write_atomic(&path, &picture.encode_png()?)?;
        }
        lines.line(&line)?;
    }
    results.map_or(Ok(()), ResultFiles::write)
}

/// The image in a file, upright unless the configuration says otherwise, and what is found on it, best first, in its own pixels.
fn found_in(model: &Model, file: &Path, device: &Device) -> anyhow::Result<(Image, Vec<Detection>)> {
    let image = Image::read_as(file, model.config.data.orientation.unwrap_or(Orientation::Upright))?.into_rgb();
    // Nothing is random in the pipeline of an evaluation that its author did not make so.
    let input = model.config.data.eval.apply(image.clone(), &[], &mut Rng::new(0, "prediction"))?;
    let [_, height, width] = input.image.shape();
    let images = Images { images: FloatImage::stack(&[input.image], device)?, sizes: vec![(height, width)] };
    let found = model.swda.detect(&images)?.pop().context("an image has a list of detections")?;
    anyhow::ensure!(found.iter().all(|d| d.score.is_finite()), "the network's output is not finite; are its weights?");
    Ok((image, unscaled(found, input.scale)))
}

/// Where the picture of what evaluations call `id` goes.
fn picture_file(folder: &Path, id: &str) -> PathBuf {
    // Not `with_extension`: a name may have dots, as `…_beta_0.02`.
    folder.join(format!("{id}.png"))
}

fn line(
    file: &Path,
    image: &Image,
    classes: &[String],
    found: &[Detection],
    min_score: Option<f64>,
) -> serde_json::Value {
    let detection = |d: &Detection| {
        serde_json::json!({
            "class": classes.get(d.label as usize),
            "label": d.label,
            "score": d.score,
            "box": d.bbox.xyxy(),
        })
    };
    let shown = found.iter().filter(|d| min_score.is_none_or(|min_score| d.score >= min_score));
    let mut line = serde_json::json!({
        "file": file.display().to_string(),
        "width": image.width(),
        "height": image.height(),
        "detections": shown.map(detection).collect::<Vec<_>>(),
    });
    if let Some(min_score) = min_score {
        line["min_score"] = min_score.into();
    }
    line
}
