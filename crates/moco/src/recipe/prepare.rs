//! What a run needs besides its configuration, read and checked before its folder is taken.

use anyhow::Context as _;
use sconce_core::{DType, Params, nn::BatchNormKind};
use sconce_data::ImageDataset;
use sconce_engine::{Run, RunPlan, WeightFile};

use super::{Config, Task, classification, outcome};
use crate::{data::Datasets, error::MocoError, model::Encoder, weights};

/// The data of a run, and its configuration for them.
#[derive(Debug)]
pub struct Prepared {
    pub(super) data: Datasets,
    /// The run's configuration, with what [`Config::fit_to_data`] has changed.
    pub(super) config: Config,
    /// What a reader should know besides what the data are.
    notes: Vec<String>,
}

/// Reads the data, and checks that the network, the weights that it starts from and the first images go together.
pub(super) fn prepare(config: &Config, plan: &RunPlan) -> anyhow::Result<Prepared> {
    let data = config.data.images.read_both()?;
    outcome::check_labels(config, &data)?;
    if config.task.is_classification() {
        data.labelled_test()?;
    }
    let n_images = data.train.len();
    if config.task == Task::FineTune && n_images < 2 {
        return Err(MocoError::argument("training images", n_images, "at least 2 to fine-tune on").into());
    }
    if config.task == Task::Pretrain {
        config.moco.batch_norm.kind(plan.communicator().size())?;
    }
    let (fitted, notes) = config.fitted(n_images).context(data.train.origin().to_owned())?;
    check_images(config, &data.train)?;
    data.test.as_ref().map_or(Ok(()), |test| check_images(config, test))?;
    check_batches(&fitted, &data, plan)?;
    if let Some(file) = plan.init_from() {
        check_weights(config, &data, file, plan)?;
    }
    Ok(Prepared { data, config: fitted, notes })
}

impl Prepared {
    /// Says what the data are, before the first step.
    pub(super) fn describe(&self, run: &mut Run) -> sconce_engine::Result<()> {
        let summaries = self.data.summaries();
        let lines = summaries.iter().map(ToString::to_string).chain(self.notes.iter().cloned());
        run.describe_data(&lines.collect::<Vec<_>>(), &summaries)
    }
}

/// Takes one image through both pipelines, and checks that the network can look at what comes out.
fn check_images(config: &Config, dataset: &ImageDataset) -> anyhow::Result<()> {
    let wanted = config.moco.encoder.backbone.in_channels;
    if config.task == Task::PixelFeatures {
        return config.data.first(dataset).map(drop).map_err(Into::into);
    }
    for (image, key) in config.data.first(dataset)?.iter().zip(["data.train", "data.eval"]) {
        let [channels, ..] = image.shape();
        if channels != wanted {
            let expected = format!(
                "{wanted}, which moco.encoder.backbone.in_channels says; {{ name = \"{}\" }} at the start of {key}.pixels makes \
                 them so",
                if wanted == 1 { "gray" } else { "rgb" }
            );
            let error = MocoError::argument("channels of an image", channels, expected);
            return Err(anyhow::Error::from(error).context(format!("{key}: {}", dataset.name(0))));
        }
    }
    Ok(())
}

/// Makes the loader of the run, which is dropped: it refuses what no loader can be.
fn check_batches(config: &Config, data: &Datasets, plan: &RunPlan) -> anyhow::Result<()> {
    let (seed, device, ranks) = (plan.seed(), plan.device(), &**plan.communicator());
    match config.task {
        Task::Pretrain => drop(config.data.views(&data.train, seed, device, ranks)?),
        Task::LinearClassifier | Task::FineTune => {
            drop(config.data.labelled(&data.train, classification::batch(config), seed, device, ranks)?);
        }
        Task::RandomFeatures | Task::PixelFeatures => {}
    }
    drop(config.data.in_order(&data.train, device)?);
    Ok(())
}

/// Loads the weights into a network of their own, which is dropped.
fn check_weights(config: &Config, data: &Datasets, file: &WeightFile, plan: &RunPlan) -> anyhow::Result<()> {
    let params = Params::new(plan.seed(), DType::F32, plan.device());
    if config.task.is_classification() {
        classification::build(config, &params.scope(), data.train.classes().len())?;
        weights::load_backbone(&params, file)?;
    } else {
        Encoder::new(&params.scope(), &config.moco.encoder, BatchNormKind::Learning)?;
        weights::load_encoder_or_backbone(&params, file)?;
    }
    Ok(())
}
