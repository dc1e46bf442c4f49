//! `[rpc]`: from the file as written to the settings of the gateway, or mistakes with their place.

use std::{path::Path, time::Duration};

use url::Url;

use super::{
    checker::{Checker, hosts},
    raw_rpc::{RawRpc, RawRpcHealth},
    rpc_methods::methods,
    rpc_upstreams::{UpstreamContext, upstreams},
};
use crate::{
    consensus::ChainSpec,
    gateway::{CacheSettings, ClientLimits, HealthPolicy, MethodPolicy, RpcSettings, UpstreamId},
    supervisor::NodeSettings,
    types::Secret,
};

/// A node's usual port, ten thousand above.
const LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 18545);
/// Longest time to an answer: wallets wait longer, people do not.
const DEADLINE: Duration = Duration::from_secs(10);
/// Longest time of one upstream: a second, a third and a fourth can be asked within the deadline; of a shorter deadline a third.
const ATTEMPT: Duration = Duration::from_millis(2500);
/// MiB that are kept of answers.
const CACHE_MIB: usize = 64;
/// Most calls in a batch that can be asked for.
const MOST_IN_BATCH: usize = 1000;
/// Fewest characters of a token that cannot be guessed.
const TOKEN_CHARS: usize = 16;

/// What else the section is checked against.
#[derive(Clone, Copy)]
pub(super) struct RpcContext<'a> {
    /// The folder of the file.
    pub(super) folder: &'a Path,
    /// The chain.
    pub(super) spec: &'a ChainSpec,
    /// `[[nodes]]`, which upstreams may name.
    pub(super) nodes: &'a [NodeSettings],
}

/// Checks the section.
pub(super) fn rpc(raw: RawRpc, around: &RpcContext<'_>, checker: &mut Checker) -> Option<RpcSettings> {
    let RpcContext { folder, spec, nodes } = *around;
    let listen = checker.address("rpc.listen", raw.listen.as_ref(), LISTEN.into());
    let deadline = checker.millis("rpc.deadline_ms", raw.deadline_ms, DEADLINE);
    let attempt = checker.millis("rpc.attempt_ms", raw.attempt_ms, ATTEMPT.min(third(deadline)));
    if attempt > deadline {
        checker.contradicts(
            "rpc.attempt_ms",
            "rpc.deadline_ms",
            format!("{} is more than deadline_ms, which is {}", attempt.as_millis(), deadline.as_millis()),
            "give one upstream less time than all of them together",
        );
    } else if attempt * 2 > deadline && raw.upstreams.len() > 1 {
        checker.warn(format!(
            "[rpc] attempt_ms = {} is more than half of deadline_ms = {}: when one upstream does not answer, there is no time to ask another; \
             leave attempt_ms out, or raise deadline_ms",
            attempt.as_millis(),
            deadline.as_millis()
        ));
    }
    let chain_id = raw.chain_id.or(spec.chain_id);
    if chain_id.is_none() {
        let message = "is missing, and the network's spec has no DEPOSIT_CHAIN_ID: nodes of other chains could not be told";
        checker.wrong("rpc.chain_id", message, "write what eth_chainId answers, as a decimal number");
    }
    let block_time =
        checker.millis("rpc.block_time_ms", raw.block_time_ms, Duration::from_millis(spec.slot_ms));
    let limits = limits(&raw, checker);
    let tokens = tokens(raw.tokens_file.as_ref(), folder, checker);
    let allowed_hosts = hosts("rpc.allowed_hosts", &raw.allowed_hosts, checker);
    let allowed_origins = origins(&raw.allowed_origins, checker);
    if !listen.ip().is_loopback() && tokens.is_empty() {
        checker.warn(format!(
            "[rpc] listen = \"{listen}\" can be reached from other machines and there is no tokens_file: whoever reaches it uses your nodes \
             and what you pay providers for; give tokens_file, or listen on 127.0.0.1"
        ));
    }
    if tokens.is_empty() && allowed_origins.iter().any(|origin| origin == "*") {
        checker.warn(
            "[rpc] allowed_origins = [\"*\"] without tokens_file: every web page that somebody with access to this port opens uses your nodes \
             and what you pay providers for; name the pages, or give tokens_file",
        );
    }
    let settings = RpcSettings {
        listen,
        chain_id: chain_id.unwrap_or_default(),
        block_time,
        upstreams: upstreams(raw.upstreams, &UpstreamContext { folder, listen, nodes, chain_id }, checker),
        health: health(&raw.health, checker),
        methods: MethodPolicy {
            allow: methods("rpc.allow_methods", raw.allow_methods, checker),
            deny: methods("rpc.deny_methods", raw.deny_methods, checker),
        },
        deadline,
        attempt,
        hedge: raw.hedge.unwrap_or(false),
        send_to_backups: raw.send_to_backups.unwrap_or(false),
        cache: CacheSettings { max_bytes: raw.cache_mib.unwrap_or(CACHE_MIB).saturating_mul(1 << 20) },
        limits,
        tokens,
        allowed_hosts,
        allowed_origins,
    };
    if settings.upstreams.is_empty() || chain_id.is_none() { None } else { Some(settings) }
}

