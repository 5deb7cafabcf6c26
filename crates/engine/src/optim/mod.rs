//! Optimisers with PyTorch's formulas, parameter groups, and state that can be saved.

mod composed;
mod config;
mod fused;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use sconce_core::{DType, Device, GradStore, Shape, Tensor, Var};

pub use self::config::OptimizerConfig;
use self::{
    config::{Rule, StepNumbers},
    fused::Fused,
};
use crate::{EngineError, Result};

/// Parameters that share a learning rate and a weight decay.
#[derive(Clone, Debug)]
pub struct ParamGroup {
    /// A name for messages.
    pub name: String,
    /// The parameters by name.
    pub params: Vec<(String, Var)>,
    /// What the learning rate is multiplied by.
    pub lr_scale: f64,
    /// A weight decay instead of the optimiser's.
    pub weight_decay: Option<f64>,
}

impl ParamGroup {
    /// All of `params`, at the full learning rate and the optimiser's weight decay.
    pub fn new(name: &str, params: Vec<(String, Var)>) -> Self {
        Self { name: name.to_owned(), params, lr_scale: 1.0, weight_decay: None }
    }
}

/// An optimiser: SGD, Adam or AdamW over groups of parameters.
///
/// On the CPU a step is one pass over each parameter. A parameter without a gradient is left alone, as PyTorch does.
///
/// ```
/// use sconce_core::{Device, Var};
/// use sconce_engine::{Optimizer, OptimizerConfig, ParamGroup};
///
/// let x = Var::new(&[3f32], &Device::Cpu)?;
/// let config = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
/// let mut sgd = Optimizer::new(&config, vec![ParamGroup::new("all", vec![("x".into(), x.clone())])])?;
/// for _ in 0..2 {
///     let grads = x.sum_all()?.backward()?; // 1
///     sgd.step(&grads, 0.5)?;
/// }
/// assert_eq!(x.to_vec1::<f32>()?, [3.0 - 0.5 * 1.0 - 0.5 * 1.9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    /// Sorted by name.
    slots: Vec<Slot>,
}

/// A parameter and what the optimiser knows of it.
#[derive(Debug)]
struct Slot {
    name: String,
    var: Var,
    lr_scale: f64,
    weight_decay: f64,
    /// Steps that this parameter had.
    step: u64,
    /// Momentum (SGD), or first and second moment (Adam); empty before the first step and where there is none.
    moments: Moments,
}

/// Buffers in the shape of a parameter, in memory that a step on the CPU can write to directly.
#[derive(Debug)]
enum Moments {
    F32(Vec<Vec<f32>>),
    F64(Vec<Vec<f64>>),
    /// Of other types, or on other devices.
    Tensors(Vec<Tensor>),
}

impl Optimizer {
    /// An optimiser for `groups`, which share no parameter.
    ///
    /// # Errors
    /// [`EngineError::Config`] if a number is out of its range, [`EngineError::Mismatch`] if a name stands in two groups.
    pub fn new(config: &OptimizerConfig, groups: Vec<ParamGroup>) -> Result<Self> {
        config.validate("optimizer")?;
        let rule = config.rule();
        let mut slots = Vec::new();
        for group in groups {
            let weight_decay = group.weight_decay.unwrap_or_else(|| config.weight_decay());
            for (name, var) in group.params {
                slots.push(Slot {
                    moments: Moments::none(&var),
                    name,
                    var,
                    lr_scale: group.lr_scale,
                    weight_decay,
                    step: 0,
                });
            }
        }
        slots.sort_by(|a, b| a.name.cmp(&b.name));
        match slots.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => {
                let what = format!("parameter `{}` in the groups of an optimiser", pair[0].name);
                Err(EngineError::mismatch(what, "twice", "once"))
            }
            None => Ok(Self { rule, slots }),
        }
    }

    /// Updates every parameter that has a gradient, at the rate `lr` times its group's scale.
    ///
    /// # Errors
    /// [`EngineError::Mismatch`] if a gradient is not like its parameter.
    pub fn step(&mut self, grads: &GradStore, lr: f64) -> Result<()> {
        self.step_scaled(grads, lr, 1.0)
    }

    /// [`Optimizer::step`] with all gradients multiplied by `grad_scale`, which clipping wants, in the same pass.
    ///
    /// # Errors
    /// As [`Optimizer::step`].
    pub fn step_scaled(&mut self, grads: &GradStore, lr: f64, grad_scale: f64) -> Result<()> {
        let rule = self.rule;
        // All parameters at once: after each one, threads would wait for each other. The first error is the one reported.
        let results: Vec<Result<()>> = self
            .slots
            .par_iter_mut()
            .filter_map(|slot| grads.get(&slot.var).map(|grad| slot.update(rule, grad, lr, grad_scale)))
            .collect();
        results.into_iter().collect()
    }

    /// What it updates, sorted by name.
    pub fn params(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.slots.iter().map(|slot| (slot.name.as_str(), &slot.var))
    }

    /// Everything that a later step depends on, by PyTorch's names below each parameter's: `NAME.step` (i64), and
    /// `NAME.momentum_buffer`, or `NAME.exp_avg` and `NAME.exp_avg_sq`.
    ///
    /// # Errors
    /// [`EngineError::Candle`] if a tensor cannot be made.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        for slot in self.slots.iter().filter(|slot| slot.step > 0) {
            state.insert(format!("{}.step", slot.name), Tensor::new(slot.step as i64, &Device::Cpu)?);
            for (moment, tensor) in self.rule.moments().iter().zip(slot.moments.tensors(slot.var.shape())?) {
                state.insert(format!("{}.{moment}", slot.name), tensor);
            }
        }
        Ok(state)
    }

    /// Goes back to what [`Optimizer::state`] gave. Parameters that it does not name have had no step.
    ///
    /// # Errors
    /// [`EngineError::Mismatch`] if a tensor is missing, unexpected, or not like its parameter; nothing has changed then.
    pub fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut expected = BTreeSet::new();
        let mut loaded = Vec::new();
        for slot in &self.slots {
            let step_name = format!("{}.step", slot.name);
            let Some(step) = state.get(&step_name) else {
                loaded.push((0, Moments::none(&slot.var)));
                continue;
            };
            let step = step.to_dtype(DType::I64)?.to_scalar::<i64>()?;
            let step = u64::try_from(step).map_err(|_| mismatch(&step_name, step, "a count"))?;
            expected.insert(step_name);
            let mut tensors = Vec::new();
            for moment in self.rule.moments() {
                let name = format!("{}.{moment}", slot.name);
                let tensor = state.get(&name).ok_or_else(|| mismatch(&name, "nothing", "a tensor"))?;
                if tensor.shape() != slot.var.shape() || tensor.dtype() != slot.var.dtype() {
                    return Err(mismatch(&name, describe(tensor), describe(&slot.var)));
                }
                tensors.push(tensor.clone());
                expected.insert(name);
            }
            loaded.push((step, Moments::from_tensors(&slot.var, tensors)?));
        }
        if let Some(name) = state.keys().find(|name| !expected.contains(*name)) {
            return Err(mismatch(name, "a tensor", "nothing of this name: another model or another optimiser"));
        }
        for (slot, (step, moments)) in self.slots.iter_mut().zip(loaded) {
            (slot.step, slot.moments) = (step, moments);
        }
        Ok(())
    }
}

