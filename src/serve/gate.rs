//! Decides which requests a listener takes, by the names in them, so that a web page cannot use the operator's browser against this service.
//! Pure: it reads headers and never looks a name up.
//!
//! A page on the internet can make its visitor's browser call `127.0.0.1`, and by giving its own name that address (DNS rebinding) it can
//! read the answers too. Such a call carries the page's name in `Host`, or says in `Origin` and `Sec-Fetch-Site` that it comes from
//! elsewhere. An address is no name that could be given another address, and a name without a dot, or under a suffix that the
//! public DNS does not have, is nobody's to give: those are taken as they are. Every other name has to be the operator's by `allowed_hosts`.
//!
//! Programs that are no browsers cannot be misled like this. On an address that other machines reach, under whatever name they
//! know it, the builder API therefore asks only browsers for their names: no consensus client loses a slot for what its service is called.
//! Source: RFC 9110 section 7.2; Fetch Metadata (W3C) for `Sec-Fetch-*`; RFC 6761, RFC 8375 and ICANN's `.internal` for suffixes.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, Uri, header, uri::Authority};

/// Suffixes that nobody can register: this machine, private networks, Kubernetes.
const PRIVATE_SUFFIXES: [&str; 5] = [".localhost", ".internal", ".home.arpa", ".svc", ".cluster.local"];

/// Whose `Host` is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Everybody,
    Browsers,
}

/// What a listener takes.
#[derive(Clone, Debug)]
pub struct HostGate {
    section: &'static str,
    allowed: Vec<String>,
    asked: Asked,
    /// Whether a link on another page may lead here.
    has_pages: bool,
    /// Origins of pages that may call, `https://app.example.com`; `*` is any.
    origins: Vec<String>,
}

/// Why a request is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateRefusal {
    /// `Host` is missing its meaning: there are two, or it is no host.
    #[error("the Host header is not the name of one host")]
    NoHost,
    /// A name that is not known to be ours.
    #[error(
        "`{host}` is not known as a name of this listener: call it by its address, or add the name to [{section}] allowed_hosts"
    )]
    ForeignHost {
        /// The name that the request has, shortened.
        host: String,
        /// The section of the configuration whose `allowed_hosts` could have it.
        section: &'static str,
    },
    /// A page of another site.
    #[error("a page of another site called: such requests are not taken")]
    ForeignOrigin,
}

impl HostGate {
    /// For programs, which have no pages to show.
    pub fn for_programs(section: &'static str, listen: SocketAddr, allowed: &[String]) -> Self {
        let asked = if listen.ip().is_loopback() { Asked::Everybody } else { Asked::Browsers };
        Self { section, allowed: lowercase(allowed), asked, has_pages: false, origins: Vec::new() }
    }

    /// For people.
    pub fn for_people(section: &'static str, allowed: &[String]) -> Self {
        Self {
            section,
            allowed: lowercase(allowed),
            asked: Asked::Everybody,
            has_pages: true,
            origins: Vec::new(),
        }
    }

    /// Lets pages of these origins call, too; `*` is any.
    #[must_use]
    pub fn open_to(self, origins: &[String]) -> Self {
        Self { origins: lowercase(origins), ..self }
    }

