//! What crashes and hands leave in a run's folder.

use std::fs;

use sconce_engine::{ChangeRule, EngineError, MayChange, Run, RunOptions, RunPlan, Start};

use crate::regression::{Stop, options, train};

#[test]
fn force_removes_no_file_of_others_among_the_checkpoints() {
    for name in ["last/notes.txt", "best/more/a.txt"] {
        let dir = tempfile::tempdir().unwrap();
        train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
        let notes = dir.path().join("checkpoints").join(name);
        fs::create_dir_all(notes.parent().unwrap()).unwrap();
        fs::write(&notes, "mine").unwrap();
        let error = Run::open(options(dir.path(), Start::Force)).unwrap_err();
        assert!(matches!(&error, EngineError::Foreign { path } if notes.starts_with(path)), "{error}");
        assert!(notes.exists() && dir.path().join("checkpoints/last/model.safetensors").exists());
    }
}

/// As a process that is killed in its first milliseconds leaves it.
#[test]
fn a_run_that_ended_while_it_wrote_what_it_is_leaves_a_folder_to_take() {
    for left in [&[][..], &["run.json.tmp"], &["run.json", "config.toml.tmp"]] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".sconce"), "").unwrap();
        left.iter().for_each(|name| fs::write(dir.path().join(name), "{").unwrap());
        assert!(Run::open(options(dir.path(), Start::Resume)).is_err());
        drop(Run::open(options(dir.path(), Start::Fresh)).unwrap());
    }
}

#[test]
fn a_configuration_that_a_hand_has_changed_is_not_that_of_the_run() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
    let config_toml = "epochs = 12\n[optimizer]\nname = \"adam\"\n".to_owned();
    fs::write(dir.path().join("config.toml"), &config_toml).unwrap();
    let resumed = RunOptions { config_toml, ..options(dir.path(), Start::Resume) };
    let error = Run::open(resumed.clone()).unwrap_err().to_string();
    assert!(error.contains("`optimizer.name` is \"sgd\" there, not \"adam\""), "{error}");
    // What it may change, it may change by hand too; that is kept in the record.
    let may_change = vec![MayChange { key: "optimizer.name".into(), rule: ChangeRule::Free }];
    let plan = RunPlan::look(RunOptions { may_change, ..resumed }).unwrap();
    assert_eq!(
        plan.changes().iter().map(|change| (&*change.key, change.step)).collect::<Vec<_>>(),
        [("optimizer.name", 5)]
    );
}

#[test]
fn a_log_that_is_gone_is_an_error_and_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
    let log = dir.path().join("metrics.jsonl");
    fs::remove_file(&log).unwrap();
    let error = Run::open(options(dir.path(), Start::Resume)).unwrap_err();
    assert!(matches!(&error, EngineError::Io { path, .. } if *path == log), "{error}");
    assert!(!log.exists());
}

#[test]
fn a_place_that_no_run_has_been_at_is_named() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
    let path = dir.path().join("checkpoints/last/state.json");
    let state: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let max = serde_json::json!(usize::MAX);
    for (pointer, value) in [
        ("/step", serde_json::json!(4)),
        ("/step", max.clone()),
        ("/position/epoch", serde_json::json!(500)),
        ("/position/epoch", max.clone()),
        ("/position/batch", max),
    ] {
        let mut wrong = state.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        fs::write(&path, wrong.to_string()).unwrap();
        let error = train(dir.path(), Start::Resume, Stop::Never).unwrap_err().to_string();
        assert!(error.contains("state.json") && error.contains("12 epochs of 7 batches"), "{pointer}: {error}");
    }
    fs::write(&path, state.to_string()).unwrap();
    train(dir.path(), Start::Resume, Stop::Never).unwrap();
}
