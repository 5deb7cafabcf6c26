//! The loop: what it does in which order, which checkpoint it calls the best, and what ranks share.

use std::{collections::BTreeSet, convert::Infallible, path::Path, sync::Arc};

use sconce_core::{Batches, Communicator, DType, Device, Params, Position, Rng, Tensor, nn::BatchNormKind, nn::Mode};
use sconce_engine::{
    Checkpoint, Metrics, Optimizer, OptimizerConfig, ParamGroup, Run, RunOptions, ScheduleConfig, TrainerConfig,
    dist::{alone, local},
    with_threads,
};
use sconce_scn::{
    Batch, LabelTable, Margin, RelabelScope, ResNetConfig, Scn, ScnConfig, Stem, Training, label_tensor, relabel,
    step_loss, train,
};

const CLASSES: usize = 4;
const SAMPLES: usize = 24;
const BATCH: usize = 12;
const LR: f64 = 0.5;

/// All samples in their order, a part of each batch for each rank.
struct InOrder {
    rank: usize,
    ranks: usize,
    next: usize,
}

impl InOrder {
    fn of(ranks: &dyn Communicator) -> Self {
        Self { rank: ranks.rank(), ranks: ranks.size(), next: 0 }
    }
}

impl Batches for InOrder {
    type Batch = Batch;
    type Error = Infallible;

    fn batches_per_epoch(&self) -> usize {
        SAMPLES / BATCH
    }

    fn seek(&mut self, position: Position) -> Result<(), Infallible> {
        self.next = position.batch;
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Batch, Infallible> {
        let first = self.next * BATCH;
        self.next = (self.next + 1) % (SAMPLES / BATCH);
        let indices: Vec<usize> = (first + self.rank..first + BATCH).step_by(self.ranks).collect();
        Ok(Batch { images: images(&indices), indices })
    }
}

fn images(indices: &[usize]) -> Tensor {
    let one = |&i: &usize| {
        let rng = &mut Rng::keyed(3, "image", [i as u64, 0]);
        rng.normal_tensor((0.0, 1.0), (1, 3, 16, 16), DType::F32, &Device::Cpu).unwrap()
    };
    Tensor::cat(&indices.iter().map(one).collect::<Vec<_>>(), 0).unwrap()
}

fn labels() -> Vec<u32> {
    (0..SAMPLES).map(|i| (i * 7 % CLASSES) as u32).collect()
}

/// The whole batch may be relabelled, from the first epoch on and at the smallest advantage.
fn config() -> ScnConfig {
    let backbone = ResNetConfig { stem: Stem::Cifar, width: 0.0625, ..ResNetConfig::resnet18() };
    let mut config = ScnConfig::code(backbone, CLASSES);
    config.relabel.margin = 0.0;
    config.relabel.start_epoch = 1;
    config
}

fn sgd() -> OptimizerConfig {
    OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 }
}

