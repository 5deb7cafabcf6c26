//! Threads with stacks that hold a deep graph.

use std::{
    cell::Cell,
    sync::{Arc, Mutex, PoisonError},
};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::Result;

/// Candle walks the graph of a loss recursively, forth to sort it and back to drop it: 2 MiB end at some thousand nodes.
const STACK: usize = 64 << 20;

thread_local! {
    static HAS_LARGE_STACK: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` on a pool of `threads` workers (`None`: one a core) with stacks of 64 MiB. What `f` runs in parallel runs there.
///
/// # Errors
/// [`EngineError::Threads`](crate::EngineError::Threads) if the threads cannot be started.
pub fn with_threads<R: Send>(threads: Option<usize>, f: impl FnOnce() -> R + Send) -> Result<R> {
    #[cfg(feature = "cli")]
    sconce_core::allocator::keep_freed_memory();
    Ok(pool(threads)?.install(f))
}

/// Whether this is a thread of [`with_threads`].
pub(crate) fn is_ours() -> bool {
    HAS_LARGE_STACK.get()
}

/// Runs `f` where it is if that is a thread of [`with_threads`], else on a pool of this module's own.
pub(crate) fn on_large_stack<R: Send>(f: impl FnOnce() -> R + Send) -> Result<R> {
    static POOL: Mutex<Option<Arc<ThreadPool>>> = Mutex::new(None);
    if HAS_LARGE_STACK.get() {
        return Ok(f());
    }
    let pool = {
        let mut slot = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(pool) => pool.clone(),
            None => slot.insert(Arc::new(pool(Some(rayon::current_num_threads()))?)).clone(),
        }
    };
    Ok(pool.install(f))
}

fn pool(threads: Option<usize>) -> std::result::Result<ThreadPool, ThreadPoolBuildError> {
    ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(0))
        .stack_size(STACK)
        .thread_name(|i| format!("sconce-{i}"))
        .start_handler(|_| HAS_LARGE_STACK.set(true))
        .build()
}

#[cfg(test)]
mod tests {
    use sconce_core::{Device, Tensor, Var};

    use super::*;

    /// d/dx of x + 1 + 1 + …, through `n` nodes.
    fn chain(n: usize) -> f32 {
        let x = Var::new(3f32, &Device::Cpu).unwrap();
        let mut y: Tensor = x.as_tensor().clone();
        for _ in 0..n {
            y = (y + 1.0).unwrap();
        }
        y.backward().unwrap().get(&x).unwrap().to_scalar().unwrap()
    }

    fn on_a_small_stack<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
        std::thread::Builder::new().stack_size(2 << 20).spawn(f).unwrap().join().unwrap()
    }

    #[test]
    fn a_graph_of_20_000_nodes_fits() {
        assert_eq!(on_a_small_stack(|| with_threads(Some(1), || chain(20_000)).unwrap()), 1.0);
    }

    #[test]
    fn it_fits_for_a_caller_who_did_not_ask_for_threads() {
        assert_eq!(on_a_small_stack(|| on_large_stack(|| chain(20_000)).unwrap()), 1.0);
    }

    #[test]
    fn the_pool_has_as_many_threads_as_asked_for() {
        assert_eq!(with_threads(Some(3), rayon::current_num_threads).unwrap(), 3);
        let inside = with_threads(Some(3), || on_large_stack(rayon::current_num_threads).unwrap());
        assert_eq!(inside.unwrap(), 3, "a large stack is not left for another one");
    }
}
