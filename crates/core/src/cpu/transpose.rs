//! Transposed copies of matrices.

use super::{Real, Target};

/// Side of the blocks that are turned one at a time.
const BLOCK: usize = 8;

/// Writes `to[j · to_stride + i] = from[i · from_stride + j]` for `i < rows`, `j < cols`.
///
/// # Panics
/// If either slice is too short.
pub(crate) fn transpose<T: Real>(
    from: &[T],
    from_stride: usize,
    shape: (usize, usize),
    to: &mut [T],
    to_stride: usize,
) {
    // SAFETY: `to` is borrowed for us alone.
    unsafe { transpose_to(from, from_stride, shape, Target::new(to, to_stride)) }
}

/// [`transpose`] to a target.
///
/// # Safety
/// The slice that `to` was made of is alive, and nobody else reads or writes these elements meanwhile.
pub(crate) unsafe fn transpose_to<T: Real>(
    from: &[T],
    from_stride: usize,
    (rows, cols): (usize, usize),
    to: Target<T>,
) {
    if rows == 0 || cols == 0 {
        return;
    }
    assert!((rows - 1) * from_stride + cols <= from.len());
    let to_stride = to.row_stride;
    let to = to.pointer(0, (cols - 1) * to_stride + rows);
    let (whole_rows, whole_cols) = (rows / BLOCK * BLOCK, cols / BLOCK * BLOCK);
    let block = turn_block::<T>();
    // SAFETY: every index is below `rows` and `cols`, for which both sides have just been checked.
    unsafe {
        let from = from.as_ptr();
        let copy = |i: usize, j: usize| *to.add(j * to_stride + i) = *from.add(i * from_stride + j);
        // Along the lines of `from`, few at a time, so that the processor sees them coming; two blocks high, so that a line of
        // the cache of `to` is written whole.
        for first in (0..whole_rows).step_by(2 * BLOCK) {
            let end = (first + 2 * BLOCK).min(whole_rows);
            for j in (0..whole_cols).step_by(BLOCK) {
                for i in (first..end).step_by(BLOCK) {
                    block(from.add(i * from_stride + j), from_stride, to.add(j * to_stride + i), to_stride);
                }
            }
        }
        for j in 0..whole_cols {
            (whole_rows..rows).for_each(|i| copy(i, j));
        }
        for j in whole_cols..cols {
            (0..rows).for_each(|i| copy(i, j));
        }
    }
}

/// Turns a block of eight by eight, which both sides have.
type TurnBlock<T> = unsafe fn(*const T, usize, *mut T, usize);

/// The fastest way that the processor has.
#[inline]
fn turn_block<T: Real>() -> TurnBlock<T> {
    #[cfg(target_arch = "x86_64")]
    if std::any::TypeId::of::<T>() == std::any::TypeId::of::<f32>() && is_x86_feature_detected!("avx") {
        return |from, from_stride, to, to_stride| {
            // SAFETY: the processor has AVX, and `T` is f32; the blocks are there, as the caller promises.
            unsafe { x86::turn_block(from.cast(), from_stride, to.cast(), to_stride) }
        };
    }
    |from, from_stride, to, to_stride| {
        for i in 0..BLOCK {
            for j in 0..BLOCK {
                // SAFETY: eight lines of eight elements are there, as the caller promises.
                unsafe { *to.add(j * to_stride + i) = *from.add(i * from_stride + j) };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// Turns a block of eight by eight.
    ///
    /// # Safety
    /// Eight lines of eight elements are there to be read and written.
    #[target_feature(enable = "avx")]
    pub(super) unsafe fn turn_block(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: as the caller promises.
        let half = |i: usize, at: usize| unsafe { _mm_loadu_ps(from.add(i * from_stride + at)) };
        // Lines i and i + 4 share a register, so that the rest happens within halves.
        let pair =
            |i: usize, at: usize| _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(half(i, at)), half(i + 4, at));
        for at in [0, 4] {
            let [a, b, c, d] = [pair(0, at), pair(1, at), pair(2, at), pair(3, at)];
            let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            let columns = [
                _mm256_shuffle_ps::<0x44>(ab_low, cd_low),
                _mm256_shuffle_ps::<0xEE>(ab_low, cd_low),
                _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
                _mm256_shuffle_ps::<0xEE>(ab_high, cd_high),
            ];
            for (j, column) in columns.into_iter().enumerate() {
                // SAFETY: as the caller promises.
                unsafe { _mm256_storeu_ps(to.add((at + j) * to_stride), column) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Real>(rows: usize, cols: usize) {
        let (from_stride, to_stride) = (cols + 3, rows + 2);
        let from: Vec<T> = (0..rows * from_stride).map(|v| T::from_f64(v as f64)).collect();
        let mut to = vec![-T::one(); cols * to_stride];
        transpose(&from, from_stride, (rows, cols), &mut to, to_stride);
        for (at, &v) in to.iter().enumerate() {
            let (j, i) = (at / to_stride, at % to_stride);
            let expected = if i < rows { from[i * from_stride + j] } else { -T::one() };
            assert!(v == expected, "({i}, {j}) of {rows} by {cols}");
        }
    }

    #[test]
    fn every_element_is_where_it_belongs_and_nothing_else_is_touched() {
        for (rows, cols) in [(1, 1), (8, 8), (3, 20), (17, 9), (16, 24), (31, 33)] {
            check::<f32>(rows, cols);
            check::<f64>(rows, cols);
        }
    }
}
