//! Where a node runs: a container, a unit, a process; and the keys that each of them has.

use std::{path::Path, time::Duration};

use url::{Host, Url};

use super::{
    checker::Checker,
    node_keys::{env, folder, jwt_file, node_url, user},
    raw_nodes::RawSupervisedNode,
};
use crate::{
    supervisor::{
        DockerSettings, Image, ImageError, Limits, NodeKind, ProcessSettings, RuntimeSettings,
        SystemdSettings,
        template::{self, NodePorts, Template},
    },
    types::{NodeId, labelled},
};

/// What of a node was checked before.
pub(super) struct RuntimeParts<'a> {
    pub(super) section: &'a str,
    pub(super) id: &'a NodeId,
    pub(super) kind: NodeKind,
    pub(super) rpc_url: Option<&'a Url>,
    pub(super) limits: &'a Limits,
    pub(super) stop_grace: Duration,
    pub(super) chain: Option<String>,
    pub(super) folder: &'a Path,
}

impl RuntimeParts<'_> {
    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.section)
    }
}

labelled! {
    /// `runtime`
    enum Runs {
        Docker = "docker",
        Systemd = "systemd",
        Process = "process",
    }
}

/// Checks it. None: that cannot be told, and it was said.
pub(super) fn runtime(
    raw: &RawSupervisedNode,
    parts: &RuntimeParts<'_>,
    checker: &mut Checker,
) -> Option<RuntimeSettings> {
    let runs = match raw.runtime.as_deref() {
        Some(text) => {
            let found = Runs::parse(text);
            if found.is_none() {
                let hint =
                    "docker: a container; systemd: a unit that is there; process: a child of this service";
                checker.wrong(&parts.at("runtime"), "is not one of docker, systemd, process", hint);
            }
            found?
        }
        None if raw.unit.is_some() => Runs::Systemd,
        None if raw.command.is_some() && raw.image.is_none() && raw.container.is_none() => Runs::Process,
        None => Runs::Docker,
    };
    foreign_keys(raw, parts, runs, checker);
    match runs {
        Runs::Docker => docker(raw, parts, checker).map(RuntimeSettings::Docker),
        Runs::Systemd => systemd(raw, parts, checker).map(RuntimeSettings::Systemd),
        Runs::Process => process(raw, parts, checker).map(RuntimeSettings::Process),
    }
}

/// Keys of another runtime: they would have no effect, and somebody counts on one.
fn foreign_keys(raw: &RawSupervisedNode, parts: &RuntimeParts<'_>, runs: Runs, checker: &mut Checker) {
    let of_containers = [("image", raw.image.is_some()), ("container", raw.container.is_some())];
    let of_templates = of_templates(raw);
    let mut say = |key: &str, of: &str| {
        let message = format!("is of runtime = \"{of}\", and this node's is \"{runs}\"");
        checker.contradicts(&parts.at(key), &parts.at("runtime"), message, "leave it out");
    };
    if runs != Runs::Docker {
        for (key, _) in of_containers.iter().chain(&of_templates).filter(|(_, is_there)| *is_there) {
            say(key, "docker");
        }
    }
    if runs != Runs::Systemd && raw.unit.is_some() {
        say("unit", "systemd");
    }
    if runs == Runs::Systemd {
        for (key, is_there) in
            [("command", raw.command.is_some()), ("args", !raw.args.is_empty()), ("env", !raw.env.is_empty())]
        {
            if is_there {
                say(key, "docker\" or \"process");
            }
        }
    }
    if runs != Runs::Process && raw.working_directory.is_some() {
        say("working_directory", "process");
    }
}

