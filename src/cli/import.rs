//! `relaymux import`, which writes a `relays.toml` from another program's settings, and mev-boost's command line on `relaymux run`.
//!
//! Whatever has no equivalent is said on standard error; nothing is dropped silently.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{
    arguments::{ImportArguments, Rival},
    exit::MISUSED,
    loading::environment,
    terminal::{complain, write},
};
use crate::{
    app::parse_log_filter,
    config::{
        ImportError, Imported, import_commit_boost, import_mev_boost, import_vouch, is_mev_boost_flag,
        mev_boost_takes_value, sound_text,
    },
};

pub(super) fn import(arguments: &ImportArguments) -> ExitCode {
    let environment = environment();
    let imported = match arguments.rival {
        Rival::MevBoost => import_mev_boost(&arguments.source, &environment, &read)
            .map(|out| (out.imported, "mev-boost's flags and environment".to_owned(), PathBuf::new()))
            .map_err(|error| error.to_string()),
        Rival::CommitBoost => from_file(&arguments.source, import_commit_boost),
        Rival::Vouch => from_file(&arguments.source, import_vouch),
    };
    let written = imported.and_then(|(imported, from, folder)| {
        let text = sound_text(&imported, &from, &folder).map_err(|error| error.to_string())?;
        Ok((text, imported.notes))
    });
    match written {
        Ok((text, notes)) => {
            for note in &notes {
                complain(format_args!("note: {note}"));
            }
            write(text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(format_args!("cannot import: {error}"));
            ExitCode::from(MISUSED)
        }
    }
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// What a file says, its name, and the folder in which its relative paths begin.
fn from_file(
    source: &[String],
    understand: impl Fn(&str) -> Result<Imported, ImportError>,
) -> Result<(Imported, String, PathBuf), String> {
    let [path] = source else { return Err("name one file".to_owned()) };
    let text = read(path).map_err(|error| format!("{path}: {error}"))?;
    let imported = understand(&text).map_err(|error| format!("{path}: {error}"))?;
    let folder = Path::new(path).parent().unwrap_or(Path::new("")).to_owned();
    Ok((imported, path.clone(), folder))
}

/// mev-boost's command line, taken as it is.
#[derive(Debug)]
pub(super) struct Legacy {
    /// The configuration's text.
    pub(super) text: String,
    pub(super) notes: Vec<String>,
    pub(super) log_level: Option<String>,
    pub(super) json_logs: bool,
    pub(super) ports_file: Option<PathBuf>,
}

/// Whether the program was started as mev-boost is: with its flags, with a YAML file, or with its environment and nothing of ours.
pub(super) fn is_legacy(arguments: &[String], environment: &[(String, String)]) -> bool {
    let after_run = match arguments.split_first() {
        Some((first, rest)) if first == "run" => rest,
        Some((first, _)) if !first.starts_with('-') => return false,
        _ => arguments,
    };
    let has_relays = environment.iter().any(|(name, value)| name == "RELAYS" && !value.is_empty());
    let config = named_config(after_run);
    let has_own_file = environment.iter().any(|(name, _)| name == "RELAYMUX_CONFIG")
        || std::path::Path::new("relays.toml").exists();
    if asks_for(after_run).is_some() {
        return false;
    }
    after_run.iter().any(|argument| is_mev_boost_flag(argument))
        || config.as_deref().is_some_and(is_yaml)
        || (has_relays && config.is_none() && !has_own_file)
}

/// Help or the version, in Go's spelling (`-help`, `-version`) or ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Help,
    Version,
}

/// Whether flags ask for help or the version instead of a service.
pub(super) fn asks_for(arguments: &[String]) -> Option<Asked> {
    arguments.iter().find_map(|argument| match argument.as_str() {
        "-h" | "-help" | "--help" => Some(Asked::Help),
        "-V" | "-version" | "--version" => Some(Asked::Version),
        _ => None,
    })
}

/// What `--config`, with two dashes, names.
fn named_config(arguments: &[String]) -> Option<String> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--config" {
            return Some(rest.next().cloned().unwrap_or_default());
        }
        if let Some(path) = argument.strip_prefix("--config=") {
            return Some(path.to_owned());
        }
    }
    None
}

fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}

