//! What a step does, and what it refuses.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
};

use sconce_core::{DType, Device, Init, Params, Position, Rng, Tensor, read_tensors};
use sconce_engine::{EngineError, Loss, Result, Run, RunOptions, Start, Trainer, TrainerConfig};

use crate::regression::{Batch, Losses, Points, Stop, config, loss, options, params, plain, train};

/// Calls `f` with a trainer in a new folder.
fn with_trainer<R>(
    config: &TrainerConfig,
    max_steps: Option<usize>,
    f: impl FnOnce(&Params, &mut Trainer<'_>) -> R,
) -> R {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::open(RunOptions { max_steps, ..options(dir.path(), Start::Fresh) }).unwrap();
    let params = params();
    f(&params, &mut Trainer::new(&params, config, &mut run).unwrap())
}

fn weights(params: &Params) -> Vec<f32> {
    params.trainable().iter().flat_map(|(_, v)| v.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
}

#[test]
fn epochs_and_steps_are_counted() {
    let mut seen = Vec::new();
    with_trainer(&plain(2, 2), None, |params, trainer| -> Result<()> {
        let mut batches = Points::new(3);
        while let Some(batch) = trainer.next(&mut batches)? {
            let before = trainer.epoch();
            trainer.step(&loss(params, &batch, 0.0)?, &batch)?;
            seen.push((before, trainer.epoch(), trainer.steps(), trainer.finished_epoch()));
        }
        assert_eq!(trainer.finished_epoch(), None);
        Ok(())
    })
    .unwrap();
    // Two batches are an update, and the third of an epoch is one of its own.
    let first = [(1, 1, 0, None), (1, 1, 1, None), (1, 1, 2, Some(1))];
    let second = [(2, 2, 2, None), (2, 2, 3, None), (2, 2, 4, Some(2))];
    assert_eq!(seen, [first, second].concat());
}

#[test]
fn max_steps_counts_updates() {
    let mut n_batches = 0;
    with_trainer(&plain(5, 2), Some(3), |params, trainer| {
        let mut batches = Points::new(4);
        while let Some(batch) = trainer.next(&mut batches).unwrap() {
            trainer.step(&loss(params, &batch, 0.0).unwrap(), &batch).unwrap();
            n_batches += 1;
        }
        assert_eq!(trainer.steps(), 3);
    });
    assert_eq!(n_batches, 6);
}

/// Two batches of four, or one of eight.
#[test]
fn accumulating_equals_a_larger_batch() {
    let accumulated = with_trainer(&plain(1, 2), Some(1), |params, trainer| {
        let mut batches = Points::new(4);
        while let Some(batch) = trainer.next(&mut batches).unwrap() {
            trainer.step(&loss(params, &batch, 0.0).unwrap(), &batch).unwrap();
        }
        weights(params)
    });
    let at_once = with_trainer(&plain(1, 1), Some(1), |params, trainer| {
        let mut batches = Points::new(4);
        let a = trainer.next(&mut batches).unwrap().unwrap();
        let b = sconce_core::Batches::next_batch(&mut batches).unwrap();
        let cat = |name: &str| (name.to_owned(), Tensor::cat(&[&a[name], &b[name]], 0).unwrap());
        let both = Batch::from([cat("x"), cat("y")]);
        trainer.step(&loss(params, &both, 0.0).unwrap(), &both).unwrap();
        weights(params)
    });
    for (a, b) in accumulated.iter().zip(&at_once) {
        assert!((a - b).abs() < 1e-6, "{accumulated:?} is not {at_once:?}");
    }
}

#[test]
fn clipping_bounds_the_update() {
    let moved = |clip_norm| {
        with_trainer(&TrainerConfig { clip_norm, ..plain(1, 1) }, Some(1), |params, trainer| {
            let before = weights(params);
            let batch = trainer.next(&mut Points::new(4)).unwrap().unwrap();
            trainer.step(&loss(params, &batch, 0.0).unwrap(), &batch).unwrap();
            let square: f32 = before.iter().zip(weights(params)).map(|(a, b)| (a - b).powi(2)).sum();
            f64::from(square.sqrt())
        })
    };
    let free = moved(None);
    assert!(free > 0.05 * 0.5, "the gradient is longer than 0.5");
    assert!((moved(Some(0.5)) - 0.05 * 0.5).abs() < 1e-6);
    assert_eq!(moved(Some(1e6)), free);
}

#[test]
fn the_average_follows_the_parameters() {
    with_trainer(&TrainerConfig { ema: Some(0.75), ..plain(1, 1) }, Some(1), |params, trainer| {
        let before = weights(params);
        let batch = trainer.next(&mut Points::new(4)).unwrap().unwrap();
        trainer.step(&loss(params, &batch, 0.0).unwrap(), &batch).unwrap();
        let average = weights(trainer.ema().unwrap());
        for ((a, b), c) in before.iter().zip(weights(params)).zip(average) {
            assert!((0.75 * a + 0.25 * b - c).abs() < 1e-6);
        }
    });
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_saves_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::open(options(dir.path(), Start::Fresh)).unwrap();
    let params = params();
    let mut trainer = Trainer::new(&params, &plain(1, 1), &mut run).unwrap();
    let mut batches = Points { poisoned: Some(Position { epoch: 0, batch: 2 }), ..Points::new(4) };
    let mut before = Vec::new();
    let error = loop {
        let batch = trainer.next(&mut batches).unwrap().unwrap();
        before.push(weights(&params));
        if let Err(error) = trainer.step(&loss(&params, &batch, 0.0).unwrap(), &batch) {
            break error;
        }
    };
    let EngineError::NonFinite { term, value, step, dump } = &error else { panic!("{error}") };
    assert_eq!((term.as_str(), value.is_nan(), *step), ("loss", true, 3));
    let dump = dump.as_ref().unwrap();
    assert_eq!(*dump, dir.path().join("non-finite-step-3.safetensors"));
    assert!(read_tensors(dump).unwrap()["x"].to_vec2::<f32>().unwrap()[1][1].is_nan());
    assert!(error.to_string().contains("step 3: loss is NaN; its batch is saved as"), "{error}");
    assert_eq!(before[2], weights(&params), "the parameters are as they were");
}

#[test]
fn the_term_that_is_not_finite_is_named() {
    with_trainer(&plain(1, 1), None, |params, trainer| {
        let batch = trainer.next(&mut Points::new(4)).unwrap().unwrap();
        let infinite = Tensor::new(f32::INFINITY, &Device::Cpu).unwrap();
        let error = trainer.step(&loss(params, &batch, 0.0).unwrap().term("rank", &infinite), &()).unwrap_err();
        assert_eq!(error.to_string(), "step 1: rank is inf");
    });
}

/// √x has a finite value at 0, and no finite slope.
#[test]
fn a_gradient_that_is_not_finite_is_caught_whether_it_is_clipped_or_not() {
    for config in [config(), plain(1, 1), plain(1, 2)] {
        with_trainer(&config, None, |params, trainer| {
            let mut batches = Points::new(2);
            let (before, mut seen) = (weights(params), None);
            // An update may take two batches; the gradient of the first one is in it.
            for _ in 0..config.accumulate {
                let batch = trainer.next(&mut batches).unwrap().unwrap();
                let bias = params.trainable().into_iter().find(|(name, _)| name == "bias").unwrap().1;
                let loss = Loss::new(bias.sqrt().unwrap().sum_all().unwrap());
                seen = trainer.step(&loss, &batch).err();
            }
            let error = seen.unwrap().to_string();
            assert!(error.starts_with("step 1: gradient of `bias` is inf; its batch is saved as"), "{error}");
            assert_eq!(before, weights(params), "the parameters are as they were");
        });
    }
}

/// A rate so large that the first update leaves the range of f32.
#[test]
fn parameters_that_overflow_do_not_reach_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::open(options(dir.path(), Start::Fresh)).unwrap();
    let params = params();
    let config = TrainerConfig { lr: 1e38, checkpoint_every: 1, ..plain(1, 1) };
    let mut trainer = Trainer::new(&params, &config, &mut run).unwrap();
    let mut batches = Points::new(4);
    let batch = trainer.next(&mut batches).unwrap().unwrap();
    let sum = params.trainable().into_iter().map(|(_, var)| var.sum_all().unwrap()).reduce(|a, b| (a + b).unwrap());
    trainer.step(&Loss::new((sum.unwrap() * 1e4).unwrap()), &batch).unwrap();
    let error = trainer.next(&mut batches).err().unwrap();
    assert!(matches!(&error, EngineError::NonFinite { term, step: 1, .. } if term == "`bias`"), "{error}");
    assert!(!dir.path().join("checkpoints").exists());
}

#[test]
fn a_loss_that_is_no_scalar_is_refused() {
    with_trainer(&plain(1, 1), None, |_, trainer| {
        let batch = trainer.next(&mut Points::new(4)).unwrap().unwrap();
        let error = trainer.step(&Loss::new(batch["y"].clone()), &batch).unwrap_err().to_string();
        assert_eq!(error, "shape of `loss`: found [4, 1], expected ()");
    });
}

#[test]
fn each_batch_has_one_step() {
    with_trainer(&plain(1, 1), None, |params, trainer| {
        let mut batches = Points::new(4);
        let batch = trainer.next(&mut batches).unwrap().unwrap();
        assert!(trainer.next(&mut batches).unwrap_err().to_string().contains("no step"));
        trainer.step(&loss(params, &batch, 0.0).unwrap(), &batch).unwrap();
        assert!(
            trainer.step(&loss(params, &batch, 0.0).unwrap(), &batch).unwrap_err().to_string().contains("no batch")
        );
    });
}

#[test]
fn best_is_the_greatest_value() {
    with_trainer(&plain(1, 1), None, |_, trainer| {
        let kept: Vec<bool> = [0.1, 0.3, 0.3, f64::NAN, 0.2, 0.4].into_iter().map(|v| trainer.keep_best(v)).collect();
        assert_eq!(kept, [true, true, false, false, false, true]);
    });
}

#[test]
fn a_checkpoint_of_another_architecture_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
    let mut run = Run::open(options(dir.path(), Start::Resume)).unwrap();
    let wider = Params::new(1, DType::F32, &Device::Cpu);
    wider.scope().param("weight", (3, 1), Init::Constant(0.0)).unwrap();
    let error = Trainer::new(&wider, &config(), &mut run).err().unwrap().to_string();
    assert!(error.contains("last/model.safetensors does not fit the model"), "{error}");
    assert!(error.contains("`weight` has shape [2, 1], expected [3, 1]"), "{error}");
}

