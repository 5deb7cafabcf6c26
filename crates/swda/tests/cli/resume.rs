//! A run in parts has the bytes of one that was not interrupted; threads change nothing, seeds do.

use crate::{assert_same_files, files, succeeds, train};

#[test]
fn a_run_in_halves_has_the_bytes_of_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        succeeds(&mut train(&out, more));
        out
    };
    // An epoch has ten steps; the second half begins in the middle of the second epoch.
    let whole = run("whole", &["--max-steps", "20"]);
    run("halves", &["--max-steps", "14"]);
    let halves = run("halves", &["--max-steps", "20", "--resume"]);
    assert_same_files(&whole, &halves);
}

#[test]
fn threads_change_no_byte_and_seeds_do() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        succeeds(train(&out, &["--max-steps", "6"]).args(more));
        out
    };
    let one = run("one", &["--threads", "1"]);
    assert_same_files(&one, &run("two", &["--threads", "2"]));
    assert_ne!(files(&one), files(&run("other", &["--threads", "1", "--seed", "1"])));
}
