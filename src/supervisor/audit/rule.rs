//! What the audit knows to be wrong: each rule by a name that stays, how bad it is, why it hurts, and what to write instead.
//!
//! Sources are beside the rules where a fact may age: versions, ends of support, relays that are gone.

use crate::types::labelled;

labelled! {
    /// How much a finding matters.
    pub enum Risk {
        /// Better otherwise.
        Low = "low",
        /// Costs time or safety one day.
        Medium = "medium",
        /// Does not work, or is open to others.
        High = "high",
        /// Loses data, or hands the machine over.
        Critical = "critical",
    }
}

impl Risk {
    /// What it takes from a score of 100.
    pub const fn points(self) -> u32 {
        match self {
            Self::Low => 2,
            Self::Medium => 6,
            Self::High => 15,
            Self::Critical => 40,
        }
    }
}

labelled! {
    /// What was found.
    pub enum Rule {
        /// A crontab is replaced as a whole.
        CrontabReplaced = "crontab-replaced",
        /// A database is pruned while its node runs.
        PruneWhileRunning = "prune-while-running",
        /// A memory limit is changed without the swap limit.
        MemoryWithoutSwap = "memory-without-swap",
        /// Nitro without a beacon node.
        NitroWithoutBeacon = "nitro-without-beacon",
        /// Nitro without a parent chain.
        NitroWithoutParent = "nitro-without-parent",
        /// The image has no such tag.
        UnknownTag = "unknown-tag",
        /// The client's version is too old for the chain.
        OldVersion = "old-version",
        /// The client needs more memory than its limit.
        TooLittleMemory = "too-little-memory",
        /// The published port is not the one that was meant.
        WrongPort = "wrong-port",
        /// The port is published, and nobody listens behind it.
        RpcNotReachable = "rpc-not-reachable",
        /// The node is reached over the bridge's address.
        BridgeAddress = "bridge-address",
        /// Chain data is in the container.
        NoDataVolume = "no-data-volume",
        /// op-node without its execution client.
        OpNodeWithoutEngine = "op-node-without-engine",
        /// op-node without the secret of the Engine API.
        OpNodeWithoutJwt = "op-node-without-jwt",
        /// op-node without the L1's beacon node.
        OpNodeWithoutBeacon = "op-node-without-beacon",
        /// op-node without a chain.
        OpNodeWithoutNetwork = "op-node-without-network",
        /// An execution client that no consensus client can drive.
        NoEngineApi = "no-engine-api",
        /// Two want the same port.
        PortClash = "port-clash",
        /// The image's tag moves.
        UnpinnedImage = "unpinned-image",
        /// A relay's address without its key.
        RelayWithoutKey = "relay-without-key",
        /// A relay that is gone.
        DeadRelay = "dead-relay",
        /// A route that MEV-Boost does not have.
        NoSuchRoute = "no-such-route",
        /// A signal that does nothing.
        SignalWithoutEffect = "signal-without-effect",
        /// CPU use since boot taken for that of now.
        OneShotTop = "one-shot-top",
        /// Files that only cgroup v1 has.
        CgroupV1File = "cgroup-v1-file",
        /// A boot setting of another machine.
        BootCmdline = "boot-cmdline",
        /// A load test of so many a minute.
        RatePerMinute = "rate-per-minute",
        /// Peers on a network without a way out.
        InternalNetworkWithPeers = "internal-network-with-peers",
        /// A firewall that Docker goes past.
        UfwPastDocker = "ufw-past-docker",
        /// A read-only container without a place for its data.
        ReadOnlyWithoutData = "read-only-without-data",
        /// The Engine API's secret in the environment.
        JwtInEnvironment = "jwt-in-environment",
        /// Another secret in the environment.
        SecretInEnvironment = "secret-in-environment",
        /// A client that has ended.
        EndedClient = "ended-client",
        /// Published for everybody.
        PublishedEverywhere = "published-everywhere",
        /// A privileged container.
        Privileged = "privileged",
        /// The engine's socket inside.
        DockerSocket = "docker-socket",
        /// On the host's network.
        HostNetwork = "host-network",
        /// No limit of memory.
        NoMemoryLimit = "no-memory-limit",
        /// As root.
        RootUser = "root-user",
        /// Capabilities are kept.
        CapabilitiesKept = "capabilities-kept",
        /// Privileges can be gained.
        NewPrivileges = "new-privileges",
        /// The root filesystem can be written.
        WritableRoot = "writable-root",
        /// Logs grow without bound.
        NoLogRotation = "no-log-rotation",
    }
}

