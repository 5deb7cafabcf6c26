//! The command line of a method's binary.

mod args;
mod commands;
mod configuration;
mod device;
mod explain;
mod output;
mod table;
mod train;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use clap::{CommandFactory as _, FromArgMatches as _};

use self::args::Arguments;
use crate::{
    Recipe,
    dist::{Session, speaks_for_all},
    signals,
};

pub use self::device::DeviceSpec;

#[global_allocator]
static ALLOCATOR: sconce_core::allocator::Allocator = sconce_core::allocator::Allocator;

/// The `main` of a method's binary.
///
/// Errors go to stderr with the chain of their causes; of processes that `mpirun` started together one speaks for those who
/// have the same, and one that fails alone ends them all. The exit code is 0, 1 after an error, 2 for a wrong command line, and
/// 128 plus the signal's number after an interruption.
pub fn main<R: Recipe>() -> ExitCode {
    sconce_core::keep_candle_on_its_thread();
    run::<R>(std::env::args_os())
}

/// The command line of a method.
fn command_line<R: Recipe>() -> clap::Command {
    Arguments::command().name(R::METHOD).bin_name(R::METHOD).about(R::ABOUT).version(VERSION)
}

/// What `--version` says of a program of this workspace: the version, and the commit that it is built from, if that is known.
pub const VERSION: &str = if env!("SCONCE_COMMIT").is_empty() {
    env!("CARGO_PKG_VERSION")
} else {
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("SCONCE_COMMIT"), ")")
};

/// Prints the completion script of `command` for a shell.
///
/// # Errors
/// If nothing can be printed.
pub fn print_completions(mut command: clap::Command, shell: clap_complete::Shell) -> io::Result<()> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    io::stdout().write_all(&script)
}

/// Prints the manual page of `command`, followed by those of its own commands.
///
/// # Errors
/// If nothing can be printed.
pub fn print_manual(mut command: clap::Command) -> io::Result<()> {
    command.build();
    let commands = command.get_subcommands().filter(|command| command.get_name() != "help").cloned();
    let mut page = Vec::new();
    for command in std::iter::once(command.clone()).chain(commands) {
        clap_mangen::Man::new(command).render(&mut page)?;
    }
    io::stdout().write_all(&page)
}

fn run<R: Recipe>(line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match command_line::<R>()
        .try_get_matches_from(line)
        .and_then(|matches| Arguments::from_arg_matches(&matches))
    {
        Ok(arguments) => arguments,
        Err(e) => {
            // Help and version come this way too, and nobody may be reading.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    let session = match Session::start() {
        Ok(session) => session,
        Err(e) => {
            if speaks_for_all() {
                eprintln!("error: {e}");
            }
            return ExitCode::FAILURE;
        }
    };
    let command = || {
        signals::install().map_err(anyhow::Error::from).and_then(|()| commands::run::<R>(arguments.command, &session))
    };
    let done = if session.ranks().is_alone() { command() } else { without_panic(command) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            session.fail(&chain(&e));
            let signal = signals::Interrupt::process().requested();
            ExitCode::from(signal.and_then(|s| u8::try_from(128 + s).ok()).unwrap_or(1))
        }
    }
}

/// A panic as an error: where others wait for this process, it must say that it is lost.
fn without_panic(f: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(anyhow::anyhow!("panicked: {}", text.as_deref().unwrap_or("without a message")))
    })
}

/// The error and its causes, without repeating a cause that the error before it already quotes.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Whether the reader of our output went away (`config | head`), which is no failure of ours.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_error = |e: &(dyn std::error::Error + 'static)| e.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|cause| io_error(cause) == Some(io::ErrorKind::BrokenPipe))
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn causes_are_told_once() {
        let inner = io::Error::other("disk full");
        let outer = crate::EngineError::io("run/summary.json")(inner);
        let error = Err::<(), _>(outer).context("arm `scn`, seed 2").unwrap_err();
        assert_eq!(chain(&error), "arm `scn`, seed 2: run/summary.json: disk full");
        assert_eq!(chain(&anyhow!("alone")), "alone");
    }

    #[test]
    fn a_reader_that_went_away_is_recognised() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("printing");
        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&anyhow::Error::from(io::Error::other("disk full"))));
    }
}
