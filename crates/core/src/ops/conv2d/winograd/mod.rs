//! Winograd's algorithm for kernels of 3×3 at stride 1: F(4×4, 3×3) of Lavin & Gray (2016), four times fewer products.
//!
//! Tiles of 6×6 inputs, which overlap by two, are transformed with channels side by side; for each of the 36 elements of a
//! transformed tile there is a product of tiles by transformed weights; the results are transformed back to 4×4 outputs.

mod spread;
mod transform;
mod weight;

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::{
    Real, Target, each_init, lanes,
    product::{Columns, Rows, Run, Write, multiply, padded, panels, vector_width},
    transpose::{transpose, transpose_to},
};

use super::{
    epilogue::Epilogue,
    geometry::{Geometry, Orientation},
};
use spread::Spread;
use transform::{IN, Input, KERNEL, Kernel, OUT, Output, POINTS, Transform as _};

pub(super) use weight::backward_weight;

/// Outputs of all images from which on it pays to transform the weights, which become four times as many.
const LEAST_OUTPUTS: usize = 512;

/// Channels on either side from which on it pays to transform tiles.
const LEAST_CHANNELS: usize = 16;

/// Whether this algorithm computes `g`, and faster than others.
pub(super) fn suits(g: &Geometry) -> bool {
    (g.kh, g.kw, g.stride, g.dilation) == (KERNEL, KERNEL, (1, 1), (1, 1))
        && g.padding.0 >= 0
        && g.padding.1 >= 0
        && g.ci >= LEAST_CHANNELS
        && g.co >= LEAST_CHANNELS
        && g.oh >= OUT
        && g.ow >= OUT
        && g.n * g.out_plane() >= LEAST_OUTPUTS
}

/// The tiles of the outputs of all images, row by row.
#[derive(Clone, Copy, Debug)]
struct Tiles {
    /// Rows of tiles of one image.
    down: usize,
    /// Tiles of a row.
    across: usize,
    /// Rows of tiles of all images.
    rows: usize,
}

/// Bytes of transformed tiles that stay in a core's own cache.
const CACHE: usize = 1 << 20;

/// Tiles of a block at least: all transformed weights are read for it.
const LEAST_TILES: usize = 96;

impl Tiles {
    fn new(g: &Geometry) -> Self {
        let (down, across) = (g.oh.div_ceil(OUT), g.ow.div_ceil(OUT));
        Self { down, across, rows: g.n * down }
    }

    /// Image, and row within it, of row `row` of all.
    fn place(&self, row: usize) -> (usize, usize) {
        (row / self.down, row % self.down)
    }

    /// All rows in even blocks, for tiles of `ci` channels that give `co`.
    fn blocks<T: Real>(&self, ci: usize, co: usize) -> Vec<Range<usize>> {
        let bytes = POINTS * size_of::<T>();
        let mut tiles = (CACHE / (bytes * (ci + co))).max(LEAST_TILES);
        if bytes * ci * co <= CACHE {
            // The weights stay in the cache too: blocks may be small, so that all threads have some.
            tiles = tiles.min((self.rows * self.across).div_ceil(4 * rayon::current_num_threads()));
        }
        let rows = (tiles / self.across).max(1);
        let rows = self.rows.div_ceil(self.rows.div_ceil(rows));
        (0..self.rows).step_by(rows).map(|r| r..(r + rows).min(self.rows)).collect()
    }
}

/// `y = weight ⋆ x`, and what follows, for a geometry that [`suits`].
pub(super) fn forward<T: Real>(
    g: &Geometry,
    x: &[T],
    weight: &[T],
    orientation: Orientation,
    epilogue: Epilogue<'_, T>,
) -> Vec<T> {
    let tiles = Tiles::new(g);
    let blocks = tiles.blocks::<T>(g.ci, g.co);
    let n = g.n * g.groups * g.co * g.out_plane();
    let mut y = Vec::with_capacity(n);
    let target = Target::uninit(&mut y.spare_capacity_mut()[..n], g.out_plane());
    for group in 0..g.groups {
        let kernels = Kernels::new(g, weight, orientation, group);
        let convolution = Convolution { g, tiles, x, kernels: &kernels, group, epilogue, target };
        if let [block] = &blocks[..] {
            convolution.block(block.clone(), None, true, &mut Vec::new());
            continue;
        }
        let transformed = kernels.all();
        let many = blocks.len() >= 2 * rayon::current_num_threads();
        each_init(many, blocks.len(), Vec::new, |inputs, i| {
            convolution.block(blocks[i].clone(), Some(&transformed), !many, inputs);
        });
    }
    // SAFETY: the blocks cover all tiles of all images, and the panels all channels.
    unsafe { y.set_len(n) };
    y
}

/// One group of a convolution.
struct Convolution<'a, T> {
    g: &'a Geometry,
    tiles: Tiles,
    x: &'a [T],
    kernels: &'a Kernels<'a, T>,
    group: usize,
    epilogue: Epilogue<'a, T>,
    target: Target<T>,
}

