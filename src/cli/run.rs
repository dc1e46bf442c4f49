//! `relaymux run`

use std::{io, path::Path, process::ExitCode};

use super::{FAILED, MISUSED, arguments::RunArguments};
use crate::{
    app::{Service, init_logging, install_metrics, wait_for_stop_signal},
    config::Config,
};

#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
pub(super) async fn run(arguments: RunArguments) -> ExitCode {
    let environment: Vec<(String, String)> = std::env::vars().collect();
    let config = match Config::load(&arguments.config, &environment) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(MISUSED);
        }
    };
    init_logging(arguments.log.log_format, &arguments.log.log);
    let service = match Service::start(config, install_metrics()).await {
        Ok(service) => service,
        Err(error) => {
            eprintln!("relaymux cannot start: {error}");
            return ExitCode::from(FAILED);
        }
    };
    if let Some(path) = &arguments.ports_file
        && let Err(error) = write_ports(path, &service)
    {
        eprintln!("cannot write --ports-file {}: {error}", path.display());
        service.stop().await;
        return ExitCode::from(FAILED);
    }
    let stopped = wait_for_stop_signal().await;
    service.stop().await;
    match stopped {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot wait for signals: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// Written aside and renamed: a reader sees all of it or none.
fn write_ports(path: &Path, service: &Service) -> io::Result<()> {
    let ports = serde_json::json!({
        "builder": service.builder_address().to_string(),
        "ops": service.ops_address().to_string(),
    });
    let aside = path.with_extension("new");
    std::fs::write(&aside, ports.to_string())?;
    std::fs::rename(aside, path)
}
