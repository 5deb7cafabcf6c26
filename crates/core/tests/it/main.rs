//! The operations and layers of sconce-core, seen from outside.

mod convolutions;
mod determinism;
mod geometry;
mod gradients;
mod layers;
mod losses;
mod masks;
mod normalisation;
mod operations;
mod params;
mod passes;
mod precision;
mod ranks;
mod regions;
mod sampling;

use sconce_core::{DType, Device, Rng, Tensor};

/// Normal draws in f64, the same for the same shape and seed.
fn normal(seed: u64, shape: &[usize]) -> Tensor {
    Rng::new(seed, "test").normal_tensor((0.0, 1.0), shape, DType::F64, &Device::Cpu).unwrap()
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_close(ours: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(ours.dims(), expected.dims());
    for (i, (a, b)) in flat(ours).iter().zip(flat(expected)).enumerate() {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "element {i}: {a}, expected {b}");
    }
}
