//! Says when a node's client is too old for a fork that is near: by what the node says of itself.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{rules::CLIENT_TOO_OLD, watch_signals::WatchSignals};
use crate::{
    consensus::{ChainSpec, NamedFork},
    ethereum::{BeaconNode, ClientFloor, ClientVersion, ExecutionNode, TooOld, too_old},
    events::Severity,
    supervisor::{Layer, NodeView, SupervisorHandle},
    types::{DAY_MS, UnixMillis},
};

/// One look in so many asks the nodes: a client is changed by a restart, which takes longer than that.
const ONE_LOOK_IN: u32 = 5;
/// A fork so near is told as graver, in milliseconds.
const SOON_MS: i64 = 7 * DAY_MS;

/// The nodes, and what was said of them last.
#[derive(Debug)]
pub(super) struct ClientWatch {
    pub(super) spec: ChainSpec,
    pub(super) beacon: Option<BeaconNode>,
    pub(super) execution: Option<ExecutionNode>,
    pub(super) floors: Vec<ClientFloor>,
    /// Nodes under supervision, which say with each probe what they are.
    pub(super) supervised: Option<SupervisorHandle>,
    pub(super) looks: u32,
    pub(super) said: BTreeMap<String, (ClientVersion, TooOld, Severity)>,
}

impl ClientWatch {
    /// Asks the nodes what they are, now and then. `reported`: the beacon node's schedule of forks.
    pub(super) async fn look(
        &mut self,
        reported: Option<&[NamedFork]>,
        now: UnixMillis,
        signals: &mut WatchSignals,
    ) {
        self.looks = self.looks.wrapping_add(1);
        if self.looks % ONE_LOOK_IN != 1 {
            return;
        }
        let beacon = match &self.beacon {
            Some(node) => Some(node.client_version().await),
            None => None,
        };
        let execution = match &self.execution {
            Some(node) => Some(node.client_version().await),
            None => None,
        };
        let forks = self.spec.fork_starts(reported);
        for (node, answer) in [("beacon", beacon), ("execution", execution)] {
            match answer {
                None => signals.resolve(&CLIENT_TOO_OLD, node, "no such node is configured").await,
                // Away, or it does not serve this: what was known of it holds.
                Some(Err(_)) => {}
                Some(Ok(text)) => self.judge(node, &text, &forks, now, signals).await,
            }
        }
        for NodeView { id, layer, version, .. } in
            self.supervised.as_ref().map(SupervisorHandle::view).unwrap_or_default()
        {
            // Forks of this chain are nothing to clients of others.
            let is_ours = matches!(layer, Layer::Execution | Layer::Consensus);
            let is_said_above = matches!(id.as_str(), "beacon" | "execution");
            if let Some(text) = version.filter(|_| is_ours && !is_said_above) {
                self.judge(id.as_str(), &text, &forks, now, signals).await;
            }
        }
    }

    async fn judge(
        &mut self,
        node: &str,
        text: &str,
        forks: &BTreeMap<String, UnixMillis>,
        now: UnixMillis,
        signals: &mut WatchSignals,
    ) {
        let found = under_floor(text, forks, &self.floors, now).map(|(version, found)| {
            let severity =
                if found.at.saturating_sub(now) <= SOON_MS { Severity::P2 } else { CLIENT_TOO_OLD.severity };
            (version, found, severity)
        });
        let Some(found) = found else {
            self.said.remove(node);
            return signals
                .resolve(&CLIENT_TOO_OLD, node, "no fork that is near is known to need a newer one")
                .await;
        };
        let before = self.said.insert(node.to_owned(), found.clone());
        let is_news = before.is_some_and(|before| before != found);
        if is_news {
            // Another release, another date, or the date is near: that is said anew.
            signals.resolve(&CLIENT_TOO_OLD, node, "there is newer word of it").await;
        }
        let (version, too_old, severity) = found;
        signals.raise_as(&CLIENT_TOO_OLD, severity, node, &message(node, &version, &too_old, now)).await;
    }
}

/// The client that a node says it is, and the fork that it is too old for, if it is.
pub(super) fn under_floor(
    text: &str,
    forks: &BTreeMap<String, UnixMillis>,
    floors: &[ClientFloor],
    now: UnixMillis,
) -> Option<(ClientVersion, TooOld)> {
    let version = ClientVersion::parse(text)?;
    let found = too_old(&version, forks, floors, now)?;
    Some((version, found))
}

/// What is said of it.
pub(super) fn message(node: &str, version: &ClientVersion, found: &TooOld, now: UnixMillis) -> String {
    let TooOld { floor, at } = found;
    let when = Timestamp::from_millisecond(*at)
        .map_or_else(|_| "at the end of time".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string());
    let begins = if *at > now { "begins" } else { "began" };
    format!(
        "The {node} node is {version}, and the fork {} needs {} or newer. It {begins} on {when}.",
        floor.fork, floor.release
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_which_node_which_fork_and_when() {
        let version = ClientVersion::parse("Lighthouse/v8.2.0-9e12c21/x86_64-linux").unwrap();
        let at = 1_795_876_980_000;
        let forks = BTreeMap::from([("gloas".to_owned(), at)]);
        let found = too_old(&version, &forks, &[], at).unwrap();
        assert_eq!(
            message("beacon", &version, &found, at - 1),
            "The beacon node is lighthouse 8.2.0, and the fork gloas needs 8.3.0 or newer. It begins on 2026-11-28 14:43 UTC."
        );
        assert!(message("beacon", &version, &found, at).contains("It began on"));
    }
}
