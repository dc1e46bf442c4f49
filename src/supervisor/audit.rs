//! Reads what others wrote (compose files, `docker run` lines, guides with both) and what runs, and says what is wrong, why it hurts, and what to write
//! instead.
//!
//! In: texts, or the answer of `docker inspect`. Out: findings, each by a rule with a name that stays. It runs nothing, asks nobody and changes
//! nothing. It judges only what it knows: an unknown command is left alone, and what a variable would hold is not guessed. No finding quotes a value
//! that could be a secret. Every text is bounded in size, depth and number; none makes it fail.
//!
//! Rules are of two kinds: those of nodes (`nodes`, `relays`, `commands`, `networks`), which come from guides that people follow, and
//! those of any container (`hardening`). `rule` has all of them with their texts.

mod client;
mod commands;
mod compose;
mod docker_run;
mod facts;
mod finding;
mod hardening;
mod inspect;
mod markdown;
mod networks;
mod nodes;
mod relays;
mod rule;
mod shell;
#[cfg(test)]
mod tests;
mod version;
mod yaml;

pub use client::Client;
pub use facts::{ContainerFacts, Origin, Published, Variable, Volume};
pub use finding::Finding;
pub use rule::{Risk, Rule};
pub use version::Version;

use markdown::{Language, parts};
use networks::Network;
use shell::Script;

/// Longest text that is read, in bytes.
pub const MAX_TEXT: usize = 4 << 20;
/// Most findings of one text: who has more knows what to do.
const MAX_FINDINGS: usize = 2_000;

/// Most containers of one text.
const MAX_CONTAINERS: usize = 1_000;

/// Why a text was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// It is too long.
    #[error("longer than {} MiB: split it", MAX_TEXT >> 20)]
    TooLong,
    /// It is not YAML, or unfolds to too much.
    #[error("line {line}: not a compose file that can be read: {reason}")]
    Yaml {
        /// Where the compose file begins.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// It is not what `docker inspect` prints.
    #[error("{0}")]
    Inspect(String),
}

/// A container that is there, with what is wrong with it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Scored {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// 100: nothing was found; 0: as bad as it gets.
    pub score: u8,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
}

/// Reads a text: a compose file, shell, or Markdown with both. `name` is the file's, which says what it is; by its contents otherwise.
///
/// # Errors
/// When it is too long, or a compose file that is none. Shell is never wrong.
pub fn audit_text(name: &str, text: &str) -> Result<Vec<Finding>, AuditError> {
    if text.len() > MAX_TEXT {
        return Err(AuditError::TooLong);
    }
    let mut gathered = Gathered::default();
    for part in parts(name, text) {
        match part.language {
            Language::Shell => gathered.shell(shell::read(part.text, part.line), 0)?,
            Language::Compose => gathered.compose(part.text, part.line)?,
        }
    }
    let mut found = gathered.findings;
    found.extend(networks::networks(&gathered.networks, &gathered.containers));
    found.extend(networks::clashes(&gathered.containers));
    for facts in &gathered.containers {
        found.extend(nodes::node(facts));
        found.extend(hardening::hardening(facts));
    }
    Ok(sorted(found))
}

/// Reads what `docker inspect` prints, and scores each container.
///
/// # Errors
/// When it is too long, or something else.
pub fn audit_inspect(json: &str) -> Result<Vec<Scored>, AuditError> {
    if json.len() > MAX_TEXT {
        return Err(AuditError::TooLong);
    }
    let containers = inspect::read(json).map_err(AuditError::Inspect)?;
    Ok(containers.iter().map(audit_container).collect())
}

/// Looks at one container of which all is known.
pub fn audit_container(facts: &ContainerFacts) -> Scored {
    let mut findings = nodes::node(facts);
    findings.extend(hardening::hardening(facts));
    findings.sort_by(|a, b| (b.risk, a.rule).cmp(&(a.risk, b.rule)));
    Scored {
        name: facts.name.clone(),
        image: facts.image.clone(),
        score: finding::score(&findings),
        findings,
    }
}

/// By line, the worst first; one for each rule, line and message.
fn sorted(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by(|a, b| (a.line, b.risk, a.rule, &a.message).cmp(&(b.line, a.risk, b.rule, &b.message)));
    found.dedup();
    found.truncate(MAX_FINDINGS);
    found
}

/// Everything that a text's parts say: what one creates, another uses.
#[derive(Default)]
struct Gathered {
    containers: Vec<ContainerFacts>,
    networks: Vec<Network>,
    findings: Vec<Finding>,
}

/// Here-documents in here-documents.
const MAX_DOCUMENTS_DEEP: usize = 3;

impl Gathered {
    fn shell(&mut self, script: Script, depth: usize) -> Result<(), AuditError> {
        self.findings.extend(commands::commands(&script.commands));
        let room = MAX_CONTAINERS.saturating_sub(self.containers.len());
        self.containers.extend(script.commands.iter().filter_map(docker_run::container).take(room));
        self.networks.extend(networks::created(&script.commands, &mut self.containers));
        for document in script.documents.iter().filter(|_| depth < MAX_DOCUMENTS_DEEP) {
            let is_yaml = [".yml", ".yaml"].iter().any(|suffix| document.target.ends_with(suffix));
            if is_yaml && markdown::looks_like_compose(&document.text) {
                self.compose(&document.text, document.line)?;
            } else if !is_yaml {
                self.shell(shell::read(&document.text, document.line), depth + 1)?;
            }
        }
        Ok(())
    }

    fn compose(&mut self, text: &str, line: usize) -> Result<(), AuditError> {
        let mut root = yaml::read(text).map_err(|reason| AuditError::Yaml { line, reason })?;
        root.shift(line.saturating_sub(1));
        let composed = compose::compose(&root);
        let networks = composed.networks.into_iter();
        self.networks.extend(networks.map(|(name, line, has_exit)| Network { name, line, has_exit }));
        let room = MAX_CONTAINERS.saturating_sub(self.containers.len());
        self.containers.extend(composed.containers.into_iter().take(room));
        Ok(())
    }
}
