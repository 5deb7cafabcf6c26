//! `scn predict`: classes and certainties of image files.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sconce_core::{Rng, nn::Mode};
use sconce_data::{DataError, FloatImage, Image, find_images};
use sconce_engine::PredictRequest;

use super::{Config, Known, pictures};
use crate::{error::ScnError, eval::Predictions, model::Scn};

/// Writes a JSON line for each file: file, class, probabilities by class name, α. A file that cannot be read is reported, and the
/// others are predicted. With an output folder, also a contact sheet of the least certain images.
pub(super) fn predict(
    config: &Config,
    request: &PredictRequest,
    lines: &mut sconce_engine::Predictions<'_>,
) -> anyhow::Result<()> {
    let sheet = request.out.as_deref().map(sheet_file).transpose()?;
    let (model, classes) = model(config, request)?;
    let files = files(request, lines);
    // Draws nothing, but for a dropout that stays active in evaluation.
    let rng = &mut Rng::new(0, "evaluation dropout");
    let mut least_certain = Vec::new();
    for files in files.chunks(config.data.batch_size) {
        let seen: Vec<Result<Seen, DataError>> =
            files.par_iter().map(|file| see(config, file, sheet.is_some())).collect();
        let mut images = Vec::new();
        for (file, seen) in files.iter().zip(seen) {
            match seen {
                Ok(seen) => images.push((file, seen)),
                Err(error) => lines.failed(file, error),
            }
        }
        // Pipelines without a resize give images of any size: each shape is a batch.
        for same in images.chunk_by(|a, b| a.1.float.shape() == b.1.float.shape()) {
            let floats: Vec<FloatImage> = same.iter().map(|(_, seen)| seen.float.clone()).collect();
            let output = model.forward(&FloatImage::stack(&floats, &request.device)?, Mode::Eval, rng)?;
            let mut predictions = Predictions::default();
            predictions.extend(&output, 0..same.len()).map_err(|error| match error {
                ScnError::NotFinite { index } => anyhow::anyhow!(
                    "{}: the network produced NaN or infinity; check that its weights are finite",
                    same[index].0.display()
                ),
                error => error.into(),
            })?;
            for (i, ((file, _), class)) in same.iter().zip(predictions.classes()).enumerate() {
                let (class, p, alpha) = (class as usize, &predictions.probabilities[i], predictions.alpha[i]);
                lines.line(&line(file, &classes, class, p, alpha))?;
            }
            let thumbnails = same.iter().filter_map(|(_, seen)| seen.thumbnail.clone());
            least_certain.extend(predictions.alpha.into_iter().zip(thumbnails));
        }
        pictures::keep_least_certain(&mut least_certain);
    }
    match sheet {
        Some(path) if !least_certain.is_empty() => {
            let picture = pictures::sheet_of(least_certain)?.encode_png()?;
            Ok(sconce_core::files::write_atomic(&path, &picture)?)
        }
        _ => Ok(()),
    }
}

/// The image files that are named, or lie in folders that are. What is not there is reported, and what is left out is said.
fn files(request: &PredictRequest, lines: &mut sconce_engine::Predictions<'_>) -> Vec<PathBuf> {
    let found = find_images(&request.files);
    found.failed.iter().for_each(|(path, error)| lines.failed(path, error));
    found.left_out.iter().for_each(|(folder, left_out)| lines.note(folder, left_out));
    found.files.into_iter().map(|(file, _)| file).collect()
}

/// An image as the network takes it, and for the contact sheet.
struct Seen {
    float: FloatImage,
    thumbnail: Option<Image>,
}

fn see(config: &Config, file: &Path, with_thumbnail: bool) -> Result<Seen, DataError> {
    let decoding = config.data.images.decoding();
    let image = decoding.shrink(Image::read_as(file, decoding.folder.orientation)?)?;
    let thumbnail = with_thumbnail.then(|| pictures::thumbnail(&image)).transpose()?;
    // Where the pipeline leaves their number open.
    let channels = config.scn.model.backbone.in_channels;
    // Evaluation draws nothing.
    let float = config.data.eval.apply(image.into_channels(channels), &mut Rng::new(0, "evaluation"))?;
    Ok(Seen { float, thumbnail })
}

/// Where the contact sheet goes; what is there already is not overwritten.
fn sheet_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("least-certain.png");
    anyhow::ensure!(!path.exists(), "{} exists: predict overwrites nothing", path.display());
    Ok(path)
}

/// The network and the names of its classes.
fn model(config: &Config, request: &PredictRequest) -> anyhow::Result<(Scn, Vec<String>)> {
    let known = Known::of(config, &request.weights)?;
    let Some(classes) = known.classes.clone() else {
        anyhow::bail!(
            "weights alone do not name their classes: give the run's folder (--checkpoint), or the preset of a dataset whose \
             classes are known (--preset code-raf-db)"
        );
    };
    let scn = config.scn.for_classes(classes.len(), "the weights")?;
    Ok((known.load(&scn, &request.device)?, classes))
}

/// What is said of one file.
fn line(file: &Path, classes: &[String], class: usize, p: &[f64], alpha: f64) -> serde_json::Value {
    let named: serde_json::Map<String, serde_json::Value> =
        classes.iter().zip(p).map(|(name, p)| (name.clone(), serde_json::json!(p))).collect();
    serde_json::json!({
        "file": file.display().to_string(),
        "class": classes.get(class),
        "probabilities": named,
        "alpha": alpha,
    })
}
