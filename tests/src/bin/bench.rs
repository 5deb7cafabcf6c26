//! One timed workload as a process of its own: `cargo xtask bench` starts it and asks for repetitions.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::Result;
use clap::Parser;
use sconce_tests::bench::{serve, workloads};

/// Runs a workload each time that a line `run` arrives.
#[derive(Parser)]
struct Cli {
    /// The workload [default: lists them].
    workload: Option<String>,
    /// A folder for the tensors that a peer starts from.
    #[arg(long, default_value = ".")]
    exchange: PathBuf,
    /// Threads [default: all cores].
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> Result<()> {
    // As the methods' binaries do.
    sconce_core::keep_candle_on_its_thread();
    let cli = Cli::parse();
    let Some(workload) = cli.workload else {
        workloads().try_for_each(|spec| writeln!(io::stdout(), "{}", spec.name))?;
        return Ok(());
    };
    sconce_engine::with_threads(cli.threads, || {
        serve(&workload, &cli.exchange, io::stdin().lock(), io::stdout().lock())
    })?
}
