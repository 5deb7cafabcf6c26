//! The folder of a run: whose it is, what it holds, and what of that a run wrote.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions, TryLockError},
    path::Path,
};

use sconce_core::files::write_atomic;

use super::{RunFile, RunOptions, Start, identity::Identity};
use crate::{EngineError, Result, Summary, checkpoint};

/// Marks a folder as a run's.
pub(super) const MARKER: &str = ".sconce";
pub(super) const METRICS: &str = "metrics.jsonl";
/// TensorBoard looks for `tfevents` in a name; what follows is the host, usually.
pub(super) const EVENTS: &str = "events.out.tfevents.0.sconce";
pub(super) const LOGS: &str = "logs";
pub(super) const PICTURES: &str = "pictures";
pub(super) const CHECKPOINTS: &str = "checkpoints";
const REPORT: &str = "report.html";
pub(super) const DUMP: &str = "non-finite-step-";

/// What `dir` holds besides the marker; nothing if it is not there.
pub(super) fn names(dir: &Path) -> Result<BTreeSet<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(e) => return Err(EngineError::io(dir)(e)),
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        names.insert(entry.map_err(EngineError::io(dir))?.file_name().to_string_lossy().into_owned());
    }
    names.remove(MARKER);
    Ok(names)
}

/// Whether a run has taken `dir`.
pub(super) fn is_run(dir: &Path) -> bool {
    dir.join(MARKER).is_file()
}

/// Whether nothing would be lost if a new run took `dir`: it is empty, or a run took it that did not get to write its
/// configuration.
pub(super) fn is_vacant(dir: &Path) -> Result<bool> {
    let present = names(dir)?;
    // A run may have ended while it wrote the one or the other.
    let first = [Identity::FILE, checkpoint::CONFIG].map(|name| format!("{name}.tmp"));
    let is_first = |name: &String| name == Identity::FILE || first.contains(name);
    Ok(present.is_empty() || (is_run(dir) && present.iter().all(is_first)))
}

/// Whether the run in `dir` has got as far as writing its configuration.
pub(super) fn has_config(dir: &Path) -> bool {
    dir.join(checkpoint::CONFIG).is_file()
}

/// The configuration of the run in `dir`, as its file has it; `None` if there is no run.
///
/// # Errors
/// [`EngineError::Io`] if the file cannot be read.
pub fn run_config(dir: &Path) -> Result<Option<String>> {
    let config = dir.join(checkpoint::CONFIG);
    if is_run(dir) && has_config(dir) {
        fs::read_to_string(&config).map(Some).map_err(EngineError::io(&config))
    } else {
        Ok(None)
    }
}

/// Checks that no other process has the folder.
pub(super) fn check_free(dir: &Path) -> Result<()> {
    if is_run(dir) { lock(dir).map(drop) } else { Ok(()) }
}

/// Checks that nothing that a run would replace was there before it, as an earlier version could leave it, or has been put among
/// its checkpoints.
pub(super) fn check_foreign(dir: &Path) -> Result<()> {
    for name in ["last", "best"] {
        if let Some(path) = checkpoint::foreign(&dir.join(CHECKPOINTS).join(name))? {
            return Err(EngineError::Foreign { path });
        }
    }
    let ours = [checkpoint::CONFIG, METRICS, EVENTS, Summary::FILE, Identity::FILE, REPORT];
    match foreign(dir)?.into_iter().find(|name| ours.contains(&name.as_str())) {
        Some(first) => Err(EngineError::NoRun { dir: dir.to_owned(), first, n: 1 }),
        None => Ok(()),
    }
}

/// Takes the folder for the run of `options`, which is `identity`, and prepares it. The lock is held as long as the result
/// is open.
pub(super) fn take(options: &RunOptions, identity: &Identity, is_changed: bool) -> Result<File> {
    let dir = &options.dir;
    fs::create_dir_all(dir).map_err(EngineError::io(dir))?;
    let held = lock(dir)?;
    match options.start {
        Start::Fresh if !is_vacant(dir)? => return Err(EngineError::NotEmpty { dir: dir.clone() }),
        Start::Fresh => {}
        Start::Force => remove_run(dir)?,
        Start::Resume => {
            for name in ["last", "best"] {
                checkpoint::recover(&dir.join(CHECKPOINTS).join(name))?;
            }
        }
    }
    // What the run is stands before its configuration, by which a folder is known to have a run.
    if options.start != Start::Resume || is_changed || Identity::read(dir)?.as_ref() != Some(identity) {
        identity.write(dir)?;
    }
    if options.start != Start::Resume || is_changed {
        write_atomic(&dir.join(checkpoint::CONFIG), options.config_toml.as_bytes())?;
    }
    Ok(held)
}

/// Takes the folder for this process as long as the result is open.
pub(super) fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(MARKER);
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(EngineError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EngineError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(e)) => Err(EngineError::io(path)(e)),
    }
}

