//! What the losses of pairs (prediction, target) share, taken element by element.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, WithDType as _, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{self, CHUNK, dispatch, formula::sum, gradient_of, slice, slices, with_real},
    exp::Exp,
    node::{Keep, apply2},
};

use super::{arguments::real_only, reduction::Reduction};

/// A loss of one pair. `factor` is 1 unless the loss was given factors.
pub(super) trait PairLoss: Send + Sync + 'static {
    const NAME: &'static str;

    fn value<T: Exp>(&self, x: T, target: T, factor: T) -> T;

    /// The derivatives by `x` and by `target`.
    fn slopes<T: Exp>(&self, x: T, target: T, factor: T) -> (T, T);
}

/// Constants for each element, of the shape of `x` and contiguous.
#[derive(Default)]
pub(super) struct Constants {
    /// What the element's loss is multiplied by.
    pub(super) weight: Option<Tensor>,
    /// The loss's own factor.
    pub(super) factor: Option<Tensor>,
}

/// The loss of each pair, reduced; gradients for both arguments.
pub(super) fn pair_loss<L: PairLoss>(
    loss: L,
    (x, target): (&Tensor, &Tensor),
    constants: Constants,
    reduction: Reduction,
) -> Result<Tensor> {
    if x.elem_count() == 0 {
        return Err(Error::argument(L::NAME, "x", x.dims(), "no zero in its shape"));
    }
    if target.dims() != x.dims() || target.dtype() != x.dtype() {
        let expected = format!("of the form of x, {:?} {:?}", x.dtype(), x.dims());
        return Err(Error::argument(L::NAME, "target", (target.dtype(), target.dims()), expected));
    }
    real_only(L::NAME, x)?;
    let op = ElementWise { loss, constants, reduction };
    Ok(apply2([&x.contiguous()?, &target.contiguous()?], Keep::Inputs, op)?)
}

struct ElementWise<L> {
    loss: L,
    constants: Constants,
    reduction: Reduction,
}

/// What is computed of each element.
#[derive(Clone, Copy)]
enum Part {
    Value,
    ByX,
    ByTarget,
}

/// Elements that are computed before they are written or added up.
const BLOCK: usize = 1024;

/// A few elements, and where their results go.
struct Block<'a, L, T> {
    loss: &'a L,
    part: Part,
    /// A factor of all results.
    scale: T,
    /// x, target, weight and factor.
    streams: [&'a [T]; 4],
    out: &'a mut [T],
}

impl<L: PairLoss, T: Exp> pulp::NullaryFnOnce for Block<'_, L, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { loss, part, scale, streams: [x, target, weight, factor], out } = self;
        let n = out.len();
        let (x, target, weight, factor) = (&x[..n], &target[..n], &weight[..n], &factor[..n]);
        match part {
            Part::Value => {
                for i in 0..n {
                    out[i] = scale * weight[i] * loss.value(x[i], target[i], factor[i]);
                }
            }
            Part::ByX => {
                for i in 0..n {
                    out[i] = scale * weight[i] * loss.slopes(x[i], target[i], factor[i]).0;
                }
            }
            Part::ByTarget => {
                for i in 0..n {
                    out[i] = scale * weight[i] * loss.slopes(x[i], target[i], factor[i]).1;
                }
            }
        }
    }
}

/// What the loss of each element depends on.
struct Streams<'a, T> {
    x: &'a [T],
    target: &'a [T],
    weight: Option<Vec<T>>,
    factor: Option<Vec<T>>,
    /// A block of ones, for the constants that there are not.
    ones: [T; BLOCK],
}

impl<'a, T: Exp> Streams<'a, T> {
    fn new(x: &'a [T], target: &'a [T], constants: &Constants) -> candle_core::Result<Self> {
        let host = |t: &Option<Tensor>| t.as_ref().map(|t| t.flatten_all()?.to_vec1()).transpose();
        let (weight, factor) = (host(&constants.weight)?, host(&constants.factor)?);
        Ok(Self { x, target, weight, factor, ones: [T::one(); BLOCK] })
    }

