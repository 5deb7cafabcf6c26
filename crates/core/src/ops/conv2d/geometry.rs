//! Which input elements a convolution's output sees, and the matrix of them.

use std::ops::Range;

use crate::{Error, Result, cpu::Real};

use super::Conv2dParams;

/// The sizes of one convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) n: usize,
    pub(super) groups: usize,
    /// Input channels of one group.
    pub(super) ci: usize,
    /// Output channels of one group.
    pub(super) co: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) kh: usize,
    pub(super) kw: usize,
    pub(super) oh: usize,
    pub(super) ow: usize,
    stride: (usize, usize),
    /// Above and to the left; it may be negative for the convolution that a gradient is.
    padding: (isize, isize),
    dilation: (usize, usize),
}

/// Columns of the matrix of one block: rows `rows` of the outputs of images `images`.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) images: Range<usize>,
    pub(super) rows: Range<usize>,
}

/// Elements of one block's matrix: small enough to stay in a core's own cache until the product has read it.
const BLOCK_ELEMENTS: usize = 1 << 17;

/// Columns that a product should have at least, to be worth packing the weights for.
const BLOCK_COLUMNS: usize = 96;

impl Geometry {
    pub(super) fn new(x: &[usize], weight: &[usize], params: &Conv2dParams) -> Result<Self> {
        const OP: &str = "conv2d";
        let &[n, ci, h, w] = x else {
            return Err(Error::argument(OP, "x", x, "a shape (N, C_in, H, W)"));
        };
        let &[co, ci_group, kh, kw] = weight else {
            return Err(Error::argument(OP, "weight", weight, "a shape (C_out, C_in / groups, K_h, K_w)"));
        };
        let Conv2dParams { stride, padding, dilation, groups } = *params;
        if x.contains(&0) || weight.contains(&0) {
            return Err(Error::argument(OP, "the shapes of x and weight", (x, weight), "no zero in them"));
        }
        if groups == 0 || ci % groups != 0 || co % groups != 0 || ci / groups != ci_group {
            let expected = format!("one that divides {ci} inputs and {co} outputs, with {ci_group} inputs each");
            return Err(Error::argument(OP, "groups", groups, expected));
        }
        let pairs = [stride, dilation];
        if pairs.iter().any(|&(a, b)| a == 0 || b == 0) {
            return Err(Error::argument(OP, "stride and dilation", (stride, dilation), "at least 1"));
        }
        let oh = output_size(OP, h, kh, stride.0, padding.0, dilation.0)?;
        let ow = output_size(OP, w, kw, stride.1, padding.1, dilation.1)?;
        Ok(Self {
            n,
            groups,
            ci: ci_group,
            co: co / groups,
            h,
            w,
            kh,
            kw,
            oh,
            ow,
            stride,
            padding: (padding.0 as isize, padding.1 as isize),
            dilation,
        })
    }

    /// The convolution of the output's gradient by the flipped weights that gives the input's gradient, for stride 1.
    pub(super) fn transposed(&self) -> Option<Self> {
        (self.stride == (1, 1)).then(|| Self {
            ci: self.co,
            co: self.ci,
            h: self.oh,
            w: self.ow,
            oh: self.h,
            ow: self.w,
            padding: (
                (self.dilation.0 * (self.kh - 1)) as isize - self.padding.0,
                (self.dilation.1 * (self.kw - 1)) as isize - self.padding.1,
            ),
            ..*self
        })
    }

    /// Whether the matrix of the inputs is the input itself.
    pub(super) fn is_pointwise(&self) -> bool {
        (self.kh, self.kw, self.stride, self.padding) == (1, 1, (1, 1), (0, 0))
    }

    /// Outputs of one channel of one image.
    pub(super) fn out_plane(&self) -> usize {
        self.oh * self.ow
    }

    /// Rows of the matrix: the elements that one output sees.
    pub(super) fn depth(&self) -> usize {
        self.ci * self.kh * self.kw
    }

