//! The output of a convolution: weights by the matrix of the inputs, block by block.

use std::ops::Range;

use rayon::prelude::*;

use crate::cpu::{
    Real, Target,
    product::{Columns, Rows, Run, Write, multiply, padded},
};

use super::{
    epilogue::Epilogue,
    geometry::{Geometry, Orientation},
    panels::{BLOCK_ELEMENTS, Block, Gather, Panel, elements, panels_of},
};

/// `y = weight ⋆ x`, and what follows; see [`super::conv2d`].
pub(super) fn forward<T: Real>(
    g: &Geometry,
    x: &[T],
    weight: &[T],
    orientation: Orientation,
    epilogue: Epilogue<'_, T>,
) -> Vec<T> {
    let plane = g.out_plane();
    let n = g.n * g.groups * g.co * plane;
    let mut y = Vec::with_capacity(n);
    let chunk = chunk(g);
    let share = (g.n * plane).div_ceil(4 * rayon::current_num_threads());
    let blocks = Block::all(g, (BLOCK_ELEMENTS / (chunk * g.area())).min(BLOCK_OUTPUTS / g.co).min(share));
    let parts = parts(g.groups * blocks.len(), g.co);
    let target = Target::uninit(&mut y.spare_capacity_mut()[..n], plane);
    let products = Products { g, chunk, x, weight, orientation, epilogue, target };
    let blocks = (0..g.groups).flat_map(|group| blocks.iter().map(move |block| (group, block)));
    let tasks: Vec<_> = blocks.flat_map(|of| parts.iter().map(move |rows| (of, rows.clone()))).collect();
    tasks.into_par_iter().for_each_init(Scratch::default, |scratch, ((group, block), rows)| {
        products.block(group, block, rows, scratch);
    });
    // SAFETY: the blocks of all groups cover the output, and a product writes every element of its block.
    unsafe { y.set_len(n) };
    y
}

/// Rows of the matrix that are gathered and multiplied at a time: the panels of so many stay in a core's own cache while all
/// weights pass by. The sums of such parts are added up, which rounds less than one long sum, too.
const CHUNK_DEPTH: usize = 640;

/// Channels of such rows: all together in even parts. A sum's bits depend on it, so it depends on the sizes alone.
fn chunk(g: &Geometry) -> usize {
    let most = (CHUNK_DEPTH / g.area()).clamp(1, g.ci);
    g.ci.div_ceil(g.ci.div_ceil(most))
}

/// Outputs of a block, where it has more than a few positions: they are read and written for each such part.
const BLOCK_OUTPUTS: usize = 1 << 17;

/// Rows of weights that go through all panels of a block before the next ones.
const ROWS: usize = 64;

/// Cuts the `co` rows of weights so that all threads have work where there are few blocks. Each part gathers the block's
/// inputs anew: that costs less than to wait for one another after each chunk of channels.
///
/// An output's bits do not depend on who computes it, so the number of threads may decide how the work is shared.
fn parts(blocks: usize, co: usize) -> Vec<Range<usize>> {
    let threads = rayon::current_num_threads();
    let n = (1..=co.div_ceil(ROWS)).find(|n| n * blocks >= 2 * threads || (n * blocks).is_multiple_of(threads));
    let each = co.div_ceil(n.unwrap_or(co.div_ceil(ROWS))).next_multiple_of(8);
    (0..co).step_by(each).map(|first| first..(first + each).min(co)).collect()
}

/// The products that make up one convolution.
struct Products<'a, T> {
    g: &'a Geometry,
    chunk: usize,
    x: &'a [T],
    weight: &'a [T],
    orientation: Orientation,
    epilogue: Epilogue<'a, T>,
    target: Target<T>,
}

