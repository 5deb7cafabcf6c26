//! The matrix of a convolution's inputs, a panel of output positions at a time, as the product reads it.

use std::ops::Range;

use crate::cpu::{
    Real,
    product::{padded, panels},
    vectorised,
};

use super::geometry::{Geometry, Orientation, Tap};

/// Output positions that are computed together: some of one image, or all of several whose maps are small.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) images: Range<usize>,
    /// Of each image, in reading order.
    pub(super) positions: Range<usize>,
}

/// Elements of a block's matrix: together they stay in a core's own cache until the product has read them.
pub(super) const BLOCK_ELEMENTS: usize = 3 << 16;

/// Positions that a block has at least, where there are so many: a product reads all weights for them.
const BLOCK_POSITIONS: usize = 192;

impl Block {
    /// All outputs of `g` in blocks of about `most` positions, or `BLOCK_POSITIONS` if that is more.
    pub(super) fn all(g: &Geometry, most: usize) -> Vec<Self> {
        let most = most.max(BLOCK_POSITIONS);
        let plane = g.out_plane();
        // Even pieces: the last one is not a sliver.
        let even = |n: usize, most: usize| n.div_ceil(n.div_ceil(most));
        if plane > most / 2 {
            let step = even(plane, most).next_multiple_of(16);
            let ranges = (0..plane).step_by(step).map(|p| p..(p + step).min(plane));
            (0..g.n).flat_map(|n| ranges.clone().map(move |positions| Self { images: n..n + 1, positions })).collect()
        } else {
            let step = even(g.n, most / plane);
            (0..g.n).step_by(step).map(|n| Self { images: n..(n + step).min(g.n), positions: 0..plane }).collect()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.images.len() * self.positions.len()
    }

    /// Positions `columns` of the block as parts of lines of single images.
    fn lines(&self, g: &Geometry, columns: Range<usize>) -> Vec<Line> {
        let each = self.positions.len();
        let mut lines = Vec::new();
        let mut at = columns.start;
        while at < columns.end {
            let (image, position) = (at / each, self.positions.start + at % each);
            let (y, x) = (position / g.ow, position % g.ow);
            let n = (g.ow - x).min(self.positions.end - position).min(columns.end - at);
            lines.push(Line { at: at - columns.start, image, y, cols: x..x + n });
            at += n;
        }
        lines
    }

    /// The block's images, and which of its positions are theirs.
    pub(super) fn images(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let each = self.positions.len();
        self.images.clone().enumerate().map(move |(i, image)| (image, i * each..(i + 1) * each))
    }
}

/// A part of a line of outputs.
struct Line {
    /// Its place in the panel.
    at: usize,
    /// Counted from the block's first.
    image: usize,
    y: usize,
    cols: Range<usize>,
}

impl Line {
    /// The first input element that it sees through `tap`, counted within the plane, and the part of it that sees any.
    fn seen(&self, g: &Geometry, tap: Tap) -> (usize, Range<usize>) {
        let cols = g.cols_inside(tap);
        let (start, end) = (self.cols.start.max(cols.start), self.cols.end.min(cols.end));
        if start >= end || !g.rows_inside(tap).contains(&self.y) {
            return (0, 0..0);
        }
        (g.input(tap, self.y * g.ow + start).unwrap_or(0), start - self.cols.start..end - self.cols.start)
    }
}

/// A panel of a block: its first position, how many, and where its elements begin among those of all panels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    pub(super) first: usize,
    pub(super) width: usize,
    pub(super) start: usize,
}

/// The panels of a block of `positions`, each with `depth` rows.
pub(super) fn panels_of<T: Real>(positions: usize, depth: usize) -> Vec<Panel> {
    let mut start = 0;
    panels::<T>(positions)
        .map(|(first, width)| {
            let panel = Panel { first, width, start };
            start += depth * padded::<T>(width);
            panel
        })
        .collect()
}

/// Elements that all panels of a block take.
pub(super) fn elements<T: Real>(positions: usize, depth: usize) -> usize {
    panels::<T>(positions).map(|(_, width)| depth * padded::<T>(width)).sum()
}

/// No input element: the padding.
const OUTSIDE: u32 = u32::MAX;

/// How a panel's rows come out of the input.
pub(super) enum Gather {
    /// Each kernel element sees the positions' own places, shifted: a copy, cleared where the mask says so.
    Shift(Vec<Stretch>),
    /// For each kernel element and position the place within a channel of the block's first image.
    Table(Vec<u32>),
}

/// A part of a panel within one image, for a convolution that keeps the width.
pub(super) struct Stretch {
    /// Its place in the panel.
    at: usize,
    len: usize,
    /// Its first element in a channel of the block's first image, were there no shift.
    from: usize,
    /// For each kernel element how far it is shifted, and which positions see the input, unless all do.
    taps: Vec<(isize, Option<Vec<bool>>)>,
}

