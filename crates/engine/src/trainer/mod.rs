//! The training loop's engine: the loop itself stays with the method.

mod agreement;
mod config;
mod gradients;
mod state;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use sconce_core::{Batches, Communicator, DType, GradStore, Params, Position, Tensor};

pub use self::config::TrainerConfig;
use crate::{
    Checkpoint, Clock, Ema, EngineError, Loss, Metrics, Optimizer, ParamGroup, Record, Result, Run, Stateful,
    checkpoint::Window,
    clip_coefficient,
    dist::{self, Note},
    progress::Progress,
    threads::{is_ours, on_large_stack},
};

/// What a batch is made of, so that one whose loss is not finite can be saved and looked at.
pub trait BatchTensors {
    /// The tensors of the batch by name.
    fn tensors(&self) -> BTreeMap<String, Tensor>;
}

impl BatchTensors for BTreeMap<String, Tensor> {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.clone()
    }
}

/// A batch that has nothing to show.
impl BatchTensors for () {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        BTreeMap::new()
    }
}

/// Draws batches, steps, logs and writes checkpoints for one model in one [`Run`].
///
/// The example on the crate's front page shows the loop. What a method does between [`Trainer::step`] and the following
/// [`Trainer::next`] (relabelling, evaluation) is complete when `next` writes a checkpoint.
pub struct Trainer<'a> {
    params: Params,
    config: TrainerConfig,
    optimizer: Optimizer,
    ema: Option<Ema>,
    tracked: BTreeMap<String, Arc<dyn Stateful>>,
    run: &'a mut Run,
    ranks: Arc<dyn Communicator>,
    /// Where the run resumed, until everything of it is restored.
    resumed: Option<Checkpoint>,

    step: usize,
    /// Of the batch that is drawn and waits for its step; of the next one if none does.
    position: Position,
    /// 0 until the first batch is drawn.
    batches_per_epoch: usize,
    drawn: bool,
    /// Gradients of the update under way, and how many batches they are from.
    gradients: Option<(GradStore, usize)>,
    finished_epoch: Option<usize>,

    window: Window,
    best: Option<f64>,
    best_is_new: bool,
    /// The step of the last checkpoint.
    saved: Option<usize>,
    drawn_at: Instant,
    progress: Option<Progress>,
}

impl<'a> Trainer<'a> {
    /// A trainer of all parameters of `params`. In a run that resumes it restores them and the optimiser.
    ///
    /// # Errors
    /// [`EngineError::Config`] if a number is out of its range; in a run that resumes, the errors of reading the
    /// checkpoint, one of another architecture among them. Where several ranks train, [`EngineError::Mismatch`] if their
    /// models differ, or if this thread is not one of [`with_threads`](crate::with_threads): a rank that waits for another
    /// would block threads that the other needs.
    pub fn new(params: &Params, config: &TrainerConfig, run: &'a mut Run) -> Result<Self> {
        Self::with_groups(params, vec![ParamGroup::new("all", params.trainable())], config, run)
    }

