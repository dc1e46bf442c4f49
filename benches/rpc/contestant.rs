//! Who is measured: this build's gateway, HAProxy, and the node itself without anybody before it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{arena::World, process, upstream::CHAIN_ID};

/// A program before the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// This build.
    Relaymux,
    /// The field's own load balancer.
    Haproxy(PathBuf),
    /// The node itself: what nobody can beat.
    Direct,
}

impl Program {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Relaymux => "relaymux",
            Self::Haproxy(_) => "HAProxy",
            Self::Direct => "the node itself",
        }
    }

    /// Those that are here: `HAPROXY` names its binary where it is not in the path.
    pub(crate) fn all() -> Vec<Self> {
        let named = std::env::var_os("HAPROXY").map(PathBuf::from);
        let installed = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"].map(PathBuf::from);
        let haproxy = named.into_iter().chain(installed).find(|path| path.exists());
        let mut all = vec![Self::Relaymux];
        match haproxy {
            Some(path) => all.push(Self::Haproxy(path)),
            None => println!(
                "without HAProxy: `apt-get install haproxy`, or HAPROXY=/path/to/haproxy, measures it beside"
            ),
        }
        all
    }
}

/// A contestant's process.
pub(crate) struct Running {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Where relaymux's builder API listens.
    pub(crate) builder: Option<SocketAddr>,
    child: Option<Child>,
    _folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Running {
    /// Starts one before a primary and a replica, and waits until it serves. relaymux has the relays of a world, where there is one.
    pub(crate) async fn start(program: &Program, nodes: [SocketAddr; 2], world: Option<&World>) -> Self {
        Self::start_with(program, nodes, None, world).await
    }

    /// The same with nodes that have websockets.
    pub(crate) async fn start_listening(
        program: &Program,
        nodes: [SocketAddr; 2],
        sockets: [SocketAddr; 2],
    ) -> Self {
        Self::start_with(program, nodes, Some(sockets), None).await
    }

    async fn start_with(
        program: &Program,
        nodes: [SocketAddr; 2],
        sockets: Option<[SocketAddr; 2]>,
        world: Option<&World>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (command, address) = match program {
            Program::Direct => (None, Some(nodes[0])),
            Program::Haproxy(path) => {
                let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
                let file = folder.path().join("haproxy.cfg");
                fs::write(&file, haproxy(address, nodes)).unwrap();
                let mut command = Command::new(path);
                command.arg("-f").arg(file).arg("-db");
                (Some(command), Some(address))
            }
            Program::Relaymux => {
                fs::write(folder.path().join("relays.toml"), relaymux(nodes, sockets, world)).unwrap();
                if let Some(world) = world {
                    fs::write(folder.path().join("spec.yaml"), &world.spec_text).unwrap();
                }
                let mut command = Command::new(env!("CARGO_BIN_EXE_relaymux"));
                command.args(["run", "--log", "error", "--ports-file", "ports.json"]);
                (Some(command), None)
            }
        };
        let child = command.map(|mut command| {
            for (name, _) in
                std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RELAYMUX_"))
            {
                command.env_remove(name);
            }
            let log = fs::File::create(folder.path().join("log")).unwrap();
            command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            command.spawn().unwrap()
        });
        let mut builder = None;
        let address = match address {
            Some(address) => address,
            None => {
                let ports = ports(&folder.path().join("ports.json")).await;
                builder = port(&ports, "builder");
                port(&ports, "rpc").unwrap()
            }
        };
        let running = Self { name: program.name(), address, builder, child, _folder: folder };
        running.until_it_serves().await;
        running
    }

    async fn until_it_serves(&self) {
        let give_up = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(mut connection) = crate::client::Connection::open(self.address).await {
                let answer = connection.post("/", "application/json", crate::load::read(0)).await;
                if answer.is_some_and(|answer| crate::load::is_good(&answer)) {
                    return;
                }
            }
            assert!(Instant::now() < give_up, "{} does not serve", self.name);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// CPU time so far, nothing for the node itself.
    pub(crate) fn cpu(&self) -> Duration {
        self.child.as_ref().map_or(Duration::ZERO, |child| process::cpu(child.id()))
    }

    /// Memory in KiB, by a key of `/proc/PID/status`.
    pub(crate) fn memory(&self, key: &str) -> u64 {
        self.child.as_ref().map_or(0, |child| process::status(child.id(), key))
    }
}

/// The key of flashbots' relay: a point on the curve.
const A_KEY: &str =
    "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";

fn relaymux(nodes: [SocketAddr; 2], sockets: Option<[SocketAddr; 2]>, world: Option<&World>) -> String {
    let network = if world.is_some() { "spec.yaml" } else { "mainnet" };
    let mut config = format!(
        "network = \"{network}\"\ndata_dir = \"data\"\n[builder_api]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n\
         [rpc]\nlisten = \"127.0.0.1:0\"\nchain_id = {CHAIN_ID}\nmax_websockets_per_client = 16384\n"
    );
    for (place, (tier, node)) in ["primary", "replica"].iter().zip(nodes).enumerate() {
        config.push_str(&format!(
            "[[rpc.upstreams]]\nid = \"{tier}\"\nurl = \"http://{node}\"\ntier = \"{tier}\"\nprobe_ms = 1000\n"
        ));
        if let Some(socket) = sockets.and_then(|sockets| sockets.get(place).copied()) {
            config.push_str(&format!("ws_url = \"ws://{socket}\"\n"));
        }
    }
    if world.is_none() {
        // There is no service without a relay; nobody listens there.
        config.push_str(&format!("[[relays]]\nid = \"none\"\nurl = \"http://{A_KEY}@127.0.0.1:9\"\n"));
    }
    for (n, relay) in world.iter().flat_map(|world| &world.relays).enumerate() {
        config.push_str(&format!("[[relays]]\nid = \"r{n}\"\nurl = \"{}\"\n", relay.url()));
    }
    config
}

/// HAProxy as its users set it up before two nodes, at its best: it asks for a block, tries another server, and takes up the first again.
fn haproxy(address: SocketAddr, nodes: [SocketAddr; 2]) -> String {
    let [primary, replica] = nodes;
    format!(
        "global\n  maxconn 4000\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 60s\n  timeout server 10s\n  retries 3\n\
         \x20 option redispatch\n  retry-on conn-failure empty-response response-timeout\n  option http-keep-alive\n\
         \x20 http-reuse always\nfrontend rpc\n  bind {address}\n  default_backend nodes\nbackend nodes\n  option httpchk\n\
         \x20 http-check send meth POST uri / hdr Content-Type application/json body '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\
         \"eth_blockNumber\",\"params\":[]}}'\n  http-check expect rstring result\n\
         \x20 default-server check inter 1s fall 2 rise 2 on-marked-down shutdown-sessions\n\
         \x20 server primary {primary}\n  server replica {replica} backup\n"
    )
}

async fn ports(path: &Path) -> serde_json::Value {
    let give_up = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(ports) = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
            return ports;
        }
        let log = path.with_file_name("log");
        assert!(Instant::now() < give_up, "did not come up: {}", fs::read_to_string(log).unwrap_or_default());
        sleep(Duration::from_millis(5)).await;
    }
}

fn port(ports: &serde_json::Value, name: &str) -> Option<SocketAddr> {
    ports.get(name)?.as_str()?.parse().ok()
}
