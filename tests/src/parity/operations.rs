//! The operations by the names that the cases use.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use sconce_core::{
    DType, Tensor, Var, backward,
    ops::{
        self, Activation, AvgPool2dParams, Conv2dParams, CrossEntropyParams, MaxPool2dParams, Reduction, RunningStats,
    },
};
use sconce_engine::{Optimizer, OptimizerConfig, ParamGroup};
use sconce_scn::{Combine, Groups};
use serde::Deserialize;

use super::Case;

/// What an operation gave: `out.NAME` and `grad.NAME`.
type Found = BTreeMap<String, Tensor>;

/// Runs a case of one operation.
type Operation = fn(&Case) -> Result<Found>;

/// Every operation that has cases. A later one enters here.
const OPERATIONS: &[(&str, Operation)] = &[
    ("adam", optimizer),
    ("adamw", optimizer),
    ("adaptive_avg_pool2d", adaptive_avg_pool2d),
    ("avg_pool2d", avg_pool2d),
    ("batch_norm_eval", batch_norm_eval),
    ("batch_norm_train", batch_norm_train),
    ("conv2d", conv2d),
    ("cross_entropy", cross_entropy),
    ("grad_reverse", grad_reverse),
    ("log_softmax", log_softmax),
    ("max_pool2d", max_pool2d),
    ("relu", relu),
    ("scn_loss", scn_loss),
    ("sgd", optimizer),
    ("soft_cross_entropy", soft_cross_entropy),
];

/// Runs the case's operation.
pub(super) fn run(case: &Case) -> Result<Found> {
    match OPERATIONS.iter().find(|(name, _)| *name == case.op) {
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

fn conv2d(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: usize,
    }
    let Attrs { stride, padding, dilation, groups } = case.attrs()?;
    let params = Conv2dParams { stride: stride.into(), padding: padding.into(), dilation: dilation.into(), groups };
    differentiate(case, |inputs| {
        Ok([("y", ops::conv2d(inputs.get("x")?, inputs.get("weight")?, inputs.find("bias"), &params)?)])
    })
}

fn batch_norm_train(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        eps: f64,
        momentum: f64,
    }
    let Attrs { eps, momentum } = case.attrs()?;
    differentiate(case, |inputs| {
        let (x, weight, bias) = (inputs.get("x")?, inputs.get("weight")?, inputs.get("bias")?);
        // The format has every case start from mean 0 and variance 1.
        let (mean, var) = (bias.zeros_like()?, bias.ones_like()?);
        let running = RunningStats { mean: &mean, var: &var, momentum };
        let y = ops::batch_norm_train(x, weight, bias, &running, eps, Activation::None)?;
        Ok([("y", y), ("running_mean", mean), ("running_var", var)])
    })
}

fn batch_norm_eval(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        eps: f64,
    }
    let Attrs { eps } = case.attrs()?;
    differentiate(case, |inputs| {
        let (x, weight, bias) = (inputs.get("x")?, inputs.get("weight")?, inputs.get("bias")?);
        let statistics = (inputs.get("running_mean")?, inputs.get("running_var")?);
        Ok([("y", ops::batch_norm_eval(x, weight, bias, statistics, eps, Activation::None)?)])
    })
}

fn relu(case: &Case) -> Result<Found> {
    let Nothing {} = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::relu(inputs.get("x")?)?)]))
}

fn max_pool2d(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        ceil_mode: bool,
    }
    let Attrs { kernel_size, stride, padding, ceil_mode } = case.attrs()?;
    let params =
        MaxPool2dParams { kernel_size: kernel_size.into(), stride: stride.into(), padding: padding.into(), ceil_mode };
    differentiate(case, |inputs| Ok([("y", ops::max_pool2d(inputs.get("x")?, &params)?)]))
}

fn avg_pool2d(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        #[serde(default)]
        ceil_mode: bool,
        count_include_pad: bool,
    }
    let Attrs { kernel_size, stride, padding, ceil_mode, count_include_pad } = case.attrs()?;
    let params = AvgPool2dParams {
        kernel_size: kernel_size.into(),
        stride: stride.into(),
        padding: padding.into(),
        ceil_mode,
        count_include_pad,
    };
    differentiate(case, |inputs| Ok([("y", ops::avg_pool2d(inputs.get("x")?, &params)?)]))
}