/// A value of a configuration that is another one than in the folder's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// The key, with its path.
    pub(super) key: String,
    /// The value in the folder, as TOML, or `absent`.
    pub(super) found: String,
    /// The value now.
    pub(super) expected: String,
}

impl Difference {
    /// Whether both values are text.
    pub(super) fn is_text(&self) -> bool {
        [&self.found, &self.expected].iter().all(|value| value.starts_with(['"', '\'']))
    }
}

/// At which keys the configuration of the run in the folder differs from that of `options`, in alphabetical order.
pub(super) fn differences(options: &RunOptions) -> Result<Vec<Difference>> {
    let path = options.dir.join(checkpoint::CONFIG);
    let text = fs::read_to_string(&path).map_err(EngineError::io(&path))?;
    differences_from(&path, text, options)
}

/// At which keys the configuration `text`, which stands in the file `path`, differs from that of `options`, in alphabetical order.
pub(super) fn differences_from(path: &Path, text: String, options: &RunOptions) -> Result<Vec<Difference>> {
    let text = match options.rewrite {
        Some(rewrite) => rewrite(path, &text)?,
        None => text,
    };
    let found: toml::Table = text.parse().map_err(|e| EngineError::format(path, e))?;
    let expected: toml::Table = options.config_toml.parse().map_err(|e| EngineError::format("the configuration", e))?;
    let mut all = Vec::new();
    compare("", &found, &expected, &mut all);
    Ok(all)
}

fn compare(prefix: &str, a: &toml::Table, b: &toml::Table, found: &mut Vec<Difference>) {
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for key in keys {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (a.get(key), b.get(key)) {
            (Some(toml::Value::Table(a)), Some(toml::Value::Table(b))) => compare(&path, a, b, found),
            (a, b) if a == b => {}
            (a, b) => {
                let text = |v: Option<&toml::Value>| v.map_or("absent".to_owned(), ToString::to_string);
                found.push(Difference { key: path, found: text(a), expected: text(b) });
            }
        }
    }
}

/// What was in the folder before the run, where an earlier version took a folder that was not empty.
fn foreign(dir: &Path) -> Result<BTreeSet<String>> {
    let marker = dir.join(MARKER);
    Ok(fs::read_to_string(&marker).map_err(EngineError::io(&marker))?.lines().map(str::to_owned).collect())
}

/// Removes what an earlier run wrote into its own folder; what was there before it, and what others put there, stays.
pub(super) fn remove_run(dir: &Path) -> Result<()> {
    for name in names(dir)?.difference(&foreign(dir)?) {
        let path = dir.join(name);
        match name.as_str() {
            checkpoint::CONFIG | METRICS | EVENTS | Summary::FILE | Identity::FILE | REPORT => remove_file(&path)?,
            CHECKPOINTS => {
                checkpoint::remove_all(&path.join("last"))?;
                checkpoint::remove_all(&path.join("best"))?;
                remove_if_empty(&path);
            }
            name if RunFile::ALL.iter().any(|file| file.name() == name) => remove_file(&path)?,
            LOGS => remove_files(&path, "jsonl")?,
            PICTURES => remove_files(&path, "png")?,
            name if name.starts_with(DUMP) => remove_file(&path)?,
            _ => {}
        }
    }
    Ok(())
}

fn remove_file(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(EngineError::io(path))
}

/// Removes the files of `dir` that end in `extension`, and `dir` if nothing else is in it.
fn remove_files(dir: &Path, extension: &str) -> Result<()> {
    for path in names(dir)?.iter().map(|name| dir.join(name)) {
        if path.extension().is_some_and(|e| e == extension) {
            remove_file(&path)?;
        }
    }
    remove_if_empty(dir);
    Ok(())
}

/// What else is in it is not a run's, so that it is right that this fails.
fn remove_if_empty(dir: &Path) {
    let _ = fs::remove_dir(dir);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_keys_are_named_with_their_paths() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let a = table("epochs = 3\n[optimizer]\nname = \"sgd\"\nlr = 0.1");
        let b = table("epochs = 3\n[optimizer]\nname = \"sgd\"\nlr = 0.2\nmomentum = 0.9");
        let differences = |a, b| {
            let mut found = Vec::new();
            compare("", a, b, &mut found);
            found.into_iter().map(|d| (d.key, d.found, d.expected)).collect::<Vec<_>>()
        };
        assert_eq!(differences(&a, &a), []);
        let row = |key: &str, found: &str, expected: &str| (key.to_owned(), found.to_owned(), expected.to_owned());
        let expected = [row("optimizer.lr", "0.1", "0.2"), row("optimizer.momentum", "absent", "0.9")];
        assert_eq!(differences(&a, &b), expected);
        let (key, found, _) = differences(&table("epochs = 3"), &a).remove(0);
        assert_eq!((key.as_str(), found.as_str()), ("optimizer", "absent"));
    }
}
