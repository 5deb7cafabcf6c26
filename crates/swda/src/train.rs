//! The training loop.

use std::collections::BTreeMap;

use sconce_core::{Batches, Communicator, DType, Device, Params, Rng, Tensor, geometry::Object};
use sconce_engine::{BatchTensors, Loss, Metrics, OptimizerConfig, ParamGroup, Run, Stateful, Trainer, TrainerConfig};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::{
    config::SwdaConfig,
    error::Result,
    model::{Images, StepLosses, Swda},
    weights::CLASSIFIERS,
};

/// Images of the source with what is on them, and images of the target.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The source.
    pub source: Images,
    /// The objects of each of its images.
    pub objects: Vec<Vec<Object>>,
    /// The target, where it is looked at.
    pub target: Option<Images>,
}

impl BatchTensors for Batch {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        let row = |(image, object): (usize, &Object)| {
            let [x1, y1, x2, y2] = object.bbox.xyxy();
            [image as f64, f64::from(object.label), x1, y1, x2, y2]
        };
        let rows: Vec<[f64; 6]> = self
            .objects
            .iter()
            .enumerate()
            .flat_map(|(i, objects)| objects.iter().map(move |object| row((i, object))))
            .collect();
        let n = rows.len();
        let objects = Tensor::from_vec(rows.into_flattened(), (n, 6), &Device::Cpu).ok();
        let target = self.target.as_ref().map(|target| target.images.clone());
        let named = [("source", Some(self.source.images.clone())), ("objects", objects), ("target", target)];
        named.into_iter().filter_map(|(name, t)| Some((name.to_owned(), t?))).collect()
    }
}

/// How the parameters are grouped for the optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GroupsConfig {
    /// What the learning rate of biases is multiplied by: 2 with VGG, 1 with ResNet-101 in the official code.
    pub bias_lr: f64,
    /// Whether biases decay like weights; they do not in the official code.
    pub bias_decay: bool,
    /// What the learning rate of the classifiers of domains is multiplied by: 1 in the official code.
    pub classifier_lr: f64,
}

impl GroupsConfig {
    /// All parameters alike.
    pub const PLAIN: Self = Self { bias_lr: 1.0, bias_decay: true, classifier_lr: 1.0 };

    /// The groups of `params`: detector and classifiers of domains, weights and biases of each.
    pub fn groups(&self, params: &Params, optimizer: &OptimizerConfig) -> Vec<ParamGroup> {
        let of_classifier = |name: &str| CLASSIFIERS.iter().any(|prefix| name.starts_with(prefix));
        let is_bias = |name: &str| name.ends_with(".bias");
        let group = |name: &str, classifier: bool, bias: bool| {
            let own = params.trainable().into_iter();
            let params = own.filter(|(n, _)| (of_classifier(n), is_bias(n)) == (classifier, bias)).collect();
            let lr_scale = if classifier { self.classifier_lr } else { 1.0 } * if bias { self.bias_lr } else { 1.0 };
            // A decay of 0 says the same of an optimiser that has none.
            let weight_decay = (bias && !self.bias_decay && decays(optimizer)).then_some(0.0);
            ParamGroup { lr_scale, weight_decay, ..ParamGroup::new(name, params) }
        };
        let all = [
            group("detector", false, false),
            group("detector biases", false, true),
            group("classifiers", true, false),
            group("classifier biases", true, true),
        ];
        all.into_iter().filter(|group| !group.params.is_empty()).collect()
    }
}

fn decays(optimizer: &OptimizerConfig) -> bool {
    let (OptimizerConfig::Sgd { weight_decay, .. }
    | OptimizerConfig::Adam { weight_decay, .. }
    | OptimizerConfig::AdamW { weight_decay, .. }) = optimizer;
    *weight_decay > 0.0
}

/// What training needs besides batches.
pub struct Training<'a> {
    /// The detector and what is aligned.
    pub config: &'a SwdaConfig,
    /// Optimiser, schedule, epochs.
    pub trainer: &'a TrainerConfig,
    /// Learning rates of parts.
    pub groups: &'a GroupsConfig,
    /// Epochs between two evaluations; 0 for none but the last.
    pub evaluate_every: usize,
    /// What else a checkpoint is to carry, by name.
    pub state: &'a [(&'static str, Arc<dyn Stateful>)],
}