    /// Whether pages of an origin are let in by its name. Their own listener's are without.
    pub fn is_open_to(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|open| open == "*" || open.as_bytes().eq_ignore_ascii_case(origin))
    }

    /// Whether a request may come in.
    ///
    /// # Errors
    /// With the reason when it may not.
    pub fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), GateRefusal> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (None, _) => None,
            (Some(host), None) => {
                let host = host.to_str().ok().and_then(|text| text.trim().parse::<Authority>().ok());
                Some(host.ok_or(GateRefusal::NoHost)?)
            }
            (Some(_), Some(_)) => return Err(GateRefusal::NoHost),
        };
        if self.asked == Asked::Everybody || is_browser(headers) {
            // A request target with a name of its own goes before the header, and both must be ours.
            for name in [host.as_ref(), uri.authority()].into_iter().flatten() {
                self.check_name(name)?;
            }
        }
        if let Some(origin) = headers.get(header::ORIGIN)
            && !self.is_open_to(origin.as_bytes())
            && !self.is_own_origin(origin.as_bytes(), host.as_ref().or(uri.authority()))
        {
            return Err(GateRefusal::ForeignOrigin);
        }
        let said = |name| headers.get(name).map(|value: &http::HeaderValue| value.as_bytes());
        let is_link = || {
            self.has_pages
                && method == Method::GET
                && said("sec-fetch-mode") == Some(b"navigate")
                && said("sec-fetch-dest") == Some(b"document")
        };
        match said("sec-fetch-site") {
            Some(b"cross-site" | b"same-site") if !is_link() && !headers.contains_key(header::ORIGIN) => {
                Err(GateRefusal::ForeignOrigin)
            }
            _ => Ok(()),
        }
    }

    fn check_name(&self, authority: &Authority) -> Result<(), GateRefusal> {
        let host = plain(authority.host());
        if is_unforgeable(&host) || self.allowed.contains(&host) {
            return Ok(());
        }
        let host = host.chars().take(100).collect();
        Err(GateRefusal::ForeignHost { host, section: self.section })
    }

    /// Whether `Origin` is the listener's own, as its caller knows it, or allowed by name.
    fn is_own_origin(&self, origin: &[u8], host: Option<&Authority>) -> bool {
        let origin: Option<Uri> = std::str::from_utf8(origin).ok().and_then(|text| text.trim().parse().ok());
        // `null` has no scheme: a file, a sandboxed frame.
        let Some((scheme, origin)) =
            origin.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?)))
        else {
            return false;
        };
        let default_port = if scheme == "https" { 443 } else { 80 };
        let is_same = host.is_some_and(|host| {
            let port = |authority: &Authority| authority.port_u16().unwrap_or(default_port);
            plain(host.host()) == plain(origin.host()) && port(host) == port(origin)
        });
        is_same || self.allowed.contains(&plain(origin.host()))
    }
}

fn lowercase(names: &[String]) -> Vec<String> {
    names.iter().map(|name| plain(name)).collect()
}

