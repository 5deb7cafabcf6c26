//! Training steps and evaluation of whole networks.

use std::collections::BTreeMap;

use anyhow::Result;
use sconce_backbones::{ResNetClassifier, ResNetConfig};
use sconce_core::{
    DType, Device, Params, Tensor, backward,
    nn::Mode,
    ops::{self, CrossEntropyParams},
};
use sconce_engine::Optimizer;

use super::{
    Workload, WorkloadSpec, normal,
    optimizer::{LR, sgd},
};

pub(super) const WORKLOADS: &[WorkloadSpec] =
    &[WorkloadSpec { name: "resnet18 training step 16x3x64x64", make: || Ok(Box::new(TrainingStep::new()?)) }];

const CLASSES: usize = 10;

pub(super) fn resnet18() -> Result<(Params, ResNetClassifier)> {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let model = ResNetClassifier::new(&params.scope(), &ResNetConfig::resnet18(), CLASSES)?;
    Ok((params, model))
}

/// Forward, cross-entropy, backward and SGD with momentum, on one batch again and again.
struct TrainingStep {
    params: Params,
    model: ResNetClassifier,
    optimizer: Optimizer,
    x: Tensor,
    target: Tensor,
}

impl TrainingStep {
    fn new() -> Result<Self> {
        let (params, model) = resnet18()?;
        let optimizer = sgd(&params)?;
        let n = 16;
        let target: Vec<i64> = (0..n).map(|i| (i * 7 % CLASSES) as i64).collect();
        let target = Tensor::from_vec(target, n, &Device::Cpu)?;
        Ok(Self { params, model, optimizer, x: normal("images", &[n, 3, 64, 64])?, target })
    }

    fn step(&mut self) -> Result<Tensor> {
        let logits = self.model.forward(&self.x, Mode::Train)?; // (16, 10)
        let loss = ops::cross_entropy(&logits, &self.target, &CrossEntropyParams::default())?;
        self.optimizer.step(&backward(&loss)?, LR)?;
        Ok(loss)
    }
}

impl Workload for TrainingStep {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        let inputs = [("x".to_owned(), self.x.clone()), ("target".to_owned(), self.target.clone())];
        self.params
            .tensors()
            .into_iter()
            .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
            .chain(inputs)
            .collect()
    }

    /// The losses of three steps.
    fn check(&mut self) -> Result<Vec<f64>> {
        (0..3).map(|_| Ok(self.step()?.to_dtype(DType::F64)?.to_scalar()?)).collect()
    }

    fn run(&mut self) -> Result<()> {
        self.step()?;
        Ok(())
    }
}
