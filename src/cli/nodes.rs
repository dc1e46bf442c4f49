//! `relaymux nodes`: what stands beside the validator, by hand.
//!
//! The running service is the one supervisor: what changes something goes through its ops API, so that it knows what a person wanted. Looking
//! needs no service: `plan`, `status` and `logs` ask the runtimes themselves where it does not run.

mod audit;
mod audit_engine;
mod direct;
mod logs;
mod meant;
mod order;
mod plan;
mod seen;
mod status;

use std::process::ExitCode;

use super::arguments::NodesCommand;

/// Carries one of them out.
pub(super) async fn nodes(command: NodesCommand) -> ExitCode {
    match command {
        NodesCommand::Audit(arguments) => audit::audit(&arguments).await,
        NodesCommand::Plan(arguments) => plan::plan(arguments).await,
        NodesCommand::Status(arguments) => status::status(arguments).await,
        NodesCommand::Logs(arguments) => logs::logs(arguments).await,
        NodesCommand::Up(arguments) => order::up(arguments).await,
        NodesCommand::Down(arguments) => order::down(arguments).await,
        NodesCommand::Stop(arguments) => order::each(arguments, "stop").await,
        NodesCommand::Restart(arguments) => order::each(arguments, "restart").await,
        NodesCommand::Resume(arguments) => order::each(arguments, "resume").await,
        NodesCommand::Maintenance(arguments) => order::maintenance(arguments).await,
        NodesCommand::Resize(arguments) => order::resize(arguments).await,
    }
}
