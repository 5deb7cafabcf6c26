//! `swda predict`: objects in image files.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sconce_core::{Device, Rng, files::write_atomic};
use sconce_data::{FloatImage, Image};
use sconce_detection::Detection;
use sconce_engine::{Checkpoint, ClassNames, PredictRequest, Weights};

use super::{Config, load, pictures};
use crate::{
    eval::unscaled,
    model::{Images, Swda},
};

/// Writes a JSON line for each file: the file, its size, and every detection with box, class and score, best first. With an
/// output folder, also the pictures with the boxes of what is more likely than not.
pub(super) fn predict(config: &Config, request: &PredictRequest, lines: &mut dyn Write) -> anyhow::Result<()> {
    let model = load(&config.swda, &request.weights, &request.device)?;
    let classes = match &request.weights {
        Weights::Checkpoint(path) => ClassNames::of(&Checkpoint::open(path)?)?,
        Weights::File(_) => config.data.test.classes()?,
    };
    if let Some(folder) = &request.out {
        // Before the first picture is made.
        let mut paths = BTreeSet::new();
        for file in &request.files {
            let path = picture_file(folder, file)?;
            anyhow::ensure!(paths.insert(path.clone()), "{} is the picture of two files", path.display());
        }
    }
    for file in &request.files {
        let image = Image::read(file)?.into_channels(3);
        let found = found(&model, config, &image, &request.device).with_context(|| file.display().to_string())?;
        anyhow::ensure!(
            found.iter().all(|d| d.score.is_finite()),
            "{}: the network's output is not finite; are its weights?",
            file.display()
        );
        writeln!(lines, "{}", line(file, &image, &classes, &found))?;
        if let Some(folder) = &request.out {
            let picture = pictures::drawn(image, &found, &classes);
            write_atomic(&picture_file(folder, file)?, &picture.encode_png()?)?;
        }
    }
    Ok(())
}

/// What is found in an image, best first, in its own pixels.
fn found(model: &Swda, config: &Config, image: &Image, device: &Device) -> anyhow::Result<Vec<Detection>> {
    // Nothing is random in the pipeline of an evaluation that its author did not make so.
    let input = config.data.eval.apply(image.clone(), &[], &mut Rng::new(0, "prediction"))?;
    let [_, height, width] = input.image.shape();
    let images = Images { images: FloatImage::stack(&[input.image], device)?, sizes: vec![(height, width)] };
    let found = model.detect(&images)?.pop().context("an image has a list of detections")?;
    Ok(unscaled(found, input.scale))
}

/// Where the picture of a file goes; what is there already is not overwritten.
fn picture_file(folder: &Path, file: &Path) -> anyhow::Result<PathBuf> {
    let name = file.file_stem().with_context(|| format!("{} has no name", file.display()))?;
    // Not `with_extension`: the rest of a name may have dots, as `…_beta_0.02`.
    let mut name = name.to_owned();
    name.push(".png");
    let path = folder.join(name);
    anyhow::ensure!(!path.exists(), "{} exists: predict overwrites nothing", path.display());
    Ok(path)
}

fn line(file: &Path, image: &Image, classes: &[String], found: &[Detection]) -> serde_json::Value {
    let detection = |d: &Detection| {
        serde_json::json!({
            "class": classes.get(d.label as usize),
            "label": d.label,
            "score": d.score,
            "box": d.bbox.xyxy(),
        })
    };
    serde_json::json!({
        "file": file.display().to_string(),
        "width": image.width(),
        "height": image.height(),
        "detections": found.iter().map(detection).collect::<Vec<_>>(),
    })
}
