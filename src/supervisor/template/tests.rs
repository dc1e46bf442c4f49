//! What each kind is started with, as a whole; and what no template ever does, whatever its keys are.

use std::{path::PathBuf, time::Duration};

use proptest::prelude::*;
use url::Url;

use super::*;
use crate::supervisor::{Image, LaunchSpec, Limits, Network, NodeKind};

const SECRET: &str = "/srv/secrets/jwt.hex";

fn url(text: &str) -> Option<Url> {
    Some(text.parse().unwrap())
}

/// A node with everything that its kind needs.
fn template(kind: NodeKind, image: &str) -> Template {
    Template {
        kind,
        image: Image::parse(image).unwrap(),
        container: kind.label().to_owned(),
        chain: kind.usual_chain("mainnet").map(str::to_owned),
        data: Some("/data/it".into()),
        jwt_file: Some(SECRET.into()),
        user: (1000, 1000),
        engine_url: url("http://el:8551"),
        parent_url: url("http://geth:8545"),
        beacon_url: url("http://cl:5052"),
        checkpoint_url: None,
        sequencer_url: None,
        ports: NodePorts { rpc: Some(18545), ..NodePorts::default() },
        command: None,
        args: Vec::new(),
        env: Vec::new(),
        limits: Limits { memory: Some(12 << 30), ..Limits::default() },
        stop_grace: Duration::from_secs(300),
    }
}

/// All of it but the limits, a line each.
fn shown(spec: &LaunchSpec) -> String {
    let mut lines = vec![format!("image {}", spec.image), format!("user {}:{}", spec.user.0, spec.user.1)];
    lines.extend(spec.entrypoint.iter().map(|program| format!("entrypoint {program}")));
    lines.extend(spec.args.iter().cloned());
    lines.extend(spec.env.iter().map(|(name, value)| format!("env {name}={value}")));
    for mount in &spec.mounts {
        let mode = if mount.read_only { "ro" } else { "rw" };
        lines.push(format!("mount {}:{}:{mode}", mount.source.display(), mount.target));
    }
    for port in &spec.ports {
        lines.push(format!("port {}:{}:{}/{}", port.host, port.host_port, port.port, port.protocol));
    }
    lines.extend(spec.networks.iter().map(|network| format!("network {network}")));
    lines.join("\n")
}

#[track_caller]
fn golden(template: &Template, want: &str) {
    let spec = launch(template).unwrap_or_else(|lacks| panic!("{lacks:?}"));
    let want: Vec<&str> = want.trim().lines().map(str::trim).collect();
    assert_eq!(shown(&spec), want.join("\n"));
    assert_eq!((&spec.limits, spec.stop_grace), (&template.limits, template.stop_grace));
    assert_eq!(spec.tmpfs, []);
}

#[test]
fn geth() {
    golden(
        &template(NodeKind::Geth, "ethereum/client-go:v1.16.7"),
        "image ethereum/client-go:v1.16.7
         user 1000:1000
         --mainnet
         --datadir=/data
         --syncmode=snap
         --cache=4096
         --ipcdisable
         --http
         --http.addr=0.0.0.0
         --http.port=8545
         --http.api=eth,net,web3
         --http.vhosts=localhost,geth
         --authrpc.addr=0.0.0.0
         --authrpc.port=8551
         --authrpc.vhosts=localhost,geth
         --authrpc.jwtsecret=/jwt
         --metrics
         --metrics.addr=0.0.0.0
         --metrics.port=6060
         --port=30303
         --discovery.port=30303
         mount /data/it:/data:rw
         mount /srv/secrets/jwt.hex:/jwt:ro
         port 127.0.0.1:18545:8545/tcp
         port 0.0.0.0:30303:30303/tcp
         port 0.0.0.0:30303:30303/udp
         network relaymux-internal
         network relaymux-p2p",
    );
}

