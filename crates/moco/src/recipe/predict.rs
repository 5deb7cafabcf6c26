//! `moco predict`: features of image files and which files are near each other, or their classes.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sconce_core::{Tensor, nn::Mode};
use sconce_data::{ContactSheet, find_images};
use sconce_engine::{Checkpoint, ClassNames, PredictRequest, Predictions, Weights};

use super::{
    Config, classification, load_encoder,
    outcome::Extractor,
    photos::{Photos, read},
    pictures, weight_file,
};
use crate::evaluation::{Features, KnnConfig, Logits, nearest};

/// Writes a JSON line for each image file.
///
/// Of an encoder: the file, its features, and the nearest of the other files with their cosines; with an output folder, also all
/// features as `features.safetensors`, the files of its rows as `features.json`, and a contact sheet: a row for each of the
/// first files, and what is near it. Of a classifier: the file, its class, and the probabilities by class name.
pub(super) fn predict(config: &Config, request: &PredictRequest, lines: &mut Predictions<'_>) -> anyhow::Result<()> {
    // A classifier has none.
    let folder = request.out.as_deref().filter(|_| !config.task.is_classification());
    let outputs = folder.map(Outputs::new).transpose()?;
    let predictor = Predictor::new(config, request)?;
    let found = find_images(&request.files);
    found.failed.iter().for_each(|(path, error)| lines.failed(path, error));
    found.left_out.iter().for_each(|(folder, left_out)| lines.note(folder, left_out));
    let files: Vec<PathBuf> = found.files.into_iter().map(|(file, _)| file).collect();
    match predictor {
        Predictor::Classifier { classifier, classes } => {
            classify(config, request, (&*classifier, &classes), &files, lines)
        }
        Predictor::Encoder(encoder) => {
            let (files, features) = features(config, request, &encoder, &files, lines)?;
            if files.is_empty() {
                return Ok(());
            }
            let neighbours = neighbours(&features)?;
            for (i, file) in files.iter().enumerate() {
                let near =
                    |&(j, cosine): &(usize, f32)| serde_json::json!({ "file": name(&files[j]), "cosine": cosine });
                lines.line(&serde_json::json!({
                    "file": name(file),
                    "features": features.row(i),
                    "nearest": neighbours[i].iter().map(near).collect::<Vec<_>>(),
                }))?;
            }
            outputs.map_or(Ok(()), |outputs| outputs.write(&files, features, &neighbours))
        }
    }
}

/// What predicts.
enum Predictor {
    Encoder(Box<crate::Encoder>),
    Classifier { classifier: Box<crate::evaluation::Classifier>, classes: Vec<String> },
}

impl Predictor {
    fn new(config: &Config, request: &PredictRequest) -> anyhow::Result<Self> {
        let file = weight_file(&request.weights)?;
        if !config.task.is_classification() {
            return Ok(Self::Encoder(Box::new(load_encoder(config, &file, &request.device)?.0)));
        }
        let classes = match &request.weights {
            Weights::Checkpoint(path) => ClassNames::of(&Checkpoint::open(path)?)?,
            Weights::File(file) => config.data.images.class_names().with_context(|| {
                format!(
                    "{}: a file of weights does not name its classes; --checkpoint with the folder of the run does",
                    file.path.display()
                )
            })?,
        };
        let classifier = classification::load(config, classes.len(), &file, &request.device)?;
        Ok(Self::Classifier { classifier: Box::new(classifier), classes })
    }
}

const NOT_FINITE: &str = "the network produced NaN or infinity; check that the weights are finite";

fn name(file: &Path) -> String {
    file.display().to_string()
}

/// The files that can be read, and their features.
fn features(
    config: &Config,
    request: &PredictRequest,
    encoder: &crate::Encoder,
    files: &[PathBuf],
    lines: &mut Predictions<'_>,
) -> anyhow::Result<(Vec<PathBuf>, Features)> {
    let mut values = Vec::new();
    values.reserve_exact(files.len() * encoder.n_features());
    let mut read = Vec::new();
    Photos::new(config)?.each_batch(files, &request.device, lines, |_, files, images| {
        let rows = Extractor::Backbone(encoder).apply(images)?.flatten_all()?.to_vec1::<f32>()?;
        if let Some(bad) = rows.iter().position(|x| !x.is_finite()) {
            anyhow::bail!("{}: {NOT_FINITE}", files[bad / encoder.n_features()].display());
        }
        values.extend_from_slice(&rows);
        read.extend(files.iter().map(|&file| file.clone()));
        Ok(())
    })?;
    let labels = vec![0; read.len()];
    Ok((read, Features::new(values, encoder.n_features(), labels)?))
}

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

fn classify(
    config: &Config,
    request: &PredictRequest,
    (classifier, classes): (&crate::evaluation::Classifier, &[String]),
    files: &[PathBuf],
    lines: &mut Predictions<'_>,
) -> anyhow::Result<()> {
    Photos::new(config)?.each_batch(files, &request.device, lines, |lines, files, images: &Tensor| {
        let logits = Logits::new(classifier.forward(images, Mode::Eval)?.to_vec2::<f32>()?)
            .with_context(|| format!("{}: {NOT_FINITE}", files[0].display()))?;
        for ((file, class), p) in files.iter().zip(logits.classes()).zip(logits.probabilities()) {
            let named: serde_json::Map<String, serde_json::Value> =
                classes.iter().zip(p).map(|(name, p)| (name.clone(), serde_json::json!(p))).collect();
            lines.line(&serde_json::json!({
                "file": name(file),
                "class": classes.get(class as usize),
                "probabilities": named,
            }))?;
        }
        Ok(())
    })
}

/// The files of an output folder. What is there already is not overwritten.
struct Outputs {
    sheet: PathBuf,
    features: PathBuf,
    names: PathBuf,
}

impl Outputs {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let of = |name| folder.join(name);
        let outputs =
            Self { sheet: of("nearest.png"), features: of("features.safetensors"), names: of("features.json") };
        for path in [&outputs.sheet, &outputs.features, &outputs.names] {
            anyhow::ensure!(!path.exists(), "{} exists: predict overwrites nothing", path.display());
        }
        Ok(outputs)
    }

    fn write(&self, files: &[PathBuf], features: Features, neighbours: &[Vec<(usize, f32)>]) -> anyhow::Result<()> {
        sconce_core::write_tensors(&self.features, &[("features".to_owned(), features.into_tensor()?)].into())?;
        let names: Vec<String> = files.iter().map(|file| name(file)).collect();
        let text = serde_json::to_string_pretty(&names)? + "\n";
        sconce_core::files::write_atomic(&self.names, text.as_bytes())?;
        let layout = ContactSheet { columns: 1 + neighbours.first().map_or(0, Vec::len), ..ContactSheet::default() };
        let mut cells = Vec::new();
        for (i, file) in files.iter().enumerate().take(pictures::ROWS) {
            cells.push((pictures::thumbnail(read(file)?, &layout)?, pictures::NEUTRAL));
            for &(j, _) in &neighbours[i] {
                cells.push((pictures::thumbnail(read(&files[j])?, &layout)?, [255; 3]));
            }
        }
        Ok(sconce_core::files::write_atomic(&self.sheet, &layout.draw(cells)?.encode_png()?)?)
    }
}