/// A host without brackets, case and final dot.
fn plain(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

/// Whether no stranger could have pointed this name at us.
fn is_unforgeable(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
        || !host.contains('.')
        || PRIVATE_SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
}

/// Whether a request bears the marks of a browser.
fn is_browser(headers: &HeaderMap) -> bool {
    let agent =
        headers.get(header::USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"));
    agent
        || headers.contains_key(header::ORIGIN)
        || headers.contains_key(header::REFERER)
        || headers.contains_key("sec-fetch-site")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 18550);
    const EVERYWHERE: ([u8; 4], u16) = ([0, 0, 0, 0], 18550);

    #[test]
    fn pages_of_origins_that_are_allowed_may_call() {
        let gate = HostGate::for_programs("rpc", LOOPBACK.into(), &[]);
        let with =
            |origin| [("host", "localhost:18545"), ("origin", origin), ("sec-fetch-site", "cross-site")];
        for (origin, want) in [
            ("https://app.example.com", false),
            ("HTTPS://APP.example.com", false),
            ("https://app.example.com:8443", true),
            ("http://app.example.com", true),
            ("https://evil.example.com", true),
            ("null", true),
        ] {
            let open = gate.clone().open_to(&["https://App.example.com".to_owned()]);
            assert_eq!(refused(&open, Method::POST, &with(origin)), want, "{origin}");
            assert!(refused(&gate, Method::POST, &with(origin)));
            assert!(!refused(&gate.clone().open_to(&["*".to_owned()]), Method::POST, &with(origin)));
        }
    }

    fn refused(gate: &HostGate, method: Method, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        gate.check(&method, &Uri::from_static("/"), &map).is_err()
    }

    #[test]
    fn names_that_a_stranger_could_own_are_refused() {
        let allowed = ["Ops.Example.com".to_owned()];
        let people = HostGate::for_people("ops", &allowed);
        let loopback = HostGate::for_programs("builder_api", LOOPBACK.into(), &allowed);
        let public = HostGate::for_programs("builder_api", EVERYWHERE.into(), &allowed);
        let table = [
            // host, refused where everybody is asked
            ("127.0.0.1:18550", false),
            ("[::1]:18550", false),
            ("203.0.113.9", false),
            ("localhost:18550", false),
            ("LOCALHOST.", false),
            ("relaymux:18550", false),
            ("relaymux.staking.svc.cluster.local", false),
            ("relaymux.staking.svc:18550", false),
            ("host.docker.internal:18550", false),
            ("ops.example.com", false),
            ("ops.example.com.:8080", false),
            ("evil.example:18550", true),
            ("127.0.0.1.evil.example", true),
            ("127.0.0.1.nip.io:18550", true),
            ("printer.local", true),
            ("a b", true),
        ];
        for (host, want) in table {
            for gate in [&people, &loopback] {
                assert_eq!(refused(gate, Method::GET, &[("host", host)]), want, "{host}");
            }
            // Other machines' programs call it as they know it, browsers do not.
            let browser = [("host", host), ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)")];
            assert_eq!(refused(&public, Method::GET, &browser), want, "{host}");
            if host != "a b" {
                assert!(
                    !refused(&public, Method::POST, &[("host", host), ("user-agent", "Prysm")]),
                    "{host}"
                );
            }
        }
        assert!(!refused(&people, Method::GET, &[]), "HTTP/1.0 has no Host, and no browser speaks it");
        assert!(refused(&people, Method::GET, &[("host", "localhost"), ("host", "evil.example")]));
        let target = Uri::from_static("http://evil.example/metrics");
        let mut headers = HeaderMap::new();
        headers.insert("host", "localhost".parse().unwrap());
        assert!(people.check(&Method::GET, &target, &headers).is_err());
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let people = HostGate::for_people("ops", &["ops.example.com".to_owned()]);
        let programs = HostGate::for_programs("builder_api", EVERYWHERE.into(), &[]);
        type Row = (&'static str, Vec<(&'static str, &'static str)>, bool, bool);
        let own = ("host", "127.0.0.1:18551");
        let table: [Row; 10] = [
            // name, headers, refused by pages' gate, refused by programs' gate
            ("its own page", vec![own, ("origin", "http://127.0.0.1:18551")], false, false),
            ("another port", vec![own, ("origin", "http://127.0.0.1:3000")], true, true),
            ("another site", vec![own, ("origin", "https://evil.example")], true, true),
            ("a file", vec![own, ("origin", "null")], true, true),
            ("an allowed name in front", vec![own, ("origin", "https://ops.example.com")], false, true),
            (
                "behind TLS",
                vec![("host", "ops.example.com"), ("origin", "https://ops.example.com")],
                false,
                true,
            ),
            ("an image of another site", vec![own, ("sec-fetch-site", "cross-site")], true, true),
            ("an image of its own", vec![own, ("sec-fetch-site", "same-origin")], false, false),
            ("Node's fetch", vec![own, ("sec-fetch-mode", "cors"), ("accept-language", "*")], false, false),
            (
                "a link",
                vec![
                    own,
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document"),
                ],
                false,
                true,
            ),
        ];
        for (name, headers, by_people, by_programs) in table {
            assert_eq!(refused(&people, Method::GET, &headers), by_people, "{name}");
            assert_eq!(refused(&programs, Method::GET, &headers), by_programs, "{name}");
        }
        let form = [
            own,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(refused(&people, Method::POST, &form), "a form of another site");
    }
}
