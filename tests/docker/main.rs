//! The supervisor's runtimes against a real Docker engine and a real kernel's cgroups. `scripts/docker/run` unpacks the engine and runs this in
//! namespaces of its own; everything started here ends with them.
//!
//! The machines that these were written on have cgroup v1, so the figures of v2 are not seen here; `src/host/cgroup/tests.rs` has them on
//! a tree of files.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking and speaks to its user"
)]

mod audit;
mod engine;
mod lifecycle;
mod limits;
mod networks;
mod processes;
mod restarts;
mod story;
mod world;
