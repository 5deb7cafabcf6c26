//! A trained detector, to evaluate or to predict with.

use anyhow::Context as _;
use sconce_core::{DType, Device, Params};
use sconce_data::CocoId;
use sconce_engine::{Checkpoint, ClassNames, WeightFile, Weights};

use super::{
    Config,
    config::{FitConfig, Taken},
    fitted::Fitted,
};
use crate::{model::Swda, weights};

/// A detector without a gradient, and what is known of it.
pub(super) struct Model {
    pub(super) swda: Swda,
    /// With what its training data have decided.
    pub(super) config: Config,
    pub(super) classes: Vec<String>,
    /// By which ids a file in COCO's format calls the classes, if it was trained on one.
    pub(super) category_ids: Option<Vec<Option<CocoId>>>,
    /// The seed of its run, if that is known.
    pub(super) seed: Option<u64>,
}

impl Model {
    /// The detector in a checkpoint, or in a file of weights that `config` describes.
    ///
    /// # Errors
    /// If the weights cannot be read, or are of another detector.
    pub(super) fn open(config: &Config, weights: &Weights, device: &Device) -> anyhow::Result<Self> {
        match weights {
            Weights::Checkpoint(path) => Self::of_checkpoint(config, &Checkpoint::open(path)?, device),
            Weights::File(file) => Self::of_file(config, file, device),
        }
    }

    /// The detector in a checkpoint of a run of `config`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn of_checkpoint(config: &Config, checkpoint: &Checkpoint, device: &Device) -> anyhow::Result<Self> {
        let fitted = Fitted::of(checkpoint)?;
        let config = fitted.as_ref().map_or_else(|| config.clone(), |fitted| fitted.applied(config));
        let swda = load(&config, &WeightFile::new(checkpoint.model_file()), device)?;
        let category_ids = fitted.and_then(|fitted| fitted.category_ids);
        Ok(Self {
            swda,
            config,
            classes: ClassNames::of(checkpoint)?,
            category_ids,
            seed: Some(checkpoint.state().seed),
        })
    }

    fn of_file(config: &Config, file: &WeightFile, device: &Device) -> anyhow::Result<Self> {
        if config.fit != FitConfig::default() {
            let anchors = config.fit.anchors == Taken::FromData;
            let what = if anchors { "the anchors and the number of classes" } else { "the number of classes" };
            anyhow::bail!(
                "{}: the configuration takes {what} from the data (`fit`), and weights alone do not say what they came to: \
                 --checkpoint names the run's folder, which does",
                file.path.display()
            );
        }
        let named = [Some(&config.data.source), config.data.test.as_ref()].into_iter().flatten();
        let classes = named.into_iter().find_map(|images| images.classes()).with_context(|| {
            format!(
                "{}: weights alone do not say the names of the classes, nor does the configuration: \
                 --checkpoint names the run's folder, or --set data.source.config.classes=[…] has them",
                file.path.display()
            )
        })?;
        Ok(Self { swda: load(config, file, device)?, config: config.clone(), classes, category_ids: None, seed: None })
    }
}

fn load(config: &Config, file: &WeightFile, device: &Device) -> anyhow::Result<Swda> {
    let params = Params::new(0, DType::F32, device);
    Swda::new(&params.scope(), &config.swda)?;
    weights::load_detector(&params, file)?;
    Ok(Swda::new(&params.detached(), &config.swda)?)
}
