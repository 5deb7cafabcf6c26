//! The folder of a run: whose it is, what it holds, and what of that a run wrote.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions, TryLockError},
    io::Write as _,
    path::Path,
};

use sconce_core::files::write_atomic;

use super::{RunFile, RunOptions, Start};
use crate::{Checkpoint, EngineError, Result, Summary, checkpoint};

/// Marks a folder as a run's, and lists what was there before it.
pub(super) const MARKER: &str = ".sconce";
pub(super) const METRICS: &str = "metrics.jsonl";
/// TensorBoard looks for `tfevents` in a name; what follows is the host, usually.
pub(super) const EVENTS: &str = "events.out.tfevents.0.sconce";
pub(super) const LOGS: &str = "logs";
pub(super) const PICTURES: &str = "pictures";
pub(super) const CHECKPOINTS: &str = "checkpoints";
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

/// Takes the folder for a run and prepares it: the lock, and the checkpoint that the run goes on from.
pub(super) fn take(options: &RunOptions) -> Result<(File, Option<Checkpoint>)> {
    let dir = &options.dir;
    let is_run = dir.join(MARKER).exists();
    // A running run is better told as such than as a folder that is not empty.
    let held = if is_run { Some(lock(dir)?) } else { None };
    let present = names(dir)?;
    match options.start {
        Start::Fresh if !present.is_empty() => return Err(EngineError::NotEmpty { dir: dir.clone() }),
        Start::Resume if !is_run || !present.contains(checkpoint::CONFIG) => {
            return Err(EngineError::NothingToResume { dir: dir.clone() });
        }
        _ => {}
    }
    let held = match held {
        Some(held) => held,
        None => {
            fs::create_dir_all(dir).map_err(EngineError::io(dir))?;
            let mut held = lock(dir)?;
            let list: String = present.iter().map(|name| format!("{name}\n")).collect();
            held.write_all(list.as_bytes()).map_err(EngineError::io(dir.join(MARKER)))?;
            held
        }
    };
    let resumed = match options.start {
        Start::Resume => resume(options)?,
        Start::Fresh => None,
        Start::Force => {
            remove_run(dir)?;
            None
        }
    };
    let config = dir.join(checkpoint::CONFIG);
    if options.start != Start::Resume {
        write_atomic(&config, options.config_toml.as_bytes())?;
    }
    Ok((held, resumed))
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

/// The checkpoint to go on from, if the run in the folder is the one that `options` describe and has one.
pub(super) fn resume(options: &RunOptions) -> Result<Option<Checkpoint>> {
    let dir = &options.dir;
    let other = |(key, found, expected): (String, String, String)| EngineError::OtherRun {
        dir: dir.clone(),
        key,
        found,
        expected,
    };
    let config = dir.join(checkpoint::CONFIG);
    let text = fs::read_to_string(&config).map_err(EngineError::io(&config))?;
    let found: toml::Table = text.parse().map_err(|e| EngineError::format(&config, e))?;
    let expected: toml::Table = options.config_toml.parse().map_err(|e| EngineError::format("the configuration", e))?;
    if let Some(difference) = first_difference("", &found, &expected) {
        return Err(other(difference));
    }
    for name in ["last", "best"] {
        checkpoint::recover(&dir.join(CHECKPOINTS).join(name))?;
    }
    let last = dir.join(CHECKPOINTS).join("last");
    if !last.exists() {
        return Ok(None);
    }
    let checkpoint = Checkpoint::open(&last)?;
    let state = checkpoint.state();
    if state.method != options.method {
        return Err(other(("method".into(), state.method.clone(), options.method.clone())));
    }
    if state.seed != options.seed {
        return Err(other(("seed".into(), state.seed.to_string(), options.seed.to_string())));
    }
    Ok(Some(checkpoint))
}

/// The first key, in alphabetical order, at which two configurations differ, and its two values.
fn first_difference(prefix: &str, a: &toml::Table, b: &toml::Table) -> Option<(String, String, String)> {
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    keys.into_iter().find_map(|key| {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (a.get(key), b.get(key)) {
            (Some(toml::Value::Table(a)), Some(toml::Value::Table(b))) => first_difference(&path, a, b),
            (a, b) if a == b => None,
            (a, b) => {
                let text = |v: Option<&toml::Value>| v.map_or("absent".to_owned(), ToString::to_string);
                Some((path, text(a), text(b)))
            }
        }
    })
}

/// Removes what an earlier run wrote into its own folder; what was there before it, and what others put there, stays.
pub(super) fn remove_run(dir: &Path) -> Result<()> {
    let marker = dir.join(MARKER);
    let foreign: BTreeSet<String> =
        fs::read_to_string(&marker).map_err(EngineError::io(&marker))?.lines().map(str::to_owned).collect();
    for name in names(dir)?.difference(&foreign) {
        let path = dir.join(name);
        match name.as_str() {
            checkpoint::CONFIG | METRICS | EVENTS | Summary::FILE | "report.html" => remove_file(&path)?,
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
    fn the_first_differing_key_is_named_with_its_path() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let a = table("epochs = 3\n[optimizer]\nname = \"sgd\"\nlr = 0.1");
        let b = table("epochs = 3\n[optimizer]\nname = \"sgd\"\nlr = 0.2\nmomentum = 0.9");
        assert_eq!(first_difference("", &a, &a), None);
        let expected = ("optimizer.lr".to_owned(), "0.1".to_owned(), "0.2".to_owned());
        assert_eq!(first_difference("", &a, &b), Some(expected));
        let expected = ("optimizer".to_owned(), "absent".to_owned());
        let (key, found, _) = first_difference("", &table("epochs = 3"), &a).unwrap();
        assert_eq!((key, found), expected);
    }
}