/// A model before its first step.
#[derive(Debug)]
pub struct Trainee {
    params: Params,
    model: Swda,
    twin: Swda,
}

impl Trainee {
    /// A model whose parameters are drawn from `seed`, the same on all ranks.
    ///
    /// # Errors
    /// As [`Swda::new`].
    pub fn new(config: &SwdaConfig, seed: u64, device: &Device, ranks: Arc<dyn Communicator>) -> Result<Self> {
        let params = Params::new(seed, DType::F32, device).with_communicator(ranks);
        let model = Swda::new(&params.scope(), config)?;
        let twin = Swda::new(&params.detached(), config)?;
        Ok(Self { params, model, twin })
    }

    /// Its parameters, for the weights that it starts from.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The model on them, without a gradient.
    pub fn twin(&self) -> &Swda {
        &self.twin
    }
}

/// A trained detector.
#[derive(Debug)]
pub struct Trained {
    /// All of its parameters.
    pub params: Params,
    /// The model on them, without a gradient.
    pub model: Swda,
    /// The steps that were done.
    pub steps: usize,
}

/// Trains on `batches`; `evaluate` measures the model now and then, after the steps that it is told, and what it returns for each
/// split is logged.
///
/// # Errors
/// If a batch cannot be made, a loss is not finite, a signal stops the run or a file cannot be written; each error says which.
pub fn train<B: Batches<Batch = Batch>>(
    training: &Training<'_>,
    trainee: Trainee,
    batches: &mut B,
    run: &mut Run,
    mut evaluate: impl FnMut(&Swda, usize) -> Result<Vec<(&'static str, Metrics)>>,
) -> Result<Trained> {
    let (seed, ranks) = (run.seed(), run.communicator().clone());
    let Trainee { params, model, twin } = trainee;
    let groups = training.groups.groups(&params, &training.trainer.optimizer);
    let mut trainer = Trainer::with_groups(&params, groups, training.trainer, run)?;
    for (name, state) in training.state {
        trainer.track(name, state.clone())?;
    }
    let n_batches = (batches.batches_per_epoch() * training.trainer.epochs) as f64;
    while let Some(batch) = trainer.next(batches)? {
        let n = trainer.batches();
        let rng = &mut Rng::keyed(seed, "sampling and dropout", [n as u64, ranks.rank() as u64]);
        let losses = model.train(&batch.source, &batch.objects, batch.target.as_ref(), (n as f64 / n_batches, rng))?;
        trainer.step(&loss(&losses)?.samples(batch.source.sizes.len()), &batch)?;

        if let Some(epoch) = trainer.finished_epoch() {
            let every = training.evaluate_every;
            if epoch == training.trainer.epochs || every > 0 && epoch.is_multiple_of(every) {
                for (split, metrics) in evaluate(&twin, trainer.steps())? {
                    trainer.evaluated(split, &metrics)?;
                    if let (BEST_SPLIT, Some(&ap)) = (split, metrics.get(BEST_METRIC)) {
                        trainer.keep_best(ap);
                    }
                }
            }
        }
    }
    let steps = trainer.steps();
    Ok(Trained { params, model: twin, steps })
}

/// The split and the metric by which the best checkpoint is chosen: cut from the source, whose labels are known.
pub(crate) const BEST_SPLIT: &str = "validation";
const BEST_METRIC: &str = "ap50";

/// The loss with its terms, and how well the domains can be told apart.
fn loss(losses: &StepLosses) -> Result<Loss> {
    let mut loss = Loss::new(losses.total.clone());
    for (name, value) in losses.detection.named() {
        loss = loss.term(name, value);
    }
    for (name, value) in &losses.domain {
        loss = loss.term(name, value);
    }
    for (name, value) in &losses.accuracies {
        loss = loss.term(name, &Tensor::new(*value, &Device::Cpu).map_err(sconce_core::Error::from)?);
    }
    Ok(loss)
}