impl Gather {
    /// Of `panel` of `block`, for kernel elements in the order in which weights of this orientation stand.
    pub(super) fn new<T: Real>(g: &Geometry, orientation: Orientation, block: &Block, panel: &Panel) -> Self {
        let mut taps: Vec<Tap> = g.taps().collect();
        if orientation == Orientation::Turned {
            taps.reverse();
        }
        let columns = panel.first..panel.first + panel.width;
        let image_len = g.groups * g.ci * g.h * g.w;
        let lines = block.lines(g, columns);
        if g.keeps_width() {
            return Self::Shift(Stretch::all(g, &taps, &lines, image_len));
        }
        let width = padded::<T>(panel.width);
        let mut table = vec![OUTSIDE; g.area() * width];
        for (&tap, row) in taps.iter().zip(table.chunks_exact_mut(width)) {
            for line in &lines {
                let (input, seen) = line.seen(g, tap);
                let first = line.image * image_len + input;
                for (i, slot) in row[line.at..][seen].iter_mut().enumerate() {
                    *slot = (first + i * g.stride.1) as u32;
                }
            }
        }
        Self::Table(table)
    }

    /// Writes the rows of `channels` of `group`: `(channel, kernel element)`, each of a padded panel's width.
    pub(super) fn write<T: Real>(
        &self,
        g: &Geometry,
        x: &[T],
        block: &Block,
        group: usize,
        channels: Range<usize>,
        panel: &mut [T],
    ) {
        let (plane, area) = (g.h * g.w, g.area());
        let width = panel.len() / (channels.len() * area);
        let first = (block.images.start * g.groups + group) * g.ci;
        for (c, rows) in channels.zip(panel.chunks_exact_mut(area * width)) {
            let start = (first + c) * plane;
            match self {
                Self::Shift(stretches) => stretches.iter().for_each(|stretch| stretch.write(x, start, rows, width)),
                Self::Table(table) => vectorised(
                    #[inline(always)]
                    || look_up(table, &x[start..], rows),
                ),
            }
        }
    }
}

impl Stretch {
    /// One for each image that `lines` are of.
    fn all(g: &Geometry, taps: &[Tap], lines: &[Line], image_len: usize) -> Vec<Self> {
        lines
            .chunk_by(|a, b| a.image == b.image)
            .map(|lines| {
                let at = lines[0].at;
                let len: usize = lines.iter().map(|line| line.cols.len()).sum();
                let taps = taps.iter().map(|&tap| {
                    let mut mask = vec![false; len];
                    for line in lines {
                        mask[line.at - at..][line.seen(g, tap).1].fill(true);
                    }
                    (tap.dy * g.w as isize + tap.dx, (!mask.iter().all(|&s| s)).then_some(mask))
                });
                let position = lines[0].y * g.ow + lines[0].cols.start;
                Self { at, len, from: lines[0].image * image_len + position, taps: taps.collect() }
            })
            .collect()
    }

    /// Writes its part of the rows of one channel, which begins at `start`.
    #[inline]
    fn write<T: Real>(&self, x: &[T], start: usize, rows: &mut [T], width: usize) {
        for ((shift, seen), row) in self.taps.iter().zip(rows.chunks_exact_mut(width)) {
            let row = &mut row[self.at..self.at + self.len];
            let from = (start + self.from) as isize + shift;
            let Some(seen) = seen else {
                row.copy_from_slice(&x[from as usize..][..self.len]);
                continue;
            };
            if from >= 0 && from as usize + self.len <= x.len() {
                // What lies beyond the edge of a line is another line's, and masked.
                let x = &x[from as usize..][..self.len];
                vectorised(
                    #[inline(always)]
                    || {
                        for ((slot, &x), &seen) in row.iter_mut().zip(x).zip(seen) {
                            *slot = if seen { x } else { T::zero() };
                        }
                    },
                );
            } else {
                for ((i, slot), &seen) in row.iter_mut().enumerate().zip(seen) {
                    *slot = if seen { x[(from + i as isize) as usize] } else { T::zero() };
                }
            }
        }
    }
}

#[inline(always)]
fn look_up<T: Real>(table: &[u32], x: &[T], rows: &mut [T]) {
    for (slot, &place) in rows.iter_mut().zip(table) {
        *slot = if place == OUTSIDE {
            T::zero()
        } else {
            debug_assert!((place as usize) < x.len());
            // SAFETY: `Geometry::input` gives places within a channel of an image, and `x` begins at that channel of the
            // block's first image; all of its images are there.
            unsafe { *x.get_unchecked(place as usize) }
        };
    }
}
