//! Operations and small networks as functions of tensors, with the gradients of some of them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use sconce_core::{
    GradStore, Tensor, Var, backward,
    ops::{self, Conv2dParams},
};

use super::{Workload, WorkloadSpec, mean_square, normal};

pub(super) const WORKLOADS: &[WorkloadSpec] =
    &[WorkloadSpec { name: "conv2d 3x3 64 ch 16x16 b16 forward+backward", make: conv2d }];

/// A convolution as in the first stage of a small ResNet.
fn conv2d() -> Result<Box<dyn Workload>> {
    let inputs = vec![("x", normal("x", &[16, 64, 16, 16])?), ("weight", (normal("weight", &[64, 64, 3, 3])? / 24.0)?)];
    Differentiable::boxed(inputs, &["x", "weight"], |inputs| {
        let params = Conv2dParams { padding: (1, 1), ..Conv2dParams::default() };
        Ok(ops::conv2d(&inputs["x"], &inputs["weight"], None, &params)?) // (16, 64, 16, 16)
    })
}

/// Inputs of a function by name; those that it is differentiated by are variables.
pub(super) type Inputs = BTreeMap<&'static str, Tensor>;

/// A function whose value and gradients are computed from a gradient of ones, without a loss that would be timed with it.
pub(super) struct Differentiable {
    inputs: Inputs,
    vars: Vec<(&'static str, Var)>,
    forward: fn(&Inputs) -> Result<Tensor>,
}

impl Differentiable {
    /// The function `forward` of `inputs`, to be differentiated by those named in `by`.
    pub(super) fn boxed(
        inputs: Vec<(&'static str, Tensor)>,
        by: &[&'static str],
        forward: fn(&Inputs) -> Result<Tensor>,
    ) -> Result<Box<dyn Workload>> {
        let mut inputs: Inputs = inputs.into_iter().collect();
        let mut vars = Vec::new();
        for &name in by {
            let input = inputs.get_mut(name).with_context(|| format!("there is no input `{name}`"))?;
            let var = Var::from_tensor(input)?;
            *input = var.as_tensor().clone();
            vars.push((name, var));
        }
        Ok(Box::new(Self { inputs, vars, forward }))
    }

    fn forward_backward(&self) -> Result<(Tensor, GradStore)> {
        let y = (self.forward)(&self.inputs)?;
        let gradients = backward(&y)?;
        Ok((y, gradients))
    }
}

impl Workload for Differentiable {
    fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.inputs.iter().map(|(&name, tensor)| (name.to_owned(), tensor.clone())).collect()
    }

    /// The mean squares of the output and of all gradients.
    fn check(&mut self) -> Result<Vec<f64>> {
        let (y, gradients) = self.forward_backward()?;
        let gradient = |(name, var): &(&str, Var)| {
            mean_square(gradients.get(var).with_context(|| format!("no gradient reached `{name}`"))?)
        };
        std::iter::once(mean_square(&y)).chain(self.vars.iter().map(gradient)).collect()
    }

    fn run(&mut self) -> Result<()> {
        self.forward_backward()?;
        Ok(())
    }
}
