//! Several ranks compute what one does.

use std::{collections::BTreeMap, convert::Infallible, path::Path, sync::Arc};

use sconce_core::{
    Batches, DType, Device, Params, Position, Rng, Tensor,
    nn::{BatchNorm2d, BatchNormKind, Conv2d, Conv2dConfig, Linear, Mode},
    ops::{self, CrossEntropyParams},
    read_tensors,
};
use sconce_engine::{
    EngineError, Loss, Record, Result, Run, RunOptions, Start, Trainer, TrainerConfig,
    dist::{self, Communicator, local},
    signals::Interrupt,
    with_threads,
};

use crate::regression::{Batch, config, options, plain};

/// What `f` gives on each of `n` ranks, each with threads of its own.
fn on_each<R: Send>(n: usize, f: impl Fn(Arc<dyn Communicator>) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let start = |rank| scope.spawn(|| with_threads(Some(1), || f(rank)).unwrap());
        let threads: Vec<_> = local(n).into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Images of noise in global batches, the last of an epoch with fewer; this rank's share of each.
struct Images {
    dtype: DType,
    sizes: Vec<usize>,
    ranks: Arc<dyn Communicator>,
    next: Position,
}

impl Batches for Images {
    type Batch = Batch;
    type Error = Infallible;

    fn batches_per_epoch(&self) -> usize {
        self.sizes.len()
    }

    fn seek(&mut self, position: Position) -> std::result::Result<(), Infallible> {
        self.next = position;
        Ok(())
    }

    fn next_batch(&mut self) -> std::result::Result<Batch, Infallible> {
        let Position { epoch, batch } = self.next;
        let n = self.sizes[batch];
        let mut rng = Rng::keyed(7, "images", [epoch as u64, batch as u64]);
        let images = rng.normal_tensor((0.0, 1.0), (n, 2, 6, 6), DType::F64, &Device::Cpu).unwrap();
        let classes: Vec<i64> = (0..n as i64).map(|i| (i * i + batch as i64) % 3).collect();
        let classes = Tensor::from_vec(classes, n, &Device::Cpu).unwrap();
        self.next = match batch + 1 < self.sizes.len() {
            true => Position { epoch, batch: batch + 1 },
            false => Position { epoch: epoch + 1, batch: 0 },
        };
        let own = |t: &Tensor| dist::own_samples(&*self.ranks, t).unwrap();
        Ok(Batch::from([
            ("images".to_owned(), own(&images).to_dtype(self.dtype).unwrap()),
            ("classes".to_owned(), own(&classes)),
        ]))
    }
}

struct Net {
    conv: Conv2d,
    norm: BatchNorm2d,
    fc: Linear,
    weight: Tensor,
}

impl Net {
    fn new(params: &Params, kind: BatchNormKind) -> Self {
        let scope = params.scope();
        let fc = Linear::new(&scope.pp("fc"), (5, 3)).unwrap();
        let weight = params.trainable().into_iter().find(|(name, _)| name == "fc.weight").unwrap().1;
        Self {
            conv: Conv2d::new(&scope.pp("conv"), (2, 5), &Conv2dConfig::same(3)).unwrap(),
            norm: BatchNorm2d::new(&scope.pp("norm"), 5).unwrap().kind(kind),
            fc,
            weight: weight.as_tensor().clone(),
        }
    }

    fn loss(&self, batch: &Batch) -> Loss {
        let x = self.norm.forward(&self.conv.forward(&batch["images"]).unwrap(), Mode::Train).unwrap();
        let x = ops::adaptive_avg_pool2d(&ops::relu(&x).unwrap(), (1, 1)).unwrap().flatten_from(1).unwrap();
        let logits = self.fc.forward(&x).unwrap();
        let fit = ops::cross_entropy(&logits, &batch["classes"], &CrossEntropyParams::default()).unwrap();
        let size = (self.weight.sqr().unwrap().sum_all().unwrap() * 1e-3).unwrap();
        Loss::new((&fit + &size).unwrap()).term("fit", &fit).term("size", &size).samples(batch["classes"].elem_count())
    }
}

/// What is trained, and how.
#[derive(Clone)]
struct Case {
    dtype: DType,
    kind: BatchNormKind,
    sizes: Vec<usize>,
    trainer: TrainerConfig,
}

/// Everything that has a state at once, for 20 updates.
fn case(dtype: DType, kind: BatchNormKind, sizes: &[usize]) -> Case {
    Case { dtype, kind, sizes: sizes.to_vec(), trainer: TrainerConfig { log_every: 1, ..config() } }
}

fn train(
    case: &Case,
    dir: &Path,
    start: Start,
    ranks: Arc<dyn Communicator>,
    stop: Option<(usize, usize)>,
) -> Result<()> {
    let options = RunOptions { max_steps: Some(20), communicator: ranks.clone(), ..options(dir, start) };
    let mut run = Run::open(options)?;
    let interrupt = Interrupt::default();
    run.set_interrupt(interrupt.clone());
    // Other values on every rank, until the trainer makes them the same.
    let params = Params::new(3 + ranks.rank() as u64, case.dtype, &Device::Cpu).with_communicator(ranks.clone());
    let net = Net::new(&params, case.kind);
    let mut batches =
        Images { dtype: case.dtype, sizes: case.sizes.clone(), ranks: ranks.clone(), next: Position::default() };
    let mut trainer = Trainer::new(&params, &case.trainer, &mut run)?;
    while let Some(batch) = trainer.next(&mut batches)? {
        trainer.step(&net.loss(&batch), &batch)?;
        if stop == Some((ranks.rank(), trainer.steps())) {
            interrupt.request(15);
        }
    }
    Ok(())
}

/// The values that a training has logged step by step, and its last checkpoint.
fn results(dir: &Path) -> (Vec<Record>, BTreeMap<String, Tensor>) {
    let text = std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut tensors = BTreeMap::new();
    for name in ["model", "optimizer", "ema"] {
        let file = read_tensors(&dir.join(format!("checkpoints/last/{name}.safetensors"))).unwrap();
        tensors.extend(file.into_iter().map(|(tensor, t)| (format!("{name}.{tensor}"), t)));
    }
    (records, tensors)
}

fn trained(case: &Case, n: usize) -> (Vec<Record>, BTreeMap<String, Tensor>) {
    let dir = tempfile::tempdir().unwrap();
    on_each(n, |rank| train(case, dir.path(), Start::Fresh, rank, None).unwrap());
    results(dir.path())
}

#[track_caller]
fn assert_same(
    (found, tensors): &(Vec<Record>, BTreeMap<String, Tensor>),
    (expected, expected_tensors): &(Vec<Record>, BTreeMap<String, Tensor>),
    tolerance: f64,
) {
    assert_eq!(found.len(), 20);
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!((found.step, found.epoch), (expected.step, expected.epoch));
        assert_eq!(found.values.keys().collect::<Vec<_>>(), ["fit", "grad_norm", "loss", "lr", "size"]);
        for (name, value) in &found.values {
            let other = expected.values[name];
            assert!((value - other).abs() <= tolerance * other.abs(), "step {}, {name}: {value} {other}", found.step);
        }
    }
    assert_eq!(tensors.keys().collect::<Vec<_>>(), expected_tensors.keys().collect::<Vec<_>>());
    let flat = |t: &Tensor| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    for (name, tensor) in tensors {
        for (a, b) in flat(tensor).into_iter().zip(flat(&expected_tensors[name])) {
            assert!((a - b).abs() <= 10.0 * tolerance * b.abs().max(1.0), "{name}: {a} {b}");
        }
    }
}

