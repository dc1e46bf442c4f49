use proptest::prelude::*;

use super::*;

const ROADMAP: &str = include_str!("../../../fixtures/roadmap/roadmap.md");
const RIGHT: &str = include_str!("../../../docs/examples/nodes.md");

/// The number of the first line that has this in it.
fn line_of(text: &str) -> usize {
    ROADMAP.lines().position(|line| line.contains(text)).unwrap() + 1
}

/// Each row of the table of what is wrong in the operator's plan, by the line it is in.
#[test]
fn the_roadmap_yields_each_of_its_mistakes() {
    let found = audit_text("roadmap.md", ROADMAP).unwrap();
    let arbitrum = "docker run -d --name arbitrum-node";
    let optimism = "docker run -d --name optimism-node";
    for (rule, line) in [
        (Rule::CrontabReplaced, "| crontab -"),
        (Rule::PruneWhileRunning, "docker exec ethereum-light"),
        (Rule::MemoryWithoutSwap, "docker update --memory"),
        (Rule::NitroWithoutBeacon, arbitrum),
        (Rule::NoDataVolume, arbitrum),
        (Rule::OldVersion, arbitrum),
        (Rule::UnknownTag, arbitrum),
        (Rule::TooLittleMemory, arbitrum),
        (Rule::BridgeAddress, arbitrum),
        (Rule::WrongPort, "-p 8548:8547"),
        (Rule::RpcNotReachable, "-p 8548:8547"),
        (Rule::PublishedEverywhere, "-p 8548:8547"),
        (Rule::OpNodeWithoutEngine, optimism),
        (Rule::OpNodeWithoutJwt, optimism),
        (Rule::OpNodeWithoutBeacon, optimism),
        (Rule::OpNodeWithoutNetwork, optimism),
        (Rule::OldVersion, optimism),
        (Rule::WrongPort, "-p 8550:8545"),
        (Rule::RelayWithoutKey, "-relays https://boost-relay.flashbots.net"),
        (Rule::RelayWithoutKey, "-relays https://relay.ultrasound.money"),
        (Rule::DeadRelay, "-relays https://mainnet-relay.securerpc.com"),
        (Rule::DeadRelay, "-relays https://relay.blocknative.com"),
        (Rule::CgroupV1File, "memory.limit_in_bytes"),
        (Rule::CgroupV1File, "cpuset.cpus"),
        (Rule::BootCmdline, "/boot/cmdline.txt"),
        (Rule::NoSuchRoute, "/eth/v1/builder/bundles"),
        (Rule::OneShotTop, "top -bn1"),
        (Rule::SignalWithoutEffect, "pkill -USR1"),
        (Rule::RatePerMinute, "vegeta attack"),
        (Rule::InternalNetworkWithPeers, "docker network create --internal"),
        (Rule::UfwPastDocker, "ufw deny 8545"),
        (Rule::ReadOnlyWithoutData, "docker run --user 1000:1000"),
        (Rule::NoDataVolume, "docker run --user 1000:1000"),
        (Rule::UnpinnedImage, "docker run --user 1000:1000"),
        (Rule::JwtInEnvironment, "echo \"JWT_SECRET="),
    ] {
        let line = line_of(line);
        assert!(
            found.iter().any(|finding| finding.rule == rule && finding.line == line),
            "no {rule} in line {line}: {:?}",
            found.iter().filter(|finding| finding.line == line).collect::<Vec<_>>()
        );
    }
    for service in ["ethereum-primary", "ethereum-replica"] {
        for rule in [Rule::NoEngineApi, Rule::NoDataVolume, Rule::UnpinnedImage] {
            assert!(
                found.iter().any(|finding| finding.rule == rule && finding.subject == service),
                "no {rule} of {service}"
            );
        }
    }
    let is_replica = |finding: &&Finding| finding.subject == "ethereum-replica";
    let clash = found.iter().filter(is_replica).find(|finding| finding.rule == Rule::PortClash).unwrap();
    assert!(clash.message.contains("8546"), "{}", clash.message);
    assert!(found.iter().all(|finding| finding.line > 0 && finding.line <= ROADMAP.lines().count()));
}

#[test]
fn what_is_put_right_yields_nothing() {
    assert_eq!(audit_text("nodes.md", RIGHT).unwrap(), []);
}

