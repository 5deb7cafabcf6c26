//! The gradient of a convolution's weights: rows of the output's gradient by the inputs with channels side by side, a panel
//! of channels after the other.

use std::ops::Range;

use rayon::prelude::*;

use crate::cpu::{
    Real, Target,
    product::{Columns, Rows, Run, Write, multiply, padded, panel_width, panels, vector_width},
    transpose::{transpose, transpose_to},
};

use super::geometry::{Geometry, Tap};

/// Elements of the inputs that are turned at once, to stay in the cache while every product reads them.
const BLOCK_ELEMENTS: usize = 3 << 17;

/// Steps of a sum in a row: sums of parts are added up, which rounds far less than one long sum.
const PART: usize = 128;

/// Rows of weights that one task computes, for a part of the inputs.
const ROWS: usize = 48;

/// Rows of weights that one task computes where it sees all inputs.
const ROWS_AT_ONCE: usize = 24;

/// The gradient of `weight`, given that of `y`.
pub(super) fn backward_weight<T: Real>(g: &Geometry, x: &[T], grad: &[T]) -> Vec<T> {
    let turned = Turned::new::<T>(g);
    let len = g.groups * g.co * g.depth();
    let mut gw = Vec::with_capacity(len);
    let target = Target::uninit(&mut gw.spare_capacity_mut()[..len], 0);
    let blocks = turned.blocks(g);
    let mut buffer = Vec::new();
    for group in 0..g.groups {
        if let [block] = &blocks[..] {
            turned.fill(g, x, group, block, &mut buffer);
            let runs: Vec<_> = turned.taps.iter().map(|&tap| turned.parts(g, tap, block)).collect();
            let rows: Vec<_> = turned.rows(g, ROWS_AT_ONCE).collect();
            rows.par_iter().for_each_init(Vec::new, |sums, rows| {
                // `(tap, C_out, columns)`, while they are in the cache.
                sums.resize(turned.taps.len() * rows.len() * turned.columns, T::zero());
                let to = Target::new(sums, turned.columns);
                for (tap, runs) in runs.iter().enumerate() {
                    let to = to.offset(tap * rows.len() * turned.columns);
                    let sums = Sums { g, turned: &turned, grad, buffer: &buffer, group, block, write: Write::Set };
                    // SAFETY: `sums` is this task's own.
                    unsafe { sums.add(rows.clone(), runs, to) };
                }
                // SAFETY: `gw` is alive; these rows are this task's alone.
                unsafe { turned.in_order(g, group, rows.clone(), sums, target) };
            });
            continue;
        }
        let n_taps = turned.taps.len();
        let mut sums = vec![T::zero(); n_taps * g.co * turned.columns];
        let to = Target::new(&mut sums, turned.columns);
        let tasks: Vec<(usize, Range<usize>)> =
            (0..n_taps).flat_map(|tap| turned.rows(g, ROWS).map(move |rows| (tap, rows))).collect();
        for block in &blocks {
            turned.fill(g, x, group, block, &mut buffer);
            let runs: Vec<_> = turned.taps.iter().map(|&tap| turned.parts(g, tap, block)).collect();
            tasks.par_iter().for_each(|(tap, rows)| {
                let to = to.offset((tap * g.co + rows.start) * turned.columns);
                let sums = Sums { g, turned: &turned, grad, buffer: &buffer, group, block, write: Write::Add };
                // SAFETY: `sums` is alive; these rows of this tap are this task's alone.
                unsafe { sums.add(rows.clone(), &runs[*tap], to) };
            });
        }
        // SAFETY: `gw` is alive, and nobody else writes to it.
        unsafe { turned.in_order(g, group, 0..g.co, &sums, target) };
    }
    // SAFETY: the rows of all groups have been written.
    unsafe { gw.set_len(len) };
    gw
}

/// The sums over one block.
struct Sums<'a, T> {
    g: &'a Geometry,
    turned: &'a Turned,
    grad: &'a [T],
    buffer: &'a [T],
    group: usize,
    block: &'a Block,
    write: Write,
}

impl<T: Real> Sums<'_, T> {
    /// For `rows` of outputs, all columns of the tap that `parts` belong to.
    ///
    /// # Safety
    /// As [`multiply`].
    unsafe fn add(&self, rows: Range<usize>, parts: &[Vec<Run>], to: Target<T>) {
        let g = self.g;
        let first = ((self.block.images.start * g.groups + self.group) * g.co + rows.start) * g.out_plane();
        let rows = Rows { data: &self.grad[first..], n: rows.len(), row_stride: g.out_plane(), step: 1 };
        let mut scaled = Vec::new();
        for (column, width) in panels::<T>(self.turned.columns) {
            let (start, position) = self.turned.panel::<T>(g, self.block, (column, width));
            let columns = Columns { data: &self.buffer[start..], width, step: g.stride.1 * position };
            for (i, runs) in parts.iter().enumerate() {
                scaled.clear();
                scaled.extend(runs.iter().map(|run| Run { b: run.b * position, ..*run }));
                let write = if i == 0 { self.write } else { Write::Add };
                // SAFETY: as the caller promises.
                unsafe { multiply(rows, columns, &scaled, to.offset(column), write) };
            }
        }
    }
}

