//! The nodes under supervision: what each is and how it would be started, and whether all of them fit this machine. Nobody is asked.

use std::path::Path;

use serde_json::{Value, json};

use super::super::{
    findings::Findings,
    terminal::{self, wrapped},
};
use crate::{
    host::HostSize,
    supervisor::{Admission, NodesSettings, RuntimeSettings, Verdict, admit, template},
};

/// A line for each node, and the verdict. That they do not fit is no mistake of the file: it may be meant for another machine.
pub(super) fn report_supervised(settings: &NodesSettings, findings: &mut Findings) {
    let admission = HostSize::read(Path::new("/")).map(|host| admit(host, settings.reserve, &settings.nodes));
    let mut words: Vec<String> = settings
        .nodes
        .iter()
        .map(|node| {
            let begin = format!("node {}: ", node.id);
            wrapped(&format!("{begin}{}", template::summary(node)), begin.len().min(20))
        })
        .collect();
    if !settings.nodes.is_empty() {
        words.push(match &admission {
            Some(admission) if admission.fits() => wrapped(&admission.words(), 0),
            Some(admission) => terminal::admission(admission),
            None => "Whether the nodes fit cannot be told: this machine does not say how much memory it has."
                .to_owned(),
        });
    }
    let runtime = |runtime: &RuntimeSettings| match runtime {
        RuntimeSettings::Docker(_) => "docker",
        RuntimeSettings::Systemd(_) => "systemd",
        RuntimeSettings::Process(_) => "process",
    };
    let document = json!({
        "nodes": settings.nodes.iter().map(|node| json!({
            "id": node.id,
            "kind": node.kind,
            "group": node.group,
            "runtime": runtime(&node.runtime),
            "summary": template::summary(node),
        })).collect::<Vec<_>>(),
        "admission": admission.as_ref().map(document),
    });
    findings.detail("supervised", words.join("\n"), document);
}

/// The verdict and what it was reached by.
fn document(admission: &Admission) -> Value {
    let profile = match &admission.verdict {
        Verdict::Fits => None,
        Verdict::DoesNotFit { profile, .. } => *profile,
    };
    let (memory, cpus) = admission.total();
    json!({
        "fits": admission.fits(),
        "words": admission.words(),
        "largest_profile": profile,
        "needed": { "memory_bytes": memory, "cpus": cpus },
        "host": { "memory_bytes": admission.host.memory, "cpus": admission.host.cpus },
        "reserve": { "memory_bytes": admission.reserve.memory, "cpus": admission.reserve.cpus },
    })
}
