//! Stopping a run between two steps: by SIGINT, SIGTERM, or the program that embeds it.

use std::sync::{
    Arc, LazyLock, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{EngineError, Result};

/// Asks the runs that share it to write a checkpoint and stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicUsize>);

static PROCESS: LazyLock<Interrupt> = LazyLock::new(Interrupt::default);

impl Interrupt {
    /// The one that every run has from the start, which [`install`] connects to the signals of the process.
    pub fn process() -> Self {
        PROCESS.clone()
    }

    /// Asks for a stop, as `signal` would.
    pub fn request(&self, signal: i32) {
        self.0.store(usize::try_from(signal).unwrap_or_default(), Ordering::SeqCst);
    }

    /// The signal that asked for a stop, if any did.
    pub fn requested(&self) -> Option<i32> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }
}

/// Makes SIGINT and SIGTERM ask every run of this process to stop. The second signal ends the process at once.
///
/// A program calls it once, at its start; further calls do nothing. A library that embeds training leaves it out.
///
/// # Errors
/// If the system refuses to register a handler.
pub fn install() -> Result<()> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *installed {
        return Ok(());
    }
    let armed = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Handlers run in the order of registration, so that the first signal finds `armed` still unset.
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, armed.clone())
            .and_then(|_| signal_hook::flag::register(signal, armed.clone()))
            .and_then(|_| signal_hook::flag::register_usize(signal, PROCESS.0.clone(), signal as usize))
            .map_err(EngineError::io(name(signal)))?;
    }
    *installed = true;
    Ok(())
}

/// The name of `signal`.
pub fn name(signal: i32) -> &'static str {
    match signal {
        SIGINT => "SIGINT",
        SIGTERM => "SIGTERM",
        _ => "a request",
    }
}
