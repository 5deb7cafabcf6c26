//! The gradients of a convolution's input and bias.

use rayon::prelude::*;

use crate::cpu::{
    Real, Target,
    product::{Rows, Run, Write, padded},
    transpose::transpose,
};

use super::{
    forward::{Scratch, multiply_panels},
    geometry::{Geometry, Orientation, Tap},
    panels::{BLOCK_ELEMENTS, Block, Gather, Panel, elements, panels_of},
};

/// The weights of each group with inputs and outputs exchanged, for kernels of one element.
pub(super) fn exchanged<T: Real>(g: &Geometry, weight: &[T]) -> Vec<T> {
    /// Inputs that one task exchanges.
    const INPUTS: usize = 64;
    let len = g.co * g.ci;
    let mut out = vec![T::zero(); weight.len()];
    for (from, to) in weight.chunks_exact(len).zip(out.chunks_exact_mut(len)) {
        to.par_chunks_mut(INPUTS * g.co).enumerate().for_each(|(i, to)| {
            transpose(&from[i * INPUTS..], g.ci, (g.co, to.len() / g.co), to, g.co);
        });
    }
    out
}

/// Rows of the matrix of the input's gradient that a task has at once.
const ROWS: usize = 288;

/// The gradient of `x` as the matrix of the input's gradient, added back to where its elements came from.
pub(super) fn scattered<T: Real>(g: &Geometry, weight: &[T], grad: &[T]) -> Vec<T> {
    let (area, plane) = (g.area(), g.in_plane());
    // Work for all threads; a number's bits do not depend on how many there are.
    let channels = (ROWS / area).min(g.ci.div_ceil(2 * rayon::current_num_threads())).clamp(1, g.ci);
    let over_outputs = g.pointwise_over_outputs();
    let blocks = Block::all(&over_outputs, BLOCK_ELEMENTS / g.co);
    let adders: Vec<Adder> = g.taps().map(|tap| Adder::new(g, tap)).collect();
    let mut gx = vec![T::zero(); g.n * g.groups * g.ci * plane];
    let target = Target::new(&mut gx, plane);
    for group in 0..g.groups {
        let gathered: Vec<_> = blocks.par_iter().map(|block| gather(&over_outputs, grad, group, block)).collect();
        let firsts: Vec<usize> = (0..g.ci).step_by(channels).collect();
        firsts.par_iter().for_each_init(Scratch::default, |scratch, &first| {
            let n = channels.min(g.ci - first);
            let most = blocks.iter().map(Block::len).max().unwrap_or(0);
            let (weights, product) = scratch.two(g.co * n * area, n * area * most);
            // Side by side: where they stand, each next number of a row would be on another page of memory.
            for (co, to) in weights.chunks_exact_mut(n * area).enumerate() {
                let from = ((group * g.co + co) * g.ci + first) * area;
                to.copy_from_slice(&weight[from..][..n * area]);
            }
            let weights = Rows { data: &*weights, n: n * area, row_stride: 1, step: n * area };
            for (block, (panels, matrix)) in blocks.iter().zip(&gathered) {
                let product = &mut product[..n * area * block.len()];
                let runs = [Run { a: 0, b: 0, len: g.co }];
                let to = Target::new(product, block.len());
                // SAFETY: `product` is this task's own.
                unsafe { multiply_panels(weights, &runs, panels.iter().copied(), matrix, to, Write::Set) };
                for (image, columns) in block.images() {
                    for (c, rows) in product.chunks_exact(area * block.len()).enumerate() {
                        let place = ((image * g.groups + group) * g.ci + first + c) * plane;
                        // SAFETY: `gx` is alive, and this channel of this image is this task's alone.
                        let gx = unsafe { target.offset(place).slice(plane) };
                        for (adder, row) in adders.iter().zip(rows.chunks_exact(block.len())) {
                            adder.add(g, &row[columns.clone()], block.positions.start, gx);
                        }
                    }
                }
            }
        });
    }
    gx
}

/// The panels of the output's gradient for one block, and their elements.
fn gather<T: Real>(g: &Geometry, grad: &[T], group: usize, block: &Block) -> (Vec<Panel>, Vec<T>) {
    let panels = panels_of::<T>(block.len(), g.ci);
    let mut matrix = vec![T::zero(); elements::<T>(block.len(), g.ci)];
    for panel in &panels {
        let rows = &mut matrix[panel.start..][..g.ci * padded::<T>(panel.width)];
        Gather::new::<T>(g, Orientation::Forward, block, panel).write(g, grad, block, group, 0..g.ci, rows);
    }
    (panels, matrix)
}

/// Adds what outputs give to one kernel element back to the inputs that they saw through it.
struct Adder {
    tap: Tap,
    rows: std::ops::Range<usize>,
    cols: std::ops::Range<usize>,
}

impl Adder {
    fn new(g: &Geometry, tap: Tap) -> Self {
        Self { tap, rows: g.rows_inside(tap), cols: g.cols_inside(tap) }
    }

    /// `row` are the outputs from position `first` on.
    fn add<T: Real>(&self, g: &Geometry, row: &[T], first: usize, image: &mut [T]) {
        let (rows, cols, stride) = (&self.rows, &self.cols, g.stride.1);
        let end = first + row.len();
        for oy in (first / g.ow).max(rows.start)..end.div_ceil(g.ow).min(rows.end) {
            let (from, to) = ((oy * g.ow + cols.start).max(first), (oy * g.ow + cols.end).min(end));
            if from >= to {
                continue;
            }
            let Some(start) = g.input(self.tap, from) else { continue };
            let line = &row[from - first..to - first];
            if stride == 1 {
                image[start..][..line.len()].iter_mut().zip(line).for_each(|(i, &l)| *i += l);
            } else {
                image[start..].iter_mut().step_by(stride).zip(line).for_each(|(i, &l)| *i += l);
            }
        }
    }
}
