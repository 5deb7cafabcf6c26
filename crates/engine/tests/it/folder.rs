//! Whose a run's folder is, and what happens to what it holds.

use std::{fs, path::Path};

use sconce_engine::{EngineError, Metrics, Outcome, Record, Run, RunOptions, Start, Summary};

use crate::regression::{Stop, options, train};

fn record() -> Record {
    Record { step: 1, epoch: 1, split: "test".into(), values: Metrics::from([("accuracy".into(), 0.5)]) }
}

#[test]
fn a_folder_that_is_not_empty_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
    let error = Run::open(options(dir.path(), Start::Fresh)).unwrap_err();
    assert!(matches!(error, EngineError::NotEmpty { .. }), "{error}");
    assert!(error.to_string().contains("--force"), "{error}");
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
    fs::create_dir(file("pictures")).unwrap();
    fs::write(file("pictures/holiday.png"), "mine").unwrap();
    // The folder is taken over once, then cleared.
    train(dir.path(), Start::Force, Stop::MaxSteps(5)).unwrap();
    fs::write(file("notes.txt"), "mine").unwrap();
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
    ];
    assert_eq!(names, expected);
    assert_eq!(fs::read_to_string(file("pictures/holiday.png")).unwrap(), "mine");
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
    let error = Run::open(RunOptions { seed: 2, ..options(dir.path(), Start::Resume) }).unwrap_err().to_string();
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
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let mut run = Run::open(options(dir.path(), Start::Force)).unwrap();
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

    let mut run = Run::open(options(dir.path(), Start::Resume)).unwrap();
    let metrics = Metrics::from([("accuracy".into(), 0.875), ("auroc".into(), f64::NAN)]);
    run.finish(Outcome { metrics, data_hash: Some("abc".into()) }).unwrap();
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

#[test]
fn a_run_that_resumes_has_weights_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let with_weights =
        |start| RunOptions { init_from: Some("imagenet.safetensors".into()), ..options(dir.path(), start) };
    let run = Run::open(with_weights(Start::Fresh)).unwrap();
    assert_eq!(run.init_from(), Some(Path::new("imagenet.safetensors")));
    drop(run);
    train(dir.path(), Start::Force, Stop::MaxSteps(5)).unwrap();
    assert_eq!(Run::open(with_weights(Start::Resume)).unwrap().init_from(), None);
}
