//! The binary `moco` as several processes. These tests start `mpirun`; what a killed process or a signal does is tested with `scn`.
#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::{fs, path::Path, process::Command};

use sconce_engine::Record;

/// Pre-training as so many processes into `out`; without `mpirun` if it is one.
#[track_caller]
fn train(ranks: usize, out: &Path, more: &[&str]) {
    let binary = env!("CARGO_BIN_EXE_moco");
    let mut command = Command::new(if ranks == 1 { binary } else { "mpirun" });
    if ranks > 1 {
        command.args(["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", &ranks.to_string(), binary]);
    }
    command.args(["train", "--preset", "smoke", "--threads", "1", "--out"]).arg(out);
    // Small steps: the rounding of a small network grows where a unit falls to the other side of its ReLU.
    for setting in [
        "trainer.lr=0.003",
        "trainer.log_every=1",
        "trainer.checkpoint_every=10",
        "evaluation.fine_tune=",
        "evaluation.probe.epochs=1",
        "moco.mechanism={kind=\"queue\",length=500,momentum=0.9}",
    ] {
        command.args(["--set", setting]);
    }
    let output = command.args(more).output().expect("cannot start it; is there an mpirun?");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn losses(out: &Path) -> Vec<f64> {
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Record>(line).unwrap());
    records.filter(|record| record.split == "train").map(|record| record.values["loss"]).collect()
}

#[track_caller]
fn assert_same_losses(found: &Path, expected: &Path, steps: usize) {
    let (found, expected) = (losses(found), losses(expected));
    assert_eq!((found.len(), expected.len()), (steps, steps));
    for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
        assert!((a - b).abs() <= 1e-4 * b, "step {i}: {a}, expected {b}");
    }
}

#[test]
fn two_ranks_have_the_losses_of_one_and_either_resumes_the_other() {
    for (name, groups) in [
        ("groups", "moco.batch_norm={kind=\"groups\",groups=2,shuffle=true}"),
        ("whole", "moco.batch_norm={kind=\"whole\"}"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let out = |ranks: &str| folder.path().join(format!("{name}-{ranks}"));
        let run = |ranks: usize, to: &str, steps: &str, more: &[&str]| {
            train(ranks, &out(to), &[&["--set", groups, "--max-steps", steps], more].concat());
        };
        run(1, "one", "20", &[]);
        run(2, "two", "20", &[]);
        assert_same_losses(&out("two"), &out("one"), 20);
        // Half by two processes, half by one, and the other way round.
        for (to, first, second) in [("two-one", 2, 1), ("one-two", 1, 2)] {
            run(first, to, "10", &[]);
            run(second, to, "20", &["--resume"]);
            assert_same_losses(&out(to), &out("one"), 20);
        }
    }
}
