//! Layers of a model that several ranks train together.

use std::sync::Arc;

use sconce_core::{
    Communicator, DType, Device, Error, Params, Tensor, Var, backward,
    communicator::{alone, local},
    nn::{BatchNorm2d, BatchNormKind, Mode},
    ops::{self, Activation, BatchNormParams, RunningStats, Statistics},
};

use crate::{assert_close, flat, normal};

/// What `f` gives on each of `n` ranks.
fn on_each<R: Send>(n: usize, f: impl Fn(Arc<dyn Communicator>) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = local(n).into_iter().map(|rank| scope.spawn(|| f(rank))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// The samples n ≡ rank (mod size) of a batch.
fn share(batch: &Tensor, rank: usize, size: usize) -> Tensor {
    let own: Vec<u32> = (rank..batch.dims()[0]).step_by(size).map(|n| n as u32).collect();
    batch.index_select(&Tensor::new(own, &Device::Cpu).unwrap(), 0).unwrap()
}

/// The output and the gradients of a batch `x` whose output has the gradient `g`, and the running statistics after it:
/// those by sample first, then of the residual, weight, bias.
fn run([x, residual, g]: [&Tensor; 3], activation: usize, statistics: Statistics) -> [Tensor; 7] {
    let [x, residual, weight, bias] =
        [x.clone(), residual.clone(), normal(3, &[4]), normal(4, &[4])].map(|t| Var::from_tensor(&t).unwrap());
    let (mean, var) = (normal(5, &[4]), normal(6, &[4]));
    let running = RunningStats { mean: &mean, var: &var, momentum: 0.1 };
    let activation = [Activation::None, Activation::Relu, Activation::AddRelu(&residual)][activation];
    let params = BatchNormParams { statistics, ..BatchNormParams::default() };
    let y = ops::batch_norm_train(&x, &weight, &bias, &running, &params, activation).unwrap();
    let grads = backward(&(&y * g).unwrap().sum_all().unwrap()).unwrap();
    let of = |v: &Var| grads.get(v).cloned().unwrap_or_else(|| v.zeros_like().unwrap());
    [y.detach(), of(&x), of(&residual), of(&weight), of(&bias), mean, var]
}

#[test]
fn batch_norm_over_ranks_is_that_of_the_whole_batch() {
    // The shares of the second are not equal, and the last rank of the third has a single value a channel.
    for (shape, size) in [(&[6, 4, 3, 5][..], 3), (&[5, 4, 2, 40], 2), (&[5, 4], 4)] {
        for activation in 0..3 {
            let batch = [normal(1, shape), normal(2, shape), normal(7, shape)];
            let expected = run(batch.each_ref(), activation, Statistics::Batch);
            let found = on_each(size, |rank| {
                let own = batch.each_ref().map(|t| share(t, rank.rank(), size));
                run(own.each_ref(), activation, Statistics::Ranks(rank))
            });
            let first = &found[0];
            for (rank, found) in found.iter().enumerate() {
                for i in 0..3 {
                    assert_close(&found[i], &share(&expected[i], rank, size), 1e-12);
                }
                for i in [5, 6] {
                    assert_close(&found[i], &expected[i], 1e-13);
                    assert_eq!(flat(&found[i]), flat(&first[i]), "ranks have the same bits");
                }
            }
            // Weight and bias have the gradients of each rank's own samples.
            for i in [3, 4] {
                let sum = found.iter().fold(expected[i].zeros_like().unwrap(), |sum, f| (sum + &f[i]).unwrap());
                assert_close(&sum, &expected[i], 1e-12);
            }
        }
    }
}

#[test]
fn alone_it_has_the_bits_of_plain_batch_norm() {
    let batch = [normal(1, &[5, 4, 3, 5]), normal(2, &[5, 4, 3, 5]), normal(7, &[5, 4, 3, 5])];
    let [plain, by_itself] = [Statistics::Batch, Statistics::Ranks(alone())].map(|s| run(batch.each_ref(), 2, s));
    let one = on_each(1, |rank| run(batch.each_ref(), 2, Statistics::Ranks(rank)));
    for (i, plain) in plain.iter().enumerate() {
        assert_eq!(flat(plain), flat(&by_itself[i]));
        assert_eq!(flat(plain), flat(&one[0][i]));
    }
}

#[test]
fn a_layer_asks_the_ranks_of_its_parameters() {
    let x = normal(1, &[6, 4, 2, 2]);
    let run = |x: &Tensor, rank: Arc<dyn Communicator>, kind| {
        let params = Params::new(0, DType::F64, &Device::Cpu).with_communicator(rank);
        let layer = BatchNorm2d::new(&params.scope().pp("bn"), 4).unwrap().kind(kind);
        let names: Vec<String> = params.statistics().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["bn.running_mean", "bn.running_var"]);
        (layer.forward(x, Mode::Train).unwrap().detach(), params.tensors()["bn.running_var"].clone())
    };
    let (expected, running) = run(&x, alone(), BatchNormKind::Learning);
    for (rank, (y, var)) in
        on_each(2, |rank| run(&share(&x, rank.rank(), 2), rank, BatchNormKind::Sync)).iter().enumerate()
    {
        assert_close(y, &share(&expected, rank, 2), 1e-13);
        assert_close(var, &running, 1e-13);
    }
    // Without a word between them they are the parts of a batch that is split.
    let (expected, running) = run(&x, alone(), BatchNormKind::Split { splits: 2 });
    let found = on_each(2, |rank| run(&share(&x, rank.rank(), 2), rank, BatchNormKind::Learning));
    for (rank, (y, _)) in found.iter().enumerate() {
        assert_eq!(flat(y), flat(&share(&expected, rank, 2)));
    }
    assert_close(&((&found[0].1 + &found[1].1).unwrap() / 2.0).unwrap(), &running, 1e-13);
}

#[test]
fn ranks_whose_layers_differ_are_told_so() {
    let errors = on_each(2, |rank| {
        let channels = 2 + rank.rank();
        let t = || Tensor::ones(channels, DType::F32, &Device::Cpu).unwrap();
        let running = RunningStats { mean: &t(), var: &t(), momentum: 0.1 };
        let params = BatchNormParams { statistics: Statistics::Ranks(rank), ..BatchNormParams::default() };
        let x = Tensor::zeros((3, channels), DType::F32, &Device::Cpu).unwrap();
        ops::batch_norm_train(&x, &t(), &t(), &running, &params, Activation::None).unwrap_err()
    });
    for (rank, error) in errors.iter().enumerate() {
        assert!(matches!(error, Error::Rank { rank: other, size: 2, .. } if *other == 1 - rank), "{error}");
    }
}