#[test]
fn geth_with_everything_that_can_be_said() {
    let full = Template {
        container: "replica".to_owned(),
        chain: Some("hoodi".to_owned()),
        user: (2000, 3000),
        ports: NodePorts {
            rpc: Some(8547),
            ws: Some(8548),
            engine: Some(8561),
            metrics: Some(6070),
            p2p: Some(30304),
        },
        args: vec!["--maxpeers=20".to_owned()],
        env: vec![("GOGC".to_owned(), "50".to_owned())],
        limits: Limits { memory: Some(8 << 30), ..Limits::default() },
        ..template(NodeKind::Geth, "ethereum/client-go:v1.16.7")
    };
    golden(
        &full,
        "image ethereum/client-go:v1.16.7
         user 2000:3000
         --hoodi
         --datadir=/data
         --syncmode=snap
         --cache=2048
         --ipcdisable
         --http
         --http.addr=0.0.0.0
         --http.port=8545
         --http.api=eth,net,web3
         --http.vhosts=localhost,replica
         --ws
         --ws.addr=0.0.0.0
         --ws.port=8546
         --ws.api=eth,net,web3
         --authrpc.addr=0.0.0.0
         --authrpc.port=8551
         --authrpc.vhosts=localhost,replica
         --authrpc.jwtsecret=/jwt
         --metrics
         --metrics.addr=0.0.0.0
         --metrics.port=6060
         --port=30304
         --discovery.port=30304
         --maxpeers=20
         env GOGC=50
         mount /data/it:/data:rw
         mount /srv/secrets/jwt.hex:/jwt:ro
         port 127.0.0.1:8547:8545/tcp
         port 127.0.0.1:8548:8546/tcp
         port 127.0.0.1:8561:8551/tcp
         port 127.0.0.1:6070:6060/tcp
         port 0.0.0.0:30304:30304/tcp
         port 0.0.0.0:30304:30304/udp
         network relaymux-internal
         network relaymux-p2p",
    );
}

#[test]
fn reth() {
    golden(
        &template(NodeKind::Reth, "ghcr.io/paradigmxyz/reth:v1.9.3"),
        "image ghcr.io/paradigmxyz/reth:v1.9.3
         user 1000:1000
         node
         --chain=mainnet
         --datadir=/data
         --full
         --log.file.max-files=0
         --ipcdisable
         --http
         --http.addr=0.0.0.0
         --http.port=8545
         --http.api=eth,net,web3
         --authrpc.addr=0.0.0.0
         --authrpc.port=8551
         --authrpc.jwtsecret=/jwt
         --metrics=0.0.0.0:9001
         --port=30303
         --discovery.port=30303
         mount /data/it:/data:rw
         mount /srv/secrets/jwt.hex:/jwt:ro
         port 127.0.0.1:18545:8545/tcp
         port 0.0.0.0:30303:30303/tcp
         port 0.0.0.0:30303:30303/udp
         network relaymux-internal
         network relaymux-p2p",
    );
}

/// The flags of the operator's roadmap, put right.
#[test]
fn nitro() {
    golden(
        &Template {
            ports: NodePorts { rpc: Some(8547), ..NodePorts::default() },
            ..template(NodeKind::Nitro, "offchainlabs/nitro-node:v3.11.4-7d5ac27")
        },
        "image offchainlabs/nitro-node:v3.11.4-7d5ac27
         user 1000:1000
         --parent-chain.connection.url=http://geth:8545
         --parent-chain.blob-client.beacon-url=http://cl:5052
         --chain.id=42161
         --init.latest=pruned
         --init.download-path=/home/user/.arbitrum
         --http.api=net,web3,eth,arb
         --http.addr=0.0.0.0
         --http.port=8547
         --http.vhosts=*
         --metrics
         --metrics-server.addr=0.0.0.0
         --metrics-server.port=6070
         mount /data/it:/home/user/.arbitrum:rw
         mount /srv/secrets/jwt.hex:/jwt:ro
         port 127.0.0.1:8547:8547/tcp
         network relaymux-internal
         network relaymux-p2p",
    );
}

