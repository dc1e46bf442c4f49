//! First part of a start: everything outside this process that it needs, and that may not be had.

use reqwest::Client;

use super::{
    backup::finish_restore,
    data_dir::DataDirLock,
    policies::Clients,
    start_error::StartError,
    storage::{Storage, open_storage, take_data_dir},
};
use crate::{
    config::Config,
    consensus::WallClock,
    ops_api::Degraded,
    relay::build_http_client,
    serve::{Door, Handover, HostGate, Listener, ReservedPort, handover},
};

/// What was opened. Nothing runs on it yet.
pub(super) struct Opened {
    /// Held until the files are shut.
    pub(super) lock: Option<DataDirLock>,
    pub(super) storage: Storage,
    /// What could not be had, and the service goes on without.
    pub(super) degraded: Degraded,
    pub(super) clients: Clients,
    pub(super) listeners: Listeners,
}

/// Where the service listens.
pub(super) struct Listeners {
    pub(super) builder: Listener,
    pub(super) ops: Listener,
    /// Where bundles are taken, if they are: the door, and a client for builders. Connections of its own, so that no builder ever
    /// waits in a relay's pool, nor a relay in a builder's.
    pub(super) bundles: Option<(Door, Client)>,
    /// Where the gateway listens, if it does.
    pub(super) rpc: Option<Listener>,
    /// Where the gateway hands bundles to, where they have no listener of their own.
    pub(super) bundles_through: Option<Handover>,
}

/// Opens everything. The folder comes first: two services of one folder must not even bind ports.
///
/// # Errors
/// When a folder, file or port cannot be had.
pub(super) async fn open(config: &Config, clock: &WallClock) -> Result<Opened, StartError> {
    let lock = take_data_dir(config)?;
    let clients = Clients::for_config(config, clock.clone())?;
    // Taken before anything is done to the files of a service that still runs at these ports; open once there is somebody to answer.
    let ports = reserve(config)?;
    let degraded = Degraded::default();
    if lock.is_some() {
        finish_restore(&config.data_dir, &degraded);
    }
    let storage = open_storage(config, &degraded, clock.now()).await?;
    let listeners = listen(config, ports)?;
    Ok(Opened { lock, storage, degraded, clients, listeners })
}

/// The ports that the configuration asks for.
struct Ports {
    builder: ReservedPort,
    ops: ReservedPort,
    bundles: Option<ReservedPort>,
    rpc: Option<ReservedPort>,
}

fn reserve(config: &Config) -> Result<Ports, StartError> {
    let bundles = config.bundles.as_ref().and_then(|bundles| bundles.listen);
    let bundles = bundles.map(|listen| ReservedPort::take("bundles", listen));
    let rpc = config.rpc.as_ref().map(|rpc| ReservedPort::take("rpc", rpc.listen));
    Ok(Ports {
        builder: ReservedPort::take("builder", config.builder_api.listen)?,
        ops: ReservedPort::take("ops", config.ops.listen)?,
        bundles: bundles.transpose()?,
        rpc: rpc.transpose()?,
    })
}

fn listen(config: &Config, ports: Ports) -> Result<Listeners, StartError> {
    let api = &config.builder_api;
    let gate = HostGate::for_programs("builder_api", api.listen, &api.allowed_hosts);
    let builder = ports.builder.listen()?.behind(gate);
    let gate = HostGate::for_people("ops", &config.ops.allowed_hosts);
    let ops = ports.ops.listen()?.behind(gate);
    let rpc = match config.rpc.as_ref().zip(ports.rpc) {
        Some((rpc, port)) => {
            let gate =
                HostGate::for_programs("rpc", rpc.listen, &rpc.allowed_hosts).open_to(&rpc.allowed_origins);
            Some(port.listen()?.behind(gate))
        }
        None => None,
    };
    let mut bundles_through = None;
    let bundles = match &config.bundles {
        Some(bundles) => {
            let door = match (ports.bundles, bundles.listen) {
                (Some(port), Some(listen)) => {
                    let gate = HostGate::for_programs("bundles", listen, &bundles.allowed_hosts);
                    Door::Listener(port.listen()?.behind(gate))
                }
                (None, _) | (_, None) => {
                    let (through, handed) = handover();
                    bundles_through = Some(through);
                    Door::Handed(handed)
                }
            };
            Some((door, build_http_client(&config.tls_roots, config.proxy.as_deref())?))
        }
        None => None,
    };
    Ok(Listeners { builder, ops, bundles, rpc, bundles_through })
}
