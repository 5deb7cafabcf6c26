//! Structural dissimilarity of two images.

use std::ops::RangeInclusive;

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, WithDType, backend::BackendStorage as _};
use rayon::prelude::*;

use crate::{
    Error, Result,
    cpu::{self, Real, gradient_of, slice, slices, vectorised, with_real},
    node::{Keep, apply2},
};

use super::{pooling::dims4, reflection_pad2d::Mirror};

const NAME: &str = "ssim_loss";

/// The parameters of [`ssim_loss`]. The defaults are monodepth2's, for images in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SsimParams {
    /// The side of the window, odd.
    pub window: usize,
    /// Keeps the luminance term from dividing by zero, above zero: `(0.01 · range)²`.
    pub c1: f64,
    /// Likewise for the contrast term: `(0.03 · range)²`.
    pub c2: f64,
}

impl Default for SsimParams {
    fn default() -> Self {
        Self { window: 3, c1: 1e-4, c2: 9e-4 }
    }
}

/// `(1 − SSIM(x, y)) / 2` of every pixel, cut to `[0, 1]` (Wang et al., 2004, eq. 13; the form of Godard et al., 2019):
///
/// `SSIM = (2 μx μy + c1)(2 σxy + c2) / ((μx² + μy² + c1)(σx² + σy² + c2))`
///
/// with means, biased variances and covariance over a square window, after padding by reflection. The gradient is that of the
/// formula where the cut does not apply, its bounds included, and else zero, as PyTorch's.
///
/// # Shapes
/// - `x`, `y`: `(N, C, H, W)`, equal
/// - output: as `x`
///
/// # Errors
/// [`Error::Argument`] if the shapes differ or have a zero, the window is even or half of it reaches beyond an edge's mirror
/// image, or a constant is not above zero.
pub fn ssim_loss(x: &Tensor, y: &Tensor, params: &SsimParams) -> Result<Tensor> {
    let (_, _, h, w) = dims4(NAME, x)?;
    if y.dims() != x.dims() {
        return Err(Error::argument(NAME, "y", y.dims(), format!("the shape of x, {:?}", x.dims())));
    }
    let SsimParams { window, c1, c2 } = *params;
    if window % 2 == 0 {
        return Err(Error::argument(NAME, "window", window, "odd"));
    }
    if !(c1 > 0.0 && c2 > 0.0) {
        return Err(Error::argument(NAME, "(c1, c2)", (c1, c2), "above zero"));
    }
    let mirror = |size: usize| Mirror::new(NAME, size, window / 2, window / 2);
    let op = Ssim { rows: mirror(h)?, cols: mirror(w)?, params: *params };
    Ok(apply2([&x.contiguous()?, &y.contiguous()?], Keep::Inputs, op)?)
}

struct Ssim {
    rows: Mirror,
    cols: Mirror,
    params: SsimParams,
}

/// `x`, `y`, `x²`, `y²`, `xy`.
const MOMENTS: usize = 5;

/// The formula's constants, and one over the window's area.
#[derive(Clone, Copy)]
struct Constants<T> {
    c1: T,
    c2: T,
    share: T,
}

/// The formula's factors at a pixel.
#[derive(Clone, Copy)]
struct Terms<T> {
    mean: [T; 2],
    /// `2 μx μy + c1`, `2 σxy + c2`.
    over: [T; 2],
    /// `μx² + μy² + c1`, `σx² + σy² + c2`.
    under: [T; 2],
}

impl<T: Real> Terms<T> {
    /// Of the sums over a window.
    #[inline(always)]
    fn new([x, y, xx, yy, xy]: [T; MOMENTS], Constants { c1, c2, share }: Constants<T>) -> Self {
        let (x, y, xx, yy, xy) = (x * share, y * share, xx * share, yy * share, xy * share);
        let two = T::one() + T::one();
        Self {
            mean: [x, y],
            over: [two * x * y + c1, two * (xy - x * y) + c2],
            under: [x * x + y * y + c1, (xx - x * x) + (yy - y * y) + c2],
        }
    }

    #[inline(always)]
    fn ssim(&self) -> T {
        self.over[0] * self.over[1] / (self.under[0] * self.under[1])
    }

    #[inline(always)]
    fn loss(&self) -> T {
        (T::one() - self.ssim()) * T::from_f64(0.5)
    }

    /// The derivatives of the loss by the window's means of `x`, `y`, `x²` or `y²` (twice that), and `xy`, times `grad`.
    #[inline(always)]
    fn slopes(&self, grad: T) -> [T; 4] {
        let loss = self.loss();
        let grad = if loss >= T::zero() && loss <= T::one() { grad } else { T::zero() };
        let ([x, y], [a, b], [d, e]) = (self.mean, self.over, self.under);
        let scale = -grad / (d * e);
        let ssim = a * b / (d * e);
        let (cross, own) = (b - a, ssim * (d - e));
        [scale * (y * cross + x * own), scale * (x * cross + y * own), -scale * ssim * d, scale * a]
    }
}

