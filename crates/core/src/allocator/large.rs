//! Large blocks side by side in one reserved stretch of addresses.

use std::{
    alloc::Layout,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use memmap2::{MmapOptions, MmapRaw};

use super::extents::Extents;

/// Bytes from which on a block is large: those of tensors, not of their descriptions.
const LEAST: usize = 1 << 18;

/// What lengths and addresses are multiples of: long lines of the cache and pages begin with a block.
const UNIT: usize = 1 << 16;

/// Addresses that are reserved. They take no memory before they are written.
const RESERVED: usize = 1 << 38;

struct Space {
    /// A multiple of `UNIT`.
    base: usize,
    extents: Mutex<Extents>,
    _memory: MmapRaw,
}

/// The first address of the space, for who only asks whether a block is within; 0 while there is none.
static BASE: AtomicUsize = AtomicUsize::new(0);

/// `None` where the system does not give so many addresses away.
fn space() -> Option<&'static Space> {
    static SPACE: OnceLock<Option<Space>> = OnceLock::new();
    SPACE
        .get_or_init(|| {
            let memory = MmapOptions::new().len(RESERVED).no_reserve_swap().map_anon().ok()?;
            let memory = MmapRaw::from(memory);
            let base = (memory.as_ptr() as usize).next_multiple_of(UNIT);
            BASE.store(base, Ordering::Release);
            Some(Space { base, extents: Mutex::new(Extents::new(RESERVED - UNIT)), _memory: memory })
        })
        .as_ref()
}

/// Bytes of the space that a block of `size` takes.
fn length(size: usize) -> usize {
    size.next_multiple_of(UNIT)
}

/// A block for `layout` if it is large; null where there is no room. With `zeroed` its bytes are zero.
pub(super) fn alloc(layout: Layout, zeroed: bool) -> Option<*mut u8> {
    if layout.size() < LEAST || layout.size() > RESERVED || layout.align() > UNIT {
        return None;
    }
    let space = space()?;
    let mut extents = space.extents.lock().unwrap_or_else(PoisonError::into_inner);
    let used = extents.used();
    let start = extents.take(length(layout.size()))?;
    drop(extents);
    let block = (space.base + start) as *mut u8;
    if zeroed {
        let dirty = used.saturating_sub(start).min(layout.size());
        // SAFETY: the block is within the space and nobody else's; beyond `used` the system has zeros.
        unsafe { block.write_bytes(0, dirty) };
    }
    Some(block)
}

/// Whether `alloc` gave the block at `ptr`.
pub(super) fn owns(ptr: *mut u8) -> bool {
    let base = BASE.load(Ordering::Acquire);
    base != 0 && (base..base + RESERVED).contains(&(ptr as usize))
}

/// Whether a block of `old` bytes has room for `new`, and no more than it needs.
pub(super) fn fits(old: usize, new: usize) -> bool {
    length(old) == length(new)
}

/// Gives back a block that `alloc` gave for `size` bytes.
pub(super) fn dealloc(ptr: *mut u8, size: usize) {
    if let Some(space) = space() {
        let mut extents = space.extents.lock().unwrap_or_else(PoisonError::into_inner);
        extents.give(ptr as usize - space.base, length(size));
    }
}
