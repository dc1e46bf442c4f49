//! `relays.toml` and the environment, turned into one checked [`Config`].
//!
//! In: texts. Out: a configuration that can be run, or every mistake with file, line, column and a hint. Parsing opens no socket and
//! starts nothing. Two layers: `raw` mirrors the file; [`Config`] is composed of the settings that each room declares for itself.
//! An unknown key is a mistake that names the nearest known one; a malformed relay is a refusal to start, never one relay fewer.

mod bundles;
mod chain;
mod check;
mod combinations;
mod env;
mod health;
mod import;
mod keys;
mod locate;
mod mistake;
mod proposers;
mod raw;
mod relays;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use url::Url;

pub use import::{
    ImportError, Imported, MevBoost, import_commit_boost, import_mev_boost, import_vouch, is_mev_boost_flag,
    mev_boost_takes_value, sound_text,
};
pub use mistake::{ConfigError, Mark, Mistake};
pub use proposers::{ProposerSet, parse_key_list};

use crate::{
    auction::{AuctionSettings, BuilderRule, RelayTerms},
    builder_api::BuilderApiSettings,
    bundles::BundleSettings,
    consensus::ChainSpec,
    ops_api::OpsSettings,
    profit::ProfitSettings,
    relay::{HealthMonitorSettings, RelaySettings, TlsRoots},
    types::RelayId,
};

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain.
    pub spec: ChainSpec,
    /// Where the ledger, the journal and the admin token live.
    pub data_dir: PathBuf,
    /// `[builder_api]`
    pub builder_api: BuilderApiSettings,
    /// `[ops]`
    pub ops: OpsSettings,
    /// `[auction]`
    pub auction: AuctionSettings,
    /// `[[relays]]`, in the file's order.
    pub relays: Vec<RelaySettings>,
    /// Weights, minimum bids and timing games of relays that have any.
    pub terms: HashMap<RelayId, RelayTerms>,
    /// `[[builders]]`
    pub builders: Vec<BuilderRule>,
    /// `[[proposers]]`
    pub proposers: Vec<ProposerSet>,
    /// `[trust]` and `[rotation]`
    pub monitor: HealthMonitorSettings,
    /// `[tls]`: certificate authorities relays are checked against.
    pub tls_roots: TlsRoots,
    /// `[tls] proxy`: an outgoing proxy, only if asked for.
    pub proxy: Option<String>,
    /// `[beacon] url`
    pub beacon: Option<Url>,
    /// `[execution] url`
    pub execution: Option<Url>,
    /// `[bundles]`; none: off.
    pub bundles: Option<BundleSettings>,
    /// `[profit]`
    pub profit: ProfitSettings,
    /// `[trust] seed_from_public_record`: looked at once, at start.
    pub seed_from_public_record: bool,
    /// Files that are part of the configuration beside the file itself.
    pub included: Vec<PathBuf>,
    /// What is odd but not wrong, for the log.
    pub warnings: Vec<String>,
}

impl Config {
    /// The sections that differ from another configuration's and are read at start only, by name.
    pub fn needs_restart(&self, other: &Self) -> Vec<&'static str> {
        let mut sections = Vec::new();
        // All sections by name: a new one is either compared here or applied while running.
        let Self {
            spec,
            data_dir,
            builder_api,
            ops,
            auction: _,
            relays: _,
            terms: _,
            builders: _,
            proposers: _,
            monitor: _,
            tls_roots,
            proxy,
            beacon,
            execution,
            profit,
            bundles,
            seed_from_public_record: _,
            included: _,
            warnings: _,
        } = self;
        if *spec != other.spec {
            sections.push("network");
        }
        if *data_dir != other.data_dir {
            sections.push("data_dir");
        }
        if *builder_api != other.builder_api {
            sections.push("[builder_api]");
        }
        if *ops != other.ops {
            sections.push("[ops]");
        }
        if *tls_roots != other.tls_roots || *proxy != other.proxy {
            sections.push("[tls]");
        }
        if *beacon != other.beacon {
            sections.push("[beacon]");
        }
        if *execution != other.execution {
            sections.push("[execution]");
        }
        if *bundles != other.bundles {
            sections.push("[bundles]");
        }
        if *profit != other.profit {
            sections.push("[profit]");
        }
        sections
    }

    /// Reads and checks a file; `environment` is the process's, or a test's.
    ///
    /// # Errors
    /// When the file cannot be read, or anything in it is wrong: all mistakes at once.
    pub fn load(path: &Path, environment: &[(String, String)]) -> Result<Self, ConfigError> {
        Self::parse(&Self::read(path)?, path, environment)
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> Result<String, ConfigError> {
        std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.to_owned(), error: error.to_string() })
    }

    /// Checks a text; `path` is for messages and for relative paths in it.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn parse(text: &str, path: &Path, environment: &[(String, String)]) -> Result<Self, ConfigError> {
        let wrong = |mistakes: Vec<Mistake>| ConfigError::Wrong {
            path: path.to_owned(),
            text: text.to_owned(),
            mistakes,
        };
        let syntax = locate::syntax(text);
        let table: toml::Table = match toml::from_str(text) {
            Ok(table) if syntax.is_empty() => table,
            // What an unreadable text means is guesswork: only what cannot be read is said.
            Ok(_) => return Err(wrong(syntax)),
            Err(error) if syntax.is_empty() => {
                return Err(wrong(vec![Mistake::at("", error.message(), "see https://toml.io")]));
            }
            Err(_) => return Err(wrong(syntax)),
        };
        let overlay = env::overlay(table, environment);
        let as_text = |key: &str| {
            overlay.origins.iter().find(|origin| origin.key == key).map(|origin| origin.text.clone())
        };
        let read = raw::read(overlay.table, as_text);
        let around = check::Surroundings {
            folder: path.parent().unwrap_or(Path::new("")),
            environment,
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
            return Err(wrong(locate::place(text, mistakes)));
        }
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

/// Whether a key is another one, or within it: `relays[0].url` is within `relays[0]` and within `relays`.
fn is_within(key: &str, outer: &str) -> bool {
    key.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
