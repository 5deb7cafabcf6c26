//! The reference cases, and what `parity` makes of cases that are wrong.

use std::{fs, path::Path};

use sconce_tests::parity;

fn golden() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/golden"))
}

#[test]
fn every_reference_case_passes() {
    let outcomes = parity::run(golden()).unwrap();
    let failed: Vec<_> = outcomes.iter().filter(|o| !o.passed()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(outcomes.len() >= 120, "only {} cases are left", outcomes.len());
}

#[test]
fn a_changed_expectation_fails_and_names_operation_tensor_and_index() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(golden().join("relu-00.safetensors")).unwrap();
    // The last tensor by name is `out.y`, (4, 5): its last value is a ReLU of 0.
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&7f32.to_le_bytes());
    fs::write(dir.path().join("changed.safetensors"), bytes).unwrap();
    let outcomes = parity::run(dir.path()).unwrap();
    assert!(!outcomes[0].passed());
    let text = outcomes[0].to_string();
    for part in ["changed.safetensors", "relu", "out.y", "[3, 4]", "1 of 20", "ours 0e0", "expected 7e0"] {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

#[test]
fn a_file_that_is_no_case_fails_instead_of_being_skipped() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.safetensors"), b"no safetensors").unwrap();
    let outcomes = parity::run(dir.path()).unwrap();
    assert_eq!(outcomes.len(), 1);
    assert!(!outcomes[0].passed());
}

#[test]
fn a_folder_without_cases_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(parity::run(dir.path()).is_err());
}
