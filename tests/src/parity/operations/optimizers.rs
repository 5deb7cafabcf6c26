//! Optimisers: steps on one parameter.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use sconce_core::{DType, Var, backward};
use sconce_engine::{Optimizer, OptimizerConfig, ParamGroup};

use super::{Case, Found, Inputs, Operation};

pub(super) const OPERATIONS: &[(&str, Operation)] = &[("adam", optimizer), ("adamw", optimizer), ("sgd", optimizer)];

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
