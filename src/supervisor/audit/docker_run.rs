//! `docker run …` as facts.

use super::{
    facts::{ContainerFacts, Origin, Published, Volume, bytes},
    shell::{Command, Word},
};

/// Programs that take Docker's arguments.
const ENGINES: [&str; 3] = ["docker", "podman", "nerdctl"];
/// Flags before the command that take a value.
const GLOBAL_WITH_VALUE: [&str; 7] = ["-H", "--host", "--context", "-c", "--config", "-l", "--log-level"];
/// Flags of `run` that take none. All others do.
const ALONE: [&str; 17] = [
    "--detach",
    "--rm",
    "--interactive",
    "--tty",
    "--privileged",
    "--read-only",
    "--init",
    "--no-healthcheck",
    "--oom-kill-disable",
    "--publish-all",
    "--sig-proxy",
    "--disable-content-trust",
    "--quiet",
    "--help",
    "--replace",
    "--tls-verify",
    "--rmi",
];
/// Most published ports of one container; of a range, too.
const MAX_PORTS: usize = 64;
/// Short flags that take none.
const SHORT_ALONE: &str = "ditPq";

/// The words behind `docker`, without its own flags: `run`, `network create`, `compose exec`.
pub(super) fn engine_words(command: &Command) -> Option<&[Word]> {
    let (program, mut rest) = command.program()?;
    if program == "docker-compose" {
        return Some(rest);
    }
    if !ENGINES.contains(&program) {
        return None;
    }
    while let Some((first, others)) = rest.split_first().filter(|(first, _)| first.text.starts_with('-')) {
        let takes_value = GLOBAL_WITH_VALUE.contains(&first.text.as_str());
        rest = if takes_value { others.get(1..).unwrap_or_default() } else { others };
    }
    // `docker container run` is `docker run`.
    match rest.split_first() {
        Some((first, others)) if first.text == "container" => Some(others),
        Some(_) | None => Some(rest),
    }
}

/// The container that a command would make; none for another command.
pub(super) fn container(command: &Command) -> Option<ContainerFacts> {
    let (verb, mut rest) = engine_words(command)?.split_first()?;
    if !matches!(verb.text.as_str(), "run" | "create") {
        return None;
    }
    let mut facts = ContainerFacts::new(Origin::Run, command.line());
    let mut entrypoint = None;
    while let Some((word, others)) = rest.split_first().filter(|(word, _)| word.text.starts_with('-')) {
        rest = others;
        let text = word.text.as_str();
        if text == "--" {
            break;
        }
        let (name, value) = match split(text) {
            Flag::Alone(name) => (name, None),
            Flag::With(name, value) => (name, Some((value.to_owned(), word.line))),
            Flag::Awaits(name) => {
                let Some((value, others)) = rest.split_first() else { break };
                rest = others;
                (name, Some((value.text.clone(), value.line)))
            }
        };
        match value {
            None => alone(&mut facts, name, "true"),
            Some((value, line)) if name == "--entrypoint" => {
                let _ = line;
                entrypoint = Some(value);
            }
            Some((value, line)) => {
                alone(&mut facts, name, &value);
                with_value(&mut facts, name, &value, line);
            }
        }
    }
    if let Some((image, args)) = rest.split_first() {
        facts.image.clone_from(&image.text);
        facts.args.extend(entrypoint);
        facts.args.extend(args.iter().map(|word| word.text.clone()));
    }
    if facts.name.is_empty() {
        facts.name.clone_from(&facts.image);
    }
    Some(facts)
}

/// A flag as it is written.
enum Flag<'a> {
    Alone(&'a str),
    With(&'a str, &'a str),
    Awaits(&'a str),
}

fn split(text: &str) -> Flag<'_> {
    if text.starts_with("--") {
        return match text.split_once('=') {
            Some((name, value)) => Flag::With(name, value),
            None if ALONE.contains(&text) => Flag::Alone(text),
            None => Flag::Awaits(text),
        };
    }
    let letters = text.trim_start_matches('-');
    let Some(at) = letters.find(|c| !SHORT_ALONE.contains(c)) else { return Flag::Alone(text) };
    let rest = letters.get(at..).unwrap_or_default();
    let mut chars = rest.chars();
    let name = match chars.next() {
        Some('p') => "--publish",
        Some('v') => "--volume",
        Some('e') => "--env",
        Some('m') => "--memory",
        Some('u') => "--user",
        Some(_) | None => "-",
    };
    match chars.as_str() {
        "" => Flag::Awaits(name),
        value => Flag::With(name, value.strip_prefix('=').unwrap_or(value)),
    }
}

/// Switches, with or without `=true`.
fn alone(facts: &mut ContainerFacts, name: &str, value: &str) {
    let is_on = value == "true";
    match name {
        "--rm" => facts.for_once = is_on,
        "--privileged" => facts.privileged = is_on,
        "--read-only" => facts.read_only = is_on,
        _ => {}
    }
}