#[test]
fn a_truncated_checkpoint_names_the_file() {
    for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        let dir = tempfile::tempdir().unwrap();
        train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
        let path = dir.path().join("checkpoints/last").join(file);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let error = train(dir.path(), Start::Resume, Stop::Never).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn a_state_that_nobody_takes_back_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
    let mut run = Run::open(options(dir.path(), Start::Resume)).unwrap();
    let params = params();
    let mut trainer = Trainer::new(&params, &config(), &mut run).unwrap();
    trainer.track("losses", Arc::new(Losses::default())).unwrap();
    let error = trainer.next(&mut Points::new(7)).unwrap_err().to_string();
    assert!(error.starts_with("state `noise` of "), "{error}");
}

#[test]
fn other_data_than_the_checkpoint_saw_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), Start::Fresh, Stop::MaxSteps(5)).unwrap();
    let mut run = Run::open(options(dir.path(), Start::Resume)).unwrap();
    let params = params();
    let mut trainer = Trainer::new(&params, &config(), &mut run).unwrap();
    trainer.track("losses", Arc::new(Losses::default())).unwrap();
    trainer.track("noise", Arc::new(Mutex::new(Rng::new(1, "noise")))).unwrap();
    let error = trainer.next(&mut Points::new(8)).unwrap_err().to_string();
    assert!(error.contains("found 8, expected 7"), "{error}");
}

