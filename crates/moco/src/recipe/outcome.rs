//! What features are worth at the end of a run.

use sconce_core::{DType, Device, Params, Rng, Tensor, Tolerance, nn::Mode};
use sconce_data::ImageDataset;
use sconce_engine::{
    Metrics, Run,
    dist::{alone, on_root},
    metrics::accuracy,
};

use super::{Config, KnnFeatures, pictures};
use crate::{
    data::{Datasets, Remainder},
    error::{MocoError, Result},
    evaluation::{Classifier, Features, FineTuneConfig, fine_tune, knn_classify, linear_probe},
    model::Encoder,
};

/// Features of both splits.
pub(super) struct Measured {
    pub(super) train: Features,
    pub(super) test: Features,
}

/// Where features come from.
#[derive(Clone, Copy)]
pub(super) enum Extractor<'a> {
    /// The backbone of an encoder, in evaluation mode.
    Backbone(&'a Encoder),
    /// The projection behind it: what queries and keys are.
    Projection(&'a Encoder),
    /// The pixels themselves.
    Pixels,
}

impl Measured {
    fn knn_accuracy(&self, config: &Config) -> Result<f64> {
        let classes = knn_classify(&self.train, &self.test, &config.evaluation.knn)?;
        Ok(accuracy(&classes, self.test.labels())?)
    }
}

impl Extractor<'_> {
    pub(super) fn apply(self, images: &Tensor) -> Result<Tensor> {
        match self {
            Self::Backbone(encoder) => encoder.features(images, Mode::Eval),
            Self::Projection(encoder) => encoder.forward(images, Mode::Eval),
            Self::Pixels => Ok(images.flatten_from(1)?),
        }
    }

    fn features(self, config: &Config, dataset: &ImageDataset, device: &Device) -> Result<Features> {
        let mut batches = config.data.in_order(dataset, device).map_err(boxed)?;
        Features::extract(&mut batches, |images| self.apply(images))
    }

    /// The features of both splits.
    pub(super) fn measure(self, config: &Config, splits: Splits<'_>, device: &Device) -> Result<Measured> {
        let features = |dataset| self.features(config, dataset, device);
        Ok(Measured { train: features(splits.train)?, test: features(splits.test)? })
    }

    /// What nearest neighbours look at, where that is something else.
    fn for_knn(self, config: &Config) -> Option<Self> {
        match (self, config.evaluation.knn_features) {
            (Self::Backbone(encoder), KnnFeatures::Projected) => Some(Self::Projection(encoder)),
            _ => None,
        }
    }
}

/// What features are measured on.
#[derive(Clone, Copy)]
pub(super) struct Splits<'a> {
    pub(super) train: &'a ImageDataset,
    pub(super) test: &'a ImageDataset,
}

impl<'a> Splits<'a> {
    /// Both splits, if there are test images, and labels that tell something.
    pub(super) fn of(data: &'a Datasets) -> Option<Self> {
        let test = data.test.as_ref().filter(|test| test.classes().len() > 1)?;
        Some(Self { train: &data.train, test })
    }
}

/// The accuracy of nearest neighbours.
pub(super) fn knn_accuracy(
    config: &Config,
    extractor: Extractor<'_>,
    splits: Splits<'_>,
    device: &Device,
) -> Result<f64> {
    extractor.for_knn(config).unwrap_or(extractor).measure(config, splits, device)?.knn_accuracy(config)
}

