//! The training loop against the same steps by hand.

use std::convert::Infallible;

use sconce_core::{Batches, DType, Device, Params, Position, Rng, Tensor, backward};
use sconce_engine::{
    Decay, Metrics, Optimizer, OptimizerConfig, ParamGroup, Run, RunOptions, ScheduleConfig, TrainerConfig, Unit,
    Warmup,
};
use sconce_moco::{Batch, Moco, Training, train};

use crate::{QUEUE, config, groups};

const BATCH: usize = 8;
const SAMPLES: usize = 24;
const LR: f64 = 0.1;
const SGD: OptimizerConfig = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-3 };

/// Views of noise, three batches an epoch.
#[derive(Default)]
struct Noise(Position);

fn batch(Position { epoch, batch }: Position) -> Batch {
    let rng = &mut Rng::keyed(0, "views", [epoch as u64, batch as u64]);
    let [query, key] =
        [(); 2].map(|()| rng.normal_tensor((0.0, 1.0), (BATCH, 1, 8, 8), DType::F32, &Device::Cpu).unwrap());
    Batch { query, key, indices: (batch * BATCH..(batch + 1) * BATCH).collect() }
}

impl Batches for Noise {
    type Batch = Batch;
    type Error = Infallible;

    fn batches_per_epoch(&self) -> usize {
        SAMPLES / BATCH
    }

    fn seek(&mut self, position: Position) -> Result<(), Infallible> {
        self.0 = position;
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Batch, Infallible> {
        let made = batch(self.0);
        self.0.batch += 1;
        if self.0.batch == self.batches_per_epoch() {
            self.0 = Position { epoch: self.0.epoch + 1, batch: 0 };
        }
        Ok(made)
    }
}

/// Momentum update, loss, backward pass, optimiser, and the keys into the queue last: all bits are those of the loop.
#[test]
fn the_loop_does_what_its_steps_do_in_their_order() {
    let (moco_config, epochs) = (config(QUEUE, groups(2, true)), 2);
    let folder = tempfile::tempdir().unwrap();
    let mut run =
        Run::open(RunOptions { seed: Some(3), ..RunOptions::new(folder.path().join("run"), "moco", "") }).unwrap();
    let trainer = TrainerConfig {
        lr: LR,
        epochs,
        accumulate: 1,
        clip_norm: None,
        ema: None,
        // Its lines at steps 1, 2, 3 and 6 look at the queue, and change nothing.
        log_every: 3,
        checkpoint_every: 0,
        optimizer: SGD,
        schedule: ScheduleConfig { decay: Decay::Constant, unit: Unit::Epoch, warmup: Warmup::None },
    };
    let training = Training {
        config: &moco_config,
        trainer: &trainer,
        n_samples: SAMPLES,
        evaluate_every: 0,
        initial_weights: None,
    };
    let trained = train(&training, &mut Noise::default(), &mut run, |_| Ok(Metrics::new())).unwrap();

    let params = Params::new(3, DType::F32, &Device::Cpu);
    let moco = Moco::new(&params, &moco_config, SAMPLES).unwrap();
    let mut sgd = Optimizer::new(&SGD, vec![ParamGroup::new("q", moco.trainable())]).unwrap();
    for i in 0..epochs * SAMPLES / BATCH {
        let Batch { query, key, indices } = batch(Position { epoch: i / 3, batch: i % 3 });
        let step = moco.step([&query, &key], &indices, i).unwrap();
        sgd.step(&backward(step.loss.total()).unwrap(), LR).unwrap();
        moco.remember(&step).unwrap();
    }
    let values =
        |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let (found, expected) = (trained.params.tensors(), params.tensors());
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, tensor) in &expected {
        assert_eq!(values(&found[name]), values(tensor), "{name}");
    }
    let log = std::fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 6]);
    // What is measured where a line is written is in every line.
    for line in lines {
        assert!(line.to_string().contains("effective_rank") && line.to_string().contains("accuracy"), "{line}");
    }
}
