//! Layers: names, modes, detached twins.

use sconce_core::{
    DType, Device, Error, Params, Rng, Tensor, backward,
    nn::{BatchNorm2d, BatchNormKind, Conv2d, Conv2dConfig, Dropout, Linear, Mode},
};

use crate::{assert_close, flat};

fn store() -> Params {
    Params::new(0, DType::F64, &Device::Cpu)
}

fn input() -> Tensor {
    crate::normal(1, &[4, 3, 5, 5])
}

#[test]
fn names_and_shapes_are_pytorchs() {
    let params = store();
    Conv2d::new(&params.scope().pp("conv"), (3, 8), &Conv2dConfig::same(3)).unwrap();
    BatchNorm2d::new(&params.scope().pp("bn"), 8).unwrap();
    Linear::new(&params.scope().pp("fc"), (8, 2)).unwrap();
    let expected = [
        ("bn.bias", &[8][..]),
        ("bn.num_batches_tracked", &[]),
        ("bn.running_mean", &[8]),
        ("bn.running_var", &[8]),
        ("bn.weight", &[8]),
        ("conv.bias", &[8]),
        ("conv.weight", &[8, 3, 3, 3]),
        ("fc.bias", &[2]),
        ("fc.weight", &[2, 8]),
    ];
    let tensors = params.tensors();
    let found: Vec<_> = tensors.iter().map(|(n, t)| (n.as_str(), t.dims())).collect();
    assert_eq!(found, expected);
    let trainable: Vec<_> = params.trainable().into_iter().map(|(n, _)| n).collect();
    assert_eq!(trainable, ["bn.bias", "bn.weight", "conv.bias", "conv.weight", "fc.bias", "fc.weight"]);
}

#[test]
fn a_detached_twin_follows_training_and_has_no_gradient() {
    let params = store();
    let model = BatchNorm2d::new(&params.scope(), 3).unwrap();
    let twin = BatchNorm2d::new(&params.detached(), 3).unwrap();
    let before = flat(&twin.forward(&input(), Mode::Eval).unwrap());
    model.forward(&input(), Mode::Train).unwrap();
    let after = twin.forward(&input(), Mode::Eval).unwrap();
    assert_ne!(flat(&after), before);
    assert_close(&after, &model.forward(&input(), Mode::Eval).unwrap(), 0.0);
    assert!(!after.track_op());
    assert_eq!(params.tensors()["num_batches_tracked"].to_scalar::<i64>().unwrap(), 1);
}

#[test]
fn a_frozen_batch_norm_keeps_everything() {
    let params = store();
    let frozen = BatchNorm2d::new(&params.scope(), 3).unwrap().kind(BatchNormKind::Frozen);
    let before: Vec<_> = params.tensors().values().map(flat).collect();
    let x = sconce_core::Var::from_tensor(&input()).unwrap();
    let y = frozen.forward(&x, Mode::Train).unwrap();
    let grads = backward(&y.sum_all().unwrap()).unwrap();
    assert!(grads.get(&x).is_some());
    assert!(params.trainable().iter().all(|(_, v)| grads.get(v).is_none()));
    assert_eq!(params.tensors().values().map(flat).collect::<Vec<_>>(), before);
}

#[test]
fn dropout_is_the_identity_in_evaluation() {
    let rng = &mut Rng::new(0, "mask");
    let x = input();
    assert_eq!(flat(&Dropout::new(0.5).forward(&x, Mode::Eval, rng).unwrap()), flat(&x));
    assert_ne!(flat(&Dropout::new(0.5).forward(&x, Mode::Train, rng).unwrap()), flat(&x));
    assert!(matches!(Dropout::new(-0.1).forward(&x, Mode::Train, rng), Err(Error::Argument { .. })));
}

#[test]
fn initial_values_depend_on_name_and_seed_alone() {
    let weights = |seed, order: [&str; 2]| {
        let params = Params::new(seed, DType::F32, &Device::Cpu);
        for name in order {
            Linear::new(&params.scope().pp(name), (4, 4)).unwrap();
        }
        params.tensors().values().flat_map(flat).collect::<Vec<_>>()
    };
    assert_eq!(weights(0, ["a", "b"]), weights(0, ["b", "a"]));
    assert_ne!(weights(0, ["a", "b"]), weights(1, ["a", "b"]));
}
