//! A batch in parts.

use super::{NAME, Statistics};
use crate::{Error, Result, cpu::planes::Planes};

/// The batch in parts that are normalised by themselves.
///
/// Part s of S has the samples n ≡ s (mod S), so that `(N, C, plane)` in memory is `(N/S, S·C, plane)`: a part's channel is a
/// channel like others, which shares weight and bias with the same channel of the other parts.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    pub(super) planes: Planes,
    /// C.
    pub(super) channels: usize,
}

impl Parts {
    pub(super) fn new(planes: Planes, statistics: &Statistics) -> Result<Self> {
        let Planes { n, channels, plane } = planes;
        let splits = match *statistics {
            Statistics::Batch | Statistics::Ranks(_) => 1,
            Statistics::Splits(splits) => splits,
        };
        if splits == 0 || n % splits != 0 {
            let expected = format!("a divisor of the {n} samples of the batch");
            return Err(Error::argument(NAME, "the number of splits", splits, expected));
        }
        Ok(Self { planes: Planes { n: n / splits, channels: splits * channels, plane }, channels })
    }

    /// The values of a channel of a part.
    pub(super) fn count(&self) -> f64 {
        (self.planes.n * self.planes.plane) as f64
    }

    /// Of values of each part's channels, the mean over the parts.
    pub(super) fn means(&self, values: &[f64]) -> Vec<f64> {
        let n_parts = (values.len() / self.channels) as f64;
        self.sums(values.iter().map(|&v| [v])).into_iter().map(|[sum]| sum / n_parts).collect()
    }

    /// Of values of each part's channels, the sum over the parts, in their order.
    pub(super) fn sums<const N: usize>(&self, values: impl IntoIterator<Item = [f64; N]>) -> Vec<[f64; N]> {
        let mut values = values.into_iter();
        let mut sums: Vec<_> = values.by_ref().take(self.channels).collect();
        for (i, value) in values.enumerate() {
            sums[i % self.channels].iter_mut().zip(value).for_each(|(sum, v)| *sum += v);
        }
        sums
    }
}
