//! Three network namespaces: the machine, whoever is outside, and a container behind the machine's bridge, with ports forwarded as Docker does.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// The machine's address for strangers, and for the operator's network.
pub(crate) const FOR_STRANGERS: &str = "10.77.0.1";
pub(crate) const FOR_OPERATORS: &str = "192.168.77.1";
/// The container's own address.
pub(crate) const CONTAINER: &str = "172.30.0.2";
/// What Docker's rules look like: three published ports, one of them under another number.
const DOCKER_LIKE: &str = "table ip docker_like {
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport 8545 dnat to 172.30.0.2:8545
		tcp dport 18545 dnat to 172.30.0.2:8545
		tcp dport 30303 dnat to 172.30.0.2:30303
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		counter accept
	}
}
";
const ROLE: &str = "RELAYMUX_FIREWALL_ROLE";

pub(crate) struct World {
    name: String,
    folder: tempfile::TempDir,
    children: Vec<Child>,
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rmx{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut world = Self { name, folder: tempfile::tempdir().unwrap(), children: Vec::new() };
        for place in ["host", "out", "box"] {
            run("ip", &["netns", "add", &world.netns(place)]);
            run("ip", &["-n", &world.netns(place), "link", "set", "lo", "up"]);
        }
        let (host, out, inside) = (world.netns("host"), world.netns("out"), world.netns("box"));
        let ip = |netns: &str, line: &str| {
            let args: Vec<&str> = ["-n", netns].into_iter().chain(line.split(' ')).collect();
            run("ip", &args);
        };
        ip(&host, &format!("link add wan type veth peer name up netns {out}"));
        ip(&host, "link add br-nodes type bridge");
        ip(&host, &format!("link add inner type veth peer name up netns {inside}"));
        ip(&host, "link set dev inner master br-nodes");
        for line in [
            "addr add 10.77.0.1/24 dev wan",
            "addr add 192.168.77.1/24 dev wan",
            "addr add 172.30.0.1/24 dev br-nodes",
        ] {
            ip(&host, line);
        }
        for link in ["wan", "br-nodes", "inner"] {
            ip(&host, &format!("link set dev {link} up"));
        }
        for line in [
            "addr add 10.77.0.2/24 dev up",
            "addr add 192.168.77.2/24 dev up",
            "link set dev up up",
            "route add 172.30.0.0/24 via 10.77.0.1",
        ] {
            ip(&out, line);
        }
        for line in
            ["addr add 172.30.0.2/24 dev up", "link set dev up up", "route add default via 172.30.0.1"]
        {
            ip(&inside, line);
        }
        world.inside("host", "sh", &["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
        let rules = world.folder.path().join("docker_like.nft");
        std::fs::write(&rules, DOCKER_LIKE).unwrap();
        world.inside("host", "nft", &["-f", rules.to_str().unwrap()]);
        let config = "[[relays]]\nid = \"a\"\nurl = \"https://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@a.example\"\n\
                      [firewall]\nallow_from = [\"192.168.77.0/24\"]\n";
        std::fs::write(world.folder.path().join("relays.toml"), config).unwrap();
        world.listen("box", 8545);
        world.listen("box", 30303);
        world.listen("host", 8551);
        world.listen("host", 9000);
        world
    }

    pub(crate) fn netns(&self, place: &str) -> String {
        format!("{}-{place}", self.name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a program in a place, and gives what it prints.
    pub(crate) fn inside(&self, place: &str, program: &str, args: &[&str]) -> String {
        let netns = self.netns(place);
        let args: Vec<&str> =
            ["netns", "exec", &netns, program].into_iter().chain(args.iter().copied()).collect();
        run("ip", &args)
    }

    /// A table of the machine as nft lists it without counters; none where there is none.
    pub(crate) fn table(&self, family: &str, name: &str) -> Option<String> {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.netns("host"), "nft", "-s", "list", "table", family, name])
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    pub(crate) fn ours(&self) -> Option<String> {
        self.table("inet", "relaymux")
    }

    fn role(&self, place: &str, role: &str) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.netns(place)])
            .arg(std::env::current_exe().unwrap())
            .args(["role", "--exact", "--ignored", "--nocapture"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    fn listen(&mut self, place: &str, port: u16) {
        let mut child = self.role(place, &format!("listen 0.0.0.0:{port}")).spawn().unwrap();
        wait_for_line(&mut child, "listening");
        self.children.push(child);
    }

    /// Whether whoever is outside gets through to an address.
    pub(crate) fn reaches(&self, address: &str) -> bool {
        let output = self.role("out", &format!("connect {address}")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("\nanswered")
    }

    /// A connection from outside that stays open.
    pub(crate) fn connection(&self, address: &str) -> Connection {
        let mut child = self.role("out", &format!("hold {address}")).spawn().unwrap();
        let lines = wait_for_line(&mut child, "connected");
        let input = child.stdin.take().unwrap();
        Connection { child, lines, input }
    }

    /// `relaymux firewall …` on the machine.
    pub(crate) fn relaymux(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.netns("host"), env!("CARGO_BIN_EXE_relaymux"), "firewall"])
            .args(args);
        if args[0] != "plan" {
            command.arg("--state-dir").arg(self.folder.path().join("state"));
        }
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RELAYMUX_")) {
            command.env_remove(name);
        }
        // Whoever runs the tests over SSH is not who works here.
        command.env("SSH_CONNECTION", "10.77.0.2 50000 10.77.0.1 22").current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Applies and confirms.
    pub(crate) fn apply(&self) -> Output {
        let mut child = self.relaymux(&["apply"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"yes\n").unwrap();
        child.wait_with_output().unwrap()
    }

    /// The process that would take the rules back.
    pub(crate) fn guard(&self) -> String {
        let state = self.folder.path().join("state").display().to_string();
        let of = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let found = std::fs::read_dir("/proc").unwrap().find_map(|entry| {
            let pid = entry.unwrap().file_name().to_str().unwrap().to_owned();
            let words = of(&pid);
            (words.contains("\0guard\0") && words.contains(&state)).then_some(pid)
        });
        found.expect("nobody watches")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for place in ["host", "out", "box"] {
            let _ = Command::new("ip").args(["netns", "del", &self.netns(place)]).status();
        }
    }
}

pub(crate) struct Connection {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    input: ChildStdin,
}

impl Connection {
    /// Whether a word comes back.
    pub(crate) fn answers(&mut self) -> bool {
        self.input.write_all(b"word\n").unwrap();
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line == "answered\n"
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for_line(child: &mut Child, wanted: &str) -> BufReader<std::process::ChildStdout> {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // The test harness says something first.
    while lines.read_line(&mut line).unwrap() > 0 {
        if line.trim_end().ends_with(wanted) {
            return lines;
        }
        line.clear();
    }
    panic!("it ended without saying {wanted}");
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What this program does in another namespace: `listen ADDRESS`, `connect ADDRESS`, `hold ADDRESS`.
pub(crate) fn play() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (what, address) = role.split_once(' ').unwrap();
    let address: SocketAddr = address.parse().unwrap();
    match what {
        "listen" => {
            let listener = TcpListener::bind(address).unwrap();
            println!("\nlistening");
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut reader = stream.try_clone().unwrap();
                    std::io::copy(&mut reader, &mut stream)
                });
            }
        }
        "connect" => {
            let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(2)) else { return };
            if echo(&mut stream) {
                println!("\nanswered");
            }
        }
        _ => {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
            println!("\nconnected");
            for _ in std::io::stdin().lines() {
                println!("{}", if echo(&mut stream) { "answered" } else { "silent" });
            }
        }
    }
}

fn echo(stream: &mut TcpStream) -> bool {
    use std::io::Read;
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut answer = [0; 4];
    stream.write_all(b"word").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"word"
}
