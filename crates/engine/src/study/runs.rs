//! The runs of a study, side by side.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};

use anyhow::Context as _;
use sconce_core::{Communicator, Device};

use super::{
    FinishedRun, StudyOptions, Summaries,
    progress::{self, Event},
    record::{Identity, StudyRecord},
    runs_folder,
};
use crate::{
    Checkpoint, EngineError, InitialWeights, Recipe, Result, RunOptions, RunPlan, Start, Study, Summary, WeightFile,
    config,
    dist::{greatest, on_root},
    report,
    signals::{self, Interrupt},
    with_threads,
};

/// All runs of a study, and where they go.
pub(super) struct Plan {
    identity: Identity,
    runs: Vec<PlannedRun>,
    dir: PathBuf,
    device: Device,
    threads: usize,
    ranks: Arc<dyn Communicator>,
}

/// One arm with one seed.
struct PlannedRun {
    arm_idx: usize,
    arm: String,
    seed: u64,
    dir: PathBuf,
    method: &'static str,
    config_toml: String,
    config_hash: String,
    /// Whether others start from what it trains.
    is_start: bool,
    /// The folder of the run that it starts from.
    starts_from: Option<PathBuf>,
}

impl Plan {
    pub(super) fn new<R: Recipe>(study: &Study<R::Config>, options: &StudyOptions) -> anyhow::Result<Self> {
        let mut runs = Vec::new();
        let dir = |arm: &str, seed: usize| options.out.join("runs").join(format!("{arm}-seed{seed}"));
        // Seed by seed, so that a study that is cut short has something to compare.
        for seed in 0..study.seeds {
            for (arm_idx, arm) in study.arms.iter().enumerate() {
                let is_start = study.is_start(&arm.id);
                if is_start && seed > 0 {
                    continue;
                }
                let starts_from = arm.starts_from.as_ref().map(|start| dir(start, 0));
                let start = starts_from.as_ref().map(WeightFile::new);
                let initial = start.as_ref().map_or(InitialWeights::Unspecified, InitialWeights::File);
                R::validate(&arm.config, initial).with_context(|| format!("arm `{}`", arm.id))?;
                let config_toml = config::to_toml(&arm.config)?;
                runs.push(PlannedRun {
                    arm_idx,
                    arm: arm.id.clone(),
                    seed: seed as u64,
                    dir: dir(&arm.id, seed),
                    method: R::METHOD,
                    config_hash: config::hash(&config_toml),
                    config_toml,
                    is_start,
                    starts_from,
                });
            }
        }
        let identity = Identity {
            method: R::METHOD.to_owned(),
            profile: options.profile,
            seeds: study.seeds,
            arms: runs.iter().map(|run| (run.arm.clone(), run.config_hash.clone())).collect(),
        };
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let threads = options.threads.unwrap_or_else(cores).max(1);
        Ok(Self {
            identity,
            runs,
            dir: options.out.clone(),
            device: options.device.clone(),
            threads,
            ranks: options.communicator.clone(),
        })
    }

    /// The runs that are not finished, by their numbers.
    fn missing(&self) -> anyhow::Result<Vec<usize>> {
        runs_folder(&self.dir)?;
        let mut missing = Vec::new();
        for (i, run) in self.runs.iter().enumerate() {
            if run.finished().with_context(|| run.name())?.is_none() {
                missing.push(i);
            }
        }
        Ok(missing)
    }

    pub(super) fn record(&self) -> Identity {
        self.identity.clone()
    }

    /// What came out, arm by arm and seed by seed.
    ///
    /// # Errors
    /// If a run is not finished.
    pub(super) fn summaries(&self) -> anyhow::Result<Summaries> {
        let mut planned: Vec<&PlannedRun> = self.runs.iter().collect();
        planned.sort_by_key(|run| (run.arm_idx, run.seed));
        let finished = planned.into_iter().map(|run| {
            let summary = run.finished()?.with_context(|| format!("{} has no outcome", run.name()))?;
            Ok(FinishedRun { arm: run.arm.clone(), dir: run.dir.clone(), summary })
        });
        Ok(Summaries { runs: finished.collect::<anyhow::Result<_>>()? })
    }
}

impl PlannedRun {
    fn name(&self) -> String {
        format!("arm `{}`, seed {}", self.arm, self.seed)
    }

    /// The summary, if this very run is finished.
    fn finished(&self) -> Result<Option<Summary>> {
        let is_this = |s: &Summary| {
            s.finished && s.method == self.method && s.seed == self.seed && s.config_hash == self.config_hash
        };
        Ok(Summary::read(&self.dir)?.filter(is_this))
    }

    /// Runs it, from the beginning or from where it was interrupted. A run of another kind in its place is refused by
    /// [`RunPlan::look`], which names what differs.
    fn run<R: Recipe>(&self, config: &R::Config, plan: &Plan) -> anyhow::Result<()> {
        let start = if self.dir.join("config.toml").exists() { Start::Resume } else { Start::Fresh };
        let last = self.starts_from.as_ref().map(|dir| Checkpoint::open(&dir.join("checkpoints/last"))).transpose()?;
        let run = RunPlan::look(RunOptions {
            start,
            rewrite: Some(config::rewrite::<R::Config>),
            seed: Some(self.seed),
            device: plan.device.clone(),
            init_from: last.map(|checkpoint| WeightFile::new(checkpoint.model_file())),
            communicator: plan.ranks.clone(),
            ..RunOptions::new(&self.dir, self.method, &self.config_toml)
        })?;
        let prepared = R::prepare(config, &run)?;
        let mut run = run.open(R::data_hash(&prepared)?)?;
        R::train(config, prepared, &mut run)?;
        drop(run);
        if !plan.ranks.is_root() {
            return Ok(());
        }
        anyhow::ensure!(self.finished()?.is_some(), "the method reported no outcome");
        report::write_run(&self.dir)
    }
}

