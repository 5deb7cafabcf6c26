//! What is timed.

use std::collections::BTreeMap;

use anyhow::Result;
use sconce_backbones::{ResNetClassifier, ResNetConfig};
use sconce_core::{
    DType, Device, GradStore, Params, Rng, Tensor, Var, backward,
    nn::Mode,
    ops::{self, Conv2dParams, CrossEntropyParams},
};
use sconce_engine::{Optimizer, OptimizerConfig, ParamGroup};

/// A workload by its name.
pub struct WorkloadSpec {
    /// Its name, here and in the twin.
    pub name: &'static str,
    /// Builds it.
    pub make: fn() -> Result<Box<dyn Workload>>,
}

/// Something to be timed.
pub trait Workload {
    /// What it starts from: parameters by PyTorch's names, and inputs.
    fn tensors(&self) -> BTreeMap<String, Tensor>;

    /// Runs it a few times, and gives numbers of the order of 1 on which a twin has to agree.
    ///
    /// # Errors
    /// If it fails.
    fn check(&mut self) -> Result<Vec<f64>>;

    /// One repetition.
    ///
    /// # Errors
    /// If it fails.
    fn run(&mut self) -> Result<()>;
}

/// All workloads; a further one enters here and in the twin.
pub const WORKLOADS: &[WorkloadSpec] = &[
    WorkloadSpec { name: "resnet18 training step 16x3x64x64", make: || Ok(Box::new(TrainingStep::new()?)) },
    WorkloadSpec { name: "conv2d 3x3 64 ch 16x16 b16 forward+backward", make: || Ok(Box::new(Convolution::new()?)) },
    WorkloadSpec { name: "sgd step resnet18", make: || Ok(Box::new(SgdStep::new()?)) },
];

const LR: f64 = 0.01;
const CLASSES: usize = 10;

fn normal(purpose: &str, shape: &[usize]) -> Result<Tensor> {
    Ok(Rng::new(0, purpose).normal_tensor((0.0, 1.0), shape, DType::F32, &Device::Cpu)?)
}

fn resnet18() -> Result<(Params, ResNetClassifier)> {
    let params = Params::new(0, DType::F32, &Device::Cpu);
    let model = ResNetClassifier::new(&params.scope(), &ResNetConfig::resnet18(), CLASSES)?;
    Ok((params, model))
}

fn sgd(params: &Params) -> Result<Optimizer> {
    let config = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let group = ParamGroup { name: "all".to_owned(), params: params.trainable(), lr_scale: 1.0, weight_decay: None };
    Ok(Optimizer::new(&config, vec![group])?)
}

fn mean_square(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.to_dtype(DType::F64)?.sqr()?.mean_all()?.to_scalar()?)
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

/// A convolution as in the first stage of a small ResNet, with both of its gradients.
struct Convolution {
    x: Var,
    weight: Var,
}

impl Convolution {
    fn new() -> Result<Self> {
        Ok(Self {
            x: Var::from_tensor(&normal("x", &[16, 64, 16, 16])?)?,
            weight: Var::from_tensor(&(normal("weight", &[64, 64, 3, 3])? / 24.0)?)?,
        })
    }

    fn forward_backward(&self) -> Result<(Tensor, GradStore)> {
        let params = Conv2dParams { padding: (1, 1), ..Conv2dParams::default() };
        let y = ops::conv2d(&self.x, &self.weight, None, &params)?; // (16, 64, 16, 16)
        // From a gradient of ones, without a loss that would be timed with it.
        let gradients = backward(&y)?;
        Ok((y, gradients))
    }
}

impl Workload for Convolution {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        BTreeMap::from([
            ("x".to_owned(), self.x.as_tensor().clone()),
            ("weight".to_owned(), self.weight.as_tensor().clone()),
        ])
    }

    /// The mean squares of the output and of both gradients, the weight's scaled to the order of 1.
    fn check(&mut self) -> Result<Vec<f64>> {
        let (y, gradients) = self.forward_backward()?;
        let gradient = |var: &Var| gradients.get(var).map_or(Ok(f64::NAN), mean_square);
        Ok(vec![mean_square(&y)?, gradient(&self.x)?, gradient(&self.weight)? / 4096.0])
    }

    fn run(&mut self) -> Result<()> {
        self.forward_backward()?;
        Ok(())
    }
}

/// The optimiser alone, on the parameters of a ResNet-18 with gradients equal to them.
struct SgdStep {
    params: Params,
    optimizer: Optimizer,
    gradients: GradStore,
}

impl SgdStep {
    fn new() -> Result<Self> {
        let (params, _) = resnet18()?;
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
