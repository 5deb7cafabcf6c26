//! `scn predict`: classes and certainties of image files.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use sconce_core::{Rng, nn::Mode};
use sconce_data::{FloatImage, Image};
use sconce_engine::{Checkpoint, ClassNames, PredictRequest, Weights};

use super::{Config, check_classes, load, load_file, pictures};
use crate::{eval::Predictions, model::Scn};

/// Writes a JSON line for each file: file, class, probabilities by class name, α. With an output folder, also a contact sheet
/// of the least certain images.
pub(super) fn predict(config: &Config, request: &PredictRequest, lines: &mut dyn Write) -> anyhow::Result<()> {
    let sheet = request.out.as_deref().map(sheet_file).transpose()?;
    let (model, classes) = model(config, request)?;
    // Only a dropout that never sleeps draws from it.
    let rng = &mut Rng::new(0, "evaluation dropout");
    // Where the pipeline leaves their number open.
    let channels = config.scn.model.backbone.in_channels;
    let mut least_certain = Vec::new();
    for files in request.files.chunks(config.data.batch_size) {
        // Every image is decoded before the first line of its batch, so that a bad file is named and nothing is half said.
        let images = files.iter().map(|f| Image::read(f)).collect::<Result<Vec<_>, _>>()?;
        let floats = images
            .iter()
            .map(|image| config.data.eval.apply(image.clone().into_channels(channels), rng))
            .collect::<Result<Vec<_>, _>>()?;
        let output = model.forward(&FloatImage::stack(&floats, &request.device)?, Mode::Eval, rng)?;
        let mut predictions = Predictions::default();
        predictions.extend(&output, 0..files.len())?;
        for (i, (file, class)) in files.iter().zip(predictions.classes()).enumerate() {
            let (class, p, alpha) = (class as usize, &predictions.probabilities[i], predictions.alpha[i]);
            let is_finite = alpha.is_finite() && p.iter().all(|p| p.is_finite());
            anyhow::ensure!(is_finite, "{}: the network's output is not finite; are its weights?", file.display());
            writeln!(lines, "{}", line(file, &classes, class, p, alpha))?;
        }
        if sheet.is_some() {
            least_certain.extend(predictions.alpha.into_iter().zip(images));
            pictures::keep_least_certain(&mut least_certain);
        }
    }
    if let Some(path) = sheet {
        let picture = pictures::sheet_of(least_certain)?.encode_png()?;
        sconce_core::files::write_atomic(&path, &picture)?;
    }
    Ok(())
}

/// Where the contact sheet goes; what is there already is not overwritten.
fn sheet_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("least-certain.png");
    anyhow::ensure!(!path.exists(), "{} exists: predict overwrites nothing", path.display());
    Ok(path)
}

/// The network and the names of its classes.
fn model(config: &Config, request: &PredictRequest) -> anyhow::Result<(Scn, Vec<String>)> {
    match &request.weights {
        Weights::Checkpoint(path) => {
            let checkpoint = Checkpoint::open(path)?;
            let classes = ClassNames::of(&checkpoint)?;
            Ok((load(&checkpoint, &config.scn, &request.device)?, classes))
        }
        Weights::File(path) => {
            let classes = config.data.images.classes()?;
            check_classes(&config.scn, &classes, "data.images")?;
            Ok((load_file(path, &config.scn, &request.device)?, classes))
        }
    }
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
