//! `moco predict`: features of image files and which files are near each other, or their classes.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sconce_core::{Rng, Tensor, nn::Mode};
use sconce_data::{ContactSheet, FloatImage, Image};
use sconce_engine::{Checkpoint, ClassNames, PredictRequest, Weights};

use super::{Config, classification, load_encoder, outcome::Extractor, pictures, weight_file};
use crate::evaluation::{Features, KnnConfig, Logits, nearest};

/// Writes a JSON line for each file.
///
/// Of an encoder: the file, its features, and the nearest of the other files with their cosines; with an output folder, also all
/// features as `features.safetensors` and a contact sheet: a row for each of the first files, and what is near it. Of a
/// classifier: the file, its class, and the probabilities by class name.
pub(super) fn predict(config: &Config, request: &PredictRequest, lines: &mut dyn Write) -> anyhow::Result<()> {
    if config.task.is_classification() {
        return classify(config, request, lines);
    }
    let outputs = request.out.as_deref().map(Outputs::new).transpose()?;
    let encoder = load_encoder(config, &weight_file(&request.weights)?, &request.device)?;
    let extractor = Extractor::Backbone(&encoder);
    let mut values = Vec::new();
    each_batch(config, request, |files, images| {
        let rows = extractor.apply(images)?.flatten_all()?.to_vec1::<f32>()?;
        let row = rows.len() / files.len();
        if let Some(bad) = rows.iter().position(|x| !x.is_finite()) {
            anyhow::bail!("{}: {NOT_FINITE}", files[bad / row].display());
        }
        values.extend(rows);
        Ok(())
    })?;
    let features = Features::new(values, encoder.n_features(), vec![0; request.files.len()])?;
    let neighbours = neighbours(&features)?;
    for (i, file) in request.files.iter().enumerate() {
        let near = |&(j, cosine): &(usize, f32)| serde_json::json!({ "file": request.files[j].display().to_string(), "cosine": cosine });
        let line = serde_json::json!({
            "file": file.display().to_string(),
            "features": features.row(i),
            "nearest": neighbours[i].iter().map(near).collect::<Vec<_>>(),
        });
        writeln!(lines, "{line}")?;
    }
    outputs.map_or(Ok(()), |outputs| outputs.write(&request.files, &features, &neighbours))
}

const NOT_FINITE: &str = "the network's output is not finite; are its weights?";

/// For each row the nearest others and their cosines, nearest first.
fn neighbours(features: &Features) -> anyhow::Result<Vec<Vec<(usize, f32)>>> {
    // The nearest of all is the row itself.
    let config = KnnConfig { k: (pictures::NEIGHBOURS + 1).min(features.len()), temperature: 1.0 };
    let found = nearest(features, features, &config)?.into_iter().enumerate();
    let others = |(i, found): (usize, Vec<(usize, f32)>)| {
        found.into_iter().filter(|(j, _)| *j != i).take(pictures::NEIGHBOURS).collect()
    };
    Ok(found.map(others).collect())
}

fn classify(config: &Config, request: &PredictRequest, lines: &mut dyn Write) -> anyhow::Result<()> {
    let classes = match &request.weights {
        Weights::Checkpoint(path) => ClassNames::of(&Checkpoint::open(path)?)?,
        Weights::File(_) => config.data.images.read_both()?.train.classes().to_vec(),
    };
    let path = weight_file(&request.weights)?;
    let classifier = classification::load(config, classes.len(), &path, &request.device)?;
    each_batch(config, request, |files, images| {
        let logits = Logits::new(classifier.forward(images, Mode::Eval)?.to_vec2::<f32>()?)
            .with_context(|| format!("{}: {NOT_FINITE}", files[0].display()))?;
        for ((file, class), p) in files.iter().zip(logits.classes()).zip(logits.probabilities()) {
            let named: serde_json::Map<String, serde_json::Value> =
                classes.iter().zip(p).map(|(name, p)| (name.clone(), serde_json::json!(p))).collect();
            let line = serde_json::json!({
                "file": file.display().to_string(),
                "class": classes.get(class as usize),
                "probabilities": named,
            });
            writeln!(lines, "{line}")?;
        }
        Ok(())
    })
}

/// Hands over the files batch by batch, with their images `(B, C, H, W)`.
fn each_batch(
    config: &Config,
    request: &PredictRequest,
    mut f: impl FnMut(&[PathBuf], &Tensor) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // The pipeline of evaluation draws nothing from it.
    let rng = &mut Rng::new(0, "evaluation");
    // Where the pipeline leaves their number open.
    let channels = config.moco.encoder.backbone.in_channels;
    for files in request.files.chunks(config.data.batch_size) {
        let floats = files
            .iter()
            .map(|file| config.data.eval.apply(Image::read(file)?.into_channels(channels), rng))
            .collect::<Result<Vec<_>, _>>()?;
        f(files, &FloatImage::stack(&floats, &request.device)?)?;
    }
    Ok(())
}

/// The files of an output folder. What is there already is not overwritten.
struct Outputs {
    sheet: PathBuf,
    features: PathBuf,
}

impl Outputs {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let outputs = Self { sheet: folder.join("nearest.png"), features: folder.join("features.safetensors") };
        for path in [&outputs.sheet, &outputs.features] {
            anyhow::ensure!(!path.exists(), "{} exists: predict overwrites nothing", path.display());
        }
        Ok(outputs)
    }

    fn write(&self, files: &[PathBuf], features: &Features, neighbours: &[Vec<(usize, f32)>]) -> anyhow::Result<()> {
        let tensor = features.tensor(&sconce_core::Device::Cpu)?;
        sconce_core::write_tensors(&self.features, &[("features".to_owned(), tensor)].into())?;
        let mut cells = Vec::new();
        for (i, file) in files.iter().enumerate().take(pictures::ROWS) {
            cells.push((Image::read(file)?, pictures::NEUTRAL));
            for &(j, _) in &neighbours[i] {
                cells.push((Image::read(&files[j])?, [255; 3]));
            }
        }
        let columns = 1 + neighbours.first().map_or(0, Vec::len);
        let sheet = ContactSheet { columns, ..ContactSheet::default() }.draw(cells)?;
        Ok(sconce_core::files::write_atomic(&self.sheet, &sheet.encode_png()?)?)
    }
}
