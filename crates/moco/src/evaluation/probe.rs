//! A linear classifier on features that do not change: what they are worth as they are.

use sconce_core::{DType, Device, Init, Params, Rng, Tensor, ops};
use sconce_engine::{Clock, Optimizer, OptimizerConfig, ParamGroup, ScheduleConfig};
use serde::{Deserialize, Serialize};

use super::{Features, Logits, fine_tune::MOST};
use crate::error::{MocoError, Result};

/// How the classifier is trained: SGD with momentum 0.9 at a rate that falls as a cosine, on features whose mean is 0 and whose
/// variance is 1 over the training images.
///
/// The paper's protocol (lr 30, §4.1) is for the features of a ResNet-50 as they are. Those of networks of other sizes, of no
/// training at all, and pixels have other scales; standardised, which is a linear map too, one rate serves all of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeConfig {
    /// Passes over the labelled images.
    pub epochs: usize,
    /// Images of a batch.
    pub batch_size: usize,
    /// The first learning rate.
    pub lr: f64,
    /// L2.
    pub weight_decay: f64,
}

impl ProbeConfig {
    /// Checks that the numbers have a sense.
    ///
    /// # Errors
    /// [`MocoError::Config`] with the first that does not.
    pub fn validate(&self) -> Result<()> {
        for (key, count) in [("evaluation.probe.epochs", self.epochs), ("evaluation.probe.batch_size", self.batch_size)]
        {
            if !(1..=MOST).contains(&count) {
                return Err(MocoError::config(key, count, format!("1 to {MOST}")));
            }
        }
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(MocoError::config("evaluation.probe.lr", self.lr, "a positive number"));
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return Err(MocoError::config("evaluation.probe.weight_decay", self.weight_decay, "0 or more"));
        }
        Ok(())
    }
}

/// The classes that a linear classifier, trained on `train`, gives to `test`.
///
/// # Errors
/// If the dimensions differ, there is nothing to train on, or the configuration has no sense.
pub fn linear_probe(train: &Features, test: &Features, config: &ProbeConfig, seed: u64) -> Result<Vec<u32>> {
    config.validate()?;
    if train.is_empty() || test.is_empty() || train.dim() != test.dim() {
        let found = format!("{} rows of {} and {} rows of {}", train.len(), train.dim(), test.len(), test.dim());
        return Err(MocoError::argument("features of a linear probe", found, "at least a row of each, of one length"));
    }
    let scale = Standardization::of(train);
    let (x, test_x) = (scale.apply(train)?, scale.apply(test)?);
    let labels: Vec<i64> = train.labels().iter().map(|&label| i64::from(label)).collect();
    let labels = Tensor::from_vec(labels, train.len(), &Device::Cpu)?;
    let n_classes = train.labels().iter().max().map_or(0, |&label| label as usize + 1);

    // As the official code begins: a normal weight of deviation 0.01, a bias of 0.
    let params = Params::new(seed, DType::F32, &Device::Cpu);
    let fc = params.scope().pp("fc");
    let weight = fc.param("weight", (n_classes, train.dim()), Init::Normal { mean: 0.0, std: 0.01 })?;
    let bias = fc.param("bias", n_classes, Init::ZEROS)?;
    let sgd = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: config.weight_decay };
    let mut sgd = Optimizer::new(&sgd, vec![ParamGroup::new("fc", params.trainable())])?;
    let steps_per_epoch = train.len().div_ceil(config.batch_size);
    let mut step = 0;
    for epoch in 0..config.epochs {
        let order = Rng::keyed(seed, "shuffle of a linear probe", [epoch as u64, 0]).permutation(train.len());
        for batch in order.chunks(config.batch_size) {
            let batch = crate::bank::indices(batch, &Device::Cpu)?;
            let logits = ops::linear(&x.index_select(&batch, 0)?, &weight, Some(&bias))?;
            let loss = ops::cross_entropy(&logits, &labels.index_select(&batch, 0)?, &Default::default())?;
            let clock = Clock { step, steps_per_epoch, epochs: config.epochs };
            sgd.step(&sconce_core::backward(&loss)?, ScheduleConfig::COSINE.lr(config.lr, clock))?;
            step += 1;
        }
    }
    let logits = ops::linear(&test_x, &weight.detach(), Some(&bias.detach()))?;
    Ok(Logits::new(logits.to_vec2::<f32>()?)?.classes())
}

/// Mean and deviation of each feature.
struct Standardization {
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Standardization {
    fn of(features: &Features) -> Self {
        let (n, dim) = (features.len() as f64, features.dim());
        let over_rows = |f: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
            let mut sums = vec![0.0; dim];
            for row in features.values().chunks_exact(dim) {
                row.iter().enumerate().for_each(|(i, &x)| sums[i] += f(i, f64::from(x)));
            }
            sums.into_iter().map(|sum| sum / n).collect()
        };
        let mean = over_rows(&|_, x| x);
        let variance = over_rows(&|i, x| (x - mean[i]).powi(2));
        // A feature that is always the same stays so.
        let std = variance.into_iter().map(|v| if v > 1e-12 { v.sqrt() } else { 1.0 }).collect();
        Self { mean, std }
    }

    fn apply(&self, features: &Features) -> Result<Tensor> {
        let row = |row: &[f32]| -> Vec<f32> {
            row.iter().enumerate().map(|(i, &x)| ((f64::from(x) - self.mean[i]) / self.std[i]) as f32).collect()
        };
        let values: Vec<f32> = features.values().chunks_exact(features.dim()).flat_map(row).collect();
        Ok(Tensor::from_vec(values, (features.len(), features.dim()), &Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: ProbeConfig = ProbeConfig { epochs: 50, batch_size: 16, lr: 0.1, weight_decay: 0.0 };

    /// Points around three corners, on scales that differ by 10⁶, with a feature that says nothing.
    fn points(seed: u64, n: usize) -> Features {
        let mut rng = Rng::new(seed, "points");
        let corners = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]];
        let labels: Vec<u32> = (0..n).map(|i| (i % 3) as u32).collect();
        let row = |&label: &u32| {
            let [x, y] = corners[label as usize].map(|c| c + 0.5 * rng.normal());
            [(1e3 * x) as f32, (1e-3 * y) as f32, 7.0]
        };
        let values = labels.iter().flat_map(row).collect();
        Features::new(values, 3, labels).unwrap()
    }

    #[test]
    fn it_separates_what_a_line_separates_whatever_the_scales() {
        let (train, test) = (points(0, 90), points(1, 300));
        let classes = linear_probe(&train, &test, &CONFIG, 0).unwrap();
        let right = classes.iter().zip(test.labels()).filter(|(a, b)| a == b).count();
        assert!(right >= 297, "{right} of 300");
        assert_eq!(classes, linear_probe(&train, &test, &CONFIG, 0).unwrap());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let points = points(0, 9);
        let other = Features::new(vec![1.0, 2.0], 2, vec![0]).unwrap();
        assert!(linear_probe(&points, &other, &CONFIG, 0).is_err());
        for bad in [
            ProbeConfig { epochs: 0, ..CONFIG },
            ProbeConfig { batch_size: 0, ..CONFIG },
            ProbeConfig { lr: 0.0, ..CONFIG },
            ProbeConfig { weight_decay: f64::NAN, ..CONFIG },
        ] {
            assert!(linear_probe(&points, &points, &bad, 0).is_err(), "{bad:?}");
        }
    }
}
