//! Pictures of any size, as a network takes them.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sconce_core::{Device, Rng, Tensor};
use sconce_data::{FloatImage, Image, Orientation, Pipeline, Resize};
use sconce_engine::Predictions;

use super::Config;

/// Reads pictures and prepares them as for evaluation.
pub(super) struct Photos<'a> {
    config: &'a Config,
    /// The size that a picture is brought to before, where the pipeline of evaluation leaves sizes as they are.
    resize: Option<Resize>,
}

/// The picture in `file`, upright.
pub(super) fn read(file: &Path) -> sconce_data::Result<Image> {
    Image::read_as(file, Orientation::Upright)
}

impl<'a> Photos<'a> {
    /// As `config` evaluates. Where its pipeline resizes nothing, because all images of its dataset have one size, pictures are
    /// brought to the size of training images.
    pub(super) fn new(config: &'a Config) -> anyhow::Result<Self> {
        config.data.eval.validate()?;
        let channels = config.moco.encoder.backbone.in_channels;
        let resize = match output_size(&config.data.eval, channels) {
            Some(_) => None,
            None => output_size(&config.data.train, channels),
        };
        Ok(Self { config, resize: resize.map(|[height, width]| Resize { width, height, antialias: true }) })
    }

    /// Hands over the pictures in `files` batch by batch, `(B, C, H, W)`, with the files of each batch. A file that cannot be
    /// read is reported to `lines`, and left out.
    pub(super) fn each_batch(
        &self,
        files: &[PathBuf],
        device: &Device,
        lines: &mut Predictions<'_>,
        mut f: impl FnMut(&mut Predictions<'_>, &[&PathBuf], &Tensor) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for files in files.chunks(self.config.data.batch_size.max(1)) {
            let images: Vec<_> = files.par_iter().map(|file| self.prepare(file)).collect();
            let mut batch: Vec<(&PathBuf, FloatImage)> = Vec::new();
            for (file, image) in files.iter().zip(images) {
                match image {
                    Ok(image) => batch.push((file, image)),
                    Err(error) => lines.failed(file, error),
                }
            }
            // One batch, unless the pipeline leaves pictures of several sizes.
            for same in batch.chunk_by(|(_, a), (_, b)| a.shape() == b.shape()) {
                let (files, images): (Vec<&PathBuf>, Vec<FloatImage>) = same.iter().cloned().unzip();
                f(lines, &files, &FloatImage::stack(&images, device)?)?;
            }
        }
        Ok(())
    }

    fn prepare(&self, file: &Path) -> sconce_data::Result<FloatImage> {
        // Where the pipeline leaves their number open.
        let image = read(file)?.into_channels(self.config.moco.encoder.backbone.in_channels);
        let image = match self.resize {
            Some(resize) => resize.apply(image)?,
            None => image,
        };
        // The pipeline of evaluation draws nothing from it.
        self.config.data.eval.apply(image, &mut Rng::new(0, "evaluation"))
    }
}

/// Height and width of what comes out of `pipeline`, if they are the same for all images.
fn output_size(pipeline: &Pipeline, channels: usize) -> Option<[usize; 2]> {
    let size_of = |width: usize, height: usize| {
        let image = Image::new(width, height, channels, vec![0; width * height * channels]).ok()?;
        let [_, height, width] = pipeline.apply(image, &mut Rng::new(0, "size")).ok()?.shape();
        Some([height, width])
    };
    let (one, other) = (size_of(517, 389)?, size_of(640, 480)?);
    (one == other).then_some(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_any_size_become_those_that_training_had() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.png");
        std::fs::write(&file, Image::new(90, 50, 3, vec![7; 90 * 50 * 3]).unwrap().encode_png().unwrap()).unwrap();
        // One resizes by itself, the other was trained on images of one size.
        for (config, shape) in [(Config::own(), [3, 96, 96]), (Config::small(), [1, 28, 28])] {
            assert_eq!(Photos::new(&config).unwrap().prepare(&file).unwrap().shape(), shape);
        }
    }
}
