//! The training loop, in the order of the official code: forward, losses with the labels as they were, step, then relabelling
//! with the logits from before the step.

use std::{collections::BTreeMap, sync::Arc};

use sconce_core::{Batches, DType, Params, Rng, Tensor, nn::Mode};
use sconce_engine::{
    BatchTensors, Loss, Metrics, Run, Stateful, Trainer, TrainerConfig, WeightFile, dist::gather_list,
};

use crate::{
    config::{Margin, ScnConfig},
    error::Result,
    loss::{Groups, combine, rank_regularization, weighted_cross_entropy},
    model::{Output, Scn},
    relabel::{LabelTable, RelabelQuality, label_tensor, relabel},
    weights::load_backbone,
};

/// Images and which samples of the training set they are; labels come from the [`LabelTable`].
#[derive(Clone, Debug)]
pub struct Batch {
    /// `(B, C, H, W)`, normalised.
    pub images: Tensor,
    /// `B` sample indices.
    pub indices: Vec<usize>,
}

impl BatchTensors for Batch {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        let indices: Vec<i64> = self.indices.iter().map(|&i| i as i64).collect();
        let n = indices.len();
        let indices = Tensor::from_vec(indices, n, &sconce_core::Device::Cpu).ok();
        let named = [("images", Some(self.images.clone())), ("indices", indices)];
        named.into_iter().filter_map(|(name, t)| Some((name.to_owned(), t?))).collect()
    }
}

impl Stateful for LabelTable {
    fn save(&self) -> std::result::Result<Vec<u8>, sconce_engine::Source> {
        Ok(self.to_json()?)
    }

    fn load(&self, bytes: &[u8]) -> std::result::Result<(), sconce_engine::Source> {
        Ok(self.restore(bytes)?)
    }
}

/// The losses of one batch, and the groups that they split it into.
#[derive(Clone, Debug)]
pub struct StepLoss {
    /// The loss with its terms.
    pub loss: Loss,
    /// The high and the low group.
    pub groups: Groups,
}

/// The loss of a batch whose labels are `targets` `(B)`.
///
/// # Errors
/// If the shapes do not fit or a label is not a class.
pub fn step_loss(model: &Scn, output: &Output, targets: &Tensor, config: &ScnConfig) -> Result<StepLoss> {
    let groups = Groups::split(&output.alpha, config.rank.high_ratio)?;
    let wce = weighted_cross_entropy(&output.logits, targets)?;
    let margin = match config.rank.margin {
        Margin::Off => None,
        Margin::Fixed { value } => Some(Tensor::new(value, output.alpha.device())?.to_dtype(output.alpha.dtype())?),
        Margin::Learnable { .. } => model.margin().cloned(),
    };
    let loss = match margin {
        None => Loss::new(wce),
        Some(margin) => {
            let rank = rank_regularization(&output.alpha, &groups, &margin)?;
            Loss::new(combine(&wce, &rank, config.combine)?).term("wce", &wce).term("rank", &rank)
        }
    };
    Ok(StepLoss { loss, groups })
}

/// What training needs besides batches.
pub struct Training<'a> {
    /// The network and its losses.
    pub config: &'a ScnConfig,
    /// Optimiser, schedule, epochs.
    pub trainer: &'a TrainerConfig,
    /// The labels of the training set.
    pub labels: Arc<LabelTable>,
    /// The true labels, where they are known: only to measure relabelling, never to train.
    pub truth: Option<&'a [u32]>,
    /// What else a checkpoint is to carry, by name.
    pub state: &'a [(&'static str, Arc<dyn Stateful>)],
    /// The file that the backbone starts from, in any form that [`load_backbone`] reads.
    pub initial_weights: Option<&'a WeightFile>,
}

/// A trained network.
#[derive(Debug)]
pub struct Trained {
    /// Its parameters.
    pub params: Params,
    /// The network on those parameters, without a gradient.
    pub model: Scn,
}

/// Trains a network on `batches`. Several ranks share each batch: every rank splits its own share into groups, what is
/// relabelled goes into the table of all of them, and all measure the whole of every split. After every epoch `evaluate`
/// measures it; what it returns for each split is logged, and the run keeps the checkpoint that is best by `accuracy` on the
/// split `validation`.
///
/// # Errors
/// If a batch cannot be made, a loss is not finite, a signal stops the run or a file cannot be written; each error says which.
pub fn train<B: Batches<Batch = Batch>>(
    training: &Training<'_>,
    batches: &mut B,
    run: &mut Run,
    mut evaluate: impl FnMut(&Scn) -> Result<Vec<(&'static str, Metrics)>>,
) -> Result<Trained> {
    let (config, labels) = (training.config, &training.labels);
    let (seed, ranks) = (run.seed(), run.communicator().clone());
    let params = Params::new(seed, DType::F32, run.device()).with_communicator(ranks.clone());
    let model = Scn::new(&params.scope(), config)?;
    let twin = Scn::new(&params.detached(), config)?;
    if let Some(file) = &training.initial_weights {
        load_backbone(&params, file)?;
    }

    let mut trainer = Trainer::new(&params, training.trainer, run)?;
    trainer.track("labels", labels.clone())?;
    for (name, state) in training.state {
        trainer.track(name, state.clone())?;
    }
    while let Some(batch) = trainer.next(batches)? {
        let epoch = trainer.epoch();
        let targets = labels.of(&batch.indices)?;
        let rng = &mut Rng::keyed(seed, "dropout", [trainer.batches() as u64, ranks.rank() as u64]);
        let output = model.forward(&batch.images, Mode::Train, rng)?;
        let StepLoss { loss, groups } = step_loss(&model, &output, &label_tensor(&targets, params.device())?, config)?;
        trainer.step(&loss.samples(targets.len()), &batch)?;

        if epoch >= config.relabel.start_epoch {
            let proposed = relabel(&output.logits, &targets, &groups, &config.relabel)?;
            let own: Vec<(usize, u32)> = batch.indices.iter().copied().zip(proposed).collect();
            let (indices, proposed): (Vec<_>, Vec<_>) = gather_list(&*ranks, &own)?.into_iter().unzip();
            labels.update(&indices, &proposed, epoch)?;
        }
        if trainer.finished_epoch().is_some() {
            for change in labels.changes().iter().filter(|c| c.epoch == epoch) {
                trainer.run().append("relabelled", change)?;
            }
            for (split, metrics) in evaluate(&twin)? {
                trainer.evaluated(split, &metrics)?;
                if let (BEST_SPLIT, Some(&accuracy)) = (split, metrics.get("accuracy")) {
                    trainer.keep_best(accuracy);
                }
            }
            trainer.evaluated("labels", &label_metrics(labels, training.truth))?;
        }
    }
    Ok(Trained { params, model: twin })
}

/// The split by which the best checkpoint is chosen.
const BEST_SPLIT: &str = "validation";

/// What is known of the labels now.
pub fn label_metrics(labels: &LabelTable, truth: Option<&[u32]>) -> Metrics {
    let (given, current) = (labels.original(), labels.current());
    let relabelled = given.iter().zip(&current).filter(|(g, c)| g != c).count();
    let mut metrics = Metrics::from([("relabelled".to_owned(), relabelled as f64)]);
    if let Some(truth) = truth {
        let quality = RelabelQuality::new(&given, &current, truth);
        let shares = [
            ("relabel_precision", quality.precision),
            ("relabel_recall", quality.recall),
            ("relabel_broken", quality.broken),
            ("noise_left", quality.noise_left),
        ];
        metrics.extend(shares.into_iter().filter_map(|(name, share)| Some((name.to_owned(), share?))));
    }
    metrics
}
