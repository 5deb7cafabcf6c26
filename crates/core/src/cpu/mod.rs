//! What the CPU kernels share: slices of tensors, products of matrices, and work split so that no result depends on the
//! number of threads.

use std::mem::MaybeUninit;

use candle_core::{CpuStorage, DType, Layout, Storage, Tensor};
use gemm::Parallelism;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

pub(crate) mod formula;
pub(crate) mod planes;
pub(crate) mod product;
mod real;
pub(crate) mod transpose;

pub(crate) use real::{Real, lanes};

/// Elements that one task of an element-wise loop works on. Fixed: sums are taken chunk by chunk in order.
pub(crate) const CHUNK: usize = 1 << 14;

/// Runs `$body` with `$T` as the type that `$dtype` stands for; anything but f32 and f64 is an error of `$op`.
macro_rules! with_real {
    ($op:expr, $dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            dtype => Err($crate::cpu::unsupported($op, dtype)),
        }
    };
}
pub(crate) use with_real;

pub(crate) fn unsupported(op: &'static str, dtype: DType) -> candle_core::Error {
    candle_core::Error::UnsupportedDTypeForOp(dtype, op).bt()
}

/// The elements of a contiguous tensor, which may be a view that starts at an offset.
pub(crate) fn slice<'a, T: Real>(op: &'static str, s: &'a CpuStorage, l: &Layout) -> candle_core::Result<&'a [T]> {
    match l.contiguous_offsets() {
        Some((start, end)) => Ok(&s.as_slice::<T>()?[start..end]),
        None => Err(candle_core::Error::RequiresContiguous { op }.bt()),
    }
}

/// The storage of a tensor that lives on the CPU.
pub(crate) fn storage<'a>(op: &'static str, s: &'a Storage) -> candle_core::Result<&'a CpuStorage> {
    match s {
        Storage::Cpu(s) => Ok(s),
        _ => candle_core::bail!("{op}: no kernel for this device yet, only for the CPU"),
    }
}

/// The gradient of the argument `arg`, if it is wanted.
pub(crate) fn gradient_of<T: Real>(arg: &Tensor, values: Option<Vec<T>>) -> candle_core::Result<Option<Tensor>> {
    match values {
        Some(values) => Tensor::from_vec(values, arg.shape(), arg.device()).map(Some),
        None => Ok(None),
    }
}

/// [`gradient_of`] the argument `arg` if it is tracked, where the values came with those of other gradients.
pub(crate) fn gradient_if_tracked<T: Real>(arg: &Tensor, values: Vec<T>) -> candle_core::Result<Option<Tensor>> {
    gradient_of(arg, arg.track_op().then_some(values))
}

/// Binds each `$name` to the elements of the contiguous CPU tensor `$tensor`, as a slice of `$T`.
macro_rules! slices {
    ($op:expr, $T:ty, $($name:ident = $tensor:expr),+ $(,)?) => {
        $(
            let guard = $tensor.storage_and_layout();
            let $name = $crate::cpu::slice::<$T>($op, $crate::cpu::storage($op, &guard.0)?, guard.1)?;
        )+
    };
}
pub(crate) use slices;

/// A vector of `n` values that `fill` writes piece by piece, in parallel: it is given the number of the piece and the piece.
///
/// Pieces have `piece` elements, the last one perhaps fewer; none is cleared first.
pub(crate) fn build<T: Real>(n: usize, piece: usize, fill: impl Fn(usize, &mut Piece<'_, T>) + Sync) -> Vec<T> {
    let mut values = Vec::with_capacity(n);
    let complete = values.spare_capacity_mut()[..n]
        .par_chunks_mut(piece)
        .enumerate()
        .map(|(i, chunk)| {
            let mut piece = Piece { rest: chunk.iter_mut() };
            fill(i, &mut piece);
            piece.rest.len() == 0
        })
        .reduce(|| true, |a, b| a && b);
    assert!(complete, "a kernel left a piece of its output unwritten");
    // SAFETY: each piece was written from its first element to its last, as just asserted.
    unsafe { values.set_len(n) };
    values
}

/// A piece of a vector in the making, written front to back.
pub(crate) struct Piece<'a, T> {
    rest: std::slice::IterMut<'a, MaybeUninit<T>>,
}

