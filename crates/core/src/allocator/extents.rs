//! Which parts of a long stretch of memory are free.

use std::collections::BTreeMap;

/// Free stretches, none of which touch.
#[derive(Debug)]
pub(super) struct Extents {
    /// Length by start. A tree: its nodes are small blocks however many there are, and so do not come from here.
    free: BTreeMap<usize, usize>,
    /// One past the last byte that was ever taken.
    used: usize,
}

impl Extents {
    /// Of `len` bytes, all free.
    pub(super) fn new(len: usize) -> Self {
        Self { free: BTreeMap::from([(0, len)]), used: 0 }
    }

    /// One past the last byte that was ever taken: what lies behind is as the system gave it.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Takes `len` bytes out of the shortest stretch that has them, the first of those: so the long stretch at the end stays
    /// untouched while holes are left that fit.
    pub(super) fn take(&mut self, len: usize) -> Option<usize> {
        let fitting = self.free.iter().filter(|&(_, &length)| length >= len);
        let (&start, &length) = fitting.min_by_key(|&(_, &length)| length)?;
        self.free.remove(&start);
        if length > len {
            self.free.insert(start + len, length - len);
        }
        self.used = self.used.max(start + len);
        Some(start)
    }

    /// Gives back what was taken.
    pub(super) fn give(&mut self, mut start: usize, mut len: usize) {
        if let Some(next) = self.free.remove(&(start + len)) {
            len += next;
        }
        if let Some((&last, length)) = self.free.range_mut(..start).next_back()
            && last + *length == start
        {
            len += *length;
            start = last;
        }
        self.free.insert(start, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_joins_its_neighbours() {
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for order in orders {
            let mut extents = Extents::new(100);
            let starts = [10, 20, 30].map(|len| (extents.take(len).unwrap(), len));
            assert_eq!(starts, [(0, 10), (10, 20), (30, 30)]);
            for i in order {
                extents.give(starts[i].0, starts[i].1);
            }
            assert_eq!(extents.free, BTreeMap::from([(0, 100)]), "{order:?}");
            assert_eq!(extents.used(), 60);
        }
    }

    #[test]
    fn the_hole_that_fits_best_is_taken() {
        let mut extents = Extents::new(100);
        let starts = [10, 1, 20, 1, 10, 1].map(|len| (extents.take(len).unwrap(), len));
        for i in [0, 2, 4] {
            extents.give(starts[i].0, starts[i].1);
        }
        assert_eq!(extents.take(9), Some(0), "the first of two of one length");
        assert_eq!(extents.take(10), Some(32));
        assert_eq!(extents.take(12), Some(11));
        assert_eq!(extents.take(58), None, "57 are left at the end");
        assert_eq!(extents.take(57), Some(43));
        assert_eq!(extents.free, BTreeMap::from([(9, 1), (23, 8)]));
    }
}
