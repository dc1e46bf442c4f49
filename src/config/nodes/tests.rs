//! Files with `[[nodes]]`: what becomes of good ones, what is said of wrong ones, and that no key is in it.

use std::{path::Path, time::Duration};

use crate::{
    config::{Config, ConfigError, Mistake},
    supervisor::{
        Cpuset, DockerHost, DockerSettings, Limits, NodeKind, NodeSettings, NodesSettings, RestartPolicy,
        RuntimeSettings,
    },
};

const RELAY: &str = "[[relays]]\nid = \"a\"\nurl = \"https://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@a.example.org\"\n";

/// A node by the contract's keys, and what a container of geth needs.
const GETH: &str = r#"
[[nodes]]
id = "geth-primary"
kind = "geth"
runtime = "docker"
rpc_url = "http://127.0.0.1:8545"
image = "ethereum/client-go:v1.16.7"
limits = { memory = "8GiB", cpus = 3.0 }
data = "/data/geth"
jwt_file = "/srv/jwt.hex"
"#;

const UNIT: &str = r#"
[[nodes]]
id = "beacon"
kind = "beacon"
unit = "lighthouse"
rpc_url = "http://127.0.0.1:5052"
"#;

fn read_with(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment: Vec<(String, String)> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::parse(&format!("{RELAY}{text}"), Path::new("/nowhere/relays.toml"), &environment, &[])
}

fn read(text: &str) -> Result<Config, ConfigError> {
    read_with(text, &[])
}