#[test]
fn op_node_and_op_reth() {
    golden(
        &template(NodeKind::OpReth, "us-docker.pkg.dev/oplabs-tools-artifacts/images/op-reth:v1.9.3"),
        "image us-docker.pkg.dev/oplabs-tools-artifacts/images/op-reth:v1.9.3
         user 1000:1000
         node
         --chain=optimism
         --datadir=/data
         --log.file.max-files=0
         --ipcdisable
         --http
         --http.addr=0.0.0.0
         --http.port=8545
         --ws
         --ws.addr=0.0.0.0
         --ws.port=8546
         --authrpc.addr=0.0.0.0
         --authrpc.port=8551
         --authrpc.jwtsecret=/jwt
         --rollup.sequencer-http=https://mainnet-sequencer.optimism.io
         --metrics=0.0.0.0:9001
         --port=30303
         --discovery.port=30303
         mount /data/it:/data:rw
         mount /srv/secrets/jwt.hex:/jwt:ro
         port 127.0.0.1:18545:8545/tcp
         port 0.0.0.0:30303:30303/tcp
         port 0.0.0.0:30303:30303/udp
         network relaymux-internal
         network relaymux-p2p",
    );
    golden(
        &template(NodeKind::OpNode, "us-docker.pkg.dev/oplabs-tools-artifacts/images/op-node:v1.16.2"),
        "image us-docker.pkg.dev/oplabs-tools-artifacts/images/op-node:v1.16.2
         user 1000:1000
         entrypoint op-node
         --network=op-mainnet
         --l1=http://geth:8545
         --l1.rpckind=standard
         --l1.beacon=http://cl:5052
         --l2=http://el:8551
         --l2.jwt-secret=/jwt
         --l2.enginekind=reth
         --syncmode=execution-layer
         --rpc.addr=0.0.0.0
         --rpc.port=9545
         --metrics.enabled
         --metrics.addr=0.0.0.0
         --metrics.port=7300
         --p2p.listen.tcp=9222
         --p2p.listen.udp=9222
         --p2p.priv.path=/data/p2p_priv.txt
         --p2p.peerstore.path=/data/peerstore
         --p2p.discovery.path=/data/discovery
         mount /data/it:/data:rw
         mount /srv/secrets/jwt.hex:/jwt:ro
         port 127.0.0.1:18545:9545/tcp
         port 0.0.0.0:9222:9222/tcp
         port 0.0.0.0:9222:9222/udp
         network relaymux-internal
         network relaymux-p2p",
    );
}

#[test]
fn solana_test_validator_and_generic() {
    golden(
        &template(NodeKind::SolanaTestValidator, "anzaxyz/agave:v3.0.10"),
        "image anzaxyz/agave:v3.0.10
         user 1000:1000
         entrypoint solana-test-validator
         --ledger=/data/test-ledger
         --bind-address=0.0.0.0
         --rpc-port=8899
         --log
         mount /data/it:/data:rw
         mount /srv/secrets/jwt.hex:/jwt:ro
         port 127.0.0.1:18545:8899/tcp
         network relaymux-internal
         network relaymux-p2p",
    );
    golden(
        &Template {
            data: None,
            jwt_file: None,
            args: vec!["--verbose".to_owned()],
            ..template(NodeKind::Generic, "example/indexer:1.2")
        },
        "image example/indexer:1.2
         user 1000:1000
         --verbose
         port 127.0.0.1:18545:18545/tcp
         network relaymux-internal
         network relaymux-p2p",
    );
    golden(
        &Template {
            data: None,
            jwt_file: None,
            ports: NodePorts::default(),
            ..template(NodeKind::Generic, "example/indexer:1.2")
        },
        "image example/indexer:1.2
         user 1000:1000
         network relaymux-internal",
    );
}

