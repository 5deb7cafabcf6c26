//! The operations by the names that the cases use.

mod activation;
mod convolution;
mod losses;
mod normalization;
mod optimizers;
mod pair_losses;
mod pooling;
mod regions;
mod sampling;
mod selection;
mod transforms;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use sconce_core::{Tensor, Var, backward};
use serde::Deserialize;

use super::Case;

/// What an operation gave: `out.NAME` and `grad.NAME`.
type Found = BTreeMap<String, Tensor>;

/// Runs a case of one operation.
type Operation = fn(&Case) -> Result<Found>;

/// Every operation that has cases. A later one enters in one of these files.
const OPERATIONS: &[&[(&str, Operation)]] = &[
    activation::OPERATIONS,
    convolution::OPERATIONS,
    losses::OPERATIONS,
    normalization::OPERATIONS,
    optimizers::OPERATIONS,
    pair_losses::OPERATIONS,
    pooling::OPERATIONS,
    regions::OPERATIONS,
    sampling::OPERATIONS,
    selection::OPERATIONS,
    transforms::OPERATIONS,
];

/// Runs the case's operation.
pub(super) fn run(case: &Case) -> Result<Found> {
    match OPERATIONS.iter().copied().flatten().find(|(name, _)| *name == case.op) {
        Some((_, operation)) => operation(case),
        None => bail!("there is no operation of this name"),
    }
}

/// The inputs of a case; those whose gradient is expected are variables.
struct Inputs(BTreeMap<String, Input>);

enum Input {
    Variable(Var),
    Constant(Tensor),
}

impl Inputs {
    fn new(case: &Case) -> Result<Self> {
        let input = |(name, tensor): (&str, &Tensor)| {
            let input = if case.expects_gradient_of(name) {
                Input::Variable(Var::from_tensor(tensor)?)
            } else {
                Input::Constant(tensor.clone())
            };
            Ok((name.to_owned(), input))
        };
        Ok(Self(case.inputs().map(input).collect::<Result<_>>()?))
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        self.find(name).with_context(|| format!("the case has no `in.{name}`"))
    }

    /// The input, if the case has it.
    fn find(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name).map(|input| match input {
            Input::Variable(var) => var.as_tensor(),
            Input::Constant(tensor) => tensor,
        })
    }
}

/// Runs `f`, which gives outputs by name, and feeds the case's gradients into its outputs.
fn differentiate<const N: usize>(
    case: &Case,
    f: impl FnOnce(&Inputs) -> Result<[(&'static str, Tensor); N]>,
) -> Result<Found> {
    let inputs = Inputs::new(case)?;
    let outputs = BTreeMap::from(f(&inputs)?);
    let mut found: Found = outputs.iter().map(|(name, tensor)| (format!("out.{name}"), tensor.clone())).collect();
    for (name, gradient) in case.output_gradients() {
        let output = outputs.get(name).with_context(|| format!("there is no output `{name}`"))?;
        // A backward pass starts from 1; this loss has the gradient `gradient` with respect to the output.
        let gradients = backward(&(output * gradient)?.sum_all()?)?;
        for (name, input) in &inputs.0 {
            if let Input::Variable(var) = input
                && let Some(gradient) = gradients.get(var)
            {
                let sum = match found.get(&format!("grad.{name}")) {
                    Some(other) => (other + gradient)?,
                    None => gradient.clone(),
                };
                found.insert(format!("grad.{name}"), sum);
            }
        }
    }
    Ok(found)
}

/// One number for both directions, or (vertical, horizontal).
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Pair {
    Same(usize),
    Each(usize, usize),
}

impl From<Pair> for (usize, usize) {
    fn from(pair: Pair) -> Self {
        match pair {
            Pair::Same(n) => (n, n),
            Pair::Each(vertical, horizontal) => (vertical, horizontal),
        }
    }
}

/// The attributes of an operation that has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[cfg(test)]
mod tests {
    use sconce_core::Device;

    use super::*;
    use crate::parity::case::tests::case;

    #[test]
    fn an_unknown_operation_is_an_error() {
        let one = Tensor::new(1f32, &Device::Cpu).unwrap();
        assert!(run(&case("frobnicate", "{}", vec![("out.y", one)])).is_err());
    }

    #[test]
    fn an_attribute_that_would_be_ignored_is_an_error() {
        let one = Tensor::new(1f32, &Device::Cpu).unwrap();
        let case = case("relu", r#"{"inplace": true}"#, vec![("in.x", one.clone()), ("out.y", one)]);
        assert!(format!("{:#}", run(&case).unwrap_err()).contains("inplace"));
    }

    #[test]
    fn the_gradient_fed_in_reaches_the_input() {
        let tensor = |v: [f32; 2]| Tensor::new(&v, &Device::Cpu).unwrap();
        let tensors = vec![("in.x", tensor([1.0, -1.0])), ("gout.y", tensor([3.0, 5.0])), ("grad.x", tensor([0.0; 2]))];
        let found = run(&case("relu", "{}", tensors)).unwrap();
        assert_eq!(found["grad.x"].to_vec1::<f32>().unwrap(), [3.0, 0.0]);
    }
}
