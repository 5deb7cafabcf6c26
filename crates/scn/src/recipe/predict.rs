//! `scn predict`: classes and certainties of image files.

use std::{io::Write, path::Path};

use sconce_core::{DType, Rng, nn::Mode, ops};
use sconce_data::{FloatImage, Image};
use sconce_engine::{Checkpoint, PredictRequest, Weights};

use super::{Config, load, load_file, pictures};
use crate::{eval::Predictions, model::Scn};

/// Writes a JSON line for each file: file, class, probabilities by class name, α. With an output folder, also a contact sheet
/// of the least certain images.
pub(super) fn predict(config: &Config, request: &PredictRequest, lines: &mut dyn Write) -> anyhow::Result<()> {
    let (model, classes) = model(config, request)?;
    let mut all = Predictions::default();
    let mut sheet = Vec::new();
    for files in request.files.chunks(config.data.batch_size.max(1)) {
        // Every image is decoded before the first line of its batch, so that a bad file is named and nothing is half said.
        let images = files.iter().map(|f| Image::read(f)).collect::<Result<Vec<_>, _>>()?;
        let rng = &mut Rng::new(0, "evaluation dropout");
        let floats = images
            .iter()
            .map(|image| config.data.eval.apply(fit_channels(image, config), rng))
            .collect::<Result<Vec<_>, _>>()?;
        let output = model.forward(&FloatImage::stack(&floats, &request.device)?, Mode::Eval, rng)?;
        let probabilities = ops::log_softmax(&output.logits, 1)?.exp()?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        let alpha = output.alpha.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        for ((file, p), alpha) in files.iter().zip(probabilities).zip(alpha) {
            all.indices.push(all.indices.len());
            all.alpha.push(alpha);
            all.probabilities.push(p);
            write_line(lines, file, &classes, &all)?;
        }
        if request.out.is_some() {
            sheet.extend(images);
        }
    }
    if let Some(folder) = &request.out {
        std::fs::create_dir_all(folder).map_err(sconce_core::Error::io(folder))?;
        let picture = pictures::least_certain_of(&all, &sheet)?.encode_png()?;
        sconce_core::files::write_atomic(&folder.join("least-certain.png"), &picture)?;
    }
    Ok(())
}

/// The network and the names of its classes.
fn model(config: &Config, request: &PredictRequest) -> anyhow::Result<(Scn, Vec<String>)> {
    match &request.weights {
        Weights::Checkpoint(path) => {
            let checkpoint = Checkpoint::open(path)?;
            let classes = serde_json::from_slice(&checkpoint.tracked("classes")?)?;
            Ok((load(&checkpoint, &config.scn, &request.device)?.1, classes))
        }
        Weights::File(path) => {
            let classes = config.data.images.classes()?;
            let (found, expected) = (classes.len(), config.scn.model.n_classes);
            anyhow::ensure!(
                found == expected,
                "scn.model.n_classes is {expected}, but data.images has {found} classes"
            );
            Ok((load_file(path, &config.scn, &request.device)?, classes))
        }
    }
}

/// The image in the number of channels that the network takes, where its pipeline leaves that open.
fn fit_channels(image: &Image, config: &Config) -> Image {
    match config.scn.model.backbone.in_channels {
        1 => image.clone().into_gray(),
        3 => image.clone().into_rgb(),
        _ => image.clone(),
    }
}

/// The line of the prediction that was added last.
fn write_line(lines: &mut dyn Write, file: &Path, classes: &[String], all: &Predictions) -> anyhow::Result<()> {
    let class = all.classes().last().copied().unwrap_or(0) as usize;
    let (Some(p), Some(alpha)) = (all.probabilities.last(), all.alpha.last()) else { return Ok(()) };
    let named: serde_json::Map<String, serde_json::Value> =
        classes.iter().zip(p).map(|(name, p)| (name.clone(), serde_json::json!(p))).collect();
    let line = serde_json::json!({
        "file": file.display().to_string(),
        "class": classes.get(class),
        "probabilities": named,
        "alpha": alpha,
    });
    writeln!(lines, "{line}")?;
    Ok(())
}
