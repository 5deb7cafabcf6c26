//! Two ranks compute what one does.

use std::sync::Arc;

use sconce_core::{Communicator, DType, Device, Params, Rng, Tensor, backward};
use sconce_engine::{
    Optimizer, OptimizerConfig, ParamGroup,
    dist::{alone, average_statistics, local, own_samples},
    with_threads,
};
use sconce_moco::{BatchNormGroups, Mechanism, Moco, MocoConfig};

use crate::{QUEUE, config, groups, symmetric};

const BATCH: usize = 8;
const SAMPLES: usize = 40;
const STEPS: usize = 20;

/// What comes of some steps.
struct Trained {
    /// The loss of each: the mean over the ranks.
    losses: Vec<f64>,
    /// The queue or the memory bank, where there is one.
    dictionary: Vec<f64>,
    /// A weight of the query encoder.
    weight: Vec<f64>,
}

fn train(config: &MocoConfig, ranks: &Arc<dyn Communicator>, dtype: DType, batch: usize) -> Trained {
    let params = Params::new(3, dtype, &Device::Cpu).with_communicator(ranks.clone());
    let moco = Moco::new(&params, config, SAMPLES).unwrap();
    let sgd = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-4 };
    let mut sgd = Optimizer::new(&sgd, vec![ParamGroup::new("q", moco.trainable())]).unwrap();
    let mut losses = Vec::new();
    for i in 0..STEPS {
        let rng = &mut Rng::keyed(0, "views", [i as u64, 0]);
        let [first, second] = [(); 2].map(|()| {
            let all = rng.normal_tensor((0.0, 1.0), (batch, 1, 16, 16), dtype, &Device::Cpu).unwrap();
            own_samples(&**ranks, &all).unwrap()
        });
        let samples: Vec<usize> = (0..batch).map(|n| (i * batch + n) % SAMPLES).collect();
        let own: Vec<usize> = samples.iter().skip(ranks.rank()).step_by(ranks.size()).copied().collect();
        let step = moco.step([&first, &second], &own, i).unwrap();
        let loss = step.loss.total().to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap();
        // What the trainer does: each rank's loss counts for as much as it has of the batch.
        let share = own.len() as f64 / batch as f64;
        let mut gradients = backward(&(step.loss.total() * share).unwrap()).unwrap();
        for (_, var) in moco.trainable() {
            let gradient = gradients.get(&var).unwrap().to_dtype(DType::F64).unwrap();
            let mut values = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            ranks.all_reduce_sum_f64(&mut values).unwrap();
            let mean = Tensor::from_vec(values, gradient.shape(), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            gradients.insert(&var, mean);
        }
        sgd.step(&gradients, 0.05).unwrap();
        average_statistics(&**ranks, &params).unwrap();
        moco.remember(&step).unwrap();
        losses.push(ranks.all_gather_f64(&[share * loss]).unwrap().concat().iter().sum::<f64>());
    }
    let values = |name: &str| {
        let tensor = params.tensors().remove(name);
        tensor.map_or_else(Vec::new, |t| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap())
    };
    let dictionary = [values("queue"), values("memory_bank")].concat();
    Trained { losses, dictionary, weight: values("encoder_q.conv1.weight") }
}

#[track_caller]
fn assert_equal_in_batches(config: &MocoConfig, dtype: DType, relative: f64, batch: usize) {
    let one = train(config, &alone(), dtype, batch);
    let two: Vec<Trained> = std::thread::scope(|scope| {
        let rank = |rank| scope.spawn(move || with_threads(Some(1), || train(config, &rank, dtype, batch)).unwrap());
        let threads: Vec<_> = local(2).into_iter().map(rank).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(two[0].dictionary, two[1].dictionary, "both ranks have one dictionary");
    assert_eq!(two[0].weight, two[1].weight, "and one encoder");
    for (i, (a, b)) in two[0].losses.iter().zip(&one.losses).enumerate() {
        assert!((a - b).abs() <= relative * b.abs(), "step {i}: {a}, expected {b}");
    }
    let worst = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst(&two[0].dictionary, &one.dictionary) <= 1000.0 * relative);
    assert!(worst(&two[0].weight, &one.weight) <= 1000.0 * relative);
    let params = Params::new(3, dtype, &Device::Cpu);
    Moco::new(&params, config, SAMPLES).unwrap();
    let start = &params.tensors()["encoder_q.conv1.weight"];
    let start = start.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    assert!(worst(&one.weight, &start) > 0.01, "nothing was learned");
}

#[track_caller]
fn assert_equal(config: &MocoConfig, dtype: DType, relative: f64) {
    assert_equal_in_batches(config, dtype, relative, BATCH);
}

#[test]
fn with_shuffled_bn_over_the_same_groups() {
    // One group a rank, then two.
    assert_equal(&config(QUEUE, groups(2, true)), DType::F64, 1e-9);
    assert_equal(&symmetric(config(QUEUE, groups(4, true))), DType::F64, 1e-9);
    assert_equal(&config(QUEUE, groups(2, true)), DType::F32, 1e-4);
}

#[test]
fn with_synchronised_bn() {
    assert_equal(&config(QUEUE, BatchNormGroups::Whole), DType::F64, 1e-9);
    assert_equal(&config(QUEUE, BatchNormGroups::Whole), DType::F32, 1e-4);
}

#[test]
fn end_to_end_through_the_keys_of_all_ranks() {
    assert_equal(&config(Mechanism::EndToEnd, groups(2, true)), DType::F64, 1e-9);
    assert_equal(&symmetric(config(Mechanism::EndToEnd, groups(2, false))), DType::F64, 1e-9);
}

#[test]
fn with_shares_that_differ() {
    for mechanism in [QUEUE, Mechanism::EndToEnd, Mechanism::MemoryBank { negatives: 30, momentum: 0.5 }] {
        assert_equal_in_batches(&config(mechanism, BatchNormGroups::Whole), DType::F64, 1e-9, BATCH + 1);
    }
}

#[test]
fn with_a_memory_bank() {
    let bank = Mechanism::MemoryBank { negatives: 30, momentum: 0.5 };
    assert_equal(&config(bank, groups(2, false)), DType::F64, 1e-9);
}

#[test]
fn ranks_that_cannot_share_the_groups_are_refused() {
    let errors: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = local(2)
            .into_iter()
            .map(|rank| {
                scope.spawn(move || {
                    let params = Params::new(0, DType::F32, &Device::Cpu).with_communicator(rank);
                    Moco::new(&params, &config(QUEUE, groups(3, true)), SAMPLES).unwrap_err().to_string()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(errors.iter().all(|e| e.contains("moco.batch_norm.groups is 3")), "{errors:?}");
}