/// Images, and rows of their outputs, whose inputs are turned together.
#[derive(Clone, Debug)]
struct Block {
    images: Range<usize>,
    rows: Range<usize>,
}

/// The inputs with channels innermost: `(panel of channels, image, y, x, channel)`, so that a product reads its columns as
/// they stand.
///
/// Where channels are few, no panels are made, and the elements of a kernel's row are taken together, as they stand side
/// by side too; the lines then have their padding to the left and right.
struct Turned {
    /// Each kernel element, or the first one of each kernel row.
    taps: Vec<Tap>,
    /// Columns of the sums of a tap.
    columns: usize,
    /// Kernel elements that are taken together.
    together: usize,
    /// Positions of the padding before and after each line.
    pad: (usize, usize),
}

impl Turned {
    fn new<T: Real>(g: &Geometry) -> Self {
        let merge = g.ci < vector_width::<T>() && g.kw > 1 && g.dilation.1 == 1;
        let together = if merge { g.kw } else { 1 };
        let taps = g.taps().step_by(together).collect();
        let before = if merge { g.padding.1.max(0) as usize } else { 0 };
        // As far as the last output sees.
        let seen = (g.ow - 1) * g.stride.1 + g.kw;
        let after = if merge { seen.saturating_sub(before + g.w) } else { 0 };
        Self { taps, columns: together * g.ci, together, pad: (before, after) }
    }

    /// Positions of a line of inputs.
    fn line(&self, g: &Geometry) -> usize {
        self.pad.0 + g.w + self.pad.1
    }

    /// Positions that `block` sees.
    fn positions(&self, g: &Geometry, block: &Block) -> usize {
        block.images.len() * self.input_rows(g, block).len() * self.line(g)
    }

    /// Where a panel of columns begins, and how many elements it has for each position.
    fn panel<T: Real>(&self, g: &Geometry, block: &Block, (column, width): (usize, usize)) -> (usize, usize) {
        if self.together > 1 {
            return (column, g.ci);
        }
        // All panels before this one are of whole vectors.
        (column * self.positions(g, block), padded::<T>(width))
    }

    fn blocks(&self, g: &Geometry) -> Vec<Block> {
        let image = self.line(g) * g.h * g.ci;
        if image <= BLOCK_ELEMENTS {
            let images = (BLOCK_ELEMENTS / image).max(1);
            let images = g.n.div_ceil(g.n.div_ceil(images));
            return (0..g.n)
                .step_by(images)
                .map(|n| Block { images: n..(n + images).min(g.n), rows: 0..g.oh })
                .collect();
        }
        let rows = (BLOCK_ELEMENTS / (self.line(g) * g.ci * g.stride.0)).clamp(1, g.oh);
        let rows = g.oh.div_ceil(g.oh.div_ceil(rows));
        let of_an_image = (0..g.oh).step_by(rows).map(|r| r..(r + rows).min(g.oh));
        (0..g.n).flat_map(|n| of_an_image.clone().map(move |rows| Block { images: n..n + 1, rows })).collect()
    }

    /// The input rows that a block sees.
    fn input_rows(&self, g: &Geometry, block: &Block) -> Range<usize> {
        let clamp = |y: isize| y.clamp(0, g.h as isize) as usize;
        let (first, last) = ((block.rows.start * g.stride.0) as isize, ((block.rows.end - 1) * g.stride.0) as isize);
        let field = (g.dilation.0 * (g.kh - 1)) as isize;
        let start = clamp(first - g.padding.0);
        start..clamp(last - g.padding.0 + field + 1).max(start)
    }

