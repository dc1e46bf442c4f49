//! Beacon nodes, by the client that the image's name says.

use super::{
    super::launch::Protocol,
    execution::layer_one,
    input::Template,
    shape::{DATA, JWT, Lacks, Shape, address},
};
use crate::types::labelled;

const P2P: u16 = 9000;
/// Of every client: the same address before and after a change of client.
const REST: u16 = 5052;
const METRICS: u16 = 5054;

labelled! {
    /// Clients with a template, by the word in their images' names.
    enum Client {
        Lighthouse = "lighthouse",
        Prysm = "prysm",
        Teku = "teku",
        Nimbus = "nimbus",
        Lodestar = "lodestar",
        Grandine = "grandine",
    }
}

/// A beacon node.
pub(super) fn beacon(template: &Template, lacks: &mut Lacks) -> Shape {
    lacks.data(template);
    lacks.jwt(template);
    let engine = lacks.need(
        template.engine_url.as_ref(),
        "engine_url",
        "is missing: a beacon node drives an execution client",
        "give its engine, such as engine_url = \"http://geth-primary:8551\"",
    );
    let engine = address(engine);
    let p2p = template.ports.p2p.unwrap_or(P2P);
    let Some(client) = Client::ALL.into_iter().find(|client| template.image.is_of(client.label())) else {
        lacks.say(
            "image",
            format!(
                "is of no beacon node with a template here: {}",
                Client::ALL.map(Client::label).join(", ")
            ),
            "give `command` with its arguments",
        );
        return by_command(p2p);
    };
    let network = layer_one(template, "the beacon node", lacks);
    let checkpoint = template.checkpoint_url.as_ref().map(|url| address(Some(url)));
    let words = Words { network, engine: &engine, checkpoint: checkpoint.as_deref(), p2p };
    let args = match client {
        Client::Lighthouse => lighthouse(&words),
        Client::Prysm => prysm(&words),
        Client::Teku => teku(&words, &template.container),
        Client::Nimbus => nimbus(&words, lacks),
        Client::Lodestar => lodestar(&words),
        Client::Grandine => grandine(&words),
    };
    let quic = matches!(client, Client::Lighthouse | Client::Prysm | Client::Grandine);
    let entrypoint = (client == Client::Lighthouse).then_some("lighthouse");
    let env = match client {
        // It unpacks native libraries, which cannot be executed in /tmp.
        Client::Teku => vec![("JAVA_OPTS", "-Djava.io.tmpdir=/data")],
        Client::Lighthouse | Client::Prysm | Client::Nimbus | Client::Lodestar | Client::Grandine => {
            Vec::new()
        }
    };
    let mut shape = Shape { entrypoint, args, env, ..by_command(p2p) };
    if quic {
        shape.p2p.push((above(p2p), Protocol::Udp));
    }
    shape
}

/// A beacon node by the operator's own command.
pub(super) fn by_command(p2p: u16) -> Shape {
    Shape {
        data: DATA,
        rpc: REST,
        metrics: Some(METRICS),
        p2p: vec![(p2p, Protocol::Tcp), (p2p, Protocol::Udp)],
        ..Shape::default()
    }
}

/// The port of peers where the operator names none.
pub(super) fn p2p_port(template: &Template) -> u16 {
    template.ports.p2p.unwrap_or(P2P)
}

/// What every client is told.
struct Words<'a> {
    network: Option<&'a str>,
    engine: &'a str,
    checkpoint: Option<&'a str>,
    p2p: u16,
}

impl Words<'_> {
    fn network(&self) -> Option<String> {
        self.network.map(|name| format!("--network={name}"))
    }

    fn checkpoint(&self, flag: &str) -> Option<String> {
        self.checkpoint.map(|url| format!("--{flag}={url}"))
    }
}

fn lighthouse(words: &Words<'_>) -> Vec<String> {
    let mut args = vec!["bn".to_owned()];
    args.extend(words.network());
    args.extend([
        format!("--datadir={DATA}"),
        format!("--execution-endpoint={}", words.engine),
        format!("--execution-jwt={JWT}"),
        "--http".to_owned(),
        "--http-address=0.0.0.0".to_owned(),
        format!("--http-port={REST}"),
        "--metrics".to_owned(),
        "--metrics-address=0.0.0.0".to_owned(),
        format!("--metrics-port={METRICS}"),
        format!("--port={}", words.p2p),
        format!("--quic-port={}", above(words.p2p)),
        // There is no router to ask in a container's network.
        "--disable-upnp".to_owned(),
    ]);
    args.extend(words.checkpoint("checkpoint-sync-url"));
    args
}

