//! A signal stops the runs of the process, a second one the process: in processes of their own, since a signal reaches every
//! test in them.
#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::{
    env,
    io::{self, Write as _},
    process::{Command, ExitStatus},
};

use sconce_core::{Batches, DType, Device, Init, Params, Position};
use sconce_engine::{
    Checkpoint, EngineError, Loss, OptimizerConfig, Run, RunOptions, ScheduleConfig, Trainer, TrainerConfig, signals,
};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    low_level::raise,
};

struct Nothing;

impl Batches for Nothing {
    type Batch = ();
    type Error = std::convert::Infallible;

    fn batches_per_epoch(&self) -> usize {
        100
    }

    fn seek(&mut self, _: Position) -> Result<(), Self::Error> {
        Ok(())
    }

    fn next_batch(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

#[test]
fn a_signal_writes_a_checkpoint_and_stops_the_run() {
    signals::install().unwrap();
    signals::install().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::open(RunOptions::new(dir.path(), "test", "")).unwrap();
    let config = TrainerConfig {
        lr: 0.1,
        epochs: 1,
        accumulate: 1,
        clip_norm: None,
        ema: None,
        log_every: 0,
        checkpoint_every: 0,
        optimizer: OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 },
        schedule: ScheduleConfig::CONSTANT,
    };
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let x = params.scope().param("x", (), Init::Constant(1.0)).unwrap();
    let mut trainer = Trainer::new(&params, &config, &mut run).unwrap();
    let error = loop {
        match trainer.next(&mut Nothing) {
            Ok(Some(())) => trainer.step(&Loss::new(x.sqr().unwrap()), &()).unwrap(),
            Ok(None) => panic!("the run ended by itself"),
            Err(error) => break error,
        }
        if trainer.steps() == 7 {
            raise(SIGTERM).unwrap();
        }
    };
    assert!(matches!(error, EngineError::Interrupted { signal: SIGTERM, step: 7, .. }), "{error}");
    assert_eq!(Checkpoint::open(dir.path()).unwrap().state().step, 7);
}

/// Signals that the process started by [`after`] sends to itself, separated by blanks.
const SIGNALS: &str = "SCONCE_TEST_SIGNALS";

/// What [`after`] runs in a process of its own. By itself it does nothing.
#[test]
fn sends_signals_to_itself_when_asked() {
    let Ok(signals) = env::var(SIGNALS) else { return };
    signals::install().unwrap();
    for (i, signal) in signals.split_whitespace().enumerate() {
        raise(signal.parse().unwrap()).unwrap();
        // Not by `println!`, which a test harness may keep.
        writeln!(io::stdout(), "alive after {}", i + 1).unwrap();
        io::stdout().flush().unwrap();
    }
}

/// How a process ends that gets these signals, and how many of them it outlives.
fn after(signals: &[i32]) -> (ExitStatus, usize) {
    let signals = signals.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "sends_signals_to_itself_when_asked", "--nocapture"])
        .env(SIGNALS, signals)
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    (output.status, stdout.matches("alive after").count())
}

/// As when somebody presses Ctrl-C again because the first one takes too long.
#[test]
fn the_second_signal_ends_the_process_at_once() {
    for first in [SIGINT, SIGTERM] {
        let (status, n_outlived) = after(&[first]);
        assert_eq!((status.code(), n_outlived), (Some(0), 1), "one signal alone only asks for a stop");
        for second in [SIGINT, SIGTERM] {
            let (status, n_outlived) = after(&[first, second]);
            assert_eq!((status.code(), n_outlived), (Some(128 + second), 1), "{first}, then {second}");
        }
    }
}
