//! The configuration of a command, from its file and the environment.

use std::{path::Path, process::ExitCode};

use super::{exit::MISUSED, terminal::complain_of_config};
use crate::{app::alert_rules, config::Config};

/// The process's environment. What is not Unicode is shown with replacement characters: it is no key of ours.
pub(super) fn environment() -> Vec<(String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

/// Reads the configuration of a command that does not follow it; says what is wrong with it otherwise.
pub(super) fn load(path: &Path) -> Result<Config, ExitCode> {
    Config::load(path, &environment(), &alert_rules()).map_err(|error| {
        complain_of_config(&error);
        ExitCode::from(MISUSED)
    })
}
