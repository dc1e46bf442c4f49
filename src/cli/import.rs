//! `relaymux import`, and mev-boost's command line on `relaymux run`.

use std::{path::PathBuf, process::ExitCode};

use super::{
    MISUSED,
    arguments::{ImportArguments, Rival},
};
use crate::config::{Imported, import_commit_boost, import_mev_boost, import_vouch, is_mev_boost_flag};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its user")]
pub(super) fn import(arguments: &ImportArguments) -> ExitCode {
    let environment: Vec<(String, String)> = std::env::vars().collect();
    let imported = match arguments.rival {
        Rival::MevBoost => import_mev_boost(&arguments.source, &environment)
            .map(|out| (out.imported, "mev-boost's flags and environment".to_owned()))
            .map_err(|error| error.to_string()),
        Rival::CommitBoost => {
            from_file(&arguments.source, |text| import_commit_boost(text).map_err(|e| e.to_string()))
        }
        Rival::Vouch => from_file(&arguments.source, |text| import_vouch(text).map_err(|e| e.to_string())),
    };
    match imported {
        Ok((imported, from)) => {
            print!("{}", imported.to_text(&from));
            for note in &imported.notes {
                eprintln!("note: {note}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot import: {error}");
            ExitCode::from(MISUSED)
        }
    }
}

fn from_file(
    source: &[String],
    understand: impl Fn(&str) -> Result<Imported, String>,
) -> Result<(Imported, String), String> {
    let [path] = source else { return Err("name one file".to_owned()) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let imported = understand(&text).map_err(|error| format!("{path}: {error}"))?;
    Ok((imported, path.clone()))
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

/// Whether the program was started as mev-boost is: with its flags, or with its environment and nothing of ours.
pub(super) fn is_legacy(arguments: &[String], environment: &[(String, String)]) -> bool {
    let after_run = match arguments.split_first() {
        Some((first, rest)) if first == "run" => rest,
        Some((first, _)) if !first.starts_with('-') => return false,
        _ => arguments,
    };
    let has_relays = environment.iter().any(|(name, value)| name == "RELAYS" && !value.is_empty());
    let names_config =
        after_run.iter().any(|argument| argument == "--config" || argument.starts_with("--config="));
    let has_own_file = environment.iter().any(|(name, _)| name == "RELAYMUX_CONFIG")
        || std::path::Path::new("relays.toml").exists();
    let asks = ["-h", "--help", "-V", "--version", "-version"];
    if after_run.iter().any(|argument| asks.contains(&argument.as_str())) {
        return false;
    }
    after_run.iter().any(|argument| is_mev_boost_flag(argument))
        || (has_relays && !names_config && !has_own_file)
}

/// Understands such a command line. `--ports-file` and `--log` stay ours.
pub(super) fn legacy(arguments: &[String], environment: &[(String, String)]) -> Result<Legacy, String> {
    let arguments = arguments.strip_prefix(&["run".to_owned()][..]).unwrap_or(arguments);
    let (mut theirs, mut ports_file, mut log) = (Vec::new(), None, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().cloned().ok_or_else(|| format!("`{argument}` needs a value"));
        match argument.as_str() {
            "--ports-file" => ports_file = Some(PathBuf::from(value()?)),
            "--log" => log = Some(value()?),
            _ => theirs.push(argument.clone()),
        }
    }
    if theirs.iter().any(|argument| argument.starts_with("--config")) {
        return Err("--config beside mev-boost's flags: put the relays into the file, `relaymux import mev-boost` writes it".to_owned());
    }
    let mut out = import_mev_boost(&theirs, environment).map_err(|error| error.to_string())?;
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
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
pub(super) fn refuse(why: &str) -> ExitCode {
    eprintln!(
        "{why}\n  hint: mev-boost's flags are taken as they are; `relaymux run --help` has this program's own"
    );
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
