//! The sizes of a convolution, and which input elements an output sees.

use std::ops::Range;

use crate::{Error, Result};

use super::Conv2dParams;

/// The sizes of one convolution.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) struct Geometry {
    pub(in crate::ops) n: usize,
    pub(in crate::ops) groups: usize,
    /// Input channels of one group.
    pub(in crate::ops) ci: usize,
    /// Output channels of one group.
    pub(in crate::ops) co: usize,
    pub(in crate::ops) h: usize,
    pub(in crate::ops) w: usize,
    pub(in crate::ops) kh: usize,
    pub(in crate::ops) kw: usize,
    pub(in crate::ops) oh: usize,
    pub(in crate::ops) ow: usize,
    pub(super) stride: (usize, usize),
    /// Above and to the left; it may be negative for the convolution that a gradient is.
    pub(super) padding: (isize, isize),
    pub(super) dilation: (usize, usize),
}

/// How the weights are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Orientation {
    /// `(C_out, C_in, K_h, K_w)`, a group after the other.
    Forward,
    /// `(C_in, C_out, K_h, K_w)` with kernels turned by 180°, for the gradient of the input as a convolution.
    Turned,
}

/// A kernel element: output `(y, x)` sees input `(stride · y + dy, stride · x + dx)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub(super) dy: isize,
    pub(super) dx: isize,
}

impl Geometry {
    pub(in crate::ops) fn new(x: &[usize], weight: &[usize], params: &Conv2dParams) -> Result<Self> {
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

    /// The same with inputs and outputs exchanged, where each output sees one input, its own.
    pub(super) fn exchanged(&self) -> Option<Self> {
        let own = (self.area(), self.stride, self.padding) == (1, (1, 1), (0, 0));
        own.then_some(Self { ci: self.co, co: self.ci, ..*self })
    }

    /// The convolution by a kernel of one element whose inputs are this one's outputs.
    pub(super) fn pointwise_over_outputs(&self) -> Self {
        Self {
            ci: self.co,
            h: self.oh,
            w: self.ow,
            kh: 1,
            kw: 1,
            stride: (1, 1),
            padding: (0, 0),
            dilation: (1, 1),
            ..*self
        }
    }

    /// Whether output `p` of a plane sees input `p` plus a shift that depends on the kernel element alone.
    pub(super) fn keeps_width(&self) -> bool {
        self.stride == (1, 1) && self.ow == self.w
    }

    /// Outputs of one channel of one image.
    pub(in crate::ops) fn out_plane(&self) -> usize {
        self.oh * self.ow
    }

    /// Inputs of one channel of one image.
    pub(super) fn in_plane(&self) -> usize {
        self.h * self.w
    }

    /// Kernel elements.
    pub(super) fn area(&self) -> usize {
        self.kh * self.kw
    }

    /// The elements that one output sees.
    pub(super) fn depth(&self) -> usize {
        self.ci * self.area()
    }

    /// Every kernel element in order.
    pub(super) fn taps(&self) -> impl Iterator<Item = Tap> + use<> {
        let g = *self;
        let at = |k: usize, dilation: usize, padding: isize| (k * dilation) as isize - padding;
        (0..g.kh).flat_map(move |ky| {
            let dy = at(ky, g.dilation.0, g.padding.0);
            (0..g.kw).map(move |kx| Tap { dy, dx: at(kx, g.dilation.1, g.padding.1) })
        })
    }

    /// The element of the input's plane that output `position` sees through `tap`, if it sees any.
    pub(super) fn input(&self, tap: Tap, position: usize) -> Option<usize> {
        let y = (position / self.ow * self.stride.0) as isize + tap.dy;
        let x = (position % self.ow * self.stride.1) as isize + tap.dx;
        let inside = (0..self.h as isize).contains(&y) && (0..self.w as isize).contains(&x);
        inside.then(|| y as usize * self.w + x as usize)
    }

    /// The output rows that see an input row through `tap`.
    pub(super) fn rows_inside(&self, tap: Tap) -> Range<usize> {
        inside(tap.dy, self.stride.0, self.h, self.oh)
    }

    /// The output columns that see an input column through `tap`.
    pub(super) fn cols_inside(&self, tap: Tap) -> Range<usize> {
        inside(tap.dx, self.stride.1, self.w, self.ow)
    }
}

/// The outputs `o` of an axis for which `o · stride + shift` lies in `0..size`.
fn inside(shift: isize, stride: usize, size: usize, out: usize) -> Range<usize> {
    let stride = stride as isize;
    let ceil = |a: isize| (a + stride - 1).div_euclid(stride);
    let start = ceil(-shift).clamp(0, out as isize);
    let end = ceil(size as isize - shift).clamp(start, out as isize);
    start as usize..end as usize
}

/// The largest extent of an axis: products of two of them do not overflow.
const MOST: usize = 1 << 31;

/// `⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1`.
fn output_size(
    op: &'static str,
    size: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
) -> Result<usize> {
    let room = size.saturating_add(padding.saturating_mul(2));
    let field = dilation.saturating_mul(kernel - 1).saturating_add(1);
    if room > MOST || field > MOST {
        return Err(Error::argument(op, "padding or dilation", (padding, dilation), format!("extents up to {MOST}")));
    }
    if room < field {
        return Err(Error::argument(op, "the padded input", room, format!("at least the kernel's extent, {field}")));
    }
    Ok((room - field) / stride + 1)
}
