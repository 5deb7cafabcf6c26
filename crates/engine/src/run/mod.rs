//! A run: a folder with one owner, and what is written into it.

mod folder;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sconce_core::{Device, files::write_atomic};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use self::folder::{CHECKPOINTS, DUMP, EVENTS, LOGS, MARKER, METRICS, PICTURES};
use crate::{
    Checkpoint, EngineError, Outcome, Record, Result, Summary, checkpoint,
    log::{AppendLog, file_version, scalar},
    signals::Interrupt,
    summary::peak_memory,
};

/// How a run treats what its folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A new run; a folder that is not empty is refused.
    Fresh,
    /// The run in the folder goes on from its last checkpoint, or from the start if it had none yet.
    Resume,
    /// A new run in the place of the one in the folder. Files that no run wrote stay.
    Force,
}

/// A file of the method's own at the top of a run's folder. `--force` takes it away with the run that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunFile {
    /// `labels.txt`: the labels that training is given, where they are not the dataset's.
    Labels,
    /// `data.json`: what is worth knowing of the data, such as what a reader left out.
    Data,
    /// `evaluation.json`: an evaluation in more detail than metrics have.
    Evaluation,
}

impl RunFile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Labels, Self::Data, Self::Evaluation];

    /// The file's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Labels => "labels.txt",
            Self::Data => "data.json",
            Self::Evaluation => "evaluation.json",
        }
    }
}

/// What a run is and where it goes.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The run's folder, created if need be.
    pub dir: PathBuf,
    /// What to do with what is in it.
    pub start: Start,
    /// The method's name.
    pub method: String,
    /// The complete configuration.
    pub config_toml: String,
    /// The seed of every random stream.
    pub seed: u64,
    /// Stop after so many steps in all, those of earlier parts included.
    pub max_steps: Option<usize>,
    /// Where tensors live.
    pub device: Device,
    /// Weights that a new run starts from.
    pub init_from: Option<PathBuf>,
    /// Show progress on stderr (with the feature `cli`).
    pub progress: bool,
}

/// The owner of a run's folder. Nobody else can open it until this value is dropped.
#[derive(Debug)]
pub struct Run {
    options: RunOptions,
    /// Locked as long as it is open.
    _lock: File,
    resumed: Option<Checkpoint>,
    logs: BTreeMap<String, AppendLog>,
    interrupt: Interrupt,
    opened: Instant,
    earlier: Option<Summary>,
    steps: usize,
    training: Duration,
}

impl Run {
    /// Takes the folder and prepares it.
    ///
    /// # Errors
    /// [`EngineError::InUse`] if another run has it, [`EngineError::NotEmpty`], [`EngineError::NothingToResume`] or
    /// [`EngineError::OtherRun`] if what it holds does not go with the kind of start; else [`EngineError::Io`] or
    /// [`EngineError::Format`], which name the file.
    pub fn open(options: RunOptions) -> Result<Self> {
        let dir = &options.dir;
        let is_run = dir.join(MARKER).exists();
        // A running run is better told as such than as a folder that is not empty.
        let lock = if is_run { Some(folder::lock(dir)?) } else { None };
        let present = folder::names(dir)?;
        match options.start {
            Start::Fresh if !present.is_empty() => return Err(EngineError::NotEmpty { dir: dir.clone() }),
            Start::Resume if !is_run || !present.contains(checkpoint::CONFIG) => {
                return Err(EngineError::NothingToResume { dir: dir.clone() });
            }
            _ => {}
        }
        let lock = match lock {
            Some(lock) => lock,
            None => {
                fs::create_dir_all(dir).map_err(EngineError::io(dir))?;
                let mut lock = folder::lock(dir)?;
                let list: String = present.iter().map(|name| format!("{name}\n")).collect();
                lock.write_all(list.as_bytes()).map_err(EngineError::io(dir.join(MARKER)))?;
                lock
            }
        };
        let resumed = match options.start {
            Start::Resume => folder::resume(&options)?,
            Start::Fresh => None,
            Start::Force => {
                folder::remove_run(dir)?;
                None
            }
        };
        let config = dir.join(checkpoint::CONFIG);
        if options.start != Start::Resume {
            write_atomic(&config, options.config_toml.as_bytes())?;
        }
        let earlier = if resumed.is_some() { Summary::read(dir)? } else { None };
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
        };
        let always = [METRICS, EVENTS].map(str::to_owned);
        for name in always.iter().chain(known.keys()) {
            run.log_file(name)?;
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
        fs::create_dir_all(&dir).map_err(EngineError::io(&dir))?;
        Ok(dir)
    }

    /// The seed of every random stream.
    pub fn seed(&self) -> u64 {
        self.options.seed
    }

    /// Where tensors live.
    pub fn device(&self) -> &Device {
        &self.options.device
    }

    /// The number of steps after which the run stops, if that is before its end.
    pub fn max_steps(&self) -> Option<usize> {
        self.options.max_steps
    }

    /// The weights to start from; `None` for a run that resumes, since its checkpoint has its own.
    pub fn init_from(&self) -> Option<&Path> {
        self.options.init_from.as_deref().filter(|_| !self.is_resuming())
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

    /// Reports the outcome: writes `summary.json` as that of a finished run.
    ///
    /// # Errors
    /// [`EngineError::Io`] if it cannot be written.
    pub fn finish(&mut self, outcome: Outcome) -> Result<Summary> {
        let summary = self.summary(true, outcome);
        summary.write(self.dir())?;
        Ok(summary)
    }

    /// The folder of the checkpoint `name`.
    pub(crate) fn checkpoint_dir(&self, name: &str) -> PathBuf {
        self.dir().join(CHECKPOINTS).join(name)
    }

    /// Where the batch of a step that was not finite goes.
    pub(crate) fn dump_file(&self, step: usize) -> PathBuf {
        self.dir().join(format!("{DUMP}{step}.safetensors"))
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
        self.summary(false, Outcome::default()).write(self.dir())
    }

    fn summary(&self, finished: bool, outcome: Outcome) -> Summary {
        let earlier = |f: fn(&Summary) -> f64| self.earlier.as_ref().map_or(0.0, f);
        let training_seconds = earlier(|s| s.training_seconds) + self.training.as_secs_f64();
        Summary {
            method: self.options.method.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            finished,
            metrics: outcome.metrics,
            seed: self.options.seed,
            config_hash: sha256(&self.options.config_toml),
            data_hash: outcome.data_hash,
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
            threads: rayon::current_num_threads(),
        }
    }

    fn append_line(&mut self, name: &str, line: &impl Serialize) -> Result<()> {
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

/// SHA-256 in hexadecimal.
fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
