//! Raises what is wrong, and resolves what is over: in a task of its own, as the ledger's disk must hold up no judgement of upstreams.

use std::collections::BTreeMap;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    UpstreamId,
    rules::{
        RPC_BUDGET_USED, RPC_CHAIN_STANDS, RPC_FAILOVER, RPC_FORK, RPC_NO_UPSTREAM, RPC_UPSTREAM_DOWN,
        RPC_WRONG_CHAIN,
    },
    troubles::Trouble,
};
use crate::{events::AlertRule, ledger::SignalBook};

/// What is wrong now; `None` before anything was judged.
pub(super) type Troubles = Option<Vec<Trouble>>;

/// What is open, by rule and subject; what an earlier process may have left open counts as open.
struct Told {
    book: SignalBook,
    open: BTreeMap<(&'static str, String), &'static AlertRule>,
}

/// Tells until told to stop. Whatever changes while the ledger is slow is told in one step.
pub(super) async fn run_signals(
    book: SignalBook,
    upstreams: Vec<UpstreamId>,
    mut wrong: watch::Receiver<Troubles>,
    stop: CancellationToken,
) {
    let mut told = Told { book, open: BTreeMap::new() };
    let about_each = [&RPC_UPSTREAM_DOWN, &RPC_WRONG_CHAIN, &RPC_FORK, &RPC_BUDGET_USED];
    let about_all = [&RPC_NO_UPSTREAM, &RPC_CHAIN_STANDS, &RPC_FAILOVER, &RPC_FORK];
    let about_all = about_all.map(|rule| (rule, "gateway"));
    let each = about_each.iter().flat_map(|rule| upstreams.iter().map(move |id| (*rule, id.as_str())));
    for (rule, subject) in each.chain(about_all) {
        told.open.insert((&rule.name, subject.to_owned()), rule);
    }
    let mut is_first = true;
    wrong.mark_changed();
    loop {
        tokio::select! {
            changed = wrong.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
        let now = wrong.borrow_and_update().clone();
        let Some(now) = now else { continue };
        told.tell(&now, is_first).await;
        is_first = false;
    }
}

impl Told {
    async fn tell(&mut self, now: &[Trouble], is_first: bool) {
        for Trouble { rule, subject, message } in now {
            let is_open = self.open.insert((&rule.name, subject.clone()), rule).is_some();
            // At first only the ledger knows what is open.
            if is_open && !is_first {
                continue;
            }
            warn!(rule = &*rule.name, subject, severity = rule.severity.label(), "{message}");
            if let Err(error) = self.book.raise(rule, subject, message).await {
                warn!(%error, rule = &*rule.name, "the signal is not in the ledger");
                self.book.publish(rule, rule.severity, subject, message);
            }
        }
        let is_wrong =
            |name: &str, subject: &str| now.iter().any(|it| it.rule.name == name && it.subject == subject);
        let over: Vec<(&'static str, String)> =
            self.open.keys().filter(|(name, subject)| !is_wrong(name, subject)).cloned().collect();
        for key in over {
            let Some(rule) = self.open.remove(&key) else { continue };
            let (_, subject) = key;
            match self.book.resolve(rule, &subject, "It is over.").await {
                Ok(false) => {}
                Ok(true) => info!(rule = &*rule.name, subject, "over"),
                Err(error) => {
                    warn!(%error, rule = &*rule.name, "the end of the signal is not in the ledger");
                    self.book.publish_end(rule, &subject, "It is over.");
                }
            }
        }
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

    #[tokio::test]
    async fn what_is_wrong_is_raised_once_and_resolved_when_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, spine) = (Ledger::open(folder.path(), "mainnet", 0).await.unwrap(), Spine::new());
        let (clock, _hand) = WallClock::manual(1_000);
        let book = SignalBook::new(ledger, spine.clone(), clock);
        // An earlier process has left this open.
        book.raise(&RPC_FORK, "a", "earlier").await.unwrap();
        let mut events = spine.subscribe();
        let (say, wrong) = watch::channel(None);
        let stop = CancellationToken::new();
        let id = UpstreamId::parse("a").unwrap();
        let task = tokio::spawn(run_signals(book, vec![id], wrong, stop.clone()));
        let trouble = |rule| Trouble { rule, subject: "a".to_owned(), message: "It is so.".to_owned() };
        let mut next = async || match &*events.next().await.unwrap() {
            Event::AlertSignal(signal) => (signal.rule.name.clone(), signal.resolved),
            other => panic!("{other:?}"),
        };
        say.send_replace(Some(vec![trouble(&RPC_UPSTREAM_DOWN)]));
        assert_eq!(next().await, ("rpc_upstream_down".into(), false));
        assert_eq!(next().await, ("rpc_fork".into(), true));
        say.send_replace(Some(vec![trouble(&RPC_UPSTREAM_DOWN), trouble(&RPC_WRONG_CHAIN)]));
        assert_eq!(next().await, ("rpc_wrong_chain".into(), false));
        say.send_replace(Some(Vec::new()));
        assert_eq!(next().await, ("rpc_upstream_down".into(), true));
        assert_eq!(next().await, ("rpc_wrong_chain".into(), true));
        stop.cancel();
        task.await.unwrap();
    }
}