#[track_caller]
fn good(text: &str) -> (NodesSettings, String) {
    let config = read(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    (config.nodes.unwrap(), config.warnings.join("\n"))
}

fn mistakes(text: &str) -> Vec<Mistake> {
    match read(text).err().unwrap_or_else(|| panic!("this is taken:\n{text}")) {
        ConfigError::Wrong { mistakes, .. } => mistakes,
        ConfigError::Read { error, .. } => panic!("{error}"),
    }
}

/// Says that one key is wrong, and nothing else.
#[track_caller]
fn wrong(text: &str, key: &str, says: &str) {
    let found = mistakes(text);
    let shown: Vec<String> = found
        .iter()
        .map(|mistake| format!("{}: {} ({})", mistake.key, mistake.message, mistake.hint))
        .collect();
    assert!(
        found.len() == 1
            && found[0].key == key
            && format!("{} {}", found[0].message, found[0].hint).contains(says),
        "{key}: {says}\n{shown:#?}\n{text}"
    );
}

fn docker(node: &NodeSettings) -> &DockerSettings {
    match &node.runtime {
        RuntimeSettings::Docker(docker) => docker,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_contract_s_example_and_its_defaults() {
    assert!(read("").unwrap().nodes.is_none());
    let (settings, warnings) = good(GETH);
    assert_eq!(settings.docker, DockerHost::Unix("/var/run/docker.sock".into()));
    assert_eq!((settings.reserve.memory, settings.reserve.cpus), (2 << 30, 0.5));
    let [node] = settings.nodes.as_slice() else { panic!("{settings:?}") };
    assert_eq!(
        (node.id.as_str(), node.kind, node.group.as_str()),
        ("geth-primary", NodeKind::Geth, "execution")
    );
    assert_eq!(node.limits, Limits { memory: Some(8 << 30), cpus: Some(3.0), ..Limits::default() });
    assert_eq!((node.stop_grace, &node.restart), (Duration::from_secs(300), &RestartPolicy::default()));
    let probe = node.probe.as_ref().unwrap();
    assert_eq!((probe.every, probe.timeout), (Duration::from_secs(10), Duration::from_secs(5)));
    assert_eq!((probe.chain_id, probe.block_time, probe.lag_age), (Some(1), None, None));
    let docker = docker(node);
    let launch = docker.launch.as_ref().unwrap();
    assert_eq!(
        (docker.container.as_str(), launch.image.as_str()),
        ("geth-primary", "ethereum/client-go:v1.16.7")
    );
    assert_eq!((launch.user, launch.stop_grace), ((1000, 1000), Duration::from_secs(300)));
    assert_eq!(launch.limits, node.limits);
    assert!(launch.args.iter().any(|arg| arg == "--cache=2048"), "{:?}", launch.args);
    // Neither the folder nor the secret is there, which is said with what to do.
    assert!(
        warnings.contains("install -d -o 1000") && warnings.contains("relaymux secrets jwt /srv/jwt.hex"),
        "{warnings}"
    );
}

#[test]
fn every_key_has_its_place() {
    let text = format!(
        "[resources]\nreserve_memory = \"3GiB\"\nreserve_cpus = 1\ndocker_host = \"/run/podman.sock\"\npsi_memory_percent = 5\n\
         psi_io_percent = 0\n{GETH}{}",
        r#"
container = "eth1"
group = "pair-a"
network = "hoodi"
user = "2000:3000"
args = ["--maxpeers=20"]
env = { GOGC = "50" }
ws_port = 8546
engine_port = 8551
metrics_port = 6060
p2p_port = 30304
probe_secs = 3
probe_timeout_secs = 2
block_time_ms = 2000
lag_secs = 30
stall_timeout = "2h"
chain_id = 7
restart = "no"
restart_delay = "1s"
restart_max_delay = "1m"
start_limit_burst = 3
start_limit_interval = "2m"
start_timeout = "5m"
hung_after = 2
stop_grace = "6m"
[[nodes]]
id = "indexer"
kind = "generic"
runtime = "process"
command = ["bin/indexer", "--port", "9"]
args = ["-v"]
env = { API_TOKEN = "k3y" }
working_directory = "work"
rpc_url = "http://127.0.0.1:9"
health_path = "/health"
limits = { memory = "512m", swap = "1g", cpuset = "0-1", pids = 64 }
[[nodes]]
id = "sol"
kind = "agave"
runtime = "systemd"
unit = "agave.service"
rpc_url = "http://127.0.0.1:8899"
vote_account = "Vote111111111111111111111111111111111111111"
[[nodes]]
id = "old"
kind = "nitro"
container = "arbitrum-node"
rpc_url = "http://127.0.0.1:8547"
[[nodes]]
id = "silent"
kind = "generic"
unit = "cron.service"
"#
    );
    let (settings, _) = good(&text);
    assert_eq!((settings.reserve.memory, settings.reserve.cpus), (3 << 30, 1.0));
    assert_eq!(settings.docker, DockerHost::Unix("/run/podman.sock".into()));
    assert_eq!((settings.psi.memory, settings.psi.io), (5.0, 0.0));
    let [geth, indexer, sol, old, silent] = settings.nodes.as_slice() else { panic!("{settings:?}") };
    assert_eq!(geth.group, "pair-a");
    let probe = geth.probe.as_ref().unwrap();
    assert_eq!(
        (probe.every, probe.timeout, probe.block_time, probe.lag_age, probe.chain_id),
        (
            Duration::from_secs(3),
            Duration::from_secs(2),
            Some(Duration::from_secs(2)),
            Some(Duration::from_secs(30)),
            Some(7)
        )
    );
    assert_eq!(probe.stall_after, Duration::from_secs(7200));
    let secs = Duration::from_secs;
    assert_eq!(
        geth.restart,
        RestartPolicy {
            on_failure: false,
            hung_after: 2,
            start_timeout: secs(300),
            backoff: secs(1),
            max_backoff: secs(60),
            burst: 3,
            burst_window: secs(120),
        }
    );
    let container = docker(geth);
    let launch = container.launch.as_ref().unwrap();
    assert_eq!((container.container.as_str(), launch.user), ("eth1", (2000, 3000)));
    assert_eq!(launch.args.first().map(String::as_str), Some("--hoodi"));
    assert_eq!(launch.args.last().map(String::as_str), Some("--maxpeers=20"));
    assert_eq!(launch.env, [("GOGC".to_owned(), "50".to_owned())]);
    let outside: Vec<u16> = launch.ports.iter().map(|port| port.host_port).collect();
    assert_eq!((outside, geth.stop_grace), (vec![8545, 8546, 8551, 6060, 30304, 30304], secs(360)));
    let RuntimeSettings::Process(process) = &indexer.runtime else { panic!("{indexer:?}") };
    assert_eq!(process.program, Path::new("/nowhere/bin/indexer"));
    assert_eq!((process.args.join(" ").as_str(), process.env.len()), ("--port 9 -v", 1));
    assert_eq!(process.folder.as_deref(), Some(Path::new("/nowhere/work")));
    assert_eq!(indexer.probe.as_ref().unwrap().path.as_deref(), Some("/health"));
    assert_eq!(
        indexer.limits,
        Limits {
            memory: Some(512 << 20),
            swap: 1 << 30,
            cpus: None,
            cpuset: Cpuset::parse("0-1"),
            pids: Some(64)
        }
    );
    assert!(sol.probe.as_ref().unwrap().vote_account.is_some());
    assert_eq!((docker(old).container.as_str(), &docker(old).launch), ("arbitrum-node", &None));
    assert!(silent.probe.is_none());
    // A unit's name may be short.
    let (settings, _) = good(UNIT);
    assert!(
        matches!(&settings.nodes[0].runtime, RuntimeSettings::Systemd(unit) if unit.unit == "lighthouse.service")
    );
}

#[test]
fn the_environment_says_where_docker_is_and_changes_any_key() {
    let config = read_with(
        GETH,
        &[("DOCKER_HOST", "unix:///tmp/d.sock"), ("RELAYMUX_NODES__0__LIMITS__MEMORY", "12GiB")],
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let settings = config.nodes.unwrap();
    assert_eq!(settings.docker, DockerHost::Unix("/tmp/d.sock".into()));
    assert_eq!(settings.nodes[0].limits.memory, Some(12 << 30));
}

/// A change of it waits for a restart, and is told of.
#[test]
fn a_change_is_noticed() {
    let (one, other) = (read(GETH).unwrap(), read(&GETH.replace("3.0", "2.0")).unwrap());
    assert_eq!(one.needs_restart(&other), ["[[nodes]]"]);
    assert_eq!(one.needs_restart(&one), Vec::<&str>::new());
}

#[test]
fn what_is_wrong_with_one_node_is_said_at_its_key() {
    for (from, to, key, says) in [
        ("id = \"geth-primary\"\n", "", "id", "is missing"),
        ("\"geth-primary\"", "\"geth primary\"", "id", "is no name"),
        ("kind = \"geth\"\n", "", "kind", "is missing"),
        ("\"geth\"", "\"op-geth\"", "kind", "op-geth has ended on 2026-05-31"),
        ("\"geth\"", "\"lighthouse\"", "kind", "kind = \"beacon\""),
        ("\"docker\"", "\"podman\"", "runtime", "not one of docker, systemd, process"),
        ("rpc_url = \"http://127.0.0.1:8545\"\n", "", "rpc_url", "a node that hangs"),
        ("http://127.0.0.1:8545", "127.0.0.1:8545", "rpc_url", "no http or https address"),
        (":v1.16.7", "", "image", "neither a tag nor a digest"),
        (":v1.16.7", ":latest", "image", "its tag moves"),
        ("ethereum/client-go", "ethereum client-go", "image", "no name of an image"),
        ("image = \"ethereum/client-go:v1.16.7\"\n", "", "image", "nothing to make a container from"),
        ("8GiB", "8", "limits.memory", "has no unit"),
        ("8GiB", "lots", "limits.memory", "is no size"),
        ("8GiB", "1MiB", "limits.memory", "less than the 6 MiB"),
        ("3.0", "0.0", "limits.cpus", "no number of cores"),
        ("3.0", "nan", "limits.cpus", "no number of cores"),
        ("cpus = 3.0", "cpuset = \"3-1\"", "limits.cpuset", "no list of cores"),
        ("cpus = 3.0", "cpus = 3.0, cpuset = \"0-1\"", "limits.cpus", "more than the 2 cores of cpuset"),
        ("cpus = 3.0", "pids = 0", "limits.pids", "would let nothing run"),
        ("memory = \"8GiB\", cpus = 3.0", "swap = \"1g\"", "limits.swap", "no memory limit"),
        ("data = \"/data/geth\"\n", "", "data", "would be gone with it"),
        ("/data/geth", "/etc", "data", "a folder of the system's"),
        ("/data/geth", "/data/..", "data", "a folder of the system's"),
        ("jwt_file = \"/srv/jwt.hex\"\n", "", "jwt_file", "relaymux secrets jwt"),
        ("/srv/jwt.hex", "/usr", "jwt_file", "is a folder"),
        ("data =", "user = \"0:0\"\ndata =", "user", "is root"),
        ("data =", "user = \"geth\"\ndata =", "user", "numbers of user and group"),
        ("data =", "network = \"gnosis\"\ndata =", "network", "no network that geth knows"),
        ("data =", "container = \"a b\"\ndata =", "container", "no name that Docker gives"),
        ("data =", "group = \"a b\"\ndata =", "group", "is no name"),
        ("data =", "unit = \"geth\"\ndata =", "unit", "is of runtime = \"systemd\""),
        ("data =", "working_directory = \"/x\"\ndata =", "working_directory", "is of runtime = \"process\""),
        ("data =", "p2p_port = 0\ndata =", "p2p_port", "0 is no port"),
        ("data =", "restart = \"always\"\ndata =", "restart", "neither `on-failure` nor `no`"),
        ("data =", "restart_delay = \"5 min\"\ndata =", "restart_delay", "no length of time"),
        (
            "data =",
            "restart_delay = \"5m\"\nrestart_max_delay = \"1m\"\ndata =",
            "restart_max_delay",
            "less than",
        ),
        ("data =", "hung_after = 0\ndata =", "hung_after", "would never let it run"),
        ("data =", "stop_grace = \"0s\"\ndata =", "stop_grace", "too short"),
        ("data =", "probe_secs = 0\ndata =", "probe_secs", "no time"),
        (
            "data =",
            "probe_secs = 2\nprobe_timeout_secs = 3\ndata =",
            "probe_timeout_secs",
            "more than probe_secs",
        ),
        ("data =", "health_path = \"/h\"\ndata =", "health_path", "probed by what it is"),
        ("data =", "vote_account = \"x\"\ndata =", "vote_account", "geth has none"),
        ("data =", "env = { DB_PASSWORD = \"k3y\" }\ndata =", "env.DB_PASSWORD", "docker inspect"),
        ("data =", "engine_url = \"el:8551\"\ndata =", "engine_url", "no http or https address"),
    ] {
        assert!(GETH.contains(from), "{from}");
        wrong(&GETH.replacen(from, to, 1), &format!("nodes[0].{key}"), says);
    }
    let attached = GETH.replace("image = \"ethereum/client-go:v1.16.7\"", "container = \"old\"");
    let found: Vec<String> = mistakes(&attached).into_iter().map(|mistake| mistake.key).collect();
    assert_eq!(found, ["nodes[0].data", "nodes[0].jwt_file"]);
    wrong(
        &GETH.replace("8545", "18551"),
        "nodes[0]",
        "port 18551 of node geth-primary is taken by ops.listen",
    );
    wrong(&UNIT.replace("5052", "18550"), "nodes[0]", "is taken by builder_api.listen");
    let unit = |from: &str, to: &str| UNIT.replacen(from, to, 1);
    wrong(&unit("\"lighthouse\"", "\"a.socket\""), "nodes[0].unit", "no name of a service's unit");
    wrong(&unit("unit =", "args = [\"x\"]\nunit ="), "nodes[0].args", "is of runtime");
    wrong(&unit("unit = \"lighthouse\"", "runtime = \"systemd\""), "nodes[0].unit", "is missing");
    wrong(&unit("unit = \"lighthouse\"", "runtime = \"process\""), "nodes[0].command", "is missing");
    wrong(&unit("unit = \"lighthouse\"", "command = []"), "nodes[0].command", "is empty");
    wrong(
        &unit("unit = \"lighthouse\"", "command = [\"geth --http\"]"),
        "nodes[0].command",
        "without a shell",
    );
    let agave = "[[nodes]]\nid = \"sol\"\nkind = \"agave\"\nrpc_url = \"http://127.0.0.1:8899\"\nimage = \"anzaxyz/agave:v3.0.10\"\n";
    wrong(agave, "nodes[0].image", "no template for agave in a container");
    let sol = agave.replace("image = \"anzaxyz/agave:v3.0.10\"", "unit = \"agave\"\nvote_account = \"0OIl\"");
    wrong(&sol, "nodes[0].vote_account", "no public key of Solana's");
    wrong("[resources]\nreserve_cpus = -1\n", "resources.reserve_cpus", "no number of cores");
    wrong("[resources]\npsi_io_percent = 101\n", "resources.psi_io_percent", "no share in percent");
    wrong("[resources]\nreserve_memory = \"2\"\n", "resources.reserve_memory", "has no unit");
}

#[test]
fn what_a_second_layer_lacks_is_said_all_at_once() {
    let text = "[[nodes]]\nid = \"arb\"\nkind = \"nitro\"\nrpc_url = \"http://127.0.0.1:8547\"\nimage = \"offchainlabs/nitro-node:v3.11.4-7d5ac27\"\n";
    let keys: Vec<String> = mistakes(text).into_iter().map(|mistake| mistake.key).collect();
    assert_eq!(keys, ["nodes[0].data", "nodes[0].parent_url", "nodes[0].beacon_url"]);
    let text = text.replace("nitro-node:v3.11.4-7d5ac27", "x:v1").replace("\"nitro\"", "\"op-node\"");
    let keys: Vec<String> = mistakes(&text).into_iter().map(|mistake| mistake.key).collect();
    let want =
        ["jwt_file", "data", "parent_url", "beacon_url", "engine_url"].map(|key| format!("nodes[0].{key}"));
    assert_eq!(keys, want);
}

#[test]
fn two_nodes_share_nothing() {
    let second = GETH
        .replace("geth-primary", "replica")
        .replace("8545", "8547")
        .replace("/data/geth", "/data/replica")
        .replace("data =", "p2p_port = 30304\ndata =");
    let both = |second: &str| format!("{GETH}{second}");
    good(&both(&second));
    for (from, to, key, says) in [
        ("\"replica\"", "\"Geth-Primary\"", "id", "is there twice"),
        ("data =", "container = \"geth-primary\"\ndata =", "container", "the container of geth-primary"),
        ("/data/replica", "/data/geth", "data", "destroy each other"),
        ("/data/replica", "/data/geth/replica", "data", "destroy each other"),
        ("/data/replica", "/data/x/../geth/./replica", "data", "destroy each other"),
        ("p2p_port = 30304\n", "", "p2p_port", "port 30303 is published for geth-primary"),
        ("8547", "8545", "rpc_url", "port 8545 is published for geth-primary"),
        ("data =", "ws_port = 8545\ndata =", "ws_port", "port 8545 is published for geth-primary"),
    ] {
        assert!(second.contains(from), "{from}");
        wrong(&both(&second.replacen(from, to, 1)), &format!("nodes[1].{key}"), says);
    }
    // QUIC of a beacon node takes the port above its own.
    let beacon = |p2p: u16, id: &str, rest: u16| {
        format!(
            "[[nodes]]\nid = \"{id}\"\nkind = \"beacon\"\nimage = \"sigp/lighthouse:v8.0.1\"\nrpc_url = \"http://127.0.0.1:{rest}\"\n\
             data = \"/data/{id}\"\njwt_file = \"/srv/jwt.hex\"\nengine_url = \"http://el:8551\"\np2p_port = {p2p}\n"
        )
    };
    wrong(
        &format!("{}{}", beacon(9000, "a", 5052), beacon(9001, "b", 5053)),
        "nodes[1].p2p_port",
        "port 9001",
    );
    good(&format!("{}{}", beacon(9000, "a", 5052), beacon(9002, "b", 5053)));
    let twice = UNIT.replace("\"beacon\"\nkind", "\"other\"\nkind").replace("5052", "5053");
    wrong(&format!("{UNIT}{twice}"), "nodes[1].unit", "the unit of beacon");
    let twice = UNIT.replace("\"beacon\"\nkind", "\"other\"\nkind").replace("lighthouse", "teku");
    wrong(&format!("{UNIT}{twice}"), "nodes[1].rpc_url", "the address of beacon");
}

#[test]
fn what_is_likely_a_mistake_is_a_warning() {
    for (from, to, says) in [
        ("ethereum/client-go:v1.16.7", "example/op-geth:v1.1", "op-geth has ended on 2026-05-31"),
        ("8GiB", "3GiB", "3 GiB is less than the 5 GiB that geth takes"),
        ("data =", "stop_grace = \"10s\"\ndata =", "less than the 300 s that geth may need"),
        ("http://127.0.0.1:8545", "http://10.0.0.7:8545", "its port is not published"),
    ] {
        let (_, warnings) = good(&GETH.replacen(from, to, 1));
        assert!(warnings.contains(says), "{warnings}");
        let (_, before) = good(GETH);
        assert!(!before.contains(says), "{before}");
    }
    // In a network of containers it is called by its name.
    let (settings, warnings) = good(&GETH.replacen("127.0.0.1", "geth-primary", 1));
    assert!(!warnings.contains("not published"), "{warnings}");
    let ports = &docker(&settings.nodes[0]).launch.as_ref().unwrap().ports;
    assert!(ports.iter().all(|port| port.host_port == 30303), "{ports:?}");
}

#[test]
fn unknown_keys_name_the_nearest_and_nobody_s_key_is_shown() {
    for (line, key, says) in [
        ("rcp_url = \"http://k3y@x\"", "nodes[0].rcp_url", "did you mean `rpc_url`?"),
        ("limit = { memory = \"k3y\" }", "nodes[0].limit", "did you mean `limits`?"),
        ("container_name = \"k3y\"", "nodes[0].container_name", "did you mean `container`?"),
    ] {
        let error = read(&format!("{GETH}{line}\n")).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains(says), "{error}");
        assert!(!error.contains("k3y") || line.starts_with("container"), "{error}");
    }
    let limits = GETH.replace("memory =", "ram =");
    wrong(&limits, "nodes[0].limits.ram", "known keys here: memory, swap, cpus, cpuset, pids");
    for text in [
        GETH.replace("http://127.0.0.1:8545", "ftp://k3y@host/k3y"),
        GETH.replace("data =", "parent_url = \"k3y\"\ndata ="),
        GETH.replace("data =", "env = { API_TOKEN = \"k3y\" }\ndata ="),
        UNIT.replace("unit =", "command = [\"x\", \"--key=k3y\"]\nunit ="),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(!error.contains("k3y"), "{error}");
    }
}

/// What the shipped file shows, without its comment marks, is what it says it is.
#[test]
fn the_shipped_example_is_sound() {
    let shipped = include_str!("../../../relays.toml");
    let (_, from) = shipped.split_once("# Nodes that relaymux looks after").unwrap();
    let (example, _) = from.split_once("\n\n").unwrap();
    let lines = example.lines().skip(1).map(|line| line.strip_prefix("# ").unwrap());
    let (settings, _) = good(&lines.collect::<Vec<_>>().join("\n"));
    let ids: Vec<&str> = settings.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids, ["geth-primary", "beacon"]);
    assert!(settings.nodes.iter().all(|node| docker(node).launch.is_some()));
}

#[test]
fn an_op_node_is_compared_with_the_execution_client_that_it_drives() {
    let reth = |id: &str, port: u16, chain: &str| {
        format!(
            "[[nodes]]\nid = \"{id}\"\nkind = \"op-reth\"\ncontainer = \"{id}-1\"\nrpc_url = \"http://127.0.0.1:{port}\"\n\
             chain_id = {chain}\n"
        )
    };
    let op_node = |engine: &str| {
        format!(
            "[[nodes]]\nid = \"op-node\"\nkind = \"op-node\"\nimage = \"us-docker.pkg.dev/oplabs/op-node:v1.16.0\"\nnetwork = \"op-mainnet\"\n\
             rpc_url = \"http://127.0.0.1:9545\"\ndata = \"/data/op\"\njwt_file = \"/srv/jwt.hex\"\nengine_url = \"{engine}\"\n\
             parent_url = \"http://el:8545\"\nbeacon_url = \"http://cl:5052\"\n"
        )
    };
    let attached = "[[nodes]]\nid = \"op-node\"\nkind = \"op-node\"\nunit = \"op-node\"\nrpc_url = \"http://127.0.0.1:9545\"\nchain_id = 10\n";
    let one = reth("op-reth", 8545, "10");
    let two = format!("{one}{}", reth("other", 8546, "10"));
    for (name, text, want) in [
        ("by its name", format!("{}{two}", op_node("http://op-reth:8551")), Some(8545)),
        ("by its container's", format!("{}{two}", op_node("http://other-1:8551")), Some(8546)),
        ("there is but one", format!("{attached}{one}"), Some(8545)),
        ("and one of another chain", format!("{attached}{one}{}", reth("base", 8546, "8453")), Some(8545)),
        ("on this machine", format!("{}{one}", op_node("http://127.0.0.1:8551")), Some(8545)),
        ("either of two", format!("{attached}{two}"), None),
        ("one of another machine", format!("{}{one}", op_node("http://elsewhere:8551")), None),
        ("one of another chain", format!("{attached}{}", reth("base", 8545, "8453")), None),
        ("none", attached.to_owned(), None),
    ] {
        let (settings, _) = good(&text);
        let executions: Vec<Option<u16>> = settings
            .nodes
            .iter()
            .map(|node| node.probe.as_ref().unwrap().execution.as_ref().and_then(url::Url::port))
            .collect();
        assert_eq!(executions[0], want, "{name}");
        assert!(executions[1..].iter().all(Option::is_none), "{name}");
    }
}
