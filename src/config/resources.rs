//! `[resources]`: what nodes leave to the rest of the machine, and where the Docker engine is.

use super::{checker::Checker, node_limits::size, raw_nodes::RawResources};
use crate::supervisor::{DockerHost, NodeSettings, NodesSettings, PsiGuard, Reserve};

/// Checks the section.
pub(super) fn resources(
    nodes: Vec<NodeSettings>,
    raw: Option<&RawResources>,
    has_docker: bool,
    environment: &[(String, String)],
    checker: &mut Checker,
) -> NodesSettings {
    let unsaid = RawResources::default();
    let raw = raw.unwrap_or(&unsaid);
    let default = Reserve::default();
    let memory =
        raw.reserve_memory.as_deref().and_then(|text| size(text, "resources.reserve_memory", checker));
    let cpus = raw.reserve_cpus.unwrap_or(default.cpus);
    if !(0.0..=4096.0).contains(&cpus) {
        checker.wrong("resources.reserve_cpus", "is no number of cores", "such as 0.5");
    }
    let guard = PsiGuard::default();
    let mut percent = |key: &str, value: Option<f64>, default: f64| {
        let value = value.unwrap_or(default);
        if !(0.0..=100.0).contains(&value) {
            checker.wrong(&format!("resources.{key}"), "is no share in percent", "write 0 to 100; 0: off");
        }
        value
    };
    let psi = PsiGuard {
        memory: percent("psi_memory_percent", raw.psi_memory_percent, guard.memory),
        io: percent("psi_io_percent", raw.psi_io_percent, guard.io),
    };
    let named = environment.iter().find(|(name, value)| name == "DOCKER_HOST" && !value.trim().is_empty());
    let docker = match (named, raw.docker_host.as_deref()) {
        // It is for docker's own command as well: of no concern where nothing runs in Docker.
        (Some(_), _) if !has_docker => None,
        (Some((_, text)), _) => docker_host(text, Named::Environment, checker),
        (None, Some(text)) => docker_host(text, Named::File, checker),
        (None, None) => None,
    };
    NodesSettings {
        nodes,
        reserve: Reserve { memory: memory.unwrap_or(default.memory), cpus },
        docker: docker.unwrap_or_default(),
        psi,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Environment,
    File,
}

/// Reads an address; says what is wrong or daring about it.
fn docker_host(text: &str, named: Named, checker: &mut Checker) -> Option<DockerHost> {
    const KEY: &str = "resources.docker_host";
    const HINT: &str = "unix:///var/run/docker.sock, or tcp://127.0.0.1:2375 for a socket proxy";
    let Some(host) = DockerHost::parse(text) else {
        let message = "is neither a socket nor a tcp:// address: ssh:// and TLS are not spoken here";
        match named {
            Named::File => checker.wrong(KEY, message, HINT),
            // The variable is no key of ours, and may be meant for another program.
            Named::Environment => checker.wrong("nodes", format!("DOCKER_HOST {message}"), HINT),
        }
        return None;
    };
    let DockerHost::Tcp(address) = &host else { return Some(host) };
    let is_local =
        address.starts_with("127.") || address.starts_with("localhost:") || address.starts_with("[::1]");
    if !is_local {
        checker.warn(
            "the Docker engine is called on another host, without TLS: whoever is on the way is root there, and limits are counted against \
             this machine, not that one",
        );
    }
    Some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_where_the_environment_says_then_the_file_then_the_usual_place() {
        let of = |variable: Option<&str>, key: Option<&str>, has_docker| {
            let raw = RawResources { docker_host: key.map(str::to_owned), ..RawResources::default() };
            let environment: Vec<_> =
                variable.map(|value| ("DOCKER_HOST".to_owned(), value.to_owned())).into_iter().collect();
            let mut checker = Checker::default();
            let settings = resources(Vec::new(), Some(&raw), has_docker, &environment, &mut checker);
            (settings.docker, checker.mistakes.len(), checker.warnings.len())
        };
        let unix = |path: &str| DockerHost::Unix(path.into());
        let usual = DockerHost::default();
        for (variable, key, has_docker, want) in [
            (None, None, true, (usual.clone(), 0, 0)),
            (Some(""), None, true, (usual.clone(), 0, 0)),
            (
                Some("unix:///run/user/1000/docker.sock"),
                Some("/a"),
                true,
                (unix("/run/user/1000/docker.sock"), 0, 0),
            ),
            (None, Some("/run/podman.sock"), true, (unix("/run/podman.sock"), 0, 0)),
            (Some("tcp://127.0.0.1:2375"), None, true, (DockerHost::Tcp("127.0.0.1:2375".to_owned()), 0, 0)),
            (Some("tcp://docker-proxy"), None, true, (DockerHost::Tcp("docker-proxy:2375".to_owned()), 0, 1)),
            (Some("ssh://me@box"), None, true, (usual.clone(), 1, 0)),
            (Some("ssh://me@box"), None, false, (usual.clone(), 0, 0)),
            (None, Some("docker.sock"), true, (usual, 1, 0)),
        ] {
            assert_eq!(of(variable, key, has_docker), want, "{variable:?} {key:?}");
        }
    }
}
