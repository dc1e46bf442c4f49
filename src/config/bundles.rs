//! `[bundles]`: from the file as written to the settings of the room `bundles`, or mistakes with their place.

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use alloy_primitives::{Address, address};

use super::{
    checker::{Checker, hosts, url},
    raw::{RawBundleBuilder, RawBundles, RawSearcher},
};
use crate::bundles::{
    Auth, Bearer, BuilderEndpoint, BundleKey, BundleSettings, DIALECTS, Dialect, FanOut, Signed,
};

/// WETH on Ethereum's mainnet.
const WETH: Address = address!("C02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2");
/// Requests of one searcher in a second, unless configured: a busy searcher's, not a runaway loop's.
const DEFAULT_RATE: u32 = 1000;

/// Open bundles of one searcher, unless configured: some 400 a second for one block each.
const DEFAULT_OPEN: usize = 5000;
/// MiB that open bundles may hold, unless configured.
const DEFAULT_OPEN_MIB: usize = 128;

/// What the section needs of others.
pub(super) struct BundlesContext<'a> {
    /// The file's folder.
    pub(super) folder: &'a Path,
    /// Whether there is an execution node.
    pub(super) has_execution: bool,
    /// Whether there is a gateway, on whose listener bundles can be taken.
    pub(super) has_gateway: bool,
}

/// Checks the section.
pub(super) fn bundles(
    raw: RawBundles,
    around: &BundlesContext<'_>,
    checker: &mut Checker,
) -> Option<BundleSettings> {
    let folder = around.folder;
    if !around.has_execution {
        checker.wrong(
            "bundles",
            "needs an execution node, to know the chain's head and find bundles in blocks",
            "give [execution] url",
        );
    }
    let listen = listen(&raw, around.has_gateway, checker);
    let key = match &raw.signing_key_file {
        Some(file) => read_key(file, folder, "bundles.signing_key_file", checker),
        None => {
            checker.wrong("bundles.signing_key_file", "is missing: builders know us by it", KEY_HINT);
            None
        }
    };
    let (searchers, searcher_keys) = searchers(&raw.searchers, folder, checker);
    let builders = builders(raw.builders, folder, checker);
    let fan_out = fan_out(raw.refunds_to, &builders, checker);
    let watch: Vec<Address> = raw
        .watch
        .iter()
        .enumerate()
        .filter_map(|(index, text)| parse_address(text, &format!("bundles.watch[{index}]"), checker))
        .collect();
    let weth =
        raw.weth.as_deref().and_then(|text| parse_address(text, "bundles.weth", checker)).unwrap_or(WETH);
    let max_open_mib = raw.max_open_mib.unwrap_or(DEFAULT_OPEN_MIB);
    if max_open_mib == 0 {
        checker.wrong("bundles.max_open_mib", "0 would refuse every bundle", "write 128, or leave it out");
    }
    let poll = checker.millis("bundles.poll_ms", raw.poll_ms, Duration::from_millis(500));
    let answer_within =
        checker.millis("bundles.answer_within_ms", raw.answer_within_ms, Duration::from_millis(1000));
    Some(BundleSettings {
        listen,
        key: key?,
        searcher_keys,
        searchers,
        builders,
        fan_out,
        rate_per_searcher: raw.rate_per_searcher.unwrap_or(DEFAULT_RATE),
        max_open_per_searcher: raw.max_open_per_searcher.unwrap_or(DEFAULT_OPEN),
        max_open_bytes: max_open_mib.saturating_mul(1 << 20),
        watch,
        weth,
        simulate: raw.simulate.unwrap_or(true),
        poll,
        answer_within,
        allowed_hosts: hosts("bundles.allowed_hosts", &raw.allowed_hosts, checker),
    })
}

/// Where bundles are taken; none: on the gateway's listener.
fn listen(raw: &RawBundles, has_gateway: bool, checker: &mut Checker) -> Option<SocketAddr> {
    const HINT: &str = "write listen = \"127.0.0.1:18552\"";
    if raw.listen.is_none() && !has_gateway {
        let message = "is missing, and there is no [rpc] on whose listener bundles could be taken";
        checker.wrong("bundles.listen", message, HINT);
    }
    if raw.listen.is_none() && !raw.allowed_hosts.is_empty() {
        let message = "there is no listener that could be called by them";
        checker.wrong(
            "bundles.allowed_hosts",
            message,
            "give bundles.listen, or write them into [rpc] allowed_hosts",
        );
    }
    raw.listen
        .as_ref()
        .map(|_| checker.address("bundles.listen", raw.listen.as_ref(), ([127, 0, 0, 1], 18552).into()))
}

/// Who may send, and the keys that builders know some of them by.
fn searchers(
    raw: &[RawSearcher],
    folder: &Path,
    checker: &mut Checker,
) -> (Vec<Address>, BTreeMap<Address, BundleKey>) {
    let (mut searchers, mut keys) = (Vec::new(), BTreeMap::new());
    for (index, searcher) in raw.iter().enumerate() {
        let at = |key: &str| format!("bundles.searchers[{index}].{key}");
        let address = searcher.address.as_deref().unwrap_or_default();
        let Some(address) = parse_address(address, &at("address"), checker) else { continue };
        searchers.push(address);
        if let Some(file) = &searcher.signing_key_file
            && let Some(key) = read_key(file, folder, &at("signing_key_file"), checker)
        {
            keys.insert(address, key);
        }
    }
    (searchers, keys)
}