/// Runs what is not finished yet; the seconds that all processes spent on the study.
///
/// # Errors
/// The first error in the order of the plan. Nothing is started after an error or a signal; what is running ends first.
pub(super) fn run_missing<R: Recipe>(
    study: &Study<R::Config>,
    plan: &Plan,
    record: Option<StudyRecord>,
) -> anyhow::Result<f64> {
    let started = Instant::now();
    let missing = on_root(&*plan.ranks, || plan.missing())?;
    if missing.is_empty() {
        return Ok(record.map_or(Ok(0.0), |record| record.write(0.0))?);
    }
    let record = Mutex::new(record);
    let (starts, others): (Vec<_>, Vec<_>) = missing.into_iter().map(|i| &plan.runs[i]).partition(|run| run.is_start);
    for missing in [starts, others] {
        run_side_by_side::<R>(study, plan, &missing, (&record, started))?;
    }
    let record = record.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(write(&record, started)?)
}

/// Runs `missing`, as many at a time as there are threads.
fn run_side_by_side<R: Recipe>(
    study: &Study<R::Config>,
    plan: &Plan,
    missing: &[&PlannedRun],
    (record, started): (&Mutex<Option<StudyRecord>>, Instant),
) -> anyhow::Result<()> {
    let side_by_side = plan.device.is_cpu() && plan.ranks.is_alone();
    let n_workers = if side_by_side { plan.threads.min(missing.len()).max(1) } else { 1 };
    let work = Work {
        missing,
        next: AtomicUsize::new(0),
        errors: Mutex::new(Vec::new()),
        threads_each: (plan.threads / n_workers).max(1),
    };
    thread::scope(|scope| {
        let (events, received) = mpsc::channel();
        if plan.ranks.is_root() {
            scope.spawn(|| progress::show(received, missing.len(), n_workers));
        }
        for _ in 0..n_workers {
            let events = events.clone();
            let work = &work;
            // One at a time: all would write the same temporary file.
            let note = || {
                let record = record.lock().unwrap_or_else(PoisonError::into_inner);
                write(&record, started)
            };
            scope.spawn(move || work.take_turns::<R>(study, plan, &events, note));
        }
    });
    let mut errors = work.errors.into_inner().unwrap_or_else(PoisonError::into_inner);
    errors.sort_by_key(|(index, _)| *index);
    let error = errors.into_iter().next().map(|(_, error)| error);
    match Interrupt::process().requested() {
        // What a run says to being interrupted, how to resume it, is not for the user of a study.
        Some(signal)
            if error.as_ref().is_none_or(|e| matches!(e.downcast_ref(), Some(EngineError::Interrupted { .. }))) =>
        {
            anyhow::bail!("stopped by {}; the same command goes on with the study", signals::name(signal))
        }
        _ => error.map_or(Ok(()), Err),
    }
}

/// Notes how long this process has worked, on the rank that has the record.
fn write(record: &Option<StudyRecord>, started: Instant) -> Result<f64> {
    let seconds = started.elapsed().as_secs_f64();
    record.as_ref().map_or(Ok(seconds), |record| record.write(seconds))
}

/// What the workers share.
struct Work<'a> {
    missing: &'a [&'a PlannedRun],
    next: AtomicUsize,
    errors: Mutex<Vec<(usize, anyhow::Error)>>,
    threads_each: usize,
}

impl Work<'_> {
    /// Takes run after run until there is none left, one has failed, or a signal came.
    fn take_turns<R: Recipe>(
        &self,
        study: &Study<R::Config>,
        plan: &Plan,
        events: &mpsc::Sender<Event>,
        note: impl Fn() -> Result<f64>,
    ) {
        loop {
            let index = self.next.fetch_add(1, Ordering::SeqCst);
            let Some(run) = self.missing.get(index) else { return };
            match is_stopped(&*plan.ranks) {
                Ok(is_stopped) if is_stopped || !self.errors().is_empty() => return,
                Ok(_) => {}
                Err(error) => return self.errors().push((index, error.into())),
            }
            let started = Instant::now();
            // Nobody may be listening; progress is not worth an error.
            let _ = events.send(Event::Started { index, name: run.name(), dir: run.dir.clone() });
            let config = &study.arms[run.arm_idx].config;
            let done = with_threads(Some(self.threads_each), || run.run::<R>(config, plan))
                .map_err(anyhow::Error::from)
                .and_then(|done| done)
                .and_then(|()| note().map(drop).map_err(anyhow::Error::from));
            let _ = events.send(Event::Ended { index, seconds: started.elapsed().as_secs_f64(), ok: done.is_ok() });
            if let Err(error) = done {
                self.errors().push((index, error.context(run.name())));
                return;
            }
        }
    }

    fn errors(&self) -> std::sync::MutexGuard<'_, Vec<(usize, anyhow::Error)>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether any rank was asked to stop; then all of them are.
fn is_stopped(ranks: &dyn Communicator) -> Result<bool> {
    let own = Interrupt::process().requested();
    let signal = greatest(ranks, own.unwrap_or(0))?;
    if own.is_none() && signal != 0 {
        Interrupt::process().request(signal);
    }
    Ok(signal != 0)
}

/// The last line of a run's log, for progress.
pub(super) fn last_record(dir: &Path) -> Option<crate::Record> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = std::fs::File::open(dir.join("metrics.jsonl")).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(8192))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    // The first line of the tail may be cut; the last is, while it is being written.
    tail.split(|&b| b == b'\n').rev().find_map(|line| serde_json::from_slice(line).ok())
}