fn prysm(words: &Words<'_>) -> Vec<String> {
    let mut args = vec!["--accept-terms-of-use".to_owned()];
    args.extend(words.network.map(|name| format!("--{name}")));
    args.extend([
        format!("--datadir={DATA}"),
        format!("--execution-endpoint={}", words.engine),
        format!("--jwt-secret={JWT}"),
        "--http-host=0.0.0.0".to_owned(),
        format!("--http-port={REST}"),
        "--monitoring-host=0.0.0.0".to_owned(),
        format!("--monitoring-port={METRICS}"),
        format!("--p2p-tcp-port={}", words.p2p),
        format!("--p2p-udp-port={}", words.p2p),
        format!("--p2p-quic-port={}", above(words.p2p)),
    ]);
    args.extend(words.checkpoint("checkpoint-sync-url"));
    args.extend(words.checkpoint("genesis-beacon-api-url"));
    args
}

fn teku(words: &Words<'_>, container: &str) -> Vec<String> {
    let mut args: Vec<String> = words.network().into_iter().collect();
    args.extend([
        format!("--data-path={DATA}"),
        format!("--ee-endpoint={}", words.engine),
        format!("--ee-jwt-secret-file={JWT}"),
        "--rest-api-enabled=true".to_owned(),
        "--rest-api-interface=0.0.0.0".to_owned(),
        format!("--rest-api-port={REST}"),
        format!("--rest-api-host-allowlist=127.0.0.1,localhost,{container}"),
        "--metrics-enabled=true".to_owned(),
        "--metrics-interface=0.0.0.0".to_owned(),
        format!("--metrics-port={METRICS}"),
        format!("--metrics-host-allowlist=127.0.0.1,localhost,{container}"),
        format!("--p2p-port={}", words.p2p),
        // Log files are Docker's trade.
        "--log-destination=CONSOLE".to_owned(),
    ]);
    args.extend(words.checkpoint("checkpoint-sync-url"));
    args
}

fn nimbus(words: &Words<'_>, lacks: &mut Lacks) -> Vec<String> {
    if words.checkpoint.is_some() {
        lacks.say(
            "checkpoint_url",
            "Nimbus takes a checkpoint by a command of its own, once, before its first start",
            "run its trustedNodeSync on the data folder, and leave the key out",
        );
    }
    let mut args: Vec<String> = words.network().into_iter().collect();
    args.extend([
        format!("--data-dir={DATA}"),
        format!("--el={}", words.engine),
        format!("--jwt-secret={JWT}"),
        "--rest".to_owned(),
        "--rest-address=0.0.0.0".to_owned(),
        format!("--rest-port={REST}"),
        "--metrics".to_owned(),
        "--metrics-address=0.0.0.0".to_owned(),
        format!("--metrics-port={METRICS}"),
        format!("--tcp-port={}", words.p2p),
        format!("--udp-port={}", words.p2p),
        "--non-interactive".to_owned(),
    ]);
    args
}

fn lodestar(words: &Words<'_>) -> Vec<String> {
    let mut args = vec!["beacon".to_owned()];
    args.extend(words.network());
    args.extend([
        format!("--dataDir={DATA}"),
        format!("--execution.urls={}", words.engine),
        format!("--jwtSecret={JWT}"),
        "--rest".to_owned(),
        "--rest.address=0.0.0.0".to_owned(),
        format!("--rest.port={REST}"),
        "--metrics".to_owned(),
        "--metrics.address=0.0.0.0".to_owned(),
        format!("--metrics.port={METRICS}"),
        format!("--port={}", words.p2p),
    ]);
    args.extend(words.checkpoint("checkpointSyncUrl"));
    args
}

fn grandine(words: &Words<'_>) -> Vec<String> {
    let mut args: Vec<String> = words.network().into_iter().collect();
    args.extend([
        format!("--data-dir={DATA}"),
        format!("--eth1-rpc-urls={}", words.engine),
        format!("--jwt-secret={JWT}"),
        "--http-address=0.0.0.0".to_owned(),
        format!("--http-port={REST}"),
        "--metrics".to_owned(),
        "--metrics-address=0.0.0.0".to_owned(),
        format!("--metrics-port={METRICS}"),
        format!("--libp2p-port={}", words.p2p),
        format!("--discovery-port={}", words.p2p),
        format!("--quic-port={}", above(words.p2p)),
    ]);
    args.extend(words.checkpoint("checkpoint-sync-url"));
    args
}

/// The port of QUIC: the next one, as is the clients' own default.
fn above(port: u16) -> u16 {
    port.checked_add(1).unwrap_or(port - 1)
}
