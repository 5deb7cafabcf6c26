//! The command line of Strong-Weak Distribution Alignment.

use std::process::ExitCode;

fn main() -> ExitCode {
    sconce_engine::cli::main::<sconce_swda::Recipe>()
}