    /// The work in pieces of at most `BLOCK_ELEMENTS` for a matrix of `depth` rows: parts of an image, or whole images
    /// together where their maps are small.
    pub(super) fn blocks(&self, depth: usize) -> Vec<Block> {
        let columns = (BLOCK_ELEMENTS / depth).max(BLOCK_COLUMNS);
        let plane = self.out_plane();
        if plane >= columns {
            let rows = (columns / self.ow).max(1);
            // Even pieces: the last one is not a sliver.
            let pieces = self.oh.div_ceil(rows);
            let rows = self.oh.div_ceil(pieces);
            let starts = (0..self.oh).step_by(rows);
            let ranges: Vec<_> = starts.map(|r| r..(r + rows).min(self.oh)).collect();
            (0..self.n).flat_map(|i| ranges.iter().map(move |r| Block { images: i..i + 1, rows: r.clone() })).collect()
        } else {
            let images = columns / plane;
            let pieces = self.n.div_ceil(images);
            let images = self.n.div_ceil(pieces);
            let starts = (0..self.n).step_by(images);
            starts.map(|i| Block { images: i..(i + images).min(self.n), rows: 0..self.oh }).collect()
        }
    }

    /// Columns of a block.
    pub(super) fn columns(&self, block: &Block) -> usize {
        block.images.len() * block.rows.len() * self.ow
    }

    /// Writes the matrix of the inputs: row `(c, kh, kw)` for `channels`, column `(image, row, column)` of `block`.
    ///
    /// `x` is the whole input `(N, groups · ci, H, W)`.
    pub(super) fn im2col<T: Real>(&self, x: &[T], group: usize, channels: Range<usize>, block: &Block, col: &mut [T]) {
        let plane = self.h * self.w;
        let part = block.rows.len() * self.ow;
        let taps: Vec<Tap> = self.taps(&block.rows).collect();
        let mut rows = col.chunks_exact_mut(self.columns(block));
        for c in channels {
            for tap in &taps {
                let Some(row) = rows.next() else { return };
                for (n, part) in block.images.clone().zip(row.chunks_exact_mut(part)) {
                    let image = &x[((n * self.groups + group) * self.ci + c) * plane..][..plane];
                    if self.stride == (1, 1) && self.ow == self.w {
                        self.read_shifted(image, tap, part);
                    } else {
                        self.read_lines(image, tap, part);
                    }
                }
            }
        }
    }

    /// Adds rows of a matrix as [`Self::im2col`] writes them back to where their elements came from: those of one channel
    /// and all output rows of one image, which stand from column `first` on in rows of `columns`.
    pub(super) fn col2im<T: Real>(&self, rows: &[T], columns: usize, first: usize, image: &mut [T]) {
        for (tap, row) in self.taps(&(0..self.oh)).zip(rows.chunks_exact(columns)) {
            self.add_lines(&row[first..first + self.out_plane()], &tap, image);
        }
    }

    /// Every kernel element in order, as seen from the output rows `rows`.
    fn taps(&self, rows: &Range<usize>) -> impl Iterator<Item = Tap> {
        let axis = |k: usize, dilation: usize, padding: isize| (k * dilation) as isize - padding;
        let (g, rows) = (*self, rows.clone());
        (0..g.kh).flat_map(move |ky| {
            let dy = axis(ky, g.dilation.0, g.padding.0);
            let seen = inside(dy, g.stride.0, g.h, g.oh);
            let (start, end) = (seen.start.clamp(rows.start, rows.end), seen.end.clamp(rows.start, rows.end));
            let first_row = rows.start;
            (0..g.kw).map(move |kx| {
                let dx = axis(kx, g.dilation.1, g.padding.1);
                let cols = inside(dx, g.stride.1, g.w, g.ow);
                Tap { dy, dx, first_row, rows: start..end.max(start), cols }
            })
        })
    }

