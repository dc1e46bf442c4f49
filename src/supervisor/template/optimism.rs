//! The two halves of an OP Stack node: op-reth executes, op-node follows. op-geth has ended on 2026-05-31.

use super::{
    super::launch::Protocol,
    chain::op_chain,
    execution::shape,
    input::Template,
    shape::{DATA, JWT, Lacks, Shape, address, texts},
};

const EXECUTION_P2P: u16 = 30303;
const NODE_P2P: u16 = 9222;

/// op-reth.
pub(super) fn op_reth(template: &Template, lacks: &mut Lacks) -> Shape {
    lacks.data(template);
    lacks.jwt(template);
    let p2p = template.ports.p2p.unwrap_or(EXECUTION_P2P);
    let name = chain(template, lacks);
    let known = op_chain(name);
    let mut args = texts(["node"]);
    args.push(format!("--chain={}", known.map_or(name, |chain| chain.reth)));
    args.push(format!("--datadir={DATA}"));
    // Log files would lie outside the data folder.
    args.extend(texts([
        "--log.file.max-files=0",
        "--ipcdisable",
        "--http",
        "--http.addr=0.0.0.0",
        "--http.port=8545",
        "--ws",
        "--ws.addr=0.0.0.0",
        "--ws.port=8546",
        "--authrpc.addr=0.0.0.0",
        "--authrpc.port=8551",
    ]));
    args.push(format!("--authrpc.jwtsecret={JWT}"));
    let sequencer = match (&template.sequencer_url, known) {
        (Some(url), _) => Some(address(Some(url))),
        (None, Some(chain)) => Some(chain.sequencer.to_owned()),
        (None, None) => None,
    };
    // Spelt as the OP Stack's own documentation has it; some chains' pages write `--rollup.sequencer`, which newer releases take as well.
    args.extend(sequencer.map(|url| format!("--rollup.sequencer-http={url}")));
    args.push("--metrics=0.0.0.0:9001".to_owned());
    args.extend([format!("--port={p2p}"), format!("--discovery.port={p2p}")]);
    Shape { args, metrics: Some(9001), ..shape(p2p) }
}

/// op-node. Its images start nothing by themselves.
pub(super) fn op_node(template: &Template, lacks: &mut Lacks) -> Shape {
    lacks.jwt(template);
    // Peers and its own key are kept there: it writes them beside itself otherwise, where nothing can be written.
    lacks.data(template);
    let parent = lacks.need(
        template.parent_url.as_ref(),
        "parent_url",
        "is missing: op-node reads its chain from Ethereum",
        "give an execution node's JSON-RPC, such as parent_url = \"http://geth-primary:8545\"",
    );
    let beacon = lacks.need(
        template.beacon_url.as_ref(),
        "beacon_url",
        "is missing: its chain's data are in blobs, which a beacon node keeps",
        "give a beacon node's address, such as beacon_url = \"http://beacon:5052\"",
    );
    let engine = lacks.need(
        template.engine_url.as_ref(),
        "engine_url",
        "is missing: op-node alone executes nothing, it drives an op-reth",
        "give op-reth's engine, such as engine_url = \"http://op-reth:8551\"",
    );
    let p2p = template.ports.p2p.unwrap_or(NODE_P2P);
    let mut args = vec![
        format!("--network={}", chain(template, lacks)),
        format!("--l1={}", address(parent)),
        "--l1.rpckind=standard".to_owned(),
        format!("--l1.beacon={}", address(beacon)),
        format!("--l2={}", address(engine)),
        format!("--l2.jwt-secret={JWT}"),
        "--l2.enginekind=reth".to_owned(),
        // Said, as the default is not the same in all releases. The older way by requests to consensus peers is deprecated.
        "--syncmode=execution-layer".to_owned(),
    ];
    args.extend(texts([
        "--rpc.addr=0.0.0.0",
        "--rpc.port=9545",
        "--metrics.enabled",
        "--metrics.addr=0.0.0.0",
        "--metrics.port=7300",
    ]));
    args.extend([
        format!("--p2p.listen.tcp={p2p}"),
        format!("--p2p.listen.udp={p2p}"),
        format!("--p2p.priv.path={DATA}/p2p_priv.txt"),
        format!("--p2p.peerstore.path={DATA}/peerstore"),
        format!("--p2p.discovery.path={DATA}/discovery"),
    ]);
    Shape {
        entrypoint: Some("op-node"),
        args,
        data: DATA,
        rpc: 9545,
        metrics: Some(7300),
        p2p: vec![(p2p, Protocol::Tcp), (p2p, Protocol::Udp)],
        ..Shape::default()
    }
}

fn chain<'a>(template: &'a Template, lacks: &mut Lacks) -> &'a str {
    let hint = "write the chain's name as op-node has it, such as network = \"op-mainnet\"";
    let name =
        lacks.need(template.chain.as_ref(), "network", "is missing: which second layer is it of?", hint);
    name.map_or("", String::as_str)
}
