//! Resizing of maps.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use num_traits::Float;

use crate::{
    Error, Result,
    cpu::{self, Piece, Real, gradient_of, slice, slices, vectorised, with_real},
    node::{Keep, apply1},
};

use super::pooling::dims4;

const NAME: &str = "interpolate";

/// How [`interpolate`] fills the new map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterpolateMode {
    /// Output `i` is input `⌊i · in / out⌋`, in single precision as PyTorch's.
    Nearest,
    /// A weighted mean of the two nearest inputs in both directions.
    Bilinear {
        /// Whether the centres of the corner elements fall on each other, or else the outer edges of the maps.
        align_corners: bool,
    },
}

/// `x` resized to `size` (vertical, horizontal), as `torch.nn.functional.interpolate` with `size`.
///
/// # Shapes
/// - `x`: `(N, C, H, W)`
/// - output: `(N, C, size.0, size.1)`
///
/// # Errors
/// [`Error::Argument`] if `x` has another rank, or a zero in its shape or in `size`.
pub fn interpolate(x: &Tensor, size: (usize, usize), mode: InterpolateMode) -> Result<Tensor> {
    let (_, _, h, w) = dims4(NAME, x)?;
    if size.0 == 0 || size.1 == 0 {
        return Err(Error::argument(NAME, "size", size, "at least (1, 1)"));
    }
    let x = x.contiguous()?;
    Ok(match mode {
        InterpolateMode::Nearest => {
            apply1(&x, Keep::Nothing, Nearest { rows: Sources::new(h, size.0), cols: Sources::new(w, size.1) })?
        }
        InterpolateMode::Bilinear { align_corners } => {
            apply1(&x, Keep::Nothing, Bilinear { size: (h, w), out: size, align_corners })?
        }
    })
}

/// Runs `f(input plane, output)` for each plane; a piece of the output takes several where they are tiny.
fn by_planes<T: Real>(x: &[T], input: usize, output: usize, f: impl Fn(&[T], &mut Piece<'_, T>) + Sync) -> Vec<T> {
    let planes = (cpu::CHUNK / output).max(1);
    cpu::build(x.len() / input * output, planes * output, |piece, y| {
        let inputs = x[piece * planes * input..].chunks_exact(input).take(y.len() / output);
        inputs.for_each(|x| f(x, y));
    })
}

/// Which input each output of an axis is a copy of.
struct Sources {
    size: usize,
    of: Vec<usize>,
    /// How often each input is repeated, if all are alike.
    factor: Option<usize>,
}

impl Sources {
    fn new(size: usize, out: usize) -> Self {
        let scale = size as f32 / out as f32;
        let of: Vec<usize> = (0..out).map(|o| ((o as f32 * scale) as usize).min(size - 1)).collect();
        // Rounding could put single outputs elsewhere, so it is looked at and not concluded.
        let factor = Some(out / size).filter(|&f| f * size == out && of.iter().enumerate().all(|(o, &i)| o / f == i));
        Self { size, of, factor }
    }

    /// The outputs that are copies of each input.
    fn copies(&self) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        (0..self.size).map(move |i| {
            let n = self.of[start..].iter().take_while(|&&of| of == i).count();
            start += n;
            start - n..start
        })
    }

    /// A line of outputs.
    #[inline(always)]
    fn read<T: Real>(&self, x: &[T], y: &mut [T]) {
        match self.factor {
            Some(1) => y.copy_from_slice(x),
            Some(2) => y.as_chunks_mut::<2>().0.iter_mut().zip(x).for_each(|(y, &x)| *y = [x, x]),
            Some(factor) => y.chunks_exact_mut(factor).zip(x).for_each(|(y, &x)| y.fill(x)),
            None => y.iter_mut().zip(&self.of).for_each(|(y, &i)| *y = x[i]),
        }
    }
}

struct Nearest {
    rows: Sources,
    cols: Sources,
}

impl Nearest {
    fn planes(&self) -> (usize, usize) {
        (self.rows.size * self.cols.size, self.rows.of.len() * self.cols.of.len())
    }

    fn forward<T: Real>(&self, x: &[T]) -> Vec<T> {
        let (input, output) = self.planes();
        let copies: Vec<_> = self.rows.copies().collect();
        by_planes(x, input, output, |x, y| {
            let mut line = vec![T::zero(); self.cols.of.len()];
            for (x, copies) in x.chunks_exact(self.cols.size).zip(&copies) {
                if !copies.is_empty() {
                    vectorised(
                        #[inline(always)]
                        || self.cols.read(x, &mut line),
                    );
                    copies.clone().for_each(|_| y.extend(line.iter().copied()));
                }
            }
        })
    }

    /// The sum of what the copies receive.
    fn backward<T: Real>(&self, grad: &[T]) -> Vec<T> {
        let (input, output) = self.planes();
        let width = self.cols.of.len();
        let (rows, cols): (Vec<_>, Vec<_>) = (self.rows.copies().collect(), self.cols.copies().collect());
        by_planes(grad, output, input, |grad, gx| {
            let mut line = vec![T::zero(); width];
            for copies in &rows {
                let lines = &grad[copies.start * width..copies.end * width];
                vectorised(
                    #[inline(always)]
                    || match (self.cols.factor, copies.len()) {
                        (Some(2), 2) => {
                            let (a, b) = lines.split_at(width);
                            let pairs = a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0);
                            gx.extend(pairs.map(|(&[a, b], &[c, d])| (a + b) + (c + d)));
                        }
                        (factor, _) => {
                            line.fill(T::zero());
                            for from in lines.chunks_exact(width) {
                                line.iter_mut().zip(from).for_each(|(l, &g)| *l += g);
                            }
                            match factor {
                                Some(1) => gx.extend(line.iter().copied()),
                                Some(2) => gx.extend(line.as_chunks::<2>().0.iter().map(|&[a, b]| a + b)),
                                _ => gx.extend(cols.iter().map(|copies| line[copies.clone()].iter().copied().sum())),
                            }
                        }
                    },
                );
            }
        })
    }
}

