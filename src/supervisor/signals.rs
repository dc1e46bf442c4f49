//! Raises what is wrong with nodes, tasks or disks, and resolves what is over: in a task of its own, as the ledger's disk must hold up no judgement.

use std::collections::BTreeMap;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::fleet::Trouble;
use crate::{events::AlertRule, ledger::SignalBook};

/// Most open signals that are looked at.
const MAX_OPEN: u32 = 25_000;

/// Tells of some rules until told to stop. What an earlier process left open is resolved unless it is so still.
pub(super) async fn run_signals(
    book: SignalBook,
    rules: &'static [&'static AlertRule],
    mut wrong: watch::Receiver<Option<Vec<Trouble>>>,
    stop: CancellationToken,
) {
    let mut open: Option<BTreeMap<(&'static str, String), &'static AlertRule>> = None;
    wrong.mark_changed();
    loop {
        tokio::select! {
            changed = wrong.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
        let now = wrong.borrow_and_update().clone();
        let Some(now) = now else { continue };
        let open = match &mut open {
            Some(open) => open,
            None => open.insert(left_open(&book, rules).await),
        };
        tell(&book, open, &now).await;
    }
}

async fn left_open(
    book: &SignalBook,
    rules: &[&'static AlertRule],
) -> BTreeMap<(&'static str, String), &'static AlertRule> {
    let rows = book.open(MAX_OPEN).await.unwrap_or_else(|error| {
        warn!(%error, "signals that an earlier process left open stay so");
        Vec::new()
    });
    let of_ours = rows.into_iter().filter_map(|row| {
        let rule = rules.iter().copied().find(|rule| rule.name == row.rule)?;
        Some(((&*rule.name, row.subject), rule))
    });
    of_ours.collect()
}

async fn tell(
    book: &SignalBook,
    open: &mut BTreeMap<(&'static str, String), &'static AlertRule>,
    now: &[Trouble],
) {
    for Trouble { rule, subject, message } in now {
        if open.insert((&rule.name, subject.clone()), rule).is_some() {
            continue;
        }
        warn!(rule = &*rule.name, subject, severity = rule.severity.label(), "{message}");
        if let Err(error) = book.raise(rule, subject, message).await {
            warn!(%error, rule = &*rule.name, "the signal is not in the ledger");
            book.publish(rule, rule.severity, subject, message);
        }
    }
    let is_wrong =
        |name: &str, subject: &str| now.iter().any(|it| it.rule.name == name && it.subject == subject);
    let over: Vec<(&'static str, String)> =
        open.keys().filter(|(name, subject)| !is_wrong(name, subject)).cloned().collect();
    for key in over {
        let Some(rule) = open.remove(&key) else { continue };
        let (_, subject) = key;
        match book.resolve(rule, &subject, "It is over.").await {
            Ok(false) => {}
            Ok(true) => info!(rule = &*rule.name, subject, "over"),
            Err(error) => {
                warn!(%error, rule = &*rule.name, "the end of the signal is not in the ledger");
                book.publish_end(rule, &subject, "It is over.");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::rules::{NODE_CRASH_LOOP, NODE_DOWN, RULES},
        *,
    };
    use crate::{
        consensus::WallClock,
        events::{Event, Spine},
        ledger::Ledger,
    };

    #[tokio::test]
    async fn what_an_earlier_process_left_is_over_unless_it_is_so_still() {
        let (ledger, spine) = (Ledger::open_in_memory("mainnet").await.unwrap(), Spine::new());
        let book = SignalBook::new(ledger, spine.clone(), WallClock::manual(1_000).0);
        book.raise(&NODE_CRASH_LOOP, "geth", "It is so still.").await.unwrap();
        book.raise(&NODE_CRASH_LOOP, "gone", "It is not configured any more.").await.unwrap();
        let mut events = spine.subscribe();
        let (say, wrong) = watch::channel(None);
        let stop = CancellationToken::new();
        let task = tokio::spawn(run_signals(book, RULES, wrong, stop.clone()));
        let trouble = |rule| Trouble { rule, subject: "geth".to_owned(), message: "It is so.".to_owned() };
        let mut next = async || match &*events.next().await.unwrap() {
            Event::AlertSignal(signal) => {
                (signal.rule.name.to_string(), signal.subject.clone(), signal.resolved)
            }
            other => panic!("{other:?}"),
        };
        say.send_replace(Some(vec![trouble(&NODE_CRASH_LOOP)]));
        assert_eq!(next().await, ("node_crash_loop".to_owned(), "gone".to_owned(), true));
        say.send_replace(Some(vec![trouble(&NODE_CRASH_LOOP), trouble(&NODE_DOWN)]));
        assert_eq!(next().await, ("node_down".to_owned(), "geth".to_owned(), false));
        say.send_replace(Some(Vec::new()));
        assert_eq!(next().await, ("node_crash_loop".to_owned(), "geth".to_owned(), true));
        assert_eq!(next().await, ("node_down".to_owned(), "geth".to_owned(), true));
        stop.cancel();
        task.await.unwrap();
    }
}
