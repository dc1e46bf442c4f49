//! What the demo is made of: a chain that starts now, relays with their habits, and the service's configuration between them.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, time::Duration};

use alloy_primitives::U256;

use crate::{
    auction::AuctionSettings,
    builder_api::BuilderApiSettings,
    cli::arguments::DemoArguments,
    config::{AlertsConfig, Config},
    consensus::{ChainSpec, Network},
    ops_api::OpsSettings,
    profit::ProfitSettings,
    relay::{HealthMonitorSettings, RelaySettings, TlsRoots, parse_relay_url, rotation::RotationPolicy},
    sim::{Behaviour, HeaderFault, PayloadFault, SimExecution, SimRelay, SimRelayParts},
    sla::Objective,
    supervisor::schedule::ScheduleSettings,
    types::{Epoch, Fork, RelayId, UnixMillis, Wei},
};

/// Names of the simulated relays, in turn.
const NAMES: [&str; 8] = ["amber", "birch", "coral", "delta", "ember", "flint", "grove", "heath"];

/// A simulated relay.
pub(super) struct DemoRelay {
    pub(super) name: String,
    pub(super) relay: SimRelay,
    pub(super) habit: Habit,
}

/// How a relay behaves, and how that is said.
pub(super) struct Habit {
    behaviour: Behaviour,
    pub(super) description: &'static str,
    /// How much of its promise its blocks pay.
    pub(super) pays_percent: u64,
}

/// Starts the relays that were asked for.
pub(super) async fn start_relays(
    arguments: &DemoArguments,
    spec: &ChainSpec,
) -> Result<Vec<DemoRelay>, crate::serve::ListenError> {
    let mut relays = Vec::new();
    for n in 0..arguments.relays {
        let is_faulty = arguments.relays - n <= arguments.faulty;
        let habit = habit(n, is_faulty.then_some(arguments.relays - n - 1), arguments);
        let behaviour = habit.behaviour.clone();
        let relay = SimRelay::start(SimRelayParts { spec: spec.clone(), seed: n, behaviour }).await?;
        relays.push(DemoRelay { name: name(n), relay, habit });
    }
    Ok(relays)
}

fn name(n: u8) -> String {
    let name = NAMES.iter().cycle().nth(usize::from(n)).copied().unwrap_or("relay");
    if usize::from(n) < NAMES.len() {
        name.to_owned()
    } else {
        format!("{name}{}", usize::from(n) / NAMES.len() + 1)
    }
}

/// Mainnet's containers and domain at Fulu, on a chain that starts `now`.
pub(super) fn demo_spec(seconds_per_slot: u64, now: UnixMillis) -> ChainSpec {
    let mut spec = Network::Mainnet.spec();
    spec.name = "demo".to_owned();
    spec.genesis_time = u64::try_from(now / 1000).unwrap_or(0);
    spec.slot_ms = seconds_per_slot * 1000;
    for fork in &mut spec.forks {
        fork.epoch = if fork.fork <= Fork::Fulu { Epoch::new(0) } else { Epoch::NEVER };
    }
    spec
}

/// A relay's habits. Faults take turns; a faulty relay bids more than the honest ones, so that trusting it would cost something.
fn habit(n: u8, fault: Option<u8>, arguments: &DemoArguments) -> Habit {
    let milli_eth = |milli: u64| Wei::new(U256::from(milli) * U256::from(1_000_000_000_000_000_u64));
    // The block that is withheld is the first relay's too: worth enough to win soon, so that it is seen.
    let first = if arguments.faulty > 1 { 55 } else { 40 };
    let honest = Behaviour::default()
        .builder(n)
        .value(milli_eth(if n == 0 { first } else { 40 + u64::from(n % 3) }))
        .value_spread(milli_eth(25))
        .delay(Duration::from_millis(10 + 15 * u64::from(n % 5)))
        .jitter(Duration::from_millis(40));
    let greedy = honest.clone().value(milli_eth(90));
    let late = Duration::from_millis(arguments.seconds_per_slot * 1000);
    let (behaviour, description) = match fault.map(|turn| turn % 5) {
        None => (honest, "honest"),
        Some(0) => (greedy, "pays half of what it promises"),
        // The block is another relay's too: that one reveals it, and the withholding costs the withholder.
        Some(1) => (
            honest.builder(0).value(milli_eth(first)).payload(PayloadFault::Withholds),
            "withholds the payload of its blocks",
        ),
        Some(2) => (greedy.header(HeaderFault::WrongSignature), "signs its bids with another key"),
        Some(3) => (greedy.delay(late), "answers after the deadline"),
        Some(_) => (greedy.header(HeaderFault::Garbage), "answers with garbage"),
    };
    let pays_percent = if fault.map(|turn| turn % 5) == Some(0) { 50 } else { 100 };
    Habit { behaviour, description, pays_percent }
}

/// The service's configuration.
pub(super) fn demo_config(
    spec: &ChainSpec,
    relays: &[DemoRelay],
    chain: &SimExecution,
    data_dir: PathBuf,
) -> Result<Config, Box<dyn std::error::Error>> {
    let mut settings = Vec::new();
    for DemoRelay { name, relay, .. } in relays {
        let (url, pubkey) = parse_relay_url(&relay.url())?;
        settings.push(RelaySettings::new(RelayId::parse(name)?, url, pubkey));
    }
    let (builder_api, ops) = (BuilderApiSettings::default(), OpsSettings::default());
    let slot_ms = spec.slot_ms;
    Ok(Config {
        spec: spec.clone(),
        data_dir,
        builder_api: BuilderApiSettings { listen: or_any_port(builder_api.listen), ..builder_api },
        ops: OpsSettings { listen: or_any_port(ops.listen), ..ops },
        auction: AuctionSettings {
            // A quarter of a short slot, as 950 ms would be most of it.
            timeout_get_header: Duration::from_millis(950.min(slot_ms / 4)),
            late_in_slot_ms: 2000.min(slot_ms),
            ..AuctionSettings::default()
        },
        relays: settings,
        terms: HashMap::new(),
        builders: Vec::new(),
        proposers: Vec::new(),
        // Whatever else this machine is doing: the demo is about relays.
        monitor: HealthMonitorSettings {
            rotation: RotationPolicy { enabled: false, ..RotationPolicy::default() },
            ..HealthMonitorSettings::default()
        },
        tls_roots: TlsRoots::Bundled,
        proxy: None,
        beacon: None,
        follows_attributes: false,
        execution: Some(chain.url().parse()?),
        bundles: None,
        rpc: None,
        nodes: None,
        disk: None,
        execution_by_gateway: false,
        alerts: AlertsConfig::default(),
        sla: Objective::THREE_NINES,
        // What comes by the clock comes too rarely to be shown.
        maintenance: ScheduleSettings { enabled: false, ..ScheduleSettings::default() },
        firewall: None,
        backup: None,
        retention: crate::ledger::Retention::default(),
        files: crate::backup::ConfigFiles::default(),
        profit: ProfitSettings {
            registrations_every: Duration::ZERO,
            check_every: Duration::from_secs(2),
            ..ProfitSettings::default()
        },
        seed_from_public_record: false,
        included: Vec::new(),
        warnings: Vec::new(),
    })
}

/// The usual port if nobody has it, so that the dashboard is where people look; else any.
fn or_any_port(mut address: SocketAddr) -> SocketAddr {
    if std::net::TcpListener::bind(address).is_err() {
        address.set_port(0);
    }
    address
}
