//! The training loop.

use std::collections::BTreeMap;

use sconce_core::{Batches, DType, Device, Params, Tensor, Tolerance, nn::BatchNormKind};
use sconce_engine::{BatchTensors, Loss, Metrics, ParamGroup, Run, Trainer, TrainerConfig, WeightFile, dist::on_root};

use crate::{
    config::{EncoderConfig, MocoConfig},
    error::{MocoError, Result},
    evaluation::diagnostics,
    moco::{Moco, QUERY, Step},
    model::Encoder,
    weights,
};

/// Two views of each image of a batch, augmented independently, and which images of the training set they are.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What becomes queries: `(B, C, H, W)`, normalised; of several ranks each has its share of a batch.
    pub query: Tensor,
    /// What becomes keys, likewise.
    pub key: Tensor,
    /// `B` sample indices.
    pub indices: Vec<usize>,
}

impl BatchTensors for Batch {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        let indices: Vec<i64> = self.indices.iter().map(|&i| i as i64).collect();
        let n = indices.len();
        let indices = Tensor::from_vec(indices, n, &Device::Cpu).ok();
        let named = [("query", Some(self.query.clone())), ("key", Some(self.key.clone())), ("indices", indices)];
        named.into_iter().filter_map(|(name, t)| Some((name.to_owned(), t?))).collect()
    }
}

/// What training needs besides batches.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    /// Encoders, dictionary, loss.
    pub config: &'a MocoConfig,
    /// Optimiser, schedule, epochs.
    pub trainer: &'a TrainerConfig,
    /// Images of the training set.
    pub n_samples: usize,
    /// Epochs between two evaluations; 0 for none but the last.
    pub evaluate_every: usize,
    /// A file that both encoders start from: a query encoder, head included, or a backbone.
    pub initial_weights: Option<&'a WeightFile>,
}

/// A trained model.
#[derive(Debug)]
pub struct Trained {
    /// All of its parameters.
    pub params: Params,
    /// The query encoder on them, without a gradient.
    pub encoder: Encoder,
}

impl Trained {
    /// A copy of the query encoder's parameters under torchvision's names.
    ///
    /// # Errors
    /// If the copy cannot be made.
    pub fn query_encoder(&self, config: &EncoderConfig) -> Result<Params> {
        query_encoder(&self.params, config)
    }
}

/// The encoder at `encoder_q` of `params`, copied to the root of parameters of its own.
///
/// # Errors
/// If there is none.
pub(crate) fn query_encoder(params: &Params, config: &EncoderConfig) -> Result<Params> {
    let copy = Params::new(params.seed(), params.dtype(), params.device());
    Encoder::new(&copy.scope(), config, BatchNormKind::Learning)?;
    let prefix = format!("{QUERY}.");
    let tensors = params.tensors().into_iter();
    let own = tensors.filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?.to_owned(), tensor)));
    copy.load("the query encoder", &own.collect(), Tolerance::Exact)?;
    Ok(copy)
}

/// Trains on `batches`; `evaluate` measures the query encoder now and then, and what it returns is logged.
///
/// # Errors
/// If a batch cannot be made, a loss is not finite, a signal stops the run or a file cannot be written; each error says which.
pub fn train<B: Batches<Batch = Batch>>(
    training: &Training<'_>,
    batches: &mut B,
    run: &mut Run,
    mut evaluate: impl FnMut(&Encoder) -> Result<Metrics>,
) -> Result<Trained> {
    let config = training.config;
    if training.trainer.accumulate != 1 {
        // The momentum update and the queue go by batches.
        return Err(MocoError::config("trainer.accumulate", training.trainer.accumulate, "1"));
    }
    let params = Params::new(run.seed(), DType::F32, run.device()).with_communicator(run.communicator().clone());
    let moco = Moco::new(&params, config, training.n_samples)?;
    let twin = Encoder::new(&params.detached().pp(QUERY), &config.encoder, BatchNormKind::Learning)?;
    if let Some(file) = training.initial_weights {
        let start = query_encoder(&params, &config.encoder)?;
        weights::load_encoder_or_backbone(&start, file)?;
        moco.start_from(&params, &start)?;
    }

    let groups = vec![ParamGroup::new(QUERY, moco.trainable())];
    let mut trainer = Trainer::with_groups(&params, groups, training.trainer, run)?;
    while let Some(batch) = trainer.next(batches)? {
        let mut step = moco.step([&batch.query, &batch.key], &batch.indices, trainer.steps())?;
        if trainer.will_log() {
            step.loss = with_diagnostics(&moco, &step)?;
        }
        trainer.step(&step.loss, &batch)?;
        moco.remember(&step)?;
        if let Some(epoch) = trainer.finished_epoch() {
            let is_due = epoch == training.trainer.epochs
                || (training.evaluate_every > 0 && epoch.is_multiple_of(training.evaluate_every));
            if is_due {
                let ranks = trainer.run().communicator().clone();
                let metrics = on_root(&*ranks, || evaluate(&twin))?;
                if !metrics.is_empty() {
                    trainer.evaluated("test", &metrics)?;
                }
            }
        }
    }
    Ok(Trained { params, encoder: twin })
}

/// The loss with what else is worth knowing of the step; of several ranks' batches the mean is logged. It costs a product of
/// queries and dictionary.
fn with_diagnostics(moco: &Moco, step: &Step) -> Result<Loss> {
    let mut values: Vec<(&'static str, f64)> = Vec::new();
    let accuracy = moco.accuracy(step)?;
    if accuracy.is_finite() {
        values.push(("accuracy", accuracy));
    }
    if let Some(queue) = moco.queue().filter(|queue| queue.length() > 1) {
        values.push(("queue_mean_cosine", queue.mean_cosine()?));
    }
    // A single query has no pair to look at.
    let has_pairs = step.queries.dim(0)? > 1;
    let found = if has_pairs { diagnostics(&step.queries, &step.keys)? } else { Metrics::new() };
    let names = ["alignment", "uniformity", "mean_cosine", "effective_rank"];
    values.extend(names.into_iter().filter_map(|name| Some((name, *found.get(name)?))));
    values
        .into_iter()
        .try_fold(step.loss.clone(), |loss, (name, value)| Ok(loss.term(name, &Tensor::new(value, &Device::Cpu)?)))
}