/// Memory that a task keeps from plane to plane.
struct Scratch<T> {
    /// Sums of the window's rows, with their mirror images.
    padded: [Vec<T>; MOMENTS],
    /// Sums of the windows.
    sums: [Vec<T>; MOMENTS],
    /// A plane of each of [`Terms::slopes`].
    slopes: [Vec<T>; 4],
}

impl Ssim {
    fn plane(&self) -> usize {
        self.rows.size * self.cols.size
    }

    fn constants<T: Real>(&self) -> Constants<T> {
        let SsimParams { window, c1, c2 } = self.params;
        Constants { c1: T::from_f64(c1), c2: T::from_f64(c2), share: T::from_f64(1.0 / (window * window) as f64) }
    }

    fn scratch<T: Real>(&self) -> Scratch<T> {
        Scratch {
            padded: std::array::from_fn(|_| vec![T::zero(); self.cols.padded()]),
            sums: std::array::from_fn(|_| vec![T::zero(); self.cols.size]),
            slopes: std::array::from_fn(|_| Vec::new()),
        }
    }

    /// The sums over the windows of row `row`, first along columns and then along the row.
    #[inline(always)]
    fn window_sums<T: Real>(&self, x: &[T], y: &[T], row: usize, scratch: &mut Scratch<T>) {
        let (w, inner) = (self.cols.size, self.cols.before..self.cols.before + self.cols.size);
        scratch.padded.iter_mut().for_each(|line| line.fill(T::zero()));
        for tap in 0..self.params.window {
            let from = self.rows.source(row + tap) * w;
            let pixels = x[from..from + w].iter().zip(&y[from..from + w]);
            let [sx, sy, sxx, syy, sxy] = scratch.padded.each_mut().map(|line| line[inner.clone()].iter_mut());
            for (((((sx, sy), sxx), syy), sxy), (&x, &y)) in sx.zip(sy).zip(sxx).zip(syy).zip(sxy).zip(pixels) {
                *sx += x;
                *sy += y;
                *sxx += x * x;
                *syy += y * y;
                *sxy += x * y;
            }
        }
        for (line, sums) in scratch.padded.iter_mut().zip(&mut scratch.sums) {
            self.cols.reflect(line);
            sums.copy_from_slice(&line[..w]);
            for tap in 1..self.params.window {
                sums.iter_mut().zip(&line[tap..]).for_each(|(s, &l)| *s += l);
            }
        }
    }

    fn forward<T: Real>(&self, x: &[T], y: &[T]) -> Vec<T> {
        let (plane, constants) = (self.plane(), self.constants());
        let planes = (cpu::CHUNK / plane).max(1);
        cpu::build(x.len(), planes * plane, |piece, out| {
            let mut scratch = self.scratch();
            let (x, y) = (&x[piece * planes * plane..], &y[piece * planes * plane..]);
            let images = x.chunks_exact(plane).zip(y.chunks_exact(plane)).take(out.len() / plane);
            for ((x, y), row) in images.flat_map(|images| (0..self.rows.size).map(move |row| (images, row))) {
                vectorised(
                    #[inline(always)]
                    || {
                        self.window_sums(x, y, row, &mut scratch);
                        out.extend(terms(&scratch.sums, constants).map(|terms| {
                            let loss = terms.loss();
                            // So written, NaN stays.
                            let loss = if loss < T::zero() { T::zero() } else { loss };
                            if loss > T::one() { T::one() } else { loss }
                        }));
                    },
                );
            }
        })
    }

    /// The gradients of `x` and `y`, as far as they are wanted.
    fn backward<T: Real>(&self, x: &[T], y: &[T], grad: &[T], wanted: [bool; 2]) -> [Option<Vec<T>>; 2] {
        let plane = self.plane();
        let [mut gx, mut gy] = wanted.map(|wanted| vec![T::zero(); if wanted { x.len() } else { 0 }]);
        let outputs = |values: Vec<T>, wanted: bool| wanted.then_some(values);
        fn planes<T>(values: &mut [T], plane: usize) -> impl Iterator<Item = Option<&mut [T]>> {
            values.chunks_exact_mut(plane).map(Some).chain(std::iter::repeat_with(|| None))
        }
        let pairs = planes(&mut gx, plane).zip(planes(&mut gy, plane)).take(x.len() / plane);
        let tasks: Vec<_> = pairs.enumerate().collect();
        tasks.into_par_iter().for_each_init(
            || self.scratch(),
            |scratch, (i, (gx, gy))| {
                let [x, y, grad] = [x, y, grad].map(|t| &t[i * plane..][..plane]);
                self.plane_slopes(x, y, grad, scratch);
                if let Some(gx) = gx {
                    self.plane_gradient(0, [x, y], scratch, gx);
                }
                if let Some(gy) = gy {
                    self.plane_gradient(1, [y, x], scratch, gy);
                }
            },
        );
        [outputs(gx, wanted[0]), outputs(gy, wanted[1])]
    }

