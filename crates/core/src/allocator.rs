//! An allocator for binaries that train (feature `allocator`).
//!
//! Candle allocates a fresh buffer for every tensor. The system's allocator maps blocks of that size anew each time, and the
//! kernel clears every page of them again; this one keeps them from step to step.

use std::alloc::{GlobalAlloc, Layout};

use mimalloc::MiMalloc;

/// mimalloc, for `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator;

// SAFETY: every function is mimalloc's own.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.realloc(ptr, layout, size) }
    }
}

/// Has [`Allocator`] keep memory that is free until the process ends. Else it gives it back after a second, which is the time
/// of a long training step: the next one would have every page of it cleared again.
pub fn keep_freed_memory() {
    /// `mi_option_purge_delay` of mimalloc 3, which the bindings have no name for.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: the option exists, and any value may be set at any time; −1 is documented as never.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}
