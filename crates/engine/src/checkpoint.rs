//! Checkpoints: folders that are there as a whole or not at all.
//!
//! A checkpoint is written beside its place, as `last.new`; every file and the folder are synced; then `last` becomes
//! `last.old`, `last.new` becomes `last`, and `last.old` goes. Whatever the moment of a crash, `last` or `last.old` is whole.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use sconce_core::{Position, Rng, RngState, Tensor, files::write_atomic, write_tensors};
use serde::{Deserialize, Serialize};

use crate::{EngineError, Result, Source};

/// State of a method's own (a label table, a queue, a random stream) that every checkpoint carries.
///
/// It is shared with the trainer, so that an implementation has its state in a `Mutex` or the like.
pub trait Stateful: Send + Sync {
    /// The state as bytes, the same ones for the same state.
    ///
    /// # Errors
    /// If it cannot be written down.
    fn save(&self) -> std::result::Result<Vec<u8>, Source>;

    /// Goes back to a state that [`Stateful::save`] wrote.
    ///
    /// # Errors
    /// If the bytes are not such a state.
    fn load(&self, bytes: &[u8]) -> std::result::Result<(), Source>;
}

impl Stateful for Mutex<Rng> {
    fn save(&self) -> std::result::Result<Vec<u8>, Source> {
        Ok(serde_json::to_vec(&self.lock().unwrap_or_else(PoisonError::into_inner).state())?)
    }

    fn load(&self, bytes: &[u8]) -> std::result::Result<(), Source> {
        let state: RngState = serde_json::from_slice(bytes)?;
        *self.lock().unwrap_or_else(PoisonError::into_inner) = Rng::from(&state);
        Ok(())
    }
}

/// `state.json`: everything of a checkpoint that is not a tensor. Numbers come back bit for bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointState {
    /// The version of this layout.
    pub format: u32,
    /// The version of Sconce that wrote it.
    pub version: String,
    /// The method's name.
    pub method: String,
    /// The run's seed.
    pub seed: u64,
    /// Steps done.
    pub step: usize,
    /// The place of the next batch.
    pub position: Position,
    /// The length of an epoch, which a resumed run must find again.
    pub batches_per_epoch: usize,
    /// The best value so far, if the method names one.
    pub best: Option<f64>,
    /// Sums of what was not logged yet.
    pub window: Window,
    /// Names of the tracked states.
    pub tracked: Vec<String>,
    /// The length in bytes of every append-only log of the run, by its path in the run's folder.
    pub logs: BTreeMap<String, u64>,
}

/// Sum and count of each value since the last logged step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window(BTreeMap<String, (f64, usize)>);

impl Window {
    pub(crate) fn add(&mut self, name: &str, value: f64) {
        let (sum, count) = self.0.entry(name.to_owned()).or_default();
        *sum += value;
        *count += 1;
    }

    /// The means; the window is empty afterwards.
    pub(crate) fn take_means(&mut self) -> BTreeMap<String, f64> {
        std::mem::take(&mut self.0).into_iter().map(|(name, (sum, count))| (name, sum / count as f64)).collect()
    }
}

/// A checkpoint on the disk, opened to be read.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    state: CheckpointState,
    config_toml: String,
}

pub(crate) const FORMAT: u32 = 1;
pub(crate) const MODEL: &str = "model.safetensors";
pub(crate) const OPTIMIZER: &str = "optimizer.safetensors";
pub(crate) const EMA: &str = "ema.safetensors";
pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const STATE: &str = "state.json";

/// What a file of a checkpoint holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Tensors(BTreeMap<String, Tensor>),
    Bytes(Vec<u8>),
}

/// The file of the tracked state `name`.
pub(crate) fn tracked_file(name: &str) -> String {
    format!("{name}.state")
}

