//! The product that convolutions are made of: a few rows by a panel of columns, held in registers over the whole sum.
//!
//! `C[i][j] (+)= Σ_k A[i][k] · B[k][j]`. Columns stand side by side in memory and fill vectors; rows are read one number at a
//! time, wherever they stand. Each element is one chain of fused additions in the order of `k`, so that its bits depend
//! neither on how the product is cut into panels nor on who computes which.

use pulp::{Simd, WithSimd};

use super::{
    Target,
    real::{Real, lanes},
};

/// The largest tile of sums, rows by vectors of columns. Beside it the registers hold the vectors of one `k` and a number of a
/// row; where a sum is left without a register, the product takes twice as long.
#[derive(Clone, Copy)]
struct Tile {
    rows: usize,
    vectors: usize,
}

impl Tile {
    const fn largest<S: Simd>() -> Self {
        if S::REGISTER_COUNT >= 32 { Self { rows: 8, vectors: 3 } } else { Self { rows: 6, vectors: 2 } }
    }
}

/// What a processor's registers hold.
#[derive(Clone, Copy)]
struct Registers {
    /// Elements in one.
    lanes: usize,
    /// Vectors of columns that a panel has at most.
    vectors: usize,
}

impl Registers {
    fn of<T: Real>() -> Self {
        struct Look<T>(std::marker::PhantomData<T>);
        impl<T: Real> WithSimd for Look<T> {
            type Output = Registers;

            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> Registers {
                Registers { lanes: lanes::<S, T>(), vectors: Tile::largest::<S>().vectors }
            }
        }
        pulp::Arch::new().dispatch(Look::<T>(std::marker::PhantomData))
    }
}

/// Columns that fill a panel.
pub(crate) fn panel_width<T: Real>() -> usize {
    let Registers { lanes, vectors } = Registers::of::<T>();
    lanes * vectors
}

/// Elements of `T` in a register of this processor.
pub(crate) fn vector_width<T: Real>() -> usize {
    Registers::of::<T>().lanes
}

/// Cuts `columns` into panels of about the same number of vectors, none wider than [`panel_width`]: first column and width.
pub(crate) fn panels<T: Real>(columns: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    let Registers { lanes, vectors: most } = Registers::of::<T>();
    let vectors = columns.div_ceil(lanes);
    let n = vectors.div_ceil(most);
    (0..n).map(move |i| {
        let (first, end) = (i * vectors / n * lanes, ((i + 1) * vectors / n * lanes).min(columns));
        (first, end - first)
    })
}

/// Elements that a panel of `width` columns takes for each `k`: whole vectors.
pub(crate) fn padded<T: Real>(width: usize) -> usize {
    width.next_multiple_of(vector_width::<T>())
}

/// A stretch of the sum over `k`: `A[i][k]` stands at `i · row_stride + a + k · a_step`, `B[k][j]` at `b + k · b_step + j`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) a: usize,
    pub(crate) b: usize,
    pub(crate) len: usize,
}

/// The rows of a product: numbers that are read one at a time.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) n: usize,
    pub(crate) row_stride: usize,
    pub(crate) step: usize,
}

/// The columns of a product: `width` of them side by side, read in whole vectors, so that up to a vector beyond them must be
/// there to be read.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) width: usize,
    pub(crate) step: usize,
}

/// Whether a product takes the place of what stands in its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// It does.
    Set,
    /// It is added.
    Add,
}

/// Writes the product of `rows` and `columns` over `runs` to `target`, `rows.n` lines of `columns.width`.
///
/// # Safety
/// The slice that `target` was made of is alive, and nobody else reads or writes its elements meanwhile.
pub(crate) unsafe fn multiply<T: Real>(
    rows: Rows<'_, T>,
    columns: Columns<'_, T>,
    runs: &[Run],
    target: Target<T>,
    write: Write,
) {
    if rows.n == 0 || columns.width == 0 {
        return;
    }
    let width = padded::<T>(columns.width);
    assert!(columns.width <= panel_width::<T>());
    for run in runs.iter().filter(|run| run.len > 0) {
        let last = run.len - 1;
        assert!(run.a + (rows.n - 1) * rows.row_stride + last * rows.step < rows.data.len());
        assert!(run.b + last * columns.step + width <= columns.data.len());
    }
    assert!((rows.n - 1) * target.row_stride + columns.width <= target.len);
    pulp::Arch::new().dispatch(Product { rows, columns, runs, target, write });
}