/// The arguments of a beacon node by its image, with a checkpoint where it takes one.
fn beacon_args(image: &str, checkpoint: Option<&str>) -> LaunchSpec {
    let template = Template {
        checkpoint_url: checkpoint.and_then(url),
        ports: NodePorts { rpc: Some(5052), ..NodePorts::default() },
        ..template(NodeKind::Beacon, image)
    };
    launch(&template).unwrap_or_else(|lacks| panic!("{lacks:?}"))
}

#[test]
fn beacon_nodes_by_their_client() {
    const CHECKPOINT: Option<&str> = Some("https://sync.example");
    for (image, checkpoint, entrypoint, want) in [
        (
            "sigp/lighthouse:v8.0.1",
            CHECKPOINT,
            Some("lighthouse"),
            "bn --network=mainnet --datadir=/data --execution-endpoint=http://el:8551 --execution-jwt=/jwt --http --http-address=0.0.0.0 \
             --http-port=5052 --metrics --metrics-address=0.0.0.0 --metrics-port=5054 --port=9000 --quic-port=9001 --disable-upnp \
             --checkpoint-sync-url=https://sync.example",
        ),
        (
            "gcr.io/offchainlabs/prysm/beacon-chain:v7.1.0",
            CHECKPOINT,
            None,
            "--accept-terms-of-use --mainnet --datadir=/data --execution-endpoint=http://el:8551 --jwt-secret=/jwt --http-host=0.0.0.0 \
             --http-port=5052 --monitoring-host=0.0.0.0 --monitoring-port=5054 --p2p-tcp-port=9000 --p2p-udp-port=9000 --p2p-quic-port=9001 \
             --checkpoint-sync-url=https://sync.example --genesis-beacon-api-url=https://sync.example",
        ),
        (
            "consensys/teku:25.11.0",
            CHECKPOINT,
            None,
            "--network=mainnet --data-path=/data --ee-endpoint=http://el:8551 --ee-jwt-secret-file=/jwt --rest-api-enabled=true \
             --rest-api-interface=0.0.0.0 --rest-api-port=5052 --rest-api-host-allowlist=127.0.0.1,localhost,beacon --metrics-enabled=true \
             --metrics-interface=0.0.0.0 --metrics-port=5054 --metrics-host-allowlist=127.0.0.1,localhost,beacon --p2p-port=9000 \
             --log-destination=CONSOLE --checkpoint-sync-url=https://sync.example",
        ),
        (
            "statusim/nimbus-eth2:multiarch-v25.11.0",
            None,
            None,
            "--network=mainnet --data-dir=/data --el=http://el:8551 --jwt-secret=/jwt --rest --rest-address=0.0.0.0 --rest-port=5052 --metrics \
             --metrics-address=0.0.0.0 --metrics-port=5054 --tcp-port=9000 --udp-port=9000 --non-interactive",
        ),
        (
            "chainsafe/lodestar:v1.36.0",
            CHECKPOINT,
            None,
            "beacon --network=mainnet --dataDir=/data --execution.urls=http://el:8551 --jwtSecret=/jwt --rest --rest.address=0.0.0.0 \
             --rest.port=5052 --metrics --metrics.address=0.0.0.0 --metrics.port=5054 --port=9000 --checkpointSyncUrl=https://sync.example",
        ),
        (
            "sifrai/grandine:2.0.1",
            CHECKPOINT,
            None,
            "--network=mainnet --data-dir=/data --eth1-rpc-urls=http://el:8551 --jwt-secret=/jwt --http-address=0.0.0.0 --http-port=5052 \
             --metrics --metrics-address=0.0.0.0 --metrics-port=5054 --libp2p-port=9000 --discovery-port=9000 --quic-port=9001 \
             --checkpoint-sync-url=https://sync.example",
        ),
    ] {
        let spec = beacon_args(image, checkpoint);
        assert_eq!(spec.args.join(" "), want, "{image}");
        assert_eq!(spec.entrypoint.as_deref(), entrypoint, "{image}");
        assert_eq!(spec.env.is_empty(), !image.contains("teku"), "{image}");
        let ports: Vec<String> = spec
            .ports
            .iter()
            .map(|port| format!("{}:{}/{}", port.host, port.host_port, port.protocol))
            .collect();
        let quic = want.contains("quic");
        assert_eq!(ports.len(), if quic { 4 } else { 3 }, "{image}: {ports:?}");
        assert_eq!(ports[..3], ["127.0.0.1:5052/tcp", "0.0.0.0:9000/tcp", "0.0.0.0:9000/udp"], "{image}");
    }
}