fn adaptive_avg_pool2d(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        output_size: Pair,
    }
    let Attrs { output_size } = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::adaptive_avg_pool2d(inputs.get("x")?, output_size.into())?)]))
}

fn log_softmax(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        dim: usize,
    }
    let Attrs { dim } = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::log_softmax(inputs.get("x")?, dim)?)]))
}

fn grad_reverse(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        lambda_: f64,
    }
    let Attrs { lambda_ } = case.attrs()?;
    differentiate(case, |inputs| Ok([("y", ops::gradient_reversal(inputs.get("x")?, lambda_)?)]))
}

/// PyTorch's names of [`Reduction`].
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReductionName {
    None,
    Mean,
    Sum,
}

impl From<ReductionName> for Reduction {
    fn from(name: ReductionName) -> Self {
        match name {
            ReductionName::None => Self::None,
            ReductionName::Mean => Self::Mean,
            ReductionName::Sum => Self::Sum,
        }
    }
}

fn cross_entropy(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        reduction: ReductionName,
        ignore_index: Option<i64>,
        #[serde(default)]
        label_smoothing: f64,
    }
    let Attrs { reduction, ignore_index, label_smoothing } = case.attrs()?;
    differentiate(case, |inputs| {
        let weight = inputs.find("weight").cloned();
        let params = CrossEntropyParams { weight, ignore_index, label_smoothing, reduction: reduction.into() };
        Ok([("y", ops::cross_entropy(inputs.get("x")?, inputs.get("target")?, &params)?)])
    })
}

fn soft_cross_entropy(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        reduction: ReductionName,
    }
    let Attrs { reduction } = case.attrs()?;
    differentiate(case, |inputs| {
        Ok([("y", ops::soft_cross_entropy(inputs.get("x")?, inputs.get("target")?, reduction.into())?)])
    })
}

fn scn_loss(case: &Case) -> Result<Found> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum How {
        Sum,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attrs {
        beta: f64,
        margin: f64,
        combine: How,
    }
    let Attrs { beta, margin, combine: How::Sum } = case.attrs()?;
    differentiate(case, |inputs| {
        let (logits, alpha, target) = (inputs.get("logits")?, inputs.get("alpha")?, inputs.get("target")?);
        let weighted = logits.broadcast_mul(&alpha.unsqueeze(1)?)?; // (B, C)
        let wce = sconce_scn::weighted_cross_entropy(&weighted, target)?;
        let groups = Groups::split(alpha, beta)?;
        let margin = Tensor::new(margin, alpha.device())?.to_dtype(alpha.dtype())?;
        let rank = sconce_scn::rank_regularization(alpha, &groups, &margin)?;
        Ok([("y", sconce_scn::combine(&wce, &rank, Combine::Sum)?), ("wce", wce), ("rank_regularization", rank)])
    })
}

/// Steps on `param` with `grad0`, `grad1`, … in turn.
fn optimizer(case: &Case) -> Result<Found> {
    let inputs = Inputs::new(case)?;
    let param = Var::from_tensor(inputs.get("param")?)?;
    let (config, lr) = optimizer_config(case)?;
    let group = ParamGroup {
        name: "all".to_owned(),
        params: vec![("param".to_owned(), param.clone())],
        lr_scale: 1.0,
        weight_decay: None,
    };
    let mut optimizer = Optimizer::new(&config, vec![group])?;
    for step in 0.. {
        let Some(gradient) = inputs.find(&format!("grad{step}")) else { break };
        // A loss that has this gradient.
        let gradients = backward(&(param.as_tensor() * gradient)?.sum_all()?)?;
        optimizer.step(&gradients, lr)?;
    }
    Ok(BTreeMap::from([("out.param".to_owned(), param.as_tensor().to_dtype(DType::F32)?)]))
}

/// The optimiser that a case is about: PyTorch's attributes without `lr` are our configuration.
fn optimizer_config(case: &Case) -> Result<(OptimizerConfig, f64)> {
    let mut attrs: serde_json::Map<String, serde_json::Value> = case.attrs()?;
    let lr = attrs.remove("lr").and_then(|lr| lr.as_f64()).context("attrs have no number `lr`")?;
    attrs.insert("name".to_owned(), case.op.as_str().into());
    let config = serde_json::from_value(attrs.into()).context("attrs")?;
    Ok((config, lr))
}

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