    /// Turns the inputs that `block` sees.
    fn fill<T: Real>(&self, g: &Geometry, x: &[T], group: usize, block: &Block, buffer: &mut Vec<T>) {
        let (rows, positions) = (self.input_rows(g, block), self.positions(g, block));
        // Whole vectors are read: where panels do not take them, up to a panel beyond the last element.
        let (position, beyond) = if self.together == 1 { (padded::<T>(g.ci), 0) } else { (g.ci, panel_width::<T>()) };
        buffer.resize(positions * position + beyond, T::zero());
        if positions == 0 {
            return;
        }
        if self.together == 1 {
            // Lines follow each other on both sides.
            let target = Target::new(buffer, 0);
            let panels: Vec<_> = panels::<T>(g.ci).collect();
            let image = rows.len() * g.w;
            (0..block.images.len() * panels.len()).into_par_iter().for_each(|task| {
                let (i, (c, width)) = (task / panels.len(), panels[task % panels.len()]);
                let n = block.images.start + i;
                let from = &x[((n * g.groups + group) * g.ci + c) * g.in_plane() + rows.start * g.w..];
                let (start, position) = self.panel::<T>(g, block, (c, width));
                let to = target.offset(start + i * image * position).rows_of(position);
                // SAFETY: `buffer` is borrowed for us alone; these channels of this image are this task's alone.
                unsafe { transpose_to(from, g.in_plane(), (width, image), to) };
            });
            return;
        }
        let line = self.line(g) * g.ci;
        let lines = buffer[..positions * g.ci].par_chunks_mut(line).enumerate();
        lines.for_each(|(i, to)| {
            let (n, y) = (block.images.start + i / rows.len(), rows.start + i % rows.len());
            let from = &x[(n * g.groups + group) * g.ci * g.in_plane() + y * g.w..];
            let (before, rest) = to.split_at_mut(self.pad.0 * g.ci);
            let (middle, after) = rest.split_at_mut(g.w * g.ci);
            before.fill(T::zero());
            after.fill(T::zero());
            transpose(from, g.in_plane(), (g.ci, g.w), middle, g.ci);
        });
    }

    /// [`Self::runs`] in parts of at most `PART` steps; one without any where there are none.
    fn parts(&self, g: &Geometry, tap: Tap, block: &Block) -> Vec<Vec<Run>> {
        let (mut parts, mut room) = (vec![Vec::new()], PART);
        for Run { mut a, mut b, mut len } in self.runs(g, tap, block) {
            while len > 0 {
                if room == 0 {
                    parts.push(Vec::new());
                    room = PART;
                }
                let now = len.min(room);
                if let Some(part) = parts.last_mut() {
                    part.push(Run { a, b, len: now });
                }
                (a, b, len, room) = (a + now, b + now * g.stride.1, len - now, room - now);
            }
        }
        parts
    }

    /// Which outputs see an input through `tap`, as stretches of the sum; `b` counts positions.
    fn runs(&self, g: &Geometry, tap: Tap, block: &Block) -> Vec<Run> {
        let (inputs, line) = (self.input_rows(g, block), self.line(g));
        let cols = if self.together > 1 { 0..g.ow } else { g.cols_inside(tap) };
        if cols.is_empty() {
            // The tap looks beyond the map from every output: there is no place that a stretch could begin at.
            return Vec::new();
        }
        let seen = g.rows_inside(tap);
        let image_grad = g.groups * g.co * g.out_plane();
        let mut runs = Vec::new();
        for image in 0..block.images.len() {
            for oy in block.rows.start.max(seen.start)..block.rows.end.min(seen.end) {
                let y = ((oy * g.stride.0) as isize + tap.dy) as usize - inputs.start;
                let x = (cols.start * g.stride.1 + self.pad.0) as isize + tap.dx;
                let run = Run {
                    a: image * image_grad + oy * g.ow + cols.start,
                    b: (image * inputs.len() + y) * line + x as usize,
                    len: cols.len(),
                };
                // Lines that follow each other on both sides are one stretch.
                match runs.last_mut() {
                    Some(Run { a, b, len }) if run.a == *a + *len && run.b == *b + *len * g.stride.1 && run.len > 0 => {
                        *len += run.len;
                    }
                    _ => runs.push(run),
                }
            }
        }
        runs
    }

    /// All outputs in parts of `most`, or of fewer where threads would have nothing to do.
    fn rows(&self, g: &Geometry, most: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        const LEAST: usize = 8;
        let co = g.co;
        let most = co.div_ceil(2 * rayon::current_num_threads()).clamp(LEAST, most);
        (0..co).step_by(most).map(move |r| r..(r + most).min(co))
    }

    /// Writes sums `(tap, C_out, columns)` of `rows` in the order of the weights, `(C_out, C_in, K_h, K_w)`, to all weights.
    ///
    /// # Safety
    /// The slice that `to` was made of is alive, and nobody else reads or writes these rows meanwhile.
    unsafe fn in_order<T: Real>(&self, g: &Geometry, group: usize, rows: Range<usize>, sums: &[T], to: Target<T>) {
        let (area, n) = (g.area(), rows.len());
        rows.into_par_iter().enumerate().for_each(|(i, row)| {
            let to = to.offset((group * g.co + row) * g.depth()).rows_of(area);
            for tap in (0..area).step_by(if self.together == 1 { area } else { self.together }) {
                // Kernel elements stand `n` rows apart, or side by side where they are taken together.
                let from = (tap / self.together * n + i) * self.columns;
                let (stride, taps) = if self.together == 1 { (n * self.columns, area) } else { (g.ci, self.together) };
                // SAFETY: as the caller promises.
                unsafe { transpose_to(&sums[from..], stride, (taps, g.ci), to.offset(tap)) };
            }
        });
    }
}
