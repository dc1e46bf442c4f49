//! `[[rpc.upstreams]]`: the nodes behind the gateway. What is wrong with an address is said without a word of it: it may hold a key.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::{Host, Url};

use super::{
    checker::Checker,
    raw_rpc::RawUpstream,
    rpc_methods::methods,
    secrets::{Place, secret},
};
use crate::{
    gateway::{Tier, UpstreamId, UpstreamSettings},
    supervisor::{NodeKind, NodeSettings},
};

/// Between two probes of a node of one's own, and of one that is paid.
const PROBE: Duration = Duration::from_secs(3);
const PROBE_PAID: Duration = Duration::from_secs(15);
/// Names that an answer's header says of answers which no upstream gave.
const RESERVED: [&str; 2] = ["cache", "gateway"];

/// What says how a request is sent, which nobody but the client may say.
const OF_THE_CONNECTION: [HeaderName; 4] =
    [header::HOST, header::CONTENT_LENGTH, header::CONNECTION, header::TRANSFER_ENCODING];

/// What else upstreams are checked against.
#[derive(Clone, Copy)]
pub(super) struct UpstreamContext<'a> {
    /// The folder of the file.
    pub(super) folder: &'a Path,
    /// Where the gateway listens.
    pub(super) listen: SocketAddr,
    /// `[[nodes]]`.
    pub(super) nodes: &'a [NodeSettings],
    /// The chain that upstreams must be of; none: it is not known, which is a mistake of its own.
    pub(super) chain_id: Option<u64>,
}

/// Checks them all.
pub(super) fn upstreams(
    raw: Vec<RawUpstream>,
    around: &UpstreamContext<'_>,
    checker: &mut Checker,
) -> Vec<UpstreamSettings> {
    if raw.is_empty() {
        let hint = "write [[rpc.upstreams]] with id, url and tier";
        checker.wrong("rpc", "there are no upstreams: nothing could be answered", hint);
    }
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut found: Vec<UpstreamSettings> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let Some(upstream) = upstream(raw, index, around, checker) else { continue };
        let at = |key: &str| format!("rpc.upstreams[{index}].{key}");
        // Metrics and headers tell them apart by it, and case would not.
        if known.insert(upstream.id.as_str().to_lowercase(), index).is_some() {
            let message = format!("`{}` is there twice", upstream.id);
            checker.wrong(&at("id"), message, "give each upstream a name of its own");
        }
        if let Some(other) = found.iter().find(|other| other.url == upstream.url) {
            checker.warn(format!(
                "[[rpc.upstreams]] {} and {} have one url: they are one node, which fails as one; list it once",
                other.id, upstream.id
            ));
        }
        let twin = |other: &&UpstreamSettings| other.ws_url.is_some() && other.ws_url == upstream.ws_url;
        if let Some(other) = found.iter().find(twin) {
            checker.warn(format!(
                "[[rpc.upstreams]] {} and {} have one ws_url: what they tell is one node's, which fails as one; give each its own",
                other.id, upstream.id
            ));
        }
        found.push(upstream);
    }
    if !found.is_empty() && found.iter().all(|upstream| upstream.tier == Tier::Backup) {
        checker.warn(
            "every one of [[rpc.upstreams]] is a backup: each call goes to somebody who is paid by the request; give your own nodes tier = \
             \"primary\"",
        );
    }
    found
}

