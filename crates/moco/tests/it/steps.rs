//! A training step, piece by piece.

use std::collections::BTreeMap;

use sconce_core::{DType, Device, Params, Rng, Tensor, backward, nn::Mode};
use sconce_engine::{Optimizer, OptimizerConfig, ParamGroup};
use sconce_moco::{BatchNormGroups, Head, Mechanism, Moco, MocoConfig, Step, batch_loss};

use crate::{QUEUE, config, groups, symmetric};

const BATCH: usize = 8;
const SAMPLES: usize = 24;

const WHOLE: BatchNormGroups = BatchNormGroups::Groups { groups: 1, shuffle: false };

struct Case {
    params: Params,
    moco: Moco,
}

impl Case {
    fn new(config: &MocoConfig) -> Self {
        let params = Params::new(3, DType::F64, &Device::Cpu);
        let moco = Moco::new(&params, config, SAMPLES).unwrap();
        Self { params, moco }
    }

    fn step(&self, views: &[Tensor; 2], step: usize) -> Step {
        self.moco.step([&views[0], &views[1]], &samples(step), step).unwrap()
    }

    fn values(&self, name: &str) -> Vec<f64> {
        self.params.tensors()[name].flatten_all().unwrap().to_vec1().unwrap()
    }

    fn all(&self, prefix: &str) -> BTreeMap<String, Vec<f64>> {
        let names = self.params.names().into_iter();
        let names = names.filter(|n| n.starts_with(prefix) && !n.ends_with("num_batches_tracked"));
        names.map(|name| (name.clone(), self.values(&name))).collect()
    }

    fn learn(&self, step: &Step) {
        let sgd = OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let mut sgd = Optimizer::new(&sgd, vec![ParamGroup::new("q", self.moco.trainable())]).unwrap();
        sgd.step(&backward(step.loss.total()).unwrap(), 0.5).unwrap();
    }
}

fn samples(step: usize) -> Vec<usize> {
    (0..BATCH).map(|i| (step * BATCH + i) % SAMPLES).collect()
}

fn views(seed: u64) -> [Tensor; 2] {
    let rng = &mut Rng::new(seed, "views");
    [(); 2].map(|()| rng.normal_tensor((0.0, 1.0), (BATCH, 1, 8, 8), DType::F64, &Device::Cpu).unwrap())
}

fn rows(x: &Tensor) -> Vec<Vec<f64>> {
    x.to_vec2().unwrap()
}

fn scalar(step: &Step) -> f64 {
    step.loss.total().to_scalar().unwrap()
}

#[track_caller]
fn assert_close(a: &[Vec<f64>], b: &[Vec<f64>], tolerance: f64) {
    let worst = a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(a.len() == b.len() && worst <= tolerance, "{worst}");
}

#[test]
fn gradients_reach_the_query_encoder_alone() {
    let case = Case::new(&config(QUEUE, WHOLE));
    let step = case.step(&views(0), 0);
    let gradients = backward(step.loss.total()).unwrap();
    for (name, var) in case.params.trainable() {
        assert_eq!(gradients.get(&var).is_some(), name.starts_with("encoder_q."), "{name}");
    }
    assert!(!step.queries.track_op() && !step.keys.track_op());
}

#[test]
fn a_key_is_never_its_own_negative() {
    let case = Case::new(&config(QUEUE, WHOLE));
    let before = case.values("queue");
    let step = case.step(&views(0), 0);
    let loss = scalar(&step);
    assert_eq!(case.values("queue"), before, "the loss leaves the queue alone");
    case.moco.remember(&step).unwrap();
    let after = case.values("queue");
    let keys = rows(&step.keys);
    for row in 0..5 {
        let (before, after) = (&before[row * 20..][..20], &after[row * 20..][..20]);
        assert_eq!(after[BATCH..], before[BATCH..], "the rest of the queue is untouched");
        assert!(after[..BATCH].iter().zip(&keys).all(|(a, key)| *a == key[row]));
    }
    // Enqueued first, the same batch would have another loss.
    let with_own = sconce_core::ops::info_nce(&step.queries, &step.keys, case.moco.queue().unwrap().keys(), 0.2);
    assert!((with_own.unwrap().to_scalar::<f64>().unwrap() - loss).abs() > 1e-3);
}

#[test]
fn the_key_encoder_follows_before_the_forward_pass() {
    let case = Case::new(&config(QUEUE, WHOLE));
    let start = case.all("encoder_k");
    case.learn(&case.step(&views(0), 0));
    let unmoved: BTreeMap<String, Vec<f64>> =
        case.all("encoder_k").into_iter().filter(|(name, _)| !name.contains("running")).collect();
    for (name, values) in unmoved {
        // Both encoders were equal at the first step.
        assert_close(&[values], &[start[&name].clone()], 1e-15);
    }
    case.step(&views(1), 1);
    for (name, key) in case.all("encoder_k") {
        if name.contains("running") {
            continue;
        }
        let query = case.values(&name.replace("encoder_k", "encoder_q"));
        let expected: Vec<f64> = start[&name].iter().zip(query).map(|(k, q)| 0.9 * k + 0.1 * q).collect();
        assert_close(&[key], &[expected], 1e-12);
    }
}

