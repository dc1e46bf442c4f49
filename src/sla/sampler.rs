//! Watches: every few seconds it takes what was counted and looks at relays and the machine, and writes each minute down when it is over.
//! Nothing here is on the way of a header.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use reqwest::Client;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Indicator, SlaNodes,
    host_minute::{HostMinute, disk_used},
    keeper::Keeper,
    minutes::{MINUTE_MS, Minutes},
    probes::{ProbeParts, run_probes},
    relay_watch::{RelayWatch, look},
};
use crate::{
    consensus::{SlotClock, WallClock},
    events::{AnswerMeter, Event, Spine, Subscription},
    host::HostSampler,
    ledger::Ledger,
    relay::SharedRelays,
    tasks::TaskGroup,
    types::NodeId,
};

/// How often it looks.
const EVERY_MS: i64 = 5_000;

/// What this room works with.
#[derive(Clone, Debug)]
pub struct SlaParts {
    /// The wall clock.
    pub clock: WallClock,
    /// The chain's time.
    pub slots: SlotClock,
    /// Where minutes are written down.
    pub ledger: Ledger,
    /// Says how relays answered headers.
    pub spine: Spine,
    /// The relays and what probes found of them.
    pub relays: Arc<SharedRelays>,
    /// The nodes that are asked for their heads.
    pub nodes: SlaNodes,
    /// Answers of the builder API to its clients, counted where they are given.
    pub builder: AnswerMeter,
    /// Where the builder API listens: asked for its root, so that minutes in which no client asked are known, too.
    pub builder_address: Option<SocketAddr>,
    /// Parts of other rooms, and where their answers are counted.
    pub meters: Vec<(Indicator, AnswerMeter)>,
    /// For calls of our own builder API.
    pub http: Client,
    /// Cancelled once the service is stopping: our own builder API is not asked any more.
    pub stopping: CancellationToken,
    /// The folder whose filesystem is watched.
    pub data_dir: PathBuf,
}

/// Starts watching.
pub fn start(parts: SlaParts, group: &TaskGroup) {
    let (execution, beacon, own) = <(AnswerMeter, AnswerMeter, AnswerMeter)>::default();
    let probes = ProbeParts {
        nodes: parts.nodes.clone(),
        execution_meter: execution.clone(),
        beacon_meter: beacon.clone(),
        http: parts.http.clone(),
        builder: parts.builder_address,
        builder_meter: own.clone(),
        stopping: parts.stopping.clone(),
        slots: parts.slots,
        clock: parts.clock.clone(),
        ledger: parts.ledger.clone(),
    };
    group.restarting("sla_probes", move |stop| run_probes(probes.clone(), stop));
    group.restarting("sla", move |stop| {
        let mut meters = parts.meters.clone();
        meters.push((Indicator::BuilderApi, parts.builder.clone()));
        let nodes = [
            ("execution", parts.nodes.execution.is_some(), &execution),
            ("beacon", parts.nodes.beacon.is_some(), &beacon),
        ];
        let configured = nodes.into_iter().filter(|(_, is_there, _)| *is_there);
        meters.extend(configured.filter_map(|(name, _, meter)| {
            NodeId::parse(name).map(|name| (Indicator::Node(name), meter.clone()))
        }));
        let watch = Watch {
            minutes: Minutes::new(parts.clock.now(), Duration::ZERO),
            began: Instant::now(),
            heard: parts.spine.subscribe(),
            relay_watch: RelayWatch::default(),
            host: HostSampler::new(),
            host_minute: HostMinute::default(),
            keeper: Keeper::new(parts.ledger.clone()),
            meters,
            own: own.clone(),
            parts: parts.clone(),
        };
        watch.run(stop)
    });
}

/// What a look needs.
struct Watch {
    parts: SlaParts,
    meters: Vec<(Indicator, AnswerMeter)>,
    /// What our own calls of the builder API found.
    own: AnswerMeter,
    heard: Subscription,
    relay_watch: RelayWatch,
    host: HostSampler,
    host_minute: HostMinute,
    minutes: Minutes,
    keeper: Keeper,
    began: Instant,
}