#[test]
fn what_a_kind_lacks_is_said_key_by_key() {
    let bare = |kind, image| Template {
        chain: None,
        data: None,
        jwt_file: None,
        engine_url: None,
        parent_url: None,
        beacon_url: None,
        ..template(kind, image)
    };
    for (kind, image, want) in [
        (NodeKind::Geth, "geth:v1", &["data", "jwt_file"][..]),
        (NodeKind::Reth, "reth:v1", &["data", "jwt_file"]),
        (NodeKind::Beacon, "lighthouse:v1", &["data", "jwt_file", "engine_url"]),
        (NodeKind::Beacon, "caplin:v1", &["data", "jwt_file", "engine_url", "image"]),
        (NodeKind::Nitro, "nitro:v1", &["data", "parent_url", "beacon_url", "network"]),
        (NodeKind::OpReth, "op-reth:v1", &["data", "jwt_file", "network"]),
        (
            NodeKind::OpNode,
            "op-node:v1",
            &["jwt_file", "data", "parent_url", "beacon_url", "engine_url", "network"],
        ),
        (NodeKind::Agave, "agave:v1", &["image"]),
        (NodeKind::SolanaTestValidator, "agave:v1", &["data"]),
        (NodeKind::Generic, "x:v1", &[]),
    ] {
        let bare = bare(kind, image);
        let lacks = launch(&bare).err().unwrap_or_default();
        assert_eq!(lacks.iter().map(|lack| lack.key).collect::<Vec<_>>(), want, "{kind}");
        assert!(lacks.iter().all(|lack| !lack.message.is_empty() && !lack.hint.is_empty()));
        // With a command of the operator's own, none of it is needed.
        let own = Template { command: Some(vec!["run".to_owned()]), ..bare };
        assert_eq!(launch(&own).unwrap().args, ["run"], "{kind}");
    }
    let nimbus = Template { checkpoint_url: url("https://x"), ..template(NodeKind::Beacon, "nimbus:v1") };
    assert_eq!(launch(&nimbus).unwrap_err()[0].key, "checkpoint_url");
    let elsewhere = Template { chain: Some("gnosis".to_owned()), ..template(NodeKind::Geth, "geth:v1") };
    assert_eq!(launch(&elsewhere).unwrap_err()[0].key, "network");
}

#[test]
fn a_second_layer_is_named_as_each_client_names_it() {
    for (kind, chain, want, id) in [
        (NodeKind::OpReth, "base-mainnet", "--chain=base", Some(8453)),
        (NodeKind::OpReth, "ink-mainnet", "--chain=ink-mainnet", None),
        (NodeKind::OpNode, "base-mainnet", "--network=base-mainnet", None),
        (NodeKind::Nitro, "nova", "--chain.id=42170", Some(42_170)),
        (NodeKind::Nitro, "412346", "--chain.id=412346", Some(412_346)),
        (NodeKind::Geth, "sepolia", "--sepolia", Some(11_155_111)),
    ] {
        let template = Template { chain: Some(chain.to_owned()), ..template(kind, "x:v1") };
        let args = launch(&template).unwrap().args;
        assert!(args.iter().any(|arg| arg == want), "{args:?}");
        assert_eq!(chain_id(kind, chain), id, "{chain}");
        // A chain that nobody publishes snapshots of begins at its own genesis.
        assert_eq!(args.iter().any(|arg| arg.starts_with("--init.")), chain == "nova", "{args:?}");
        // Nor is its sequencer known.
        let has_sequencer = args.iter().any(|arg| arg.contains("rollup.sequencer"));
        assert_eq!(has_sequencer, (kind, chain) == (NodeKind::OpReth, "base-mainnet"));
    }
}

