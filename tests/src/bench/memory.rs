//! How much memory a process took since a moment.

use std::fs;

/// The resident memory at a moment.
pub(super) struct Start {
    resident: Option<u64>,
}

impl Start {
    /// Remembers the present use, and lets the peak begin here where the system allows it.
    pub(super) fn now() -> Self {
        // Refused on some systems; the peak then includes what came before.
        let _ = fs::write("/proc/self/clear_refs", "5");
        Self { resident: field("VmRSS:") }
    }

    /// The peak since then less the use at that time, in MB; `None` where there is no `/proc`.
    pub(super) fn growth_mb(&self) -> Option<f64> {
        let growth = field("VmHWM:")?.saturating_sub(self.resident?);
        Some(growth as f64 * 1024.0 / 1e6)
    }
}

/// A field of `/proc/self/status`, in KiB.
fn field(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn touched_memory_counts_after_it_is_freed() {
        let start = Start::now();
        let block = vec![1u8; 256 << 20];
        assert_eq!(block.iter().step_by(4096).map(|&b| u64::from(b)).sum::<u64>(), 65_536);
        drop(block);
        assert!(start.growth_mb().unwrap() > 200.0);
    }
}
