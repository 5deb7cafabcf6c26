//! A step made of Candle's operations, for devices and types that have no fused one.

use sconce_core::{Tensor, Var};

use super::config::{Rule, StepNumbers};
use crate::Result;

/// Updates `var` from `grad`, and `moments` in passing.
pub(super) fn step(rule: Rule, numbers: StepNumbers, var: &Var, grad: &Tensor, moments: &mut [Tensor]) -> Result<()> {
    // Detached: a graph of the optimiser's arithmetic would keep every step alive.
    let p = var.as_detached_tensor();
    let grad = (grad.detach() * numbers.grad_scale)?;
    let decayed = |l2: f64, p: &Tensor| if l2 == 0.0 { Ok(grad.clone()) } else { &grad + (p * l2)? };
    let updated = match (rule, moments) {
        (Rule::Sgd { momentum, nesterov }, [buffer]) => {
            let g = decayed(numbers.weight_decay, &p)?;
            *buffer = ((&*buffer * momentum)? + &g)?;
            let direction = if nesterov { (g + (&*buffer * momentum)?)? } else { buffer.clone() };
            (p - (direction * numbers.lr)?)?
        }
        (Rule::Sgd { .. }, _) => (&p - (decayed(numbers.weight_decay, &p)? * numbers.lr)?)?,
        (Rule::Adam { betas, eps, decoupled }, [m, v]) => {
            let n = numbers.adam(betas, decoupled);
            let p = (p * n.shrink)?;
            let g = decayed(n.l2, &p)?;
            *m = ((&*m * betas[0])? + (&g * (1.0 - betas[0]))?)?;
            *v = ((&*v * betas[1])? + (g.sqr()? * (1.0 - betas[1]))?)?;
            let denominator = ((v.sqrt()? / n.root)? + eps)?;
            (p - ((&*m / denominator)? * n.step_size)?)?
        }
        (Rule::Adam { .. }, _) => unreachable!("Moments::zeros and load_state make as many as Rule::moments names"),
    };
    Ok(var.set(&updated)?)
}
