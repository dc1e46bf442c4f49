//! What is wrong with a node's own settings: geth, nitro, op-node and the others that the audit knows.

use super::{
    client::{Client, repository, tag},
    facts::ContainerFacts,
    finding::{Finding, printable},
    relays,
    rule::Rule,
    version::Version,
};

const GIB: u64 = 1 << 30;

/// Looks at one.
pub(super) fn node(facts: &ContainerFacts) -> Vec<Finding> {
    let client = facts.client();
    let mut found = Found { facts, client, out: Vec::new() };
    found.image();
    found.memory();
    found.data();
    found.ports();
    found.engine();
    match client {
        Client::Nitro => found.nitro(),
        Client::OpNode => found.op_node(),
        Client::MevBoost => {
            let args = facts.args.iter().map(|arg| (arg.as_str(), facts.line));
            found.out.extend(relays::relays(args, &facts.name));
        }
        Client::Geth
        | Client::Reth
        | Client::Nethermind
        | Client::Besu
        | Client::Erigon
        | Client::OpGeth
        | Client::OpReth
        | Client::Beacon
        | Client::Solana
        | Client::Other => {}
    }
    if let Some(flag) = bridge_flag(&facts.args) {
        found.add(Rule::BridgeAddress, format!("{flag} is an address of Docker's bridge, 172.17.0.1."));
    }
    found.out
}

struct Found<'a> {
    facts: &'a ContainerFacts,
    client: Client,
    out: Vec<Finding>,
}

