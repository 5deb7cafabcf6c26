//! The three products of a convolution on the CPU, each cut into blocks that depend on the shapes alone.

use std::ops::Range;

use rayon::prelude::*;

use crate::cpu::{self, Mat, Real, Target, matmul};

use super::geometry::{Block, Geometry};

/// `y = bias + weight ⋆ x`; see [`super::conv2d`].
pub(super) fn forward<T: Real>(g: &Geometry, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
    let plane = g.out_plane();
    let n = g.n * g.groups * g.co * plane;
    let mut y = Vec::with_capacity(n);
    let target = Target::uninit(&mut y.spare_capacity_mut()[..n], plane);
    let blocks = g.blocks(g.depth());
    let tasks: Vec<(usize, &Block)> = (0..g.groups).flat_map(|group| blocks.iter().map(move |b| (group, b))).collect();
    let products = Products { g, x, weight, target };
    if tasks.len() < FEW {
        tasks.iter().for_each(|&(group, block)| products.by_rows(group, block));
    } else {
        tasks.par_iter().for_each_init(Scratch::default, |scratch, &(group, block)| {
            products.whole(group, block, scratch);
        });
    }
    // SAFETY: the blocks of all groups cover the output, and a product writes every element of its block.
    unsafe { y.set_len(n) };
    if let Some(bias) = bias {
        y.par_chunks_mut(plane).enumerate().for_each(|(i, y)| {
            let bias = bias[i % bias.len()];
            y.iter_mut().for_each(|y| *y += bias);
        });
    }
    y
}

/// Where there are fewer blocks than this, threads share each one.
const FEW: usize = 8;

/// Rows of a product that one thread computes where threads share a block.
const SHARED_ROWS: usize = 32;

/// The products that make up one convolution.
struct Products<'a, T> {
    g: &'a Geometry,
    x: &'a [T],
    weight: &'a [T],
    target: Target<T>,
}

impl<T: Real> Products<'_, T> {
    /// Rows `rows` of the weights of `group`.
    fn weight(&self, group: usize, rows: Range<usize>) -> Mat<'_, T> {
        let depth = self.g.depth();
        Mat::row_major(&self.weight[(group * self.g.co + rows.start) * depth..], rows.len(), depth)
    }

    /// The input itself as the matrix, where there is nothing to gather.
    fn in_place(&self, group: usize, block: &Block) -> Option<Mat<'_, T>> {
        let g = self.g;
        (g.is_pointwise() && block.images.len() == 1).then(|| {
            let first = (block.images.start * g.groups + group) * g.ci * g.out_plane() + block.rows.start * g.ow;
            let data = &self.x[first..];
            Mat { data, rows: g.ci, cols: g.columns(block), row_stride: g.out_plane(), col_stride: 1 }
        })
    }

    /// A block by one thread.
    fn whole(&self, group: usize, block: &Block, scratch: &mut Scratch<T>) {
        let (g, columns) = (self.g, self.g.columns(block));
        let (col, product) = scratch.two(g.depth() * columns, g.co * columns);
        let col = self.in_place(group, block).unwrap_or_else(|| {
            g.im2col(self.x, group, 0..g.ci, block, col);
            Mat::row_major(col, g.depth(), columns)
        });
        self.product(group, block, 0..g.co, col, product);
    }

    /// A block by all threads: each gathers some channels, then each computes some rows.
    fn by_rows(&self, group: usize, block: &Block) {
        let (g, columns) = (self.g, self.g.columns(block));
        let area = g.kh * g.kw;
        let mut gathered = Vec::new();
        let col = self.in_place(group, block).unwrap_or_else(|| {
            gathered = vec![T::zero(); g.depth() * columns];
            gathered.par_chunks_mut(area * columns).enumerate().for_each(|(c, col)| {
                g.im2col(self.x, group, c..c + 1, block, col);
            });
            Mat::row_major(&gathered, g.depth(), columns)
        });
        let starts: Vec<usize> = (0..g.co).step_by(SHARED_ROWS).collect();
        starts.par_iter().for_each_init(Scratch::default, |scratch, &start| {
            let rows = start..(start + SHARED_ROWS).min(g.co);
            let (product, _) = scratch.two(rows.len() * columns, 0);
            self.product(group, block, rows, col, product);
        });
    }

    /// Rows `rows` of a block's product, which is written in place for one image, and by way of `product` for several.
    fn product(&self, group: usize, block: &Block, rows: Range<usize>, col: Mat<'_, T>, product: &mut [T]) {
        let (g, plane, columns) = (self.g, self.g.out_plane(), col.cols);
        let start = |n: usize, row: usize| ((n * g.groups + group) * g.co + row) * plane + block.rows.start * g.ow;
        let weight = self.weight(group, rows.clone());
        if block.images.len() == 1 {
            let target = self.target.offset(start(block.images.start, rows.start));
            // SAFETY: the output is alive; these rows of the block are this task's alone.
            return unsafe { matmul(target, false, weight, col) };
        }
        let product = &mut product[..rows.len() * columns];
        // SAFETY: `product` is this task's own.
        unsafe { matmul(Target::new(product, columns), false, weight, col) };
        for (i, n) in block.images.clone().enumerate() {
            for (row, line) in rows.clone().zip(product.chunks_exact(columns)) {
                let target = self.target.offset(start(n, row));
                // SAFETY: as above.
                unsafe { target.write(&line[i * plane..(i + 1) * plane]) };
            }
        }
    }
}

