//! Real consensus clients against the real binary, on loopback. Run by `scripts/devnet`, which installs them first and names their
//! folder in `RELAYMUX_DEVNET`.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../it/stage.rs"]
#[expect(dead_code, reason = "the black-box tests use the rest")]
mod stage;

mod fulu_client;
mod lodestar;