impl Found<'_> {
    fn add(&mut self, rule: Rule, message: impl Into<String>) {
        self.add_at(rule, self.facts.line, message);
    }

    fn add_at(&mut self, rule: Rule, line: usize, message: impl Into<String>) {
        self.out.push(Finding::new(rule, line, &self.facts.name, message));
    }

    /// Whether it is given, as a flag or a variable.
    fn has(&self, flags: &[&str], variables: &[&str]) -> bool {
        self.facts.flag(flags).is_some() || self.facts.has_variable(variables)
    }

    fn image(&mut self) {
        let image = &self.facts.image;
        if self.client == Client::OpGeth {
            self.add(Rule::EndedClient, "op-geth has ended.");
        }
        let Some(tag) = tag(image) else { return };
        let version = Version::of_tag(tag);
        if let (Some(version), Some((floor, why))) = (version, self.client.floor())
            && version < floor
        {
            self.add(
                Rule::OldVersion,
                format!("{} {version} is below {floor}: {why}.", printable(repository(image))),
            );
        }
        // `v3.11.4-7d5ac27`, or `-rc.1-…`, `-slim` and so on behind the commit.
        let has_commit =
            tag.split('-').skip(1).any(|part| part.len() >= 7 && part.bytes().all(|b| b.is_ascii_hexdigit()));
        if self.client == Client::Nitro && version.is_some() && !has_commit && !image.contains('@') {
            self.add(Rule::UnknownTag, format!("There is no tag {} of nitro-node.", printable(tag)));
        }
    }

    fn memory(&mut self) {
        let Some(memory) = self.facts.memory else { return };
        let (need, why) = match self.client {
            Client::Nitro => (64 * GIB, "Offchain Labs asks for 64 GB"),
            Client::Geth if self.facts.flag(&["dev"]).is_none() => {
                let cache =
                    self.facts.flag(&["cache"]).and_then(|text| text.parse::<u64>().ok()).unwrap_or(4096);
                // The cache doubles under Go's collector.
                let need = (cache.saturating_mul(2) << 20).saturating_add(4 * GIB);
                (need, "twice its --cache, by default 4096 MB, and 4 GiB")
            }
            Client::OpReth => (8 * GIB, "it needs 8 GiB, and Optimism asks for 16"),
            Client::Solana if !self.facts.args.iter().any(|arg| arg.contains("test-validator")) => {
                (256 * GIB, "Anza asks for 256 GB")
            }
            _ => return,
        };
        // Units of 1000 and 1024 are written for each other.
        if memory < need / 16 * 15 {
            let shown = memory / (1 << 20);
            self.add(
                Rule::TooLittleMemory,
                format!("{shown} MiB are less than the {} GiB that it needs: {why}.", need.div_ceil(GIB)),
            );
        }
    }

    fn data(&mut self) {
        if !self.client.keeps_chain() || self.facts.flag(&["dev"]).is_some() || self.facts.for_once {
            return;
        }
        let is_file =
            |target: &str| target.contains("jwt") || target.contains("secret") || target.contains(".sock");
        let has_data = self.facts.volumes.iter().any(|volume| !volume.read_only && !is_file(&volume.target));
        if !has_data {
            self.add(Rule::NoDataVolume, "No folder is mounted for its chain.");
            if self.facts.read_only {
                self.add(
                    Rule::ReadOnlyWithoutData,
                    "Its root filesystem is read-only, and it has nowhere to write.",
                );
            }
        }
    }

    fn ports(&mut self) {
        let (rpc, listens): (&[u16], &[&str]) = match self.client {
            Client::Geth | Client::OpGeth | Client::Reth | Client::OpReth => (&[8545], &["http.addr"]),
            Client::Nitro => (&[8547], &["http.addr"]),
            Client::OpNode => (&[9545], &["rpc.addr"]),
            _ => return,
        };
        let variables: &[&str] =
            if self.client == Client::OpNode { &["OP_NODE_RPC_ADDR"] } else { &["GETH_HTTP_ADDR"] };
        for port in &self.facts.ports {
            let host = port.host.unwrap_or(0);
            if self.client == Client::OpNode && matches!(port.port, 8545 | 8546 | 8551) {
                self.add_at(
                    Rule::WrongPort,
                    port.line,
                    format!("op-node's RPC is on 9545; {} is its execution client's.", port.port),
                );
            } else if self.client == Client::Nitro && (host, port.port) == (8548, 8547) {
                self.add_at(
                    Rule::WrongPort,
                    port.line,
                    "Nitro's RPC on 8547 is published as 8548, which is the number of its websocket.",
                );
            }
            if rpc.contains(&port.port) && !self.has(listens, variables) {
                self.add_at(
                    Rule::RpcNotReachable,
                    port.line,
                    format!("Port {} is published, and inside it is bound to loopback or off.", port.port),
                );
            }
        }
        let http = self.facts.flag(&["http.port"]);
        let ws = self.facts.flag(&["ws.port"]).unwrap_or("8546");
        if http.is_some_and(|http| http == ws) && self.client != Client::Nitro {
            self.add(
                Rule::PortClash,
                format!("HTTP is on {}, which is its websocket's port.", printable(ws)),
            );
        }
    }

    fn engine(&mut self) {
        if !self.client.is_execution() || self.facts.flag(&["dev"]).is_some() {
            return;
        }
        let is_command =
            ["snapshot", "db", "init", "account", "version", "import", "export", "prune-history"];
        let is_for_once = self.facts.args.iter().take(2).any(|arg| is_command.contains(&arg.as_str()));
        let secrets = [
            "authrpc.jwtsecret",
            "engine-jwt-secret",
            "JsonRpc.JwtSecretFile",
            "jsonrpc-jwtsecretfile",
            "JsonRpc.JwtSecret",
        ];
        if !is_for_once
            && !self.has(&secrets, &["GETH_AUTHRPC_JWTSECRET", "NETHERMIND_JSONRPCCONFIG_JWTSECRETFILE"])
        {
            self.add(
                Rule::NoEngineApi,
                "It has no secret for the Engine API: no consensus client can drive it, and it stays where it is.",
            );
        }
    }

    fn nitro(&mut self) {
        let has_file = self.facts.flag(&["conf.file"]).is_some();
        if !has_file && self.facts.flag(&["parent-chain.blob-client.beacon-url"]).is_none() {
            self.add(Rule::NitroWithoutBeacon, "It has no --parent-chain.blob-client.beacon-url.");
        }
        if !has_file && self.facts.flag(&["parent-chain.connection.url"]).is_none() {
            self.add(Rule::NitroWithoutParent, "It has no --parent-chain.connection.url.");
        }
    }

    fn op_node(&mut self) {
        if !self.has(&["l2"], &["OP_NODE_L2_ENGINE_RPC"]) {
            self.add(Rule::OpNodeWithoutEngine, "It has no --l2, the address of its execution client.");
        }
        if !self.has(&["l2.jwt-secret"], &["OP_NODE_L2_ENGINE_AUTH", "OP_NODE_L2_ENGINE_AUTH_RAW"]) {
            self.add(Rule::OpNodeWithoutJwt, "It has no --l2.jwt-secret.");
        }
        if !self.has(&["l1.beacon", "l1.beacon.ignore"], &["OP_NODE_L1_BEACON", "OP_NODE_L1_BEACON_IGNORE"]) {
            self.add(Rule::OpNodeWithoutBeacon, "It has no --l1.beacon.");
        }
        if !self.has(&["network", "rollup.config"], &["OP_NODE_NETWORK", "OP_NODE_ROLLUP_CONFIG"]) {
            self.add(Rule::OpNodeWithoutNetwork, "It has neither --network nor --rollup.config.");
        }
    }
}

/// The flag whose value is on Docker's bridge.
fn bridge_flag(args: &[String]) -> Option<String> {
    let mut before = "";
    for arg in args {
        if arg.contains("://172.17.0.1") {
            let name = arg.split_once('=').map_or(before, |(name, _)| name);
            return Some(if name.starts_with('-') { printable(name) } else { "One argument".to_owned() });
        }
        // The flag's name alone: its value may hold a key.
        before = arg.split('=').next().unwrap_or_default();
    }
    None
}