/// Accuracies of nearest neighbours and of linear classifiers.
pub(super) fn accuracies(
    config: &Config,
    extractor: Extractor<'_>,
    (splits, measured): (Splits<'_>, &Measured),
    seed: u64,
    device: &Device,
) -> Result<Metrics> {
    let evaluation = &config.evaluation;
    let probe = |train: &Features| -> Result<f64> {
        let classes = linear_probe(train, &measured.test, &evaluation.probe, seed)?;
        Ok(accuracy(&classes, measured.test.labels())?)
    };
    let few = balanced(measured.train.labels(), evaluation.few_labels, seed);
    let knn = match extractor.for_knn(config) {
        Some(other) => other.measure(config, splits, device)?.knn_accuracy(config)?,
        None => measured.knn_accuracy(config)?,
    };
    let values = [
        ("knn_accuracy", knn),
        ("linear_accuracy", probe(&measured.train)?),
        ("linear_few_accuracy", probe(&measured.train.subset(&few))?),
    ];
    Ok(values.map(|(name, value)| (name.to_owned(), value)).into())
}

/// Measures what `extractor` gives, draws nearest neighbours, and ends the run. Without labelled test images there is nothing to
/// measure.
pub(super) fn report(
    config: &Config,
    data: &Datasets,
    extractor: Extractor<'_>,
    backbone: Option<&Params>,
    run: &mut Run,
) -> anyhow::Result<()> {
    let ranks = run.communicator().clone();
    let metrics = on_root(&*ranks, || -> anyhow::Result<Metrics> {
        let Some(splits) = Splits::of(data) else { return Ok(Metrics::new()) };
        let measured = extractor.measure(config, splits, run.device())?;
        let mut metrics = accuracies(config, extractor, (splits, &measured), run.seed(), run.device())?;
        if let (Some(fine_tuning), Some(params)) = (&config.evaluation.fine_tune, backbone) {
            let accuracy = fine_tuned_accuracy(config, fine_tuning, splits, params, run.seed())?;
            metrics.insert("fine_tuned_accuracy".to_owned(), accuracy);
        }
        let sheet = pictures::neighbours(&measured, splits)?;
        sconce_core::files::write_atomic(&run.pictures()?.join("nearest.png"), &sheet.encode_png()?)?;
        Ok(metrics)
    })?;
    run.finish(metrics)?;
    Ok(())
}

/// The test accuracy of a classifier that starts from the backbone in `params`, an encoder at the root, and trains on some labels.
fn fine_tuned_accuracy(
    config: &Config,
    fine_tuning: &FineTuneConfig,
    splits: Splits<'_>,
    encoder: &Params,
    seed: u64,
) -> anyhow::Result<f64> {
    let device = encoder.device();
    let params = Params::new(seed, DType::F32, device);
    let (backbone, n_classes) = (&config.moco.encoder.backbone, splits.train.classes().len());
    let classifier = Classifier::new(&params.scope(), backbone, n_classes)?;
    let start = encoder.tensors().into_iter().filter(|(name, _)| !name.starts_with("fc."));
    params.load("the encoder", &start.collect(), Tolerance::Missing)?;
    let labelled = splits.train.subset(&balanced(splits.train.labels(), fine_tuning.labels, seed))?;
    let batch = (fine_tuning.batch_size, Remainder::NotOne);
    let mut batches = config.data.labelled(&labelled, batch, seed, device, &*alone())?;
    fine_tune(&params, &classifier, &mut batches, fine_tuning)?;
    let twin = Classifier::new(&params.detached(), backbone, n_classes)?;
    let (logits, labels) = twin.logits(&mut config.data.in_order(splits.test, device)?)?;
    Ok(accuracy(&logits.classes(), &labels)?)
}

/// Checks that every class has one of the labels that are few.
pub(super) fn check_labels(config: &Config, data: &Datasets) -> Result<()> {
    let (n_classes, evaluation) = (data.train.classes().len(), &config.evaluation);
    let fine_tuned = evaluation.fine_tune.map(|f| ("evaluation.fine_tune.labels", f.labels));
    for (key, labels) in [("evaluation.few_labels", evaluation.few_labels)].into_iter().chain(fine_tuned) {
        if Splits::of(data).is_some() && labels < n_classes {
            let expected = format!("at least {n_classes}, one for each class");
            return Err(MocoError::config(key, labels, expected));
        }
    }
    Ok(())
}

/// Samples of each class, as many of one as of another, `count` in all as far as there are.
pub(super) fn balanced(labels: &[u32], count: usize, seed: u64) -> Vec<usize> {
    let n_classes = labels.iter().max().map_or(0, |&label| label as usize + 1);
    let mut left = vec![count / n_classes.max(1); n_classes];
    // What does not divide goes to the first classes.
    left.iter_mut().take(count % n_classes.max(1)).for_each(|n| *n += 1);
    let mut chosen: Vec<usize> = Rng::new(seed, "labelled samples").permutation(labels.len());
    chosen.retain(|&sample| {
        let left = &mut left[labels[sample] as usize];
        let is_chosen = *left > 0;
        *left -= usize::from(is_chosen);
        is_chosen
    });
    chosen
}

/// An error of the data, where the method's own is expected.
pub(super) fn boxed(error: sconce_data::DataError) -> MocoError {
    MocoError::Batches(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Neighbours are looked for among the training images: of the two queries, one has its own class there.
    #[test]
    fn the_bank_is_the_training_split() {
        let features = |rows: &[[f32; 2]], labels: &[u32]| Features::new(rows.concat(), 2, labels.to_vec()).unwrap();
        let measured = Measured {
            train: features(&[[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]], &[0, 1, 1]),
            test: features(&[[1.0, 0.1], [0.1, 0.9]], &[0, 0]),
        };
        let mut one = Config::small();
        one.evaluation.knn.k = 1;
        assert_eq!(measured.knn_accuracy(&one).unwrap(), 0.5);
    }

    #[test]
    fn labels_are_chosen_evenly_and_by_seed() {
        let labels: Vec<u32> = (0..60).map(|i| if i < 40 { 0 } else { 1 + i % 2 }).collect();
        let chosen = balanced(&labels, 10, 0);
        let count = |class| chosen.iter().filter(|&&i| labels[i] == class).count();
        assert_eq!([count(0), count(1), count(2)], [4, 3, 3]);
        assert_eq!(chosen, balanced(&labels, 10, 0));
        assert_ne!(chosen, balanced(&labels, 10, 1));
        assert_eq!(balanced(&labels, 1000, 0).len(), 60, "no more than there are");
    }
}
