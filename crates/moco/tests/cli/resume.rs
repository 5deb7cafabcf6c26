//! A run that was killed goes on as if nothing had happened; threads change nothing.

use std::{fs, time::Duration};

use crate::{assert_same_files, files, succeeds, train};

#[test]
fn a_killed_and_resumed_run_has_the_bytes_of_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let steps = ["--max-steps", "60"];
    succeeds(&mut train(&whole, &steps));

    let mut child = train(&killed, &steps).stderr(std::process::Stdio::null()).spawn().unwrap();
    let last = killed.join("checkpoints/last/state.json");
    while !last.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its first checkpoint");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    let summary = fs::read_to_string(killed.join("summary.json")).unwrap_or_default();
    assert!(!summary.contains("\"finished\": true"), "it was killed too late to show anything");

    succeeds(train(&killed, &steps).arg("--resume"));
    assert_same_files(&whole, &killed);
}

#[test]
fn every_mechanism_goes_on_where_it_stood() {
    for (i, mechanism) in
        ["{kind=\"end-to-end\"}", "{kind=\"memory-bank\",negatives=50,momentum=0.5}"].iter().enumerate()
    {
        let folder = tempfile::tempdir().unwrap();
        let mechanism = format!("moco.mechanism={mechanism}");
        let run = |name: &str, more: &[&str]| {
            let out = folder.path().join(name);
            let mut command = moco_with(&out, &mechanism);
            succeeds(command.args(more));
            out
        };
        let whole = run("whole", &["--max-steps", "20"]);
        run("halves", &["--max-steps", "10"]);
        let halves = run("halves", &["--max-steps", "20", "--resume"]);
        assert_same_files(&whole, &halves);
        let has_bank = files(&whole).iter().any(|(path, bytes)| {
            path.ends_with("last/model.safetensors") && bytes.windows(11).any(|name| name == b"memory_bank")
        });
        assert_eq!(has_bank, i == 1);
    }
}

fn moco_with(out: &std::path::Path, mechanism: &str) -> std::process::Command {
    let mut command = crate::moco(&["train", "--preset", "smoke", "--set", "evaluation.fine_tune="]);
    command.args(["--set", "evaluation.probe.epochs=1", "--set", "trainer.checkpoint_every=5", "--set", mechanism]);
    command.arg("--out").arg(out);
    command
}

#[test]
fn threads_change_no_byte_and_seeds_do() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        succeeds(train(&out, &["--max-steps", "12"]).args(more));
        out
    };
    let one = run("one", &["--threads", "1"]);
    let two = run("two", &["--threads", "2"]);
    assert_same_files(&one, &two);
    let other = run("other", &["--threads", "1", "--seed", "1"]);
    assert_ne!(files(&one), files(&other));
}

/// A linear classifier whose run is killed before its first checkpoint begins again on the backbone that it was given, though
/// nobody names it, and with its own seed.
#[test]
fn a_run_without_a_checkpoint_begins_again_with_its_weights_and_its_seed() {
    let folder = tempfile::tempdir().unwrap();
    let (pre, killed, whole) = (folder.path().join("pre"), folder.path().join("killed"), folder.path().join("whole"));
    succeeds(&mut train(&pre, &["--max-steps", "3"]));
    let weights = pre.join("checkpoints/last/model.safetensors");
    let linear = |out: &std::path::Path| {
        let mut command = train(out, &["--set", "task=linear-classifier", "--set", "trainer.checkpoint_every=100000"]);
        command.args(["--set", "trainer.log_every=1", "--seed", "7", "--init-from"]).arg(&weights);
        command
    };
    let mut child = linear(&killed).stderr(std::process::Stdio::null()).spawn().unwrap();
    let log = killed.join("metrics.jsonl");
    while !fs::read_to_string(&log).is_ok_and(|text| text.contains('\n')) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its first step");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    assert!(!killed.join("checkpoints/last").exists(), "it was killed too late to show anything");

    let steps = ["--max-steps", "4"];
    let output = succeeds(crate::moco(&["train", "--resume", "--out"]).arg(&killed).args(steps));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("begins again, with seed 7"), "{said}");
    succeeds(linear(&whole).args(steps));
    assert_same_files(&whole, &killed);
    let read = |path: &std::path::Path| sconce_core::read_tensors(path).unwrap();
    let (before, after) = (read(&weights), read(&killed.join("checkpoints/last/model.safetensors")));
    let values = |tensor: &sconce_core::Tensor| {
        tensor.to_dtype(sconce_core::DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
    };
    let frozen = after.iter().filter(|(name, _)| !name.starts_with("fc."));
    assert!(frozen.clone().count() > 20);
    for (name, tensor) in frozen {
        assert_eq!(values(tensor), values(&before[&format!("encoder_q.{name}")]), "{name}");
    }
}
