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

/// What the parts of the space are multiples of.
const UNIT: usize = 1 << 16;

/// What blocks are aligned to: a line of the cache, and the longest vector.
const LINE: usize = 64;

/// A block begins so many lines behind the part that it lies in, or fewer. Were all blocks to begin with a page, elements of
/// the same index in several tensors would be in each other's way: the processor compares the low twelve bits of addresses.
const SHIFTS: usize = 64;

/// Addresses that are reserved. They take no memory before they are written.
const RESERVED: usize = 1 << 38;

/// Bytes of the space. It begins with the first whole unit of the reserved addresses, which need not be their first one: the
/// unit that is left out lies before it, behind it, or on both sides.
const LEN: usize = RESERVED - UNIT;

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
            // Fewer, larger pages where the system has them: a step walks through hundreds of MB.
            #[cfg(target_os = "linux")]
            let _ = memory.advise(memmap2::Advice::HugePage);
            let memory = MmapRaw::from(memory);
            let base = (memory.as_ptr() as usize).next_multiple_of(UNIT);
            BASE.store(base, Ordering::Release);
            Some(Space { base, extents: Mutex::new(Extents::new(LEN)), _memory: memory })
        })
        .as_ref()
}

/// Bytes of the space that a block of `size` takes.
fn length(size: usize) -> usize {
    (size + (SHIFTS - 1) * LINE).next_multiple_of(UNIT)
}

/// Where in the part at `start` a block begins: anywhere, but always the same.
fn shift(start: usize, align: usize) -> usize {
    if align > LINE {
        return 0;
    }
    let hash = (start / UNIT).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize);
    (hash >> (usize::BITS - SHIFTS.trailing_zeros())) * LINE
}

/// A block for `layout` if it is large; null where there is no room. With `zeroed` its bytes are zero.
pub(super) fn alloc(layout: Layout, zeroed: bool) -> Option<*mut u8> {
    if layout.size() < LEAST || layout.size() > LEN || layout.align() > UNIT {
        return None;
    }
    let space = space()?;
    let mut extents = space.extents.lock().unwrap_or_else(PoisonError::into_inner);
    let used = extents.used();
    let start = extents.take(length(layout.size()))?;
    drop(extents);
    let first = start + shift(start, layout.align());
    let block = (space.base + first) as *mut u8;
    if zeroed {
        let dirty = used.saturating_sub(first).min(layout.size());
        // SAFETY: the block is within the space and nobody else's; beyond `used` the system has zeros.
        unsafe { block.write_bytes(0, dirty) };
    }
    Some(block)
}

/// Whether `alloc` gave the block at `ptr`.
pub(super) fn owns(ptr: *mut u8) -> bool {
    let base = BASE.load(Ordering::Acquire);
    base != 0 && (base..base + LEN).contains(&(ptr as usize))
}

/// Whether a block of `old` bytes has room for `new`, and no more than it needs.
pub(super) fn fits(old: usize, new: usize) -> bool {
    length(old) == length(new)
}

/// Gives back a block that `alloc` gave for `size` bytes.
pub(super) fn dealloc(ptr: *mut u8, size: usize) {
    if let Some(space) = space() {
        let mut extents = space.extents.lock().unwrap_or_else(PoisonError::into_inner);
        // A block begins in the first unit of its part.
        extents.give((ptr as usize - space.base) / UNIT * UNIT, length(size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_lies_within_the_mapping_and_owns_no_address_beside_it() {
        let space = space().unwrap();
        let mapping = space._memory.as_ptr() as usize..space._memory.as_ptr() as usize + space._memory.len();
        assert!(mapping.start <= space.base && space.base + LEN <= mapping.end);
        let owned = |address: usize| owns(address as *mut u8);
        assert!(owned(space.base) && owned(space.base + LEN - 1));
        // Wherever the system puts a mapping, the last unit of it is nobody's, and what follows may be another's.
        for beside in [space.base - 1, space.base + LEN, space.base + LEN + UNIT - 1, mapping.end] {
            assert!(!owned(beside), "{beside:#x} of {mapping:#x?}");
        }
        // No block is given that reaches beyond.
        assert_eq!(space.extents.lock().unwrap().take(LEN + 1), None);
    }
}