fn upstream(
    raw: RawUpstream,
    index: usize,
    around: &UpstreamContext<'_>,
    checker: &mut Checker,
) -> Option<UpstreamSettings> {
    let UpstreamContext { folder, listen, nodes, chain_id } = *around;
    let section = format!("rpc.upstreams[{index}]");
    let at = |key: &str| format!("{section}.{key}");
    let id = raw.id.as_deref().and_then(UpstreamId::parse);
    match &id {
        None => {
            let message = if raw.id.is_some() { "is no name" } else { "is missing" };
            checker.wrong(&at("id"), message, "1 to 64 letters, digits, - _ . such as \"geth-primary\"");
        }
        Some(id) if RESERVED.contains(&id.as_str()) => {
            let message = format!("`{id}` is what answers say that no upstream gave");
            checker.wrong(&at("id"), message, "give it another name");
        }
        Some(_) => {}
    }
    let tier = match raw.tier.as_deref() {
        None => Some(Tier::Primary),
        Some(text) => {
            let tier = Tier::parse(text);
            if tier.is_none() {
                let hint = "primary: your own node; replica: another one of yours; backup: a provider's";
                checker.wrong(&at("tier"), format!("`{text}` is not one of primary, replica, backup"), hint);
            }
            tier
        }
    };
    let place = |key, text, file| Place { section: &section, key, text, file };
    let http = place("url", raw.url.as_ref(), raw.url_file.as_ref());
    let node = raw.node.as_deref().map(|name| node_named(name, &at("node"), nodes, checker));
    if let Some(node) = node.flatten() {
        is_of_one_chain(node, chain_id, &at("node"), checker);
    }
    let url = match &node {
        _ if http.is_there() => address(http, &["http", "https"], folder, listen, checker),
        // Where the node answers, it is told of that; where there is no such node, that is mistake enough.
        Some(node) => node.and_then(|node| url_of(node, &at("node"), listen, checker)),
        None => {
            http.missing("where it answers JSON-RPC", checker);
            None
        }
    };
    let ws_url = address(
        place("ws_url", raw.ws_url.as_ref(), raw.ws_url_file.as_ref()),
        &["ws", "wss"],
        folder,
        listen,
        checker,
    );
    let headers = headers(&raw, &section, folder, checker);
    let default = if tier == Some(Tier::Backup) { PROBE_PAID } else { PROBE };
    let probe_every = checker.millis(&at("probe_ms"), raw.probe_ms, default);
    let zero = "0 would send nothing there";
    if raw.max_requests_per_second == Some(0) {
        checker.wrong(&at("max_requests_per_second"), zero, "leave it out for no limit");
    }
    if raw.max_requests_per_day == Some(0) {
        checker.wrong(&at("max_requests_per_day"), zero, "leave it out for no limit");
    }
    if raw.max_logs_range == Some(0) {
        checker.wrong(&at("max_logs_range"), "0 blocks have no logs", "leave it out for no limit");
    }
    if let (Some(daily), Some(url)) = (raw.max_requests_per_day, &url) {
        let probes = Duration::from_secs(86_400).as_millis() / probe_every.as_millis().max(1);
        // A probe is two requests at least: the chain, the head.
        if u128::from(daily) < probes.saturating_mul(2) {
            let host = url.host_str().unwrap_or_default();
            checker.warn(format!(
                "{}: probes of {host} each {} ms take {} of its {daily} requests a day: raise probe_ms",
                at("max_requests_per_day"),
                probe_every.as_millis(),
                probes.saturating_mul(2),
            ));
        }
    }
    Some(UpstreamSettings {
        id: id?,
        node: node.flatten().map(|node| node.id.clone()),
        url: url?,
        ws_url,
        tier: tier?,
        headers,
        probe_every,
        max_requests_per_second: raw.max_requests_per_second,
        max_requests_per_day: raw.max_requests_per_day,
        max_logs_range: raw.max_logs_range,
        methods: methods(&at("methods"), raw.methods, checker),
        ignore_methods: methods(&at("ignore_methods"), raw.ignore_methods, checker),
    })
}

/// The node that an upstream says it is.
fn node_named<'a>(
    name: &str,
    key: &str,
    nodes: &'a [NodeSettings],
    checker: &mut Checker,
) -> Option<&'a NodeSettings> {
    let Some(node) = nodes.iter().find(|node| node.id.as_str() == name) else {
        let names: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        let hint = if names.is_empty() {
            "there are no [[nodes]]: add it there, or leave node out and give url".to_owned()
        } else {
            format!("[[nodes]] has {}", names.join(", "))
        };
        checker.wrong(key, format!("`{name}` is none of [[nodes]]"), hint);
        return None;
    };
    match node.kind {
        NodeKind::Geth | NodeKind::Reth | NodeKind::Nitro | NodeKind::OpReth | NodeKind::Generic => {
            Some(node)
        }
        NodeKind::Beacon | NodeKind::OpNode | NodeKind::Agave | NodeKind::SolanaTestValidator => {
            let message =
                format!("`{name}` is of kind {}, which has no JSON-RPC that this gateway serves", node.kind);
            checker.wrong(key, message, "name the execution client");
            None
        }
    }
}

