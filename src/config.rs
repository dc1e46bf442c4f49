//! `relays.toml` and the environment, turned into one checked [`Config`].
//!
//! In: texts. Out: a configuration that can be run, or every mistake with file, line, column and a hint. Parsing opens no socket and
//! starts nothing. Two layers: `raw` mirrors the file; [`Config`] is composed of the settings that each room declares for itself.
//! An unknown key is a mistake that names the nearest known one; a malformed relay is a refusal to start, never one relay fewer.

mod alert_ages;
mod alert_channels;
mod alert_floors;
mod alert_maintenance;
mod alert_people;
mod alert_rules;
mod alerts;
mod auction;
mod backup;
mod bundles;
mod chain;
mod check;
mod checker;
mod combinations;
mod disk;
mod disk_classes;
mod durations;
mod env;
mod excerpt;
mod firewall;
mod health;
mod import;
mod keys;
mod ledger;
mod locate;
mod maintenance;
mod mistake;
mod node_clashes;
mod node_keys;
mod node_limits;
mod node_pairs;
mod node_runtime;
mod nodes;
mod proposers;
mod raw;
mod raw_alerts;
mod raw_backup;
mod raw_disk;
mod raw_firewall;
mod raw_ledger;
mod raw_maintenance;
mod raw_nodes;
mod raw_rpc;
mod raw_text;
mod relays;
mod resources;
mod rpc;
mod rpc_methods;
mod rpc_upstreams;
mod secrets;
mod settings;
mod sla;
mod withheld;

use std::path::Path;

pub use alert_ages::AgeSettings;
pub use alerts::AlertsConfig;
pub use check::gateway_url;
pub(crate) use durations::parse as parse_duration;
pub use import::{
    ImportError, Imported, MevBoost, import_commit_boost, import_mev_boost, import_vouch, is_mev_boost_flag,
    mev_boost_takes_value, sound_text,
};
pub use mistake::{ConfigError, Excerpt, Mark, Mistake};
pub use proposers::{ProposerSet, parse_key_list};
pub use settings::Config;
pub(crate) use withheld::without_secrets;

use crate::{backup::SettingsFile, events::AlertRule};
use mistake::is_within;

impl Config {
    /// Reads and checks a file; `environment` is the process's, or a test's. `rules`: every rule that alerts can have, for those that the file
    /// names.
    ///
    /// # Errors
    /// When the file cannot be read, or anything in it is wrong: all mistakes at once.
    pub fn load(
        path: &Path,
        environment: &[(String, String)],
        rules: &[&AlertRule],
    ) -> Result<Self, ConfigError> {
        Self::parse(&Self::read(path)?, path, environment, rules)
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> Result<String, ConfigError> {
        std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.to_owned(), error: error.to_string() })
    }

    /// Checks a text; `path` is for messages and for relative paths in it. `rules`: every rule that alerts can have.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn parse(
        text: &str,
        path: &Path,
        environment: &[(String, String)],
        rules: &[&AlertRule],
    ) -> Result<Self, ConfigError> {
        let wrong = |mistakes: Vec<Mistake>, included| ConfigError::Wrong {
            path: path.to_owned(),
            mistakes,
            included,
        };
        let syntax = locate::syntax(text);
        let table: toml::Table = match toml::from_str(text) {
            Ok(table) if syntax.is_empty() => table,
            // What an unreadable text means is guesswork: only what cannot be read is said.
            Ok(_) => return Err(wrong(syntax, Vec::new())),
            Err(error) if syntax.is_empty() => {
                let mistake = Mistake::at("", error.message(), "see https://toml.io");
                return Err(wrong(vec![mistake], Vec::new()));
            }
            Err(_) => return Err(wrong(syntax, Vec::new())),
        };
        let overlay = env::overlay(table, environment);
        let as_text = |key: &str| {
            overlay.origins.iter().find(|origin| origin.key == key).map(|origin| origin.text.clone())
        };
        let read = raw::read(overlay.table, as_text);
        let around = check::Surroundings {
            folder: path.parent().unwrap_or(Path::new("")),
            environment,
            rules,
            is_data_dir_of_environment: as_text("data_dir").is_some(),
        };
        let (mut config, found) = check::check(read.config, &around);
        let mut mistakes = overlay.mistakes;
        mistakes.extend(read.mistakes);
        mistakes.extend(
            found.into_iter().filter(|mistake| !read.excused.iter().any(|key| is_within(&mistake.key, key))),
        );
        if !mistakes.is_empty() {
            env::blame(&mut mistakes, &overlay.origins);
            return Err(wrong(locate::place(text, mistakes), config.included));
        }
        config.files.settings =
            Some(SettingsFile { path: path.to_owned(), without_secrets: without_secrets(text) });
        if !overlay.ignored.is_empty() {
            config.warnings.push(format!(
                "these environment variables are no keys of the configuration and are ignored: {} (Kubernetes sets such by itself \
                 for a service of that name)",
                overlay.ignored.join(", ")
            ));
        }
        Ok(config)
    }
}
