//! `relaymux nodes plan`: what `up` or `down` would do. Nothing is changed.

use std::{path::Path, process::ExitCode};

use serde_json::json;

use super::{direct, direct::Glance, meant::Meant, seen::all};
use crate::{
    cli::{arguments::NodesPlanArguments, exit::FAILED, service::Service, terminal},
    consensus::WallClock,
    host::HostSize,
    supervisor::{
        Admission, admit,
        plan::{Look, Plan, StepKind, counted, down, up},
    },
};

/// Prints it.
pub(super) async fn plan(arguments: NodesPlanArguments) -> ExitCode {
    let meant = match Meant::load(&arguments.of) {
        Ok(meant) => meant,
        Err(code) => return code,
    };
    let served = match Service::of(&meant.config, arguments.of.url.as_deref()) {
        Ok(service) => all(&service).await.ok().map(|(nodes, _)| nodes),
        Err(_) => None,
    };
    let glances = direct::look(&meant, &WallClock::system(), false, served.as_deref()).await;
    let (mut plan, admission) = planned(&meant, &glances, arguments.down);
    if !arguments.remove {
        plan.steps.retain(|step| step.kind != StepKind::Remove);
    }
    let unseen: Vec<&Glance<'_>> =
        glances.iter().filter(|glance| meant.is_named(&glance.node.id) && glance.seen.is_err()).collect();
    if arguments.of.json {
        let unseen: Vec<_> = unseen
            .iter()
            .map(|glance| {
                let why = glance.seen.as_ref().err().map(ToString::to_string);
                json!({ "node": glance.node.id, "why": why })
            })
            .collect();
        let admission = admission
            .as_ref()
            .map(|admission| json!({ "fits": admission.fits(), "words": admission.words() }));
        let answer = json!({ "plan": plan, "admission": admission, "not_seen": unseen });
        terminal::write(terminal::json(&answer));
    } else {
        for step in plan.to_string().lines() {
            terminal::say(terminal::wrapped(step, 3));
        }
        for glance in &unseen {
            if let Err(error) = &glance.seen {
                terminal::complain(terminal::wrapped(&format!("{}: {error}", glance.node.id), 2));
            }
        }
        match &admission {
            Some(admission) if admission.fits() => {
                terminal::say(terminal::wrapped(&admission.words(), 0));
            }
            Some(admission) => terminal::say(terminal::admission(admission)),
            None => {}
        }
        terminal::say("Nothing was changed.");
    }
    if plan.is_refused() || !unseen.is_empty() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

/// What would be done, and whether what would run then fits this machine; none where that cannot be told, or nothing is to be started.
fn planned(meant: &Meant, glances: &[Glance<'_>], is_down: bool) -> (Plan, Option<Admission>) {
    let looks: Vec<Look<'_>> =
        glances.iter().map(|glance| Look { node: glance.node, seen: glance.seen.as_ref().ok() }).collect();
    if is_down {
        return (down(&looks, &meant.named), None);
    }
    let Some(host) = HostSize::read(Path::new("/")) else {
        let unlimited = HostSize { memory: u64::MAX, cpus: f64::MAX };
        return (up(&looks, &meant.named, &admit(unlimited, meant.nodes.reserve, [])), None);
    };
    let admission = admit(host, meant.nodes.reserve, counted(&looks, &meant.named));
    (up(&looks, &meant.named, &admission), Some(admission))
}
