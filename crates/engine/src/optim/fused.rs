//! A step on the CPU: one pass over parameter, gradient and moments.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, InplaceOp2, Layout, WithDType};
use rayon::prelude::*;

use super::{
    Moments,
    config::{Rule, StepNumbers},
};

/// Elements that one task updates: 256 KiB of f32, so that a task's slices stay in its core's cache.
const CHUNK: usize = 1 << 16;

/// Updates the parameter that it is applied to from the gradient, and the moments in passing.
pub(super) struct Fused<'a> {
    rule: Rule,
    numbers: StepNumbers,
    /// Candle hands an operation out by shared reference; nobody else holds this one.
    moments: Mutex<&'a mut Moments>,
}

impl<'a> Fused<'a> {
    pub(super) fn new(rule: Rule, numbers: StepNumbers, moments: &'a mut Moments) -> Self {
        Self { rule, numbers, moments: Mutex::new(moments) }
    }
}

impl InplaceOp2 for Fused<'_> {
    fn name(&self) -> &'static str {
        "optimizer step"
    }

    fn cpu_fwd(&self, dst: &mut CpuStorage, dl: &Layout, src: &CpuStorage, sl: &Layout) -> candle_core::Result<()> {
        let (Some((d0, d1)), Some((s0, s1))) = (dl.contiguous_offsets(), sl.contiguous_offsets()) else {
            candle_core::bail!("optimizer step: parameters must be contiguous");
        };
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        match (dst, src, &mut **moments) {
            (CpuStorage::F32(p), CpuStorage::F32(g), Moments::F32(m)) => {
                step(self.rule, self.numbers, &mut p[d0..d1], &g[s0..s1], m);
            }
            (CpuStorage::F64(p), CpuStorage::F64(g), Moments::F64(m)) => {
                step(self.rule, self.numbers, &mut p[d0..d1], &g[s0..s1], m);
            }
            _ => candle_core::bail!("optimizer step: parameter and gradient must both be f32 or f64"),
        }
        Ok(())
    }
}

/// The types that a step computes in.
trait Real: WithDType {
    fn sqrt(self) -> Self;
}

impl Real for f32 {
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

impl Real for f64 {
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

fn step<T: Real>(rule: Rule, numbers: StepNumbers, p: &mut [T], g: &[T], moments: &mut [Vec<T>]) {
    let t = T::from_f64;
    let (scale, decay) = (t(numbers.grad_scale), t(numbers.weight_decay));
    match (rule, moments) {
        (Rule::Sgd { momentum, nesterov }, [buffer]) => {
            let (lr, momentum) = (t(numbers.lr), t(momentum));
            each2(p, g, buffer, |p, g, b| {
                let g = scale * g + decay * *p;
                // The buffer starts at zero, so that the first step makes it `g`.
                *b = momentum * *b + g;
                *p -= lr * if nesterov { g + momentum * *b } else { *b };
            });
        }
        (Rule::Sgd { .. }, _) => {
            let lr = t(numbers.lr);
            each1(p, g, |p, g| *p -= lr * (scale * g + decay * *p));
        }
        (Rule::Adam { betas, eps, decoupled }, [m, v]) => {
            let n = numbers.adam(betas, decoupled);
            let (shrink, l2, step_size, root, eps) = (t(n.shrink), t(n.l2), t(n.step_size), t(n.root), t(eps));
            let (take1, keep2, take2) = (t(1.0 - betas[0]), t(betas[1]), t(1.0 - betas[1]));
            each3(p, g, m, v, |p, g, m, v| {
                *p *= shrink;
                let g = scale * g + l2 * *p;
                *m += take1 * (g - *m);
                *v = keep2 * *v + take2 * g * g;
                *p -= step_size * (*m / (v.sqrt() / root + eps));
            });
        }
        (Rule::Adam { .. }, _) => unreachable!("Moments::zeros and load_state make as many as Rule::moments names"),
    }
}

fn each1<T: Real>(p: &mut [T], g: &[T], f: impl Fn(&mut T, T) + Sync) {
    p.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).for_each(|(p, g)| {
        p.iter_mut().zip(g).for_each(|(p, &g)| f(p, g));
    });
}

fn each2<T: Real>(p: &mut [T], g: &[T], a: &mut [T], f: impl Fn(&mut T, T, &mut T) + Sync) {
    p.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).zip(a.par_chunks_mut(CHUNK)).for_each(|((p, g), a)| {
        p.iter_mut().zip(g).zip(a).for_each(|((p, &g), a)| f(p, g, a));
    });
}

fn each3<T: Real>(p: &mut [T], g: &[T], a: &mut [T], b: &mut [T], f: impl Fn(&mut T, T, &mut T, &mut T) + Sync) {
    let moments = a.par_chunks_mut(CHUNK).zip(b.par_chunks_mut(CHUNK));
    p.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).zip(moments).for_each(|((p, g), (a, b))| {
        p.iter_mut().zip(g).zip(a.iter_mut().zip(b)).for_each(|((p, &g), (a, b))| f(p, g, a, b));
    });
}