impl<T> Piece<'_, T> {
    /// Elements that are still to be written.
    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    /// Writes the next elements, as many as there are `values` or room.
    pub(crate) fn extend(&mut self, values: impl ExactSizeIterator<Item = T>) {
        let n = values.len().min(self.rest.len());
        let (now, later) = std::mem::take(&mut self.rest).into_slice().split_at_mut(n);
        fill(now, values);
        self.rest = later.iter_mut();
    }
}

/// `f(x)` for every element, in parallel.
pub(crate) fn map<T: Real>(x: &[T], f: impl Fn(T) -> T + Sync) -> Vec<T> {
    build(x.len(), CHUNK, |i, y| {
        let x = &x[i * CHUNK..][..y.len()];
        y.extend(x.iter().map(|&x| f(x)));
    })
}

/// `f(a, b)` for every pair of elements, in parallel.
pub(crate) fn zip<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    build(a.len(), CHUNK, |i, y| {
        let (a, b) = (&a[i * CHUNK..][..y.len()], &b[i * CHUNK..][..y.len()]);
        y.extend(a.iter().zip(b).map(|(&a, &b)| f(a, b)));
    })
}

/// Runs a kernel compiled for the widest vectors that the processor has (AVX-512, AVX2, else the target's own).
///
/// Only what the compiler inlines into the kernel is compiled so, and closures within it are not sure to be: loops with a long
/// body are written as `for`. The bits are the same on every processor, as no product is fused with a sum unless `mul_add`
/// says so.
#[inline(always)]
pub(crate) fn dispatch<K: pulp::NullaryFnOnce>(kernel: K) -> K::Output {
    pulp::Arch::new().dispatch(kernel)
}

/// Runs a loop compiled for the widest vectors that the processor has (AVX-512, AVX2, else the target's own).
///
/// `f` should be marked `#[inline(always)]`: only what the compiler inlines into it is compiled so. The bits are the same on
/// every processor, as no product is fused with a sum unless `mul_add` says so.
// It is called as `FnMut`: as `FnOnce` it would be called through a function of the compiler's, which is not inlined.
#[inline(always)]
pub fn vectorised<R>(f: impl FnMut() -> R) -> R {
    struct Call<F>(F);
    impl<R, F: FnMut() -> R> WithSimd for Call<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, _: S) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Call(f))
}

/// Runs `f` for `0..n`, by all threads if `parallel`.
pub(crate) fn each(parallel: bool, n: usize, f: impl Fn(usize) + Sync + Send) {
    each_init(parallel, n, || (), |(), i| f(i));
}

/// [`each`] with something that is made anew for each stretch of numbers that a thread takes.
pub(crate) fn each_init<I>(
    parallel: bool,
    n: usize,
    init: impl Fn() -> I + Sync + Send,
    f: impl Fn(&mut I, usize) + Sync + Send,
) {
    if parallel {
        (0..n).into_par_iter().for_each_init(init, f);
    } else {
        let mut value = init();
        (0..n).for_each(|i| f(&mut value, i));
    }
}

/// Defines a function whose body is sure to be compiled for the processor's widest vectors, with all `#[inline(always)]`
/// functions that it calls. Closures are not among these: loops with a long body are written as `for`.
macro_rules! kernel {
    (fn $name:ident<'a, T: $bound:ident>($($arg:ident: $type:ty),+ $(,)?) -> $out:ty $body:block) => {
        #[inline]
        fn $name<'a, T: $bound>($($arg: $type),+) -> $out {
            struct Kernel<'a, T: $bound> {
                $($arg: $type),+
            }
            impl<'a, T: $bound> pulp::NullaryFnOnce for Kernel<'a, T> {
                type Output = $out;

                #[inline(always)]
                fn call(self) -> $out {
                    let Self { $($arg),+ } = self;
                    $body
                }
            }
            $crate::cpu::dispatch(Kernel { $($arg),+ })
        }
    };
}
pub(crate) use kernel;

/// Writes `values` to as many `slots`, compiled as [`dispatch`] says.
fn fill<T>(slots: &mut [MaybeUninit<T>], values: impl Iterator<Item = T>) {
    pulp::Arch::new().dispatch(Fill { slots, values });
}

struct Fill<'a, T, I> {
    slots: &'a mut [MaybeUninit<T>],
    values: I,
}

impl<T, I: Iterator<Item = T>> WithSimd for Fill<'_, T, I> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (slot, value) in self.slots.iter_mut().zip(self.values) {
            slot.write(value);
        }
    }
}

