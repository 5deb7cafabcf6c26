//! Padding by reflection.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};

use crate::{
    Error, Result,
    cpu::{self, Real, gradient_of, slice, slices, vectorised, with_real},
    node::{Keep, apply1},
};

use super::pooling::dims4;

const NAME: &str = "reflection_pad2d";

/// How many rows and columns [`reflection_pad2d`] adds on each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Padding2d {
    /// Columns before the first.
    pub left: usize,
    /// Columns after the last.
    pub right: usize,
    /// Rows above the first.
    pub top: usize,
    /// Rows below the last.
    pub bottom: usize,
}

impl Padding2d {
    /// The same on all sides.
    pub fn same(padding: usize) -> Self {
        Self { left: padding, right: padding, top: padding, bottom: padding }
    }
}

/// `x` mirrored beyond its edges, which are not repeated: `c b | a b c | b a`, as `torch.nn.ReflectionPad2d`.
///
/// # Shapes
/// - `x`: `(N, C, H, W)`
/// - output: `(N, C, top + H + bottom, left + W + right)`
///
/// # Errors
/// [`Error::Argument`] if `x` has another rank or a zero, or a padding is not smaller than the size that it extends.
pub fn reflection_pad2d(x: &Tensor, padding: &Padding2d) -> Result<Tensor> {
    let (_, _, h, w) = dims4(NAME, x)?;
    let rows = Mirror::new(NAME, h, padding.top, padding.bottom)?;
    let cols = Mirror::new(NAME, w, padding.left, padding.right)?;
    Ok(apply1(&x.contiguous()?, Keep::Nothing, ReflectionPad2d { rows, cols })?)
}

/// An axis with its mirror images.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mirror {
    pub(super) size: usize,
    pub(super) before: usize,
    pub(super) after: usize,
}

impl Mirror {
    pub(super) fn new(op: &'static str, size: usize, before: usize, after: usize) -> Result<Self> {
        if before >= size || after >= size {
            return Err(Error::argument(op, "padding", (before, after), format!("less than the size, {size}")));
        }
        Ok(Self { size, before, after })
    }

    /// The length of the padded axis.
    pub(super) fn padded(&self) -> usize {
        self.before + self.size + self.after
    }

    /// What stands at `i` of the padded axis.
    pub(super) fn source(&self, i: usize) -> usize {
        let last = self.size - 1;
        match i.checked_sub(self.before) {
            None => self.before - i,
            Some(i) if i > last => 2 * last - i,
            Some(i) => i,
        }
    }

    /// Where element `r` stands in the padded axis: itself, then its images.
    pub(super) fn images(&self, r: usize) -> impl Iterator<Item = usize> {
        let Self { size, before, after } = *self;
        let first = (1..=before).contains(&r).then(|| before - r);
        let from_end = size - 1 - r;
        let last = (1..=after).contains(&from_end).then(|| before + size - 1 + from_end);
        std::iter::once(before + r).chain(first).chain(last)
    }

    /// Fills what lies before and after the elements themselves, which stand in `line` already.
    #[inline(always)]
    pub(super) fn reflect<T: Copy>(&self, line: &mut [T]) {
        let (before, rest) = line.split_at_mut(self.before);
        let (inner, after) = rest.split_at_mut(self.size);
        before.iter_mut().rev().zip(&inner[1..]).for_each(|(b, &x)| *b = x);
        after.iter_mut().zip(inner[..self.size - 1].iter().rev()).for_each(|(a, &x)| *a = x);
    }

    /// Adds what lies before and after to the elements that it is an image of, and gives those.
    #[inline(always)]
    pub(super) fn fold<'a, T: Real>(&self, line: &'a mut [T]) -> &'a [T] {
        let (before, rest) = line.split_at_mut(self.before);
        let (inner, after) = rest.split_at_mut(self.size);
        inner[1..].iter_mut().zip(before.iter().rev()).for_each(|(x, &b)| *x += b);
        inner[..self.size - 1].iter_mut().rev().zip(&*after).for_each(|(x, &a)| *x += a);
        inner
    }
}

struct ReflectionPad2d {
    rows: Mirror,
    cols: Mirror,
}

impl ReflectionPad2d {
    fn in_plane(&self) -> usize {
        self.rows.size * self.cols.size
    }

    fn out_plane(&self) -> usize {
        self.rows.padded() * self.cols.padded()
    }

    fn forward<T: Real>(&self, x: &[T]) -> Vec<T> {
        let (input, output, w) = (self.in_plane(), self.out_plane(), self.cols.size);
        let planes = (cpu::CHUNK / output).max(1);
        cpu::build(x.len() / input * output, planes * output, |piece, y| {
            let mut line = vec![T::zero(); self.cols.padded()];
            for plane in x[piece * planes * input..].chunks_exact(input).take(y.len() / output) {
                for row in 0..self.rows.padded() {
                    let from = &plane[self.rows.source(row) * w..][..w];
                    line[self.cols.before..][..w].copy_from_slice(from);
                    self.cols.reflect(&mut line);
                    y.extend(line.iter().copied());
                }
            }
        })
    }

    fn backward<T: Real>(&self, grad: &[T]) -> Vec<T> {
        let (input, output, padded) = (self.in_plane(), self.out_plane(), self.cols.padded());
        let planes = (cpu::CHUNK / output).max(1);
        cpu::build(grad.len() / output * input, planes * input, |piece, gx| {
            let mut line = vec![T::zero(); padded];
            for plane in grad[piece * planes * output..].chunks_exact(output).take(gx.len() / input) {
                for row in 0..self.rows.size {
                    line.fill(T::zero());
                    for image in self.rows.images(row) {
                        let from = &plane[image * padded..][..padded];
                        vectorised(
                            #[inline(always)]
                            || line.iter_mut().zip(from).for_each(|(l, &g)| *l += g),
                        );
                    }
                    gx.extend(self.cols.fold(&mut line).iter().copied());
                }
            }
        })
    }
}

impl CustomOp1 for ReflectionPad2d {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (n, c, ..) = l.shape().dims4()?;
        with_real!(NAME, s.dtype(), T => {
            let y = self.forward(slice::<T>(NAME, s, l)?);
            Ok((T::to_cpu_storage_owned(y), (n, c, self.rows.padded(), self.cols.padded()).into()))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, gs = grad);
            gradient_of(x, Some(self.backward(gs)))
        })
    }
}