    /// One tap of a convolution that keeps the width: a shifted copy, in which what the shift carried over the edge of a
    /// line is then cleared.
    fn read_shifted<T: Real>(&self, image: &[T], tap: &Tap, part: &mut [T]) {
        let w = self.w;
        let (before, rest) = part.split_at_mut((tap.rows.start - tap.first_row) * w);
        let (lines, after) = rest.split_at_mut(tap.rows.len() * w);
        before.fill(T::zero());
        after.fill(T::zero());
        if tap.cols.is_empty() || lines.is_empty() {
            return lines.fill(T::zero());
        }
        // The first and last elements may lie outside the image; they are cleared below.
        let start = (tap.rows.start as isize + tap.dy) * w as isize + tap.dx;
        let skip = (-start).max(0) as usize;
        let from = &image[(start + skip as isize) as usize..];
        let n = (lines.len() - skip).min(from.len());
        lines[skip..skip + n].copy_from_slice(&from[..n]);
        if tap.dx != 0 {
            for line in lines.chunks_exact_mut(w) {
                line[..tap.cols.start].iter_mut().for_each(|v| *v = T::zero());
                line[tap.cols.end..].iter_mut().for_each(|v| *v = T::zero());
            }
        }
    }

    fn read_lines<T: Real>(&self, image: &[T], tap: &Tap, part: &mut [T]) {
        for (i, line) in part.chunks_exact_mut(self.ow).enumerate() {
            let Some(input) = self.input_line(tap, tap.first_row + i) else {
                line.fill(T::zero());
                continue;
            };
            line[..tap.cols.start].fill(T::zero());
            line[tap.cols.end..].fill(T::zero());
            let (line, input) = (&mut line[tap.cols.clone()], &image[input..]);
            match self.stride.1 {
                1 => line.copy_from_slice(&input[..line.len()]),
                2 => line.iter_mut().zip(input.chunks(2)).for_each(|(l, i)| *l = i[0]),
                stride => line.iter_mut().zip(input.iter().step_by(stride)).for_each(|(l, &i)| *l = i),
            }
        }
    }

    fn add_lines<T: Real>(&self, part: &[T], tap: &Tap, image: &mut [T]) {
        for (i, line) in part.chunks_exact(self.ow).enumerate() {
            if let Some(input) = self.input_line(tap, tap.first_row + i) {
                let input = image[input..].iter_mut().step_by(self.stride.1);
                input.zip(&line[tap.cols.clone()]).for_each(|(i, &l)| *i += l);
            }
        }
    }

    /// Where the first input element stands that output row `oy` sees through `tap`, if it sees any.
    fn input_line(&self, tap: &Tap, oy: usize) -> Option<usize> {
        if !tap.rows.contains(&oy) || tap.cols.is_empty() {
            return None;
        }
        let y = (oy * self.stride.0) as isize + tap.dy;
        let x = (tap.cols.start * self.stride.1) as isize + tap.dx;
        Some(y as usize * self.w + x as usize)
    }
}

/// A kernel element: output `(y, x)` sees input `(stride · y + dy, stride · x + dx)`.
struct Tap {
    dy: isize,
    dx: isize,
    /// The first output row that is asked for.
    first_row: usize,
    /// The output rows that see an input row, of those asked for.
    rows: Range<usize>,
    /// The output columns that see an input column.
    cols: Range<usize>,
}

/// The outputs `o` of an axis for which `o * stride + shift` lies in `0..size`.
fn inside(shift: isize, stride: usize, size: usize, out: usize) -> Range<usize> {
    let stride = stride as isize;
    let ceil = |a: isize| (a + stride - 1).div_euclid(stride);
    let start = ceil(-shift).clamp(0, out as isize);
    let end = ceil(size as isize - shift).clamp(start, out as isize);
    start as usize..end as usize
}

/// `⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1`.
fn output_size(
    op: &'static str,
    size: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
) -> Result<usize> {
    let (room, field) = (size + 2 * padding, dilation * (kernel - 1) + 1);
    if room < field {
        return Err(Error::argument(op, "the padded input", room, format!("at least the kernel's extent, {field}")));
    }
    Ok((room - field) / stride + 1)
}