/// A page of which nothing is understood would be right, too.
#[test]
fn one_step_back_from_what_is_right_is_seen() {
    for (from, to, want) in [
        ("--memory=16g --memory-swap=16g geth", "--memory=16g geth", Rule::MemoryWithoutSwap),
        (
            " --internal --subnet=172.20.0.0/24 node-internal",
            " --internal node-internal",
            Rule::InternalNetworkWithPeers,
        ),
        ("\"127.0.0.1:8545:8545\"", "\"8545:8545\"", Rule::PublishedEverywhere),
        ("- --authrpc.jwtsecret=/jwt", "- --x", Rule::NoEngineApi),
        ("- --http.addr=0.0.0.0", "- --x", Rule::RpcNotReachable),
        ("- /data/geth:/data\n", "- /data/geth:/data:ro\n", Rule::ReadOnlyWithoutData),
        ("  user: \"1000:1000\"\n", "", Rule::RootUser),
        ("  read_only: true\n", "", Rule::WritableRoot),
        ("cap_drop: [ALL]", "cap_drop: [NET_RAW]", Rule::CapabilitiesKept),
        ("no-new-privileges:true", "no-new-privileges:false", Rule::NewPrivileges),
        ("max-size: 100m, ", "", Rule::NoLogRotation),
        ("mem_limit: 12g", "mem_limit: 8g", Rule::TooLittleMemory),
        ("mem_limit: 12g", "cpus: 2", Rule::NoMemoryLimit),
        ("client-go:v1.17.5", "client-go:v1.13.0", Rule::OldVersion),
        ("client-go:v1.17.5", "client-go:stable", Rule::UnpinnedImage),
        ("restart: unless-stopped", "privileged: true", Rule::Privileged),
        ("restart: unless-stopped", "network_mode: host", Rule::HostNetwork),
        ("restart: unless-stopped", "environment: [API_KEY=x]", Rule::SecretInEnvironment),
        ("- /data/lighthouse:/data", "- /var/run/docker.sock:/d.sock", Rule::DockerSocket),
        ("/images/op-reth:v2.4.3", "/images/op-geth:v1.101609.0", Rule::EndedClient),
        ("127.0.0.1:9545:9545", "127.0.0.1:8545:9545", Rule::PortClash),
        ("  --parent-chain.connection.url=http://geth:8545 \\\n", "", Rule::NitroWithoutParent),
        ("http://geth:8545 --l1.rpckind", "http://172.17.0.1:8545 --l1.rpckind", Rule::BridgeAddress),
    ] {
        assert!(RIGHT.contains(from), "{from}");
        let text = if want == Rule::InternalNetworkWithPeers {
            RIGHT.replace("docker network connect", "true")
        } else {
            RIGHT.replacen(from, to, 1)
        };
        let found = audit_text("nodes.md", &text).unwrap();
        assert!(found.iter().any(|finding| finding.rule == want), "{from} -> {to}: {found:?}");
    }
}

#[test]
fn no_finding_quotes_a_value_that_may_be_a_secret() {
    let text = "docker run -e API_KEY=hunter2 -e JWT_SECRET=hunter2 -p 8545:8545 ethereum/client-go --l1=https://x/hunter2 http://172.17.0.1/hunter2\n\
                export JWT_SECRET=hunter2\ncurl https://hunter2@x/eth/v1/builder/bundles\nmev-boost -relays https://hunter2@a.example";
    let found = audit_text("-", text).unwrap();
    assert!(found.len() > 5);
    assert!(!serde_json::to_string(&found).unwrap().contains("hunter2"), "{found:#?}");
}

#[test]
fn what_runs_is_scored() {
    let bad = r#"[{"Name":"/geth","Config":{"Image":"ethereum/client-go:latest"},"HostConfig":{"Privileged":true,
        "PortBindings":{"8545/tcp":[{"HostIp":"0.0.0.0","HostPort":"8545"}]}}}]"#;
    let good = r#"{"Name":"/x","Config":{"Image":"x:v1","User":"1000:1000"},"HostConfig":{"Memory":1073741824,"ReadonlyRootfs":true,
        "CapDrop":["ALL"],"SecurityOpt":["no-new-privileges:true"],"LogConfig":{"Type":"json-file","Config":{"max-size":"10m"}}}}"#;
    let bad = audit_inspect(bad).unwrap().remove(0);
    assert_eq!((bad.score, bad.findings[0].rule), (0, Rule::Privileged));
    let good = audit_inspect(good).unwrap().remove(0);
    assert_eq!((good.score, good.findings), (100, vec![]));
    assert!(audit_inspect("[]").unwrap().is_empty());
    assert!(matches!(audit_inspect("x"), Err(AuditError::Inspect(_))));
}

#[test]
fn texts_that_cannot_be_read_are_said_to_be() {
    assert_eq!(audit_text("-", &"x".repeat(MAX_TEXT + 1)), Err(AuditError::TooLong));
    let text = "x\n```yaml\nservices: [\n```\n";
    assert!(matches!(audit_text("a.md", text), Err(AuditError::Yaml { line: 3, .. })));
    assert_eq!(audit_text("a.yml", "a: 1").unwrap(), [], "YAML of another kind is none of ours");
}

#[test]
fn the_page_lists_every_rule() {
    let page = include_str!("../../../docs/nodes.md");
    for rule in Rule::ALL {
        assert!(page.contains(&format!("| `{rule}` | {} |", rule.risk())), "{rule}");
    }
    assert_eq!(page.matches("\n| `").count(), Rule::ALL.len());
}

fn fragments() -> impl Strategy<Value = String> {
    let words: Vec<&str> = ROADMAP.split_inclusive([' ', '\n']).collect();
    prop::collection::vec(prop::sample::select(words), 0..200).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn nothing_makes_it_fail(text in ".{0,300}") {
        for name in ["x.md", "x.yml", "x.sh", "-"] {
            let _ = audit_text(name, &text);
        }
        let _ = audit_inspect(&text);
    }

    #[test]
    fn nor_does_a_plan_in_pieces(text in fragments()) {
        for name in ["x.md", "x.yml", "x.sh", "-"] {
            let _ = audit_text(name, &text);
        }
    }
}
