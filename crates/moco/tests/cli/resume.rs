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
