//! What crosses the crates of Sconce: parity with PyTorch, and the workloads that are timed.

#[cfg(feature = "cli")]
pub mod bench;
pub mod parity;
