//! The crate from outside: what a loader promises, and what its sources do to it.

mod loader;
mod source;
