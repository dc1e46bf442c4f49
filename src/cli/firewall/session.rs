//! The SSH connection that the command came over, if any.

use std::fs;

use crate::supervisor::firewall::SshConnection;

/// Most parents that are asked: shell, sudo, a multiplexer.
const MAX_PARENTS: usize = 16;

/// The connection, by our environment, or a parent's: `sudo` keeps it from us.
pub(super) fn connection() -> Option<SshConnection> {
    if let Ok(text) = std::env::var("SSH_CONNECTION") {
        return SshConnection::parse(&text);
    }
    let mut pid = parent_of("self")?;
    for _ in 0..MAX_PARENTS {
        if let Some(found) = of_process(&pid) {
            return Some(found);
        }
        pid = parent_of(&pid).filter(|parent| parent != "0")?;
    }
    None
}

fn of_process(pid: &str) -> Option<SshConnection> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let variables =
        environment.split(|byte| *byte == 0).filter_map(|variable| std::str::from_utf8(variable).ok());
    variables.filter_map(|variable| variable.strip_prefix("SSH_CONNECTION=")).find_map(SshConnection::parse)
}

fn parent_of(pid: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")).map(|parent| parent.trim().to_owned())
}

/// Why the ruleset is not loaded over this connection.
pub(super) fn refusal(connection: &SshConnection) -> String {
    let SshConnection { from, port } = connection;
    format!(
        "You are connected from {from} to port {port}, which these rules close to you: once this connection breaks you could not come back. Add \
         {port} to [firewall] ssh_ports, or {from} to allow_from."
    )
}