#[test]
fn each_encoder_has_statistics_of_its_own_images() {
    let case = Case::new(&config(QUEUE, WHOLE));
    let [query, key] = views(0);
    case.step(&[query.clone(), (key * 3.0).unwrap()], 0);
    // Nine tenths of the running variance are where it begins.
    let variance =
        |encoder: &str| case.values(&format!("{encoder}.bn1.running_var")).iter().map(|v| v - 0.9).sum::<f64>();
    assert!(variance("encoder_k") > 5.0 * variance("encoder_q"), "of images three times as large");
}

#[test]
fn shuffling_returns_every_key_to_its_place() {
    // With one group the order plays no part.
    let (plain, shuffled) = (Case::new(&config(QUEUE, WHOLE)), Case::new(&config(QUEUE, groups(1, true))));
    let views = views(0);
    let (a, b) = (plain.step(&views, 0), shuffled.step(&views, 0));
    assert_close(&rows(&a.keys), &rows(&b.keys), 1e-12);
    assert!((scalar(&a) - scalar(&b)).abs() < 1e-12);
}

#[test]
fn a_shuffled_key_is_normalised_among_others_than_its_query() {
    let (split, shuffled) = (Case::new(&config(QUEUE, groups(4, false))), Case::new(&config(QUEUE, groups(4, true))));
    // Equal views: without shuffling, each key is its query, whatever its group.
    let [view, _] = views(0);
    let views = [view.clone(), view];
    let (a, b) = (split.step(&views, 0), shuffled.step(&views, 0));
    assert_close(&rows(&a.queries), &rows(&a.keys), 1e-12);
    let differ = rows(&b.queries)
        .iter()
        .zip(rows(&b.keys))
        .filter(|(q, k)| q.iter().zip(k).any(|(q, k)| (q - k).abs() > 1e-6))
        .count();
    assert!(differ > BATCH / 2, "{differ} of {BATCH} keys have other neighbours");
    // Another step has another order.
    assert!(rows(&b.keys) != rows(&shuffled.step(&views, 1).keys));
}

#[test]
fn the_symmetric_loss_is_the_sum_of_both_ways_and_remembers_both_keys() {
    let one = config(QUEUE, WHOLE);
    let both = symmetric(one.clone());
    let [first, second] = views(0);
    let case = Case::new(&both);
    let step = case.step(&[first.clone(), second.clone()], 0);
    let forth = Case::new(&one).step(&[first.clone(), second.clone()], 0);
    let back = Case::new(&one).step(&[second, first], 0);
    assert!((scalar(&step) - scalar(&forth) - scalar(&back)).abs() < 1e-12);
    case.moco.remember(&step).unwrap();
    let queue = case.moco.queue().unwrap();
    assert_eq!(queue.pointer().unwrap(), 2 * BATCH);
    let columns = rows(&queue.keys().t().unwrap());
    assert_close(&columns[..BATCH], &rows(&back.keys), 1e-12);
    assert_close(&columns[BATCH..2 * BATCH], &rows(&forth.keys), 1e-12);
}

#[test]
fn end_to_end_has_a_gradient_through_queries_and_keys() {
    let case = Case::new(&config(Mechanism::EndToEnd, WHOLE));
    assert!(case.params.names().iter().all(|name| name.starts_with("encoder_q.")));
    let [first, second] = views(0);
    let step = case.step(&[first.clone(), second.clone()], 0);
    let gradients = backward(step.loss.total()).unwrap();
    // The same by hand, with the keys cut off the graph: another gradient.
    let encoder = case.moco.query_encoder();
    let (q, k) = (encoder.forward(&first, Mode::Train).unwrap(), encoder.forward(&second, Mode::Train).unwrap());
    let (whole, cut) = (batch_loss(&q, &k, 0.2).unwrap(), batch_loss(&q, &k.detach(), 0.2).unwrap());
    let (whole, cut) = (backward(&whole).unwrap(), backward(&cut).unwrap());
    let (name, var) = &case.params.trainable()[0];
    let of = |store: &sconce_core::GradStore| store.get(var).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    assert_close(&[of(&gradients)], &[of(&whole)], 1e-12);
    assert!(of(&whole).iter().zip(of(&cut)).any(|(a, b)| (a - b).abs() > 1e-4), "{name}");
    // −log of the own key's share, row by row.
    let logits: Vec<Vec<f64>> = rows(&q.matmul(&k.t().unwrap()).unwrap());
    let loss = logits.iter().enumerate().map(|(i, row)| {
        let sum: f64 = row.iter().map(|x| (x / 0.2).exp()).sum();
        sum.ln() - row[i] / 0.2
    });
    assert!((scalar(&step) - loss.sum::<f64>() / BATCH as f64).abs() < 1e-10);
}

