//! The gradients that have arrived at a node, for each of the passes that may be there at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use candle_core::{DType, Result, Tensor};

use crate::{
    backward,
    cpu::{slices, with_real, zip},
};

/// What passes have put down at a node.
#[derive(Default)]
pub(super) struct Sums(Mutex<Vec<Sum>>);

struct Sum {
    pass: Weak<()>,
    /// Gradients that have arrived.
    n: usize,
    /// All of them together; none if they are zero.
    gradient: Option<Tensor>,
}

impl Sums {
    /// Adds a gradient to those of the pass that runs; none is a zero.
    pub(super) fn add(&self, gradient: Option<Tensor>) -> Result<()> {
        // Nobody waits at the lock while the sum is made, which may itself take up another pass.
        let mut sum = self.own();
        sum.n += 1;
        sum.gradient = match (sum.gradient, gradient) {
            (Some(a), Some(b)) => Some(backward::apart(|| add(&a, &b))?),
            (a, b) => a.or(b),
        };
        self.lock().push(sum);
        Ok(())
    }

    /// Takes what the pass that runs has put down: how many, and their sum.
    pub(super) fn take(&self) -> (usize, Option<Tensor>) {
        let Sum { n, gradient, .. } = self.own();
        (n, gradient)
    }

    /// Takes that of the pass that runs, and forgets those of passes that are over.
    fn own(&self) -> Sum {
        let pass = Arc::downgrade(&backward::current());
        let mut sums = self.lock();
        sums.retain(|sum| sum.pass.strong_count() > 0);
        match sums.iter().position(|sum| sum.pass.ptr_eq(&pass)) {
            Some(i) => sums.swap_remove(i),
            None => Sum { pass, n: 0, gradient: None },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Sum>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `a + b`, on the CPU in the threads of our own operations.
fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !a.device().is_cpu() || !matches!(a.dtype(), DType::F32 | DType::F64) {
        return a + b;
    }
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    with_real!("add", a.dtype(), T => {
        slices!("add", T, x = a, y = b);
        Tensor::from_vec(zip::<T>(x, y, |x, y| x + y), a.shape(), a.device())
    })
}
