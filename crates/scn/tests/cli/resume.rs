//! A run that was killed goes on as if nothing had happened; threads change nothing.

use std::{fs, time::Duration};

use crate::{assert_same_files, files, succeeds, train};

#[test]
fn a_killed_and_resumed_run_has_the_bytes_of_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let steps = ["--max-steps", "100"];
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
    let labels = files(&whole).into_iter().find(|(p, _)| p.ends_with("logs/relabelled.jsonl"));
    assert!(labels.is_some_and(|(_, bytes)| !bytes.is_empty()), "no label changed, so that the table was not tested");
}

#[test]
fn twice_twenty_steps_are_forty() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, halves) = (folder.path().join("whole"), folder.path().join("halves"));
    succeeds(&mut train(&whole, &["--max-steps", "40"]));
    succeeds(&mut train(&halves, &["--max-steps", "20"]));
    succeeds(train(&halves, &["--max-steps", "40"]).arg("--resume"));
    assert_same_files(&whole, &halves);
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
    let two = run("two", &["--threads", "2", "--set", "data.workers=0"]);
    assert_same_files(&one, &two);
    let other = run("other", &["--threads", "1", "--seed", "1"]);
    assert_ne!(files(&one), files(&other));
}

#[test]
fn a_signal_writes_a_checkpoint_first() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let never = ["--set", "trainer.checkpoint_every=1000000"];
    let mut child = train(&out, &never).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while fs::metadata(out.join("metrics.jsonl")).map_or(0, |m| m.len()) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its first line");
        std::thread::sleep(Duration::from_millis(2));
    }
    let kill = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("--resume"), "{message}");
    assert!(out.join("checkpoints/last/state.json").exists());
}