/// Of a time a third, in whole milliseconds, as people are told it.
fn third(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis() / 3).unwrap_or(u64::MAX).max(1))
}

fn limits(raw: &RawRpc, checker: &mut Checker) -> ClientLimits {
    let default = ClientLimits::default();
    let mut positive = |key: &str, value: Option<usize>, default: usize| {
        if value == Some(0) {
            checker.wrong(
                &format!("rpc.{key}"),
                "0 would refuse everything",
                format!("the default is {default}"),
            );
        }
        value.filter(|value| *value > 0).unwrap_or(default)
    };
    let limits = ClientLimits {
        max_requests_per_second: raw.max_requests_per_second.unwrap_or(default.max_requests_per_second),
        burst: raw.burst.unwrap_or(default.burst),
        max_batch: positive("max_batch", raw.max_batch, default.max_batch),
        max_body_bytes: positive("max_body_bytes", raw.max_body_bytes, default.max_body_bytes),
        max_answer_bytes: positive("max_answer_bytes", raw.max_answer_bytes, default.max_answer_bytes),
        max_in_flight: positive("max_in_flight", raw.max_in_flight, default.max_in_flight),
        max_websockets: raw.max_websockets.unwrap_or(default.max_websockets),
        max_websockets_per_client: positive(
            "max_websockets_per_client",
            raw.max_websockets_per_client,
            default.max_websockets_per_client,
        ),
        max_subscriptions: raw.max_subscriptions.unwrap_or(default.max_subscriptions),
        max_waiting: positive("max_waiting", raw.max_waiting, default.max_waiting),
    };
    if limits.max_batch > MOST_IN_BATCH {
        let message = format!("{} is more than {MOST_IN_BATCH}, which is what nodes take", limits.max_batch);
        checker.wrong("rpc.max_batch", message, format!("write {MOST_IN_BATCH} or less"));
    }
    if raw.burst.is_some() && limits.max_requests_per_second == 0 {
        checker.wrong(
            "rpc.burst",
            "there is no rate that it could go above",
            "give max_requests_per_second as well, or leave it out",
        );
    }
    limits
}

fn health(raw: &RawRpcHealth, checker: &mut Checker) -> HealthPolicy {
    let default = HealthPolicy::default();
    let secs = |value: Option<u64>, default: Duration| value.map_or(default, Duration::from_secs);
    let policy = HealthPolicy {
        fail: raw.fail.unwrap_or(default.fail),
        rise: raw.rise.unwrap_or(default.rise),
        lag_blocks: raw.lag_blocks.unwrap_or(default.lag_blocks),
        down_blocks: raw.down_blocks.unwrap_or(default.down_blocks),
        lag_age: secs(raw.lag_secs, default.lag_age),
        down_age: secs(raw.down_secs, default.down_age),
        max_future: secs(raw.max_future_secs, default.max_future),
        failback_after: secs(raw.failback_secs, default.failback_after),
        min_peers: raw.min_peers.unwrap_or(default.min_peers),
    };
    for (key, value) in [("fail", policy.fail), ("rise", policy.rise)] {
        if value == 0 {
            checker.wrong(&format!("rpc.health.{key}"), "0 probes decide nothing", "write 1 or more");
        }
    }
    let pairs = [
        ("lag_blocks", policy.lag_blocks, "down_blocks", policy.down_blocks),
        ("lag_secs", policy.lag_age.as_secs(), "down_secs", policy.down_age.as_secs()),
    ];
    for (low, lagging, high, down) in pairs {
        if lagging == 0 {
            let message = "0 would find every node lagging";
            checker.wrong(&format!("rpc.health.{low}"), message, "write 1 or more");
        } else if lagging > down {
            checker.contradicts(
                &format!("rpc.health.{low}"),
                &format!("rpc.health.{high}"),
                format!("{lagging} is more than {high}, which is {down}"),
                "a node lags before it is down",
            );
        }
    }
    policy
}

