//! A linear regression with everything that a method can have: a state of its own, a random stream, a log.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::Path,
    sync::{Arc, Mutex},
};

use sconce_core::{Batches, DType, Device, Init, Params, Position, Rng, Tensor};
use sconce_engine::{
    Clock, Decay, Loss, Metrics, OptimizerConfig, Result, Run, RunOptions, ScheduleConfig, Source, Start, Stateful,
    Trainer, TrainerConfig, Unit, Warmup,
};

pub(crate) type Batch = BTreeMap<String, Tensor>;

/// Points of a plane, drawn from a stream of their own for each batch.
pub(crate) struct Points {
    pub(crate) per_epoch: usize,
    pub(crate) next: Position,
    /// The batch whose input is not a number.
    pub(crate) poisoned: Option<Position>,
}

impl Points {
    pub(crate) fn new(per_epoch: usize) -> Self {
        Self { per_epoch, next: Position::default(), poisoned: None }
    }
}

impl Batches for Points {
    type Batch = Batch;
    type Error = Infallible;

    fn batches_per_epoch(&self) -> usize {
        self.per_epoch
    }

    fn seek(&mut self, position: Position) -> std::result::Result<(), Infallible> {
        self.next = position;
        Ok(())
    }

    fn next_batch(&mut self) -> std::result::Result<Batch, Infallible> {
        let Position { epoch, batch } = self.next;
        let mut rng = Rng::keyed(7, "points", [epoch as u64, batch as u64]);
        let mut x: Vec<f32> = (0..8).map(|_| rng.normal() as f32).collect();
        if self.poisoned == Some(self.next) {
            x[3] = f32::NAN;
        }
        let y: Vec<f32> = x.chunks(2).map(|x| 3.0 * x[0] - x[1] + 0.5).collect();
        self.next = if batch + 1 < self.per_epoch {
            Position { epoch, batch: batch + 1 }
        } else {
            Position { epoch: epoch + 1, batch: 0 }
        };
        let x = Tensor::from_vec(x, (4, 2), &Device::Cpu).unwrap();
        let y = Tensor::from_vec(y, (4, 1), &Device::Cpu).unwrap();
        Ok(Batch::from([("x".to_owned(), x), ("y".to_owned(), y)]))
    }
}

/// What a method may keep beside its parameters: here the losses of all steps.
#[derive(Default)]
pub(crate) struct Losses(pub(crate) Mutex<Vec<f32>>);

impl Stateful for Losses {
    fn save(&self) -> std::result::Result<Vec<u8>, Source> {
        Ok(self.0.lock().unwrap().iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    fn load(&self, bytes: &[u8]) -> std::result::Result<(), Source> {
        *self.0.lock().unwrap() = bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        Ok(())
    }
}

pub(crate) fn params() -> Params {
    let params = Params::new(1, DType::F32, &Device::Cpu);
    params.scope().param("weight", (2, 1), Init::Normal { mean: 0.0, std: 1.0 }).unwrap();
    params.scope().param("bias", 1, Init::Constant(0.0)).unwrap();
    params.scope().buffer("seen", (), 0.0, DType::F32).unwrap();
    params
}

/// Mean squared error, in terms of fit and of the size of the weights.
pub(crate) fn loss(params: &Params, batch: &Batch, noise: f64) -> Result<Loss> {
    let vars: BTreeMap<_, _> = params.trainable().into_iter().collect();
    let prediction = batch["x"].matmul(vars["weight"].as_tensor())?.broadcast_add(vars["bias"].as_tensor())?;
    let fit = ((prediction - &batch["y"])? + noise)?.sqr()?.mean_all()?;
    let size = (vars["weight"].sqr()?.sum_all()? * 1e-3)?;
    Ok(Loss::new((&fit + &size)?).term("fit", &fit).term("size", &size))
}

/// Everything that has a state at once: momentum, clipping, accumulation with a rest, an average, a schedule of steps.
pub(crate) fn config() -> TrainerConfig {
    TrainerConfig {
        lr: 0.05,
        epochs: 12,
        accumulate: 2,
        clip_norm: Some(1.0),
        ema: Some(0.9),
        log_every: 3,
        checkpoint_every: 5,
        optimizer: OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-3 },
        schedule: ScheduleConfig {
            decay: Decay::Cosine { final_ratio: 0.1, offset: 0 },
            unit: Unit::Step,
            warmup: Warmup::Linear { length: 4, unit: Unit::Step, start_factor: 0.25 },
        },
    }
}

/// The base rate throughout, and nothing else that has a state.
pub(crate) fn plain(epochs: usize, accumulate: usize) -> TrainerConfig {
    TrainerConfig {
        epochs,
        accumulate,
        clip_norm: None,
        ema: None,
        optimizer: OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 },
        schedule: ScheduleConfig::CONSTANT,
        ..config()
    }
}

pub(crate) fn options(dir: &Path, start: Start) -> RunOptions {
    RunOptions {
        start,
        seed: Some(1),
        ..RunOptions::new(dir, "regression", "epochs = 12\n[optimizer]\nname = \"sgd\"\n")
    }
}

/// Where a training that is not left to end does so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Never,
    MaxSteps(usize),
    /// As `kill -9` would: between two steps, without a word.
    Crash(usize),
    /// By a signal, here from within.
    Signal(usize),
}

/// Trains in `dir`; seven batches are four updates.
pub(crate) fn train(dir: &Path, start: Start, stop: Stop) -> Result<()> {
    let max_steps = if let Stop::MaxSteps(n) = stop { Some(n) } else { None };
    let mut run = Run::open(RunOptions { max_steps, ..options(dir, start) })?;
    let interrupt = sconce_engine::signals::Interrupt::default();
    run.set_interrupt(interrupt.clone());
    let params = params();
    let losses = Arc::new(Losses::default());
    let noise = Arc::new(Mutex::new(Rng::new(run.seed(), "noise")));
    let mut trainer = Trainer::new(&params, &config(), &mut run)?;
    trainer.track("losses", losses.clone())?;
    trainer.track("noise", noise.clone())?;
    let mut batches = Points::new(7);
    while let Some(batch) = trainer.next(&mut batches)? {
        let loss = loss(&params, &batch, 0.01 * noise.lock().unwrap().normal())?;
        trainer.step(&loss, &batch)?;
        let value = loss.total().to_scalar::<f32>()?;
        losses.0.lock().unwrap().push(value);
        if value > 1.0 {
            let epoch = trainer.epoch();
            trainer.run().append("large", &(epoch, value))?;
        }
        if let Some(epoch) = trainer.finished_epoch() {
            trainer.evaluated("test", &Metrics::from([("negative_loss".to_owned(), -f64::from(value))]))?;
            // Best in an epoch whose end is no regular checkpoint.
            trainer.keep_best(-(epoch as f64 - 3.2).abs());
        }
        match stop {
            Stop::Crash(n) if trainer.steps() == n => return Ok(()),
            Stop::Signal(n) if trainer.steps() == n => interrupt.request(15),
            _ => {}
        }
    }
    Ok(())
}

/// The rate of update `step`, counted from 0, in [`train`].
pub(crate) fn rate(step: usize) -> f64 {
    config().schedule.lr(config().lr, Clock { step, steps_per_epoch: 4, epochs: 12 })
}
