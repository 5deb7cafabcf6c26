//! A run: a folder with one owner, and what is written into it.

mod folder;
mod identity;
mod options;
mod plan;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use sconce_core::{Communicator, Device};
use serde::Serialize;

pub use self::{
    folder::run_config,
    identity::{ConfigChange, WeightFile},
    options::{RunOptions, Start},
    plan::{ChangeRule, MayChange, RunPlan},
};
use self::{
    folder::{CHECKPOINTS, DUMP, EVENTS, LOGS, METRICS, PICTURES},
    identity::Identity,
};
use crate::{
    Checkpoint, EngineError, Metrics, Record, Result, Summary, config,
    json::write_json,
    log::{AppendLog, file_version, scalar},
    signals::Interrupt,
    summary::peak_memory,
};

/// A file of the method's own at the top of a run's folder. A run that replaces this one (`--force`) removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunFile {
    /// `labels.txt`: the labels that training is given, where they are not the dataset's.
    Labels,
    /// `data.json`: what is worth knowing of the data, such as what a reader left out; see [`Run::describe_data`].
    Data,
    /// `evaluation.json`: an evaluation in more detail than metrics have.
    Evaluation,
    /// `relabelled.csv`: the labels that training has changed.
    Relabelled,
}

impl RunFile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Labels, Self::Data, Self::Evaluation, Self::Relabelled];

    /// The file's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Labels => "labels.txt",
            Self::Data => "data.json",
            Self::Evaluation => "evaluation.json",
            Self::Relabelled => "relabelled.csv",
        }
    }
}

/// The owner of a run's folder. Nobody else can open it until this value is dropped.
#[derive(Debug)]
pub struct Run {
    options: RunOptions,
    identity: Identity,
    /// Locked as long as it is open; on rank 0.
    _lock: Option<File>,
    resumed: Option<Checkpoint>,
    logs: BTreeMap<String, AppendLog>,
    interrupt: Interrupt,
    opened: Instant,
    earlier: Option<Summary>,
    steps: usize,
    training: Duration,
}

impl Run {
    /// Takes the folder and prepares it: [`RunPlan::look`] and [`RunPlan::open`] in one, for a caller with nothing to check
    /// in between.
    ///
    /// # Errors
    /// As those two.
    pub fn open(options: RunOptions) -> Result<Self> {
        RunPlan::look(options)?.open(None)
    }

