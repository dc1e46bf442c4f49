//! The commands: arguments in, exit code out. Each is a thin shell around `app`, `config` and `sim`.

mod alert;
mod arguments;
mod backup;
mod check;
mod demo;
mod disk;
mod drill;
mod exit;
mod findings;
mod firewall;
mod import;
mod loading;
mod maintenance;
mod nodes;
mod progress;
mod report;
mod run;
mod secrets;
mod service;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use arguments::{AlertCommand, Arguments, Command, DrillCommand, SecretsCommand};
use exit::FAILED;
use import::Asked;
use loading::environment;

/// Parses the command line and carries it out, on a runtime of its own. The runtime is here and not in the binary because a future is
/// compiled where it is polled: there all of the service would be compiled a second time.
pub fn main() -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(carry_out()),
        Err(error) => {
            terminal::complain(format_args!("relaymux cannot start its threads: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

async fn carry_out() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let environment = environment();
    let asked = import::asks_for(&arguments);
    let is_flag_first = arguments.first().is_some_and(|first| first.starts_with('-'));
    match asked {
        Some(asked) if is_flag_first => return answer(asked),
        // Go's spelling, also behind a command.
        Some(Asked::Version) if arguments.iter().any(|argument| argument == "-version") => {
            return answer(Asked::Version);
        }
        _ => {}
    }
    if import::is_legacy(&arguments, &environment) {
        return match import::legacy(&arguments, &environment) {
            Ok(legacy) => run::run_legacy(legacy).await,
            Err(reason) => import::refuse(&reason),
        };
    }
    let spelled =
        arguments.iter().map(|argument| if argument == "-help" { "--help" } else { argument.as_str() });
    match Arguments::parse_from(std::iter::once("relaymux").chain(spelled)).command {
        Command::Run(arguments) => run::run(arguments).await,
        Command::Check(arguments) => check::check(arguments).await,
        Command::Import(arguments) => import::import(&arguments),
        Command::Report(arguments) => report::report(arguments).await,
        Command::Demo(arguments) => demo::demo(arguments).await,
        Command::Alert(arguments) => match arguments.command {
            AlertCommand::Test(arguments) => alert::test(arguments).await,
        },
        Command::Drill(arguments) => match arguments.command {
            DrillCommand::Alert(arguments) => drill::alert(arguments).await,
        },
        Command::Nodes(arguments) => nodes::nodes(arguments.command).await,
        Command::Secrets(arguments) => match arguments.command {
            SecretsCommand::Jwt(arguments) => secrets::jwt(&arguments),
        },
        Command::Maintenance(arguments) => maintenance::maintenance(arguments.command).await,
        Command::Disk(arguments) => disk::disk(arguments.command).await,
        Command::Firewall(arguments) => firewall::firewall(arguments.command).await,
        Command::Backup(arguments) => backup::backup(arguments.command).await,
    }
}

/// Help or the version, however they were asked for: Go's programs take `-help` and `-version`.
fn answer(asked: Asked) -> ExitCode {
    match asked {
        Asked::Help => terminal::write(Arguments::command().render_long_help()),
        Asked::Version => terminal::say(concat!("relaymux ", env!("CARGO_PKG_VERSION"))),
    }
    ExitCode::SUCCESS
}
