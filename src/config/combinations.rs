//! What is wrong or odd only in combination: keys that are sound each for itself.
//!
//! In: a whole configuration. Out: mistakes, where it could not work at all (two listeners on one port), and warnings, where it would
//! work and probably is not meant. What the contract says may start, starts: a plain `http://` relay, for instance, is warned about.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
};

use url::{Host, Url};

use super::{Config, checker::Checker};
use crate::{
    auction::{AuctionSettings, RelayTerms},
    supervisor::{Protocol, RuntimeSettings},
    types::{BlsPublicKey, RelayId, Wei},
};

/// A minimum of that many ETH takes nearly every block: more is a slip in the unit.
const HIGH_MIN_BID_ETH: &str = "1";

/// Looks at everything at once.
pub(super) fn combinations(config: &Config, checker: &mut Checker) {
    listeners(config, checker);
    ports_of_nodes(config, checker);
    public_listeners(config, checker);
    plain_http(config, checker);
    shared_keys(config, checker);
    idle_relays(config, checker);
    idle_sets(config, checker);
    auctions(config, checker);
}

/// Every listener of ours.
fn own_listeners(config: &Config) -> Vec<(&'static str, SocketAddr)> {
    let mut all = vec![("builder_api.listen", config.builder_api.listen), ("ops.listen", config.ops.listen)];
    let bundles = config.bundles.as_ref().and_then(|bundles| bundles.listen);
    all.extend(bundles.map(|listen| ("bundles.listen", listen)));
    all.extend(config.rpc.as_ref().map(|rpc| ("rpc.listen", rpc.listen)));
    all
}

/// A port of ours cannot be a node's: neither published for it, nor where it is asked how it is.
fn ports_of_nodes(config: &Config, checker: &mut Checker) {
    let listeners = own_listeners(config);
    for (index, node) in config.nodes.iter().flat_map(|nodes| &nodes.nodes).enumerate() {
        let published = match &node.runtime {
            RuntimeSettings::Docker(docker) => docker.launch.as_ref().map_or(&[][..], |launch| &launch.ports),
            RuntimeSettings::Systemd(_) | RuntimeSettings::Process(_) => &[],
        };
        let url = node.probe.as_ref().map(|probe| &probe.url).filter(|url| is_this_machine(url));
        let asked = url.and_then(Url::port_or_known_default);
        let is_taken = |port: u16| {
            asked == Some(port)
                || published.iter().any(|own| own.host_port == port && own.protocol == Protocol::Tcp)
        };
        if let Some((key, address)) = listeners.iter().find(|(_, address)| is_taken(address.port())) {
            let message = format!("port {} of node {} is taken by {key}", address.port(), node.id);
            checker.contradicts(&format!("nodes[{index}]"), key, message, "give the node another port");
        }
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// Two listeners cannot have one port.
fn listeners(config: &Config, checker: &mut Checker) {
    let all = own_listeners(config);
    for (index, (key, address)) in all.iter().enumerate() {
        let taken = all.iter().take(index).find(|(_, other)| collide(*address, *other));
        if let Some((other, _)) = taken {
            checker.contradicts(
                key,
                other,
                format!("{address} is taken by {other}"),
                "give each listener a port of its own",
            );
        }
    }
}

/// Whether two addresses cannot be listened on at once. An unspecified address is every address of its kind, and IPv6's is IPv4's, too.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let overlaps = |a: IpAddr, b: IpAddr| a == b || a.is_unspecified() && (a.is_ipv6() || b.is_ipv4());
    one.port() != 0
        && one.port() == other.port()
        && (overlaps(one.ip(), other.ip()) || overlaps(other.ip(), one.ip()))
}

fn public_listeners(config: &Config, checker: &mut Checker) {
    if !config.ops.listen.ip().is_loopback() {
        checker.warn(format!(
            "[ops] listen = \"{}\" can be reached from other machines, and what it says is not encrypted: reads need a token there (docs/\
             operations.md); let a firewall decide who gets this far, or listen on 127.0.0.1",
            config.ops.listen
        ));
    }
    let gateway = config.rpc.as_ref().map(|rpc| ("[rpc]", rpc.listen));
    if let Some(bundles) = &config.bundles
        && let Some((section, listen)) = bundles.listen.map(|listen| ("[bundles]", listen)).or(gateway)
        && !listen.ip().is_loopback()
        && bundles.searchers.is_empty()
    {
        checker.warn(format!(
            "{section} listen = \"{listen}\" can be reached from other machines and no [[bundles.searchers]] are named: whoever reaches it \
             sends bundles to builders under your key; name the searchers, or listen on 127.0.0.1"
        ));
    }
}

/// Without TLS, whoever is on the way can read and change what is sent.
fn plain_http(config: &Config, checker: &mut Checker) {
    for relay in config.relays.iter().filter(|relay| relay.enabled && is_plain_and_remote(&relay.url)) {
        checker.warn(format!(
            "relay {}: http:// to another network: its bids are signed, but whoever is on the way can hold back your signed block; use \
             https://",
            relay.id
        ));
    }
    for builder in config.bundles.iter().flat_map(|bundles| &bundles.builders) {
        if is_plain_and_remote(&builder.url) {
            checker.warn(format!(
                "[[bundles.builders]] {}: http:// to another network: whoever is on the way can read the bundles; use https://",
                builder.id
            ));
        }
    }
    for upstream in config.rpc.iter().flat_map(|rpc| &rpc.upstreams) {
        let remote = [Some(&upstream.url), upstream.ws_url.as_ref()].into_iter().flatten();
        if let Some(url) = remote.into_iter().find(|url| is_plain_and_remote(url)) {
            checker.warn(format!(
                "[[rpc.upstreams]] {}: {}:// to another network: whoever is on the way reads what you ask and can answer what they like; use \
                 {}s://",
                upstream.id,
                url.scheme(),
                url.scheme()
            ));
        }
    }
}

/// Whether an address is `http://` and neither this machine's nor a private network's. A name without a dot is a container's or a
/// host's in the same network.
fn is_plain_and_remote(url: &Url) -> bool {
    /// Endings of names that no public resolver knows.
    const PRIVATE: [&str; 6] = [".local", ".localhost", ".internal", ".lan", ".home.arpa", ".test"];
    matches!(url.scheme(), "http" | "ws")
        && match url.host() {
            None => false,
            Some(Host::Domain(name)) => {
                name.contains('.')
                    && !PRIVATE.iter().any(|ending| name.trim_end_matches('.').ends_with(ending))
            }
            Some(Host::Ipv4(ip)) => {
                let [a, b, ..] = ip.octets();
                // 100.64.0.0/10: shared address space, as overlay networks use it.
                let is_shared = a == 100 && (64..128).contains(&b);
                !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared)
            }
            Some(Host::Ipv6(ip)) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
        }
}

