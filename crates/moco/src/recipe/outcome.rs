//! What features are worth at the end of a run.

use sconce_core::{DType, Device, Params, Rng, Tensor, Tolerance, nn::Mode};
use sconce_data::ImageDataset;
use sconce_engine::{Metrics, Outcome, Run, metrics::accuracy};

use super::{Config, pictures};
use crate::{
    data::Datasets,
    error::Result,
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
    Encoder(&'a Encoder),
    /// The pixels themselves.
    Pixels,
}

impl Extractor<'_> {
    pub(super) fn apply(self, images: &Tensor) -> Result<Tensor> {
        match self {
            Self::Encoder(encoder) => encoder.features(images, Mode::Eval),
            Self::Pixels => Ok(images.flatten_from(1)?),
        }
    }

    /// The features of `dataset`.
    pub(super) fn features(self, config: &Config, dataset: &ImageDataset, device: &Device) -> anyhow::Result<Features> {
        Ok(Features::extract(&mut config.data.in_order(dataset, device)?, |images| self.apply(images))?)
    }

    /// The features of both splits.
    pub(super) fn measure(self, config: &Config, data: &Datasets, device: &Device) -> anyhow::Result<Measured> {
        let features = |dataset| self.features(config, dataset, device);
        Ok(Measured { train: features(&data.train)?, test: features(&data.test)? })
    }
}

impl Measured {
    /// The accuracy of nearest neighbours.
    pub(super) fn knn(&self, config: &Config) -> Result<f64> {
        let classes = knn_classify(&self.train, &self.test, &config.evaluation.knn)?;
        Ok(accuracy(&classes, self.test.labels())?)
    }

    /// Accuracies of nearest neighbours and of linear classifiers.
    pub(super) fn metrics(&self, config: &Config, seed: u64) -> Result<Metrics> {
        let evaluation = &config.evaluation;
        let probe = |train: &Features| -> Result<f64> {
            Ok(accuracy(&linear_probe(train, &self.test, &evaluation.probe, seed)?, self.test.labels())?)
        };
        let few = balanced(self.train.labels(), evaluation.few_labels, seed);
        let values = [
            ("knn_accuracy", self.knn(config)?),
            ("linear_accuracy", probe(&self.train)?),
            ("linear_few_accuracy", probe(&self.train.subset(&few))?),
        ];
        Ok(values.map(|(name, value)| (name.to_owned(), value)).into())
    }
}

/// Measures what `extractor` gives, draws nearest neighbours, and ends the run.
pub(super) fn report(
    config: &Config,
    data: &Datasets,
    extractor: Extractor<'_>,
    backbone: Option<&Params>,
    run: &mut Run,
) -> anyhow::Result<()> {
    let (seed, device) = (run.seed(), run.device().clone());
    let measured = extractor.measure(config, data, &device)?;
    let mut metrics = measured.metrics(config, seed)?;
    if let (Some(fine_tuning), Some(params)) = (&config.evaluation.fine_tune, backbone) {
        let accuracy = fine_tuned_accuracy(config, fine_tuning, data, params, seed)?;
        metrics.insert("fine_tuned_accuracy".to_owned(), accuracy);
    }
    let sheet = pictures::neighbours(&measured, data)?;
    sconce_core::files::write_atomic(&run.pictures()?.join("nearest.png"), &sheet.encode_png()?)?;
    run.finish(Outcome { metrics, data_hash: Some(data.hash()?) })?;
    Ok(())
}

/// The test accuracy of a classifier that starts from the backbone in `params`, an encoder at the root, and trains on some labels.
fn fine_tuned_accuracy(
    config: &Config,
    fine_tuning: &FineTuneConfig,
    data: &Datasets,
    encoder: &Params,
    seed: u64,
) -> anyhow::Result<f64> {
    let device = encoder.device();
    let params = Params::new(seed, DType::F32, device);
    let (backbone, n_classes) = (&config.moco.encoder.backbone, data.train.classes().len());
    let classifier = Classifier::new(&params.scope(), backbone, n_classes)?;
    let start = encoder.tensors().into_iter().filter(|(name, _)| !name.starts_with("fc."));
    params.load("the encoder", &start.collect(), Tolerance::Missing)?;
    let labelled = data.train.subset(&balanced(data.train.labels(), fine_tuning.labels, seed))?;
    let mut batches = config.data.labelled(&labelled, fine_tuning.batch_size, seed, device)?;
    fine_tune(&params, &classifier, &mut batches, fine_tuning)?;
    let twin = Classifier::new(&params.detached(), backbone, n_classes)?;
    let (classes, labels) = twin.classify(&mut config.data.in_order(&data.test, device)?)?;
    Ok(accuracy(&classes, &labels)?)
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

#[cfg(test)]
mod tests {
    use super::*;

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