    /// Fills `scratch.slopes`.
    fn plane_slopes<T: Real>(&self, x: &[T], y: &[T], grad: &[T], scratch: &mut Scratch<T>) {
        let (w, constants) = (self.cols.size, self.constants());
        scratch.slopes.iter_mut().for_each(|plane| plane.resize(self.plane(), T::zero()));
        for (row, grad) in grad.chunks_exact(w).enumerate() {
            vectorised(
                #[inline(always)]
                || {
                    self.window_sums(x, y, row, scratch);
                    let [x, y, square, product] =
                        scratch.slopes.each_mut().map(|plane| plane[row * w..][..w].iter_mut());
                    let slots = x.zip(y).zip(square).zip(product);
                    for ((((x, y), square), product), (terms, &g)) in
                        slots.zip(terms(&scratch.sums, constants).zip(grad))
                    {
                        [*x, *y, *square, *product] = terms.slopes(g);
                    }
                },
            );
        }
    }

    /// The gradient of the image `own`, number `which` of the two: from every window that a pixel is in, its mirror images
    /// included, the slopes of the means times what the pixel contributes to those.
    fn plane_gradient<T: Real>(&self, which: usize, [own, other]: [&[T]; 2], scratch: &mut Scratch<T>, out: &mut [T]) {
        let (w, share) = (self.cols.size, self.constants::<T>().share);
        let Scratch { padded, sums, slopes } = scratch;
        let slopes = [&slopes[which], &slopes[2], &slopes[3]];
        for (row, out) in out.chunks_exact_mut(w).enumerate() {
            vectorised(
                #[inline(always)]
                || {
                    for ((slope, sum), padded) in slopes.iter().zip(&mut *sums).zip(&mut *padded) {
                        sum.fill(T::zero());
                        for window in self.rows.images(row).flat_map(|image| self.windows(image)) {
                            sum.iter_mut().zip(&slope[window * w..][..w]).for_each(|(s, &v)| *s += v);
                        }
                        padded.fill(T::zero());
                        for tap in 0..self.params.window {
                            padded[tap..].iter_mut().zip(&*sum).for_each(|(p, &s)| *p += s);
                        }
                    }
                    let [mean, square, product, ..] = &mut *padded;
                    let folded = self.cols.fold(mean).iter().zip(self.cols.fold(square)).zip(self.cols.fold(product));
                    let pixels = own[row * w..][..w].iter().zip(&other[row * w..][..w]);
                    for ((out, (&own, &other)), ((&mean, &square), &product)) in out.iter_mut().zip(pixels).zip(folded)
                    {
                        *out = (mean + own * square + other * product) * share;
                    }
                },
            );
        }
    }

    /// The windows that see row `image` of the padded rows.
    fn windows(&self, image: usize) -> RangeInclusive<usize> {
        image.saturating_sub(self.params.window - 1)..=image.min(self.rows.size - 1)
    }
}

/// The formula's factors along a row.
#[inline(always)]
fn terms<T: Real>(
    [x, y, xx, yy, xy]: &[Vec<T>; MOMENTS],
    constants: Constants<T>,
) -> impl ExactSizeIterator<Item = Terms<T>> {
    let sums = x.iter().zip(y).zip(xx).zip(yy).zip(xy);
    sums.map(move |((((&x, &y), &xx), &yy), &xy)| Terms::new([x, y, xx, yy, xy], constants))
}

impl CustomOp2 for Ssim {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        y: &CpuStorage,
        yl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_real!(NAME, x.dtype(), T => {
            let loss = self.forward::<T>(slice(NAME, x, xl)?, slice(NAME, y, yl)?);
            Ok((T::to_cpu_storage_owned(loss), xl.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        _loss: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        with_real!(NAME, grad.dtype(), T => {
            slices!(NAME, T, xs = x, ys = y, gs = grad);
            let [gx, gy] = self.backward(xs, ys, gs, [x.track_op(), y.track_op()]);
            Ok((gradient_of(x, gx)?, gradient_of(y, gy)?))
        })
    }
}
