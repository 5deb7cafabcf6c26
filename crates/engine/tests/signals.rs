//! A signal stops the runs of the process: alone in a process of its own, since a signal reaches every test in it.
#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use sconce_core::{Batches, DType, Device, Init, Params, Position};
use sconce_engine::{
    Checkpoint, EngineError, Loss, OptimizerConfig, Run, RunOptions, ScheduleConfig, Start, Trainer, TrainerConfig,
    signals,
};
use signal_hook::{consts::SIGTERM, low_level::raise};

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
    let mut run = Run::open(RunOptions {
        dir: dir.path().to_owned(),
        start: Start::Fresh,
        method: "test".to_owned(),
        config_toml: String::new(),
        seed: 0,
        max_steps: None,
        device: Device::Cpu,
        init_from: None,
        progress: false,
        communicator: sconce_engine::dist::alone(),
    })
    .unwrap();
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