/// Trains for so many steps; the parameters, and the labels afterwards.
fn run(
    folder: &Path,
    config: &ScnConfig,
    ranks: &Arc<dyn Communicator>,
    (epochs, max_steps): (usize, Option<usize>),
    evaluate: impl FnMut(&Scn) -> sconce_scn::Result<Vec<(&'static str, Metrics)>>,
) -> (Params, Arc<LabelTable>) {
    let options =
        RunOptions { seed: Some(1), max_steps, communicator: ranks.clone(), ..RunOptions::new(folder, "scn", "") };
    let trainer = TrainerConfig {
        lr: LR,
        epochs,
        accumulate: 1,
        clip_norm: None,
        ema: None,
        log_every: 1,
        checkpoint_every: 0,
        optimizer: sgd(),
        schedule: ScheduleConfig::CONSTANT,
    };
    let table = Arc::new(LabelTable::new(labels(), CLASSES).unwrap());
    let training =
        Training { config, trainer: &trainer, labels: table.clone(), truth: None, state: &[], initial_weights: None };
    let trained = train(&training, &mut InOrder::of(&**ranks), &mut Run::open(options).unwrap(), evaluate).unwrap();
    (trained.params, table)
}

fn values(params: &Params) -> Vec<f32> {
    params.trainable().iter().flat_map(|(_, var)| var.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The first step by hand, with `targets` in its loss: the parameters after it, the labels that its logits propose from `from`, and
/// those that the logits after it would.
fn first_step(config: &ScnConfig, targets: &[u32], from: &[u32]) -> (Vec<f32>, Vec<u32>, Vec<u32>) {
    let params = Params::new(1, DType::F32, &Device::Cpu);
    let model = Scn::new(&params.scope(), config).unwrap();
    let samples: Vec<usize> = (0..BATCH).collect();
    let forward = || model.forward(&images(&samples), Mode::Train, &mut Rng::new(0, "")).unwrap();
    let output = forward();
    let step = step_loss(&model, &output, &label_tensor(targets, &Device::Cpu).unwrap(), config).unwrap();
    let proposed = |output: &sconce_scn::Output| relabel(&output.logits, from, &step.groups, &config.relabel).unwrap();
    let before = proposed(&output);
    let gradients = sconce_core::backward(step.loss.total()).unwrap();
    let mut sgd = Optimizer::new(&sgd(), vec![ParamGroup::new("all", params.trainable())]).unwrap();
    sgd.step(&gradients, LR).unwrap();
    let after = proposed(&forward());
    (values(&params), before, after)
}

#[test]
fn the_loop_learns_from_the_labels_before_and_relabels_by_the_logits_before_the_step() {
    let config = config();
    let given = labels()[..BATCH].to_vec();
    let (expected, relabelled, by_later_logits) = first_step(&config, &given, &given);
    let (from_new_labels, ..) = first_step(&config, &relabelled, &given);
    assert_ne!(relabelled, given, "nothing would be relabelled, and the test would show nothing");
    assert_ne!(relabelled, by_later_logits, "the logits after the step would give the same labels");
    assert!(worst(&expected, &from_new_labels) > 1e-3, "the new labels would give the same parameters");

    let folder = tempfile::tempdir().unwrap();
    let (params, table) = run(&folder.path().join("run"), &config, &alone(), (1, Some(1)), |_| Ok(Vec::new()));
    assert_eq!(table.current()[..BATCH], relabelled);
    assert_eq!(table.current()[BATCH..], labels()[BATCH..], "a sample was relabelled that no step has seen");
    assert!(worst(&values(&params), &expected) < 1e-6);
}

#[test]
fn relabelling_begins_at_the_first_step_of_its_epoch() {
    let mut config = config();
    config.relabel.start_epoch = 2;
    let folder = tempfile::tempdir().unwrap();
    let changes = |name: &str, steps: usize| {
        let out = folder.path().join(name);
        run(&out, &config, &alone(), (3, Some(steps)), |_| Ok(Vec::new())).1.changes()
    };
    assert_eq!(changes("first", 2), []);
    let second = changes("second", 3);
    assert!(!second.is_empty() && second.iter().all(|change| change.epoch == 2 && change.index < BATCH), "{second:?}");
}

#[test]
fn the_best_checkpoint_is_that_of_the_validation_images() {
    let folder = tempfile::tempdir().unwrap();
    let mut epoch = 0;
    let accuracy = |value: f64| Metrics::from([("accuracy".to_owned(), value)]);
    run(folder.path(), &config(), &alone(), (3, None), |_| {
        epoch += 1;
        // The test images prefer the first epoch, the validation images the second.
        let (validation, test) = [(0.2, 0.9), (0.6, 0.5), (0.4, 0.7)][epoch - 1];
        Ok(vec![("test", accuracy(test)), ("validation", accuracy(validation))])
    });
    let best = Checkpoint::open(&folder.path().join("checkpoints/best")).unwrap();
    assert_eq!((best.state().step, best.state().best), (2 * SAMPLES / BATCH, Some(0.6)));
}

#[test]
fn what_one_rank_relabels_is_relabelled_for_all() {
    let mut config = config();
    // The ranks sort shares of a batch into groups; all else is as with one.
    config.rank.margin = Margin::Off;
    config.model.backbone.batch_norm = BatchNormKind::Sync;
    assert_eq!(config.relabel.scope, RelabelScope::WholeBatch);
    let folder = tempfile::tempdir().unwrap();
    let (params, one) = run(&folder.path().join("one"), &config, &alone(), (1, None), |_| Ok(Vec::new()));
    let two: Vec<(Vec<f32>, Arc<LabelTable>)> = std::thread::scope(|scope| {
        let out = folder.path().join("two");
        let rank = |ranks: Arc<dyn Communicator>| {
            let (out, config) = (out.clone(), config.clone());
            let trained = move || {
                let (params, table) = run(&out, &config, &ranks, (1, None), |_| Ok(Vec::new()));
                (values(&params), table)
            };
            scope.spawn(move || with_threads(Some(1), trained).unwrap())
        };
        let threads: Vec<_> = local(2).into_iter().map(rank).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let changed: BTreeSet<usize> = one.changes().iter().map(|change| change.index % 2).collect();
    assert_eq!(changed.len(), 2, "samples of both ranks must change for this to show anything");
    for (params_of_rank, table) in &two {
        assert_eq!(table.current(), one.current());
        assert_eq!(table.changes(), one.changes(), "in the order of the batch");
        assert!(worst(params_of_rank, &values(&params)) < 1e-3);
    }
}
