//! Standard output.

use std::io::{self, Write as _};

use anyhow::Context as _;

/// To stdout, whose reader may have gone away.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output")
}
