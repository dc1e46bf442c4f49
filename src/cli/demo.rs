//! `relaymux demo`: the main job on this machine alone.
//!
//! Simulated relays with different bids and latencies, the real service between them and a simulated proposer on real sockets, a
//! line per slot, a table at the end. A slot counts as served when the consensus client got an answer it can propose with: a
//! revealed payload, or an honest 204 in time.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use alloy_primitives::{B256, U256};
use comfy_table::{Table, presets};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{FAILED, arguments::DemoArguments};
use crate::{
    app::{LogFormat, Service, Signal, Signals, init_logging, install_metrics},
    auction::AuctionSettings,
    builder_api::BuilderApiSettings,
    config::Config,
    consensus::{ChainSpec, Encoding, Fork, Network, SlotClock, UnixMillis, WallClock},
    events::{AuctionRecord, Event, Outcome, RelayModeChanged, Subscription},
    ops_api::OpsSettings,
    profit::ProfitSettings,
    relay::{HealthMonitorSettings, RelaySettings, TlsRoots, build_http_client, parse_relay_url},
    sim::{Behaviour, HeaderFault, PayloadFault, Proposal, SimProposer, SimRelay, SimRelayParts},
    types::{Epoch, RelayId, Slot, Wei},
};

/// What a consensus client waits for a header.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(1);
/// Names of the simulated relays, in turn.
const NAMES: [&str; 8] = ["amber", "birch", "coral", "delta", "ember", "flint", "grove", "heath"];

/// What happened over the whole demo.
#[derive(Default)]
struct Tally {
    slots: u64,
    revealed: u64,
    local: u64,
    lost: u64,
    paid: U256,
    by_relay: BTreeMap<RelayId, RelayTally>,
    /// Changes of place since the last slot's line.
    moves: Vec<RelayModeChanged>,
}

