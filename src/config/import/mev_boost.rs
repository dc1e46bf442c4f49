//! Reads mev-boost's command line and environment, and the files they name, for `import` and `run`.

use toml::{Table, Value};

use super::{
    ImportError, Imported, eth_text,
    genesis::{GenesisFlags, network},
    listen_address,
    mev_boost_file::{MevBoostFile, is_env_file, parse_env_file, parse_yaml, plain_value},
    relays::{add_relay, mux},
    settle_all_times,
};

/// What a flag is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Switch,
    Value,
}

/// Flags, whether they take a value, and their environment variables.
const FLAGS: [(&str, Kind, &str); 32] = [
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
    ("privileged-builder", Kind::Value, "PRIVILEGED_BUILDER"),
];

/// What is said about flags that have no equivalent or do it otherwise.
const NOTES: [(&str, &str); 8] = [
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
    ("log-service", "-log-service: logs have no service tag"),
    ("skip-relay-signature-check", "SKIP_RELAY_SIGNATURE_CHECK: signatures are always checked"),
    (
        "watch-config",
        "-watch-config: a relays.toml is always followed; mev-boost's YAML is read at start only",
    ),
    ("privileged-builder", "-privileged-builder: give those relays a weight_factor above 100 instead"),
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

/// Whether an argument is a flag of mev-boost that is none of ours. `--config` is both's, `-config` mev-boost's.
pub fn is_mev_boost_flag(argument: &str) -> bool {
    let is_ours = |name: &str| name == "config" && argument.starts_with("--");
    name_of(argument).is_some_and(|name| !is_ours(name) && FLAGS.iter().any(|(flag, _, _)| *flag == name))
}

/// Whether a flag of mev-boost's is followed by its value.
pub fn mev_boost_takes_value(argument: &str) -> bool {
    name_of(argument)
        .is_some_and(|name| FLAGS.iter().any(|(flag, kind, _)| *flag == name && *kind == Kind::Value))
}

/// The flag's name without its dashes and value: Go takes one dash or two.
fn name_of(argument: &str) -> Option<&str> {
    let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    Some(name.split('=').next().unwrap_or(name))
}

/// Understands mev-boost's arguments (without the program's name), files that they name, and environment. A flag counts before its
/// variable, a named file of variables before the environment. `read` gives a file's text or says why there is none.
///
/// # Errors
/// An unknown flag, a missing or wrong value, a file that is not what it should be, no relay.
pub fn import_mev_boost(
    arguments: &[String],
    environment: &[(String, String)],
    read: &dyn Fn(&str) -> Result<String, String>,
) -> Result<MevBoost, ImportError> {
    let text_of = |path: &str| {
        read(path).map_err(|reason| ImportError::Value { what: format!("cannot read {path}"), reason })
    };
    let mut given: Vec<(&'static str, String)> = Vec::new();
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let unknown = || ImportError::UnknownFlag(argument.clone());
        let Some(name) = name_of(argument) else {
            // A file: of variables, or the YAML of -config.
            let text = text_of(argument)?;
            if is_env_file(&text) {
                variables.extend(parse_env_file(&text));
            } else {
                given.push(("config", argument.clone()));
            }
            continue;
        };
        let (flag, kind, _) = FLAGS.iter().find(|(flag, _, _)| *flag == name).ok_or_else(unknown)?;
        let value = match (argument.split_once('='), kind) {
            (Some((_, value)), _) => value.to_owned(),
            (None, Kind::Switch) => "true".to_owned(),
            (None, Kind::Value) => rest.next().ok_or_else(|| ImportError::NoValue(argument.clone()))?.clone(),
        };
        given.push((flag, value));
    }
    variables.extend(environment.iter().map(|(name, value)| (name.clone(), plain_value(value).to_owned())));
    for (flag, _, variable) in FLAGS.iter().filter(|(_, _, variable)| !variable.is_empty()) {
        let is_given = given.iter().any(|(name, _)| name == flag || (*flag == "relays" && *name == "relay"));
        let set = variables.iter().find(|(name, value)| name == variable && !value.is_empty());
        if let Some((_, value)) = set.filter(|_| !is_given) {
            given.push((flag, value.clone()));
        }
    }
    let file = given.iter().rev().find(|(flag, _)| *flag == "config").map(|(_, path)| path);
    let file = match file {
        Some(path) if path.ends_with(".toml") => {
            let reason =
                "is a TOML file: this program's own is named by --config, with two dashes".to_owned();
            return Err(ImportError::Value { what: format!("-config {path}"), reason });
        }
        Some(path) => parse_yaml(path, &text_of(path)?)?,
        None => MevBoostFile::default(),
    };
    // A chain spec that is named in our way settles which chain it is.
    let is_chain_named =
        environment.iter().any(|(name, value)| name == "RELAYMUX_NETWORK" && !value.is_empty());
    understand(&given, file, is_chain_named)
}

/// The flags as given, by name; of several the last counts.
#[derive(Clone, Copy)]
struct Flags<'a>(&'a [(&'static str, String)]);

impl<'a> Flags<'a> {
    fn last(self, flag: &str) -> Option<&'a str> {
        let found = self.0.iter().rev().find(|(name, _)| *name == flag);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn is_on(self, flag: &str) -> Result<bool, ImportError> {
        self.last(flag).map_or(Ok(false), |text| parse_bool(flag, text))
    }
}

fn understand(
    given: &[(&'static str, String)],
    file: MevBoostFile,
    is_chain_named: bool,
) -> Result<MevBoost, ImportError> {
    let mut out = MevBoost::default();
    let flags = Flags(given);
    if !is_chain_named {
        let (value, note) = network(&genesis_flags(flags)?)?;
        out.imported.set("", "network", value);
        out.imported.notes.extend(note);
    }
    listeners(&mut out.imported, flags)?;
    let checks = flags.is_on("relay-check")?;
    out.imported.set("builder_api", "relay_check", true);
    if checks {
        // mev-boost's status is 503 when every relay is down only if told to check them.
        out.imported.set("builder_api", "status_without_relays", "unavailable");
    }
    if let Some(eth) = flags.last("min-bid") {
        out.imported.set("auction", "min_bid_eth", eth_text("-min-bid", eth)?);
    }
    times(&mut out.imported, flags, &file)?;
    relays(&mut out.imported, given, &file)?;
    settle_all_times(&mut out.imported);
    for (flag, note) in NOTES {
        if flags.last(flag).is_some_and(|value| value != "false") {
            out.imported.note(note);
        }
    }
    for key in &file.unknown {
        out.imported.note(format!("{key}, in the YAML file, has no equivalent"));
    }
    out.json_logs = flags.is_on("json")?;
    out.log_level = flags.last("loglevel").map(log_level).transpose()?;
    if flags.is_on("debug")? {
        out.log_level = Some("debug".to_owned());
    }
    Ok(out)
}

fn genesis_flags(flags: Flags<'_>) -> Result<GenesisFlags, ImportError> {
    let mut genesis = GenesisFlags {
        fork_version: flags.last("genesis-fork-version").map(str::to_owned),
        timestamp: flags.last("genesis-timestamp").map(str::to_owned),
        slot_secs: flags.last("slot-sec").map(str::to_owned),
        ..GenesisFlags::default()
    };
    for name in ["sepolia", "holesky", "hoodi"] {
        if flags.is_on(name)? {
            genesis.named.push(name);
        }
    }
    Ok(genesis)
}

fn listeners(out: &mut Imported, flags: Flags<'_>) -> Result<(), ImportError> {
    if let Some(addr) = flags.last("addr") {
        out.set("builder_api", "listen", listen_address(addr));
    }
    let Some(addr) = flags.last("metrics-addr").map(listen_address) else { return Ok(()) };
    // Without -metrics mev-boost opens nothing there: whoever set the address alone has not asked for a port that others reach. Source:
    // flashbots/mev-boost, pull request 832.
    if !flags.is_on("metrics")? {
        out.note(format!(
            "-metrics-addr {addr} without -metrics opens nothing in mev-boost, nor here: the dashboard and metrics stay on [ops] listen, \
             127.0.0.1:18551 unless configured"
        ));
        return Ok(());
    }
    // Prometheus reads them without a token there.
    let is_loopback = addr.parse::<std::net::SocketAddr>().is_ok_and(|addr| addr.ip().is_loopback());
    if !is_loopback {
        out.set("ops", "metrics_without_token", true);
    }
    out.set("ops", "listen", addr);
    Ok(())
}

/// Deadlines, by flags; what the YAML file says beats them.
fn times(out: &mut Imported, flags: Flags<'_>, file: &MevBoostFile) -> Result<(), ImportError> {
    let times = [
        ("request-timeout-getheader", "timeout_get_header_ms"),
        ("request-timeout-getpayload", "timeout_get_payload_ms"),
        ("timeout-get-payload", "timeout_get_payload_ms"),
        ("request-timeout-regval", "timeout_register_validator_ms"),
        ("late-in-slot-time", "late_in_slot_time_ms"),
    ];
    for (flag, key) in times {
        if let Some(text) = flags.last(flag) {
            out.set("auction", key, parse_number(flag, text)?);
        }
    }
    for (key, value) in [
        ("timeout_get_header_ms", file.timeout_get_header_ms),
        ("late_in_slot_time_ms", file.late_in_slot_time_ms),
    ] {
        if let Some(value) = value {
            out.set("auction", key, value);
        }
    }
    Ok(())
}

/// logrus's levels as ours.
fn log_level(text: &str) -> Result<String, ImportError> {
    let level = match text.to_ascii_lowercase().as_str() {
        "warning" => "warn".to_owned(),
        "fatal" | "panic" => "error".to_owned(),
        level @ ("trace" | "debug" | "info" | "warn" | "error") => level.to_owned(),
        _ => {
            let reason =
                format!("`{text}` is not one of trace, debug, info, warn, warning, error, fatal, panic");
            return Err(ImportError::Value { what: "-loglevel".to_owned(), reason });
        }
    };
    Ok(level)
}

/// Relays of the command line, then those of the file. A relay that is in both goes by the file, which has its timing.
fn relays(
    imported: &mut Imported,
    given: &[(&'static str, String)],
    file: &MevBoostFile,
) -> Result<(), ImportError> {
    let mut taken = Vec::new();
    for relay in &file.relays {
        add_relay(imported, relay, false, &mut taken);
    }
    let lists = given.iter().filter(|(flag, _)| matches!(*flag, "relay" | "relays"));
    let urls = lists.flat_map(|(_, value)| value.split(',')).map(str::trim).filter(|url| !url.is_empty());
    for url in urls {
        let mut relay = Table::new();
        relay.insert("url".to_owned(), Value::from(url));
        add_relay(imported, &relay, false, &mut taken);
    }
    if !imported.table.contains_key("relays") {
        let reason =
            "no relay is named: give -relay, -relays, RELAYS or a file with relays by -config".to_owned();
        return Err(ImportError::Value { what: "relays".to_owned(), reason });
    }
    for theirs in &file.muxes {
        mux(imported, theirs, &mut taken);
    }
    Ok(())
}

fn parse_bool(flag: &str, text: &str) -> Result<bool, ImportError> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(ImportError::Value {
            what: format!("-{flag}"),
            reason: format!("`{text}` is neither true nor false"),
        }),
    }
}

fn parse_number(flag: &str, text: &str) -> Result<i64, ImportError> {
    let number = text.parse().ok().filter(|ms| *ms >= 0);
    number.ok_or_else(|| ImportError::Value {
        what: format!("-{flag}"),
        reason: format!("`{text}` is no number of milliseconds"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "https://0xaa@a.example.org";
    const B: &str = "https://0xbb@b.example.org";

    fn import(arguments: &[&str], environment: &[(&str, &str)]) -> Result<MevBoost, ImportError> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<(String, String)> = environment.iter().map(pair).collect();
        import_mev_boost(&arguments, &environment, &|path| match path {
            "mev.yaml" => Ok(YAML.to_owned()),
            "odd.yaml" => Ok(ODD_YAML.to_owned()),
            "mev.env" => {
                Ok("RELAYS=https://0xbb@b.example.org # one\nGENESIS_TIMESTAMP=-1\nHOODI=true\n".to_owned())
            }
            _ => Err("no such file".to_owned()),
        })
    }

    const YAML: &str = "timeout_get_header_ms: 900\nlate_in_slot_time_ms: 1500\ncolour: red\nrelays:\n  - url: https://0xaa@a.example.org\n    \
                        id: first\n    enable_timing_games: true\n    target_first_request_ms: 200\n    frequency_getheader_ms: 100\n\
                        mux:\n  - id: lido\n    validator_pubkeys: [\"0x8a\"]\n    relays:\n      - url: https://0xcc@c.example.org\n";

    #[test]
    fn the_yaml_file_and_files_of_variables_are_read() {
        for arguments in [vec!["-config", "mev.yaml", "-relay", B], vec!["mev.yaml", "-relay", B]] {
            let out = import(&arguments, &[]).unwrap();
            assert_eq!(urls(&out), [A, B, "https://0xcc@c.example.org"], "{arguments:?}");
            let table = &out.imported.table;
            assert_eq!(table["auction"]["timeout_get_header_ms"].as_integer(), Some(900));
            assert_eq!(table["relays"][0]["id"].as_str(), Some("first"));
            assert_eq!(table["relays"][0]["frequency_get_header_ms"].as_integer(), Some(100));
            assert_eq!(table["relays"][2]["sets_only"].as_bool(), Some(true));
            assert_eq!(table["proposers"][0]["relays"], Value::Array(vec!["c.example.org".into()]));
            assert!(
                out.imported.notes.iter().any(|note| note.contains("colour")),
                "{:?}",
                out.imported.notes
            );
        }
        // A relay that is in both is there once, with the file's timing.
        assert_eq!(urls(&import(&["-config", "mev.yaml", "-relay", A], &[]).unwrap()).len(), 2);
        let out = import(&["mev.env"], &[("RELAYS", A)]).unwrap();
        assert_eq!((urls(&out), out.imported.table["network"].as_str()), (vec![B], Some("hoodi")));
        for (arguments, said) in
            [(vec!["-config", "gone.yaml"], "gone.yaml"), (vec!["-config", "relays.toml"], "two dashes")]
        {
            let error = import(&arguments, &[]).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn the_metrics_address_counts_with_the_metrics_switch_only() {
        let environment = [("METRICS_ADDR", ":9100")];
        let out = import(&["-relay", A], &environment).unwrap();
        assert!(!out.imported.table.contains_key("ops"), "{:?}", out.imported.table);
        assert!(out.imported.notes.iter().any(|note| note.contains("without -metrics")));
        for (arguments, environment) in [
            (vec!["-relay", A, "-metrics"], vec![("METRICS_ADDR", ":9100")]),
            (vec!["-relay", A, "-metrics-addr", ":9100"], vec![("METRICS_ENABLED", "true")]),
        ] {
            let out = import(&arguments, &environment).unwrap();
            assert_eq!(out.imported.table["ops"]["listen"].as_str(), Some("0.0.0.0:9100"), "{arguments:?}");
            assert_eq!(out.imported.table["ops"]["metrics_without_token"].as_bool(), Some(true));
        }
        let off = import(&["-relay", A, "-metrics=false", "-metrics-addr", ":9100"], &[]).unwrap();
        assert!(!off.imported.table.contains_key("ops"));
    }

    #[test]
    fn unknown_keys_of_the_yaml_are_named_wherever_they_stand() {
        let out = import(&["-config", "odd.yaml"], &[]).unwrap();
        for key in ["colour", "relays[0].pubkey", "mux[0].loader", "mux[0].relays[0].headers"] {
            let said = format!("{key}, in the YAML file");
            assert!(
                out.imported.notes.iter().any(|note| note.starts_with(&said)),
                "{key}: {:?}",
                out.imported.notes
            );
        }
        let notes = import(&["-config", "mev.yaml"], &[]).unwrap().imported.notes;
        assert_eq!(notes.iter().filter(|note| note.contains("in the YAML file")).count(), 1, "{notes:?}");
    }

    const ODD_YAML: &str = "colour: red\nrelays:\n  - url: https://0xaa@a.example.org\n    pubkey: 0xaa\nmux:\n  - id: lido\n    loader: x\n    \
                            validator_pubkeys: [\"0x8a\"]\n    relays:\n      - url: https://0xcc@c.example.org\n        headers: { a: b }\n";

    #[test]
    fn levels_are_logruss() {
        for (text, want) in
            [("warning", Some("warn")), ("panic", Some("error")), ("INFO", Some("info")), ("loud", None)]
        {
            let out = import(&["-relay", A, "-loglevel", text], &[]).ok();
            assert_eq!(out.and_then(|out| out.log_level).as_deref(), want, "{text}");
        }
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
            (vec!["-relay", A, "-min-bid", "much"], "amount in ETH"),
            (vec!["-relay", A, "-genesis-fork-version", "0x12345678"], "genesis-timestamp"),
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
            ("-config", true),
            ("--ports-file", false),
            ("run", false),
        ] {
            assert_eq!(is_mev_boost_flag(argument), theirs, "{argument}");
        }
    }
}