    /// The run whose folder is taken, on its way from `resumed`.
    fn new(options: RunOptions, identity: Identity, lock: Option<File>, resumed: Option<Checkpoint>) -> Result<Self> {
        let earlier = if resumed.is_some() { Summary::read(&options.dir)? } else { None };
        let known = resumed.as_ref().map(|c| c.state().logs.clone()).unwrap_or_default();
        let steps = resumed.as_ref().map_or(0, |c| c.state().step);
        let mut run = Self {
            _lock: lock,
            resumed,
            logs: BTreeMap::new(),
            interrupt: Interrupt::process(),
            opened: Instant::now(),
            earlier,
            steps,
            training: Duration::ZERO,
            options,
            identity,
        };
        if run.is_root() {
            let always = [METRICS, EVENTS].map(str::to_owned);
            for name in always.iter().chain(known.keys()) {
                run.log_file(name)?;
            }
        }
        Ok(run)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// The folder for pictures, which the report shows. It is created here.
    ///
    /// # Errors
    /// [`EngineError::Io`] if it cannot be created.
    pub fn pictures(&self) -> Result<PathBuf> {
        let dir = self.dir().join(PICTURES);
        if self.is_root() {
            fs::create_dir_all(&dir).map_err(EngineError::io(&dir))?;
        }
        Ok(dir)
    }

    /// The ranks that share the run.
    pub fn communicator(&self) -> &Arc<dyn Communicator> {
        &self.options.communicator
    }

    /// Whether this is the rank that writes: always, unless several share the run.
    pub fn is_root(&self) -> bool {
        self.options.communicator.is_root()
    }

    /// The seed of every random stream.
    pub fn seed(&self) -> u64 {
        self.identity.seed
    }

    /// Where tensors live.
    pub fn device(&self) -> &Device {
        &self.options.device
    }

    /// The number of steps after which the run stops, if that is before its end.
    pub fn max_steps(&self) -> Option<usize> {
        self.options.max_steps
    }

    /// The weights to start from; `None` for a run that goes on from a checkpoint, which has its own.
    pub fn init_from(&self) -> Option<&WeightFile> {
        self.options.init_from.as_ref().filter(|_| !self.is_resuming())
    }

    /// Where a file of the method's own goes.
    pub fn file(&self, file: RunFile) -> PathBuf {
        self.dir().join(file.name())
    }

    /// Whether the run goes on from a checkpoint.
    pub fn is_resuming(&self) -> bool {
        self.resumed.is_some()
    }

    /// The checkpoint that the run goes on from.
    pub fn resumed(&self) -> Option<&Checkpoint> {
        self.resumed.as_ref()
    }

    /// What stops this run; [`Interrupt::process`] unless [`Run::set_interrupt`] was called.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Lets `interrupt` stop this run, and nothing else.
    pub fn set_interrupt(&mut self, interrupt: Interrupt) {
        self.interrupt = interrupt;
    }

    /// Writes a line of `metrics.jsonl` and the same numbers as TensorBoard scalars `split/name`.
    ///
    /// # Errors
    /// [`EngineError::Io`] if it cannot be written.
    pub fn log(&mut self, record: &Record) -> Result<()> {
        if !self.is_root() {
            return Ok(());
        }
        self.append_line(METRICS, record)?;
        let events = self.log_file(EVENTS)?;
        if events.len() == 0 {
            events.append(&file_version())?;
        }
        for (name, value) in record.values.iter().filter(|(_, value)| value.is_finite()) {
            events.append(&scalar(record.step, &format!("{}/{name}", record.split), *value))?;
        }
        Ok(())
    }

    /// Appends a line to the method's own log `logs/NAME.jsonl`. A run that resumes cuts it back as it does `metrics.jsonl`.
    ///
    /// # Errors
    /// [`EngineError::Io`] if it cannot be written.
    pub fn append(&mut self, name: &str, line: &impl Serialize) -> Result<()> {
        self.append_line(&format!("{LOGS}/{name}.jsonl"), line)
    }

    /// Says what the run's data are: shows `lines` where progress is shown, and keeps them with `details` in `data.json`,
    /// which the report shows. Called before the first step.
    ///
    /// # Errors
    /// [`EngineError::Io`] if the file cannot be written.
    pub fn describe_data(&mut self, lines: &[String], details: &impl Serialize) -> Result<()> {
        if !self.is_root() {
            return Ok(());
        }
        if self.options.progress {
            lines.iter().for_each(|line| eprintln!("{line}"));
        }
        write_json(&self.file(RunFile::Data), &serde_json::json!({ "summary": lines, "details": details }))
    }

    /// Says something that a reader of the results must know: shows it where progress is shown, and adds it to the summary in
    /// `data.json`, which the report shows.
    ///
    /// # Errors
    /// [`EngineError::Io`] if the file cannot be read or written.
    pub fn warn(&self, text: &str) -> Result<()> {
        if !self.is_root() {
            return Ok(());
        }
        let line = format!("warning: {text}");
        if self.options.progress {
            eprintln!("{line}");
        }
        let path = self.file(RunFile::Data);
        let mut content: serde_json::Value = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| EngineError::format(&path, e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => serde_json::json!({ "summary": [] }),
            Err(e) => return Err(EngineError::io(&path)(e)),
        };
        if let Some(lines) = content["summary"].as_array_mut() {
            lines.push(serde_json::json!(line));
        }
        write_json(&path, &content)
    }

    /// Reports the final metrics, of the last checkpoint unless their names say otherwise: writes `summary.json` as that of a
    /// finished run.
    ///
    /// # Errors
    /// [`EngineError::Io`] if it cannot be written.
    pub fn finish(&mut self, metrics: Metrics) -> Result<Summary> {
        let summary = self.summary(true, metrics);
        if self.is_root() {
            summary.write(self.dir())?;
        }
        Ok(summary)
    }

    /// The folder of the checkpoint `name`.
    pub(crate) fn checkpoint_dir(&self, name: &str) -> PathBuf {
        self.dir().join(CHECKPOINTS).join(name)
    }

    /// Where a rank's batch of a step that was not finite goes.
    pub(crate) fn dump_file(&self, step: usize, rank: usize) -> PathBuf {
        let of_rank = if rank == 0 { String::new() } else { format!("-rank-{rank}") };
        self.dir().join(format!("{DUMP}{step}{of_rank}.safetensors"))
    }

    pub(crate) fn options(&self) -> &RunOptions {
        &self.options
    }

    pub(crate) fn spent(&mut self, steps: usize, training: Duration) {
        self.steps = steps;
        self.training += training;
    }

    /// Waits until all logs are on the disk; their lengths, for a checkpoint.
    pub(crate) fn sync_logs(&self) -> Result<BTreeMap<String, u64>> {
        self.logs
            .iter()
            .filter(|(_, log)| log.len() > 0)
            .map(|(name, log)| log.sync().map(|()| (name.clone(), log.len())))
            .collect()
    }

    /// Notes what the run has cost up to a checkpoint.
    pub(crate) fn note_progress(&self) -> Result<()> {
        self.summary(false, Metrics::new()).write(self.dir())
    }

    fn summary(&self, finished: bool, metrics: Metrics) -> Summary {
        let earlier = |f: fn(&Summary) -> f64| self.earlier.as_ref().map_or(0.0, f);
        let training_seconds = earlier(|s| s.training_seconds) + self.training.as_secs_f64();
        Summary {
            method: self.options.method.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            finished,
            metrics,
            seed: self.seed(),
            config_hash: config::hash(&self.options.config_toml),
            data_hash: self.identity.data_hash.clone(),
            steps: self.steps,
            seconds: earlier(|s| s.seconds) + self.opened.elapsed().as_secs_f64(),
            training_seconds,
            steps_per_second: if training_seconds > 0.0 { self.steps as f64 / training_seconds } else { 0.0 },
            peak_memory_bytes: peak_memory(),
            device: match self.options.device {
                Device::Cpu => "cpu",
                Device::Cuda(_) => "cuda",
                Device::Metal(_) => "metal",
            }
            .to_owned(),
            ranks: self.options.communicator.size(),
            threads: rayon::current_num_threads(),
        }
    }

    fn append_line(&mut self, name: &str, line: &impl Serialize) -> Result<()> {
        if !self.is_root() {
            return Ok(());
        }
        let path = self.dir().join(name);
        let mut bytes = serde_json::to_vec(line).map_err(|e| EngineError::format(path, e))?;
        bytes.push(b'\n');
        self.log_file(name)?.append(&bytes)
    }

    /// The log `name`, cut to what the checkpoint knows of it when it is opened.
    fn log_file(&mut self, name: &str) -> Result<&mut AppendLog> {
        use std::collections::btree_map::Entry;
        match self.logs.entry(name.to_owned()) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let path = self.options.dir.join(name);
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent).map_err(EngineError::io(parent))?;
                }
                let keep = self.resumed.as_ref().and_then(|c| c.state().logs.get(name)).copied().unwrap_or(0);
                Ok(entry.insert(AppendLog::open(path, keep)?))
            }
        }
    }
}
