//! Whose a run's folder is, and what happens to what it holds.

use std::{fs, path::Path};

use sconce_engine::{
    ChangeRule, EngineError, MayChange, Metrics, Record, Run, RunOptions, RunPlan, Start, Summary, WeightFile,
};

use crate::regression::{Stop, options, train};

fn record() -> Record {
    Record { step: 1, epoch: 1, split: "test".into(), values: Metrics::from([("accuracy".into(), 0.5)]) }
}

#[test]
fn a_folder_that_is_not_empty_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
    let error = Run::open(options(dir.path(), Start::Fresh)).unwrap_err();
    assert!(matches!(error, EngineError::NoRun { .. }), "{error}");
    assert!(error.to_string().contains("thesis.txt"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_finished_run_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    drop(Run::open(options(dir.path(), Start::Fresh)).unwrap());
    let error = Run::open(options(dir.path(), Start::Fresh)).unwrap_err();
    assert!(matches!(error, EngineError::NotEmpty { .. }), "{error}");
}

#[test]
fn a_folder_in_use_is_refused_until_its_run_ends() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run::open(options(dir.path(), Start::Fresh)).unwrap();
    for start in [Start::Fresh, Start::Resume, Start::Force] {
        let error = Run::open(options(dir.path(), start)).unwrap_err();
        assert!(matches!(error, EngineError::InUse { .. }), "{start:?}: {error}");
        assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    }
    drop(run);
    Run::open(options(dir.path(), Start::Resume)).unwrap();
}

#[test]
fn force_removes_what_a_run_wrote_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
    fs::write(file("notes.txt"), "mine").unwrap();
    fs::create_dir(file("pictures")).unwrap();
    fs::write(file("pictures/holiday.jpg"), "mine").unwrap();
    fs::write(file("checkpoints/keep.txt"), "mine").unwrap();
    drop(Run::open(options(dir.path(), Start::Force)).unwrap());

    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected = [
        ".sconce",
        "checkpoints",
        "config.toml",
        "events.out.tfevents.0.sconce",
        "metrics.jsonl",
        "notes.txt",
        "pictures",
        "run.json",
    ];
    assert_eq!(names, expected);
    assert_eq!(fs::read_to_string(file("pictures/holiday.jpg")).unwrap(), "mine");
    assert!(file("checkpoints/keep.txt").exists() && !file("checkpoints/last").exists());
    assert_eq!(fs::read(file("metrics.jsonl")).unwrap(), b"");
}

#[test]
fn force_removes_the_pictures_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run::open(options(dir.path(), Start::Fresh)).unwrap();
    fs::write(run.pictures().unwrap().join("least-certain.png"), "ours").unwrap();
    drop(run);
    drop(Run::open(options(dir.path(), Start::Force)).unwrap());
    assert!(!dir.path().join("pictures").exists());
}

#[test]
fn there_must_be_something_to_resume() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    for path in [dir.path(), missing.as_path()] {
        let error = Run::open(options(path, Start::Resume)).unwrap_err();
        assert!(matches!(error, EngineError::NothingToResume { .. }), "{error}");
    }
    assert!(!missing.exists() && fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing was created");
}

#[test]
fn another_configuration_is_refused_by_its_first_key() {
    let dir = tempfile::tempdir().unwrap();
    drop(Run::open(options(dir.path(), Start::Fresh)).unwrap());
    let config_toml = "epochs = 12\n[optimizer]\nname = \"adam\"\n".to_owned();
    let error = Run::open(RunOptions { config_toml, ..options(dir.path(), Start::Resume) }).unwrap_err().to_string();
    assert!(error.contains("`optimizer.name` is \"sgd\" there, not \"adam\""), "{error}");

    let reordered = "# the same\noptimizer = { name = 'sgd' }\nepochs = 12".to_owned();
    Run::open(RunOptions { config_toml: reordered, ..options(dir.path(), Start::Resume) }).unwrap();
}