/// Two relays under one key are one relay by two doors, and no second opinion.
fn shared_keys(config: &Config, checker: &mut Checker) {
    let mut by_key: HashMap<BlsPublicKey, Vec<&RelayId>> = HashMap::new();
    for relay in config.relays.iter().filter(|relay| relay.enabled) {
        by_key.entry(relay.pubkey.bytes()).or_default().push(&relay.id);
    }
    let mut shared: Vec<Vec<&RelayId>> = by_key.into_values().filter(|ids| ids.len() > 1).collect();
    shared.sort();
    for ids in shared {
        let names: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        checker.warn(format!(
            "relays {} have one public key: they are one relay with several addresses, and no alternative to each other; leave one enabled, \
             or set sets_only on the rest",
            names.join(" and ")
        ));
    }
}

/// Relays that are never asked.
fn idle_relays(config: &Config, checker: &mut Checker) {
    let named: HashSet<&RelayId> =
        config.proposers.iter().filter_map(|set| set.relays.as_ref()).flatten().collect();
    let enabled = || config.relays.iter().filter(|relay| relay.enabled);
    for relay in enabled().filter(|relay| relay.sets_only && !named.contains(&relay.id)) {
        checker.warn(format!(
            "relay {}: sets_only, and no [[proposers]] names it: it is never asked for a bid",
            relay.id
        ));
    }
    if enabled().next().is_some() && enabled().all(|relay| relay.sets_only) {
        checker.warn(
            "every enabled relay is sets_only: proposers that are in no set get no bids and build their blocks locally",
        );
    }
    for relay in config.relays.iter().filter(|relay| relay.pinned && !relay.enabled) {
        checker.warn(format!("relay {}: pinned and not enabled: it is not asked", relay.id));
    }
}

