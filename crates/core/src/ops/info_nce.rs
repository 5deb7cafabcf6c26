//! The contrastive loss with a queue of negatives (He et al., "Momentum Contrast", 2020, eq. 1).

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{
        Mat, Real,
        formula::{dot, sum},
        gradient_of, kernel, product, slice, slices, with_real,
    },
    exp::Exp,
    node::{Keep, apply2},
};

use super::arguments::{real_only, same_real};

const NAME: &str = "info_nce";

/// The mean over `n` of `−log(exp(q_n·k_n / T) / (exp(q_n·k_n / T) + Σ_j exp(q_n·queue_j / T)))`: the cross-entropy of telling
/// each query's own key from all keys of the queue.
///
/// Queries and keys are taken as they are; MoCo has them of length 1, see [`normalize`](super::normalize). No matrix of
/// logits is kept: the queue is gone through in blocks, and the queries' gradient is gathered on the way.
///
/// # Shapes
/// - `q`, `k`: `(N, D)`, queries and their keys; both have a gradient
/// - `queue`: `(D, K)`, a key a column; a constant, which receives no gradient
/// - output: `()`
///
/// # Errors
/// [`Error::Argument`] if shapes or types do not fit or have a zero, or `temperature` is not above 0 and finite.
pub fn info_nce(q: &Tensor, k: &Tensor, queue: &Tensor, temperature: f64) -> Result<Tensor> {
    check(q, k, queue, temperature)?;
    let op = InfoNce {
        queue: queue.detach().contiguous()?,
        temperature,
        // Half of the work, and only for the gradient of q.
        mixes: q.track_op(),
        saved: OnceLock::new(),
    };
    Ok(apply2([&q.contiguous()?, &k.contiguous()?], Keep::Inputs, op)?)
}

/// The logits of [`info_nce`], the own key's first: `[q_n·k_n, q_n·queue_1, …] / T`. They are constants, without a gradient:
/// for accuracies, say.
///
/// # Shapes
/// - `q`, `k`: `(N, D)`; `queue`: `(D, K)`
/// - output: `(N, 1 + K)`
///
/// # Errors
/// As [`info_nce`].
pub fn info_nce_logits(q: &Tensor, k: &Tensor, queue: &Tensor, temperature: f64) -> Result<Tensor> {
    check(q, k, queue, temperature)?;
    let (n, width) = (q.dims()[0], 1 + queue.dims()[1]);
    let (q, k, queue) = (q.contiguous()?, k.contiguous()?, queue.contiguous()?);
    let logits = with_real!(NAME, q.dtype(), T => {
        slices!(NAME, T, qs = q, ks = k, queue = queue);
        let inputs = Inputs { q: &scaled(qs, 1.0 / temperature), k: ks, queue, d: q.dims()[1] };
        Tensor::from_vec(inputs.logits(), (n, width), q.device())
    })?;
    Ok(logits)
}

fn check(q: &Tensor, k: &Tensor, queue: &Tensor, temperature: f64) -> Result<()> {
    let &[n, d] = q.dims() else {
        return Err(Error::argument(NAME, "q", q.dims(), "a shape (N, D)"));
    };
    if n == 0 || d == 0 {
        return Err(Error::argument(NAME, "q", q.dims(), "no zero in its shape"));
    }
    if k.dims() != [n, d] {
        return Err(Error::argument(NAME, "k", k.dims(), format!("[{n}, {d}]")));
    }
    if !matches!(*queue.dims(), [rows, columns] if rows == d && columns > 0) {
        return Err(Error::argument(NAME, "queue", queue.dims(), format!("[{d}, K] with at least one key")));
    }
    real_only(NAME, q)?;
    same_real(NAME, "k", k, q)?;
    same_real(NAME, "queue", queue, q)?;
    if temperature > 0.0 && temperature.is_finite() {
        return Ok(());
    }
    Err(Error::argument(NAME, "temperature", temperature, "above 0 and finite"))
}

fn scaled<T: Real>(x: &[T], factor: f64) -> Vec<T> {
    let factor = T::from_f64(factor);
    x.iter().map(|&x| x * factor).collect()
}

/// Queries of one task.
const ROWS: usize = 128;
/// Keys of one task.
const SEGMENT: usize = 8192;
/// Keys of one block, whose logits stay in the cache.
const KEYS: usize = 512;

struct Inputs<'a, T> {
    /// Divided by the temperature already.
    q: &'a [T],
    k: &'a [T],
    queue: &'a [T],
    d: usize,
}

