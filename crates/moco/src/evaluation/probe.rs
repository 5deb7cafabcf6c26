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
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ProbeConfig {
    /// Passes over the labelled images.
    pub epochs: usize,
    /// The number of images in a batch.
    pub batch_size: usize,
    /// The learning rate of the first step; it falls as a cosine.
    pub lr: f64,
    /// The factor of the L2 penalty on the classifier.
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

/// Rows of the test images whose logits are computed at a time.
const TEST_ROWS: usize = 4096;

/// The classes that a linear classifier, trained on `train`, gives to `test`. Both are standardised by
/// `train`, batch by batch, so that no copy of them is held; what a row of `test` is taken for depends on no other row of it.
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
            let labels: Vec<i64> = batch.iter().map(|&i| i64::from(train.labels()[i])).collect();
            let labels = Tensor::from_vec(labels, batch.len(), &Device::Cpu)?;
            let logits = ops::linear(&scale.rows(train, batch.iter().copied())?, &weight, Some(&bias))?;
            let loss = ops::cross_entropy(&logits, &labels, &Default::default())?;
            let clock = Clock { step, steps_per_epoch, epochs: config.epochs };
            sgd.step(&sconce_core::backward(&loss)?, ScheduleConfig::COSINE.lr(config.lr, clock))?;
            step += 1;
        }
    }
    let (weight, bias) = (weight.detach(), bias.detach());
    let mut logits = Vec::with_capacity(test.len());
    for start in (0..test.len()).step_by(TEST_ROWS) {
        let rows = scale.rows(test, start..test.len().min(start + TEST_ROWS))?;
        logits.extend(ops::linear(&rows, &weight, Some(&bias))?.to_vec2::<f32>()?);
    }
    Ok(Logits::new(logits)?.classes())
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

    /// These rows of `features`, standardised: `(rows, dim)`.
    fn rows(&self, features: &Features, rows: impl ExactSizeIterator<Item = usize>) -> Result<Tensor> {
        let (n, dim) = (rows.len(), features.dim());
        let mut values = Vec::with_capacity(n * dim);
        for row in rows.map(|i| features.row(i)) {
            let standardised = |(i, &x): (usize, &f32)| ((f64::from(x) - self.mean[i]) / self.std[i]) as f32;
            values.extend(row.iter().enumerate().map(standardised));
        }
        Ok(Tensor::from_vec(values, (n, dim), &Device::Cpu)?)
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

    /// A test set of which a part is far away has other means and deviations, and its rows are taken for what they were
    /// before.
    #[test]
    fn what_a_row_is_taken_for_depends_on_no_other_row() {
        let (train, test) = (points(0, 90), points(1, 60));
        let alone = linear_probe(&train, &test, &CONFIG, 0).unwrap();
        let far = test.values().iter().map(|x| 50.0 * x + 1e4);
        let values = test.values().iter().copied().chain(far).collect();
        let both = Features::new(values, 3, [test.labels(), test.labels()].concat()).unwrap();
        assert_eq!(linear_probe(&train, &both, &CONFIG, 0).unwrap()[..60], alone);
        let right = alone.iter().zip(test.labels()).filter(|(a, b)| a == b).count();
        assert!(right >= 58, "{right} of 60");
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
