//! Steps of optimisers.

use std::collections::BTreeMap;

use anyhow::Result;
use sconce_backbones::ResNetConfig;
use sconce_core::{GradStore, Params, Tensor};
use sconce_engine::{Optimizer, OptimizerConfig, ParamGroup};

use super::{Workload, WorkloadSpec, mean_square, training::resnet};

pub(super) const WORKLOADS: &[WorkloadSpec] = &[
    WorkloadSpec { name: "sgd step resnet18", make: || Ok(Box::new(SgdStep::new(&ResNetConfig::resnet18())?)) },
    WorkloadSpec { name: "sgd step resnet50", make: || Ok(Box::new(SgdStep::new(&ResNetConfig::resnet50())?)) },
];

pub(super) const LR: f64 = 0.01;

pub(super) fn sgd(params: &Params) -> Result<Optimizer> {
    let config = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let group = ParamGroup { name: "all".to_owned(), params: params.trainable(), lr_scale: 1.0, weight_decay: None };
    Ok(Optimizer::new(&config, vec![group])?)
}

/// The optimiser alone, on the parameters of a ResNet with gradients equal to them.
struct SgdStep {
    params: Params,
    optimizer: Optimizer,
    gradients: GradStore,
}

impl SgdStep {
    fn new(config: &ResNetConfig) -> Result<Self> {
        let (params, _) = resnet(config)?;
        let optimizer = sgd(&params)?;
        // The gradient of Σ c·p is c, here the value of p at the start.
        let terms: Result<Vec<Tensor>> = params
            .trainable()
            .iter()
            .map(|(_, p)| Ok((p.as_tensor() * &p.as_tensor().copy()?.detach())?.sum_all()?))
            .collect();
        let gradients = Tensor::stack(&terms?, 0)?.sum_all()?.backward()?;
        Ok(Self { params, optimizer, gradients })
    }
}

impl Workload for SgdStep {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.params.trainable().into_iter().map(|(name, var)| (name, var.as_tensor().clone())).collect()
    }

    /// A number for each of three steps: the mean square of all parameters, each tensor counting alike.
    fn check(&mut self) -> Result<Vec<f64>> {
        let state = |params: &Params| -> Result<f64> {
            let squares: Vec<f64> = params.trainable().iter().map(|(_, p)| mean_square(p)).collect::<Result<_>>()?;
            Ok(squares.iter().sum::<f64>() / squares.len() as f64)
        };
        (0..3)
            .map(|_| {
                self.run()?;
                state(&self.params)
            })
            .collect()
    }

    fn run(&mut self) -> Result<()> {
        Ok(self.optimizer.step(&self.gradients, LR)?)
    }
}