#[test]
fn shuffled_end_to_end_keys_keep_their_gradient() {
    // With one group the order plays no part, in the gradient neither.
    let gradients = |batch_norm| {
        let case = Case::new(&config(Mechanism::EndToEnd, batch_norm));
        let store = backward(case.step(&views(0), 0).loss.total()).unwrap();
        let gradient = |(_, var): &(String, sconce_core::Var)| {
            store.get(var).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
        };
        case.params.trainable().iter().map(gradient).collect::<Vec<_>>()
    };
    assert_close(&gradients(WHOLE), &gradients(groups(1, true)), 1e-12);
}

#[test]
fn accuracy_counts_queries_that_are_nearest_to_their_own_key() {
    for mechanism in [QUEUE, Mechanism::EndToEnd] {
        let case = Case::new(&config(mechanism, WHOLE));
        let [view, other] = views(0);
        // Equal views have equal features; nothing is nearer.
        let step = case.step(&[view.clone(), view.clone()], 0);
        assert_eq!(case.moco.accuracy(&step).unwrap(), 1.0);
        let mut opposite = case.step(&[view, other], 1);
        opposite.queries = opposite.keys.neg().unwrap();
        assert_eq!(case.moco.accuracy(&opposite).unwrap(), 0.0);
    }
}

#[test]
fn a_memory_bank_learns_the_queries_of_its_samples() {
    let case = Case::new(&config(Mechanism::MemoryBank { negatives: 30, momentum: 0.5 }, WHOLE));
    let before = case.values("memory_bank");
    let step = case.step(&views(0), 1);
    assert_close(&rows(&step.keys), &before.chunks(5).skip(BATCH).take(BATCH).map(Vec::from).collect::<Vec<_>>(), 0.0);
    case.moco.remember(&step).unwrap();
    let after = case.values("memory_bank");
    let changed: Vec<usize> = (0..SAMPLES).filter(|i| before[i * 5..][..5] != after[i * 5..][..5]).collect();
    assert_eq!(changed, samples(1));
}

#[test]
fn views_that_do_not_fit_are_refused() {
    let case = Case::new(&config(QUEUE, groups(3, true)));
    let [first, second] = views(0);
    let error = case.moco.step([&first, &second], &samples(0), 0).unwrap_err().to_string();
    assert!(error.contains("3"), "8 images do not divide into 3 groups: {error}");
    let short = second.narrow(0, 0, 4).unwrap();
    assert!(case.moco.step([&first, &short], &samples(0), 0).is_err());
    assert!(case.moco.step([&first, &second], &[0], 0).is_err());
}

/// `tests/fixtures/make.py` trains the same by the official formulas; the orders of its keys are those that are drawn here.
#[test]
fn some_steps_are_pytorchs() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/steps.safetensors");
    let expected = sconce_core::read_tensors(&path).unwrap();
    let mut config = config(QUEUE, groups(2, true));
    config.encoder.head = Head::Linear;
    config.encoder.dim = 16;
    let params = Params::new(1, DType::F64, &Device::Cpu);
    let moco = Moco::new(&params, &config, SAMPLES).unwrap();
    let start = expected.iter().filter_map(|(name, tensor)| match name.strip_prefix("encoder.") {
        Some(name) => Some((format!("encoder_q.{name}"), tensor.clone())),
        None => (name == "queue").then(|| (name.clone(), tensor.clone())),
    });
    let start: BTreeMap<String, Tensor> = start.collect();
    let report = params.load("the fixture", &start, sconce_core::Tolerance::Missing).unwrap();
    assert_eq!(report.loaded.len(), start.len());
    let copies = start.into_iter().map(|(name, tensor)| (name.replace("encoder_q", "encoder_k"), tensor));
    params.load("the fixture", &copies.collect(), sconce_core::Tolerance::Missing).unwrap();

    let sgd = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 5e-4 };
    let mut sgd = Optimizer::new(&sgd, vec![ParamGroup::new("q", moco.trainable())]).unwrap();
    let images = &expected["images"];
    let losses = expected["losses"].to_vec1::<f64>().unwrap();
    for (i, expected) in losses.into_iter().enumerate() {
        let views = [0, 1].map(|view| images.get(i).unwrap().get(view).unwrap());
        let step = moco.step([&views[0], &views[1]], &samples(i), i).unwrap();
        let loss = scalar(&step);
        assert!((loss - expected).abs() < 1e-9, "step {i}: {loss}, expected {expected}");
        sgd.step(&backward(step.loss.total()).unwrap(), 0.1).unwrap();
        moco.remember(&step).unwrap();
    }
    for (ours, theirs) in [
        ("queue", "last_queue"),
        ("encoder_q.conv1.weight", "last_query"),
        ("encoder_k.conv1.weight", "last_key"),
        ("encoder_k.bn1.running_mean", "last_key_mean"),
    ] {
        let of = |tensor: &Tensor| vec![tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap()];
        assert_close(&of(&params.tensors()[ours]), &of(&expected[theirs]), 1e-9);
    }
}