impl<T: Real> Convolution<'_, T> {
    /// The outputs of rows `block` of tiles, by all threads if `parallel`; weights are transformed where they are not given.
    /// `inputs` is memory for the transformed tiles.
    fn block(&self, block: Range<usize>, transformed: Option<&[Vec<T>]>, parallel: bool, inputs: &mut Vec<T>) {
        let (g, across) = (self.g, self.tiles.across);
        let spread = Spread::new(g.ci, g.groups, self.group, (g.h, g.w), g.padding);
        spread.all::<T, IN, Input>(self.x, self.tiles, block.clone(), parallel, inputs);
        let inputs = &*inputs;
        // Panels of channels by parts of the rows: enough for all threads.
        let parts = if !parallel || transformed.is_none() {
            1
        } else {
            (2 * rayon::current_num_threads()).div_ceil(self.kernels.panels.len()).min(block.len())
        };
        let rows = block.len().div_ceil(parts);
        each_init(parallel, self.kernels.panels.len() * parts, Vec::new, |sums, task| {
            let (panel, part) = (task / parts, task % parts);
            let start = (block.start + part * rows).min(block.end);
            let rows = start..(start + rows).min(block.end);
            if rows.is_empty() {
                return;
            }
            let own;
            let weights = match transformed {
                Some(all) => &all[panel],
                None => {
                    own = self.kernels.panel(panel);
                    &own
                }
            };
            let first = (rows.start - block.start) * across;
            self.panel(panel, weights, (inputs, block.len() * across, first), rows, sums);
        });
    }

    /// The outputs of one panel of channels for `rows` of tiles, the first of which is tile `first` of the `n_tiles` inputs.
    /// `sums` is memory for the products.
    fn panel(
        &self,
        panel: usize,
        weights: &[T],
        (inputs, n_tiles, first): (&[T], usize, usize),
        rows: Range<usize>,
        sums: &mut Vec<T>,
    ) {
        let (g, across) = (self.g, self.tiles.across);
        let (_, width) = self.kernels.panels[panel];
        let (padded_in, padded_out) = (padded::<T>(g.ci), padded::<T>(width));
        let n = rows.len() * across;
        sums.clear();
        sums.reserve(POINTS * n * padded_out);
        let target = Target::uninit(sums.spare_capacity_mut(), padded_out);
        for point in 0..POINTS {
            let data = &inputs[(point * n_tiles + first) * padded_in..];
            let tiles = Rows { data, n, row_stride: padded_in, step: 1 };
            let weights = &weights[point * g.ci * padded_out..][..g.ci * padded_out];
            let columns = Columns { data: weights, width: padded_out, step: padded_out };
            let runs = [Run { a: 0, b: 0, len: g.ci }];
            // SAFETY: `sums` is this task's own.
            unsafe { multiply(tiles, columns, &runs, target.offset(point * n * padded_out), Write::Set) };
        }
        // SAFETY: all products have been written.
        unsafe { sums.set_len(POINTS * n * padded_out) };
        pulp::Arch::new().dispatch(Back { convolution: self, panel, sums, rows, n });
    }
}

/// Transforms the sums of a panel back, and writes the outputs.
struct Back<'a, T> {
    convolution: &'a Convolution<'a, T>,
    panel: usize,
    /// `(point, tile, channel)`.
    sums: &'a [T],
    rows: Range<usize>,
    /// Tiles.
    n: usize,
}

impl<T: Real> WithSimd for Back<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Convolution { g, tiles, group, epilogue, target, kernels, .. } = *self.convolution;
        let (channel, width) = kernels.panels[self.panel];
        let (padded_out, line, plane) = (padded::<T>(width), tiles.across * OUT, g.out_plane());
        let lanes = lanes::<S, T>();
        let mut lines = vec![T::zero(); OUT * line * padded_out];
        for (i, row) in self.rows.clone().enumerate() {
            for tile in 0..tiles.across {
                let at = (i * tiles.across + tile) * padded_out;
                for c in (0..padded_out).step_by(lanes) {
                    let mut sums = [[T::splat(simd, T::zero()); IN]; IN];
                    for (point, sum) in sums.as_flattened_mut().iter_mut().enumerate() {
                        *sum = load::<S, T>(self.sums, point * self.n * padded_out + at + c);
                    }
                    let outputs = Output::tile::<S, T>(simd, sums);
                    for (y, outputs) in outputs.iter().enumerate() {
                        for (x, &output) in outputs.iter().enumerate() {
                            let to = (y * line + tile * OUT + x) * padded_out + c;
                            store::<S, T>(&mut lines, to, output);
                        }
                    }
                }
            }
            let (image, down) = tiles.place(row);
            let first = ((image * g.groups + group) * g.co + channel) * plane + down * OUT * g.ow;
            let height = OUT.min(g.oh - down * OUT);
            for y in 0..height {
                let to = target.offset(first + y * g.ow).rows_of(plane);
                // SAFETY: the output is alive; these lines of these channels are this task's alone.
                unsafe { transpose_to(&lines[y * line * padded_out..], padded_out, (g.ow, width), to) };
            }
            if !epilogue.is_none() {
                for c in 0..width {
                    let at = first + c * plane;
                    // SAFETY: as above, and all of these lines have been written.
                    let y = unsafe { target.offset(at).slice(height * g.ow) };
                    epilogue.apply(group * g.co + channel + c, at, y);
                }
            }
        }
    }
}