#[test]
fn another_seed_or_method_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
    let error = Run::open(RunOptions { seed: Some(2), ..options(dir.path(), Start::Resume) }).unwrap_err().to_string();
    assert!(error.contains("`seed` is 1 there, not 2"), "{error}");
    let other = RunOptions { method: "scn".into(), ..options(dir.path(), Start::Resume) };
    let error = Run::open(other).unwrap_err().to_string();
    assert!(error.contains("`method` is regression there, not scn"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_names_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("metrics.jsonl");
    drop(Run::open(options(dir.path(), Start::Fresh)).unwrap());
    fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let mut run = Run::open(options(dir.path(), Start::Resume)).unwrap();
    let error = run.log(&record()).unwrap_err().to_string();
    assert!(error.starts_with(&log.display().to_string()) && error.contains("space"), "{error}");
}

/// A file where the folder of checkpoints should be stands for a disk that takes no more.
#[test]
fn a_checkpoint_that_cannot_be_written_stops_the_run_and_the_one_before_stays() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
    let last = dir.path().join("checkpoints/last");
    let before = fs::read(last.join("model.safetensors")).unwrap();
    fs::write(dir.path().join("checkpoints/last.new"), "in the way").unwrap();
    let error = train(dir.path(), Start::Resume, Stop::Never).unwrap_err().to_string();
    assert!(error.contains("checkpoints/last.new"), "{error}");
    assert_eq!(fs::read(last.join("model.safetensors")).unwrap(), before);
}

#[test]
fn an_output_folder_below_a_file_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("run")] {
        let error = Run::open(options(&path, Start::Fresh)).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
    }
}

#[test]
fn the_summary_tells_what_came_out_and_what_it_cost() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
    let half = Summary::read(dir.path()).unwrap().unwrap();
    assert!(!half.finished && half.steps == 5 && half.metrics.is_empty());

    let mut run = RunPlan::look(options(dir.path(), Start::Resume)).unwrap().open(Some("abc".into())).unwrap();
    let metrics = Metrics::from([("accuracy".into(), 0.875), ("auroc".into(), f64::NAN)]);
    run.finish(metrics).unwrap();
    let whole = Summary::read(dir.path()).unwrap().unwrap();
    assert!(whole.finished && whole.seconds > half.seconds && whole.training_seconds == half.training_seconds);
    assert_eq!((whole.metrics["accuracy"], whole.metrics["auroc"].is_nan()), (0.875, true));
    assert_eq!((whole.method.as_str(), whole.seed, whole.data_hash.as_deref()), ("regression", 1, Some("abc")));
    // sha256sum config.toml
    assert_eq!(whole.config_hash, sha256sum(&dir.path().join("config.toml")));
    #[cfg(target_os = "linux")]
    assert!(whole.peak_memory_bytes.unwrap() > 1 << 20);
}

fn sha256sum(path: &Path) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(fs::read(path).unwrap()).iter().map(|b| format!("{b:02x}")).collect()
}

/// A file of weights that a run can start from; what is in it, a run does not look at.
fn weights(dir: &Path, content: &str) -> WeightFile {
    let path = dir.join(format!("{content}.safetensors"));
    fs::write(&path, content).unwrap();
    WeightFile::new(path)
}

#[test]
fn a_run_that_resumes_has_weights_of_its_own() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = weights(other.path(), "imagenet");
    let with_weights = |start| RunOptions { init_from: Some(file.clone()), ..options(dir.path(), start) };
    let run = Run::open(with_weights(Start::Fresh)).unwrap();
    assert_eq!(run.init_from(), Some(&file));
    drop(run);
    train(dir.path(), Start::Force, Stop::MaxSteps(5)).unwrap();
    assert_eq!(Run::open(options(dir.path(), Start::Resume)).unwrap().init_from(), None);
    // The run that replaced the first one started from nothing.
    let error = Run::open(with_weights(Start::Resume)).unwrap_err().to_string();
    assert!(error.contains("`init_from` is absent there, not ") && error.contains("imagenet.safetensors"), "{error}");
}

