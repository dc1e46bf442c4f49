//! What a backup's file is called: whose chain it is of, and when it was made.

use crate::types::UnixMillis;

const PREFIX: &str = "relaymux-";
const SUFFIX: &str = ".tar.gz";
/// `20261128T020000Z`
const TIME: &str = "%Y%m%dT%H%M%SZ";
/// Longest name of a network that is kept.
const MAX_NETWORK: usize = 40;

/// A file name that is a backup's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BackupName {
    /// The network as it stands in names.
    pub(super) network: String,
    /// To the second, Unix milliseconds.
    pub(super) made_at: UnixMillis,
}

impl BackupName {
    /// The name of a backup that is made now.
    pub(super) fn new(network: &str, now: UnixMillis) -> Self {
        Self { network: plain(network), made_at: now.div_euclid(1000).saturating_mul(1000) }
    }

    /// Reads a file's name; none: it is no backup of ours.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (network, time) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.rsplit_once('-')?;
        let time = jiff::fmt::strtime::parse(TIME, time).ok()?.to_datetime().ok()?;
        let made_at = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
        let parsed = Self { network: network.to_owned(), made_at };
        // Written as we write it: nothing that is only alike is ours to remove.
        (parsed.network == plain(network) && parsed.file() == name).then_some(parsed)
    }

    /// The file's name.
    pub(super) fn file(&self) -> String {
        format!("{PREFIX}{}-{}{SUFFIX}", self.network, stamp(self.made_at))
    }
}

/// A time as it stands in names.
pub(super) fn stamp(at: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap_or_default().strftime(TIME).to_string()
}

/// A network's name as it stands in file names.
fn plain(network: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let name: String = network.chars().take(MAX_NETWORK).map(keep).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_we_wrote_is_a_backup() {
        for (name, want) in [
            ("relaymux-mainnet-20261128T020000Z.tar.gz", Some("mainnet")),
            ("relaymux-my-chain-20261128T020000Z.tar.gz", Some("my-chain")),
            ("relaymux-mainnet-20261128T020000Z.tar.gz.verdict.json", None),
            ("relaymux-mainnet-20261128T020000Z.tar", None),
            ("relaymux-mainnet-20261328T020000Z.tar.gz", None),
            ("relaymux-mainnet-20261128T0200Z.tar.gz", None),
            ("relaymux-Mainnet-20261128T020000Z.tar.gz", None),
            ("relaymux-../x-20261128T020000Z.tar.gz", None),
            ("relaymux-20261128T020000Z.tar.gz", None),
            ("geth-mainnet-20261128T020000Z.tar.gz", None),
            ("", None),
        ] {
            assert_eq!(BackupName::parse(name).map(|name| name.network).as_deref(), want, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_read_as_it_was_written(network in ".{0,60}", now in 0_i64..4_000_000_000_000) {
            let name = BackupName::new(&network, now);
            prop_assert_eq!(BackupName::parse(&name.file()), Some(name.clone()));
            prop_assert!(name.file().bytes().all(|b| b.is_ascii_graphic() && b != b'/'));
        }
    }
}
