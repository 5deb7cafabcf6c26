//! The trainer and the run folder, on a regression that takes milliseconds.
#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod folder;
mod left_behind;
mod ranks;
mod regression;
mod resume;
mod trainer;
