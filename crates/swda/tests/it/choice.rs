//! Which checkpoint is kept as the best one.

use std::convert::Infallible;

use sconce_core::{Batches, Device, Position, communicator::alone};
use sconce_engine::{Checkpoint, Decay, OptimizerConfig, Run, RunOptions, ScheduleConfig, TrainerConfig, Unit, Warmup};
use sconce_swda::{Batch, GroupsConfig, SwdaConfig, Trainee, Training, train};

use crate::{images, objects};

/// The same batch again and again.
struct Same;

impl Batches for Same {
    type Batch = Batch;
    type Error = Infallible;

    fn batches_per_epoch(&self) -> usize {
        1
    }

    fn seek(&mut self, _: Position) -> Result<(), Infallible> {
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Batch, Infallible> {
        Ok(Batch { source: images(1, 1), objects: objects(1), target: None })
    }
}

#[test]
fn the_best_checkpoint_is_chosen_on_the_source_and_not_on_the_test_images() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let trainer = TrainerConfig {
        lr: 1e-3,
        epochs: 4,
        accumulate: 1,
        clip_norm: None,
        ema: None,
        log_every: 0,
        checkpoint_every: 0,
        optimizer: OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 },
        schedule: ScheduleConfig { decay: Decay::Constant, unit: Unit::Epoch, warmup: Warmup::None },
    };
    let options = RunOptions::new(out.clone(), "swda", "");
    let config = SwdaConfig::source_only(crate::swda().detector);
    let groups = GroupsConfig::PLAIN;
    let training = Training { config: &config, trainer: &trainer, groups: &groups, evaluate_every: 1, state: &[] };
    let trainee = Trainee::new(&config, 0, &Device::Cpu, alone()).unwrap();
    let mut run = Run::open(options).unwrap();
    let trained = train(&training, trainee, &mut Same, &mut run, |_, steps| {
        // The second epoch is the best on what was held out, the third on the target, the last on the source's test images.
        let ap = |best| if steps == best { 0.9 } else { 0.1 };
        let splits = [("test", 3), ("source", 4), ("validation", 2)];
        Ok(splits.map(|(split, best)| (split, [("ap50".to_owned(), ap(best))].into())).into())
    });
    assert_eq!(trained.unwrap().steps, 4);
    let step = |name: &str| Checkpoint::open(&out.join("checkpoints").join(name)).unwrap().state().step;
    assert_eq!((step("best"), step("last")), (2, 4));
}