/// The vector that begins at element `at`.
#[inline(always)]
fn load<S: Simd, T: Real>(from: &[T], at: usize) -> T::Vector<S> {
    assert!(at + lanes::<S, T>() <= from.len());
    // SAFETY: a whole vector is in bounds, as just checked.
    unsafe { from.as_ptr().add(at).cast::<T::Vector<S>>().read_unaligned() }
}

/// Writes the vector that begins at element `at`.
#[inline(always)]
fn store<S: Simd, T: Real>(to: &mut [T], at: usize, value: T::Vector<S>) {
    assert!(at + lanes::<S, T>() <= to.len());
    // SAFETY: a whole vector is in bounds, as just checked.
    unsafe { to.as_mut_ptr().add(at).cast::<T::Vector<S>>().write_unaligned(value) }
}

/// The weights of one group.
struct Kernels<'a, T> {
    weight: &'a [T],
    ci: usize,
    /// Elements from one input channel to the next, and from one output channel to the next.
    strides: (usize, usize),
    orientation: Orientation,
    /// First output channel and width of each panel.
    panels: Vec<(usize, usize)>,
}

impl<'a, T: Real> Kernels<'a, T> {
    fn new(g: &Geometry, weight: &'a [T], orientation: Orientation, group: usize) -> Self {
        let area = g.area();
        let strides = match orientation {
            Orientation::Forward => (area, g.ci * area),
            Orientation::Turned => (g.co * area, area),
        };
        let len = g.co * g.depth();
        let weight = &weight[group * len..][..len];
        Self { weight, ci: g.ci, strides, orientation, panels: panels::<T>(g.co).collect() }
    }

    /// All panels, transformed.
    fn all(&self) -> Vec<Vec<T>> {
        (0..self.panels.len()).into_par_iter().map(|panel| self.panel(panel)).collect()
    }

    /// A panel, transformed: `(point, C_in, channels of the panel)`.
    fn panel(&self, panel: usize) -> Vec<T> {
        let (first, width) = self.panels[panel];
        let padded_out = padded::<T>(width);
        let mut out = Vec::with_capacity(POINTS * self.ci * padded_out);
        let target = Target::uninit(out.spare_capacity_mut(), self.ci * padded_out);
        pulp::Arch::new().dispatch(TransformKernels { kernels: self, first, width, target });
        // SAFETY: all points of all channels have been written, in whole vectors.
        unsafe { out.set_len(POINTS * self.ci * padded_out) };
        out
    }
}

struct TransformKernels<'a, T> {
    kernels: &'a Kernels<'a, T>,
    first: usize,
    width: usize,
    target: Target<T>,
}

impl<T: Real> WithSimd for TransformKernels<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const AREA: usize = KERNEL * KERNEL;
        let lanes = lanes::<S, T>();
        let Kernels { weight, ci, strides, orientation, .. } = *self.kernels;
        let padded_out = padded::<T>(self.width);
        // Kernel elements of as many output channels as a vector holds.
        let mut turned = vec![T::zero(); AREA * vector_width::<T>()];
        for c in (0..self.width).step_by(lanes) {
            let channels = lanes.min(self.width - c);
            if channels < lanes {
                turned.fill(T::zero());
            }
            for input in 0..ci {
                let from = &weight[input * strides.0 + (self.first + c) * strides.1..];
                transpose(from, strides.1, (channels, AREA), &mut turned, lanes);
                let mut kernel = [[T::splat(simd, T::zero()); KERNEL]; KERNEL];
                for (at, element) in kernel.as_flattened_mut().iter_mut().enumerate() {
                    let at = match orientation {
                        Orientation::Forward => at,
                        Orientation::Turned => AREA - 1 - at,
                    };
                    *element = load::<S, T>(&turned, at * lanes);
                }
                let transformed = Kernel::tile::<S, T>(simd, kernel);
                for (point, &value) in transformed.as_flattened().iter().enumerate() {
                    let at = (point * ci + input) * padded_out + c;
                    // SAFETY: the target's vector is alive and this task's own, and a whole vector is in bounds.
                    unsafe { self.target.pointer(at, lanes).cast::<T::Vector<S>>().write_unaligned(value) };
                }
            }
        }
    }
}
