//! Weights from files.

mod adapted;
mod archives;
mod beside;
mod dtypes;
mod files;
mod fuzzed;
mod handmade;
mod kinds;
mod loaded;
mod prefixes;
mod refused;

use std::{collections::BTreeMap, path::PathBuf};

use sconce_core::Tensor;

/// A file that `make_fixtures.py` wrote.
fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.to_dtype(sconce_core::DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn names(tensors: &BTreeMap<String, Tensor>) -> Vec<&str> {
    tensors.keys().map(String::as_str).collect()
}