impl CustomOp1 for Nearest {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (n, c, ..) = l.shape().dims4()?;
        with_real!(NAME, s.dtype(), T => {
            let y = self.forward(slice::<T>(NAME, s, l)?);
            Ok((T::to_cpu_storage_owned(y), (n, c, self.rows.of.len(), self.cols.of.len()).into()))
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

struct Bilinear {
    size: (usize, usize),
    out: (usize, usize),
    align_corners: bool,
}

/// An output of an axis: `weights · inputs`.
#[derive(Clone, Copy)]
struct Tap<T> {
    inputs: [usize; 2],
    weights: [T; 2],
}

/// The outputs of an axis, with the arithmetic of PyTorch.
fn taps<T: Real>(size: usize, out: usize, align_corners: bool) -> Vec<Tap<T>> {
    let (number, half) = (|n: usize| T::from_f64(n as f64), T::from_f64(0.5));
    let scale = match align_corners {
        true if out > 1 => number(size - 1) / number(out - 1),
        true => T::zero(),
        false => number(size) / number(out),
    };
    let tap = |o: usize| {
        let at = if align_corners { scale * number(o) } else { scale * (number(o) + half) - half };
        let at = Float::max(at, T::zero());
        let first = at.to_usize().unwrap_or(0).min(size - 1);
        let second = Float::min(at - number(first), T::one());
        Tap { inputs: [first, (first + 1).min(size - 1)], weights: [T::one() - second, second] }
    };
    (0..out).map(tap).collect()
}

/// For each input of an axis the outputs that it is part of, with its weights, in order.
struct Parts<T> {
    starts: Vec<usize>,
    parts: Vec<(usize, T)>,
}

impl<T: Real> Parts<T> {
    fn new(size: usize, taps: &[Tap<T>]) -> Self {
        let mut lists = vec![Vec::new(); size];
        for (o, tap) in taps.iter().enumerate() {
            tap.inputs.into_iter().zip(tap.weights).for_each(|(i, w)| lists[i].push((o, w)));
        }
        let ends = lists.iter().scan(0, |end, list| {
            *end += list.len();
            Some(*end)
        });
        Self { starts: std::iter::once(0).chain(ends).collect(), parts: lists.concat() }
    }

    fn of(&self) -> impl ExactSizeIterator<Item = &[(usize, T)]> {
        self.starts.windows(2).map(|range| &self.parts[range[0]..range[1]])
    }
}

impl Bilinear {
    fn taps<T: Real>(&self) -> (Vec<Tap<T>>, Vec<Tap<T>>) {
        (taps(self.size.0, self.out.0, self.align_corners), taps(self.size.1, self.out.1, self.align_corners))
    }

    /// Lines of the input are interpolated along their length once, and then pairs of them.
    fn forward<T: Real>(&self, x: &[T]) -> Vec<T> {
        let (rows, cols) = self.taps::<T>();
        let ((h, w), (oh, ow)) = (self.size, self.out);
        by_planes(x, h * w, oh * ow, |x, y| {
            let line = |row: usize, to: &mut Option<usize>, line: &mut [T]| {
                if *to != Some(row) {
                    let x = &x[row * w..][..w];
                    let value = |tap: &Tap<T>| x[tap.inputs[0]] * tap.weights[0] + x[tap.inputs[1]] * tap.weights[1];
                    line.iter_mut().zip(&cols).for_each(|(l, tap)| *l = value(tap));
                    *to = Some(row);
                }
            };
            let mut lines = [(None, vec![T::zero(); ow]), (None, vec![T::zero(); ow])];
            for row in &rows {
                let [(above_row, above), (below_row, below)] = &mut lines;
                if *below_row == Some(row.inputs[0]) {
                    std::mem::swap(above, below);
                    std::mem::swap(above_row, below_row);
                }
                line(row.inputs[0], above_row, above);
                line(row.inputs[1], below_row, below);
                let [first, second] = row.weights;
                vectorised(
                    #[inline(always)]
                    || y.extend(above.iter().zip(&*below).map(|(&a, &b)| a * first + b * second)),
                );
            }
        })
    }

    fn backward<T: Real>(&self, grad: &[T]) -> Vec<T> {
        let (rows, cols) = self.taps::<T>();
        let ((h, w), (oh, ow)) = (self.size, self.out);
        let (rows, cols) = (Parts::new(h, &rows), Parts::new(w, &cols));
        by_planes(grad, oh * ow, h * w, |grad, gx| {
            let mut line = vec![T::zero(); ow];
            for parts in rows.of() {
                line.fill(T::zero());
                for &(o, weight) in parts {
                    let from = &grad[o * ow..][..ow];
                    vectorised(
                        #[inline(always)]
                        || line.iter_mut().zip(from).for_each(|(l, &g)| *l += weight * g),
                    );
                }
                gx.extend(cols.of().map(|parts| parts.iter().map(|&(o, weight)| weight * line[o]).sum()));
            }
        })
    }
}

impl CustomOp1 for Bilinear {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (n, c, ..) = l.shape().dims4()?;
        with_real!(NAME, s.dtype(), T => {
            let y = self.forward(slice::<T>(NAME, s, l)?);
            Ok((T::to_cpu_storage_owned(y), (n, c, self.out.0, self.out.1).into()))
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
