//! Secrets of the configuration: written in it, or in a file of their own. What is wrong with one is said without a word of it.

use std::path::Path;

use url::{Host, Url};

use super::checker::Checker;
use crate::types::{Secret, SecretUrl};

/// Longest secret, in bytes.
const MAX_BYTES: usize = 4096;
/// Suffixes of names that nobody can register: this machine, private networks, Kubernetes.
const PRIVATE_SUFFIXES: [&str; 7] =
    [".localhost", ".internal", ".home.arpa", ".svc", ".local", ".lan", ".test"];

/// Where a secret stands: the section, the key, and what there is under it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// `alerts.channels[0]`
    pub(super) section: &'a str,
    /// `token`; its file is under `token_file`.
    pub(super) key: &'a str,
    pub(super) text: Option<&'a String>,
    pub(super) file: Option<&'a String>,
}

impl Place<'_> {
    /// The key by which it was given.
    pub(super) fn given(&self) -> String {
        let suffix = if self.text.is_none() && self.file.is_some() { "_file" } else { "" };
        format!("{}.{}{suffix}", self.section, self.key)
    }

    /// Whether it is there at all.
    pub(super) const fn is_there(&self) -> bool {
        self.text.is_some() || self.file.is_some()
    }

    /// A mistake: it is missing.
    pub(super) fn missing(&self, why: &str, checker: &mut Checker) {
        let Self { section, key, .. } = self;
        checker.wrong(
            &format!("{section}.{key}"),
            format!("is missing: {why}"),
            format!("write {key}_file = \"secrets/…\", a file of mode 0600, or {key} = \"…\""),
        );
    }
}

/// The secret of a place: one line without what is around it. `None`: it is not there, or wrong, and then that was said.
pub(super) fn secret(place: Place<'_>, folder: &Path, checker: &mut Checker) -> Option<Secret> {
    let text = match (place.text, place.file) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            let Place { section, key, .. } = place;
            checker.contradicts(
                &format!("{section}.{key}_file"),
                &format!("{section}.{key}"),
                format!("{key} is given as well"),
                "keep one of the two: the file, if others may read the configuration",
            );
            return None;
        }
        (Some(text), None) => text.clone(),
        (None, Some(file)) => {
            let path = folder.join(file);
            let text = checker.include(&place.given(), path.clone())?;
            checker.note_secret(&path);
            text
        }
    };
    let text = text.trim();
    let wrong = if text.is_empty() {
        "is empty"
    } else if text.len() > MAX_BYTES {
        "is longer than 4096 bytes"
    } else if text.chars().any(char::is_control) {
        "has more than one line, or characters that cannot be printed"
    } else {
        return Some(Secret(text.to_owned()));
    };
    checker.wrong(&place.given(), wrong, format!("give the {} alone, in one line", place.key));
    None
}

/// The secret of a place that a header or path of a request is made of.
pub(super) fn token(place: Place<'_>, folder: &Path, checker: &mut Checker) -> Option<Secret> {
    let found = secret(place, folder, checker)?;
    if found.0.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(found);
    }
    checker.wrong(
        &place.given(),
        "has blanks or letters that no key has",
        "copy it once more from where it was made",
    );
    None
}

/// Who can read along on the way to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// Nobody: it is this machine.
    Loopback,
    /// Whoever is in a private network.
    Private,
    /// Anybody on the internet.
    Public,
}

/// What it means that an address is not encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlainHttp {
    /// A service on the internet, whose address or body has a key: never but on this machine.
    Never,
    /// A server of the operator's own that is told a key: not over the internet.
    InPrivate,
    /// A server of the operator's own that is told no key: odd over the internet.
    Anywhere,
}

/// The address of a place.
pub(super) fn secret_url(
    place: Place<'_>,
    folder: &Path,
    plain: PlainHttp,
    checker: &mut Checker,
) -> Option<SecretUrl> {
    let text = secret(place, folder, checker)?;
    checked_url(&place.given(), &text.0, plain, checker)
}

/// An address that may be a secret.
pub(super) fn checked_url(
    key: &str,
    text: &str,
    plain: PlainHttp,
    checker: &mut Checker,
) -> Option<SecretUrl> {
    let url = match SecretUrl::parse(text) {
        Ok(url) => url,
        Err(error) => {
            checker.wrong(
                key,
                format!("is no address that can be called: {error}"),
                "copy it once more from the service",
            );
            return None;
        }
    };
    if url.expose().scheme() == "https" {
        return Some(url);
    }
    let way = way(url.expose());
    let refused = match plain {
        PlainHttp::Never => way > Way::Loopback,
        PlainHttp::InPrivate => way > Way::Private,
        PlainHttp::Anywhere => false,
    };
    if refused {
        checker.wrong(
            key,
            "is http:// to another machine: whoever is on the way reads the key in it, and the alerts",
            "write https://; http:// is for this machine and, for your own servers, private networks",
        );
        return None;
    }
    if way == Way::Public || (way == Way::Private && plain == PlainHttp::InPrivate) {
        checker.warn(format!(
            "{key} is http:// to another machine: whoever is on the way reads and forges what is sent; https:// keeps it private"
        ));
    }
    Some(url)
}

fn way(url: &Url) -> Way {
    match url.host() {
        Some(Host::Ipv4(ip)) if ip.is_loopback() => Way::Loopback,
        Some(Host::Ipv6(ip)) if ip.is_loopback() => Way::Loopback,
        Some(Host::Ipv4(ip)) if ip.is_private() || ip.is_link_local() => Way::Private,
        Some(Host::Ipv6(ip)) if ip.is_unique_local() || ip.is_unicast_link_local() => Way::Private,
        Some(Host::Domain(name)) => way_to(name),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => Way::Public,
    }
}

/// The way to a host by its name or address.
pub(super) fn way_to(host: &str) -> Way {
    if let Ok(ip) = host.parse::<std::net::IpAddr>() {
        return if ip.is_loopback() { Way::Loopback } else { Way::Public };
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    if name == "localhost" {
        Way::Loopback
    } else if !name.contains('.') || PRIVATE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        Way::Private
    } else {
        Way::Public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_judged_by_who_can_read_along() {
        use PlainHttp::{Anywhere, InPrivate, Never};
        for (url, way, refused_by) in [
            ("http://127.0.0.1:9093", Way::Loopback, &[][..]),
            ("http://[::1]/", Way::Loopback, &[]),
            ("http://localhost/x", Way::Loopback, &[]),
            ("http://alertmanager:9093", Way::Private, &[Never]),
            ("http://ntfy.monitoring.svc", Way::Private, &[Never]),
            ("http://192.168.1.5/", Way::Private, &[Never]),
            ("http://[fd00::1]/", Way::Private, &[Never]),
            ("http://hooks.slack.com/x", Way::Public, &[Never, InPrivate]),
            ("http://8.8.8.8/", Way::Public, &[Never, InPrivate]),
            ("http://localhost.evil.example/", Way::Public, &[Never, InPrivate]),
        ] {
            assert_eq!(super::way(&Url::parse(url).unwrap()), way, "{url}");
            for plain in [Never, InPrivate, Anywhere] {
                let mut checker = Checker::default();
                let got = checked_url("k", url, plain, &mut checker);
                assert_eq!(got.is_none(), refused_by.contains(&plain), "{url} {plain:?}");
                assert_eq!(checker.mistakes.is_empty(), got.is_some());
                let encrypted = url.replace("http:", "https:");
                let mut checker = Checker::default();
                assert!(checked_url("k", &encrypted, plain, &mut checker).is_some());
                assert_eq!(checker.warnings, Vec::<String>::new());
            }
        }
    }
}
