//! Work on the planes of one channel of all images, `(N, C, plane)`, at a time.

use rayon::prelude::*;

use super::{
    Real, Target,
    formula::{self, Formula, Itself, Pieces, long_sums},
};

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
    /// The planes of channel `c`.
    pub(crate) fn of(&self, c: usize) -> Pieces {
        let Self { n, channels, plane } = *self;
        Pieces { first: c * plane, stride: channels * plane, len: plane, n }
    }

    /// The sum of each channel.
    pub(crate) fn sums<T: Real>(&self, x: &[T]) -> Vec<T> {
        let sum = |channel| {
            let [sum] = long_sums(self.of(channel), [x], Itself);
            T::from_f64(sum)
        };
        (0..self.channels).into_par_iter().map(sum).collect()
    }

    /// What `f` gives for every channel, in parallel.
    pub(crate) fn map<R: Send>(&self, f: impl Fn(usize) -> R + Sync) -> Vec<R> {
        (0..self.channels).into_par_iter().with_min_len(self.together()).map(&f).collect()
    }

    /// Channels that are a task.
    fn together(&self) -> usize {
        (TASK / (self.n * self.plane)).max(1)
    }

    /// Runs `f` for every channel, in parallel, and returns the `O` tensors that it writes and what it gives.
    pub(crate) fn build<T: Real, R: Send, const O: usize>(
        &self,
        f: impl Fn(usize, Writer<T, O>) -> (Written<O>, R) + Sync,
    ) -> ([Vec<T>; O], Vec<R>) {
        let len = self.n * self.channels * self.plane;
        let mut values: [Vec<T>; O] = std::array::from_fn(|_| Vec::with_capacity(len));
        let outputs = values.each_mut().map(|v| Target::uninit(&mut v.spare_capacity_mut()[..len], self.plane));
        let results = (0..self.channels)
            .into_par_iter()
            .with_min_len(self.together())
            .map(|channel| f(channel, Writer { pieces: self.of(channel), outputs }).1)
            .collect();
        // SAFETY: each channel has written all of its planes: nothing else gives a `Written`.
        values.iter_mut().for_each(|values| unsafe { values.set_len(len) });
        (values, results)
    }
}

/// Writes the planes of one channel of `O` tensors.
pub(crate) struct Writer<T, const O: usize> {
    pieces: Pieces,
    outputs: [Target<T>; O],
}

/// The proof that a [`Writer`] of `O` tensors has written.
pub(crate) struct Written<const O: usize>(());

impl<T: Real, const O: usize> Writer<T, O> {
    /// Writes the formula's results for the same planes of the inputs.
    pub(crate) fn write<const I: usize>(self, inputs: [&[T]; I], formula: impl Formula<T, I, O>) -> Written<O> {
        // SAFETY: the vectors are alive while `Planes::build` runs; this channel's planes are this writer's alone.
        unsafe { formula::write(self.pieces, inputs, self.outputs, formula) };
        Written(())
    }
}
