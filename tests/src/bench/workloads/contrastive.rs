//! Training steps of MoCo, with a queue as long as the paper's.

use std::collections::BTreeMap;

use anyhow::Result;
use sconce_core::{DType, Device, Params, Tensor, backward};
use sconce_engine::{Optimizer, OptimizerConfig, ParamGroup};
use sconce_moco::{BatchNormGroups, EncoderConfig, Moco, MocoConfig, ResNetConfig};

use super::{Workload, WorkloadSpec, normal, optimizer::LR};

pub(super) const WORKLOADS: &[WorkloadSpec] = &[WorkloadSpec {
    name: "moco v2 training step resnet18 32x3x64x64 queue 65536x128",
    make: || Ok(Box::new(MocoStep::new(&[32, 3, 64, 64])?)),
}];

/// Momentum update, queries and keys, loss, backward, SGD with momentum, and the keys into the queue; on one batch of two views
/// again and again, in one group of batch normalisation.
struct MocoStep {
    params: Params,
    moco: Moco,
    optimizer: Optimizer,
    views: [Tensor; 2],
    samples: Vec<usize>,
    step: usize,
}

impl MocoStep {
    fn new(shape: &[usize; 4]) -> Result<Self> {
        let v2 = MocoConfig::v2();
        let config = MocoConfig {
            encoder: EncoderConfig { backbone: ResNetConfig::resnet18(), ..v2.encoder },
            batch_norm: BatchNormGroups::Groups { groups: 1, shuffle: false },
            ..v2
        };
        let params = Params::new(0, DType::F32, &Device::Cpu);
        let moco = Moco::new(&params, &config, 0)?;
        let sgd = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
        let optimizer = Optimizer::new(&sgd, vec![ParamGroup::new("encoder_q", moco.trainable())])?;
        let views = [normal("queries", shape)?, normal("keys", shape)?];
        Ok(Self { params, moco, optimizer, views, samples: (0..shape[0]).collect(), step: 0 })
    }

    fn step(&mut self) -> Result<Tensor> {
        let step = self.moco.step([&self.views[0], &self.views[1]], &self.samples, self.step)?;
        self.optimizer.step(&backward(step.loss.total())?, LR)?;
        self.moco.remember(&step)?;
        self.step += 1;
        Ok(step.loss.total().clone())
    }
}

impl Workload for MocoStep {
    /// Without the key encoder, which begins as a copy of the query encoder.
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        let is_own = |name: &String| {
            name.starts_with("encoder_k") || name.ends_with("num_batches_tracked") || name == "queue_ptr"
        };
        let views = [("query", &self.views[0]), ("key", &self.views[1])];
        let views = views.map(|(name, tensor)| (name.to_owned(), tensor.clone()));
        self.params.tensors().into_iter().filter(|(name, _)| !is_own(name)).chain(views).collect()
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
