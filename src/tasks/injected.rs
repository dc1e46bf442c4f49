//! Panics on demand, for the tests of the whole process. Debug builds only: in what is released none of this does anything.

/// Set: the process is not spared while it is young.
pub(super) fn is_in_haste() -> bool {
    cfg!(debug_assertions) && std::env::var_os("TEST_END_AT_ONCE").is_some()
}

/// Runs a task, or panics at its first start where the environment names it among others, separated by commas.
pub(super) async fn run(name: &'static str, failures: u32, task: impl Future<Output = ()>) {
    if cfg!(debug_assertions) {
        let asked = std::env::var("TEST_PANIC_IN_TASKS").unwrap_or_default();
        assert!(
            failures > 0 || !asked.split(',').any(|asked| asked == name),
            "a test asked {name} for a panic"
        );
    }
    task.await;
}
