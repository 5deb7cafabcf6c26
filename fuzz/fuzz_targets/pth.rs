//! Whatever the bytes are, reading a `.pth` file ends with tensors or an error.
//!
//! ```sh
//! RUSTC_BOOTSTRAP=1 cargo fuzz run pth fuzz/corpus/pth crates/backbones/tests/fixtures -- -max_total_time=60
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;
use sconce_backbones::weights::{Extent, read_pth};

fuzz_target!(|bytes: &[u8]| {
    for extent in [Extent::StateDict, Extent::Everything] {
        let _ = read_pth(bytes, extent);
    }
});
