//! `relaymux demo`: the main job on this machine alone.
//!
//! Simulated relays with different bids and latencies, the real service between them, a simulated proposer and a simulated chain on real
//! sockets, a line per slot, a table at the end. A slot counts as served when the consensus client got an answer it can propose with: a
//! revealed payload, or an honest 204 in time. The chain has each block pay what its relay pays, which the service finds out for itself.

mod screen;
mod tally;
mod world;

use std::{process::ExitCode, time::Duration};

use alloy_primitives::{Address, B256, U256};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::{
    screen::{Ending, Screen, closing_table, head, line, summary, wrapped},
    tally::Tally,
    world::{DemoRelay, demo_config, demo_spec, start_relays},
};
use super::{
    arguments::DemoArguments,
    exit::FAILED,
    terminal::{BROKEN_PIPE, complain},
};
use crate::{
    app::{LogFormat, Service, Signal, Signals, init_logging, install_metrics},
    consensus::{ChainSpec, Encoding, SlotClock, WallClock},
    events::Subscription,
    relay::{TlsRoots, build_http_client},
    sim::{Proposal, SimExecution, SimProposer},
    types::{Slot, UnixMillis, Wei},
};

/// What a consensus client waits for a header.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(1);
/// The chain's first block.
const GENESIS: B256 = B256::repeat_byte(0x11);
/// Blocks until one is final: soon enough that it is seen.
const FINAL_DEPTH: u64 = 2;
/// Where the simulated validators want to be paid, as [`SimProposer`] registers them.
const RECIPIENT: Address = Address::repeat_byte(0xee);
/// Who builds relays' blocks.
const BUILDER: Address = Address::repeat_byte(0xb1);
/// Longest wait at the end for the payments of the last slots.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn demo(arguments: DemoArguments) -> ExitCode {
    init_logging(LogFormat::Text, &arguments.log.filter);
    let screen = Screen::new();
    match play(&arguments, &screen).await {
        Ok(tally) => {
            screen.say(format_args!("\n{}", closing_table(&tally)));
            screen.say(summary(&tally));
            match (tally.lost, screen.is_read()) {
                (0, true) => ExitCode::SUCCESS,
                (0, false) => ExitCode::from(BROKEN_PIPE),
                (1.., _) => ExitCode::from(FAILED),
            }
        }
        Err(error) => {
            complain(format_args!("the demo cannot run: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

async fn play(arguments: &DemoArguments, screen: &Screen) -> Result<Tally, Box<dyn std::error::Error>> {
    // Before anything is made that has to be removed: from here on a Ctrl-C ends the demo after the slot, and nothing else does.
    let signals = Signals::take()?;
    // Removed when it goes out of scope, however this ends.
    let folder = tempfile::Builder::new().prefix("relaymux-demo-").tempdir()?;
    let spec = demo_spec(arguments.seconds_per_slot, WallClock::system().now());
    let (chain_id, slot_secs) = (spec.chain_id.unwrap_or_default(), spec.slot_ms / 1000);
    let chain = SimExecution::start(chain_id, GENESIS, spec.genesis_time, slot_secs).await?;
    chain.finalize_behind(FINAL_DEPTH);
    let relays = start_relays(arguments, &spec).await?;
    let config = demo_config(&spec, &relays, &chain, folder.path().to_owned())?;
    let service = Service::start(config, None, install_metrics()).await?;
    let base = format!("http://{}", service.builder_address());
    screen.say(format_args!("builder API  {base}"));
    screen.say(format_args!("dashboard    http://{0}    profit  http://{0}/profit", service.ops_address()));
    screen.say(format_args!("ledger       {}", folder.path().display()));
    for DemoRelay { name, relay, habit } in &relays {
        let url = relay.url();
        screen.say(format_args!(
            "  relay {name:<8} {:<22} {}",
            url.split('@').next_back().unwrap_or_default(),
            habit.description
        ));
    }
    let http = build_http_client(&TlsRoots::Bundled, None)?;
    let proposer = SimProposer::new(spec.clone(), base, http, 8, Encoding::Ssz);
    let events = service.spine().subscribe();
    let stage = Stage { arguments, spec: &spec, proposer: &proposer, chain: &chain, relays: &relays, screen };
    let tally = stage.propose(events, signals).await;
    // The one proposer is ours and has ended: no block is to come.
    let impatience = CancellationToken::new();
    impatience.cancel();
    service.stop(impatience).await;
    tally
}

/// Everything that plays.
struct Stage<'a> {
    arguments: &'a DemoArguments,
    spec: &'a ChainSpec,
    proposer: &'a SimProposer,
    chain: &'a SimExecution,
    relays: &'a [DemoRelay],
    screen: &'a Screen,
}

impl Stage<'_> {
    async fn propose(
        &self,
        mut events: Subscription,
        mut signals: Signals,
    ) -> Result<Tally, Box<dyn std::error::Error>> {
        let (slots, wall) = (self.spec.clock(), WallClock::system());
        self.proposer.register(60_000_000, u64::try_from(wall.now() / 1000).unwrap_or(0)).await?;
        self.screen.say("  8 validators registered\n");
        self.screen.say(head());
        let mut tally = Tally::default();
        let mut parent = GENESIS;
        let mut slot = slots.slot_at(wall.now()).as_u64() + 1;
        while self.screen.is_read() && self.arguments.slots.is_none_or(|wanted| tally.slots < wanted) {
            tokio::select! {
                () = sleep(until(slots, slot.into(), wall.now())) => {}
                signal = signals.next() => match signal {
                    Signal::Stop => break,
                    Signal::Reload | Signal::Rotate => continue,
                },
            }
            parent = self.play_slot(slot.into(), parent, &mut events, &mut tally).await;
            slot = (slot + 1).max(slots.slot_at(wall.now()).as_u64());
        }
        if self.screen.is_read() {
            self.wait_for_payments(&mut events, &mut tally).await;
        }
        Ok(tally)
    }

    /// Proposes in one slot and shows what came of it; the block that the next one builds on.
    async fn play_slot(
        &self,
        slot: Slot,
        parent: B256,
        events: &mut Subscription,
        tally: &mut Tally,
    ) -> B256 {
        let started = Instant::now();
        let outcome = self.proposer.propose(slot, parent, CLIENT_TIMEOUT).await;
        let took = started.elapsed();
        let timestamp = self.spec.clock().payload_timestamp(slot);
        // The reveal's answer comes before its record: give the watchers a moment, they are off the hot path.
        sleep(Duration::from_millis(30)).await;
        let record = tally.drain(events, slot);
        tally.slots += 1;
        let (ending, value, error, next) = match outcome {
            Ok(Proposal::Revealed { block_hash, bid }) => {
                let facts = bid.facts();
                let relay = self.relays.iter().find(|one| one.relay.public_key() == facts.pubkey);
                let percent = relay.map_or(100, |one| one.habit.pays_percent);
                self.chain.append(block_hash, timestamp, BUILDER, RECIPIENT, share(facts.value, percent));
                tally.paid_slots += 1;
                tally.promised = tally.promised.saturating_add(facts.value);
                (Ending::Paid, Some(facts.value), String::new(), block_hash)
            }
            Ok(Proposal::Local) => {
                tally.local += 1;
                // Some thousandths of an ETH: what a block without a builder's bundles earns.
                let fees = share(Wei::new(U256::from(10_u64.pow(16))), 40);
                (Ending::Local, None, String::new(), self.chain.append_local(timestamp, RECIPIENT, fees))
            }
            Err(error) => {
                tally.lost += 1;
                (Ending::Lost, None, error.to_string(), parent)
            }
        };
        self.screen.say(line(slot.as_u64(), ending, value, record.as_ref(), took, &error));
        for placed in std::mem::take(&mut tally.moves) {
            self.screen.say(wrapped(&format!(
                "{} is {}: {}",
                placed.relay,
                placed.state.shown(placed.reason),
                placed.message
            )));
        }
        next
    }

    /// Waits until the service has found the payments of the last slots, for a while.
    async fn wait_for_payments(&self, events: &mut Subscription, tally: &mut Tally) {
        self.chain.finalize_behind(0);
        let end = Instant::now() + SETTLE_TIMEOUT.max(Duration::from_millis(self.spec.slot_ms * 2));
        loop {
            tally.drain(events, Slot::new(u64::MAX));
            let (_, _, settled) = tally.settled();
            if u64::try_from(settled).unwrap_or(u64::MAX) >= tally.paid_slots || Instant::now() > end {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A part of an amount.
fn share(amount: Wei, percent: u64) -> Wei {
    Wei::new(amount.as_u256().saturating_mul(U256::from(percent)) / U256::from(100))
}

fn until(slots: SlotClock, slot: Slot, now: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(-slots.ms_into(slot, now)).unwrap_or(0))
}