/// Understands such a command line. `--ports-file` and `--log` stay ours.
pub(super) fn legacy(arguments: &[String], environment: &[(String, String)]) -> Result<Legacy, String> {
    let arguments = arguments.strip_prefix(&["run".to_owned()][..]).unwrap_or(arguments);
    if named_config(arguments).is_some_and(|path| !is_yaml(&path)) {
        return Err("--config beside mev-boost's flags: put the relays into the file, `relaymux import mev-boost` writes it".to_owned());
    }
    let (mut theirs, mut ports_file, mut log) = (Vec::new(), None, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (name, given) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let mut value = || {
            given.clone().or_else(|| rest.next().cloned()).ok_or_else(|| format!("`{name}` needs a value"))
        };
        match name {
            "--ports-file" => ports_file = Some(PathBuf::from(value()?)),
            "--log" => log = Some(value()?),
            // A file is a file of mev-boost's to `import`, which names it by itself; a service takes it by -config.
            _ if !argument.starts_with('-') => return Err(format!("`{argument}` is no flag of mev-boost")),
            _ => {
                theirs.push(argument.clone());
                if !argument.contains('=') && mev_boost_takes_value(argument) {
                    theirs.push(value()?);
                }
            }
        }
    }
    let own_level = own_level(log, environment)?;
    let mut out = import_mev_boost(&theirs, environment, &read).map_err(|error| error.to_string())?;
    let (data_dir, note) = data_dir(environment, &out.imported.table);
    out.imported.notes.extend(note);
    out.imported.table.insert("data_dir".to_owned(), data_dir.into());
    Ok(Legacy {
        text: out.imported.to_text("mev-boost's flags and environment"),
        notes: out.imported.notes,
        log_level: own_level.or(out.log_level),
        json_logs: out.json_logs,
        ports_file,
    })
}

/// What is logged by `--log`, else by `RELAYMUX_LOG`, which goes before mev-boost's flags as every variable of ours does.
fn own_level(log: Option<String>, environment: &[(String, String)]) -> Result<Option<String>, String> {
    let (name, text) = match (log, variable(environment, "RELAYMUX_LOG")) {
        (Some(text), _) => ("--log", text),
        (None, Some(text)) => ("RELAYMUX_LOG", text.to_owned()),
        (None, None) => return Ok(None),
    };
    parse_log_filter(&text).map(Some).map_err(|error| format!("{name}: {error}"))
}

fn variable<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = environment.iter().find(|(key, value)| key == name && !value.is_empty());
    found.map(|(_, value)| value.as_str())
}

/// Where state belongs when no file says it: systemd's folder, else the user's; and what is to be said of it. Two services of one user, as
/// for two networks, cannot have one folder: each has its own by network and builder port. Mainnet on the usual port has the folder
/// without them, as has whoever listens on the usual port and has a ledger there: no other service can be listening on it.
fn data_dir(environment: &[(String, String)], table: &toml::Table) -> (String, Option<String>) {
    let of = |name: &str| variable(environment, name);
    let base = match (of("STATE_DIRECTORY"), of("XDG_STATE_HOME"), of("HOME")) {
        // systemd may name several, by colons.
        (Some(folders), _, _) => return (folders.split(':').next().unwrap_or(folders).to_owned(), None),
        (None, Some(folder), _) => format!("{folder}/relaymux"),
        (None, None, Some(home)) => format!("{home}/.local/state/relaymux"),
        (None, None, None) => return ("data".to_owned(), None),
    };
    let (network, port) = (network_name(environment, table), builder_port(environment, table));
    let has_ledger = Path::new(&base).join("ledger.db").exists();
    if port == DEFAULT_PORT && (network == "mainnet" || has_ledger) {
        return (base, None);
    }
    let own = format!("{base}-{network}-{port}");
    let is_new = !Path::new(&own).exists();
    let note = (has_ledger && is_new && of("RELAYMUX_DATA_DIR").is_none()).then(|| {
        format!(
            "records are kept in {own}, as two services cannot share a folder; those in {base} are not used: if they are this service's, \
             stop it, move that folder there, and start again"
        )
    });
    (own, note)
}

/// The builder API's usual port.
const DEFAULT_PORT: &str = "18550";

fn builder_port(environment: &[(String, String)], table: &toml::Table) -> String {
    let flag =
        table.get("builder_api").and_then(|section| section.get("listen")).and_then(toml::Value::as_str);
    let listen = variable(environment, "RELAYMUX_BUILDER_API__LISTEN").or(flag).unwrap_or(DEFAULT_PORT);
    listen.rsplit(':').next().unwrap_or(DEFAULT_PORT).to_owned()
}

/// The network's name as a part of a folder's: of a chain of its own, what it is told by.
fn network_name(environment: &[(String, String)], table: &toml::Table) -> String {
    let chain = table.get("network");
    let of_chain = |key: &str| chain.and_then(|chain| chain.get(key)).and_then(toml::Value::as_str);
    let named = variable(environment, "RELAYMUX_NETWORK")
        .or_else(|| chain.and_then(toml::Value::as_str))
        .or_else(|| of_chain("name"))
        .or_else(|| of_chain("genesis_fork_version"))
        .unwrap_or("mainnet");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    named.chars().map(|c| if is_plain(c) { c } else { '-' }).take(64).collect()
}

