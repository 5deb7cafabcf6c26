//! Layers: names, modes, detached twins.

use sconce_core::{
    DType, Device, Error, Params, Rng, Tensor, backward,
    nn::{
        BatchNorm2d, BatchNormKind, Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig, DeformConv2d,
        DeformConv2dConfig, Dropout, GroupNorm, Linear, Mode,
    },
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
fn names_and_shapes_of_decoder_layers_are_pytorchs() {
    let params = store();
    let scope = params.scope();
    let up = ConvTranspose2dConfig::square(4).stride(2).padding(1);
    let up = ConvTranspose2d::new(&scope.pp("up"), (3, 8), &up).unwrap();
    let grouped = ConvTranspose2dConfig::square(2).without_bias();
    let grouped = ConvTranspose2dConfig {
        params: sconce_core::ops::ConvTranspose2dParams { groups: 2, ..grouped.params },
        ..grouped
    };
    ConvTranspose2d::new(&scope.pp("grouped"), (4, 6), &grouped).unwrap();
    let norm = GroupNorm::new(&scope.pp("gn"), 4, 8).unwrap();
    let config = DeformConv2dConfig { groups: 2, ..DeformConv2dConfig::same(3) };
    let deform = DeformConv2d::new(&scope.pp("deform"), (8, 6), &config).unwrap();
    let expected = [
        ("deform.bias", &[6][..]),
        ("deform.weight", &[6, 4, 3, 3]),
        ("gn.bias", &[8]),
        ("gn.weight", &[8]),
        ("grouped.weight", &[4, 3, 2, 2]),
        ("up.bias", &[8]),
        ("up.weight", &[3, 8, 4, 4]),
    ];
    let tensors = params.tensors();
    let found: Vec<_> = tensors.iter().map(|(n, t)| (n.as_str(), t.dims())).collect();
    assert_eq!(found, expected);
    // PyTorch's bounds: 1/√fan_in with the fan of the weight's second dimension.
    for (name, fan_in) in [("up.weight", 8 * 16), ("up.bias", 8 * 16), ("deform.weight", 4 * 9), ("deform.bias", 4 * 9)]
    {
        let bound = 1.0 / f64::from(fan_in).sqrt();
        let largest = flat(&tensors[name]).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        assert!(largest <= bound && largest > bound / 2.0, "{name}: {largest} of {bound}");
    }
    let x = up.forward(&input()).unwrap();
    assert_eq!(x.dims(), [4, 8, 10, 10]);
    let x = norm.forward(&x).unwrap();
    let (offset, mask) = (crate::normal(2, &[4, 36, 10, 10]), crate::normal(3, &[4, 18, 10, 10]));
    assert_eq!(deform.forward(&x, &offset, None).unwrap().dims(), [4, 6, 10, 10]);
    let y = deform.forward(&x, &offset, Some(&mask)).unwrap();
    let grads = backward(&y.sum_all().unwrap()).unwrap();
    let reached = params.trainable().iter().filter(|(_, v)| grads.get(v).is_some()).count();
    assert_eq!(reached, 6, "all but the layer that was not used");
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
fn the_kind_of_a_batch_norm_is_a_word_or_a_number_of_splits() {
    for (kind, text) in [
        (BatchNormKind::Learning, "\"learning\""),
        (BatchNormKind::Frozen, "\"frozen\""),
        (BatchNormKind::Sync, "\"sync\""),
        (BatchNormKind::Split { splits: 8 }, "{\"split\":{\"splits\":8}}"),
    ] {
        assert_eq!(serde_json::to_string(&kind).unwrap(), text);
        assert_eq!(serde_json::from_str::<BatchNormKind>(text).unwrap(), kind);
    }
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