/// Keys that say how a container is made.
fn of_templates(raw: &RawSupervisedNode) -> [(&'static str, bool); 12] {
    [
        ("data", raw.data.is_some()),
        ("user", raw.user.is_some()),
        ("jwt_file", raw.jwt_file.is_some()),
        ("engine_url", raw.engine_url.is_some()),
        ("parent_url", raw.parent_url.is_some()),
        ("beacon_url", raw.beacon_url.is_some()),
        ("checkpoint_url", raw.checkpoint_url.is_some()),
        ("sequencer_url", raw.sequencer_url.is_some()),
        ("ws_port", raw.ws_port.is_some()),
        ("engine_port", raw.engine_port.is_some()),
        ("metrics_port", raw.metrics_port.is_some()),
        ("p2p_port", raw.p2p_port.is_some()),
    ]
}

fn docker(
    raw: &RawSupervisedNode,
    parts: &RuntimeParts<'_>,
    checker: &mut Checker,
) -> Option<DockerSettings> {
    let container = raw.container.clone().unwrap_or_else(|| parts.id.to_string());
    // Docker's own rule, which is ours but for the first letter.
    if NodeId::parse(&container).is_none() || !container.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        let (key, hint) = match raw.container {
            Some(_) => ("container", "letters, digits, - _ . and a letter or digit first"),
            None => (
                "id",
                "begin it with a letter or digit, or give the container a name of its own: container = \"…\"",
            ),
        };
        checker.wrong(&parts.at(key), "is no name that Docker gives a container", hint);
        return None;
    }
    let Some(text) = raw.image.as_deref() else {
        if raw.container.is_none() {
            checker.wrong(
                &parts.at("image"),
                "is missing: there is nothing to make a container from",
                "such as image = \"ethereum/client-go:v1.16.7\"; for a container that is there, name it: container = \"…\"",
            );
            return None;
        }
        let more = [
            ("command", raw.command.is_some()),
            ("args", !raw.args.is_empty()),
            ("env", !raw.env.is_empty()),
        ];
        for (key, _) in of_templates(raw).iter().chain(&more).filter(|(_, is_there)| *is_there) {
            checker.wrong(
                &parts.at(key),
                format!("has no effect: {container} is attached to as it is"),
                "give an image, for a container that is made here, or leave it out",
            );
        }
        return Some(DockerSettings { container, launch: None });
    };
    let image = image(text, parts, checker);
    // All of them are read, so that all that is wrong is said at once.
    let mut url =
        |key: &str, text: Option<&String>| text.and_then(|text| node_url(text, &parts.at(key), checker));
    let engine_url = url("engine_url", raw.engine_url.as_ref());
    let parent_url = url("parent_url", raw.parent_url.as_ref());
    let beacon_url = url("beacon_url", raw.beacon_url.as_ref());
    let checkpoint_url = url("checkpoint_url", raw.checkpoint_url.as_ref());
    let sequencer_url = url("sequencer_url", raw.sequencer_url.as_ref());
    let env = env(parts.section, &raw.env, true, checker);
    let data = raw.data.as_ref().and_then(|text| folder(text, "data", parts.folder, parts.section, checker));
    let user = user(raw.user.as_deref(), &parts.at("user"), checker);
    let jwt_file =
        raw.jwt_file.as_ref().map(|file| jwt_file(file, &parts.at("jwt_file"), parts.folder, checker));
    let ports = ports(raw, parts, &container, checker);
    let mistakes = checker.mistakes_so_far();
    let template = Template {
        kind: parts.kind,
        image: image?,
        container: container.clone(),
        chain: parts.chain.clone(),
        data,
        jwt_file,
        user,
        engine_url,
        parent_url,
        beacon_url,
        checkpoint_url,
        sequencer_url,
        ports,
        command: raw.command.clone(),
        args: raw.args.clone(),
        env,
        limits: parts.limits.clone(),
        stop_grace: parts.stop_grace,
    };
    match template::launch(&template) {
        Ok(launch) => Some(DockerSettings { container, launch: Some(launch) }),
        Err(lacks) => {
            for lack in lacks {
                let key = parts.at(lack.key);
                // What is wrong with the key itself was said.
                if !checker.mistakes.iter().take(mistakes).any(|mistake| mistake.key == key) {
                    checker.wrong(&key, lack.message, lack.hint);
                }
            }
            None
        }
    }
}