#[test]
fn with_sync_batch_norm_ranks_train_as_one_whatever_their_shares() {
    // Updates of two batches, and one of the rest; shares of 3 and 2, and of 2, 2 and 1.
    let sizes = [6, 8, 5];
    for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
        let expected = trained(&case(dtype, BatchNormKind::Learning, &sizes), 1);
        let case = case(dtype, BatchNormKind::Sync, &sizes);
        assert_same(&trained(&case, 1), &expected, 0.0);
        for n in [2, 3] {
            assert_same(&trained(&case, n), &expected, tolerance);
        }
    }
}

#[test]
fn ranks_are_the_parts_of_a_batch_that_one_splits() {
    let sizes = [8, 8, 4];
    let expected = trained(&case(DType::F64, BatchNormKind::Split { splits: 4 }, &sizes), 1);
    // Running statistics too: they are in the model's tensors.
    assert_same(&trained(&case(DType::F64, BatchNormKind::Split { splits: 2 }, &sizes), 2), &expected, 1e-9);
    assert_same(&trained(&case(DType::F64, BatchNormKind::Learning, &sizes), 4), &expected, 1e-9);
    let other = trained(&case(DType::F64, BatchNormKind::Learning, &sizes), 2);
    let differs = other.0.iter().zip(&expected.0).any(|(a, b)| (a.values["loss"] - b.values["loss"]).abs() > 1e-3);
    assert!(differs, "the groups make a difference");
}

