//! What a run reads and checks before its folder is taken.

use std::path::PathBuf;

use sconce_core::{DType, Device, Params, Rng, nn::BatchNormKind, nn::Mode};
use sconce_data::{FloatImage, ImageDataset, Pipeline};
use sconce_engine::{RunPlan, WeightFile, dist::on_root};

use super::{Config, Pretraining, network};
use crate::{
    ScnError,
    config::ScnConfig,
    data::{DataConfig, Datasets},
    model::Scn,
    weights,
};

pub(super) const NEEDS_HUB: &str =
    "pretraining.kind is \"hub\": that needs a binary with the feature `hub`, or --init-from";
pub(super) const NEEDS_WEIGHTS: &str = "pretraining.kind is \"file\": --init-from must name the weights to start from";

/// What a run needs besides its configuration, read and checked.
#[derive(Debug)]
pub struct Prepared {
    /// The network and its losses, for the classes of the data.
    pub(super) scn: ScnConfig,
    pub(super) data: Datasets,
    /// The file that the backbone starts from.
    pub(super) initial: Option<WeightFile>,
}

impl Prepared {
    pub(super) fn new(config: &Config, plan: &RunPlan) -> anyhow::Result<Self> {
        let initial = initial_weights(config, plan)?;
        let data = config.data.read(plan.seed())?;
        let n_classes = data.train.classes().len();
        if n_classes < 2 {
            let found = format!("{n_classes} class in {}", data.train.origin());
            let expected = "at least 2, a folder of images for each".to_owned();
            return Err(ScnError::Config { field: "data.images", found, expected }.into());
        }
        let scn = config.scn.for_classes(n_classes, data.train.origin())?;
        check_shapes(&config.data, &scn, &data)?;
        let ranks = plan.communicator();
        check_batches(&config.data, &scn, &data.train, plan, ranks.size())?;
        if let Some(file) = &initial {
            network(&scn, &Device::Cpu, |params| Ok(weights::load_backbone(params, file)?))?;
        }
        Ok(Self { scn, data, initial })
    }
}

/// Images that are looked at before training.
const LOOKED_AT: usize = 8;

/// Checks that some images of each split have the shape that the network takes, one shape for all of a split.
fn check_shapes(config: &DataConfig, scn: &ScnConfig, data: &Datasets) -> anyhow::Result<()> {
    let channels = scn.model.backbone.in_channels;
    let splits = [
        ("data.train", &config.train, Some(&data.train)),
        ("data.eval", &config.eval, data.validation.as_ref()),
        ("data.eval", &config.eval, Some(&data.test)),
    ];
    for (key, pipeline, dataset) in splits {
        let Some(dataset) = dataset else { continue };
        let mut first: Option<[usize; 3]> = None;
        for k in 0..LOOKED_AT.min(dataset.len()) {
            let index = k * dataset.len() / LOOKED_AT.min(dataset.len());
            let shape = shape(config, dataset, index, key, pipeline)?;
            let wrong = |expected: String| ScnError::Shape {
                image: config.images.file(dataset, index).display().to_string(),
                pipeline: key,
                shape: shape.to_vec(),
                expected,
            };
            if shape[0] != channels {
                return Err(wrong(format!("{channels} channels, which is scn.model.backbone.in_channels")).into());
            }
            let expected = *first.get_or_insert(shape);
            if shape != expected {
                let expected = format!("{expected:?}, as the first one has; {key}.pixels lacks a resize");
                return Err(wrong(expected).into());
            }
        }
    }
    Ok(())
}

/// What `pipeline` makes of an image.
fn shape(
    config: &DataConfig,
    dataset: &ImageDataset,
    index: usize,
    key: &str,
    pipeline: &Pipeline,
) -> anyhow::Result<[usize; 3]> {
    use anyhow::Context as _;
    let named = || format!("{key}: {}", config.images.file(dataset, index).display());
    let image = dataset.image(index).with_context(named)?;
    Ok(pipeline.apply(image, &mut Rng::new(0, "a look at the data")).with_context(named)?.shape())
}

/// Checks that the smallest batch of an epoch can be trained on: that every rank has a part of it, and that batch normalisation
/// finds more than one value in each channel.
fn check_batches(
    config: &DataConfig,
    scn: &ScnConfig,
    train: &ImageDataset,
    plan: &RunPlan,
    ranks: usize,
) -> anyhow::Result<()> {
    // The errors of a loader, before its run has a folder.
    config.train_batches(train, plan.seed(), &Device::Cpu, &**plan.communicator())?;
    let share = config.smallest_share(train.len(), ranks);
    let mut scn = scn.clone();
    // How many images a batch normalisation sees together.
    let together = match std::mem::take(&mut scn.model.backbone.batch_norm) {
        BatchNormKind::Sync => share * ranks,
        BatchNormKind::Split { splits } => {
            let whole = if train.len() < config.batch_size { share } else { config.batch_size / ranks };
            if splits == 0 || !share.is_multiple_of(splits) || !whole.is_multiple_of(splits) {
                let expected =
                    format!("a number of which each rank's part of every batch is a multiple; one has {share}");
                let field = "scn.model.backbone.batch_norm.split.splits";
                return Err(ScnError::Config { field, found: splits.to_string(), expected }.into());
            }
            share / splits
        }
        kind => {
            scn.model.backbone.batch_norm = kind;
            share
        }
    };
    // Two images have two values of each channel, so that more would show nothing else.
    let images = vec![config.train.apply(train.image(0)?, &mut Rng::new(0, "a look at the data"))?; together.min(2)];
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let model = Scn::new(&params.scope(), &scn)?;
    let batch = FloatImage::stack(&images, &Device::Cpu)?;
    model.forward(&batch, Mode::Train, &mut Rng::new(0, "a look at the data")).map_err(|source| match together {
        0 | 1 => {
            let (batch_size, images, source) = (config.batch_size, train.len(), Box::new(source));
            ScnError::SmallBatch { batch_size, images, share, ranks, source }
        }
        _ => ScnError::Core(source),
    })?;
    Ok(())
}

/// The file that the backbone starts from, if it does; a run that goes on from a checkpoint has its own weights.
fn initial_weights(config: &Config, plan: &RunPlan) -> anyhow::Result<Option<WeightFile>> {
    match (plan.init_from(), &config.pretraining) {
        _ if plan.is_resuming() => Ok(None),
        (Some(file), _) => Ok(Some(file.clone())),
        (None, Pretraining::None) => Ok(None),
        (None, Pretraining::File) => anyhow::bail!(NEEDS_WEIGHTS),
        (None, Pretraining::Hub { repo, file, revision }) => {
            let path = on_root(&**plan.communicator(), || fetch(repo, file, revision))?;
            Ok(Some(WeightFile { path, prefix: None }))
        }
    }
}

#[cfg(feature = "hub")]
fn fetch(repo: &str, file: &str, revision: &str) -> anyhow::Result<PathBuf> {
    use sconce_backbones::weights::hub::{HubConfig, HubFile, fetch};
    let file = HubFile { revision: revision.to_owned(), ..HubFile::new(repo, file) };
    Ok(fetch(&file, &HubConfig::default())?)
}

#[cfg(not(feature = "hub"))]
fn fetch(repo: &str, _: &str, _: &str) -> anyhow::Result<PathBuf> {
    anyhow::bail!("{repo}: {NEEDS_HUB}")
}