fn image(text: &str, parts: &RuntimeParts<'_>, checker: &mut Checker) -> Option<Image> {
    let image = match Image::parse(text) {
        Ok(image) => image,
        Err(error) => {
            let hint = match error {
                ImageError::Malformed => "such as \"ethereum/client-go:v1.16.7\"",
                ImageError::Unpinned | ImageError::Moving => {
                    "name the release, such as :v1.16.7, or the digest, @sha256:…: what runs is to change when you change it"
                }
            };
            checker.wrong(&parts.at("image"), error.to_string(), hint);
            return None;
        }
    };
    if image.is_of("op-geth") {
        checker.warn(format!(
            "[[nodes]] {}: op-geth has ended on 2026-05-31 and does not follow Ethereum's next fork: run kind = \"op-reth\", from a new folder or \
             a snapshot, as op-geth's data cannot be taken over",
            parts.id
        ));
    }
    Some(image)
}

/// Under which ports of this machine it is reached: that of rpc_url, where it is this machine's own.
fn ports(
    raw: &RawSupervisedNode,
    parts: &RuntimeParts<'_>,
    container: &str,
    checker: &mut Checker,
) -> NodePorts {
    for (key, port) in [
        ("ws_port", raw.ws_port),
        ("engine_port", raw.engine_port),
        ("metrics_port", raw.metrics_port),
        ("p2p_port", raw.p2p_port),
    ] {
        if port == Some(0) {
            checker.wrong(&parts.at(key), "0 is no port", "leave it out, or give a number");
        }
    }
    let is_loopback = |url: &Url| match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    };
    if let Some(url) = parts.rpc_url
        && !is_loopback(url)
        && url.host_str() != Some(container)
    {
        checker.warn(format!(
            "{} is neither on 127.0.0.1 nor the container's own name: its port is not published, and nobody may answer there",
            parts.at("rpc_url")
        ));
    }
    NodePorts {
        rpc: parts.rpc_url.filter(|url| is_loopback(url)).and_then(Url::port_or_known_default),
        ws: raw.ws_port,
        engine: raw.engine_port,
        metrics: raw.metrics_port,
        p2p: raw.p2p_port,
    }
}

fn systemd(
    raw: &RawSupervisedNode,
    parts: &RuntimeParts<'_>,
    checker: &mut Checker,
) -> Option<SystemdSettings> {
    let Some(text) = raw.unit.as_deref() else {
        checker.wrong(&parts.at("unit"), "is missing", "the unit's name, such as \"geth.service\"");
        return None;
    };
    let unit = if text.contains('.') { text.to_owned() } else { format!("{text}.service") };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
    if unit.len() > 255 || !unit.bytes().all(allowed) || !unit.ends_with(".service") || unit.starts_with('.')
    {
        checker.wrong(&parts.at("unit"), "is no name of a service's unit", "such as \"geth.service\"");
        return None;
    }
    Some(SystemdSettings { unit })
}

fn process(
    raw: &RawSupervisedNode,
    parts: &RuntimeParts<'_>,
    checker: &mut Checker,
) -> Option<ProcessSettings> {
    let working_directory = raw
        .working_directory
        .as_ref()
        .and_then(|text| folder(text, "working_directory", parts.folder, parts.section, checker));
    let env = env(parts.section, &raw.env, false, checker);
    let hint = "the program and its arguments, each a text: command = [\"/usr/local/bin/geth\", \"--datadir\", \"/data/geth\"]";
    let (program, args) = match raw.command.as_deref() {
        None => {
            checker.wrong(&parts.at("command"), "is missing", hint);
            return None;
        }
        Some([]) => {
            checker.wrong(&parts.at("command"), "is empty", hint);
            return None;
        }
        Some([program, args @ ..]) => (program, args),
    };
    if program.trim().is_empty() || program.contains(' ') && args.is_empty() {
        checker.wrong(&parts.at("command"), "is no program: it is started without a shell", hint);
        return None;
    }
    // A path is relative to the file, as all are; a name alone is looked for in PATH.
    let path = if program.contains('/') { parts.folder.join(program) } else { program.into() };
    Some(ProcessSettings {
        program: path,
        args: args.iter().chain(&raw.args).cloned().collect(),
        folder: working_directory,
        env,
    })
}
