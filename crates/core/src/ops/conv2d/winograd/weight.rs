//! The gradient of the weights: sums over tiles in the transformed space, transformed back once.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::{
    Real, Target, lanes,
    product::{Columns, Rows, Run, Write, multiply, padded, panels, vector_width},
    transpose::transpose_to,
};

use super::{
    super::geometry::Geometry,
    Tiles, load,
    spread::Spread,
    store,
    transform::{IN, Input, KERNEL, KernelGradient, OUT, OutputGradient, POINTS, Transform as _},
};

/// Bytes of transformed tiles of a block at least. It has as many as the sums if that is more, for all of them are read and
/// written for each block.
const BLOCK: usize = 8 << 20;

/// Rows of the sums that one task computes.
const ROWS: usize = 64;

/// The gradient of `weight`, given that of `y`, for a geometry that suits.
pub(in super::super) fn backward_weight<T: Real>(g: &Geometry, x: &[T], grad: &[T]) -> Vec<T> {
    let tiles = Tiles::new(g);
    let (padded_in, padded_out) = (padded::<T>(g.ci), padded::<T>(g.co));
    let each_row = POINTS * tiles.across * (padded_in + padded_out) * size_of::<T>();
    let sums = POINTS * g.co * padded_in * size_of::<T>();
    let rows = (BLOCK.max(sums) / each_row).clamp(1, tiles.rows);
    let rows = tiles.rows.div_ceil(tiles.rows.div_ceil(rows));
    let mut gw = vec![T::zero(); g.groups * g.co * g.depth()];
    let columns: Vec<(usize, usize)> = panels::<T>(padded_in).collect();
    for (group, gw) in gw.chunks_exact_mut(g.co * g.depth()).enumerate() {
        // `(point, C_out, C_in)`.
        let mut sums: Vec<T> = Vec::with_capacity(POINTS * g.co * padded_in);
        let target = Target::uninit(sums.spare_capacity_mut(), padded_in);
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for start in (0..tiles.rows).step_by(rows) {
            let block = start..(start + rows).min(tiles.rows);
            let n = block.len() * tiles.across;
            let spread = Spread::new(g.ci, g.groups, group, (g.h, g.w), g.padding);
            spread.all::<T, IN, Input>(x, tiles, block.clone(), true, &mut inputs);
            let spread = Spread::new(g.co, g.groups, group, (g.oh, g.ow), (0, 0));
            spread.all::<T, OUT, OutputGradient>(grad, tiles, block, true, &mut outputs);
            let write = if start == 0 { Write::Set } else { Write::Add };
            let parts = g.co.div_ceil(ROWS);
            (0..POINTS * parts).into_par_iter().for_each(|task| {
                let (point, first) = (task / parts, task % parts * ROWS);
                let data = &outputs[point * n * padded_out + first..(point + 1) * n * padded_out];
                let rows = Rows { data, n: ROWS.min(g.co - first), row_stride: 1, step: padded_out };
                let runs = [Run { a: 0, b: 0, len: n }];
                for &(column, width) in &columns {
                    let data = &inputs[point * n * padded_in + column..(point + 1) * n * padded_in];
                    let columns = Columns { data, width, step: padded_in };
                    let to = target.offset((point * g.co + first) * padded_in + column);
                    // SAFETY: `sums` is alive; these rows of this point are this task's alone.
                    unsafe { multiply(rows, columns, &runs, to, write) };
                }
            });
        }
        // SAFETY: the products have written all rows of all points.
        unsafe { sums.set_len(POINTS * g.co * padded_in) };
        gw.par_chunks_mut(g.depth()).enumerate().for_each(|(row, gw)| {
            pulp::Arch::new().dispatch(BackRow { g, sums: &sums, row, gw });
        });
    }
    gw
}

/// The gradients of the kernels of one output channel from those of their transforms.
struct BackRow<'a, T> {
    g: &'a Geometry,
    sums: &'a [T],
    row: usize,
    gw: &'a mut [T],
}

impl<T: Real> WithSimd for BackRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const AREA: usize = KERNEL * KERNEL;
        let lanes = lanes::<S, T>();
        let padded_in = padded::<T>(self.g.ci);
        let mut kernels = vec![T::zero(); AREA * vector_width::<T>()];
        let to = Target::new(self.gw, AREA);
        for c in (0..padded_in).step_by(lanes) {
            let mut sums = [[T::splat(simd, T::zero()); IN]; IN];
            for (point, sum) in sums.as_flattened_mut().iter_mut().enumerate() {
                *sum = load::<S, T>(self.sums, (point * self.g.co + self.row) * padded_in + c);
            }
            let transformed = KernelGradient::tile::<S, T>(simd, sums);
            for (at, &value) in transformed.as_flattened().iter().enumerate() {
                store::<S, T>(&mut kernels, at * lanes, value);
            }
            let n = lanes.min(self.g.ci - c);
            // SAFETY: these kernels are borrowed for us alone.
            unsafe { transpose_to(&kernels, lanes, (AREA, n), to.offset(c * AREA)) };
        }
    }
}