/// What some queries see of a segment of the queue, all relative to the largest logit there: for each query that logit,
/// `Σ exp(logit − max)`, and, if wanted, the keys' sum with these weights.
struct Partial<T> {
    max: Vec<T>,
    sum: Vec<T>,
    mixed: Vec<T>,
}

impl<T: Exp> Inputs<'_, T> {
    fn n(&self) -> usize {
        self.q.len() / self.d
    }

    /// Keys of the queue.
    fn keys(&self) -> usize {
        self.queue.len() / self.d
    }

    /// The logit of each query's own key.
    fn own_logits(&self) -> Vec<T> {
        let pairs = self.q.chunks_exact(self.d).zip(self.k.chunks_exact(self.d));
        pairs.map(|(q, k)| dot(q, k)).collect()
    }

    fn logits(&self) -> Vec<T> {
        const QUERIES: usize = 16;
        let (d, keys) = (self.d, self.keys());
        let mut logits = vec![T::zero(); self.n() * (1 + keys)];
        let own = self.own_logits();
        logits.par_chunks_mut(QUERIES * (1 + keys)).enumerate().for_each(|(i, logits)| {
            let n = logits.len() / (1 + keys);
            let q = Mat::row_major(&self.q[i * QUERIES * d..][..n * d], n, d);
            product(&mut logits[1..], 1 + keys, false, q, Mat::row_major(self.queue, d, keys));
            logits.iter_mut().step_by(1 + keys).zip(&own[i * QUERIES..]).for_each(|(logit, &own)| *logit = own);
        });
        logits
    }

    /// The partial results of every segment, segment by segment of the first `ROWS` queries, then of the next.
    fn partials(&self, mixes: bool) -> Vec<Partial<T>> {
        let segments = self.keys().div_ceil(SEGMENT);
        (0..self.n().div_ceil(ROWS) * segments)
            .into_par_iter()
            .map(|task| self.partial(task / segments * ROWS, task % segments * SEGMENT, mixes))
            .collect()
    }

    fn partial(&self, first_query: usize, first_key: usize, mixes: bool) -> Partial<T> {
        let (d, all) = (self.d, self.keys());
        let rows = ROWS.min(self.n() - first_query);
        let q = Mat::row_major(&self.q[first_query * d..][..rows * d], rows, d);
        let (max, sum) = (vec![T::neg_infinity(); rows], vec![T::zero(); rows]);
        let mut found = Partial { max, sum, mixed: vec![T::zero(); if mixes { rows * d } else { 0 }] };
        let (mut keys, mut logits) = (Vec::with_capacity(d * KEYS), vec![T::zero(); rows * KEYS]);
        let end = all.min(first_key + SEGMENT);
        for start in (first_key..end).step_by(KEYS) {
            let n = KEYS.min(end - start);
            keys.clear();
            self.queue.chunks_exact(all).for_each(|row| keys.extend_from_slice(&row[start..][..n]));
            let keys = Mat::row_major(&keys, d, n);
            let logits = &mut logits[..rows * n];
            product(logits, n, false, q, keys);
            absorb(&mut found, logits, n, d);
            if mixes {
                product(&mut found.mixed, d, true, Mat::row_major(logits, rows, n), keys.t());
            }
        }
        found
    }
}

kernel! {
    fn absorb<'a, T: Exp>(partial: &'a mut Partial<T>, logits: &'a mut [T], n: usize, d: usize) -> () {
        partial.absorb(logits, n, d);
    }
}

impl<T: Exp> Partial<T> {
    /// Takes in a block of logits, `n` a query, and turns them into their keys' weights.
    #[inline(always)]
    fn absorb(&mut self, logits: &mut [T], n: usize, d: usize) {
        for (i, logits) in logits.chunks_exact_mut(n).enumerate() {
            let found = largest(logits);
            let max = if found > self.max[i] { found } else { self.max[i] };
            for logit in &mut *logits {
                *logit = (*logit - max).fast_exp();
            }
            let weights = sum(logits);
            if max == self.max[i] {
                self.sum[i] += weights;
                continue;
            }
            // What was found so far was relative to a smaller logit.
            let shrink = (self.max[i] - max).fast_exp();
            self.sum[i] = self.sum[i] * shrink + weights;
            if !self.mixed.is_empty() {
                self.mixed[i * d..][..d].iter_mut().for_each(|mixed| *mixed *= shrink);
            }
            self.max[i] = max;
        }
    }
}

/// The largest of some numbers, NaN passed over.
#[inline(always)]
fn largest<T: Real>(x: &[T]) -> T {
    const LANES: usize = 16;
    let larger = |a: T, b: T| if b > a { b } else { a };
    let mut lanes = [T::neg_infinity(); LANES];
    let (chunks, tail) = x.as_chunks::<LANES>();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &x)| *lane = larger(*lane, x));
    }
    lanes.iter().chain(tail).copied().fold(T::neg_infinity(), larger)
}