impl Checkpoint {
    /// Opens a checkpoint: `path` is its folder, or the folder of a run, whose `checkpoints/last` it then is.
    ///
    /// # Errors
    /// [`EngineError::NoCheckpoint`] if there is none, [`EngineError::Io`] or [`EngineError::Format`] if it cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let candidates =
            [path.to_owned(), beside(path, "old"), path.join("checkpoints/last"), path.join("checkpoints/last.old")];
        match candidates.into_iter().find(|dir| dir.join(STATE).is_file()) {
            Some(dir) => Self::read(dir),
            None => Err(EngineError::NoCheckpoint { path: path.to_owned() }),
        }
    }

    fn read(dir: PathBuf) -> Result<Self> {
        let state_file = dir.join(STATE);
        let state: CheckpointState =
            serde_json::from_slice(&fs::read(&state_file).map_err(EngineError::io(&state_file))?)
                .map_err(|e| EngineError::format(&state_file, format!("no checkpoint state: {e}")))?;
        if state.format != FORMAT {
            let what = format!("layout {}, this version of Sconce reads layout {FORMAT}", state.format);
            return Err(EngineError::format(state_file, what));
        }
        let config_file = dir.join(CONFIG);
        let config_toml = fs::read_to_string(&config_file).map_err(EngineError::io(config_file))?;
        Ok(Self { dir, state, config_toml })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is known of the run at that point.
    pub fn state(&self) -> &CheckpointState {
        &self.state
    }

    /// The complete configuration of the run.
    pub fn config_toml(&self) -> &str {
        &self.config_toml
    }

    /// The model's parameters and buffers, a safetensors file.
    pub fn model_file(&self) -> PathBuf {
        self.dir.join(MODEL)
    }

    /// The averaged parameters and buffers, if the run averages them.
    pub fn ema_file(&self) -> Option<PathBuf> {
        Some(self.dir.join(EMA)).filter(|path| path.is_file())
    }

    /// The state that the method tracked as `name`.
    ///
    /// # Errors
    /// [`EngineError::Io`] if the checkpoint does not have it.
    pub fn tracked(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.dir.join(tracked_file(name));
        fs::read(&path).map_err(EngineError::io(path))
    }

    pub(crate) fn optimizer_file(&self) -> PathBuf {
        self.dir.join(OPTIMIZER)
    }
}

/// Puts a checkpoint of `files` in the place of `dir`.
///
/// # Errors
/// If any of it fails; what stood in `dir` is then still there.
pub(crate) fn write(dir: &Path, files: &[(String, Content)]) -> Result<()> {
    recover(dir)?;
    let new = beside(dir, "new");
    let written = write_new(&new, files);
    if written.is_err() {
        // The error that matters is the first one.
        let _ = remove(&new);
    }
    written?;
    let old = beside(dir, "old");
    if dir.exists() {
        fs::rename(dir, &old).map_err(EngineError::io(dir))?;
    }
    fs::rename(&new, dir).map_err(EngineError::io(dir))?;
    if let Some(parent) = dir.parent() {
        sync_folder(parent)?;
    }
    remove(&old)
}

/// Brings back a checkpoint whose replacement was cut short, and removes what was left of that.
///
/// # Errors
/// If a folder cannot be renamed or removed.
pub(crate) fn recover(dir: &Path) -> Result<()> {
    let old = beside(dir, "old");
    if !dir.exists() && old.exists() {
        fs::rename(&old, dir).map_err(EngineError::io(dir))?;
    }
    remove(&old)?;
    remove(&beside(dir, "new"))
}

/// The first file of a checkpoint's folder that no checkpoint has.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn foreign(dir: &Path) -> Result<Option<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(EngineError::io(dir))?,
    };
    let mut all = Vec::new();
    for entry in entries {
        all.push(entry.map_err(EngineError::io(dir))?.path());
    }
    all.sort();
    let is_own = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(".tmp").unwrap_or(&name);
        [MODEL, OPTIMIZER, EMA, CONFIG, STATE].contains(&name) || name.ends_with(&tracked_file(""))
    };
    Ok(all.into_iter().find(|path| !is_own(path)))
}

/// Removes a checkpoint, whole or not.
///
/// # Errors
/// If a folder cannot be removed.
pub(crate) fn remove_all(dir: &Path) -> Result<()> {
    remove(&beside(dir, "old"))?;
    remove(&beside(dir, "new"))?;
    remove(dir)
}

fn write_new(new: &Path, files: &[(String, Content)]) -> Result<()> {
    fs::create_dir_all(new).map_err(EngineError::io(new))?;
    for (name, content) in files {
        match content {
            Content::Tensors(tensors) => write_tensors(&new.join(name), tensors)?,
            Content::Bytes(bytes) => write_atomic(&new.join(name), bytes)?,
        }
    }
    sync_folder(new)
}

/// Makes the names in a folder as lasting as its files, where the system can.
fn sync_folder(dir: &Path) -> Result<()> {
    #[cfg(test)]
    tests::note_sync(dir);
    if cfg!(unix) { File::open(dir).and_then(|dir| dir.sync_all()).map_err(EngineError::io(dir)) } else { Ok(()) }
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(EngineError::io(dir)(e)),
        _ => Ok(()),
    }
}