#[test]
fn a_run_without_a_checkpoint_begins_again_with_its_own_seed_and_weights() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = weights(other.path(), "imagenet");
    let began = RunOptions { seed: Some(7), init_from: Some(file.clone()), ..options(dir.path(), Start::Fresh) };
    drop(Run::open(began).unwrap());
    let again = || RunOptions { seed: None, ..options(dir.path(), Start::Resume) };
    let run = Run::open(again()).unwrap();
    assert_eq!((run.seed(), run.init_from(), run.is_resuming()), (7, Some(&file), false));
    drop(run);

    let error = Run::open(RunOptions { seed: Some(8), ..again() }).unwrap_err().to_string();
    assert!(error.contains("`seed` is 7 there, not 8"), "{error}");
    let same = WeightFile::new(other.path().join("copy"));
    fs::copy(&file.path, &same.path).unwrap();
    drop(Run::open(RunOptions { init_from: Some(same), ..again() }).unwrap());
    let prefixed = WeightFile { prefix: Some("module.".into()), ..file.clone() };
    for wrong in [weights(other.path(), "places"), prefixed] {
        let error = Run::open(RunOptions { init_from: Some(wrong), ..again() }).unwrap_err().to_string();
        assert!(error.contains("`init_from` is ") && error.contains("imagenet.safetensors"), "{error}");
    }

    fs::write(&file.path, "trained on").unwrap();
    let error = Run::open(again()).unwrap_err();
    assert!(matches!(&error, EngineError::StartWeights { path, .. } if *path == file.path), "{error}");
    fs::remove_file(&file.path).unwrap();
    let error = Run::open(again()).unwrap_err();
    assert!(matches!(&error, EngineError::StartWeights { path, .. } if *path == file.path), "{error}");
}

/// As a process that was killed between its first two files leaves it.
#[test]
fn a_run_that_wrote_no_configuration_is_none_yet() {
    let dir = tempfile::tempdir().unwrap();
    drop(Run::open(options(dir.path(), Start::Fresh)).unwrap());
    for name in ["config.toml", "metrics.jsonl", "events.out.tfevents.0.sconce"] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    let error = Run::open(options(dir.path(), Start::Resume)).unwrap_err();
    assert!(matches!(error, EngineError::NothingToResume { .. }), "{error}");
    drop(Run::open(options(dir.path(), Start::Fresh)).unwrap());
}

#[test]
fn a_run_from_before_run_json_goes_on_from_its_checkpoint_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
    fs::remove_file(dir.path().join("run.json")).unwrap();
    let run = Run::open(RunOptions { seed: None, ..options(dir.path(), Start::Resume) }).unwrap();
    assert_eq!((run.seed(), run.is_resuming()), (1, true));
    drop(run);
    fs::remove_file(dir.path().join("run.json")).unwrap();
    fs::remove_dir_all(dir.path().join("checkpoints")).unwrap();
    let error = Run::open(options(dir.path(), Start::Resume)).unwrap_err();
    assert!(matches!(error, EngineError::NothingToResume { .. }), "{error}");
    assert!(error.to_string().contains("--force"), "{error}");
}

#[test]
fn a_run_from_before_a_key_goes_on_with_the_keys_default() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Config {
        epochs: usize,
        optimizer: toml::Table,
        #[serde(default)]
        clip: bool,
    }
    let dir = tempfile::tempdir().unwrap();
    drop(Run::open(options(dir.path(), Start::Fresh)).unwrap());
    let resumed = |clip: bool| {
        let config_toml = format!("clip = {clip}\n{}", options(dir.path(), Start::Resume).config_toml);
        let rewrite: fn(&Path, &str) -> _ = sconce_engine::config::rewrite::<Config>;
        Run::open(RunOptions { config_toml, rewrite: Some(rewrite), ..options(dir.path(), Start::Resume) })
    };
    let error = resumed(true).unwrap_err().to_string();
    assert!(error.contains("`clip` is false there, not true"), "{error}");
    resumed(false).unwrap();
}