fn kinds() -> impl Strategy<Value = NodeKind> {
    prop::sample::select(NodeKind::ALL.to_vec())
}

fn ports() -> impl Strategy<Value = NodePorts> {
    let port = || prop::option::of(1_u16..);
    (port(), port(), port(), port(), port()).prop_map(|(rpc, ws, engine, metrics, p2p)| NodePorts {
        rpc,
        ws,
        engine,
        metrics,
        p2p,
    })
}

proptest! {
    /// Whatever the keys: only peers reach a port from outside, the image is pinned, the engine's secret and whatever else is on the host is only
    /// where a mount puts it, and what can be written is a mount.
    #[test]
    fn no_template_opens_or_tells_what_it_should_not(
        kind in kinds(),
        image in prop::sample::select(vec!["sigp/lighthouse:v8", "consensys/teku:25.1", "nimbus:v1", "prysm:v1", "lodestar:v1", "grandine:v1"]),
        ports in ports(),
        command in prop::option::of(Just(vec!["run".to_owned()])),
        (data, jwt) in (any::<bool>(), any::<bool>()),
        memory in prop::option::of(any::<u64>()),
    ) {
        let template = Template {
            ports,
            command: command.or_else(|| (kind == NodeKind::Agave).then(Vec::new)),
            data: data.then(|| PathBuf::from("/data/it")),
            jwt_file: jwt.then(|| PathBuf::from(SECRET)),
            limits: Limits { memory, ..Limits::default() },
            ..template(kind, image)
        };
        let Ok(spec) = launch(&template) else { return Ok(()) };
        prop_assert!(Image::parse(&spec.image).is_ok());
        prop_assert_ne!(spec.user.0, 0);
        let p2p: Vec<String> = spec.args.iter().filter(|arg| arg.contains("port") || arg.contains("p2p")).cloned().collect();
        for port in &spec.ports {
            let is_of_the_operator = [ports.rpc, ports.ws, ports.engine, ports.metrics].contains(&Some(port.host_port));
            if port.host.is_loopback() {
                prop_assert!(is_of_the_operator, "{:?}", port);
            } else {
                prop_assert_eq!(port.host_port, port.port);
                let is_told = p2p.iter().any(|arg| arg.ends_with(&format!("={}", port.port)));
                prop_assert!(is_told || template.command.is_some() || kind == NodeKind::Generic, "{:?} {:?}", port, p2p);
                let rpc = [8545, 8546, 8547, 8548, 8551, 9545, 8899, 8900, 5052];
                prop_assert!(!rpc.contains(&port.port) || ports.p2p.is_some(), "{:?}", port);
            }
        }
        prop_assert_eq!(spec.networks.first(), Some(&Network::Internal));
        prop_assert!(spec.ports.is_empty() || spec.networks.contains(&Network::P2p));
        let words = ["SECRET", "TOKEN", "PASSWORD", "JWT", "KEY"];
        prop_assert!(spec.env.iter().all(|(name, _)| !words.iter().any(|word| name.contains(word))));
        // Nothing of the host but by its place inside.
        prop_assert!(spec.args.iter().all(|arg| !arg.contains(SECRET) && !arg.contains("/data/it")));
        for mount in &spec.mounts {
            prop_assert_eq!(mount.read_only, mount.source.as_os_str() == SECRET);
        }
        // Every path that it is told lies in a mount.
        let is_mounted = |path: &str| spec.mounts.iter().any(|mount| path == mount.target || path.starts_with(&format!("{}/", mount.target)));
        for path in spec.args.iter().filter_map(|arg| arg.split_once('=')).map(|(_, value)| value).filter(|value| value.starts_with('/')) {
            prop_assert!(is_mounted(path), "{} {:?}", path, spec.mounts);
        }
    }
}