impl Watch {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = sleep(until_next(self.parts.clock.now())) => self.tick().await,
                () = stop.cancelled() => {
                    self.tick().await;
                    // What was watched of the minute so far; the next process watches the rest, and the larger part of the two counts.
                    let (closed, now) = (self.minutes.stop(), self.parts.clock.now());
                    let host = self.host_minute.row(closed.minute);
                    self.keeper.keep(&closed, host, (now, Duration::ZERO)).await;
                    return;
                }
            }
        }
    }

    async fn tick(&mut self) {
        self.look();
        let now = self.parts.clock.now();
        if let Some(closed) = self.minutes.pass(now, self.began.elapsed()) {
            let host = std::mem::take(&mut self.host_minute).row(closed.minute);
            self.keeper.keep(&closed, host, (now, self.minutes.steady_for())).await;
        }
    }

    /// Takes what was counted and heard since the last look into the minute that goes on.
    fn look(&mut self) {
        for (indicator, meter) in &self.meters {
            // A part that nobody asks has a minute all the same, and of it nothing is known.
            self.minutes.bucket(indicator.clone()).add(&meter.take());
        }
        let own = self.own.take();
        // Our own looks are good or bad, and never late.
        self.minutes.bucket(Indicator::BuilderApi).look(own.good, own.bad);
        while let Some(event) = self.heard.try_next() {
            if let Event::Auction(auction) = &*event {
                for (indicator, grade) in
                    auction.answers.iter().filter_map(|answer| self.relay_watch.heard(answer))
                {
                    self.minutes.bucket(indicator).note(grade);
                }
            }
        }
        for (indicator, grade) in self.relay_watch.judge(&look(&self.parts.relays), self.parts.clock.now()) {
            self.minutes.bucket(indicator).note(grade);
        }
        let sample = self.host.sample(Instant::now());
        self.host_minute.add(&sample, disk_used(&self.parts.data_dir));
    }
}

/// The next look is at the minute's end, or in five seconds where that is sooner.
fn until_next(now: i64) -> Duration {
    let left = MINUTE_MS.saturating_sub(now.rem_euclid(MINUTE_MS));
    Duration::from_millis(left.clamp(1, EVERY_MS).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::AnswerGrade;

    #[test]
    fn looks_are_every_five_seconds_and_at_the_minutes_end() {
        for (now, wait) in [(0, 5000), (57_000, 3000), (59_999, 1), (60_000, 5000), (-1, 1)] {
            assert_eq!(until_next(now), Duration::from_millis(wait), "{now}");
        }
    }

    /// By a clock that is moved by hand: what was counted in a minute is in the ledger once it is over, and what was counted since, once the
    /// service has stopped.
    #[tokio::test]
    async fn what_was_counted_is_written_down_at_the_minutes_end_and_at_the_stop() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (clock, hand) = WallClock::manual(59_950);
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let parts = SlaParts {
            clock,
            slots: SlotClock::new(0, 12_000),
            ledger: ledger.clone(),
            spine: Spine::new(),
            relays: Arc::new(SharedRelays::new(Vec::new())),
            nodes: SlaNodes::default(),
            builder: AnswerMeter::default(),
            builder_address: None,
            meters: vec![(Indicator::Node(NodeId::parse("geth-2").unwrap()), AnswerMeter::default())],
            http: Client::new(),
            stopping: CancellationToken::new(),
            data_dir: std::env::temp_dir(),
        };
        let (tasks, _fatal) = crate::tasks::Tasks::new(|news| panic!("{news:?}"));
        let group = tasks.group();
        start(parts.clone(), &group);
        parts.builder.note(AnswerGrade::Bad, Duration::from_millis(7));
        // Each look comes 50 ms before a minute's end, and finds itself minutes later.
        let first = loop {
            let rows = ledger.sla_minutes(0, i64::MAX).await.unwrap();
            if rows.iter().any(|row| row.indicator == "builder_api") {
                break rows;
            }
            hand.advance(60_000);
        };
        let of = |name: &str| first.iter().find(|row| row.indicator == name);
        let builder = of("builder_api").unwrap();
        assert_eq!((builder.state.as_str(), builder.bad), ("bad", 1));
        assert_eq!(of("relays").unwrap().state.as_str(), "bad", "there is none");
        assert!(of("node:geth-2").is_none(), "nobody asked it");
        parts.meters[0].1.note(AnswerGrade::Bad, Duration::from_secs(1));
        group.stop();
        group.ended().await;
        let last = ledger.sla_minutes(0, i64::MAX).await.unwrap();
        assert!(last.iter().any(|row| row.indicator == "node:geth-2" && row.bad == 1), "{last:?}");
        let host = ledger.newest_host(i64::MAX).await.unwrap().unwrap();
        assert!(host.disk_max.is_some());
    }
}
