//! Arbitrum's node. It has no peers: it reads its chain from Ethereum, and what is newest from the sequencer's feed.

use super::{
    chain::{arbitrum_id, has_snapshot},
    input::Template,
    shape::{Lacks, Shape, address, texts},
};

/// Where the image's user has its home, and the client its data.
const DATA: &str = "/home/user/.arbitrum";

/// nitro.
pub(super) fn nitro(template: &Template, lacks: &mut Lacks) -> Shape {
    lacks.data(template);
    let parent = lacks.need(
        template.parent_url.as_ref(),
        "parent_url",
        "is missing: nitro reads its chain from Ethereum",
        "give an execution node's JSON-RPC, such as parent_url = \"http://geth-primary:8545\"",
    );
    let beacon = lacks.need(
        template.beacon_url.as_ref(),
        "beacon_url",
        "is missing: nitro ends with \"a beacon chain RPC URL is required to read batches\"",
        "give a beacon node's address, such as beacon_url = \"http://beacon:5052\"",
    );
    let chain = template.chain.as_deref().unwrap_or_default();
    let id = arbitrum_id(chain);
    if id.is_none() {
        lacks.say(
            "network",
            if chain.is_empty() {
                "is missing: which second layer is it of?".to_owned()
            } else {
                format!("`{chain}` is no chain of Arbitrum's")
            },
            "arb1, nova, arb-sepolia, or a chain's number",
        );
    }
    let mut args = vec![
        format!("--parent-chain.connection.url={}", address(parent)),
        format!("--parent-chain.blob-client.beacon-url={}", address(beacon)),
        format!("--chain.id={}", id.unwrap_or_default()),
    ];
    if has_snapshot(chain) {
        args.push("--init.latest=pruned".to_owned());
        // Else it would go to /tmp, which is memory here.
        args.push(format!("--init.download-path={DATA}"));
    }
    args.extend(texts([
        "--http.api=net,web3,eth,arb",
        "--http.addr=0.0.0.0",
        "--http.port=8547",
        // Names of the internal network, which nobody outside can make a browser ask for.
        "--http.vhosts=*",
    ]));
    if template.ports.ws.is_some() {
        args.extend(texts(["--ws.addr=0.0.0.0", "--ws.port=8548", "--ws.api=net,web3,eth,arb"]));
    }
    args.extend(texts(["--metrics", "--metrics-server.addr=0.0.0.0", "--metrics-server.port=6070"]));
    Shape { args, data: DATA, rpc: 8547, ws: Some(8548), metrics: Some(6070), ..Shape::default() }
}
