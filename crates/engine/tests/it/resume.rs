//! A run that was stopped goes on as if it had not been.

use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

use sconce_engine::{Checkpoint, EngineError, Record, Start, with_threads};

use crate::regression::{Stop, rate, train};

/// Every file below `dir` but those that hold a clock.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn visit(root: &Path, dir: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for path in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                visit(root, &path, files);
            } else {
                files.insert(path.strip_prefix(root).unwrap().display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    visit(dir, dir, &mut files);
    files.remove("summary.json");
    files
}

#[track_caller]
fn assert_same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in a {
        assert!(*bytes == b[name], "{name} differs");
    }
}

/// The whole training of 48 updates in a new folder.
fn uninterrupted() -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::Never).unwrap();
    contents(dir.path())
}

#[test]
fn a_run_holds_what_it_should() {
    let files = uninterrupted();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let expected = [
        ".sconce",
        "checkpoints/best/config.toml",
        "checkpoints/best/ema.safetensors",
        "checkpoints/best/losses.state",
        "checkpoints/best/model.safetensors",
        "checkpoints/best/noise.state",
        "checkpoints/best/state.json",
        "checkpoints/last/config.toml",
        "checkpoints/last/ema.safetensors",
        "checkpoints/last/losses.state",
        "checkpoints/last/model.safetensors",
        "checkpoints/last/noise.state",
        "checkpoints/last/optimizer.safetensors",
        "checkpoints/last/state.json",
        "config.toml",
        "events.out.tfevents.0.sconce",
        "logs/large.jsonl",
        "metrics.jsonl",
        "run.json",
    ];
    assert_eq!(names, expected);
    let lines = String::from_utf8(files["metrics.jsonl"].clone()).unwrap();
    let records: Vec<Record> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (training, tests): (Vec<Record>, Vec<Record>) = records.into_iter().partition(|r| r.split == "train");
    let steps: Vec<usize> = training.iter().map(|r| r.step).collect();
    assert_eq!(steps, [1, 2].into_iter().chain((1..=16).map(|i| 3 * i)).collect::<Vec<_>>());
    assert_eq!(training[0].values.keys().collect::<Vec<_>>(), ["fit", "grad_norm", "loss", "lr", "size"]);
    assert_eq!((training[0].values["lr"], training[2].values["lr"]), (rate(0), rate(2)));
    assert!(training[17].values["loss"] < 0.1 * training[0].values["loss"], "it learns");
    assert_eq!(
        tests.iter().map(|r| (r.epoch, r.step)).collect::<Vec<_>>(),
        (1..=12).map(|e| (e, 4 * e)).collect::<Vec<_>>()
    );
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let one = with_threads(Some(1), uninterrupted).unwrap();
    let three = with_threads(Some(3), uninterrupted).unwrap();
    assert_same(&one, &three);
}

#[test]
fn stopping_and_resuming_changes_no_byte() {
    let whole = uninterrupted();
    // In the middle of an epoch, at a checkpoint, at the end of an epoch, before the best one, several times.
    for stops in [
        &[Stop::MaxSteps(20)][..],
        &[Stop::MaxSteps(22)],
        &[Stop::Crash(23)],
        &[Stop::Crash(20)],
        &[Stop::Crash(14)],
        &[Stop::Signal(13)],
        &[Stop::Signal(24), Stop::Crash(31), Stop::Crash(33), Stop::MaxSteps(47)],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut start = Start::Fresh;
        for &stop in stops {
            let result = train(dir.path(), start, stop);
            assert_eq!(
                matches!(stop, Stop::Signal(_)),
                matches!(result, Err(EngineError::Interrupted { signal: 15, .. }))
            );
            start = Start::Resume;
        }
        train(dir.path(), start, Stop::Never).unwrap();
        assert_same(&whole, &contents(dir.path()));
    }
}

#[test]
fn a_signal_writes_a_checkpoint_and_says_how_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let error = train(dir.path(), Start::Fresh, Stop::Signal(13)).unwrap_err().to_string();
    assert!(error.starts_with("stopped by SIGTERM after step 13; resume with --resume"), "{error}");
    assert_eq!(Checkpoint::open(dir.path()).unwrap().state().step, 13);
}

/// A crash in the middle of writing a line.
#[test]
fn half_a_line_of_a_log_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::Crash(23)).unwrap();
    for log in ["metrics.jsonl", "logs/large.jsonl", "events.out.tfevents.0.sconce"] {
        fs::OpenOptions::new().append(true).open(dir.path().join(log)).unwrap().write_all(b"{\"step\":2").unwrap();
    }
    train(dir.path(), Start::Resume, Stop::Never).unwrap();
    assert_same(&uninterrupted(), &contents(dir.path()));
}

#[test]
fn a_run_that_had_no_checkpoint_yet_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::Crash(4)).unwrap();
    assert!(!dir.path().join("checkpoints").exists());
    train(dir.path(), Start::Resume, Stop::Never).unwrap();
    assert_same(&uninterrupted(), &contents(dir.path()));
}

/// Where a crash between two renames left the last checkpoint.
#[test]
fn a_checkpoint_under_its_old_name_is_found() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(20)).unwrap();
    let checkpoints = dir.path().join("checkpoints");
    fs::rename(checkpoints.join("last"), checkpoints.join("last.old")).unwrap();
    assert_eq!(Checkpoint::open(dir.path()).unwrap().state().step, 20);
    assert_eq!(Checkpoint::open(&checkpoints.join("last")).unwrap().state().step, 20);
    train(dir.path(), Start::Resume, Stop::Never).unwrap();
    assert_same(&uninterrupted(), &contents(dir.path()));
}

#[test]
fn force_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(22)).unwrap();
    train(dir.path(), Start::Force, Stop::Never).unwrap();
    assert_same(&uninterrupted(), &contents(dir.path()));
}
