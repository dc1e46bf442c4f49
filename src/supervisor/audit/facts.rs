//! What is known of a container, whoever said it: a `docker run` line, a compose service, or `docker inspect`.

use std::net::IpAddr;

use super::client::Client;

/// Where the facts are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A `docker run` or `docker create` line.
    Run,
    /// A service of a compose file.
    Compose,
    /// The engine: what is there.
    Engine,
}

/// A container, as it would be or is. Environment is kept by name alone: values may be secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerFacts {
    /// Where the facts are from.
    pub origin: Origin,
    /// Its name, or its image's where it has none.
    pub name: String,
    /// The line it begins at; 0 where there is none.
    pub line: usize,
    /// The image; empty where it is built.
    pub image: String,
    /// Entrypoint and arguments. They may hold URLs with keys: not for messages.
    pub args: Vec<String>,
    /// Published ports.
    pub ports: Vec<Published>,
    /// What is mounted.
    pub volumes: Vec<Volume>,
    /// Variables of its environment.
    pub env: Vec<Variable>,
    /// The user it runs as; none: the image's.
    pub user: Option<String>,
    /// Memory limit in bytes.
    pub memory: Option<u64>,
    /// Networks by name.
    pub networks: Vec<String>,
    /// Capabilities that are dropped, in upper case.
    pub cap_drop: Vec<String>,
    /// Security options.
    pub security_opt: Vec<String>,
    /// The logging driver; none: the engine's default.
    pub log_driver: Option<String>,
    /// Whether its log is bounded by `max-size`.
    pub log_bounded: bool,
    /// Whether the root filesystem is read-only.
    pub read_only: bool,
    /// Whether it is privileged.
    pub privileged: bool,
    /// Whether it is on the host's network.
    pub host_network: bool,
    /// Whether it is removed once it ends: a command for once, not a service.
    pub for_once: bool,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The host's address; none: all of them.
    pub ip: Option<IpAddr>,
    /// The host's port; none: any.
    pub host: Option<u16>,
    /// The port inside.
    pub port: u16,
    /// Whether it is UDP.
    pub udp: bool,
    /// The line it stands in.
    pub line: usize,
}

impl Published {
    /// Whether other machines reach it.
    pub fn is_everywhere(&self) -> bool {
        self.ip.is_none_or(|ip| ip.is_unspecified())
    }
}

/// Something that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// A path of the host, or a volume's name; empty: one without a name.
    pub source: String,
    /// The path inside.
    pub target: String,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// A variable, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Whether its value is, or may become, a secret.
    pub is_secret: bool,
}

/// Parts of names that secrets have.
const SECRET_NAMES: [&str; 9] =
    ["SECRET", "PASSWORD", "PASSWD", "TOKEN", "PRIVATE_KEY", "PRIVKEY", "MNEMONIC", "API_KEY", "JWT"];

impl Variable {
    /// Of a name and its value, which is looked at and not kept.
    pub(super) fn new(name: &str, value: &str) -> Self {
        let upper = name.to_ascii_uppercase();
        let is_path = upper.ends_with("_FILE") || upper.ends_with("_PATH") || value.starts_with(['/', '.']);
        let is_secret = SECRET_NAMES.iter().any(|part| upper.contains(part))
            && !is_path
            && !matches!(value, "" | "true" | "false");
        Self { name: name.to_owned(), is_secret }
    }
}

impl ContainerFacts {
    /// One of which nothing is known but where it stands.
    pub(super) fn new(origin: Origin, line: usize) -> Self {
        Self {
            origin,
            name: String::new(),
            line,
            image: String::new(),
            args: Vec::new(),
            ports: Vec::new(),
            volumes: Vec::new(),
            env: Vec::new(),
            user: None,
            memory: None,
            networks: Vec::new(),
            cap_drop: Vec::new(),
            security_opt: Vec::new(),
            log_driver: None,
            log_bounded: false,
            read_only: false,
            privileged: false,
            host_network: false,
            for_once: false,
        }
    }

    /// Which client it is, as far as image and program tell.
    pub fn client(&self) -> Client {
        Client::of(&self.image, &self.args)
    }

    /// The value of a flag, by any of its names, whose dashes do not matter; empty where it stands alone.
    pub fn flag(&self, names: &[&str]) -> Option<&str> {
        flag(&self.args, names)
    }

    /// Whether a variable is set.
    pub fn has_variable(&self, names: &[&str]) -> bool {
        self.env.iter().any(|variable| names.contains(&variable.name.as_str()))
    }

    /// Notes a variable. mev-boost's list of relays is no secret, and means the same as its flag.
    pub(super) fn add_variable(&mut self, name: &str, value: &str) {
        if name == "RELAYS" && !value.is_empty() {
            self.args.push(format!("--relays={value}"));
        }
        self.env.push(Variable::new(name, value));
    }
}

/// The value of a flag among arguments; empty where none follows it.
pub(super) fn flag<'a>(args: &'a [String], names: &[&str]) -> Option<&'a str> {
    let mut rest = args.iter().peekable();
    while let Some(arg) = rest.next() {
        let Some(bare) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else { continue };
        match bare.split_once('=') {
            Some((name, value)) if names.contains(&name) => return Some(value),
            None if names.contains(&bare) => {
                return Some(
                    rest.peek().filter(|next| !next.starts_with('-')).map_or("", |next| next.as_str()),
                );
            }
            Some(_) | None => {}
        }
    }
    None
}

/// A size as Docker takes it: `3g`, `512m`, `1.5GB`, `1073741824`. In bytes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(number.len()..)?;
    let shift = match unit {
        "" | "b" => 0,
        "k" | "kb" | "ki" | "kib" => 10,
        "m" | "mb" | "mi" | "mib" => 20,
        "g" | "gb" | "gi" | "gib" => 30,
        "t" | "tb" | "ti" | "tib" => 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let unit = 1_u64.checked_shl(shift)?;
    let whole: u64 = whole.parse().ok()?;
    let digits: String = part.chars().take(3).collect();
    let scale = 10_u64.checked_pow(u32::try_from(digits.len()).ok()?)?;
    let part: u64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    whole.checked_mul(unit)?.checked_add(part.checked_mul(unit)? / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_does() {
        for (text, want) in [
            ("3g", Some(3 << 30)),
            ("512m", Some(512 << 20)),
            ("1.5GB", Some(3 << 29)),
            ("1073741824", Some(1 << 30)),
            ("64GiB", Some(64 << 30)),
            ("", None),
            ("g", None),
            ("-1", None),
            ("9999999999999999999g", None),
            ("$MEMORY", None),
        ] {
            assert_eq!(bytes(text), want, "{text}");
        }
    }

    #[test]
    fn flags_are_found_with_and_without_equals() {
        let args = ["geth", "--http.port=8546", "-cache", "2048", "--http"].map(str::to_owned);
        assert_eq!(flag(&args, &["http.port"]), Some("8546"));
        assert_eq!(flag(&args, &["cache"]), Some("2048"));
        assert_eq!(flag(&args, &["http"]), Some(""));
        assert_eq!(flag(&args, &["ws"]), None);
    }

    #[test]
    fn a_secret_is_told_by_its_name_and_not_where_a_path_stands() {
        for (name, value, is_secret) in [
            ("JWT_SECRET", "0xabcd", true),
            ("JWT_SECRET", "/jwt", false),
            ("API_KEY", "${API_KEY}", true),
            ("POSTGRES_PASSWORD_FILE", "x", false),
            ("NETWORK", "mainnet", false),
        ] {
            assert_eq!(Variable::new(name, value).is_secret, is_secret, "{name}");
        }
    }
}
