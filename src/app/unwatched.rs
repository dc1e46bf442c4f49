//! Ends what nobody watches any more: a node, a relay or a target was taken out of the configuration, and what was said of it last would
//! stay open for ever. At the start, and for relays with each reload.

use std::collections::BTreeSet;

use tracing::{info, warn};

use super::rules::{NODE_CONTRADICTS_RELAYS, NODE_OF_OTHER_NETWORK};
use crate::{
    config::Config,
    events::AlertRule,
    ledger::{SignalBook, SignalRow},
    profit::rules::{RATE_UNDER_TARGET, REGISTRATION_DRIFT},
    relay::rules::{RELAY_QUARANTINED, RELAY_UNREACHABLE},
};

/// Most open signals that are looked at.
const MAX_OPEN: u32 = 25_000;

/// Who is watched by the running configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Watched {
    beacon: bool,
    execution: bool,
    /// Whether the rate has a target, and is known.
    target: bool,
    /// Whether relays are asked what they have registered.
    registrations: bool,
    /// Those that are asked anything.
    relays: BTreeSet<String>,
}

impl Watched {
    /// By a configuration as it is at the start.
    pub(super) fn new(config: &Config) -> Self {
        let profit = &config.profit;
        let mut watched = Self {
            beacon: config.beacon.is_some(),
            execution: config.execution.is_some(),
            target: config.execution.is_some() && !profit.target_per_day.is_zero(),
            registrations: profit.data_api && !profit.registrations_every.is_zero(),
            relays: BTreeSet::new(),
        };
        watched.adopt_relays(config);
        watched
    }

    /// By the relays of a new configuration; the rest stays as it is until a restart.
    pub(super) fn adopt_relays(&mut self, config: &Config) {
        let enabled = config.relays.iter().filter(|relay| relay.enabled);
        self.relays = enabled.map(|relay| relay.id.to_string()).collect();
    }

    /// The rule of an open signal that nobody watches, and why nobody does.
    fn left_behind(&self, signal: &SignalRow) -> Option<(&'static AlertRule, &'static str)> {
        const NO_NODE: &str = "the node is not configured any more";
        const NO_RELAY: &str = "the relay is not configured any more, or is disabled";
        let subject = signal.subject.as_str();
        let has_node = |name| match name {
            "beacon" => self.beacon,
            "execution" => self.execution,
            _ => false,
        };
        let is = |rule: &AlertRule| signal.rule == rule.name;
        if is(&NODE_OF_OTHER_NETWORK) {
            return (!has_node(subject)).then_some((&NODE_OF_OTHER_NETWORK, NO_NODE));
        }
        if is(&NODE_CONTRADICTS_RELAYS) {
            return (!has_node(subject)).then_some((&NODE_CONTRADICTS_RELAYS, NO_NODE));
        }
        if is(&RATE_UNDER_TARGET) {
            const NO_TARGET: &str =
                "there is no target any more, or no execution node that shows what is paid";
            return (!self.target).then_some((&RATE_UNDER_TARGET, NO_TARGET));
        }
        for rule in [&RELAY_QUARANTINED, &RELAY_UNREACHABLE] {
            if is(rule) {
                return (!self.relays.contains(subject)).then_some((rule, NO_RELAY));
            }
        }
        if is(&REGISTRATION_DRIFT) {
            if !self.registrations {
                return Some((
                    &REGISTRATION_DRIFT,
                    "relays are not asked any more what they have registered",
                ));
            }
            let relay = drifting_relay(subject)?;
            return (!self.relays.contains(relay)).then_some((&REGISTRATION_DRIFT, NO_RELAY));
        }
        None
    }
}

/// The relay of `0xab… at relay`.
fn drifting_relay(subject: &str) -> Option<&str> {
    subject.rsplit_once(" at ").map(|(_, relay)| relay)
}

