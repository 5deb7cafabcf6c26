//! The binary `scn` as several processes. These tests start `mpirun`.
#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use sconce_engine::Record;

/// Cross-entropy alone, over the batches of all ranks: nothing in it depends on their number. The steps are small: what the
/// order of a sum does to the last bit grows a hundredfold a step once it has put the background of all images on the other
/// side of a ReLU.
const SETTINGS: [&str; 11] = [
    "scn.model.backbone.width=0.0625",
    "scn.model.backbone.batch_norm=sync",
    "scn.weighting=off",
    "scn.rank.margin={kind=\"off\"}",
    "scn.relabel.scope=off",
    "trainer.log_every=1",
    "trainer.checkpoint_every=5",
    "trainer.lr=1e-4",
    "trainer.optimizer={name=\"sgd\",momentum=0.0,nesterov=false,weight_decay=1e-4}",
    "data.batch_size=128",
    "data.workers=1",
];

/// `scn train` into `out` as so many processes; without `mpirun` if it is one.
fn train(ranks: usize, out: &Path, more: &[&str]) -> Command {
    let binary = env!("CARGO_BIN_EXE_scn");
    let mut command = Command::new(if ranks == 1 { binary } else { "mpirun" });
    if ranks > 1 {
        command.args(["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", &ranks.to_string(), binary]);
    }
    command.args(["train", "--preset", "smoke", "--threads", "1"]);
    for setting in SETTINGS {
        command.args(["--set", setting]);
    }
    command.arg("--out").arg(out).args(more);
    command
}

/// Runs a command to its end, which must come: a job that hangs is what these tests are about.
fn run(command: &mut Command) -> Output {
    end(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cannot start it; is there an mpirun?"))
}

fn end(mut child: Child) -> Output {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("it hangs: {}", text(&child.wait_with_output().unwrap().stderr));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let output = run(command);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Runs a command that must fail, and say each of `parts` once.
#[track_caller]
fn fails_with(command: &mut Command, parts: &[&str]) {
    let output = run(command);
    let message = text(&output.stderr);
    assert!(!output.status.success(), "it succeeded: {message}");
    for part in parts {
        assert_eq!(message.matches(part).count(), 1, "`{part}` in: {message}");
    }
}

fn records(out: &Path) -> Vec<Record> {
    let lines = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whether runs of so many steps have the same losses, but for so much of each.
#[track_caller]
fn assert_same_losses(found: &Path, expected: &Path, steps: usize, tolerance: f64) {
    let (found, expected) = (records(found), records(expected));
    let losses = |records: &[Record]| -> Vec<(usize, f64)> {
        let training = records.iter().filter(|record| record.split == "train");
        training.map(|record| (record.step, record.values["loss"])).collect()
    };
    assert_eq!(losses(&found).len(), steps);
    for ((step, a), (other, b)) in losses(&found).into_iter().zip(losses(&expected)) {
        assert!(step == other && (a - b).abs() <= tolerance * b, "step {step}: {a}, expected {b}");
    }
    assert_eq!(found.len(), expected.len(), "evaluations");
}

/// The process of a rank of the job that trains into `out`.
fn process(out: &Path, rank: usize) -> Option<u32> {
    let has = |path: PathBuf, what: String| {
        fs::read(path).is_ok_and(|bytes| bytes.split(|&b| b == 0).any(|entry| entry == what.as_bytes()))
    };
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let is_it = has(entry.path().join("cmdline"), out.display().to_string())
            && has(entry.path().join("environ"), format!("OMPI_COMM_WORLD_RANK={rank}"));
        entry.file_name().to_str()?.parse().ok().filter(|_| is_it)
    })
}

/// Starts two ranks and, when they have a checkpoint, sends one of them a signal; what becomes of the job.
fn signalled(out: &Path, rank: usize, signal: &str) -> Output {
    let endless = ["--set", "trainer.epochs=100000"];
    let mut job =
        train(2, out, &endless).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("is there an mpirun?");
    while !out.join("checkpoints/last/state.json").exists() {
        assert!(job.try_wait().unwrap().is_none(), "it ended before its first checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    let victim = process(out, rank).expect("no such process").to_string();
    assert!(Command::new("kill").args([signal, &victim]).status().unwrap().success());
    end(job)
}

#[test]
fn two_ranks_have_the_losses_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    succeeds(&mut train(1, &one, &["--max-steps", "20"]));
    succeeds(&mut train(2, &two, &["--max-steps", "20"]));
    assert_same_losses(&two, &one, 20, 1e-4);
    let summary = fs::read_to_string(two.join("summary.json")).unwrap();
    assert!(summary.contains("\"ranks\": 2") && summary.contains("\"finished\": true"), "{summary}");
}

#[test]
fn ranks_share_what_they_relabel() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let modules = [
        "scn.weighting=logits",
        "scn.rank.margin={kind=\"fixed\",value=0.07}",
        "scn.relabel.scope=whole-batch",
        "scn.relabel.margin=0.0",
        "scn.relabel.start_epoch=1",
    ];
    let mut command = train(2, &out, &["--max-steps", "10"]);
    succeeds(command.args(modules.iter().flat_map(|setting| ["--set", setting])));
    let table = sconce_engine::Checkpoint::open(&out).unwrap().tracked("labels").unwrap();
    let table: serde_json::Value = serde_json::from_slice(&table).unwrap();
    // A network that has learned next to nothing contradicts most labels: more than half of what both have seen is more than one rank
    // can have relabelled by itself.
    let (changed, seen) = (table["changes"].as_array().unwrap().len(), 10 * 128);
    assert!(changed > seen * 55 / 100, "{changed} of {seen}");
}

#[test]
fn a_killed_rank_ends_the_job_and_any_number_of_ranks_resumes_it() {
    let folder = tempfile::tempdir().unwrap();
    let killed = folder.path().join("killed");
    let output = signalled(&killed, 1, "-KILL");
    let message = text(&output.stderr);
    assert!(!output.status.success() && message.contains("signal 9"), "{message}");

    let step = sconce_engine::Checkpoint::open(&killed).unwrap().state().step;
    let steps = (step + 6).to_string();
    let more = ["--set", "trainer.epochs=100000", "--max-steps", &steps];
    let whole = folder.path().join("whole");
    succeeds(&mut train(2, &whole, &more));
    for (ranks, tolerance) in [(1, 1e-4), (2, 0.0)] {
        let resumed = folder.path().join(format!("resumed-{ranks}"));
        assert!(Command::new("cp").arg("-r").args([&killed, &resumed]).status().unwrap().success());
        succeeds(train(ranks, &resumed, &more).arg("--resume"));
        assert_same_losses(&resumed, &whole, step + 6, tolerance);
    }
}

#[test]
fn a_signal_to_one_rank_stops_all_with_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let output = signalled(&out, 1, "-TERM");
    let message = text(&output.stderr);
    assert!(!output.status.success(), "{message}");
    assert_eq!(message.matches("error: stopped by SIGTERM after step").count(), 1, "{message}");
    let step = sconce_engine::Checkpoint::open(&out).unwrap().state().step;
    assert!(message.contains(&format!("after step {step}; resume with --resume")), "{message}");
}