    /// x, target, weight and factor of some elements, at most a block of them.
    fn elements(&self, range: Range<usize>) -> [&[T]; 4] {
        let ones = &self.ones[..range.len()];
        let weight = self.weight.as_ref().map_or(ones, |w| &w[range.clone()]);
        let factor = self.factor.as_ref().map_or(ones, |f| &f[range.clone()]);
        [&self.x[range.clone()], &self.target[range], weight, factor]
    }
}

impl<L: PairLoss> ElementWise<L> {
    /// Computes chunk `i` and hands the results to `take`, block by block.
    fn chunk<T: Exp>(&self, streams: &Streams<'_, T>, (part, scale): (Part, T), i: usize, mut take: impl FnMut(&[T])) {
        let end = streams.x.len().min((i + 1) * CHUNK);
        let mut results = [T::zero(); BLOCK];
        for start in (i * CHUNK..end).step_by(BLOCK) {
            let out = &mut results[..BLOCK.min(end - start)];
            let streams = streams.elements(start..start + out.len());
            dispatch(Block { loss: &self.loss, part, scale, streams, out });
            take(out);
        }
    }

    fn each<T: Exp>(&self, streams: &Streams<'_, T>, part: Part, scale: T) -> Vec<T> {
        cpu::build(streams.x.len(), CHUNK, |i, y| {
            self.chunk(streams, (part, scale), i, |results| y.extend(results.iter().copied()));
        })
    }

    fn sum<T: Exp>(&self, streams: &Streams<'_, T>) -> f64 {
        // Chunk by chunk in order, whoever computed them.
        let sums: Vec<f64> = (0..streams.x.len().div_ceil(CHUNK))
            .into_par_iter()
            .map(|i| {
                let mut total = 0.0;
                self.chunk(streams, (Part::Value, T::one()), i, |losses| total += sum(losses).to_f64());
                total
            })
            .collect();
        sums.iter().sum()
    }

    fn forward<T: Exp>(&self, streams: &Streams<'_, T>) -> Vec<T> {
        match self.reduction {
            Reduction::None => self.each(streams, Part::Value, T::one()),
            Reduction::Mean => vec![T::from_f64(self.sum(streams) / streams.x.len() as f64)],
            Reduction::Sum => vec![T::from_f64(self.sum(streams))],
        }
    }

    fn backward<T: Exp>(&self, streams: &Streams<'_, T>, grad: &[T], part: Part) -> Vec<T> {
        match self.reduction {
            Reduction::None => cpu::zip(&self.each(streams, part, T::one()), grad, |slope, g| slope * g),
            Reduction::Mean => self.each(streams, part, grad[0] / T::from_f64(streams.x.len() as f64)),
            Reduction::Sum => self.each(streams, part, grad[0]),
        }
    }
}

impl<L: PairLoss> CustomOp2 for ElementWise<L> {
    fn name(&self) -> &'static str {
        L::NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        target: &CpuStorage,
        tl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(L::NAME, x.dtype(), T => {
            let streams = Streams::new(slice::<T>(L::NAME, x, xl)?, slice::<T>(L::NAME, target, tl)?, &self.constants)?;
            let shape = match self.reduction {
                Reduction::None => xl.shape().clone(),
                Reduction::Mean | Reduction::Sum => ().into(),
            };
            Ok((T::to_cpu_storage_owned(self.forward(&streams)), shape))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        target: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        with_real!(L::NAME, grad.dtype(), T => {
            slices!(L::NAME, T, xs = x, ts = target, gs = grad);
            let streams = Streams::<T>::new(xs, ts, &self.constants)?;
            let gx = x.track_op().then(|| self.backward(&streams, gs, Part::ByX));
            let gt = target.track_op().then(|| self.backward(&streams, gs, Part::ByTarget));
            Ok((gradient_of(x, gx)?, gradient_of(target, gt)?))
        })
    }
}
