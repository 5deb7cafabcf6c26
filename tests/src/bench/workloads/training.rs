//! Training steps and evaluation of whole networks.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use sconce_backbones::{ResNetClassifier, ResNetConfig, Vgg, VggConfig};
use sconce_core::{
    DType, Device, GradStore, Params, Tensor, backward,
    nn::Mode,
    ops::{self, CrossEntropyParams},
};
use sconce_engine::Optimizer;

use super::{
    Workload, WorkloadSpec, mean_square, normal,
    optimizer::{LR, sgd},
};

pub(super) const WORKLOADS: &[WorkloadSpec] = &[
    WorkloadSpec {
        name: "resnet18 training step 16x3x64x64",
        make: || Ok(Box::new(TrainingStep::new(&ResNetConfig::resnet18(), &[16, 3, 64, 64])?)),
    },
    WorkloadSpec {
        name: "resnet50 training step 4x3x224x224",
        make: || Ok(Box::new(TrainingStep::new(&ResNetConfig::resnet50(), &[4, 3, 224, 224])?)),
    },
    WorkloadSpec {
        name: "vgg16 conv1-2 frozen forward+backward 1x3x300x400",
        make: || Ok(Box::new(Features::new(&[1, 3, 300, 400])?)),
    },
    WorkloadSpec {
        name: "resnet50 eval 1x3x224x224",
        make: || Ok(Box::new(Evaluation::new(&ResNetConfig::resnet50(), &[1, 3, 224, 224])?)),
    },
];

const CLASSES: usize = 10;

pub(super) fn resnet(config: &ResNetConfig) -> Result<(Params, ResNetClassifier)> {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let model = ResNetClassifier::new(&params.scope(), config, CLASSES)?;
    Ok((params, model))
}

/// Parameters and inputs by name, without what a twin has of its own.
fn exchanged<const N: usize>(params: &Params, inputs: [(&str, &Tensor); N]) -> BTreeMap<String, Tensor> {
    params
        .tensors()
        .into_iter()
        .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        .chain(inputs.map(|(name, tensor)| (name.to_owned(), tensor.clone())))
        .collect()
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
    fn new(config: &ResNetConfig, shape: &[usize; 4]) -> Result<Self> {
        let (params, model) = resnet(config)?;
        // As the first gradients of fifty layers on four images are, f32 and f64 differ by two per cent in PyTorch alone, and three
        // steps would show nothing but rounding. With small residual branches (Goyal et al., 2017, §5.1) they agree.
        for (name, var) in params.trainable().iter().filter(|(name, _)| name.ends_with("bn3.weight")) {
            var.set(&(var.ones_like()? * 0.1)?).with_context(|| name.clone())?;
        }
        let optimizer = sgd(&params)?;
        let n = shape[0];
        let target: Vec<i64> = (0..n).map(|i| (i * 7 % CLASSES) as i64).collect();
        let target = Tensor::from_vec(target, n, &Device::Cpu)?;
        Ok(Self { params, model, optimizer, x: normal("images", shape)?, target })
    }

    fn step(&mut self) -> Result<Tensor> {
        let logits = self.model.forward(&self.x, Mode::Train)?; // (N, 10)
        let loss = ops::cross_entropy(&logits, &self.target, &CrossEntropyParams::default())?;
        self.optimizer.step(&backward(&loss)?, LR)?;
        Ok(loss)
    }
}

impl Workload for TrainingStep {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        exchanged(&self.params, [("x", &self.x), ("target", &self.target)])
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

/// The convolutions of a detector's VGG-16, whose first two stages are frozen, with the gradients of the others.
struct Features {
    params: Params,
    model: Vgg,
    x: Tensor,
}

impl Features {
    fn new(shape: &[usize; 4]) -> Result<Self> {
        let params = Params::new(0, DType::F32, &Device::Cpu);
        let model = Vgg::new(&params.scope(), &VggConfig { frozen_stages: 2, ..VggConfig::vgg16() })?;
        Ok(Self { params, model, x: normal("images", shape)? })
    }

    fn forward_backward(&self) -> Result<(Tensor, GradStore)> {
        let y = self.model.features(&self.x, Mode::Train)?.pop().context("a network has stages")?; // (1, 512, 18, 25)
        let gradients = backward(&y)?;
        Ok((y, gradients))
    }
}

impl Workload for Features {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        exchanged(&self.params, [("x", &self.x)])
    }

    /// The mean squares of the output and of the first and the last gradient.
    fn check(&mut self) -> Result<Vec<f64>> {
        let (y, gradients) = self.forward_backward()?;
        let trainable: BTreeMap<_, _> = self.params.trainable().into_iter().collect();
        let gradient = |name: &str| mean_square(gradients.get(&trainable[name]).with_context(|| name.to_owned())?);
        Ok(vec![mean_square(&y)?, gradient("features.10.weight")?, gradient("features.28.weight")?])
    }

    fn run(&mut self) -> Result<()> {
        self.forward_backward()?;
        Ok(())
    }
}

/// Logits by running statistics, without a graph.
struct Evaluation {
    params: Params,
    model: ResNetClassifier,
    x: Tensor,
}

impl Evaluation {
    fn new(config: &ResNetConfig, shape: &[usize; 4]) -> Result<Self> {
        let params = Params::new(0, DType::F32, &Device::Cpu);
        ResNetClassifier::new(&params.scope(), config, CLASSES)?;
        let model = ResNetClassifier::new(&params.detached(), config, CLASSES)?;
        Ok(Self { params, model, x: normal("images", shape)? })
    }
}

impl Workload for Evaluation {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        exchanged(&self.params, [("x", &self.x)])
    }

    /// The logits.
    fn check(&mut self) -> Result<Vec<f64>> {
        let logits = self.model.forward(&self.x, Mode::Eval)?.to_dtype(DType::F64)?;
        Ok(logits.flatten_all()?.to_vec1()?)
    }

    fn run(&mut self) -> Result<()> {
        self.model.forward(&self.x, Mode::Eval)?;
        Ok(())
    }
}
