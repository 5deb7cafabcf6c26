//! Work on the planes of one channel of all images, `(N, C, plane)`, at a time.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::{Real, Target, fill};

/// `(N, C, plane)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planes {
    pub(crate) n: usize,
    pub(crate) channels: usize,
    pub(crate) plane: usize,
}

/// Values that a task works on at least: channels of small maps go together.
const TASK: usize = 1 << 12;

impl Planes {
    /// The planes of channel `c`, image by image.
    pub(crate) fn of<'a, T>(&self, x: &'a [T], c: usize) -> impl Iterator<Item = &'a [T]> + Clone + use<'a, T> {
        let Self { n, channels, plane } = *self;
        (0..n).map(move |i| &x[(i * channels + c) * plane..][..plane])
    }

    /// Runs `f` for every channel, in parallel, and returns the `K` tensors that it writes, plane by plane, and what it gives.
    pub(crate) fn build<T: Real, R: Send, const K: usize>(
        &self,
        f: impl Fn(usize, &mut [Writer<T>; K]) -> R + Sync,
    ) -> ([Vec<T>; K], Vec<R>) {
        let len = self.n * self.channels * self.plane;
        let mut values: [Vec<T>; K] = std::array::from_fn(|_| Vec::with_capacity(len));
        let targets = values.each_mut().map(|v| Target::uninit(&mut v.spare_capacity_mut()[..len], self.plane));
        let together = (TASK / (self.n * self.plane)).max(1);
        let results = (0..self.channels)
            .into_par_iter()
            .with_min_len(together)
            .map(|channel| {
                let mut writers = targets.map(|target| Writer { planes: *self, target, channel, written: 0 });
                let result = f(channel, &mut writers);
                let complete = writers.iter().all(|writer| writer.written == self.n);
                assert!(complete, "a kernel left a plane of its output unwritten");
                result
            })
            .collect();
        // SAFETY: each channel has written all of its planes, as just asserted.
        values.iter_mut().for_each(|values| unsafe { values.set_len(len) });
        (values, results)
    }
}

/// Writes the planes of one channel, one after the other.
pub(crate) struct Writer<T> {
    planes: Planes,
    target: Target<T>,
    channel: usize,
    written: usize,
}

impl<T: Copy> Writer<T> {
    /// Writes the next image's plane.
    pub(crate) fn plane(&mut self, values: impl ExactSizeIterator<Item = T>) {
        let Planes { n, channels, plane } = self.planes;
        assert!(self.written < n && values.len() == plane);
        let at = self.target.pointer((self.written * channels + self.channel) * plane, plane);
        // SAFETY: the vector is alive; this plane of it is this channel's, and this writer the channel's only one.
        let slots = unsafe { std::slice::from_raw_parts_mut(at.cast::<MaybeUninit<T>>(), plane) };
        fill(slots, values);
        self.written += 1;
    }

    /// The plane of `image`, which has been written.
    pub(crate) fn written(&self, image: usize) -> &[T] {
        assert!(image < self.written);
        let Planes { channels, plane, .. } = self.planes;
        let at = self.target.pointer((image * channels + self.channel) * plane, plane);
        // SAFETY: the vector is alive, `plane` has written all of this plane, and only this writer could write it again.
        unsafe { std::slice::from_raw_parts(at, plane) }
    }
}