/// Folders `train` and `test` with two classes of 16 images each.
fn image_folder(root: &Path) -> String {
    let dataset = sconce_data::fashion_mnist_subset(sconce_data::Split::Train).unwrap();
    let split = |split: &str| root.join(split).display().to_string();
    for class in [0u32, 1] {
        let members = (0..dataset.len()).filter(|&i| dataset.label(i) == class).take(16);
        for (n, index) in members.enumerate() {
            for split in ["train", "test"] {
                let folder = root.join(split).join(format!("class-{class}"));
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join(format!("{n:02}.png")), dataset.image(index).unwrap().encode_png().unwrap())
                    .unwrap();
            }
        }
    }
    format!("data.images={{kind=\"image-folder\",train=\"{}\",test=\"{}\"}}", split("train"), split("test"))
}

#[test]
fn an_error_of_one_rank_ends_both_with_that_error() {
    let folder = tempfile::tempdir().unwrap();
    let images = image_folder(folder.path());
    let victim = folder.path().join("train/class-1/05.png");
    let bytes = fs::read(&victim).unwrap();
    fs::write(&victim, &bytes[..bytes.len() / 2]).unwrap();
    let settings = [
        "--set",
        &images,
        "--set",
        "scn.model.n_classes=2",
        "--set",
        "data.validation=0",
        "--set",
        "data.batch_size=32",
    ];
    let out = folder.path().join("run");
    fails_with(&mut train(2, &out, &settings), &["05.png", "error: rank"]);
}

#[test]
fn an_error_of_all_ranks_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "").unwrap();
    fails_with(&mut train(2, folder.path(), &[]), &["is not empty", "error: "]);
    let wrong = ["--set", "trainer.lr=-1"];
    fails_with(&mut train(2, &folder.path().join("run"), &wrong), &["`lr` is -1", "error: "]);
    assert!(!folder.path().join("run").exists());
}
