//! mev-boost's command line and environment.

use toml::{Table, Value};

use super::{ImportError, Imported, relay_id};

/// What a flag is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Switch,
    Value,
}

/// Flags, whether they take a value, and their environment variables.
const FLAGS: [(&str, Kind, &str); 31] = [
    ("mainnet", Kind::Switch, "MAINNET"),
    ("sepolia", Kind::Switch, "SEPOLIA"),
    ("holesky", Kind::Switch, "HOLESKY"),
    ("hoodi", Kind::Switch, "HOODI"),
    ("genesis-fork-version", Kind::Value, "GENESIS_FORK_VERSION"),
    ("genesis-timestamp", Kind::Value, "GENESIS_TIMESTAMP"),
    ("addr", Kind::Value, "BOOST_LISTEN_ADDR"),
    ("relay", Kind::Value, ""),
    ("relays", Kind::Value, "RELAYS"),
    ("relay-check", Kind::Switch, "RELAY_STARTUP_CHECK"),
    ("min-bid", Kind::Value, "MIN_BID_ETH"),
    ("request-timeout-getheader", Kind::Value, "RELAY_TIMEOUT_MS_GETHEADER"),
    ("request-timeout-getpayload", Kind::Value, "RELAY_TIMEOUT_MS_GETPAYLOAD"),
    ("request-timeout-regval", Kind::Value, "RELAY_TIMEOUT_MS_REGVAL"),
    ("request-max-retries", Kind::Value, "REQUEST_MAX_RETRIES"),
    ("relay-monitor", Kind::Value, ""),
    ("relay-monitors", Kind::Value, "RELAY_MONITORS"),
    ("loglevel", Kind::Value, "LOG_LEVEL"),
    ("json", Kind::Switch, "LOG_JSON"),
    ("debug", Kind::Switch, "DEBUG"),
    ("color", Kind::Switch, ""),
    ("log-service", Kind::Value, "LOG_SERVICE_TAG"),
    ("log-no-version", Kind::Switch, "DISABLE_LOG_VERSION"),
    ("metrics", Kind::Switch, "METRICS_ENABLED"),
    ("metrics-addr", Kind::Value, "METRICS_ADDR"),
    ("config", Kind::Value, "CONFIG_FILE"),
    ("watch-config", Kind::Switch, "WATCH_CONFIG"),
    ("timeout-get-payload", Kind::Value, ""),
    ("late-in-slot-time", Kind::Value, ""),
    ("skip-relay-signature-check", Kind::Switch, "SKIP_RELAY_SIGNATURE_CHECK"),
    ("slot-sec", Kind::Value, "SLOT_SEC"),
];

/// mev-boost's command line, understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MevBoost {
    /// The configuration that does the same.
    pub imported: Imported,
    /// `-loglevel` or `-debug`.
    pub log_level: Option<String>,
    /// `-json`.
    pub json_logs: bool,
}

/// Whether an argument is a flag of mev-boost that is none of ours.
pub fn is_mev_boost_flag(argument: &str) -> bool {
    name_of(argument).is_some_and(|name| name != "config" && FLAGS.iter().any(|(flag, _, _)| *flag == name))
}

/// The flag's name without its dashes and value: Go takes one dash or two.
fn name_of(argument: &str) -> Option<&str> {
    let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    Some(name.split('=').next().unwrap_or(name))
}

/// Understands mev-boost's arguments (without the program's name) and environment. A flag counts before its variable.
///
/// # Errors
/// An unknown flag, a missing or wrong value, no relay.
pub fn import_mev_boost(
    arguments: &[String],
    environment: &[(String, String)],
) -> Result<MevBoost, ImportError> {
    let mut given: Vec<(&'static str, String)> = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let unknown = || ImportError::UnknownFlag(argument.clone());
        let name = name_of(argument).ok_or_else(unknown)?;
        let (flag, kind, _) = FLAGS.iter().find(|(flag, _, _)| *flag == name).ok_or_else(unknown)?;
        let value = match (argument.split_once('='), kind) {
            (Some((_, value)), _) => value.to_owned(),
            (None, Kind::Switch) => "true".to_owned(),
            (None, Kind::Value) => rest.next().ok_or_else(|| ImportError::NoValue(argument.clone()))?.clone(),
        };
        given.push((flag, value));
    }
    for (flag, _, variable) in FLAGS.iter().filter(|(_, _, variable)| !variable.is_empty()) {
        let is_given = given.iter().any(|(name, _)| name == flag || (*flag == "relays" && *name == "relay"));
        let set = environment.iter().find(|(name, value)| name == variable && !value.is_empty());
        if let Some((_, value)) = set.filter(|_| !is_given) {
            given.push((flag, value.clone()));
        }
    }
    understand(&given)
}