/// A node that is watched as one of another chain would never be asked: whichever of the two is meant, the other is wrong.
fn is_of_one_chain(node: &NodeSettings, chain_id: Option<u64>, key: &str, checker: &mut Checker) {
    let of_node = node.probe.as_ref().and_then(|probe| probe.chain_id);
    if let (Some(of_node), Some(of_gateway)) = (of_node, chain_id)
        && of_node != of_gateway
    {
        let message = format!(
            "`{}` is a node of chain {of_node}, and the gateway serves chain {of_gateway}: it would never be asked",
            node.id
        );
        let hint =
            "correct chain_id (or network) of the node, or chain_id of [rpc]; one gateway serves one chain";
        checker.contradicts(key, "rpc.chain_id", message, hint);
    }
}

/// Where a node answers JSON-RPC, by how it is probed.
fn url_of(node: &NodeSettings, key: &str, listen: SocketAddr, checker: &mut Checker) -> Option<Url> {
    let asks_rpc = node.kind != NodeKind::Generic;
    let Some(probe) = node.probe.as_ref().filter(|_| asks_rpc) else {
        let message = format!("`{}` does not say where it answers JSON-RPC", node.id);
        checker.wrong(key, message, "give url beside node");
        return None;
    };
    if is_own(&probe.url, listen) {
        let message = "is this gateway's own address: each call would come back to it, again and again";
        checker.contradicts(key, "rpc.listen", message, "give the address of a node");
        return None;
    }
    Some(probe.url.clone())
}

/// An upstream's address, which may hold a key: nothing of it is said.
fn address(
    place: Place<'_>,
    schemes: &[&str],
    folder: &Path,
    listen: SocketAddr,
    checker: &mut Checker,
) -> Option<Url> {
    let text = secret(place, folder, checker)?.0;
    let url = Url::parse(&text).ok().filter(|url| schemes.contains(&url.scheme()) && url.host().is_some());
    let Some(url) = url else {
        let such = schemes.first().copied().unwrap_or_default();
        let hint = format!("such as {such}://127.0.0.1:8545");
        checker.wrong(&place.given(), format!("is no {} address", schemes.join(" or ")), hint);
        return None;
    };
    if is_own(&url, listen) {
        let message = "is this gateway's own address: each call would come back to it, again and again";
        checker.contradicts(&place.given(), "rpc.listen", message, "give the address of a node");
        return None;
    }
    Some(url)
}

/// Whether whoever calls an address reaches a listener.
fn is_own(url: &Url, listen: SocketAddr) -> bool {
    let port = match url.scheme() {
        "ws" => url.port().or(Some(80)),
        "wss" => url.port().or(Some(443)),
        _ => url.port_or_known_default(),
    };
    if listen.port() == 0 || port != Some(listen.port()) {
        return false;
    }
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => ip.to_canonical(),
        Some(Host::Domain(name)) if name.trim_end_matches('.').eq_ignore_ascii_case("localhost") => {
            return listen.ip().is_loopback() || listen.ip().is_unspecified();
        }
        Some(Host::Domain(_)) | None => return false,
    };
    ip == listen.ip() || ip.is_unspecified() || (listen.ip().is_unspecified() && ip.is_loopback())
}

