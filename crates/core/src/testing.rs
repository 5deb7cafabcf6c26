//! Checks that every differentiable operation is held to, and every binary (feature `testing`).

pub mod cli;

use crate::{DType, Result, Rng, Tensor, Var};

/// Panics unless the gradient that `f` gives for each of `inputs` agrees with central differences, in f64.
///
/// The outputs are weighted unevenly, so that no gradient cancels.
///
/// # Panics
/// If a gradient is missing or differs by more than 1e-6 of its size, or `f` fails.
#[track_caller]
pub fn check_gradients(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let vars: Vec<Var> = inputs.iter().map(|t| to_var(t).expect("inputs are tensors of floats")).collect();
    let tensors = |vars: &[Var]| -> Vec<Tensor> { vars.iter().map(|v| v.as_tensor().clone()).collect() };
    let loss = |inputs: &[Tensor]| -> Result<Tensor> {
        let y = f(inputs)?;
        let weights = Rng::new(0, "output weights").uniform_tensor((-1.0, 1.0), y.shape(), y.dtype(), y.device())?;
        Ok((y * weights)?.sum_all()?)
    };
    let run = |inputs: &[Tensor]| loss(inputs).expect("the operation fails");
    let gradients = run(&tensors(&vars)).backward().expect("the backward pass fails");
    for (which, var) in vars.iter().enumerate() {
        let gradient = gradients.get(var).unwrap_or_else(|| panic!("no gradient reached input {which}"));
        let ours: Vec<f64> = flat(gradient);
        let base: Vec<f64> = flat(var);
        for i in 0..base.len() {
            let at = |step: f64| {
                let mut values = base.clone();
                values[i] += step;
                let mut moved = tensors(&vars);
                moved[which] = Tensor::from_vec(values, var.shape(), var.device()).expect("the shape is its own");
                run(&moved).to_scalar::<f64>().expect("the loss is a scalar")
            };
            const STEP: f64 = 1e-5;
            let numeric = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            let error = (ours[i] - numeric).abs();
            assert!(
                error <= 1e-6 * numeric.abs().max(1.0),
                "input {which}, element {i}: gradient {}, by differences {numeric}",
                ours[i]
            );
        }
    }
}

fn to_var(t: &Tensor) -> Result<Var> {
    Ok(Var::from_tensor(&t.to_dtype(DType::F64)?.contiguous()?)?)
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.flatten_all().and_then(|t| t.to_vec1()).expect("a gradient is a tensor of f64")
}