fn understand(given: &[(&'static str, String)]) -> Result<MevBoost, ImportError> {
    let mut out = MevBoost::default();
    let last =
        |flag: &str| given.iter().rev().find(|(name, _)| *name == flag).map(|(_, value)| value.as_str());
    let is_on = |flag: &str| match last(flag) {
        None => Ok(false),
        Some(text) => parse_bool(flag, text),
    };
    network(&mut out.imported, &last, &is_on)?;
    if let Some(addr) = last("addr") {
        // Go listens on every interface when no host is named.
        let addr = if addr.starts_with(':') {
            format!("0.0.0.0{addr}")
        } else {
            addr.replacen("localhost", "127.0.0.1", 1)
        };
        out.imported.set("builder_api", "listen", addr);
    }
    let checks = is_on("relay-check")?;
    out.imported.set("builder_api", "relay_check", true);
    if checks {
        // mev-boost's status is 503 when every relay is down only if told to check them.
        out.imported.set("builder_api", "status_without_relays", "unavailable");
    }
    if let Some(eth) = last("min-bid") {
        out.imported.set("auction", "min_bid_eth", eth);
    }
    let times = [
        ("request-timeout-getheader", "timeout_get_header_ms"),
        ("request-timeout-getpayload", "timeout_get_payload_ms"),
        ("timeout-get-payload", "timeout_get_payload_ms"),
        ("request-timeout-regval", "timeout_register_validator_ms"),
        ("late-in-slot-time", "late_in_slot_time_ms"),
    ];
    for (flag, key) in times {
        if let Some(text) = last(flag) {
            out.imported.set("auction", key, parse_number(flag, text)?);
        }
    }
    relays(&mut out.imported, given)?;
    for (flag, note) in [
        (
            "request-max-retries",
            "-request-max-retries: a submission is repeated until timeout_get_payload_ms is over, however often that is",
        ),
        (
            "relay-monitor",
            "-relay-monitor: relay monitors are not sent anything; what relays do is in this program's own ledger",
        ),
        (
            "relay-monitors",
            "-relay-monitors: relay monitors are not sent anything; what relays do is in this program's own ledger",
        ),
        ("metrics", "-metrics: metrics are on [ops] listen, path /metrics, always"),
        ("metrics-addr", "-metrics-addr: metrics are on [ops] listen, path /metrics"),
        ("log-service", "-log-service: logs have no service tag"),
        ("skip-relay-signature-check", "SKIP_RELAY_SIGNATURE_CHECK: signatures are always checked"),
        ("watch-config", "-watch-config: the configuration is always followed"),
    ] {
        if last(flag).is_some_and(|value| value != "false") {
            out.imported.note(note);
        }
    }
    if let Some(path) = last("config") {
        out.imported.note(format!(
            "-config {path}: mev-boost's YAML file is not read; carry its relays over by hand"
        ));
    }
    out.json_logs = is_on("json")?;
    out.log_level = last("loglevel").map(str::to_owned);
    if is_on("debug")? {
        out.log_level = Some("debug".to_owned());
    }
    Ok(out)
}

fn network<'a>(
    imported: &mut Imported,
    last: &impl Fn(&str) -> Option<&'a str>,
    is_on: &impl Fn(&str) -> Result<bool, ImportError>,
) -> Result<(), ImportError> {
    let mut named = Vec::new();
    for name in ["sepolia", "holesky", "hoodi"] {
        if is_on(name)? {
            named.push(name);
        }
    }
    match named.as_slice() {
        [] => imported.set("", "network", "mainnet"),
        [name] => imported.set("", "network", *name),
        [..] => {
            let why = "more than one network is named".to_owned();
            return Err(ImportError::Value { what: named.join(", "), why });
        }
    }
    if last("genesis-fork-version").is_some()
        || last("genesis-timestamp").is_some()
        || last("slot-sec").is_some()
    {
        imported.note(
            "-genesis-fork-version, -genesis-timestamp, SLOT_SEC: a chain of its own is named by the path of its config.yaml, in `network`",
        );
    }
    Ok(())
}

fn relays(imported: &mut Imported, given: &[(&'static str, String)]) -> Result<(), ImportError> {
    let mut taken = Vec::new();
    let lists = given.iter().filter(|(flag, _)| matches!(*flag, "relay" | "relays"));
    let urls: Vec<&str> =
        lists.flat_map(|(_, value)| value.split(',')).map(str::trim).filter(|url| !url.is_empty()).collect();
    let mut seen: Vec<&str> = Vec::new();
    for url in urls {
        // mev-boost takes a relay that is named twice once.
        if seen.contains(&url) {
            continue;
        }
        seen.push(url);
        let mut relay = Table::new();
        relay.insert("id".to_owned(), Value::from(relay_id(url, &mut taken)));
        relay.insert("url".to_owned(), Value::from(url));
        imported.push("relays", relay);
    }
    if seen.is_empty() {
        let why = "no relay is named: give -relay, -relays or RELAYS".to_owned();
        return Err(ImportError::Value { what: "relays".to_owned(), why });
    }
    Ok(())
}

fn parse_bool(flag: &str, text: &str) -> Result<bool, ImportError> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(ImportError::Value {
            what: format!("-{flag}"),
            why: format!("`{text}` is neither true nor false"),
        }),
    }
}

fn parse_number(flag: &str, text: &str) -> Result<i64, ImportError> {
    let wrong = |_| ImportError::Value {
        what: format!("-{flag}"),
        why: format!("`{text}` is no number of milliseconds"),
    };
    text.parse().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "https://0xaa@a.example.org";
    const B: &str = "https://0xbb@b.example.org";

    fn import(arguments: &[&str], environment: &[(&str, &str)]) -> Result<MevBoost, ImportError> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        import_mev_boost(&arguments, &environment.iter().map(pair).collect::<Vec<_>>())
    }

    fn urls(out: &MevBoost) -> Vec<&str> {
        let relays = out.imported.table["relays"].as_array().unwrap();
        relays.iter().map(|relay| relay["url"].as_str().unwrap()).collect()
    }

    #[test]
    fn one_dash_or_two_with_or_without_an_equals_sign() {
        for arguments in [
            vec![
                "-hoodi",
                "-relays",
                "https://0xaa@a.example.org,https://0xbb@b.example.org",
                "-min-bid",
                "0.05",
            ],
            vec!["--hoodi=true", "--relay", A, "--relay", B, "--min-bid=0.05"],
            vec!["-hoodi=1", "-relay=https://0xaa@a.example.org", "-relays", B, "-min-bid", "0.05"],
        ] {
            let out = import(&arguments, &[]).unwrap();
            assert_eq!(urls(&out), [A, B], "{arguments:?}");
            assert_eq!(out.imported.table["network"].as_str(), Some("hoodi"));
            assert_eq!(out.imported.table["auction"]["min_bid_eth"].as_str(), Some("0.05"));
            assert!(out.imported.notes.is_empty());
        }
    }

    #[test]
    fn a_flag_counts_before_its_variable() {
        let environment = [
            ("RELAYS", A),
            ("MIN_BID_ETH", "0.1"),
            ("BOOST_LISTEN_ADDR", "localhost:1234"),
            ("HOODI", "true"),
        ];
        let out = import(&["-relay", B, "-min-bid", "0.2"], &environment).unwrap();
        assert_eq!(urls(&out), [B]);
        assert_eq!(out.imported.table["auction"]["min_bid_eth"].as_str(), Some("0.2"));
        assert_eq!(out.imported.table["builder_api"]["listen"].as_str(), Some("127.0.0.1:1234"));
        assert_eq!(urls(&import(&[], &environment).unwrap()), [A]);
        let everywhere = import(&["-relay", A, "-addr", ":18550"], &[]).unwrap();
        assert_eq!(everywhere.imported.table["builder_api"]["listen"].as_str(), Some("0.0.0.0:18550"));
    }

    #[test]
    fn mistakes_and_what_has_no_equivalent_are_said() {
        for (arguments, said) in [
            (vec!["-relay", A, "-nonsense"], "-nonsense"),
            (vec!["-relay"], "needs a value"),
            (vec![], "no relay"),
            (vec!["-relay", A, "-hoodi", "-sepolia"], "more than one network"),
            (vec!["-relay", A, "-hoodi=perhaps"], "neither true nor false"),
            (vec!["-relay", A, "-request-timeout-getheader", "fast"], "milliseconds"),
            (vec!["relays"], "relays"),
        ] {
            let error = import(&arguments, &[]).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let out = import(
            &["-relay", A, "-relay", A, "-request-max-retries", "5", "-relay-monitors", "http://m"],
            &[],
        );
        let out = out.unwrap();
        assert_eq!((urls(&out).len(), out.imported.notes.len()), (1, 2));
    }

    #[test]
    fn our_own_flags_are_not_taken_for_theirs() {
        for (argument, theirs) in [
            ("-relays", true),
            ("--min-bid=1", true),
            ("--config", false),
            ("--ports-file", false),
            ("run", false),
        ] {
            assert_eq!(is_mev_boost_flag(argument), theirs, "{argument}");
        }
    }
}
