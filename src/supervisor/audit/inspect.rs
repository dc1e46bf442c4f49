//! `docker inspect`'s answer as facts: what is there. Only what the audit looks at is read, and nothing of it is shown but names, images and ports.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::facts::{ContainerFacts, Origin, Published, Volume};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    #[serde(default)]
    name: String,
    #[serde(default)]
    config: Config,
    #[serde(default)]
    host_config: HostConfig,
    #[serde(default)]
    mounts: Vec<MountPoint>,
    #[serde(default)]
    network_settings: NetworkSettings,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    image: String,
    user: String,
    env: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    memory: i64,
    privileged: bool,
    readonly_rootfs: bool,
    auto_remove: bool,
    network_mode: String,
    cap_drop: Option<Vec<String>>,
    security_opt: Option<Vec<String>>,
    log_config: LogConfig,
    port_bindings: Option<BTreeMap<String, Option<Vec<Binding>>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct LogConfig {
    r#type: String,
    config: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Binding {
    host_ip: String,
    host_port: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct MountPoint {
    r#type: String,
    source: String,
    destination: String,
    #[serde(rename = "RW")]
    rw: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    networks: Option<BTreeMap<String, serde::de::IgnoredAny>>,
}

/// Reads the answer of `docker inspect`, a list or one container.
///
/// # Errors
/// When it is none.
pub(super) fn read(json: &str) -> Result<Vec<ContainerFacts>, String> {
    let words = |error: serde_json::Error| {
        format!("not what `docker inspect` prints: line {}, column {}", error.line(), error.column())
    };
    let containers: Vec<Container> = if json.trim_start().starts_with('[') {
        serde_json::from_str(json).map_err(words)?
    } else {
        vec![serde_json::from_str(json).map_err(words)?]
    };
    Ok(containers.into_iter().map(facts).collect())
}

fn facts(container: Container) -> ContainerFacts {
    let Container { name, config, host_config: host, mounts, network_settings } = container;
    let mut facts = ContainerFacts::new(Origin::Engine, 0);
    name.trim_start_matches('/').clone_into(&mut facts.name);
    facts.image = config.image;
    facts.args = config.entrypoint.unwrap_or_default();
    facts.args.extend(config.cmd.unwrap_or_default());
    for text in config.env.unwrap_or_default() {
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        facts.add_variable(name, value);
    }
    facts.user = Some(config.user).filter(|user| !user.is_empty());
    facts.memory = u64::try_from(host.memory).ok().filter(|bytes| *bytes > 0);
    facts.privileged = host.privileged;
    facts.read_only = host.readonly_rootfs;
    facts.for_once = host.auto_remove;
    facts.host_network = host.network_mode == "host";
    facts.cap_drop =
        host.cap_drop.unwrap_or_default().into_iter().map(|cap| cap.to_ascii_uppercase()).collect();
    facts.security_opt = host.security_opt.unwrap_or_default();
    facts.log_bounded = host.log_config.config.is_some_and(|config| config.contains_key("max-size"));
    facts.log_driver = Some(host.log_config.r#type).filter(|driver| !driver.is_empty());
    facts.volumes = mounts
        .into_iter()
        .filter(|mount| mount.r#type != "tmpfs")
        .map(|mount| Volume { source: mount.source, target: mount.destination, read_only: !mount.rw })
        .collect();
    facts.networks = network_settings.networks.unwrap_or_default().into_keys().collect();
    for (port, bindings) in host.port_bindings.unwrap_or_default() {
        let (number, protocol) = port.split_once('/').unwrap_or((&port, "tcp"));
        let Ok(number) = number.parse() else { continue };
        facts.ports.extend(bindings.unwrap_or_default().into_iter().map(|binding| Published {
            ip: binding.host_ip.parse().ok(),
            host: binding.host_port.parse().ok(),
            port: number,
            udp: protocol == "udp",
            line: 0,
        }));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let json = r#"[{"Name":"/geth","Config":{"Image":"ethereum/client-go:v1.17.5","User":"","Env":["JWT_SECRET=abc","PATH=/bin"],
            "Cmd":["--http"],"Entrypoint":["geth"]},"HostConfig":{"Memory":3221225472,"Privileged":true,"ReadonlyRootfs":true,"NetworkMode":"bridge",
            "CapDrop":["all"],"SecurityOpt":null,"LogConfig":{"Type":"json-file","Config":{"max-size":"10m"}},
            "PortBindings":{"8545/tcp":[{"HostIp":"","HostPort":"8545"}],"30303/udp":null}},
            "Mounts":[{"Type":"bind","Source":"/data","Destination":"/data","RW":true}],"NetworkSettings":{"Networks":{"bridge":{"IPAddress":"1"}}}}]"#;
        let found = read(json).unwrap();
        let geth = &found[0];
        assert_eq!((geth.name.as_str(), geth.memory, geth.user.as_deref()), ("geth", Some(3 << 30), None));
        assert_eq!(geth.args, ["geth", "--http"]);
        assert_eq!(geth.ports.len(), 1);
        assert!(geth.ports[0].is_everywhere() && geth.privileged && geth.read_only && geth.log_bounded);
        assert!(geth.env[0].is_secret && !geth.env[1].is_secret);
        assert!(!format!("{geth:?}").contains("abc"), "values of the environment are not kept");
        assert_eq!(read(json.trim_start_matches('[').trim_end_matches(']')).unwrap(), found);
        for wrong in ["", "{", "[1]", "null", "\"x\""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
