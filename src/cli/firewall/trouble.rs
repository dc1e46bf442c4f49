//! What every command of the firewall needs, and why it may not get it.

use std::{path::Path, process::ExitCode};

use crate::{
    cli::{exit::MISUSED, loading::load, terminal},
    config::Config,
    supervisor::firewall::{FirewallSettings, Nft, NftError, TrialError},
};

/// Why a command did not do it.
pub(super) enum Trouble {
    /// It was said already.
    Said(ExitCode),
    Nft(NftError),
    Trial(TrialError),
    Words(String),
}

impl From<NftError> for Trouble {
    fn from(error: NftError) -> Self {
        Self::Nft(error)
    }
}

impl From<TrialError> for Trouble {
    fn from(error: TrialError) -> Self {
        Self::Trial(error)
    }
}

/// The section of the configuration.
pub(super) fn settings(path: &Path) -> Result<FirewallSettings, Trouble> {
    let config: Config = load(path).map_err(Trouble::Said)?;
    config.firewall.ok_or_else(|| {
        terminal::complain(format_args!(
            "{}: there is no [firewall], so nothing is to be closed. Write `[firewall]` and `allow_from = [\"192.168.1.0/24\"]`, your own network.",
            path.display()
        ));
        Trouble::Said(ExitCode::from(MISUSED))
    })
}

pub(super) fn nft() -> Result<Nft, NftError> {
    Nft::find(&std::env::var("PATH").unwrap_or_default())
}