fn beside(dir: &Path, extension: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn file(name: &str, text: &str) -> (String, Content) {
        (name.to_owned(), Content::Bytes(text.into()))
    }

    fn files(text: &str) -> Vec<(String, Content)> {
        vec![file("a", text), file("b", "b")]
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_checkpoint_replaces_the_one_before() {
        let parent = tempfile::tempdir().unwrap();
        let last = parent.path().join("last");
        write(&last, &[file("gone", ""), file("a", "1")]).unwrap();
        write(&last, &files("2")).unwrap();
        assert_eq!(names(parent.path()), ["last"]);
        assert_eq!(names(&last), ["a", "b"]);
        assert_eq!(fs::read(last.join("a")).unwrap(), b"2");
    }

    thread_local! {
        /// The folders that this thread has synced, each with the names that it had then.
        static SYNCED: RefCell<Vec<(PathBuf, Vec<String>)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn note_sync(dir: &Path) {
        if dir.is_dir() {
            SYNCED.with_borrow_mut(|synced| synced.push((dir.to_owned(), names(dir))));
        }
    }

    /// After a power failure a name may be gone whose folder was not synced. No test can cut the power.
    #[test]
    fn names_are_synced_before_the_old_checkpoint_goes() {
        let parent = tempfile::tempdir().unwrap();
        let last = parent.path().join("last");
        write(&last, &files("1")).unwrap();
        SYNCED.take();
        write(&last, &files("2")).unwrap();
        let folder = |path: PathBuf, names: &[&str]| (path, names.iter().map(|&name| name.to_owned()).collect());
        let expected: [(PathBuf, Vec<String>); 2] = [
            folder(parent.path().join("last.new"), &["a", "b"]),
            folder(parent.path().to_owned(), &["last", "last.old"]),
        ];
        assert_eq!(SYNCED.take(), expected);
    }

    /// Linux's folder of processes refuses to be synced.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_folder_that_cannot_be_synced_is_an_error() {
        assert!(matches!(sync_folder(Path::new("/proc")), Err(EngineError::Io { .. })));
    }

    /// A name that no file system takes stands for a disk that fills up after the first file.
    #[test]
    fn a_failing_write_names_the_file_and_leaves_the_one_before() {
        let parent = tempfile::tempdir().unwrap();
        let last = parent.path().join("last");
        write(&last, &files("1")).unwrap();
        let impossible = "x".repeat(300);
        let error = write(&last, &[file("a", "2"), file(&impossible, "")]).unwrap_err();
        assert!(error.to_string().contains(&impossible), "{error}");
        assert_eq!(names(parent.path()), ["last"], "nothing is left beside it");
        assert_eq!(fs::read(last.join("a")).unwrap(), b"1");
    }

    /// The states of the folder at every moment at which a crash can happen, and what is found afterwards.
    #[test]
    fn a_crash_at_any_moment_leaves_a_whole_checkpoint() {
        for (before, expected) in [
            (&[("last", "1"), ("last.new", "half")][..], "1"),
            (&[("last.old", "1"), ("last.new", "2")], "1"),
            (&[("last.old", "1"), ("last", "2")], "2"),
            (&[("last", "2")], "2"),
        ] {
            let parent = tempfile::tempdir().unwrap();
            for (name, text) in before {
                write_new(&parent.path().join(name), &files(text)).unwrap();
            }
            let last = parent.path().join("last");
            recover(&last).unwrap();
            assert_eq!(names(parent.path()), ["last"], "{before:?}");
            assert_eq!(fs::read_to_string(last.join("a")).unwrap(), expected, "{before:?}");
        }
    }

    #[test]
    fn a_half_written_first_checkpoint_is_none() {
        let parent = tempfile::tempdir().unwrap();
        write_new(&parent.path().join("checkpoints/last.new"), &files("half")).unwrap();
        recover(&parent.path().join("checkpoints/last")).unwrap();
        assert!(names(&parent.path().join("checkpoints")).is_empty());
        let error = Checkpoint::open(parent.path()).unwrap_err();
        assert!(matches!(error, EngineError::NoCheckpoint { .. }), "{error}");
    }

    #[test]
    fn a_window_comes_back_bit_for_bit() {
        let mut window = Window::default();
        [0.1, 1.0 / 3.0, 1e-300].into_iter().for_each(|x| window.add("loss", x));
        let again: Window = serde_json::from_str(&serde_json::to_string(&window).unwrap()).unwrap();
        assert_eq!(again, window);
        assert_eq!(window.take_means()["loss"], (0.1 + 1.0 / 3.0 + 1e-300) / 3.0);
        assert_eq!(window, Window::default());
    }

    #[test]
    fn a_stored_random_stream_goes_on_where_it_stood() {
        let stream = Mutex::new(Rng::new(1, "dropout"));
        stream.lock().unwrap().normal();
        let bytes = stream.save().unwrap();
        let expected = stream.lock().unwrap().normal();
        let other = Mutex::new(Rng::new(2, "dropout"));
        other.load(&bytes).unwrap();
        assert_eq!(other.lock().unwrap().normal(), expected);
        assert!(other.load(b"{}").is_err());
    }
}
