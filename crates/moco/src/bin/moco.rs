//! The command line of Momentum Contrast.

use std::process::ExitCode;

fn main() -> ExitCode {
    sconce_engine::cli::main::<sconce_moco::Recipe>()
}