impl<T: Real> Products<'_, T> {
    /// Rows `all` of a block, some channels at a time.
    fn block(&self, group: usize, block: &Block, all: Range<usize>, scratch: &mut Scratch<T>) {
        let (g, n, depth) = (self.g, block.len(), self.chunk * self.g.area());
        let gathers: Vec<(Panel, Gather)> = panels_of::<T>(n, depth)
            .into_iter()
            .map(|panel| (panel, Gather::new::<T>(g, self.orientation, block, &panel)))
            .collect();
        // Images that go together are computed side by side, and then copied to where they belong.
        let together = if block.images.len() > 1 { all.len() * n } else { 0 };
        let (matrix, product) = scratch.two(elements::<T>(n, depth), together);
        let (to, stride) = match together {
            0 => (self.place(group, block, block.images.start, all.start), g.out_plane()),
            _ => (Target::new(product, n), n),
        };
        for first in (0..g.ci).step_by(self.chunk) {
            let channels = first..(first + self.chunk).min(g.ci);
            self.gather(group, block, channels.clone(), &gathers, matrix);
            let write = if first == 0 { Write::Set } else { Write::Add };
            for start in all.clone().step_by(ROWS) {
                let rows = start..(start + ROWS).min(all.end);
                let to = to.offset((start - all.start) * stride);
                // SAFETY: the output and `product` are alive; these rows of the block are this task's alone.
                unsafe { self.rows(group, rows, channels.clone(), (&gathers, matrix), to, write) };
            }
        }
        if together > 0 || !self.epilogue.is_none() {
            self.finish(group, block, all, &product[..together]);
        }
    }

    /// Copies what was computed side by side to where it belongs, if anything was, and does what follows.
    fn finish(&self, group: usize, block: &Block, all: Range<usize>, product: &[T]) {
        for (i, row) in all.enumerate() {
            for (image, columns) in block.images() {
                let place = self.place(group, block, image, row);
                if !product.is_empty() {
                    // SAFETY: the output is alive, and this block of it is this task's alone.
                    unsafe { place.write(&product[i * block.len()..][columns.clone()]) };
                }
                // SAFETY: as above, and the products have written these elements.
                let y = unsafe { place.slice(columns.len()) };
                self.epilogue.apply(group * self.g.co + row, self.at(group, block, image, row), y);
            }
        }
    }

    /// Where the block's part of `row` of an image begins.
    fn at(&self, group: usize, block: &Block, image: usize, row: usize) -> usize {
        let g = self.g;
        ((image * g.groups + group) * g.co + row) * g.out_plane() + block.positions.start
    }

    /// The output from there on.
    fn place(&self, group: usize, block: &Block, image: usize, row: usize) -> Target<T> {
        self.target.offset(self.at(group, block, image, row))
    }

    /// Writes the rows of `channels` to all panels: along the channels, whose positions stand together.
    fn gather(
        &self,
        group: usize,
        block: &Block,
        channels: Range<usize>,
        gathers: &[(Panel, Gather)],
        matrix: &mut [T],
    ) {
        for (i, c) in channels.enumerate() {
            for (panel, gather) in gathers {
                let each = self.g.area() * padded::<T>(panel.width);
                let rows = &mut matrix[panel.start + i * each..][..each];
                gather.write(self.g, self.x, block, group, c..c + 1, rows);
            }
        }
    }

    /// Rows `rows` of the weights for inputs `channels` by all panels.
    ///
    /// # Safety
    /// As [`multiply`].
    unsafe fn rows(
        &self,
        group: usize,
        rows: Range<usize>,
        channels: Range<usize>,
        (gathers, matrix): (&[(Panel, Gather)], &[T]),
        to: Target<T>,
        write: Write,
    ) {
        let (g, area) = (self.g, self.g.area());
        let weight = &self.weight[group * g.co * g.depth()..];
        let (mut copied, mut runs) = (Vec::new(), Vec::new());
        let weights = match self.orientation {
            Orientation::Forward => {
                runs.push(Run { a: 0, b: 0, len: channels.len() * area });
                let data = &weight[rows.start * g.depth() + channels.start * area..];
                Rows { data, n: rows.len(), row_stride: g.depth(), step: 1 }
            }
            Orientation::Turned => {
                // The weights of these rows stand together for each channel, channels far apart.
                let each = rows.len() * area;
                for (i, c) in channels.enumerate() {
                    copied.extend_from_slice(&weight[(c * g.co + rows.start) * area..][..each]);
                    runs.push(Run { a: i * each, b: i * area, len: area });
                }
                Rows { data: &copied, n: rows.len(), row_stride: area, step: 1 }
            }
        };
        let panels = gathers.iter().map(|(panel, _)| *panel);
        // SAFETY: as the caller promises.
        unsafe { multiply_panels(weights, &runs, panels, matrix, to, write) };
    }
}

/// `rows` by all `panels` over `runs`, whose `b` count rows of a panel. The elements of all panels are `matrix`.
///
/// # Safety
/// As [`multiply`].
pub(super) unsafe fn multiply_panels<T: Real>(
    rows: Rows<'_, T>,
    runs: &[Run],
    panels: impl Iterator<Item = Panel>,
    matrix: &[T],
    target: Target<T>,
    write: Write,
) {
    let mut scaled = Vec::with_capacity(runs.len());
    for panel in panels {
        let step = padded::<T>(panel.width);
        scaled.clear();
        scaled.extend(runs.iter().map(|run| Run { b: run.b * step, ..*run }));
        let columns = Columns { data: &matrix[panel.start..], width: panel.width, step };
        // SAFETY: as the caller promises.
        unsafe { multiply(rows, columns, &scaled, target.offset(panel.first), write) };
    }
}

/// Memory that a worker keeps from task to task.
pub(super) struct Scratch<T>(Vec<T>);

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Real> Scratch<T> {
    /// Two buffers of these lengths, with anything in them.
    pub(super) fn two(&mut self, a: usize, b: usize) -> (&mut [T], &mut [T]) {
        if self.0.len() < a + b {
            self.0.clear();
            self.0.resize(a + b, T::zero());
        }
        let (first, rest) = self.0.split_at_mut(a);
        (first, &mut rest[..b])
    }
}
