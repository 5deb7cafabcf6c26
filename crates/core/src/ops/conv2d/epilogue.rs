//! What follows the sums of a convolution.

use crate::{
    cpu::{Real, kernel},
    ops::{activation::positive_part, batch_norm::Channel},
};

/// What each output becomes once its sum is known, while it is in the cache.
#[derive(Clone, Copy)]
pub(in crate::ops) enum Epilogue<'a, T> {
    /// The sum.
    None,
    /// With the channel's bias.
    Bias(&'a [T]),
    /// Normalised, then perhaps with a residual of the output's shape, then perhaps rectified.
    Norm { channels: &'a [Channel<T>], residual: Option<&'a [T]>, relu: bool },
}

impl<T: Real> Epilogue<'_, T> {
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Finishes sums `y` of `channel` that stand at `at` of the output.
    pub(super) fn apply(&self, channel: usize, at: usize, y: &mut [T]) {
        match *self {
            Self::None => {}
            Self::Bias(bias) => add(y, bias[channel]),
            Self::Norm { channels, residual, relu } => {
                let residual = residual.map(|residual| &residual[at..at + y.len()]);
                norm(y, channels[channel], residual, relu);
            }
        }
    }
}

kernel! {
    fn add<'a, T: Real>(y: &'a mut [T], bias: T) -> () {
        for y in y {
            *y += bias;
        }
    }
}

kernel! {
    fn norm<'a, T: Real>(y: &'a mut [T], channel: Channel<T>, residual: Option<&'a [T]>, relu: bool) -> () {
        let Channel { mean, scale, shift } = channel;
        match residual {
            Some(residual) => {
                for (y, &r) in y.iter_mut().zip(residual) {
                    *y = (*y - mean) * scale + shift + r;
                }
            }
            None => {
                for y in y.iter_mut() {
                    *y = (*y - mean) * scale + shift;
                }
            }
        }
        if relu {
            for y in y {
                *y = positive_part(*y);
            }
        }
    }
}
