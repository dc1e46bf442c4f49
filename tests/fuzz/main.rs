//! What peers and people send, damaged at random from a seed: no decoder panics, hangs or swells, and what decodes encodes to something that
//! decodes to the same.
//!
//! Each target takes well-formed inputs (`corpus`), damages bytes or structure (`mutate`) and asserts what must hold of the result (`targets`). A short
//! run of a fixed seed belongs to the tests, so that a failure is the change's; `RELAYMUX_FUZZ_SECONDS` runs longer from a random
//! seed that is printed, `RELAYMUX_FUZZ_SEED` from a given one, and `RELAYMUX_FUZZ_CASE` plays one case again.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod config;
mod consensus;
mod corpus;
mod harness;
mod json_rpc;
mod mutate;
mod streams;
/// What must hold of each input; the libFuzzer targets in `fuzz/` assert the same.
mod targets {
    pub(crate) mod bids;
    pub(crate) mod blocks;
    pub(crate) mod config;
    pub(crate) mod fate;
    pub(crate) mod json_rpc;
    pub(crate) mod payloads;
    pub(crate) mod registrations;
    pub(crate) mod relay_streams;
}

/// Where fixtures and the shipped configuration are.
pub(crate) const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