/// The graph of a loss may be far deeper than a caller's stack; here the caller has 2 MiB.
#[test]
fn a_deep_graph_fits_whatever_the_callers_stack() {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
        with_trainer(&plain(1, 1), None, |params, trainer| {
            let batch = trainer.next(&mut Points::new(1)).unwrap().unwrap();
            let mut total = params.trainable()[0].1.sum_all().unwrap();
            for _ in 0..20_000 {
                total = (total * 1.0).unwrap();
            }
            let loss = Loss::new(total);
            trainer.step(&loss, &batch).unwrap();
            // What is dropped here is the caller's; the trainer's own part is done.
            std::mem::forget(loss);
        });
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn groups_decide_what_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::open(options(dir.path(), Start::Fresh)).unwrap();
    let params = params();
    let head = params.trainable().into_iter().filter(|(name, _)| name == "bias").collect();
    let groups = vec![sconce_engine::ParamGroup::new("head", head)];
    let before: BTreeMap<_, _> = params.tensors().into_iter().map(|(n, t)| (n, t.copy().unwrap())).collect();
    let mut trainer = Trainer::with_groups(&params, groups, &plain(1, 1), &mut run).unwrap();
    let batch = trainer.next(&mut Points::new(1)).unwrap().unwrap();
    trainer.step(&loss(&params, &batch, 0.0).unwrap(), &batch).unwrap();
    let changed = |name: &str| {
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values(&before[name]) != values(&params.tensors()[name])
    };
    assert!(changed("bias") && !changed("weight"));
}