#[test]
fn a_signal_to_one_rank_stops_all_and_any_number_goes_on() {
    let case = case(DType::F64, BatchNormKind::Sync, &[6, 8, 5]);
    let expected = trained(&case, 1);
    for (first, then) in [(2, 1), (1, 2), (2, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let stopped = on_each(first, |rank| {
            let error = train(&case, dir.path(), Start::Fresh, rank, Some((first - 1, 9))).unwrap_err();
            assert!(matches!(error, EngineError::Interrupted { signal: 15, step: 9, .. }), "{error}");
        });
        assert_eq!(stopped.len(), first);
        on_each(then, |rank| train(&case, dir.path(), Start::Resume, rank, None).unwrap());
        assert_same(&results(dir.path()), &expected, 1e-9);
    }
}

#[test]
fn a_loss_of_one_rank_that_is_not_finite_stops_all_with_one_error() {
    let dir = tempfile::tempdir().unwrap();
    let errors = on_each(2, |rank| {
        let options = RunOptions { communicator: rank.clone(), ..options(dir.path(), Start::Fresh) };
        let mut run = Run::open(options).unwrap();
        let params = Params::new(0, DType::F32, &Device::Cpu).with_communicator(rank.clone());
        let net = Net::new(&params, BatchNormKind::Sync);
        let mut batches =
            Images { dtype: DType::F32, sizes: vec![4; 3], ranks: rank.clone(), next: Position::default() };
        let mut trainer = Trainer::new(&params, &plain(2, 1), &mut run).unwrap();
        let mut step = || -> Result<()> {
            let Some(batch) = trainer.next(&mut batches)? else { return Ok(()) };
            let loss = net.loss(&batch);
            let factor = if rank.rank() == 1 && trainer.steps() == 1 { f64::NAN } else { 1.0 };
            let loss = Loss::new((loss.total() * factor).unwrap());
            trainer.step(&loss, &batch)
        };
        step().unwrap();
        step().unwrap_err().to_string()
    });
    let dump = dir.path().join("non-finite-step-2-rank-1.safetensors");
    assert_eq!(errors[0], format!("step 2: loss is NaN; its batch is saved as {}", dump.display()));
    assert_eq!(errors[0], errors[1]);
    assert_eq!(read_tensors(&dump).unwrap()["images"].dims(), [2, 2, 6, 6]);
    assert!(!dir.path().join("non-finite-step-2.safetensors").exists(), "rank 0 had no part in it");
}

#[test]
fn what_is_wrong_with_the_folder_is_wrong_on_all_ranks() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.tex"), "").unwrap();
    let case = case(DType::F64, BatchNormKind::Sync, &[6]);
    let errors = on_each(2, |rank| train(&case, dir.path(), Start::Fresh, rank, None).unwrap_err());
    assert!(matches!(errors[0], EngineError::NoRun { .. }));
    assert!(matches!(&errors[1], EngineError::OnRank { rank: 0, what } if *what == errors[0].to_string()));
}

#[test]
fn ranks_that_would_wait_for_each_other_for_ever_are_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let case = case(DType::F64, BatchNormKind::Sync, &[6]);
    // On threads that they share.
    let errors: Vec<String> = std::thread::scope(|scope| {
        let train = |rank| train(&case, dir.path(), Start::Fresh, rank, None).unwrap_err().to_string();
        let threads: Vec<_> = local(2).into_iter().map(|rank| scope.spawn(move || train(rank))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(errors.iter().all(|e| e.contains("with_threads")), "{errors:?}");
    // With other data.
    let dir = tempfile::tempdir().unwrap();
    let errors = on_each(2, |rank| {
        let case = Case { sizes: vec![6; 1 + rank.rank()], ..case.clone() };
        train(&case, dir.path(), Start::Fresh, rank, None).unwrap_err().to_string()
    });
    assert!(errors[0].contains("batches in an epoch: found 1, expected 2, as on another rank"), "{errors:?}");
    // Where one is lost.
    let dir = tempfile::tempdir().unwrap();
    let outcomes = on_each(2, |rank| match rank.rank() {
        0 => train(&case, dir.path(), Start::Fresh, rank, None).map_err(|e| e.to_string()),
        _ => Ok(()),
    });
    assert_eq!(outcomes[0].as_ref().unwrap_err(), "rank 1 of 2 has ended before the others");
}
