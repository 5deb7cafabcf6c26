//! `moco predict`: features of image files, and which files are near each other.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use sconce_core::Rng;
use sconce_data::{ContactSheet, FloatImage, Image};
use sconce_engine::PredictRequest;

use super::{Config, load_encoder, outcome::Extractor, pictures, weight_file};
use crate::evaluation::{Features, KnnConfig, nearest};

/// Writes a JSON line for each file: the file, its features, and the nearest of the other files with their cosines. With an
/// output folder, also all features as `features.safetensors` and a contact sheet: a row for each of the first files, and what
/// is near it.
pub(super) fn predict(config: &Config, request: &PredictRequest, lines: &mut dyn Write) -> anyhow::Result<()> {
    let outputs = request.out.as_deref().map(Outputs::new).transpose()?;
    let encoder = load_encoder(config, &weight_file(&request.weights)?, &request.device)?;
    let extractor = Extractor::Encoder(&encoder);
    let rng = &mut Rng::new(0, "evaluation");
    let mut values = Vec::new();
    for files in request.files.chunks(config.data.batch_size) {
        let floats = files
            .iter()
            .map(|file| config.data.eval.apply(fit_channels(Image::read(file)?, config), rng))
            .collect::<Result<Vec<_>, _>>()?;
        let rows = extractor.apply(&FloatImage::stack(&floats, &request.device)?)?;
        let rows = rows.flatten_all()?.to_vec1::<f32>()?;
        let row = rows.len() / files.len();
        if let Some(bad) = rows.iter().position(|x| !x.is_finite()) {
            anyhow::bail!("{}: the network's output is not finite; are its weights?", files[bad / row].display());
        }
        values.extend(rows);
    }
    let features = Features::new(values, encoder.n_features(), vec![0; request.files.len()])?;
    // The nearest of all is the file itself.
    let k = (pictures::NEIGHBOURS + 1).min(request.files.len());
    let neighbours: Vec<Vec<(usize, f32)>> = nearest(&features, &features, &KnnConfig { k, temperature: 1.0 })?
        .into_iter()
        .enumerate()
        .map(|(i, found)| found.into_iter().filter(|(j, _)| *j != i).take(pictures::NEIGHBOURS).collect())
        .collect();
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

/// The image in the number of channels that the network takes, where its pipeline leaves that open.
fn fit_channels(image: Image, config: &Config) -> Image {
    match config.moco.encoder.backbone.in_channels {
        1 => image.into_gray(),
        3 => image.into_rgb(),
        _ => image,
    }
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
