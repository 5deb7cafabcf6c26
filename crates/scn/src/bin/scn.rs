//! The command line of Self-Cure Network.

use std::process::ExitCode;

fn main() -> ExitCode {
    sconce_engine::cli::main::<sconce_scn::Recipe>()
}
