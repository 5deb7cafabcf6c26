//! What crosses the crates.

mod parity;