/// The gradient of `x`, given that of `y`.
pub(super) fn backward_data<T: Real>(g: &Geometry, weight: &[T], grad: &[T]) -> Vec<T> {
    match g.transposed() {
        // Turning the weights costs a pass over them, which pays where there are more outputs than weights.
        Some(transposed) if g.n * g.out_plane() > 2 * g.co => forward(&transposed, grad, &flipped(g, weight), None),
        _ => scattered(g, weight, grad),
    }
}

/// The weights of each group with inputs and outputs exchanged, and every kernel turned by 180°.
fn flipped<T: Real>(g: &Geometry, weight: &[T]) -> Vec<T> {
    let area = g.kh * g.kw;
    cpu::build(weight.len(), g.co * area, |row, out| {
        let (group, ci) = (row / g.ci, row % g.ci);
        for co in 0..g.co {
            let from = &weight[((group * g.co + co) * g.ci + ci) * area..][..area];
            out.extend(from.iter().rev().copied());
        }
    })
}

/// The gradient of `x` as the matrix of the input's gradient, added back to where its elements came from.
fn scattered<T: Real>(g: &Geometry, weight: &[T], grad: &[T]) -> Vec<T> {
    let (plane, area, input) = (g.out_plane(), g.kh * g.kw, g.h * g.w);
    let images = (BACK_COLUMNS / plane).clamp(1, g.n);
    let channels = (BACK_ROWS / area).clamp(1, g.ci);
    let mut gx = vec![T::zero(); g.n * g.groups * g.ci * input];
    let target = Target::new(&mut gx, input);
    let tasks: Vec<(Block, usize, Range<usize>)> = (0..g.n)
        .step_by(images)
        .map(|n| Block { images: n..(n + images).min(g.n), rows: 0..g.oh })
        .flat_map(|block| (0..g.groups).map(move |group| (block.clone(), group)))
        .flat_map(|(block, group)| {
            let starts = (0..g.ci).step_by(channels);
            starts.map(move |c| (block.clone(), group, c..(c + channels).min(g.ci)))
        })
        .collect();
    tasks.par_iter().for_each_init(Scratch::default, |scratch, (block, group, channels)| {
        let (columns, depth) = (g.columns(block), channels.len() * area);
        let (col, gathered) = scratch.two(depth * columns, g.co * columns);
        let data = &weight[group * g.co * g.depth() + channels.start * area..];
        let weight = Mat { data, rows: g.co, cols: depth, row_stride: g.depth(), col_stride: 1 };
        let grad = gather(g, grad, *group, block, gathered);
        // SAFETY: `col` is this task's own.
        unsafe { matmul(Target::new(col, columns), false, weight.t(), grad) };
        for (i, n) in block.images.clone().enumerate() {
            for (c, rows) in channels.clone().zip(col.chunks_exact(area * columns)) {
                let start = ((n * g.groups + group) * g.ci + c) * input;
                // SAFETY: `gx` is alive; the plane (n, c) is this task's alone.
                let image = unsafe { target.offset(start).slice(input) };
                g.col2im(rows, columns, i * plane, image);
            }
        }
    });
    gx
}