impl Rule {
    /// How much it matters.
    pub const fn risk(self) -> Risk {
        match self {
            Self::CrontabReplaced | Self::Privileged | Self::DockerSocket | Self::PruneWhileRunning => {
                Risk::Critical
            }
            Self::MemoryWithoutSwap
            | Self::NitroWithoutBeacon
            | Self::NitroWithoutParent
            | Self::UnknownTag
            | Self::OldVersion
            | Self::TooLittleMemory
            | Self::WrongPort
            | Self::RpcNotReachable
            | Self::NoDataVolume
            | Self::OpNodeWithoutEngine
            | Self::OpNodeWithoutJwt
            | Self::OpNodeWithoutBeacon
            | Self::OpNodeWithoutNetwork
            | Self::NoEngineApi
            | Self::PortClash
            | Self::RelayWithoutKey
            | Self::NoSuchRoute
            | Self::InternalNetworkWithPeers
            | Self::UfwPastDocker
            | Self::ReadOnlyWithoutData
            | Self::JwtInEnvironment
            | Self::SecretInEnvironment
            | Self::EndedClient
            | Self::PublishedEverywhere
            | Self::HostNetwork => Risk::High,
            Self::UnpinnedImage
            | Self::BridgeAddress
            | Self::DeadRelay
            | Self::SignalWithoutEffect
            | Self::OneShotTop
            | Self::CgroupV1File
            | Self::BootCmdline
            | Self::RatePerMinute
            | Self::NoMemoryLimit
            | Self::RootUser
            | Self::CapabilitiesKept
            | Self::NewPrivileges => Risk::Medium,
            Self::WritableRoot | Self::NoLogRotation => Risk::Low,
        }
    }