/// Ends all that is open and unwatched. What cannot be ended now is ended with the next start.
pub(super) async fn end_unwatched(book: &SignalBook, watched: &Watched) {
    let open = match book.open(MAX_OPEN).await {
        Ok(open) => open,
        Err(error) => {
            warn!(%error, "signals that nobody watches any more stay open until the next start");
            return;
        }
    };
    for signal in &open {
        let Some((rule, why)) = watched.left_behind(signal) else { continue };
        let subject = &signal.subject;
        let message = format!("Nobody watches this any more: {why}.");
        if rule.name == REGISTRATION_DRIFT.name {
            forget_drift(book, subject).await;
        }
        match book.resolve(rule, subject, &message).await {
            Ok(_) => info!(rule = &*rule.name, subject, "over: {message}"),
            Err(error) => {
                warn!(%error, rule = &*rule.name, subject, "a signal that nobody watches stays open")
            }
        }
    }
}

/// Should the relay come back with the same registration, that is told anew.
async fn forget_drift(book: &SignalBook, subject: &str) {
    if let Some((pubkey, relay)) = subject.rsplit_once(" at ")
        && let Err(error) = book.forget_drift(relay, pubkey).await
    {
        warn!(%error, relay, "what a relay had registered is not forgotten");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        consensus::WallClock,
        events::{Event, Spine},
        ledger::Ledger,
    };

    const KEY: &str = "0xac6e";

    fn everything() -> Watched {
        let relays = ["titan".to_owned()].into();
        Watched { beacon: true, execution: true, target: true, registrations: true, relays }
    }

    async fn left(watched: &Watched) -> (Vec<String>, Vec<String>) {
        let (ledger, spine) = (Ledger::open_in_memory("mainnet").await.unwrap(), Spine::new());
        let book = SignalBook::new(ledger.clone(), spine.clone(), WallClock::manual(5).0);
        let drift = format!("{KEY} at titan");
        for (rule, subject) in [
            (&NODE_OF_OTHER_NETWORK, "beacon"),
            (&NODE_OF_OTHER_NETWORK, "execution"),
            (&NODE_CONTRADICTS_RELAYS, "beacon"),
            (&RATE_UNDER_TARGET, "profit"),
            (&RELAY_UNREACHABLE, "titan"),
            (&REGISTRATION_DRIFT, drift.as_str()),
            // Its watcher is always there.
            (&super::super::rules::CLOCK_WRONG, "this machine"),
        ] {
            assert!(book.raise(rule, subject, "It is so.").await.unwrap());
        }
        let mut events = spine.subscribe();
        end_unwatched(&book, watched).await;
        let mut open: Vec<String> = book
            .open(10)
            .await
            .unwrap()
            .into_iter()
            .map(|row| format!("{} {}", row.rule, row.subject))
            .collect();
        open.sort();
        let mut said = Vec::new();
        while let Some(event) = events.try_next() {
            if let Event::AlertSignal(signal) = &*event {
                said.push(signal.message.clone());
            }
        }
        (open, said)
    }

    #[tokio::test]
    async fn what_nobody_watches_ends_with_a_reason_and_the_rest_lasts() {
        assert_eq!(left(&everything()).await.0.len(), 7);
        for (name, watched, ended) in [
            ("no beacon node", Watched { beacon: false, ..everything() }, 2),
            ("no execution node", Watched { execution: false, target: false, ..everything() }, 2),
            ("no target", Watched { target: false, ..everything() }, 1),
            ("no relay", Watched { relays: BTreeSet::new(), ..everything() }, 2),
            ("no registrations", Watched { registrations: false, ..everything() }, 1),
        ] {
            let (open, said) = left(&watched).await;
            assert_eq!((open.len(), said.len()), (7 - ended, ended), "{name}");
            let prefix = "Nobody watches this any more: ";
            assert!(said.iter().all(|said| said.starts_with(prefix)), "{name}: {said:?}");
        }
        assert_eq!(left(&Watched::default()).await.0, ["clock_wrong this machine"]);
    }

    #[tokio::test]
    async fn a_drift_of_a_relay_that_comes_back_is_news() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let book = SignalBook::new(ledger.clone(), Spine::new(), WallClock::manual(5).0);
        let pubkey = Default::default();
        assert!(ledger.save_drift("titan", &pubkey, "pays another", 5).await.unwrap());
        let subject = format!("{pubkey} at titan");
        book.raise(&REGISTRATION_DRIFT, &subject, "It pays another.").await.unwrap();
        end_unwatched(&book, &Watched { registrations: true, ..Watched::default() }).await;
        assert!(ledger.save_drift("titan", &pubkey, "pays another", 6).await.unwrap());
    }
}
