//! The commands: arguments in, exit code out. Each is a thin shell around `app`, `config` and `sim`.

mod arguments;
mod check;
mod demo;
mod import;
mod report;
mod run;

use std::{path::Path, process::ExitCode};

use clap::Parser;

use arguments::{Arguments, Command};

use crate::config::Config;

/// Exit code of a service or command that failed while running.
const FAILED: u8 = 1;
/// Exit code of a wrong configuration or command line.
const MISUSED: u8 = 2;

/// Parses the command line and carries it out.
pub async fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let environment: Vec<(String, String)> = std::env::vars().collect();
    if import::is_legacy(&arguments, &environment) {
        return match import::legacy(&arguments, &environment) {
            Ok(legacy) => run::run_legacy(legacy).await,
            Err(why) => import::refuse(&why),
        };
    }
    match Arguments::parse().command {
        Command::Run(arguments) => run::run(arguments).await,
        Command::Check(arguments) => check::check(arguments).await,
        Command::Import(arguments) => import::import(&arguments),
        Command::Report(arguments) => report::report(arguments).await,
        Command::Demo(arguments) => demo::demo(arguments).await,
    }
}

/// Reads the configuration of a command that does not follow it; says what is wrong with it otherwise.
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
fn load(path: &Path) -> Result<Config, ExitCode> {
    let environment: Vec<(String, String)> = std::env::vars().collect();
    Config::load(path, &environment).map_err(|error| {
        eprintln!("{error}");
        ExitCode::from(MISUSED)
    })
}