fn with_value(facts: &mut ContainerFacts, name: &str, value: &str, line: usize) {
    match name {
        "--name" => value.clone_into(&mut facts.name),
        "--publish" if facts.ports.len() < MAX_PORTS => facts.ports.extend(ports(value, line)),
        "--volume" => facts.volumes.extend(volume(value)),
        "--mount" => facts.volumes.extend(mount(value)),
        "--env" => {
            let (name, value) = value.split_once('=').unwrap_or((value, "$"));
            facts.add_variable(name, value);
        }
        "--env-file" if value.to_ascii_lowercase().contains("secret") => {
            facts.add_variable("SECRETS", "$");
        }
        "--user" => facts.user = Some(value.to_owned()),
        "--memory" => facts.memory = bytes(value),
        "--network" | "--net" if value == "host" => facts.host_network = true,
        "--network" | "--net" => {
            // `name=NET,alias=…` is the long form.
            let name = value.split(',').find_map(|part| part.strip_prefix("name=")).unwrap_or(value);
            facts.networks.push(name.to_owned());
        }
        "--cap-drop" => facts.cap_drop.push(value.to_ascii_uppercase()),
        "--security-opt" => facts.security_opt.push(value.to_owned()),
        "--log-driver" => facts.log_driver = Some(value.to_owned()),
        "--log-opt" if value.starts_with("max-size=") => facts.log_bounded = true,
        _ => {}
    }
}

/// `[IP:][HOST:]PORT[/udp]`, also of ranges, of which each port counts.
pub(super) fn ports(text: &str, line: usize) -> Vec<Published> {
    let (text, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (before, port) = text.rsplit_once(':').unwrap_or(("", text));
    let (ip, host) = match before.rsplit_once(':') {
        Some((ip, host)) => (ip, host),
        // An IP and no port, or a port.
        None if before.contains('.') => (before, ""),
        None => ("", before),
    };
    let ip = ip.trim_matches(['[', ']']);
    let ip = if ip == "localhost" { "127.0.0.1".parse().ok() } else { ip.parse().ok() };
    let Some((first, last)) = range(port) else { return Vec::new() };
    let host = range(host);
    (first..=last)
        .take(MAX_PORTS)
        .map(|port| {
            let host = host.and_then(|(begin, _)| begin.checked_add(port - first));
            Published { ip, host, port, udp: protocol == "udp", line }
        })
        .collect()
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?)).filter(|(first, last)| first <= last)
}

/// `SOURCE:TARGET[:ro]`, or `TARGET`.
pub(super) fn volume(text: &str) -> Option<Volume> {
    let mut parts = text.splitn(3, ':');
    let (first, second, options) = (parts.next()?, parts.next(), parts.next().unwrap_or_default());
    let (source, target) = second.map_or(("", first), |target| (first, target));
    let read_only = options.split(',').any(|option| option == "ro");
    Some(Volume { source: source.to_owned(), target: target.to_owned(), read_only })
}

/// `type=bind,source=…,target=…,readonly`
fn mount(text: &str) -> Option<Volume> {
    let mut volume = Volume { source: String::new(), target: String::new(), read_only: false };
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or((part, "true"));
        match key {
            "type" if value == "tmpfs" => return None,
            "source" | "src" => value.clone_into(&mut volume.source),
            "target" | "dst" | "destination" => value.clone_into(&mut volume.target),
            "readonly" | "ro" => volume.read_only = value == "true",
            _ => {}
        }
    }
    Some(volume).filter(|volume| !volume.target.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::audit::shell::read;

    fn facts(text: &str) -> ContainerFacts {
        container(&read(text, 1).commands[0]).unwrap()
    }

    #[test]
    fn a_run_line_is_read() {
        let found = facts(
            "sudo docker --context x container run -dit --name geth -p 127.0.0.1:8545:8545 -p30303:30303/udp \\\n -v /data:/data -v /jwt:/jwt:ro \
             --memory=3g --read-only --cap-drop ALL --security-opt=no-new-privileges --network host -u 1000:1000 \
             --log-opt max-size=10m -e JWT_SECRET=x --entrypoint geth image:v1 --http --rm",
        );
        assert_eq!((found.name.as_str(), found.image.as_str()), ("geth", "image:v1"));
        assert_eq!(found.args, ["geth", "--http", "--rm"]);
        assert_eq!(
            found.ports,
            [
                Published { ip: "127.0.0.1".parse().ok(), host: Some(8545), port: 8545, udp: false, line: 1 },
                Published { ip: None, host: Some(30303), port: 30303, udp: true, line: 1 },
            ]
        );
        assert_eq!(found.volumes.len(), 2);
        assert!(found.volumes[1].read_only && found.read_only && found.host_network && found.log_bounded);
        assert!(!found.for_once, "what follows the image is not Docker's");
        assert_eq!((found.memory, found.user.as_deref()), (Some(3 << 30), Some("1000:1000")));
        assert!(found.env[0].is_secret);
    }

    #[test]
    fn other_commands_are_none() {
        for text in ["docker ps", "docker exec x run", "run docker", "docker"] {
            assert_eq!(container(&read(text, 1).commands[0]), None, "{text}");
        }
    }

    #[test]
    fn ports_are_read_in_every_form() {
        for (text, want) in [
            ("8545", vec![(None, None, 8545)]),
            ("8548:8547", vec![(None, Some(8548), 8547)]),
            ("127.0.0.1::80", vec![(Some("127.0.0.1"), None, 80)]),
            ("[::1]:8545:8545", vec![(Some("::1"), Some(8545), 8545)]),
            ("8000-8001:8000-8001/udp", vec![(None, Some(8000), 8000), (None, Some(8001), 8001)]),
            ("$PORT:8545", vec![(None, None, 8545)]),
            ("65535-1:65535-1", vec![]),
            ("x", vec![]),
            ("::::", vec![]),
        ] {
            let found: Vec<_> =
                ports(text, 1).into_iter().map(|port| (port.ip, port.host, port.port)).collect();
            let want: Vec<_> = want
                .into_iter()
                .map(|(ip, host, port): (Option<&str>, _, _)| (ip.map(|ip| ip.parse().unwrap()), host, port))
                .collect();
            assert_eq!(found, want, "{text}");
        }
    }
}
