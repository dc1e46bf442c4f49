//! Does one thing to one node: written down first, bounded in time, and told when it is over.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::{
    scribe::{Note, Scribe},
    shared::{Seen, Shared},
};
use crate::{
    events::{ActedBy, Event, NodeActed, NodeAction},
    ledger::{NodeFact, NodeFactKind},
    supervisor::{
        NodeSettings, RuntimeError,
        fleet::{Act, Input},
    },
    types::NodeId,
};

/// Longest wait for the ledger before something is done. A disk that hangs keeps no node down.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// Between the word that a node is about to be stopped and the stop: whoever asks it has turned to another by then, and has his last answers.
const MOVED_WITHIN: Duration = Duration::from_secs(1);
/// What a runtime may take beyond a node's own grace.
const SLACK: Duration = Duration::from_secs(60);
/// What a start may take: systemd gives a unit two minutes to say that it is there.
const STARTED_WITHIN: Duration = Duration::from_secs(150);
/// What a creation may take: an image is pulled first.
const CREATED_WITHIN: Duration = Duration::from_secs(1800);

/// Does it, and sends what it came to.
pub(super) async fn act(
    shared: Arc<Shared>,
    settings: NodeSettings,
    act: Act,
    scribe: Scribe,
    tell: mpsc::Sender<Seen>,
) {
    let (node, action) = (act.node.clone(), act.action);
    let at = shared.parts.clock.now();
    let (written, heard) = oneshot::channel();
    scribe.note(Note::Begin { node: node.clone(), action, at, written });
    if timeout(WRITTEN_WITHIN, heard).await.is_err() {
        warn!(%node, action = action.label(), "done without being written down first: the ledger is too slow");
    }
    let began = Instant::now();
    let limit = within(&settings, action);
    let result = match timeout(limit, call(&shared, &settings, &act)).await {
        Ok(result) => result,
        Err(_) => Err(RuntimeError::TimedOut(format!(
            "The {action} of {node} did not end within {} s; whether it was done is not known.",
            limit.as_secs()
        ))),
    };
    let error = result.as_ref().err().map(ToString::to_string);
    match &error {
        None => info!(%node, action = action.label(), by = act.by.label(), "done: {}", act.why),
        Some(error) => {
            warn!(%node, action = action.label(), by = act.by.label(), error, "not done: {}", act.why)
        }
    }
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let Act { by, why: message, .. } = act;
    record(&shared, &scribe, NodeActed { node: node.clone(), action, by, message, error, at, took_ms });
    // The supervisor that is gone needs no answer.
    let _ = tell.send(Seen::now(Input::Acted { node, action, result })).await;
}

/// Tells of something that was done, and writes it down.
pub(super) fn record(shared: &Shared, scribe: &Scribe, acted: NodeActed) {
    scribe.note(Note::Fact(NodeFact {
        node: acted.node.to_string(),
        at: acted.at,
        kind: NodeFactKind::Action.into(),
        name: acted.action.label().to_owned(),
        actor: acted.by.label().to_owned(),
        why: acted.message.clone(),
        error: acted.error.clone().unwrap_or_default(),
        took_ms: acted.took_ms,
    }));
    shared.parts.spine.publish(Event::NodeActed(acted));
}

/// A person is called: that is all that is done.
pub(super) fn called(shared: &Shared, scribe: &Scribe, node: NodeId, message: String) {
    warn!(%node, "a person is needed: {message}");
    let at = shared.parts.clock.now();
    let (action, by) = (NodeAction::CallHuman, ActedBy::Supervisor);
    record(shared, scribe, NodeActed { node, action, by, message, error: None, at, took_ms: 0 });
}

fn within(settings: &NodeSettings, action: NodeAction) -> Duration {
    match action {
        NodeAction::Create => CREATED_WITHIN,
        NodeAction::Stop => settings.stop_grace.saturating_add(SLACK),
        // Of those that the supervisor starts by itself one may have to wait for another.
        NodeAction::Start => STARTED_WITHIN.saturating_mul(2),
        NodeAction::Restart => {
            settings.stop_grace.saturating_add(SLACK).saturating_add(STARTED_WITHIN.saturating_mul(2))
        }
        NodeAction::Resize | NodeAction::Resume | NodeAction::Remove | NodeAction::CallHuman => SLACK,
    }
}

async fn call(shared: &Shared, settings: &NodeSettings, act: &Act) -> Result<(), RuntimeError> {
    let runtime = shared.parts.runtimes.of(settings);
    // One that the supervisor takes down by itself serves nobody any more.
    if act.by != ActedBy::Supervisor && matches!(act.action, NodeAction::Stop | NodeAction::Restart) {
        sleep(MOVED_WITHIN).await;
    }
    match act.action {
        NodeAction::Create => runtime.create(settings).await,
        NodeAction::Start => start(shared, settings, act).await,
        NodeAction::Stop => runtime.stop(settings, settings.stop_grace).await,
        NodeAction::Restart => {
            runtime.stop(settings, settings.stop_grace).await?;
            start(shared, settings, act).await
        }
        NodeAction::Resize => match &act.limits {
            Some(limits) => runtime.resize(settings, limits).await,
            None => Err(RuntimeError::Refused("no limits were given".to_owned())),
        },
        NodeAction::Remove => runtime.remove(settings).await,
        NodeAction::Resume | NodeAction::CallHuman => Ok(()),
    }
}

/// Starts it. What the supervisor starts by itself is started one after the other: a start may come while another node is stopped, and that stop may
/// end meanwhile.
async fn start(shared: &Shared, settings: &NodeSettings, act: &Act) -> Result<(), RuntimeError> {
    let _turn = match act.by {
        ActedBy::Supervisor | ActedBy::Disk => Some(shared.one_start.lock().await),
        ActedBy::Operator | ActedBy::Schedule => None,
    };
    let started = timeout(STARTED_WITHIN, shared.parts.runtimes.of(settings).start(settings)).await;
    started.unwrap_or_else(|_| {
        Err(RuntimeError::TimedOut(format!(
            "The start of {} did not end within {} s; whether it was done is not known.",
            act.node,
            STARTED_WITHIN.as_secs()
        )))
    })
}
