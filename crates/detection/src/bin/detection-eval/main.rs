//! The command line of the evaluation: COCO's and Pascal VOC's numbers of files with detections.
//!
//! Numbers go to stdout, remarks and errors to stderr. The exit code is 0, 1 after an error, and 2 for a wrong command line.

mod coco;
mod voc;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use sconce_detection::evaluation::coco::Skipped;
use sconce_engine::cli::{VERSION, print_completions, print_manual};

/// How good detections are.
#[derive(Parser)]
#[command(name = "detection-eval", version = VERSION)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// COCO's twelve numbers, as pycocotools has them.
    Coco(coco::Arguments),
    /// Pascal VOC's average precision of every class, and their mean.
    Voc(voc::Arguments),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page.
    Man,
}

fn main() -> ExitCode {
    let print = |text: String| Ok(io::stdout().write_all(text.as_bytes())?);
    let done = match Arguments::parse().command {
        Command::Coco(arguments) => coco::run(&arguments).and_then(print),
        Command::Voc(arguments) => voc::run(&arguments).and_then(print),
        Command::Completions { shell } => print_completions(Arguments::command(), shell).map_err(Into::into),
        Command::Man => print_manual(Arguments::command()).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the reader of our output went away, which is no failure of ours.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Says how many records were left out, if any were, and why the first was.
fn note_skipped(path: &std::path::Path, skipped: &Skipped, what: &str) {
    if let Some(first) = &skipped.first {
        eprintln!("note: {}: {} {what} are skipped; the first: {first}", path.display(), skipped.n);
    }
}
