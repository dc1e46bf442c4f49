//! `relaymux maintenance`: which tasks are done by the clock, when, and what came of them; and running one by hand.
//!
//! The running service is the one that keeps the schedule: it is asked through its ops API.

mod list;
mod run;
mod seen;

use std::process::ExitCode;

use super::arguments::MaintenanceCommand;

/// Carries one of them out.
pub(super) async fn maintenance(command: MaintenanceCommand) -> ExitCode {
    match command {
        MaintenanceCommand::List(arguments) => list::list(arguments).await,
        MaintenanceCommand::Run(arguments) => run::run(arguments).await,
    }
}