/// A matrix in a slice: element `(i, j)` stands at `i * row_stride + j * col_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

impl<'a, T> Mat<'a, T> {
    /// Rows of `cols` elements, one after the other.
    pub(crate) fn row_major(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// The transposed matrix, without a copy.
    pub(crate) fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    fn span(&self) -> usize {
        span(self.rows, self.cols, self.row_stride, self.col_stride)
    }
}

/// One past the last element that a matrix of these strides touches.
fn span(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> usize {
    if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + (cols - 1) * col_stride + 1 }
}

/// Where a product goes: rows of `cols` elements that are `row_stride` apart, from `ptr` on.
///
/// It is a pointer because tasks write interleaved rows of one output.
pub(crate) struct Target<T> {
    ptr: *mut T,
    len: usize,
    row_stride: usize,
}

impl<T> Clone for Target<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Target<T> {}

// SAFETY: a target is only written through `matmul` and `row`, whose callers promise that no two tasks share an element.
unsafe impl<T: Send> Send for Target<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Target<T> {}

impl<T> Target<T> {
    /// All of `data`, in rows of `row_stride`.
    pub(crate) fn new(data: &mut [T], row_stride: usize) -> Self {
        Self { ptr: data.as_mut_ptr(), len: data.len(), row_stride }
    }

    /// A vector in the making, all of whose elements the products will write.
    pub(crate) fn uninit(data: &mut [MaybeUninit<T>], row_stride: usize) -> Self {
        Self { ptr: data.as_mut_ptr().cast(), len: data.len(), row_stride }
    }

    /// The target from element `offset` on.
    pub(crate) fn offset(self, offset: usize) -> Self {
        assert!(offset <= self.len);
        // SAFETY: the offset is within the slice that the target was made of.
        Self { ptr: unsafe { self.ptr.add(offset) }, len: self.len - offset, row_stride: self.row_stride }
    }

    /// The same elements in rows of another stride.
    pub(crate) fn rows_of(self, row_stride: usize) -> Self {
        Self { row_stride, ..self }
    }

    /// The pointer to element `at`, of which `n` may be written.
    pub(crate) fn pointer(self, at: usize, n: usize) -> *mut T {
        assert!(at + n <= self.len);
        // SAFETY: within the slice that the target was made of, as just checked.
        unsafe { self.ptr.add(at) }
    }

    /// Writes `values` here.
    ///
    /// # Safety
    /// The slice that the target was made of is alive, and nobody else reads or writes these elements meanwhile.
    pub(crate) unsafe fn write(self, values: &[T])
    where
        T: Copy,
    {
        assert!(values.len() <= self.len);
        // SAFETY: within bounds as just checked, and exclusive as the caller promises.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.ptr, values.len()) };
    }

    /// Elements `0..n` from here on.
    ///
    /// # Safety
    /// The slice that the target was made of is alive, and nobody else has these elements while the result lives.
    pub(crate) unsafe fn slice<'a>(self, n: usize) -> &'a mut [T] {
        assert!(n <= self.len);
        // SAFETY: within bounds as just checked; exclusive as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.ptr, n) }
    }
}

/// `dst = a · b`, or `dst += a · b` if `accumulate`, on the calling thread.
///
/// # Safety
/// The slice that `dst` was made of is alive, and nobody else reads or writes its elements meanwhile.
pub(crate) unsafe fn matmul<T: Real>(dst: Target<T>, accumulate: bool, a: Mat<'_, T>, b: Mat<'_, T>) {
    assert_eq!(a.cols, b.rows);
    assert!(a.span() <= a.data.len() && b.span() <= b.data.len());
    assert!(span(a.rows, b.cols, dst.row_stride, 1) <= dst.len);
    // SAFETY: every element that gemm reads or writes is in bounds as just checked; the caller promises that `dst` is
    // ours alone, and `a` and `b` are borrowed.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            dst.ptr,
            1,
            dst.row_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// `dst = a · b`, or `dst += a · b` if `accumulate`, in rows that are `row_stride` apart, on the calling thread.
pub(crate) fn product<T: Real>(dst: &mut [T], row_stride: usize, accumulate: bool, a: Mat<'_, T>, b: Mat<'_, T>) {
    // SAFETY: `dst` is borrowed mutably meanwhile.
    unsafe { matmul(Target::new(dst, row_stride), accumulate, a, b) };
}
