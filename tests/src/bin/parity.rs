//! Runs the reference cases of a folder: `parity [DIR]`.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

/// Compares Sconce's operations with reference cases that PyTorch computed.
#[derive(Parser)]
struct Cli {
    /// A folder of `*.safetensors` cases.
    #[arg(default_value = "tests/golden")]
    dir: PathBuf,
}

fn main() -> ExitCode {
    let outcomes = match sconce_tests::parity::run(&Cli::parse().dir) {
        Ok(outcomes) => outcomes,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let (passed, failed): (Vec<_>, Vec<_>) = outcomes.iter().partition(|outcome| outcome.passed());
    failed.iter().for_each(|outcome| println!("{outcome}"));
    println!("{} passed, {} failed", passed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
