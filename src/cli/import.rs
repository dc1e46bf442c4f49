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
use crate::config::{
    ImportError, Imported, import_commit_boost, import_mev_boost, import_vouch, is_mev_boost_flag,
    mev_boost_takes_value, sound_text,
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
        let mut value = || rest.next().cloned().ok_or_else(|| format!("`{argument}` needs a value"));
        match argument.as_str() {
            "--ports-file" => ports_file = Some(PathBuf::from(value()?)),
            "--log" => log = Some(value()?),
            // A file is a file of mev-boost's to `import`, which names it by itself; a service takes it by -config.
            name if !name.starts_with('-') => return Err(format!("`{name}` is no flag of mev-boost")),
            name => {
                theirs.push(name.to_owned());
                let takes_next = !name.contains('=') && mev_boost_takes_value(name);
                if takes_next {
                    theirs.push(value()?);
                }
            }
        }
    }
    let mut out = import_mev_boost(&theirs, environment, &read).map_err(|error| error.to_string())?;
    out.imported.table.insert("data_dir".to_owned(), data_dir(environment).into());
    Ok(Legacy {
        text: out.imported.to_text("mev-boost's flags and environment"),
        notes: out.imported.notes,
        log_level: log.or(out.log_level),
        json_logs: out.json_logs,
        ports_file,
    })
}

/// Where state belongs when no file says it: systemd's folder, else the user's.
fn data_dir(environment: &[(String, String)]) -> String {
    let of = |name: &str| {
        environment.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value)
    };
    match (of("STATE_DIRECTORY"), of("XDG_STATE_HOME"), of("HOME")) {
        // systemd may name several, by colons.
        (Some(folders), _, _) => folders.split(':').next().unwrap_or(folders).to_owned(),
        (None, Some(folder), _) => format!("{folder}/relaymux"),
        (None, None, Some(home)) => format!("{home}/.local/state/relaymux"),
        (None, None, None) => "data".to_owned(),
    }
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
        assert_eq!(data_dir(&[home.clone(), systemd]), "/var/lib/mev");
        assert_eq!(data_dir(&[home]), "/home/me/.local/state/relaymux");
        assert_eq!(data_dir(&[]), "data");
    }
}