fn fan_out(refunds_to: Option<String>, builders: &[BuilderEndpoint], checker: &mut Checker) -> FanOut {
    let Some(id) = refunds_to else { return FanOut::All };
    if !builders.iter().any(|builder| builder.id == id) {
        let message = format!("`{id}` is not one of [[bundles.builders]]");
        checker.wrong("bundles.refunds_to", message, "name one of their ids");
    }
    FanOut::RefundsTo(id)
}

const KEY_HINT: &str = "make one with: openssl rand -hex 32 > searcher.key; chmod 600 searcher.key";

fn read_key(file: &str, folder: &Path, key: &str, checker: &mut Checker) -> Option<BundleKey> {
    let path = folder.join(file);
    let text = match checker.read(path.clone()) {
        Ok(text) => text,
        Err(error) => {
            checker.wrong(key, format!("{}: {error}", path.display()), KEY_HINT);
            return None;
        }
    };
    checker.note_secret(&path);
    BundleKey::parse(&text)
        .map_err(|error| checker.wrong(key, format!("{}: {error}", path.display()), KEY_HINT))
        .ok()
}

fn parse_address(text: &str, key: &str, checker: &mut Checker) -> Option<Address> {
    let parsed = text.parse();
    parsed
        .map_err(|_| checker.wrong(key, format!("`{text}` is no address"), "write 0x and 40 hex digits"))
        .ok()
}

fn builders(raw: Vec<RawBundleBuilder>, folder: &Path, checker: &mut Checker) -> Vec<BuilderEndpoint> {
    if raw.is_empty() {
        checker.wrong("bundles", "there are no builders", "write [[bundles.builders]] with id and url");
    }
    let mut ids = HashSet::new();
    let raw = raw.into_iter().enumerate();
    raw.filter_map(|(index, raw)| builder(raw, index, &mut ids, folder, checker)).collect()
}

/// One builder, whose id is to be none of `ids`.
fn builder(
    raw: RawBundleBuilder,
    index: usize,
    ids: &mut HashSet<String>,
    folder: &Path,
    checker: &mut Checker,
) -> Option<BuilderEndpoint> {
    let at = |key: &str| format!("bundles.builders[{index}].{key}");
    let id = raw.id.unwrap_or_default().to_lowercase();
    let is_name = !id.is_empty()
        && id.len() <= 64
        && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !is_name {
        checker.wrong(&at("id"), "expected a short name of letters, digits, - _ .", "such as \"titan\"");
    } else if !ids.insert(id.clone()) {
        checker.wrong(&at("id"), format!("`{id}` is there twice"), "give each builder a name of its own");
    }
    let url = match &raw.url {
        Some(text) => url(text, &at("url"), checker),
        None => {
            checker.wrong(&at("url"), "is missing", "such as https://rpc.titanbuilder.xyz");
            None
        }
    };
    let known: Vec<&str> = DIALECTS.iter().map(|dialect| dialect.name).collect();
    // A builder that the table knows by name needs no dialect.
    let name = raw.dialect.as_deref().unwrap_or(if known.contains(&id.as_str()) { &id } else { "common" });
    let Some(dialect) = Dialect::named(name) else {
        let hint = format!("one of {}", known.join(", "));
        checker.wrong(&at("dialect"), format!("`{name}` is not known"), hint);
        return None;
    };
    let bearer = raw.authorization_file.as_ref().and_then(|file| {
        let path = folder.join(file);
        let text = checker.include(&at("authorization_file"), path.clone())?;
        checker.secrets.push(path);
        Some(Bearer(text.trim().to_owned()))
    });
    let auth = auth(raw.signature.as_deref(), dialect.auth, &at("signature"), checker);
    if auth == Auth::Bearer && bearer.is_none() {
        let message = format!("is missing: {name} wants an Authorization header");
        checker.wrong(&at("authorization_file"), message, "a file with its value");
    }
    let rate = raw.max_requests_per_second.unwrap_or(dialect.rate);
    let on_request = raw.on_request.unwrap_or(false);
    Some(BuilderEndpoint { id, url: url?, dialect, auth, bearer, rate, on_request })
}

/// How requests to a builder are signed: as the dialect has it, where the section does not say.
fn auth(signature: Option<&str>, default: Auth, key: &str, checker: &mut Checker) -> Auth {
    match signature {
        None => default,
        Some("hash") => Auth::Signature(Signed::HashText),
        Some("body") => Auth::Signature(Signed::Body),
        Some("none") => Auth::None,
        Some(other) => {
            let hint = "hash: of the body's hash, as nearly all want it; body: of the body itself; none";
            checker.wrong(key, format!("`{other}` is not one of hash, body, none"), hint);
            default
        }
    }
}
