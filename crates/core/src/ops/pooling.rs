//! The windows that pooling operations share.

use crate::{Error, Result};

/// One spatial axis of a pooling operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) size: usize,
    pub(super) out: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Axis {
    pub(super) fn new(
        op: &'static str,
        size: usize,
        (kernel, stride, padding): (usize, usize, usize),
        ceil_mode: bool,
    ) -> Result<Self> {
        if kernel == 0 || stride == 0 {
            return Err(Error::argument(op, "kernel_size and stride", (kernel, stride), "at least 1"));
        }
        if padding > kernel / 2 {
            return Err(Error::argument(op, "padding", padding, format!("at most half the kernel, {}", kernel / 2)));
        }
        let Some(room) = (size + 2 * padding).checked_sub(kernel) else {
            let expected = format!("at least the kernel, {kernel}");
            return Err(Error::argument(op, "the padded input", size + 2 * padding, expected));
        };
        let mut out = if ceil_mode { room.div_ceil(stride) } else { room / stride } + 1;
        // A window must start inside the input or the padding before it, not in the padding after it.
        if ceil_mode && (out - 1) * stride >= size + padding {
            out -= 1;
        }
        Ok(Self { size, out, kernel, stride, padding })
    }

    /// The input elements that output `o` sees.
    pub(super) fn window(&self, o: usize) -> std::ops::Range<usize> {
        let start = o * self.stride;
        start.saturating_sub(self.padding)..(start + self.kernel - self.padding).min(self.size)
    }

    /// Elements of a window.
    pub(super) fn kernel(&self) -> usize {
        self.kernel
    }

    /// Input elements from one window to the next.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// The outputs whose window has its element `k` inside the input, and where the first of them has it.
    pub(super) fn inside(&self, k: usize) -> (std::ops::Range<usize>, usize) {
        let first = self.padding.saturating_sub(k).div_ceil(self.stride);
        let end = (self.size + self.padding).saturating_sub(k).div_ceil(self.stride).min(self.out);
        (first.min(end)..end, (first * self.stride + k).saturating_sub(self.padding))
    }

    /// The extent of window `o` with the padding counted, but not what `ceil_mode` adds beyond it.
    pub(super) fn padded_extent(&self, o: usize) -> usize {
        let start = o * self.stride;
        (start + self.kernel).min(self.size + 2 * self.padding) - start
    }
}

/// `(N, C, H, W)`, with an error for another rank or a zero.
pub(super) fn dims4(op: &'static str, x: &candle_core::Tensor) -> Result<(usize, usize, usize, usize)> {
    match *x.dims() {
        [n, c, h, w] if x.elem_count() > 0 => Ok((n, c, h, w)),
        ref other => Err(Error::argument(op, "x", other, "a shape (N, C, H, W) without a zero")),
    }
}