/// Columns, and rows, of the matrix that one task of [`scattered`] adds back.
const BACK_COLUMNS: usize = 128;
const BACK_ROWS: usize = 288;

/// The output's gradient of one group and block as a matrix `(co, columns)`: in place for one image, else copied together.
fn gather<'a, T: Real>(g: &Geometry, grad: &'a [T], group: usize, block: &Block, to: &'a mut [T]) -> Mat<'a, T> {
    let (plane, columns) = (g.out_plane(), g.columns(block));
    let start = |n: usize| (n * g.groups + group) * g.co * plane + block.rows.start * g.ow;
    if block.images.len() == 1 {
        let data = &grad[start(block.images.start)..];
        return Mat { data, rows: g.co, cols: columns, row_stride: plane, col_stride: 1 };
    }
    for (i, n) in block.images.clone().enumerate() {
        for c in 0..g.co {
            to[c * columns + i * plane..][..plane].copy_from_slice(&grad[start(n) + c * plane..][..plane]);
        }
    }
    Mat::row_major(to, g.co, columns)
}

/// Rows of the weight's gradient that one task sums up over the whole batch: no partial sums to add, whatever the threads.
const WEIGHT_ROWS: usize = 576;

/// The gradient of `weight`, given that of `y`.
pub(super) fn backward_weight<T: Real>(g: &Geometry, x: &[T], grad: &[T]) -> Vec<T> {
    let area = g.kh * g.kw;
    let channels = (WEIGHT_ROWS / area).clamp(1, g.ci);
    let blocks = g.blocks(channels * area);
    let pieces: Vec<_> = (0..g.groups)
        .flat_map(|group| (0..g.ci).step_by(channels).map(move |c| (group, c..(c + channels).min(g.ci))))
        .collect();
    let mut gw = vec![T::zero(); g.groups * g.co * g.depth()];
    let target = Target::new(&mut gw, g.depth());
    pieces.par_iter().for_each_init(Scratch::default, |scratch, (group, channels)| {
        let depth = channels.len() * area;
        for (i, block) in blocks.iter().enumerate() {
            let columns = g.columns(block);
            let (col, gathered) = scratch.two(depth * columns, g.co * columns);
            let grad = gather(g, grad, *group, block, gathered);
            let start = group * g.co * g.depth() + channels.start * area;
            g.im2col(x, *group, channels.clone(), block, col);
            // SAFETY: `gw` is alive; these columns of this group's rows are this task's alone.
            unsafe { matmul(target.offset(start), i > 0, grad, Mat::row_major(&*col, depth, columns).t()) };
        }
    });
    gw
}

/// The gradient of `bias`: the sum over images and positions.
pub(super) fn backward_bias<T: Real>(g: &Geometry, grad: &[T]) -> Vec<T> {
    let (plane, channels) = (g.out_plane(), g.groups * g.co);
    (0..channels)
        .into_par_iter()
        .map(|c| (0..g.n).map(|n| cpu::sum(&grad[(n * channels + c) * plane..][..plane], |g| g)).sum())
        .collect()
}

/// Memory that a worker keeps from task to task.
struct Scratch<T>(Vec<T>);

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Real> Scratch<T> {
    /// Two buffers of these lengths, with anything in them.
    fn two(&mut self, a: usize, b: usize) -> (&mut [T], &mut [T]) {
        if self.0.len() < a + b {
            self.0.resize(a + b, T::zero());
        }
        let (first, rest) = self.0.split_at_mut(a);
        (first, &mut rest[..b])
    }
}
