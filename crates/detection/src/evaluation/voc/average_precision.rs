//! One number from a curve.

use super::params::VocMetric;

/// The average precision of a curve: `recall`, which rises, and `precision` after each detection.
///
/// ```
/// use sconce_detection::evaluation::voc::{VocMetric, average_precision};
///
/// // Of two objects the first and the third detection find one each.
/// let (recall, precision) = ([0.5, 0.5, 1.0], [1.0, 0.5, 2.0 / 3.0]);
/// assert!((average_precision(&recall, &precision, VocMetric::AllPoint) - (0.5 + 0.5 * 2.0 / 3.0)).abs() < 1e-12);
/// assert!((average_precision(&recall, &precision, VocMetric::ElevenPoint) - (6.0 + 5.0 * 2.0 / 3.0) / 11.0).abs() < 1e-12);
/// ```
pub fn average_precision(recall: &[f64], precision: &[f64], metric: VocMetric) -> f64 {
    match metric {
        VocMetric::ElevenPoint => eleven_point(recall, precision),
        VocMetric::AllPoint => all_point(recall, precision),
    }
}

fn eleven_point(recall: &[f64], precision: &[f64]) -> f64 {
    let best_from = |least: f64| {
        let reached = recall.iter().zip(precision).filter(|(r, _)| **r >= least);
        reached.fold(0.0f64, |best, (_, &p)| best.max(p))
    };
    // As NumPy counts in tenths: the fourth recall is 0.30000000000000004, which three objects of ten do not reach.
    (0..11).map(|i| best_from(f64::from(i) * 0.1) / 11.0).sum()
}

fn all_point(recall: &[f64], precision: &[f64]) -> f64 {
    let mut envelope = precision.to_vec();
    for i in (1..envelope.len()).rev() {
        envelope[i - 1] = envelope[i - 1].max(envelope[i]);
    }
    let before = std::iter::once(&0.0).chain(recall);
    before.zip(recall).zip(envelope).map(|((before, after), precision)| (after - before) * precision).sum()
}