fn headers(raw: &RawUpstream, section: &str, folder: &Path, checker: &mut Checker) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &raw.headers {
        let key = format!("{section}.headers.{name}");
        match (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value)) {
            (Ok(name), _) if OF_THE_CONNECTION.contains(&name) => {
                let hint = "leave it out: it follows from the url and from what is sent";
                checker.wrong(&key, "is a header of the connection's own", hint);
            }
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            (Err(_), _) => checker.wrong(&key, "is no header's name", "such as x-api-key"),
            (_, Err(_)) => {
                checker.wrong(&key, "has letters that no header has", "write it in one line of ASCII")
            }
        }
    }
    let place = Place { section, key: "authorization", text: None, file: raw.authorization_file.as_ref() };
    if let Some(secret) = secret(place, folder, checker) {
        match HeaderValue::from_str(&secret.0) {
            Ok(mut value) => {
                value.set_sensitive(true);
                if headers.insert(header::AUTHORIZATION, value).is_some() {
                    let other = format!("{section}.headers");
                    let message = "authorization is in headers as well";
                    checker.contradicts(&place.given(), &other, message, "keep one of the two");
                }
            }
            Err(_) => {
                let hint = "the value of the header in one line, such as: Bearer 8f3c…";
                checker.wrong(&place.given(), "has letters that no header has", hint);
            }
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::{ProbeSettings, ProcessSettings, RestartPolicy, RuntimeSettings, STALL_AFTER};

    fn node(id: &str, kind: NodeKind, url: Option<&str>) -> NodeSettings {
        NodeSettings {
            id: crate::types::NodeId::parse(id).unwrap(),
            kind,
            group: "execution".to_owned(),
            runtime: RuntimeSettings::Process(ProcessSettings {
                program: "geth".into(),
                args: Vec::new(),
                folder: None,
                env: Vec::new(),
            }),
            limits: crate::supervisor::Limits::default(),
            probe: url.map(|url| ProbeSettings {
                url: url.parse().unwrap(),
                every: PROBE,
                timeout: PROBE,
                block_time: None,
                chain_id: None,
                lag_age: None,
                path: None,
                vote_account: None,
                stall_after: STALL_AFTER,
                execution: None,
            }),
            restart: RestartPolicy::default(),
            stop_grace: PROBE,
        }
    }

    #[test]
    fn an_upstream_may_be_one_of_the_nodes() {
        let nodes = [
            node("geth-primary", NodeKind::Geth, Some("http://127.0.0.1:8545/KEY")),
            node("silent", NodeKind::Geth, None),
            node("besu", NodeKind::Generic, Some("http://127.0.0.1:8548/health")),
            node("lighthouse", NodeKind::Beacon, Some("http://127.0.0.1:5052/")),
            node("loop", NodeKind::Reth, Some("http://127.0.0.1:18545/")),
        ];
        let own = "http://10.0.0.2:8545/";
        for (name, url, want) in [
            ("geth-primary", None, Ok("http://127.0.0.1:8545/KEY")),
            ("geth-primary", Some(own), Ok(own)),
            ("silent", Some(own), Ok(own)),
            ("besu", Some(own), Ok(own)),
            ("silent", None, Err("give url beside node")),
            ("besu", None, Err("give url beside node")),
            ("lighthouse", None, Err("of kind beacon")),
            ("lighthouse", Some(own), Err("of kind beacon")),
            ("nobody", None, Err("[[nodes]] has geth-primary, silent, besu, lighthouse, loop")),
            ("nobody", Some(own), Err("none of [[nodes]]")),
            ("loop", None, Err("own address")),
        ] {
            let mut checker = Checker::default();
            let listen = "127.0.0.1:18545".parse().unwrap();
            let around = UpstreamContext { folder: Path::new(""), listen, nodes: &nodes, chain_id: Some(1) };
            let raw = RawUpstream {
                id: Some("u".to_owned()),
                node: Some(name.to_owned()),
                url: url.map(str::to_owned),
                ..RawUpstream::default()
            };
            let found = upstreams(vec![raw], &around, &mut checker);
            let said = format!("{:?}", checker.mistakes);
            match want {
                Ok(url) => {
                    assert_eq!(checker.mistakes.len(), 0, "{name}: {said}");
                    let found: Vec<_> =
                        found.iter().map(|one| (one.node.as_ref(), one.url.as_str())).collect();
                    let id = crate::types::NodeId::parse(name);
                    assert_eq!(found, [(id.as_ref(), url)], "{name}");
                }
                Err(want) => {
                    assert!(checker.mistakes.len() == 1 && said.contains(want), "{name}: {said}");
                    assert!(!said.contains("KEY"), "{said}");
                }
            }
        }
        let mut checker = Checker::default();
        let listen = "127.0.0.1:18545".parse().unwrap();
        let around = UpstreamContext { folder: Path::new(""), listen, nodes: &[], chain_id: Some(1) };
        let raw =
            RawUpstream { id: Some("u".to_owned()), node: Some("geth".to_owned()), ..RawUpstream::default() };
        upstreams(vec![raw], &around, &mut checker);
        assert!(format!("{:?}", checker.mistakes).contains("there are no [[nodes]]"));
    }

    #[test]
    fn a_node_of_another_chain_is_a_mistake_with_its_place() {
        use crate::config::{Config, ConfigError};
        let relay = "[[relays]]\nid = \"a\"\nurl = \"https://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@relay.example\"\n";
        let read = |of_gateway: &str, of_node: &str| {
            let text = format!(
                "{relay}[[nodes]]\nid = \"geth\"\nkind = \"geth\"\nunit = \"geth\"\nrpc_url = \"http://127.0.0.1:8545\"\n{of_node}\n\
                 [rpc]\n{of_gateway}\n[[rpc.upstreams]]\nid = \"u\"\nnode = \"geth\"\n"
            );
            Config::parse(&text, Path::new("/nowhere/relays.toml"), &[], &[])
        };
        for (of_gateway, of_node) in
            [("", ""), ("chain_id = 5", "chain_id = 5"), ("", "chain_id = 1"), ("chain_id = 1", "")]
        {
            assert!(
                read(of_gateway, of_node).is_ok(),
                "{of_gateway} {of_node}: {:?}",
                read(of_gateway, of_node).err()
            );
        }
        for (of_gateway, of_node, want) in [
            ("", "chain_id = 5", "node of chain 5, and the gateway serves chain 1"),
            ("chain_id = 5", "", "node of chain 1, and the gateway serves chain 5"),
            ("chain_id = 5", "chain_id = 10", "node of chain 10, and the gateway serves chain 5"),
        ] {
            let Err(ConfigError::Wrong { mistakes, .. }) = read(of_gateway, of_node) else {
                panic!("{of_gateway} {of_node}")
            };
            let [mistake] = &mistakes[..] else { panic!("{mistakes:?}") };
            assert_eq!(mistake.key, "rpc.upstreams[0].node");
            assert!(mistake.message.contains(want), "{mistake:?}");
            assert_eq!(mistake.place.map(|(line, ..)| line), Some(14), "{mistake:?}");
        }
    }

    #[test]
    fn the_gateway_s_own_address_is_known_by_every_name() {
        for (url, listen, want) in [
            ("http://127.0.0.1:18545", "127.0.0.1:18545", true),
            ("http://localhost:18545/", "127.0.0.1:18545", true),
            ("http://LOCALHOST.:18545/x", "0.0.0.0:18545", true),
            ("ws://127.0.0.1:18545", "0.0.0.0:18545", true),
            ("http://0.0.0.0:18545", "127.0.0.1:18545", true),
            ("http://[::1]:18545", "[::]:18545", true),
            ("http://127.0.0.1", "127.0.0.1:80", true),
            ("http://127.0.0.1:8545", "127.0.0.1:18545", false),
            ("http://10.0.0.2:18545", "127.0.0.1:18545", false),
            ("http://10.0.0.2:18545", "0.0.0.0:18545", false),
            ("http://geth:18545", "127.0.0.1:18545", false),
            ("http://127.0.0.1:18545", "127.0.0.1:0", false),
        ] {
            assert_eq!(is_own(&url.parse().unwrap(), listen.parse().unwrap()), want, "{url} {listen}");
        }
    }
}
