//! `relaymux run`: the service until a signal stops it, or a part fails without which nothing can be served.

use std::{io, net::Ipv4Addr, path::Path, process::ExitCode};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    arguments::RunArguments,
    exit::{FAILED, MISUSED},
    import::Legacy,
    loading::environment,
    terminal::{complain, complain_of_config},
};
use crate::{
    app::{
        ConfigSource, LogFormat, Service, Signal, Signals, StartError, alert_rules, init_logging,
        install_metrics, write_whole,
    },
    config::Config,
};

pub(super) async fn run(arguments: RunArguments) -> ExitCode {
    let environment = environment();
    let (source, config) = match ConfigSource::read(arguments.config, environment) {
        Ok(read) => read,
        Err(error) => {
            complain_of_config(&error);
            return ExitCode::from(MISUSED);
        }
    };
    init_logging(arguments.log.log_format, &arguments.log.log);
    serve(config, Some(source), arguments.ports_file.as_deref(), OpsPort::AsConfigured).await
}

/// Runs as mev-boost was started. There is no file to follow.
pub(super) async fn run_legacy(legacy: Legacy) -> ExitCode {
    let environment = environment();
    let config =
        match Config::parse(&legacy.text, Path::new("mev-boost's flags"), &environment, &alert_rules()) {
            Ok(config) => config,
            Err(error) => {
                complain_of_config(&error);
                return ExitCode::from(MISUSED);
            }
        };
    let format = if legacy.json_logs { LogFormat::Json } else { LogFormat::Text };
    init_logging(format, legacy.log_level.as_deref().unwrap_or("info"));
    info!(
        "started by mev-boost's flags or environment; `relaymux import mev-boost` writes the same as a relays.toml"
    );
    for note in &legacy.notes {
        warn!("{note}");
    }
    serve(config, None, legacy.ports_file.as_deref(), OpsPort::MayMove).await
}

/// What a taken ops port means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpsPort {
    /// It was asked for: without it there is no start.
    AsConfigured,
    /// mev-boost has no such port, so whoever starts us by its flags did not ask for it: any other will do.
    MayMove,
}

/// Starts the service; where its ops port may move, it does rather than keep the builder API from coming up.
async fn start(
    mut config: Config,
    source: Option<ConfigSource>,
    ops_port: OpsPort,
) -> Result<Service, StartError> {
    let metrics = install_metrics();
    let error = match Service::start(config.clone(), source.clone(), metrics.clone()).await {
        Err(StartError::Listen(error)) if ops_port == OpsPort::MayMove && error.api() == "ops" => error,
        result => return result,
    };
    warn!(%error, "the dashboard and metrics go to a free port; -metrics-addr or RELAYMUX_OPS__LISTEN chooses one");
    config.ops.listen = (Ipv4Addr::LOCALHOST, 0).into();
    Service::start(config, source, metrics).await
}

async fn serve(
    config: Config,
    source: Option<ConfigSource>,
    ports_file: Option<&Path>,
    ops_port: OpsPort,
) -> ExitCode {
    let mut signals = match Signals::take() {
        Ok(signals) => signals,
        Err(error) => {
            complain(format_args!("cannot wait for signals: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    raise_file_limit();
    let started = tokio::select! {
        started = start(config, source, ops_port) => Some(started),
        () = told_to_stop(&mut signals) => None,
    };
    let mut service = match started {
        Some(Ok(service)) => service,
        Some(Err(error)) => {
            complain(format_args!("relaymux cannot start: {error}"));
            return ExitCode::from(FAILED);
        }
        None => {
            info!("told to stop before the service had started");
            return ExitCode::SUCCESS;
        }
    };
    if let Some(path) = ports_file
        && let Err(error) = write_ports(path, &service)
    {
        complain(format_args!("cannot write --ports-file {}: {error}", path.display()));
        service.stop(CancellationToken::new()).await;
        return ExitCode::from(FAILED);
    }
    let failure = until_stop(&mut service, &mut signals).await;
    info!("stopping");
    stop(service, &mut signals).await;
    match failure {
        None => ExitCode::SUCCESS,
        Some(message) => {
            complain(format_args!("relaymux has ended: {message}"));
            ExitCode::from(FAILED)
        }
    }
}

/// As many open files as this process may have: connections are files, and the usual soft limit of 1024 is of a time of other programs.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        warn!(%error, limit = limit.current, "the limit of open files cannot be raised (LimitNOFILE= of systemd, ulimit -n)");
    }
}

/// Waits for a signal that says stop. There is nothing yet that another one could ask for.
async fn told_to_stop(signals: &mut Signals) {
    while !matches!(signals.next().await, Signal::Stop) {}
}

/// Serves until a signal says stop, or a task has failed that cannot be done without: then why.
async fn until_stop(service: &mut Service, signals: &mut Signals) -> Option<String> {
    loop {
        let signal = tokio::select! {
            signal = signals.next() => signal,
            message = service.failed() => return Some(message),
        };
        match signal {
            Signal::Stop => return None,
            Signal::Reload => service.reload(),
            Signal::Rotate => service.rotate("SIGUSR1").await,
        }
    }
}

/// Stops in good order. A second signal is somebody who does not want to wait for a block that may never come; what is in flight still ends
/// well.
async fn stop(service: Service, signals: &mut Signals) {
    let impatience = CancellationToken::new();
    let stop = service.stop(impatience.clone());
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            signal = signals.next() => match signal {
                Signal::Stop => {
                    warn!("told to stop again: not waiting for blocks that have not come");
                    impatience.cancel();
                }
                Signal::Reload | Signal::Rotate => {}
            },
        }
    }
}

/// For whoever started the service: a reader sees all of it or nothing.
fn write_ports(path: &Path, service: &Service) -> io::Result<()> {
    let mut ports = serde_json::json!({
        "builder": service.builder_address().to_string(),
        "ops": service.ops_address().to_string(),
    });
    if let (Some(address), Some(ports)) = (service.rpc_address(), ports.as_object_mut()) {
        ports.insert("rpc".to_owned(), address.to_string().into());
    }
    if let (Some(address), Some(ports)) = (service.bundles_address(), ports.as_object_mut()) {
        ports.insert("bundles".to_owned(), address.to_string().into());
    }
    write_whole(path, ports.to_string().as_bytes(), 0o644)
}