/// What the backward pass needs, for each query.
struct Saved {
    /// One less the probability of the own key.
    miss: Vec<f64>,
    /// The mean of all keys of the queue, weighted by their probabilities; empty if nobody wants it.
    mixed: Vec<f64>,
}

struct InfoNce {
    queue: Tensor,
    temperature: f64,
    mixes: bool,
    saved: OnceLock<Saved>,
}

impl InfoNce {
    /// The loss, and what the backward pass needs.
    fn forward<T: Exp>(&self, inputs: &Inputs<'_, T>) -> (T, Saved) {
        let (n, d) = (inputs.n(), inputs.d);
        let own = inputs.own_logits();
        let partials = inputs.partials(self.mixes);
        let segments = partials.len() / n.div_ceil(ROWS);
        let mut saved = Saved { miss: Vec::with_capacity(n), mixed: vec![0.0; if self.mixes { n * d } else { 0 }] };
        let mut loss = 0.0;
        for (i, own) in own.iter().map(|&own| own.to_f64()).enumerate() {
            let (row, partials) = (i % ROWS, &partials[i / ROWS * segments..][..segments]);
            let max = partials.iter().fold(own, |max, partial| partial.max[row].to_f64().max(max));
            let weights = partials.iter().map(|partial| (partial.max[row].to_f64() - max).exp());
            let others: f64 = weights.clone().zip(partials).map(|(w, partial)| w * partial.sum[row].to_f64()).sum();
            let total = (own - max).exp() + others;
            loss += max - own + total.ln();
            saved.miss.push(others / total);
            if self.mixes {
                for (weight, partial) in weights.zip(partials) {
                    let (mixed, found) = (&mut saved.mixed[i * d..][..d], &partial.mixed[row * d..][..d]);
                    mixed.iter_mut().zip(found).for_each(|(mixed, &x)| *mixed += weight / total * x.to_f64());
                }
            }
        }
        (T::from_f64(loss / n as f64), saved)
    }

    /// The gradient of the queries: `(mixed − miss · k) / T`, each with its share of the mean.
    fn gradient_of_queries<T: Real>(&self, saved: &Saved, k: &[T], grad: T, d: usize) -> Vec<T> {
        let share = self.share(saved, grad);
        let queries = saved.miss.iter().zip(saved.mixed.chunks_exact(d)).zip(k.chunks_exact(d));
        let terms = queries.flat_map(|((miss, mixed), k)| {
            mixed.iter().zip(k).map(move |(mixed, &k)| T::from_f64(share * (mixed - miss * k.to_f64())))
        });
        terms.collect()
    }

    /// The gradient of the keys: `−miss · q / T`.
    fn gradient_of_keys<T: Real>(&self, saved: &Saved, q: &[T], grad: T, d: usize) -> Vec<T> {
        let share = self.share(saved, grad);
        let keys = saved.miss.iter().zip(q.chunks_exact(d));
        keys.flat_map(|(miss, q)| q.iter().map(move |&q| T::from_f64(-share * miss * q.to_f64()))).collect()
    }

    fn share<T: Real>(&self, saved: &Saved, grad: T) -> f64 {
        grad.to_f64() / self.temperature / saved.miss.len() as f64
    }
}

impl CustomOp2 for InfoNce {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        ql: &Layout,
        k: &CpuStorage,
        kl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, q.dtype(), T => {
            slices!(NAME, T, queue = self.queue);
            let (q, k) = (scaled(slice::<T>(NAME, q, ql)?, 1.0 / self.temperature), slice::<T>(NAME, k, kl)?);
            let (loss, saved) = self.forward(&Inputs { q: &q, k, queue, d: ql.dims()[1] });
            self.saved.get_or_init(|| saved);
            Ok((T::to_cpu_storage_owned(vec![loss]), ().into()))
        })
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(saved) = self.saved.get() else {
            candle_core::bail!("{NAME}: backward before forward");
        };
        let (d, grad) = (q.dim(1)?, grad.contiguous()?);
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, qs = q, ks = k, gs = grad);
            let gq = q.track_op().then(|| self.gradient_of_queries::<T>(saved, ks, gs[0], d));
            let gk = k.track_op().then(|| self.gradient_of_keys::<T>(saved, qs, gs[0], d));
            Ok((gradient_of(q, gq)?, gradient_of(k, gk)?))
        })
    }
}