impl Slot {
    fn update(&mut self, rule: Rule, grad: &Tensor, lr: f64, grad_scale: f64) -> Result<()> {
        if grad.shape() != self.var.shape() || grad.dtype() != self.var.dtype() {
            let what = format!("gradient of `{}`", self.name);
            return Err(EngineError::mismatch(what, describe(grad), describe(&self.var)));
        }
        if self.step == 0 {
            self.moments = Moments::zeros(&self.var, rule.moments().len())?;
        }
        self.step += 1;
        let numbers =
            StepNumbers { lr: lr * self.lr_scale, weight_decay: self.weight_decay, step: self.step, grad_scale };
        match &mut self.moments {
            Moments::Tensors(moments) => composed::step(rule, numbers, &self.var, grad, moments),
            moments => {
                let op = Fused::new(rule, numbers, moments);
                Ok(self.var.as_tensor().inplace_op2(&grad.contiguous()?, &op)?)
            }
        }
    }
}

impl Moments {
    /// None yet, of the kind that suits `var`.
    fn none(var: &Var) -> Self {
        match (var.device(), var.dtype()) {
            (Device::Cpu, DType::F32) => Self::F32(Vec::new()),
            (Device::Cpu, DType::F64) => Self::F64(Vec::new()),
            _ => Self::Tensors(Vec::new()),
        }
    }

    fn zeros(var: &Var, n: usize) -> Result<Self> {
        let len = var.elem_count();
        Ok(match Self::none(var) {
            Self::F32(_) => Self::F32(vec![vec![0.0; len]; n]),
            Self::F64(_) => Self::F64(vec![vec![0.0; len]; n]),
            Self::Tensors(_) => Self::Tensors((0..n).map(|_| var.zeros_like()).collect::<candle_core::Result<_>>()?),
        })
    }

    fn from_tensors(var: &Var, tensors: Vec<Tensor>) -> Result<Self> {
        let flat = || tensors.iter().map(Tensor::flatten_all);
        Ok(match Self::none(var) {
            Self::F32(_) => Self::F32(flat().map(|t| t?.to_vec1()).collect::<candle_core::Result<_>>()?),
            Self::F64(_) => Self::F64(flat().map(|t| t?.to_vec1()).collect::<candle_core::Result<_>>()?),
            Self::Tensors(_) => {
                Self::Tensors(tensors.iter().map(|t| t.to_device(var.device())).collect::<candle_core::Result<_>>()?)
            }
        })
    }

    fn tensors(&self, shape: &Shape) -> Result<Vec<Tensor>> {
        Ok(match self {
            Self::F32(moments) => moments
                .iter()
                .map(|m| Tensor::from_slice(m, shape, &Device::Cpu))
                .collect::<candle_core::Result<_>>()?,
            Self::F64(moments) => moments
                .iter()
                .map(|m| Tensor::from_slice(m, shape, &Device::Cpu))
                .collect::<candle_core::Result<_>>()?,
            Self::Tensors(moments) => moments.clone(),
        })
    }
}

fn mismatch(name: &str, found: impl ToString, expected: impl ToString) -> EngineError {
    EngineError::mismatch(format!("optimiser state `{name}`"), found, expected)
}

fn describe(tensor: &Tensor) -> String {
    format!("{:?} of {:?}", tensor.dims(), tensor.dtype())
}