#[derive(Default)]
struct RelayTally {
    bids: u64,
    wins: u64,
    deliveries: u64,
    latency_us: u64,
    faults: BTreeMap<String, u64>,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its user")]
pub(super) async fn demo(arguments: DemoArguments) -> ExitCode {
    init_logging(LogFormat::Text, &arguments.log.filter);
    match play(&arguments).await {
        Ok(tally) => {
            println!("\n{}", closing_table(&tally));
            println!(
                "{} slots: {} paid by relays ({} ETH), {} built locally, {} lost",
                tally.slots,
                tally.revealed,
                Wei::new(tally.paid).to_eth(),
                tally.local,
                tally.lost
            );
            if tally.lost == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
        }
        Err(error) => {
            eprintln!("the demo cannot run: {error}");
            ExitCode::from(FAILED)
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
async fn play(arguments: &DemoArguments) -> Result<Tally, Box<dyn std::error::Error>> {
    let spec = demo_spec(arguments.seconds_per_slot);
    let mut relays = Vec::new();
    for n in 0..arguments.relays {
        let is_faulty = arguments.relays - n <= arguments.faulty;
        let behaviour = behaviour(n, is_faulty.then_some(arguments.relays - n - 1), arguments);
        let relay =
            SimRelay::start(SimRelayParts { spec: spec.clone(), seed: n, behaviour: behaviour.0 }).await?;
        relays.push((name(n), relay, behaviour.1));
    }
    let folder = scratch_folder();
    let config = demo_config(&spec, &relays, folder.clone())?;
    let service = Service::start(config, None, install_metrics()).await?;
    let base = format!("http://{}", service.builder_address());
    println!(
        "builder API {base}    dashboard http://{}    ledger {}",
        service.ops_address(),
        folder.display()
    );
    for (name, relay, habit) in &relays {
        println!("  relay {name:<8} {:<22} {habit}", relay.url().split('@').next_back().unwrap_or_default());
    }
    let http = build_http_client(&TlsRoots::Bundled, None)?;
    let proposer = SimProposer::new(spec.clone(), base, http, 8, Encoding::Ssz);
    let tally = propose(arguments, &spec, &proposer, service.spine().subscribe()).await;
    // The one proposer is ours and has ended: no block is to come.
    let impatience = CancellationToken::new();
    impatience.cancel();
    service.stop(impatience).await;
    // The ledger of a finished demo is of no further use; a folder that stays does no harm.
    let _ = std::fs::remove_dir_all(folder);
    tally
}

#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
async fn propose(
    arguments: &DemoArguments,
    spec: &ChainSpec,
    proposer: &SimProposer,
    mut events: Subscription,
) -> Result<Tally, Box<dyn std::error::Error>> {
    let (slots, wall) = (spec.clock(), WallClock);
    // Taken once: a Ctrl-C while a slot is proposed ends the demo after it.
    let mut signals = Signals::take()?;
    proposer.register(60_000_000, u64::try_from(wall.now() / 1000).unwrap_or(0)).await?;
    println!("  8 validators registered\n");
    println!(
        "{:>6}  {:<7} {:>12}  {:<10} {:>9} {:>9}  relays",
        "slot", "answer", "value ETH", "from", "header ms", "reveal ms"
    );
    let mut tally = Tally::default();
    let mut parent = B256::repeat_byte(0x11);
    let mut slot = slots.slot_at(wall.now()).as_u64() + 1;
    while arguments.slots.is_none_or(|wanted| tally.slots < wanted) {
        tokio::select! {
            () = sleep(until(slots, slot.into(), wall.now())) => {}
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::Reload | Signal::Rotate => continue,
            },
        }
        let started = tokio::time::Instant::now();
        let outcome = proposer.propose(slot.into(), parent, CLIENT_TIMEOUT).await;
        let took = started.elapsed();
        // The reveal's answer comes before its record: give the watchers a moment, they are off the hot path.
        sleep(Duration::from_millis(30)).await;
        let record = drain(&mut events, slot.into(), &mut tally);
        tally.slots += 1;
        let (answer, value, why) = match outcome {
            Ok(Proposal::Revealed { block_hash, bid }) => {
                parent = block_hash;
                tally.revealed += 1;
                tally.paid = tally.paid.saturating_add(bid.facts().value.as_u256());
                ("paid", bid.facts().value.to_eth(), String::new())
            }
            Ok(Proposal::Local) => {
                tally.local += 1;
                ("local", String::new(), String::new())
            }
            Err(error) => {
                tally.lost += 1;
                ("LOST", String::new(), error.to_string())
            }
        };
        println!("{}", line(slot, answer, &value, record.as_ref(), took, &why));
        for placed in std::mem::take(&mut tally.moves) {
            println!("        {} is {}: {}", placed.relay, placed.state.label(), placed.why);
        }
        slot = (slot + 1).max(slots.slot_at(wall.now()).as_u64());
    }
    Ok(tally)
}

/// Counts what was published; returns the auction of the slot.
fn drain(events: &mut Subscription, slot: Slot, tally: &mut Tally) -> Option<AuctionRecord> {
    let mut found = None;
    while let Some(event) = events.try_next() {
        match &*event {
            Event::Auction(record) => {
                for offer in record.offers.iter().filter(|offer| offer.outcome != Outcome::NotAsked) {
                    let relay = tally.by_relay.entry(offer.relay.clone()).or_default();
                    relay.latency_us += offer.latency_us;
                    match offer.outcome {
                        Outcome::Bid => relay.bids += 1,
                        Outcome::NoBid => {}
                        fault => *relay.faults.entry(fault.to_string()).or_default() += 1,
                    }
                }
                for relay in record.winner.iter().flat_map(|winner| &winner.relays) {
                    tally.by_relay.entry(relay.clone()).or_default().wins += 1;
                }
                if record.slot == slot {
                    found = Some(record.clone());
                }
            }
            Event::SubmissionAnswer(answer) => {
                let relay = tally.by_relay.entry(answer.relay.clone()).or_default();
                let offered = found.as_ref().and_then(|record| record.winner.as_ref());
                let had_offered = offered.is_some_and(|winner| winner.relays.contains(&answer.relay));
                match answer.outcome {
                    outcome if outcome.reveals() => relay.deliveries += 1,
                    // Those who did not offer the block rightly know nothing of it.
                    _ if !had_offered => {}
                    fault => *relay.faults.entry(format!("reveal {fault}")).or_default() += 1,
                }
            }
            Event::Relay(_)
            | Event::Registrations(_)
            | Event::RegistrationAnswer(_)
            | Event::BlockReceived(_)
            | Event::ConflictingBlock(_)
            | Event::SubmissionClosed(_)
            | Event::Settlement(_)
            | Event::SlotSettled(_)
            | Event::Notice(_)
            | Event::BlockSignatureChecked(_)
            | Event::RelayJudged(_)
            | Event::BlockRecordSaved(_)
            | Event::MissedRequest(_)
            | Event::ReputationSaved(_) => {}
            Event::RelayModeChanged(placed) => tally.moves.push(placed.clone()),
        }
    }
    found
}

fn line(
    slot: u64,
    answer: &str,
    value: &str,
    record: Option<&AuctionRecord>,
    took: Duration,
    why: &str,
) -> String {
    let Some(record) = record else { return format!("{slot:>6}  {answer:<7} {why}") };
    let header_us = record.answered_in_us;
    let reveal_us = u64::try_from(took.as_micros()).unwrap_or(0).saturating_sub(header_us);
    let from =
        record.winner.as_ref().and_then(|winner| winner.relays.first()).map_or("", |relay| relay.as_str());
    let each: Vec<String> = record
        .offers
        .iter()
        .filter(|offer| offer.outcome != Outcome::NotAsked)
        .map(|offer| format!("{} {} {}", offer.relay, offer.outcome, tenths(offer.latency_us)))
        .collect();
    format!(
        "{slot:>6}  {answer:<7} {value:>12}  {from:<10} {:>9} {:>9}  {}{}{why}",
        tenths(header_us),
        if record.winner.is_some() { tenths(reveal_us) } else { String::new() },
        each.join(", "),
        if why.is_empty() { "" } else { "  " },
    )
}

/// Microseconds as milliseconds with one digit.
fn tenths(us: u64) -> String {
    format!("{}.{}", us / 1000, us % 1000 / 100)
}

fn closing_table(tally: &Tally) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_header(["relay", "bids", "wins", "reveals", "mean ms", "faults"]);
    for (relay, seen) in &tally.by_relay {
        let faults: Vec<String> =
            seen.faults.iter().map(|(fault, count)| format!("{fault} × {count}")).collect();
        table.add_row([
            relay.to_string(),
            seen.bids.to_string(),
            seen.wins.to_string(),
            seen.deliveries.to_string(),
            tenths(seen.latency_us / tally.slots.max(1)),
            faults.join(", "),
        ]);
    }
    table
}

fn until(slots: SlotClock, slot: Slot, now: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(-slots.ms_into(slot, now)).unwrap_or(0))
}

fn name(n: u8) -> String {
    let name = NAMES.iter().cycle().nth(usize::from(n)).copied().unwrap_or("relay");
    if usize::from(n) < NAMES.len() {
        name.to_owned()
    } else {
        format!("{name}{}", usize::from(n) / NAMES.len() + 1)
    }
}

/// Mainnet's containers and domain at Fulu, on a chain that starts now.
fn demo_spec(seconds_per_slot: u64) -> ChainSpec {
    let mut spec = Network::Mainnet.spec();
    spec.name = "demo".to_owned();
    spec.genesis_time = u64::try_from(WallClock.now() / 1000).unwrap_or(0);
    spec.slot_ms = seconds_per_slot * 1000;
    for fork in &mut spec.forks {
        fork.epoch = if fork.fork <= Fork::Fulu { Epoch::new(0) } else { Epoch::NEVER };
    }
    spec
}

/// A relay's habits and their description. Faults take turns; a faulty relay bids more than the honest ones, so that trusting it
/// would cost something.
fn behaviour(n: u8, fault: Option<u8>, arguments: &DemoArguments) -> (Behaviour, &'static str) {
    let milli_eth = |milli: u64| Wei::new(U256::from(milli) * U256::from(1_000_000_000_000_000_u64));
    // The block that is withheld is the first relay's too: worth enough to win soon, so that the theft is seen.
    let first = if arguments.faulty > 0 { 55 } else { 40 };
    let honest = Behaviour::default()
        .builder(n)
        .value(milli_eth(if n == 0 { first } else { 40 + u64::from(n % 3) }))
        .value_spread(milli_eth(25))
        .delay(Duration::from_millis(10 + 15 * u64::from(n % 5)))
        .jitter(Duration::from_millis(40));
    let greedy = honest.clone().value(milli_eth(90));
    match fault {
        None => (honest, "honest"),
        Some(turn) => match turn % 4 {
            // The block is another relay's too: that one reveals it, and the withholding costs the withholder.
            0 => (
                honest.builder(0).value(milli_eth(first)).payload(PayloadFault::Withholds),
                "withholds the payload of blocks it bids",
            ),
            1 => (greedy.header(HeaderFault::WrongSignature), "signs its bids with another key"),
            2 => (
                greedy.delay(Duration::from_millis(arguments.seconds_per_slot * 1000)),
                "late: answers after the deadline",
            ),
            _ => (greedy.header(HeaderFault::Garbage), "answers with garbage"),
        },
    }
}

fn demo_config(
    spec: &ChainSpec,
    relays: &[(String, SimRelay, &'static str)],
    data_dir: PathBuf,
) -> Result<Config, Box<dyn std::error::Error>> {
    let mut settings = Vec::new();
    for (name, relay, _) in relays {
        let (url, pubkey) = parse_relay_url(&relay.url())?;
        settings.push(RelaySettings::new(RelayId::parse(name)?, url, pubkey));
    }
    let any_port = |mut address: std::net::SocketAddr| {
        address.set_port(0);
        address
    };
    let (builder_api, ops) = (BuilderApiSettings::default(), OpsSettings::default());
    let slot_ms = spec.slot_ms;
    Ok(Config {
        spec: spec.clone(),
        data_dir,
        builder_api: BuilderApiSettings { listen: free_or(builder_api.listen, any_port), ..builder_api },
        ops: OpsSettings { listen: free_or(ops.listen, any_port), ..ops },
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
        monitor: HealthMonitorSettings::default(),
        tls_roots: TlsRoots::Bundled,
        proxy: None,
        beacon: None,
        execution: None,
        bundles: None,
        profit: ProfitSettings { registrations_every: Duration::ZERO, ..ProfitSettings::default() },
        seed_from_public_record: false,
        included: Vec::new(),
        warnings: Vec::new(),
    })
}

/// The usual port if nobody has it, so that the dashboard is where people look; else any.
fn free_or(
    address: std::net::SocketAddr,
    otherwise: impl Fn(std::net::SocketAddr) -> std::net::SocketAddr,
) -> std::net::SocketAddr {
    match std::net::TcpListener::bind(address) {
        Ok(_) => address,
        Err(_) => otherwise(address),
    }
}

fn scratch_folder() -> PathBuf {
    std::env::temp_dir().join(format!("relaymux-demo-{:08x}", rand::random::<u32>()))
}