#[test]
fn looking_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("new");
    RunPlan::look(options(&new, Start::Fresh)).unwrap();
    assert!(!new.exists());
    train(&new, Start::Fresh, Stop::MaxSteps(5)).unwrap();
    let before: Vec<_> = fs::read_dir(&new).unwrap().map(|e| e.unwrap().path()).collect();
    for start in [Start::Resume, Start::Force] {
        RunPlan::look(options(&new, start)).unwrap();
    }
    assert_eq!(fs::read_dir(&new).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>(), before);
}

#[test]
fn force_refuses_what_no_run_wrote() {
    for name in ["config.toml", "metrics.jsonl", "anything"] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        fs::write(&file, "mine").unwrap();
        let error = Run::open(options(dir.path(), Start::Force)).unwrap_err();
        assert!(matches!(&error, EngineError::NoRun { first, .. } if first == name), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

/// An earlier version took a folder that was not empty, and listed what was in it.
#[test]
fn force_replaces_no_file_that_was_there_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
    fs::write(dir.path().join(".sconce"), "metrics.jsonl\n").unwrap();
    let before = fs::read(dir.path().join("metrics.jsonl")).unwrap();
    let error = Run::open(options(dir.path(), Start::Force)).unwrap_err();
    assert!(matches!(&error, EngineError::NoRun { first, .. } if first == "metrics.jsonl"), "{error}");
    assert_eq!(fs::read(dir.path().join("metrics.jsonl")).unwrap(), before);
}

#[test]
fn a_run_that_resumes_changes_what_it_may_and_keeps_a_record() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
    let longer = || RunOptions {
        config_toml: "epochs = 13\n[optimizer]\nname = \"sgd\"\n".into(),
        may_change: vec![MayChange { key: "epochs".into(), rule: ChangeRule::Grow }],
        ..options(dir.path(), Start::Resume)
    };
    let never = vec![MayChange { key: "epochs".into(), rule: ChangeRule::Never("the rate falls".into()) }];
    let error = Run::open(RunOptions { may_change: never, ..longer() }).unwrap_err().to_string();
    assert!(error.ends_with("`epochs` is 12 there, not 13: the rate falls"), "{error}");
    let plan = RunPlan::look(longer()).unwrap();
    assert_eq!(plan.changes().len(), 1);
    drop(plan.open(None).unwrap());
    assert!(fs::read_to_string(dir.path().join("config.toml")).unwrap().starts_with("epochs = 13"));
    let record: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join("run.json")).unwrap()).unwrap();
    let expected = serde_json::json!([{ "step": 5, "key": "epochs", "from": "12", "to": "13" }]);
    assert_eq!(record["changes"], expected);
    // It is the run's own now.
    drop(Run::open(RunOptions { may_change: Vec::new(), ..longer() }).unwrap());
}

#[test]
fn a_run_goes_on_with_the_same_data_alone() {
    let dir = tempfile::tempdir().unwrap();
    let plan = |start, path: &str| {
        RunPlan::look(RunOptions {
            config_toml: format!("[data]\nroot = \"{path}\"\n"),
            may_change: vec![MayChange { key: "data".into(), rule: ChangeRule::SameData }],
            ..options(dir.path(), start)
        })
    };
    drop(plan(Start::Fresh, "a").unwrap().open(Some("one".into())).unwrap());
    let error = plan(Start::Resume, "a").unwrap().open(Some("two".into())).unwrap_err();
    assert!(matches!(error, EngineError::OtherData { .. }), "{error}");
    for hash in [Some("two".to_owned()), None] {
        let error = plan(Start::Resume, "b").unwrap().open(hash).unwrap_err();
        assert!(matches!(error, EngineError::OtherData { .. }), "{error}");
    }
    assert!(fs::read_to_string(dir.path().join("config.toml")).unwrap().contains("\"a\""));
    drop(plan(Start::Resume, "b").unwrap().open(Some("one".into())).unwrap());
    assert!(fs::read_to_string(dir.path().join("config.toml")).unwrap().contains("\"b\""));
}
