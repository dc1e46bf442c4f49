//! What something that was done to a node came to.

use super::{
    ending::Ending,
    input::Effect,
    node::{Node, Probes, STARTED_BY_US},
    observe::Around,
    orders::{fail_job, next_step},
};
use crate::{
    events::NodeAction,
    supervisor::{ProcessStatus, RuntimeError},
};

/// Takes the end of an action.
pub(super) fn acted(
    node: &mut Node,
    action: NodeAction,
    result: Result<(), RuntimeError>,
    around: &Around,
    effects: &mut Vec<Effect>,
) {
    let Some(doing) = node.doing.take_if(|doing| doing.action == action) else { return };
    match result {
        Ok(()) => {
            done(node, action, around);
            if let Some(limits) = doing.limits {
                node.about.limits = limits;
            }
            next_step(node, effects);
        }
        Err(error) => {
            let words = error.to_string();
            failed(node, action, &error);
            fail_job(node, &words, effects);
        }
    }
}

/// As the next look will show it.
fn done(node: &mut Node, action: NodeAction, around: &Around) {
    let process = &mut node.process;
    match action {
        NodeAction::Start | NodeAction::Restart => {
            process.status = Some(ProcessStatus::Running { since: None });
            process.ending = None;
            process.note = Some(STARTED_BY_US);
            process.was_away = false;
            (process.told_stop, process.told_end, process.end) = (None, None, None);
            node.probes = Probes::new(around.at);
            node.restarts.steady_since = None;
        }
        NodeAction::Stop => {
            process.status = Some(ProcessStatus::Exited { code: None, oom_killed: false, at: None });
            process.ending = Some(Ending::Ordered("It was stopped by hand, and stays so.".to_owned()));
            process.usage = None;
            process.end = None;
        }
        NodeAction::Create => {
            process.status = Some(ProcessStatus::Created);
            process.ours = true;
        }
        NodeAction::Remove => {
            process.status = Some(ProcessStatus::Absent);
            process.ending = None;
            process.run = None;
        }
        NodeAction::Resize | NodeAction::Resume | NodeAction::CallHuman => {}
    }
}

fn failed(node: &mut Node, action: NodeAction, error: &RuntimeError) {
    let process = &mut node.process;
    if let RuntimeError::Away(words) = error {
        process.away = Some(words.clone());
        process.was_away = true;
        return;
    }
    // Where it took too long, the next look shows what came of it.
    if matches!(action, NodeAction::Start | NodeAction::Restart)
        && matches!(error, RuntimeError::Refused(_))
        && !process.is_running()
    {
        process.ending = Some(Ending::Crash(format!("It could not be started: {error}")));
    }
}