/// Origins of web pages: scheme, host and port, or `*`.
fn origins(texts: &[String], checker: &mut Checker) -> Vec<String> {
    let read = |(index, text): (usize, &String)| {
        if text == "*" {
            return Some(text.clone());
        }
        let origin = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.host().is_some()
                && url.path() == "/"
                && url.query().is_none()
                && url.username().is_empty()
        });
        if origin.is_none() {
            let hint =
                "write scheme, host and port, such as \"https://app.example.com\", or \"*\" for every page";
            checker.wrong(&format!("rpc.allowed_origins[{index}]"), format!("`{text}` is no origin"), hint);
        }
        origin.map(|url| url.origin().ascii_serialization())
    };
    texts.iter().enumerate().filter_map(read).collect()
}

/// A name and a token a line.
fn tokens(file: Option<&String>, folder: &Path, checker: &mut Checker) -> Vec<(String, Secret)> {
    const KEY: &str = "rpc.tokens_file";
    let Some(file) = file else { return Vec::new() };
    let path = folder.join(file);
    let Some(text) = checker.include(KEY, path.clone()) else { return Vec::new() };
    checker.note_secret(&path);
    let mut tokens: Vec<(String, Secret)> = Vec::new();
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let mut wrong = |what: &str| {
            let hint =
                "each line is a name and a token, such as: wallet 8f3c…; a token: openssl rand -hex 32";
            checker.wrong(KEY, format!("{}, line {number}: {what}", path.display()), hint);
        };
        let mut words = line.split_whitespace();
        let (Some(name), Some(token), None) = (words.next(), words.next(), words.next()) else {
            wrong("expected a name and a token");
            continue;
        };
        if UpstreamId::parse(name).is_none() || name == "relaymux" {
            wrong(
                "the name must be 1 to 64 letters, digits, - _ . and not relaymux, which is the service's own",
            );
        } else if token.len() < TOKEN_CHARS || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            wrong("the token can be guessed, or not be sent: it needs 16 characters or more");
        } else if tokens.iter().any(|(known, other)| known == name || other.0 == token) {
            wrong("its name or token is there twice");
        } else {
            tokens.push((name.to_owned(), Secret(token.to_owned())));
        }
    }
    if tokens.is_empty() {
        checker.wrong(KEY, format!("{} has no tokens", path.display()), "leave it out if nobody needs one");
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, gateway::Tier};

    const RELAY: &str = "[[relays]]\nid = \"a\"\nurl = \"https://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@relay.example\"\n";
    const NODE: &str = "[[rpc.upstreams]]\nid = \"geth\"\nurl = \"http://127.0.0.1:8545\"\n";

    fn parse(folder: &Path, text: &str) -> Config {
        Config::parse(&format!("{RELAY}{text}"), &folder.join("relays.toml"), &[], &[])
            .unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn one_upstream_is_enough_and_the_rest_has_defaults() {
        let config = parse(Path::new(""), NODE);
        let rpc = config.rpc.unwrap();
        assert_eq!((rpc.listen.to_string().as_str(), rpc.chain_id), ("127.0.0.1:18545", 1));
        assert_eq!((rpc.block_time, rpc.deadline, rpc.attempt), (Duration::from_secs(12), DEADLINE, ATTEMPT));
        assert_eq!((rpc.health, rpc.limits), (HealthPolicy::default(), ClientLimits::default()));
        assert_eq!(
            (rpc.upstreams[0].tier, rpc.upstreams[0].probe_every),
            (Tier::Primary, Duration::from_secs(3))
        );
        assert!(config.execution.is_none() && !config.execution_by_gateway);
    }

    #[test]
    fn what_is_likely_a_mistake_is_a_warning() {
        let two = format!(
            "{NODE}ws_url = \"ws://127.0.0.1:1\"\n{}",
            NODE.replace("geth", "reth").replace("8545", "8547")
        );
        for (text, want) in [
            (format!("[rpc]\ndeadline_ms = 900\n{two}"), None),
            (format!("[rpc]\ndeadline_ms = 900\nattempt_ms = 450\n{two}"), None),
            (format!("[rpc]\ndeadline_ms = 900\nattempt_ms = 451\n{two}"), Some("no time to ask another")),
            (format!("[rpc]\ndeadline_ms = 900\nattempt_ms = 451\n{NODE}"), None),
            (format!("[rpc]\nallowed_origins = [\"*\"]\n{NODE}"), Some("every web page")),
            (format!("[rpc]\nallowed_origins = [\"https://a.example\"]\n{NODE}"), None),
            (format!("{two}ws_url = \"ws://127.0.0.1:1\"\n"), Some("geth and reth have one ws_url")),
        ] {
            let config = parse(Path::new(""), &text);
            assert!(config.rpc.unwrap().attempt <= Duration::from_millis(2500));
            let warnings = config.warnings.join("\n");
            match want {
                Some(want) => assert!(warnings.contains(want), "{text}: {warnings}"),
                None => assert!(
                    !["no time", "web page", "one ws_url"].iter().any(|part| warnings.contains(part)),
                    "{text}: {warnings}"
                ),
            }
        }
    }

    #[test]
    fn headers_that_are_the_connection_s_own_are_refused() {
        for name in ["host", "Content-Length", "connection", "transfer-encoding"] {
            let text = format!("{RELAY}{NODE}headers = {{ {name} = \"x\" }}\n");
            let error = Config::parse(&text, Path::new("relays.toml"), &[], &[]).unwrap_err().to_string();
            assert!(error.contains(&format!("rpc.upstreams[0].headers.{name}")), "{error}");
        }
    }

    #[test]
    fn every_key_has_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("tokens", "# who\n\nwallet 0123456789abcdef\n l2\tfedcba9876543210 \n");
        write("url", "wss://key.example/v3/secret\n");
        write("auth", "Bearer abc\n");
        let config = parse(
            folder.path(),
            "[execution]\n[rpc]\nlisten = \"0.0.0.0:1\"\nchain_id = 7\nblock_time_ms = 2000\ndeadline_ms = 1000\nhedge = true\n\
             cache_mib = 0\nmax_batch = 1000\nmax_requests_per_second = 5\nburst = 2\ntokens_file = \"tokens\"\n\
             allowed_origins = [\"https://App.example/\", \"*\"]\nallow_methods = [\"trace_*\"]\nhealth = { lag_blocks = 9, failback_secs = 5 }\n\
             [[rpc.upstreams]]\nid = \"paid\"\nurl = \"https://key.example/v3/secret\"\nws_url_file = \"url\"\ntier = \"backup\"\n\
             headers = { x-key = \"s3cret\" }\nauthorization_file = \"auth\"\nmax_requests_per_day = 100\nmethods = [\"eth_*\"]\n",
        );
        let rpc = config.rpc.unwrap();
        assert_eq!((rpc.chain_id, rpc.attempt, rpc.cache.max_bytes), (7, Duration::from_millis(333), 0));
        assert_eq!((rpc.health.lag_blocks, rpc.health.failback_after), (9, Duration::from_secs(5)));
        let names: Vec<&str> = rpc.tokens.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, rpc.tokens[1].1.0.as_str()), (vec!["wallet", "l2"], "fedcba9876543210"));
        assert_eq!(rpc.allowed_origins, ["https://app.example", "*"]);
        let paid = &rpc.upstreams[0];
        assert_eq!(
            (paid.headers["x-key"].as_bytes(), paid.headers["authorization"].as_bytes()),
            (&b"s3cret"[..], &b"Bearer abc"[..])
        );
        assert_eq!(
            (paid.ws_url.as_ref().unwrap().scheme(), paid.probe_every),
            ("wss", Duration::from_secs(15))
        );
        assert!(!format!("{:?}", paid.headers).contains("s3cret"));
        assert!(config.execution_by_gateway);
        assert_eq!(config.execution.unwrap().as_str(), "http://127.0.0.1:1/");
        // Nobody's key is in a warning: all are backups, and probes take more than the day has.
        let warnings = config.warnings.join("\n");
        assert!(warnings.contains("is a backup") && warnings.contains("raise probe_ms"), "{warnings}");
        assert!(!warnings.contains("secret"), "{warnings}");
    }
}