/// Ends a command line that is mev-boost's and wrong.
pub(super) fn refuse(reason: &str) -> ExitCode {
    complain(format_args!(
        "{reason}\n  hint: mev-boost's flags are taken as they are; `relaymux run --help` has this program's own"
    ));
    ExitCode::from(MISUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn who_was_started_as_mev_boost_is() {
        let relays = [("RELAYS".to_owned(), "https://0xaa@a".to_owned())];
        let own = [relays[0].clone(), ("RELAYMUX_CONFIG".to_owned(), "x.toml".to_owned())];
        for (line, environment, want) in [
            ("-mainnet -relays https://a", &[][..], true),
            ("run -relay https://a", &[], true),
            ("run --config relays.toml", &[], false),
            ("check --offline", &relays[..], false),
            ("demo", &relays[..], false),
            ("run --config relays.toml", &relays[..], false),
            ("run", &own[..], false),
            ("run --help", &relays[..], false),
            ("--version", &[], false),
            ("-version", &relays[..], false),
            ("-mainnet -version", &relays[..], false),
            ("-config mev.yaml", &[], true),
            ("run --config mev.yml", &[], true),
            ("run --config=mev.yaml", &own[..], true),
        ] {
            assert_eq!(is_legacy(&words(line), environment), want, "{line} {environment:?}");
        }
    }

    #[test]
    fn state_goes_where_systemd_or_the_user_keeps_it() {
        let home = ("HOME".to_owned(), "/home/me".to_owned());
        let systemd = ("STATE_DIRECTORY".to_owned(), "/var/lib/mev:/x".to_owned());
        let mainnet = toml::Table::new();
        assert_eq!(data_dir(&[home.clone(), systemd], &mainnet).0, "/var/lib/mev");
        assert_eq!(data_dir(&[home], &mainnet).0, "/home/me/.local/state/relaymux");
        assert_eq!(data_dir(&[], &mainnet).0, "data");
    }

    #[test]
    fn two_services_of_one_user_have_two_folders_and_an_old_ledger_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let home = ("XDG_STATE_HOME".to_owned(), folder.path().to_str().unwrap().to_owned());
        let of = |text: &str, more: &[(&str, &str)]| {
            let mut environment = vec![home.clone()];
            environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            let (path, note) = data_dir(&environment, &toml::from_str(text).unwrap());
            (path.strip_prefix(folder.path().to_str().unwrap()).unwrap().to_owned(), note.is_some())
        };
        let (hoodi, other_port) = ("network = \"hoodi\"", "builder_api.listen = \"0.0.0.0:18650\"");
        let custom = "network = { genesis_time = 1, genesis_fork_version = \"0x10000038\" }";
        for (text, more, want) in [
            ("network = \"mainnet\"", &[][..], "/relaymux"),
            ("builder_api.listen = \"127.0.0.1:18550\"", &[], "/relaymux"),
            (hoodi, &[], "/relaymux-hoodi-18550"),
            (other_port, &[], "/relaymux-mainnet-18650"),
            (custom, &[], "/relaymux-0x10000038-18550"),
            ("", &[("RELAYMUX_NETWORK", "net/config.yaml")], "/relaymux-net-config-yaml-18550"),
            ("", &[("RELAYMUX_BUILDER_API__LISTEN", "[::1]:1")], "/relaymux-mainnet-1"),
        ] {
            assert_eq!(of(text, more), (want.to_owned(), false), "{text}");
        }
        std::fs::create_dir(folder.path().join("relaymux")).unwrap();
        std::fs::write(folder.path().join("relaymux/ledger.db"), "").unwrap();
        assert_eq!(of(hoodi, &[]), ("/relaymux".to_owned(), false), "nobody else can have the usual port");
        assert_eq!(
            of(other_port, &[]),
            ("/relaymux-mainnet-18650".to_owned(), true),
            "whose it is cannot be told"
        );
    }

    #[test]
    fn what_is_logged_is_checked_and_may_come_from_our_own_variable() {
        let ours = [("RELAYMUX_LOG".to_owned(), "warning".to_owned())];
        let level = |line: &str, environment: &[(String, String)]| {
            let line = format!("-relay https://0xaa@a.example.org {line}");
            legacy(&words(&line), environment).map(|legacy| legacy.log_level)
        };
        for (line, environment, want) in [
            ("", &[][..], None),
            ("-loglevel debug", &[], Some("debug")),
            ("--log trace -loglevel debug", &ours, Some("trace")),
            ("--log=relaymux=debug", &[], Some("relaymux=debug")),
            ("-loglevel debug", &ours, Some("warn")),
        ] {
            assert_eq!(level(line, environment).unwrap().as_deref(), want, "{line}");
        }
        assert!(level("--log loud", &[]).unwrap_err().starts_with("--log: `loud` is no level"));
        let loud = [("RELAYMUX_LOG".to_owned(), "loud".to_owned())];
        assert!(level("", &loud).unwrap_err().starts_with("RELAYMUX_LOG: `loud`"));
    }
}
