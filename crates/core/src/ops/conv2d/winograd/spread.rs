//! Transformed tiles of a map, with channels side by side.

use std::{marker::PhantomData, ops::Range};

use crate::cpu::{Real, Target, each, lanes, product::padded, transpose::transpose};
use pulp::{Simd, WithSimd};

use super::{
    Tiles, load,
    transform::{IN, OUT, POINTS, Transform},
};

/// Channels whose lines are turned together, to stay in the cache.
const CHANNELS: usize = 64;

/// Channels whose lines are turned at once.
const TURNED: usize = 16;

/// Where tiles are read from: one group of the channels of `(N, groups · C, H, W)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    channels: usize,
    groups: usize,
    group: usize,
    size: (usize, usize),
    /// Zeros above and to the left, where the first tile begins.
    padding: (isize, isize),
}

impl Spread {
    pub(super) fn new(
        channels: usize,
        groups: usize,
        group: usize,
        size: (usize, usize),
        padding: (isize, isize),
    ) -> Self {
        Self { channels, groups, group, size, padding }
    }

    /// Makes `out` the tiles of side `SIDE` of `rows`, transformed: `(point, tile, channel)`, channels filled up with zeros to
    /// whole vectors.
    pub(super) fn all<T: Real, const SIDE: usize, M: Transform<SIDE, IN> + Sync>(
        &self,
        x: &[T],
        tiles: Tiles,
        rows: Range<usize>,
        parallel: bool,
        out: &mut Vec<T>,
    ) {
        let n = rows.len() * tiles.across;
        let len = POINTS * n * padded::<T>(self.channels);
        out.clear();
        out.reserve(len);
        let target = Target::uninit(&mut out.spare_capacity_mut()[..len], 0);
        each(parallel, rows.len(), |i| {
            let row = RowOfTiles::<T, SIDE, M> {
                spread: self,
                x,
                tiles,
                row: rows.start + i,
                first: i * tiles.across,
                n,
                target,
                map: PhantomData,
            };
            pulp::Arch::new().dispatch(row);
        });
        // SAFETY: all points of all tiles have been written, in whole vectors.
        unsafe { out.set_len(len) };
    }
}

struct RowOfTiles<'a, T, const SIDE: usize, M> {
    spread: &'a Spread,
    x: &'a [T],
    tiles: Tiles,
    row: usize,
    /// The number of its first tile, of `n` that are written.
    first: usize,
    n: usize,
    target: Target<T>,
    map: PhantomData<M>,
}

impl<T: Real, const SIDE: usize, M> RowOfTiles<'_, T, SIDE, M> {
    /// Turns the lines that the tiles see, of channels from `first` on: `(line, x, channel)`.
    fn turn(&self, first: usize, lines: &mut [T], width: usize, chunk: usize) {
        let Spread { channels, groups, group, size: (h, w), padding } = *self.spread;
        let (image, down) = self.tiles.place(self.row);
        let n = chunk.min(channels - first);
        if n < chunk {
            lines.fill(T::zero());
        }
        let start = (padding.1.max(0) as usize).min(width);
        let end = (w as isize + padding.1).clamp(start as isize, width as isize) as usize;
        for (i, line) in lines.chunks_exact_mut(width * chunk).enumerate() {
            let y = (down * OUT + i) as isize - padding.0;
            if !(0..h as isize).contains(&y) {
                line.fill(T::zero());
                continue;
            }
            line[..start * chunk].fill(T::zero());
            line[end * chunk..].fill(T::zero());
        }
        if start >= end {
            return;
        }
        // Some channels at a time, whose lines follow each other.
        for c in (0..n).step_by(TURNED) {
            for (i, line) in lines.chunks_exact_mut(width * chunk).enumerate() {
                let y = (down * OUT + i) as isize - padding.0;
                if (0..h as isize).contains(&y) {
                    let from = ((image * groups + group) * channels + first + c) * h * w + y as usize * w;
                    let shape = (TURNED.min(n - c), end - start);
                    transpose(&self.x[from..], h * w, shape, &mut line[start * chunk + c..], chunk);
                }
            }
        }
    }
}

impl<T: Real, const SIDE: usize, M: Transform<SIDE, IN>> WithSimd for RowOfTiles<'_, T, SIDE, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let all = padded::<T>(self.spread.channels);
        let width = (self.tiles.across - 1) * OUT + SIDE;
        let lanes = lanes::<S, T>();
        let mut lines = Vec::new();
        for first in (0..all).step_by(CHANNELS) {
            let chunk = CHANNELS.min(all - first);
            lines.resize(SIDE * width * chunk, T::zero());
            self.turn(first, &mut lines, width, chunk);
            for tile in 0..self.tiles.across {
                for c in (0..chunk).step_by(lanes) {
                    let mut values = [[T::splat(simd, T::zero()); SIDE]; SIDE];
                    for (y, row) in values.iter_mut().enumerate() {
                        for (x, value) in row.iter_mut().enumerate() {
                            *value = load::<S, T>(&lines, (y * width + tile * OUT + x) * chunk + c);
                        }
                    }
                    let transformed = M::tile::<S, T>(simd, values);
                    for (point, &value) in transformed.as_flattened().iter().enumerate() {
                        let at = (point * self.n + self.first + tile) * all + first + c;
                        // SAFETY: the output is alive, a whole vector is in bounds, and this tile is this task's alone.
                        unsafe { self.target.pointer(at, lanes).cast::<T::Vector<S>>().write_unaligned(value) };
                    }
                }
            }
        }
    }
}
