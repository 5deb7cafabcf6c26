//! An allocator for binaries that train (feature `allocator`).
//!
//! Candle allocates a fresh buffer for every tensor. The system's allocator maps blocks of that size anew each time, and the
//! kernel clears every page of them again. This one keeps them from step to step: small blocks are mimalloc's; large ones lie
//! side by side in one stretch of addresses, where what is freed joins its free neighbours, so that a step needs little more
//! memory than its tensors have at once.

mod extents;
#[cfg(all(unix, target_pointer_width = "64"))]
mod large;

use std::alloc::{GlobalAlloc, Layout};

use mimalloc::MiMalloc;

/// Where addresses cannot be reserved, or are few, large blocks are mimalloc's too.
#[cfg(not(all(unix, target_pointer_width = "64")))]
mod large {
    use std::alloc::Layout;

    pub(super) fn alloc(_: Layout, _: bool) -> Option<*mut u8> {
        None
    }

    pub(super) fn owns(_: *mut u8) -> bool {
        false
    }

    pub(super) fn fits(_: usize, _: usize) -> bool {
        false
    }

    pub(super) fn dealloc(_: *mut u8, _: usize) {}
}

/// For `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator;

// SAFETY: every function is mimalloc's own, or hands out parts of a space that nobody else has; a block's address says whose
// it is.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        large::alloc(layout, false).unwrap_or_else(|| unsafe { MiMalloc.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        large::alloc(layout, true).unwrap_or_else(|| unsafe { MiMalloc.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if large::owns(ptr) {
            large::dealloc(ptr, layout.size());
        } else {
            // SAFETY: as the caller promises.
            unsafe { MiMalloc.dealloc(ptr, layout) };
        }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !large::owns(ptr) {
            // SAFETY: as the caller promises.
            return unsafe { MiMalloc.realloc(ptr, layout, size) };
        }
        if large::fits(layout.size(), size) {
            return ptr;
        }
        // SAFETY: the caller promises that `size` is valid with this alignment, and that the block is alive; the new one is
        // another, of at least the bytes that are copied.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                new.copy_from_nonoverlapping(ptr, size.min(layout.size()));
                self.dealloc(ptr, layout);
            }
            new
        }
    }
}

/// Has [`Allocator`] keep small blocks that are free until the process ends, as it does large ones. Else mimalloc gives them
/// back after a second, which is the time of a long training step: the next one would have every page of them cleared again.
pub fn keep_freed_memory() {
    /// `mi_option_purge_delay` of mimalloc 3, which the bindings have no name for.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: the option exists, and any value may be set at any time; −1 is documented as never.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}

#[cfg(all(test, unix, target_pointer_width = "64"))]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn large_blocks_are_aligned_apart_and_zero_where_asked() {
        let layouts = [layout(MIB, 1), layout(MIB + 1, 4096), layout(3 * MIB, 1 << 16)];
        for zeroed in [false, true, true] {
            // SAFETY: layouts are not empty; blocks are written within, and given back as they were taken.
            unsafe {
                let blocks = layouts.map(|l| if zeroed { Allocator.alloc_zeroed(l) } else { Allocator.alloc(l) });
                for (i, (&block, l)) in blocks.iter().zip(layouts).enumerate() {
                    assert!(large::owns(block) && (block as usize).is_multiple_of(l.align()));
                    if zeroed {
                        assert!(std::slice::from_raw_parts(block, l.size()).iter().all(|&b| b == 0));
                    }
                    block.write_bytes(i as u8 + 1, l.size());
                }
                for (i, (&block, l)) in blocks.iter().zip(layouts).enumerate() {
                    assert!(std::slice::from_raw_parts(block, l.size()).iter().all(|&b| b == i as u8 + 1));
                    Allocator.dealloc(block, l);
                }
            }
        }
    }

    #[test]
    fn a_block_keeps_its_bytes_when_it_grows_and_shrinks() {
        // SAFETY: as above.
        unsafe {
            let (mut block, mut size) = (Allocator.alloc(layout(MIB, 8)), MIB);
            block.write_bytes(7, size);
            for new in [MIB + 3, 5 * MIB, 2 * MIB, 1000, 3 * MIB] {
                block = Allocator.realloc(block, layout(size, 8), new);
                let kept = new.min(size);
                assert!(std::slice::from_raw_parts(block, kept).iter().all(|&b| b == 7), "{size} to {new}");
                size = new;
                block.write_bytes(7, size);
            }
            Allocator.dealloc(block, layout(size, 8));
        }
    }

    #[test]
    fn blocks_may_be_freed_by_another_thread() {
        let threads: Vec<_> = (0..4u8)
            .map(|t| {
                std::thread::spawn(move || {
                    let l = layout(MIB, 8);
                    // SAFETY: as above.
                    let block = unsafe { Allocator.alloc(l) };
                    // SAFETY: as above.
                    unsafe { block.write_bytes(t, MIB) };
                    block as usize
                })
            })
            .collect();
        let blocks: Vec<_> = threads.into_iter().map(|t| t.join().unwrap() as *mut u8).collect();
        for (t, &block) in blocks.iter().enumerate() {
            // SAFETY: as above.
            unsafe {
                assert!(std::slice::from_raw_parts(block, MIB).iter().all(|&b| b == t as u8));
                Allocator.dealloc(block, layout(MIB, 8));
            }
        }
    }

    #[test]
    fn what_is_too_large_or_too_aligned_is_not_given_from_the_space() {
        assert_eq!(large::alloc(layout(1 << 40, 8), false), None);
        assert_eq!(large::alloc(layout(MIB, 1 << 20), false), None);
        assert_eq!(large::alloc(layout(1000, 8), false), None);
    }
}
