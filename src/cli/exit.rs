//! Exit codes. Success is 0.

/// Exit code of a service or command that failed while running.
pub(super) const FAILED: u8 = 1;
/// Exit code of a wrong configuration or command line.
pub(super) const MISUSED: u8 = 2;
