//! Money on real execution nodes: anvil, and geth where it could be installed. `scripts/devnet/run` installs both and runs this.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod bundles;
mod gateway;
mod geths;
mod node;
mod payments;
mod profit;
#[expect(dead_code, reason = "shared with the other black-box tests, which use more of it")]
#[path = "../it/searcher.rs"]
mod searcher;
#[expect(dead_code, reason = "shared with the other black-box tests, which use more of it")]
#[path = "../it/stage.rs"]
mod stage;
mod supervised_geth;
mod wallet;