struct Product<'a, T> {
    rows: Rows<'a, T>,
    columns: Columns<'a, T>,
    runs: &'a [Run],
    target: Target<T>,
    write: Write,
}

impl<T: Real> WithSimd for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.columns.width.div_ceil(lanes::<S, T>()) {
            1 => self.all_rows::<S, 1>(simd),
            2 => self.all_rows::<S, 2>(simd),
            // `multiply` takes no more columns than a panel has.
            _ => self.all_rows::<S, 3>(simd),
        }
    }
}

impl<T: Real> Product<'_, T> {
    /// Even tiles of no more rows than the registers hold.
    #[inline(always)]
    fn all_rows<S: Simd, const VECTORS: usize>(&self, simd: S) {
        let Tile { rows: most, vectors } = Tile::largest::<S>();
        if VECTORS > vectors {
            return;
        }
        let (n, tiles) = (self.rows.n, self.rows.n.div_ceil(most));
        let mut row = 0;
        for tile in 1..=tiles {
            let rows = tile * n / tiles - row;
            match rows {
                1 => self.tile::<S, 1, VECTORS>(simd, row),
                2 => self.tile::<S, 2, VECTORS>(simd, row),
                3 => self.tile::<S, 3, VECTORS>(simd, row),
                4 => self.tile::<S, 4, VECTORS>(simd, row),
                5 => self.tile::<S, 5, VECTORS>(simd, row),
                6 => self.tile::<S, 6, VECTORS>(simd, row),
                7 if most >= 7 => self.tile::<S, 7, VECTORS>(simd, row),
                8 if most >= 8 => self.tile::<S, 8, VECTORS>(simd, row),
                _ => unreachable!("a tile of {rows} rows"),
            }
            row += rows;
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(&self, simd: S, row: usize) {
        let lanes = lanes::<S, T>();
        let mut sums = [[T::splat(simd, T::zero()); VECTORS]; ROWS];
        for run in self.runs {
            // SAFETY: `multiply` has checked that every row, step and vector of the runs is in bounds; pointer steps wrap
            // only beyond the last one, where they are not read.
            unsafe {
                let first = self.rows.data.as_ptr().wrapping_add(row * self.rows.row_stride + run.a);
                let rows: [*const T; ROWS] = std::array::from_fn(|i| first.wrapping_add(i * self.rows.row_stride));
                let mut b = self.columns.data.as_ptr().wrapping_add(run.b);
                let mut k = 0usize;
                for _ in 0..run.len {
                    let b_k: [T::Vector<S>; VECTORS] =
                        std::array::from_fn(|j| b.add(j * lanes).cast::<T::Vector<S>>().read_unaligned());
                    for (sums, row) in sums.iter_mut().zip(&rows) {
                        let a = T::splat(simd, *row.add(k));
                        for (sum, b) in sums.iter_mut().zip(b_k) {
                            *sum = T::fused(simd, a, b, *sum);
                        }
                    }
                    k = k.wrapping_add(self.rows.step);
                    b = b.wrapping_add(self.columns.step);
                }
            }
        }
        for (i, sums) in sums.into_iter().enumerate() {
            self.write_row(simd, row + i, sums);
        }
    }

    #[inline(always)]
    fn write_row<S: Simd, const VECTORS: usize>(&self, simd: S, row: usize, sums: [T::Vector<S>; VECTORS]) {
        let (lanes, width) = (lanes::<S, T>(), self.columns.width);
        // SAFETY: `multiply` has checked that `width` elements of each row are in bounds; the caller promises that they are ours.
        unsafe {
            let line = self.target.ptr.add(row * self.target.row_stride);
            if width == VECTORS * lanes {
                for (j, sum) in sums.into_iter().enumerate() {
                    let at = line.add(j * lanes).cast::<T::Vector<S>>();
                    at.write_unaligned(match self.write {
                        Write::Set => sum,
                        Write::Add => T::plus(simd, at.read_unaligned(), sum),
                    });
                }
            } else {
                for j in 0..width {
                    let sum = *sums.as_ptr().cast::<T>().add(j);
                    *line.add(j) = match self.write {
                        Write::Set => sum,
                        Write::Add => *line.add(j) + sum,
                    };
                }
            }
        }
    }
}
