//! `[firewall]` as it is written.

use serde::Deserialize;

use super::raw_text::Scalar;

/// `[firewall]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawFirewall {
    pub(super) allow_from: Vec<String>,
    pub(super) closed_ports: Option<Vec<Scalar>>,
    pub(super) p2p_ports: Option<Vec<Scalar>>,
    pub(super) ssh_ports: Option<Vec<u16>>,
}