    /// Why it hurts, as a sentence.
    pub const fn why(self) -> &'static str {
        self.texts().0
    }

    /// What to write instead, as a sentence.
    pub const fn instead(self) -> &'static str {
        self.texts().1
    }

    /// Why, and what instead.
    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::CrontabReplaced => (
                "Every other job of that user is gone, without a word.",
                "Write a file in /etc/cron.d or a systemd timer, or let relaymux do it by its own schedule; never write a user's crontab whole.",
            ),
            Self::PruneWhileRunning => (
                "geth holds the lock of its database while it runs, so this fails; and pruning is for the hash scheme alone: a database of the \
                 path scheme, which is the default, has nothing to prune. It makes no sync faster: checkpoint sync is the consensus client's.",
                "Stop the node with a grace of five minutes, then run `geth snapshot prune-state --datadir …` in a container of its own on the same \
                 volume, with 40 GB free and half a day's time; or sync anew with the path scheme.",
            ),
            Self::MemoryWithoutSwap => (
                "Docker refuses it where the new limit is above the swap limit that is set already; and geth's --cache stays as it was.",
                "Give both: `docker update --memory=12g --memory-swap=12g NAME`, or `relaymux nodes resize`; for a larger cache create the container \
                 anew with --cache.",
            ),
            Self::NitroWithoutBeacon => (
                "Nitro ends at start: batches are in blobs, which only a beacon node has.",
                "Add --parent-chain.blob-client.beacon-url=http://YOUR_BEACON_NODE:5052; it must keep blobs of more than 18 days to catch up.",
            ),
            Self::NitroWithoutParent => (
                "Nitro ends at start: it reads its chain from L1.",
                "Add --parent-chain.connection.url=http://geth:8545.",
            ),
            Self::UnknownTag => (
                "Tags of nitro-node carry the commit: this one cannot be pulled.",
                "Write a whole tag, such as offchainlabs/nitro-node:v3.11.4-7d5ac27.",
            ),
            Self::OldVersion => (
                "It does not know forks that the chain has had since, and stops at the first of them, or follows a wrong chain.",
                "Take a version at or above the one that is named, and put the next fork's floor into [[alerts.client_floors]].",
            ),
            Self::TooLittleMemory => (
                "The kernel kills it as soon as it syncs, again and again, and each kill costs a recovery of its database.",
                "Give it what it needs, or run it elsewhere: a machine of 32 GB holds one execution and consensus client and small things.",
            ),
            Self::WrongPort => (
                "Whoever connects there reaches nobody, or something else than was meant.",
                "Publish the client's own port, under the same number, such as -p 127.0.0.1:8547:8547 for nitro and -p 127.0.0.1:9545:9545 for op-node.",
            ),
            Self::RpcNotReachable => (
                "In its container it listens on loopback alone, or not at all: what is published leads nowhere.",
                "Add --http --http.addr=0.0.0.0 (op-node: --rpc.addr=0.0.0.0) and publish on 127.0.0.1, or publish nothing and use an internal network.",
            ),
            Self::BridgeAddress => (
                "172.17.0.1 is the host: the node there must publish its RPC on that address, which is how it ends up open to everybody.",
                "Put both containers on one internal network and name the other one: http://geth:8545.",
            ),
            Self::NoDataVolume => (
                "The chain is in the container's own layer: removed with it, slow, and days of sync are lost at the first upgrade.",
                "Mount a folder or a named volume that the container's user owns where the client keeps its data, and name it by --datadir where it is not the default.",
            ),
            Self::OpNodeWithoutEngine => (
                "op-node only derives the chain; an execution client has to run it, and without one it ends at start.",
                "Run op-reth beside it and add --l2=http://op-reth:8551 --l2.enginekind=reth.",
            ),
            Self::OpNodeWithoutJwt => (
                "The Engine API refuses whoever does not hold its secret.",
                "Make it by `relaymux secrets jwt FILE`, mount it read-only into both, and add --l2.jwt-secret=/jwt.",
            ),
            Self::OpNodeWithoutBeacon => (
                "op-node ends at start: batches are in blobs, which only L1's beacon node has.",
                "Add --l1.beacon=http://YOUR_BEACON_NODE:5052.",
            ),
            Self::OpNodeWithoutNetwork => (
                "Without a chain it has nothing to follow.",
                "Add --network=op-mainnet, or --rollup.config=FILE.",
            ),
            Self::NoEngineApi => (
                "Since the merge an execution client follows nothing by itself: a consensus client drives it over the Engine API with a secret that both \
                 hold. Two of one machine are twice the disk and one point of failure.",
                "Pair each execution client with a consensus client of its own: --authrpc.addr=0.0.0.0 --authrpc.jwtsecret=/jwt here, \
                 --execution-endpoint=http://NAME:8551 --execution-jwt=/jwt there; take an external provider as the third tier.",
            ),
            Self::PortClash => (
                "The second one cannot listen, and does not start or has no RPC.",
                "Give each its own number.",
            ),
            Self::UnpinnedImage => (
                "The next pull brings another version, on the replica earlier than on the primary, or in the middle of an incident.",
                "Pin a version, or better its digest: image:v1.17.5@sha256:….",
            ),
            Self::RelayWithoutKey => (
                "mev-boost ends at start: a bid's signature is checked against the key in the relay's address.",
                "Write https://0xPUBKEY@host, as the relay publishes it.",
            ),
            Self::DeadRelay => (
                "It answers nobody any more: a redundancy that is none.",
                "Take one that answers: `relaymux check` asks each.",
            ),
            Self::NoSuchRoute => (
                "MEV-Boost serves status, validators, header and blinded_blocks. This is a 404, which jq turns into nothing.",
                "Read what was offered, won and paid from relaymux: /api/v1/slots and `relaymux report profit`.",
            ),
            Self::SignalWithoutEffect => (
                "mev-boost does not listen for it: nothing is rotated.",
                "relaymux rotates by itself under pressure, and by `kill -USR1` of its own process.",
            ),
            Self::OneShotTop => (
                "The first picture of top is the average since boot, of user time alone: it neither sees a storm nor its end.",
                "Compare two readings of /proc/stat, look at /proc/pressure, and act on what lasts: an alert of relaymux with for = \"5m\".",
            ),
            Self::CgroupV1File => (
                "On cgroup v2, which every current distribution has, there is no such file, and Docker undoes what others write to its groups.",
                "Give limits to Docker (--memory, --memory-swap, --cpuset-cpus), or write memory.max, memory.high and cpuset.cpus of cgroup v2.",
            ),
            Self::BootCmdline => (
                "/boot/cmdline.txt is the Raspberry Pi's, and must be one line; swapaccount means nothing to cgroup v2.",
                "Leave it out: cgroup v2 counts memory and swap by itself. Elsewhere kernel arguments are in /etc/default/grub.",
            ),
            Self::RatePerMinute => (
                "The load is a sixtieth of what it looks like, and proves nothing.",
                "Write -rate=1000/s, and POST bodies into the targets.",
            ),
            Self::InternalNetworkWithPeers => (
                "An internal network has no way out: no peers, and published ports silently lead nowhere.",
                "Make two: an internal one for RPC, Engine API and metrics, and a second bridge for peers alone.",
            ),
            Self::UfwPastDocker => (
                "Docker forwards its published ports before ufw's rules are asked: the port stays open.",
                "Publish on 127.0.0.1, and use `relaymux firewall apply`, which holds for forwarded ports, too; then try it from another machine.",
            ),
            Self::ReadOnlyWithoutData => (
                "It cannot write its data, and ends at start.",
                "Mount a volume that its user owns, name it by --datadir, and give it --tmpfs /tmp.",
            ),
            Self::JwtInEnvironment => (
                "Clients want a file of 32 bytes in hex, and `docker inspect` shows the environment to everybody who may call Docker.",
                "Make a file for each pair by `relaymux secrets jwt FILE` and mount it read-only.",
            ),
            Self::SecretInEnvironment => (
                "`docker inspect`, /proc and every crash report show the environment.",
                "Put it into a file of mode 0400 and mount it read-only.",
            ),
            Self::EndedClient => (
                "op-geth is without support since 2026-05-31 and cannot follow L1 past Glamsterdam.",
                "Move to op-reth; its database is another one: sync anew, or take a snapshot.",
            ),
            Self::PublishedEverywhere => (
                "Docker publishes past the host's firewall: whoever reaches the machine can call it.",
                "Publish on loopback: -p 127.0.0.1:PORT:PORT; let others in through the gateway or a tunnel.",
            ),
            Self::Privileged => (
                "It is root on the host in all but name.",
                "Leave it out; give single capabilities or devices where one is needed.",
            ),
            Self::DockerSocket => (
                "Whoever can write to it is root on the host.",
                "Leave it out, or put a proxy before it that allows single calls.",
            ),
            Self::HostNetwork => (
                "Every port it opens is one of the host, Engine API and metrics included.",
                "Use a bridge and publish the ports for peers alone.",
            ),
            Self::NoMemoryLimit => (
                "When it grows, the kernel kills whatever it likes best, on the whole machine.",
                "Give --memory and --memory-swap of the same size.",
            ),
            Self::RootUser => (
                "A hole in the client is then root's, and its files cannot be touched by others.",
                "Give a user that owns the data, such as --user 1000:1000.",
            ),
            Self::CapabilitiesKept => (
                "Docker leaves fourteen capabilities that no node needs.",
                "Add --cap-drop=ALL (compose: cap_drop: [ALL]).",
            ),
            Self::NewPrivileges => (
                "A setuid program inside gives root back.",
                "Add --security-opt=no-new-privileges (compose: security_opt: [no-new-privileges:true]).",
            ),
            Self::WritableRoot => (
                "Whoever gets in can change the program.",
                "Add --read-only and --tmpfs /tmp (compose: read_only: true, tmpfs: [/tmp]).",
            ),
            Self::NoLogRotation => (
                "Docker keeps every line for ever: a node fills a disk with them.",
                "Add --log-opt max-size=100m --log-opt max-file=3 (compose: logging: {options: …}).",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_says_why_and_what_instead() {
        for rule in Rule::ALL {
            for text in [rule.why(), rule.instead()] {
                assert!(text.len() > 20 && text.ends_with('.'), "{rule}: {text}");
            }
            assert!(rule.label().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        }
    }
}
