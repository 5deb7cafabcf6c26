//! The command line of a method's binary.

mod args;
mod commands;
mod device;

use std::{
    ffi::OsString,
    io,
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

fn run<R: Recipe>(line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = Arguments::command().name(R::METHOD).about(R::ABOUT);
    let arguments = match command.try_get_matches_from(line).and_then(|matches| Arguments::from_arg_matches(&matches)) {
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