/// Sets whose proposers get no bids.
fn idle_sets(config: &Config, checker: &mut Checker) {
    let enabled: HashSet<&RelayId> =
        config.relays.iter().filter(|relay| relay.enabled).map(|relay| &relay.id).collect();
    for set in &config.proposers {
        if set
            .relays
            .as_ref()
            .is_some_and(|ids| !ids.is_empty() && ids.iter().all(|id| !enabled.contains(id)))
        {
            checker.warn(format!(
                "[[proposers]] {}: none of its relays is enabled: its proposers get no bids and build their blocks locally",
                set.id
            ));
        }
    }
}

fn auctions(config: &Config, checker: &mut Checker) {
    let relays = config.relays.iter().filter(|relay| relay.enabled).count();
    one_auction("[auction]", &config.auction, &config.terms, relays, checker);
    for set in &config.proposers {
        let name = format!("[[proposers]] {}", set.id);
        let relays = set.relays.as_ref().map_or(relays, Vec::len);
        // What everybody has was said above.
        let own: HashMap<RelayId, RelayTerms> = set
            .terms
            .iter()
            .filter(|(id, terms)| config.terms.get(id) != Some(terms))
            .map(|(id, terms)| (id.clone(), *terms))
            .collect();
        if set.settings != config.auction || !own.is_empty() {
            one_auction(&name, &set.settings, &own, relays, checker);
        }
    }
}

/// Times and amounts that cannot mean what they say.
fn one_auction(
    section: &str,
    settings: &AuctionSettings,
    terms: &HashMap<RelayId, RelayTerms>,
    relays: usize,
    checker: &mut Checker,
) {
    if Wei::parse_eth(HIGH_MIN_BID_ETH).is_ok_and(|high| settings.min_bid >= high) {
        checker.warn(format!(
            "{section} min_bid_eth = \"{}\" is more than nearly every block pays: amounts are in ETH, such as \"0.05\"",
            settings.min_bid.to_eth()
        ));
    }
    if let Some(soft) = settings.soft_deadline {
        if soft.after >= settings.timeout_get_header {
            checker.warn(format!(
                "{section} soft_deadline_ms = {} is not below timeout_get_header_ms, which is {}: it never takes effect",
                soft.after.as_millis(),
                settings.timeout_get_header.as_millis()
            ));
        }
        if soft.min_answers > relays {
            checker.warn(format!(
                "{section} soft_deadline_min_answers = {} is more than the {relays} relays there are: the soft deadline never takes effect",
                soft.min_answers
            ));
        }
    }
    let mut late: Vec<(&RelayId, u128)> = terms
        .iter()
        .filter_map(|(id, terms)| Some((id, terms.timing.first?.as_millis())))
        .filter(|(_, first)| *first >= u128::from(settings.late_in_slot_ms))
        .collect();
    late.sort();
    for (id, first) in late {
        checker.warn(format!(
            "{section}: relay {id}: target_first_request_ms = {first} is not below late_in_slot_time_ms, which is {}: it is never asked",
            settings.late_in_slot_ms
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_collide_where_the_system_would_refuse_the_second() {
        for (one, other, want) in [
            ("127.0.0.1:18550", "127.0.0.1:18550", true),
            ("127.0.0.1:18550", "127.0.0.1:18551", false),
            ("127.0.0.1:18550", "127.0.0.2:18550", false),
            ("0.0.0.0:18550", "127.0.0.1:18550", true),
            ("[::]:18550", "127.0.0.1:18550", true),
            ("[::]:18550", "0.0.0.0:18550", true),
            ("[::1]:18550", "0.0.0.0:18550", false),
            ("[::1]:18550", "127.0.0.1:18550", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let (a, b) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!((collide(a, b), collide(b, a)), (want, want), "{one} {other}");
        }
    }

    #[test]
    fn only_plain_http_to_other_networks_is_remote() {
        for (text, want) in [
            ("http://relay.example.org", true),
            ("https://relay.example.org", false),
            ("http://8.8.8.8", true),
            ("http://127.0.0.1:8080", false),
            ("http://192.168.1.5", false),
            ("http://100.100.1.5", false),
            ("http://[::1]:80", false),
            ("http://[fd00::1]", false),
            ("http://[2001:db8::1]", true),
            ("http://relay", false),
            ("http://relay.lan", false),
            ("http://relay.svc.cluster.local", false),
            ("http://localhost:8080", false),
        ] {
            assert_eq!(is_plain_and_remote(&text.parse().unwrap()), want, "{text}");
        }
    }
}
