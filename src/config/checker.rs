//! Collects what is wrong or odd while a configuration is read, and reads the values that several sections have alike.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use url::Url;

use super::{Mistake, raw::Amount};
use crate::types::Wei;

/// Collects mistakes while checking goes on.
#[derive(Default)]
pub(super) struct Checker {
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<String>,
    /// Files that are part of the configuration.
    pub(super) included: Vec<PathBuf>,
    /// Files of them that are one secret each.
    pub(super) secrets: Vec<PathBuf>,
    /// Files of them that are no secret.
    pub(super) plain: Vec<PathBuf>,
    /// Files of them that are one certificate each.
    pub(super) certificates: Vec<PathBuf>,
}

impl Checker {
    pub(super) fn wrong(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(Mistake::at(key, message, hint));
    }

    /// A key that another one contradicts: if the environment set the other, the variable is to blame.
    pub(super) fn contradicts(
        &mut self,
        key: &str,
        other: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let related = vec![other.to_owned()];
        self.mistakes.push(Mistake { related, ..Mistake::at(key, message, hint) });
    }

    /// How many mistakes were found.
    pub(super) fn mistakes_so_far(&self) -> usize {
        self.mistakes.len()
    }

    /// Something odd that may be meant.
    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// A time in milliseconds that must not be zero.
    pub(super) fn millis(&mut self, key: &str, value: Option<u64>, default: Duration) -> Duration {
        match value {
            None => default,
            Some(0) => {
                self.wrong(
                    key,
                    "a timeout of 0 would never let anything through",
                    "give it in milliseconds, 1 or more",
                );
                default
            }
            Some(ms) => Duration::from_millis(ms),
        }
    }

    /// A time in seconds that must not be zero.
    pub(super) fn secs(&mut self, key: &str, value: Option<u64>, default: Duration) -> Duration {
        match value {
            None => default,
            Some(0) => {
                self.wrong(key, "0 seconds are no time", "give it in seconds, 1 or more");
                default
            }
            Some(secs) => Duration::from_secs(secs),
        }
    }

    /// An amount in ETH.
    pub(super) fn eth(&mut self, key: &str, amount: &Amount) -> Wei {
        Wei::parse_eth(&amount.0).unwrap_or_else(|error| {
            self.wrong(key, error.to_string(), "write an amount in ETH such as \"0.05\"");
            Wei::ZERO
        })
    }

    /// Reads a file that is part of the configuration and has to be there.
    pub(super) fn include(&mut self, key: &str, path: PathBuf) -> Option<String> {
        let shown = path.display().to_string();
        let hint = "paths are relative to the configuration's folder";
        self.read(path).map_err(|error| self.wrong(key, format!("{shown}: {error}"), hint)).ok()
    }

    /// Reads a file whose changes are to be noticed, whether or not it can be read now.
    pub(super) fn read(&mut self, path: PathBuf) -> std::io::Result<String> {
        let text = std::fs::read_to_string(&path);
        self.included.push(path);
        text
    }

    /// Notes a file that is a secret, whose age may be watched; warns if others can read it.
    pub(super) fn note_secret(&mut self, path: &Path) {
        self.secrets.push(path.to_owned());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(path).map_or(0, |data| data.permissions().mode());
            if mode & 0o077 != 0 {
                self.warn(format!("{}: others can read this key: chmod 600", path.display()));
            }
        }
    }

    /// Where to listen: IP and port, or `localhost` and port.
    pub(super) fn address(&mut self, key: &str, value: Option<&String>, default: SocketAddr) -> SocketAddr {
        let Some(text) = value else { return default };
        let text = text.replacen("localhost", "127.0.0.1", 1);
        text.parse().unwrap_or_else(|_| {
            self.wrong(
                key,
                format!("`{text}` is not an address"),
                format!("write IP:port, such as {default}"),
            );
            default
        })
    }
}

/// Names without port, scheme or wildcard.
pub(super) fn hosts(key: &str, names: &[String], checker: &mut Checker) -> Vec<String> {
    for (index, name) in names.iter().enumerate() {
        if !is_host_name(name) {
            let hint =
                "write the name alone, such as \"relaymux.example.com\": no scheme, port, path or wildcard";
            checker.wrong(&format!("{key}[{index}]"), format!("`{name}` is not a host name"), hint);
        }
    }
    names.to_vec()
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.parse::<IpAddr>().is_ok() || name.split('.').all(is_label)
}

/// An `http` or `https` address.
pub(super) fn url(text: &str, key: &str, checker: &mut Checker) -> Option<Url> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Some(url),
        Ok(_) | Err(_) => {
            checker.wrong(
                key,
                "is not an http or https address",
                "such as https://keys.example.org/list.json",
            );
            None
        }
    }
}
