//! geth and reth.

use super::{
    super::launch::Protocol,
    chain::LAYER_ONE,
    input::Template,
    shape::{DATA, JWT, Lacks, Shape, texts},
};

/// geth's own cache for mainnet, in MB: more is never asked for.
const CACHE_MB: u64 = 4096;
/// The least that is worth having.
const LEAST_CACHE_MB: u64 = 512;
/// What geth takes beside twice its cache.
const BESIDE_MB: u64 = 4096;
const P2P: u16 = 30303;
/// What is served by HTTP and websocket: geth's default leaves `eth` out.
const APIS: &str = "eth,net,web3";

/// geth. Its state scheme is left to its default, path, which prunes by itself while it runs.
pub(super) fn geth(template: &Template, lacks: &mut Lacks) -> Shape {
    lacks.data(template);
    lacks.jwt(template);
    let p2p = template.ports.p2p.unwrap_or(P2P);
    // Who calls by a name must be named; calls by an address are always taken.
    let hosts = format!("localhost,{}", template.container);
    let mut args: Vec<String> =
        layer_one(template, "geth", lacks).map(|chain| format!("--{chain}")).into_iter().collect();
    args.extend([format!("--datadir={DATA}"), "--syncmode=snap".to_owned()]);
    args.extend(cache_mb(template.limits.memory).map(|cache| format!("--cache={cache}")));
    // A socket in the data folder is one more way in that nobody uses.
    args.extend(texts(["--ipcdisable", "--http", "--http.addr=0.0.0.0", "--http.port=8545"]));
    args.extend([format!("--http.api={APIS}"), format!("--http.vhosts={hosts}")]);
    if template.ports.ws.is_some() {
        args.extend(texts(["--ws", "--ws.addr=0.0.0.0", "--ws.port=8546"]));
        args.push(format!("--ws.api={APIS}"));
    }
    args.extend(texts(["--authrpc.addr=0.0.0.0", "--authrpc.port=8551"]));
    args.extend([format!("--authrpc.vhosts={hosts}"), format!("--authrpc.jwtsecret={JWT}")]);
    args.extend(texts(["--metrics", "--metrics.addr=0.0.0.0", "--metrics.port=6060"]));
    args.extend([format!("--port={p2p}"), format!("--discovery.port={p2p}")]);
    Shape { args, metrics: Some(6060), ..shape(p2p) }
}

/// Reth, as a full node: without the flag it is an archive. Its log files would lie outside the data folder: it logs to its output alone.
pub(super) fn reth(template: &Template, lacks: &mut Lacks) -> Shape {
    lacks.data(template);
    lacks.jwt(template);
    let p2p = template.ports.p2p.unwrap_or(P2P);
    let mut args = texts(["node"]);
    args.extend(layer_one(template, "reth", lacks).map(|chain| format!("--chain={chain}")));
    args.push(format!("--datadir={DATA}"));
    args.extend(texts([
        "--full",
        "--log.file.max-files=0",
        "--ipcdisable",
        "--http",
        "--http.addr=0.0.0.0",
        "--http.port=8545",
    ]));
    args.push(format!("--http.api={APIS}"));
    if template.ports.ws.is_some() {
        args.extend(texts(["--ws", "--ws.addr=0.0.0.0", "--ws.port=8546"]));
        args.push(format!("--ws.api={APIS}"));
    }
    args.extend(texts(["--authrpc.addr=0.0.0.0", "--authrpc.port=8551"]));
    args.push(format!("--authrpc.jwtsecret={JWT}"));
    args.push("--metrics=0.0.0.0:9001".to_owned());
    args.extend([format!("--port={p2p}"), format!("--discovery.port={p2p}")]);
    Shape { args, metrics: Some(9001), ..shape(p2p) }
}

/// What both have inside.
pub(super) fn shape(p2p: u16) -> Shape {
    Shape {
        data: DATA,
        rpc: 8545,
        ws: Some(8546),
        engine: Some(8551),
        p2p: vec![(p2p, Protocol::Tcp), (p2p, Protocol::Udp)],
        ..Shape::default()
    }
}

/// The chain, if the client has a name for it.
pub(super) fn layer_one<'a>(template: &'a Template, client: &str, lacks: &mut Lacks) -> Option<&'a str> {
    let chain = template.chain.as_deref()?;
    if LAYER_ONE.iter().any(|(name, _)| *name == chain) {
        return Some(chain);
    }
    lacks.say(
        "network",
        format!("`{chain}` is no network that {client} knows by name"),
        "mainnet, sepolia, hoodi or holesky; for a chain of its own give `command`",
    );
    None
}

/// The cache that fits a limit, in MB: twice of it and 4 GB are what geth takes. Without a limit, geth decides.
fn cache_mb(memory: Option<u64>) -> Option<u64> {
    let memory_mb = memory? >> 20;
    Some((memory_mb.saturating_sub(BESIDE_MB) / 2).clamp(LEAST_CACHE_MB, CACHE_MB))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_the_limit() {
        for (gib, want) in [
            (None, None),
            (Some(1), Some(512)),
            (Some(5), Some(512)),
            (Some(8), Some(2048)),
            (Some(12), Some(4096)),
            (Some(64), Some(4096)),
        ] {
            assert_eq!(cache_mb(gib.map(|gib: u64| gib << 30)), want, "{gib:?}");
        }
    }
}