    /// A trainer that updates only what stands in `groups`; checkpoints hold all of `params`.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub fn with_groups(
        params: &Params,
        groups: Vec<ParamGroup>,
        config: &TrainerConfig,
        run: &'a mut Run,
    ) -> Result<Self> {
        config.validate()?;
        let mut trainer = Self {
            optimizer: Optimizer::new(&config.optimizer, groups)?,
            ema: None,
            tracked: BTreeMap::new(),
            resumed: run.resumed().cloned(),
            ranks: run.communicator().clone(),
            run,
            step: 0,
            position: Position::default(),
            batches_per_epoch: 0,
            drawn: false,
            gradients: None,
            finished_epoch: None,
            window: Window::default(),
            best: None,
            best_is_new: false,
            saved: None,
            drawn_at: Instant::now(),
            progress: None,
            params: params.clone(),
            config: config.clone(),
        };
        if !trainer.ranks.is_alone() && !is_ours() {
            return Err(EngineError::mismatch("the thread of a rank", "one by itself", "one of `with_threads`"));
        }
        trainer.restore()?;
        Ok(trainer)
    }

    /// Makes `state` a part of every checkpoint; in a run that resumes it is restored here.
    ///
    /// All of a method's states are tracked before the first batch is drawn.
    ///
    /// # Errors
    /// [`EngineError::State`] or [`EngineError::Io`] if the checkpoint's state cannot be read.
    pub fn track(&mut self, name: &str, state: Arc<dyn Stateful>) -> Result<()> {
        if let Some(checkpoint) = &self.resumed {
            let bytes = checkpoint.tracked(name)?;
            state.load(&bytes).map_err(|source| EngineError::State { name: name.to_owned(), source })?;
        }
        self.tracked.insert(name.to_owned(), state);
        Ok(())
    }

    /// The next batch, or `None` at the end of the last epoch or after [`Run::max_steps`]. Writes the checkpoints that are due.
    ///
    /// # Errors
    /// [`EngineError::Interrupted`] after a signal, when its checkpoint is written; [`EngineError::Batch`] if the loader
    /// fails; [`EngineError::Mismatch`] if the batch before had no step, or if the data are not those of the checkpoint; the
    /// errors of writing a checkpoint.
    pub fn next<B: Batches>(&mut self, batches: &mut B) -> Result<Option<B::Batch>> {
        if self.drawn {
            return Err(EngineError::mismatch("the batch before", "no step", "a step for each batch"));
        }
        if self.batches_per_epoch == 0 {
            self.begin(batches)?;
        }
        self.finished_epoch = None;
        if self.gradients.is_none() && self.between_steps()? {
            return Ok(None);
        }
        self.drawn_at = Instant::now();
        let batch = batches.next_batch().map_err(|e| self.batch_error(e))?;
        self.drawn = true;
        Ok(Some(batch))
    }

    /// Learns from the batch that [`Trainer::next`] gave: backward, and when the update has its batches, clipping, optimiser,
    /// average, schedule and log. Where several ranks train, all learn from all their batches, and log means over them.
    ///
    /// # Errors
    /// [`EngineError::NonFinite`] if the loss, a term of it or a gradient is not finite: the parameters are then unchanged,
    /// and `batch` is saved. [`EngineError::Mismatch`] if the loss is no scalar, or no batch was drawn.
    pub fn step(&mut self, loss: &Loss, batch: &impl BatchTensors) -> Result<()> {
        if !self.drawn {
            return Err(EngineError::mismatch("a step", "no batch for it", "one batch drawn by `next`"));
        }
        let own = read(loss)?;
        let (share, values) = Note::new(loss.n_samples(), &own).exchange(&*self.ranks)?;
        for (&(name, own), &value) in own.iter().zip(&values) {
            self.require_finite((name, value), !own.is_finite(), batch)?;
        }
        let wanted = self.batches_of_this_update();
        // Before the backward pass, in which ranks may already add up what they have.
        let total = if share == 1.0 { loss.total().clone() } else { (loss.total() * share)? };
        let total = if wanted == 1 { total } else { (total / wanted as f64)? };
        let mut gradients = on_large_stack(|| sconce_core::backward(&total))??;
        let mut n_batches = 1;
        if let Some((sum, n)) = self.gradients.take() {
            gradients::add(&mut gradients, &sum, self.optimizer.params().map(|(_, var)| var))?;
            n_batches += n;
        }
        let norm = if n_batches == wanted {
            dist::sum_gradients(&*self.ranks, &mut gradients, self.optimizer.params().map(|(_, var)| var))?;
            self.norm(&gradients, batch)?
        } else {
            None
        };

        // From here on nothing about the numbers can fail.
        own.iter().zip(&values).for_each(|((name, _), value)| self.window.add(name, *value));
        self.drawn = false;
        self.position.batch += 1;
        let epoch = self.position.epoch + 1;
        if self.position.batch == self.batches_per_epoch {
            self.position = Position { epoch, batch: 0 };
            self.finished_epoch = Some(epoch);
        }
        if n_batches == wanted {
            self.update(&gradients, norm, values[0], epoch)?;
        } else {
            self.gradients = Some((gradients, n_batches));
        }
        self.run.spent(self.step, self.drawn_at.elapsed());
        Ok(())
    }

    /// The epoch, counted from 1, that the last step completed, if it did.
    pub fn finished_epoch(&self) -> Option<usize> {
        self.finished_epoch
    }

    /// Whether the step of the batch that was drawn last will end a line of the log: what is worth measuring only there is
    /// measured then, as terms of its loss.
    pub fn will_log(&self) -> bool {
        let n_batches = self.gradients.as_ref().map_or(0, |(_, n)| *n) + 1;
        let ends_epoch = self.position.batch + 1 == self.batches_per_epoch;
        n_batches == self.batches_of_this_update() && self.logs(self.step + 1, ends_epoch)
    }

    /// Logs what was measured on `split`.
    ///
    /// # Errors
    /// [`EngineError::Io`] if it cannot be written.
    pub fn evaluated(&mut self, split: &str, metrics: &Metrics) -> Result<()> {
        if let Some(progress) = &self.progress {
            let values: Vec<String> = metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
            progress.line(format_args!("epoch {}, {split}: {}", self.epoch(), values.join(", ")));
        }
        let record = Record { step: self.step, epoch: self.epoch(), split: split.to_owned(), values: metrics.clone() };
        self.run.log(&record)
    }

    /// Makes the next [`Trainer::next`] write `checkpoints/best` if `value` is greater than all before; says whether it is.
    pub fn keep_best(&mut self, value: f64) -> bool {
        let is_new = value.is_finite() && self.best.is_none_or(|best| value > best);
        if is_new {
            self.best = Some(value);
            self.best_is_new = true;
        }
        is_new
    }

    /// Updates done, those before a resume included.
    pub fn steps(&self) -> usize {
        self.step
    }

    /// The epoch, counted from 1, of the batch that was drawn last.
    pub fn epoch(&self) -> usize {
        let at_its_end = !self.drawn && self.position.batch == 0 && self.position.epoch > 0;
        self.position.epoch + usize::from(!at_its_end)
    }

    /// Batches that have had their step, those before a resume included: a key for what is drawn for the next one.
    pub fn batches(&self) -> usize {
        self.position.epoch * self.batches_per_epoch + self.position.batch
    }

    /// The learning rate of the next update.
    pub fn lr(&self) -> f64 {
        let clock = Clock { step: self.step, steps_per_epoch: self.steps_per_epoch(), epochs: self.config.epochs };
        self.config.schedule.lr(self.config.lr, clock)
    }

    /// The averaged parameters, if the configuration asks for them.
    pub fn ema(&self) -> Option<&Params> {
        self.ema.as_ref().map(Ema::params)
    }

    /// The run, to write logs of the method's own.
    pub fn run(&mut self) -> &mut Run {
        self.run
    }

    /// Looks at the data for the first time.
    fn begin<B: Batches>(&mut self, batches: &mut B) -> Result<()> {
        let n = batches.batches_per_epoch();
        if n == 0 {
            return Err(EngineError::mismatch("batches in an epoch", 0, "at least 1"));
        }
        self.require_same_length(n)?;
        self.check_restored(n)?;
        self.batches_per_epoch = n;
        batches.seek(self.position).map_err(|e| self.batch_error(e))?;
        self.progress =
            Some(Progress::new(self.run.options().progress && self.run.is_root(), self.step, self.last_step()));
        Ok(())
    }

    /// Writes the checkpoints that are due; whether training is over.
    fn between_steps(&mut self) -> Result<bool> {
        let is_over = self.step >= self.last_step();
        let signal = self.signal()?;
        if self.best_is_new {
            self.require_finite_params()?;
            self.save("best")?;
            self.best_is_new = false;
        }
        let is_due = self.step > 0 && self.is_at(self.config.checkpoint_every);
        if (is_due || is_over || signal.is_some()) && self.saved != Some(self.step) {
            dist::require_equal(&*self.ranks, &self.params)?;
            self.require_finite_params()?;
            self.save("last")?;
        }
        if let Some(progress) = self.progress.as_ref().filter(|_| is_over || signal.is_some()) {
            progress.finish();
        }
        match signal {
            Some(signal) => Err(EngineError::Interrupted { signal, step: self.step, dir: self.run.dir().to_owned() }),
            None => Ok(is_over),
        }
    }

    fn update(&mut self, gradients: &GradStore, norm: Option<f64>, loss: f64, epoch: usize) -> Result<()> {
        let lr = self.lr();
        let scale = match (norm, self.config.clip_norm) {
            (Some(norm), Some(max)) => {
                self.window.add("grad_norm", norm);
                clip_coefficient(norm, max)
            }
            _ => 1.0,
        };
        self.optimizer.step_scaled(gradients, lr, scale)?;
        dist::average_statistics(&*self.ranks, &self.params)?;
        if let Some(ema) = &mut self.ema {
            ema.update(&self.params)?;
        }
        self.step += 1;
        if self.logs(self.step, self.position.batch == 0) {
            let mut values = self.window.take_means();
            values.insert("lr".to_owned(), lr);
            self.run.log(&Record { step: self.step, epoch, split: "train".to_owned(), values })?;
        }
        if let Some(progress) = &mut self.progress {
            progress.advance(self.step, loss, lr);
        }
        Ok(())
    }

    /// Whether something that happens every `every` steps, or at the end of each epoch, is due after the last step.
    fn is_at(&self, every: usize) -> bool {
        is_due(self.step, self.position.batch == 0, every)
    }

    /// Whether `step` is logged, counted from 1: as [`TrainerConfig::log_every`] says, and before the first such step at 1, 2,
    /// 4, 8 and so on, so that a short run has curves too.
    fn logs(&self, step: usize, ends_epoch: bool) -> bool {
        let every = self.config.log_every;
        is_due(step, ends_epoch, every) || (step < every && step.is_power_of_two())
    }

    fn batches_of_this_update(&self) -> usize {
        let first = self.position.batch - self.gradients.as_ref().map_or(0, |(_, n)| *n);
        self.config.accumulate.min(self.batches_per_epoch - first)
    }

    fn steps_per_epoch(&self) -> usize {
        self.batches_per_epoch.div_ceil(self.config.accumulate)
    }

    fn last_step(&self) -> usize {
        let end = self.config.epochs * self.steps_per_epoch();
        self.run.max_steps().map_or(end, |max| max.min(end))
    }

    fn batch_error(&self, source: impl std::error::Error + Send + Sync + 'static) -> EngineError {
        let Position { epoch, batch } = self.position;
        EngineError::Batch { epoch: epoch + 1, batch: batch + 1, source: Box::new(source) }
    }
}

/// Whether something that happens every `every` steps, or at the end of each epoch if that is 0, is due after `step`.
fn is_due(step: usize, ends_epoch: bool, every: usize) -> bool {
    if every == 0 { ends_epoch } else { step.is_multiple_of(every) }
}

/// The values of the total, as `loss`, and of the terms.
fn read(loss: &Loss) -> Result<Vec<(&'static str, f64)>> {
    let all = std::iter::once(("loss", loss.total())).chain(loss.terms().iter().map(|(name, value)| (*name, value)));
    all.map(|(name, value)| {
        if value.rank() != 0 {
            // Candle would start the backward from ones, as if the sum were meant.
            return Err(EngineError::mismatch(format!("shape of `{name}`"), format!("{:?}", value.dims()), "()"));
        }
        Ok((name, value.to_dtype(DType::F64)?.to_scalar::<f64>()?))
    })
    .collect()
}
