//! What `relaymux check` finds: a line each as it comes, or one JSON document at the end.

use std::process::ExitCode;

use serde::Serialize;

use super::{
    exit::FAILED,
    progress::Progress,
    terminal::{say, wrapped},
};
use crate::config::{Config, ConfigError};

/// How somebody who was to be asked is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Answers.
    Ok,
    /// Does not answer, or not as it should.
    Failed,
    /// Is not to be asked.
    Disabled,
}

/// What one relay or node said.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    #[serde(skip)]
    pub(super) kind: &'static str,
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    pub(super) state: State,
    pub(super) answer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ms: Option<u64>,
    /// Columns of the longest id beside it.
    #[serde(skip)]
    pub(super) width: usize,
}

/// Everything that was found in a sound configuration.
#[derive(Debug)]
pub(super) struct Findings {
    is_json: bool,
    head: serde_json::Value,
    relays: Vec<Finding>,
    nodes: Vec<Finding>,
    remarks: serde_json::Map<String, serde_json::Value>,
    is_well: bool,
    /// How many have answered, while some have not.
    progress: Option<Progress>,
}

impl Findings {
    /// Begins with what the configuration itself says.
    pub(super) fn new(is_json: bool, path: &str, config: &Config) -> Self {
        let enabled = config.relays.iter().filter(|relay| relay.enabled).count();
        if !is_json {
            for warning in &config.warnings {
                say(wrapped(&format!("warning: {warning}"), 9));
            }
            say(wrapped(
                &format!(
                    "{path}: sound. network {}, {} relays, {enabled} of them enabled, builder API on {}, ops API on {}",
                    config.spec.name,
                    config.relays.len(),
                    config.builder_api.listen,
                    config.ops.listen,
                ),
                2,
            ));
        }
        let head = serde_json::json!({
            "config": path,
            "sound": true,
            "mistakes": [],
            "warnings": config.warnings,
            "network": config.spec.name,
            "data_dir": config.data_dir,
            "builder_api": config.builder_api.listen,
            "ops": config.ops.listen,
        });
        Self {
            is_json,
            head,
            relays: Vec::new(),
            nodes: Vec::new(),
            remarks: serde_json::Map::new(),
            is_well: true,
            progress: None,
        }
    }

    /// So many are to be asked.
    pub(super) fn expect(&mut self, answers: usize) {
        self.progress = Some(Progress::of(Some(answers), "asking relays and nodes"));
    }

    /// Tells of one, and remembers it.
    pub(super) fn add(&mut self, finding: Finding) {
        if !self.is_json {
            say(line(&finding));
        }
        if let Some(progress) = &self.progress {
            progress.step(1);
        }
        if finding.kind == "relay" { self.relays.push(finding) } else { self.nodes.push(finding) }
    }

    /// Tells of something that is nobody's answer: the clock, a fork.
    pub(super) fn remark(&mut self, what: &str, message: impl std::fmt::Display) {
        if !self.is_json {
            say(wrapped(&format!("{what}: {message}"), what.len() + 2));
        }
        self.remarks.insert(what.to_owned(), message.to_string().into());
    }

    /// Tells of something that has a shape of its own: in words now, or under a key of the document.
    pub(super) fn detail(&mut self, key: &str, words: impl std::fmt::Display, document: serde_json::Value) {
        if !self.is_json {
            say(words);
        }
        if let Some(head) = self.head.as_object_mut() {
            head.insert(key.to_owned(), document);
        }
    }

    /// A remark was about something wrong.
    pub(super) fn not_well(&mut self) {
        self.is_well = false;
    }

    /// The end: the JSON document, where it is wanted, and the exit code.
    pub(super) fn end(mut self) -> ExitCode {
        self.progress = None;
        let all_answer = self.relays.iter().chain(&self.nodes).all(|finding| finding.state != State::Failed);
        let all_well = self.is_well && all_answer;
        if self.is_json {
            if let Some(head) = self.head.as_object_mut() {
                head.insert("relays".to_owned(), serde_json::json!(self.relays));
                head.insert("nodes".to_owned(), serde_json::json!(self.nodes));
                head.insert("remarks".to_owned(), serde_json::Value::Object(self.remarks));
                head.insert("ok".to_owned(), all_well.into());
            }
            say(serde_json::to_string_pretty(&self.head).unwrap_or_default());
        }
        if all_well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
    }
}

/// `ok        flashbots   43 ms  https://boost-relay.flashbots.net`
fn line(finding: &Finding) -> String {
    let state = match finding.state {
        State::Ok => "ok",
        State::Failed => "failed",
        State::Disabled => "disabled",
    };
    let took = finding.ms.map_or_else(String::new, |ms| format!("{ms} ms"));
    let width = finding.width;
    let begin = if finding.kind == "relay" {
        format!("{state:<8}  {:<width$}  {took:>7}  ", finding.id)
    } else {
        format!("{state:<8}  {:<width$}  ", finding.id)
    };
    let what = match (&finding.url, finding.state) {
        (Some(url), State::Ok | State::Disabled) => url.clone(),
        (Some(url), State::Failed) => format!("{url} {}", finding.answer),
        (None, _) => finding.answer.clone(),
    };
    // Blanks in the beginning are columns, not places to break at.
    let indent = begin.chars().count().min(30);
    wrapped(&format!("{}{what}", begin.replace(' ', "\u{a0}")), indent).replace('\u{a0}', " ")
}

/// A wrong configuration as a JSON document.
pub(super) fn unsound(path: &str, error: &ConfigError) -> String {
    let mistakes: Vec<serde_json::Value> = match error {
        ConfigError::Read { error, .. } => {
            vec![serde_json::json!({ "message": format!("cannot be read: {error}") })]
        }
        ConfigError::Wrong { mistakes, .. } => mistakes
            .iter()
            .map(|mistake| {
                let place = mistake.place.map(|(line, column, _)| (line, column));
                serde_json::json!({
                    "key": mistake.key,
                    "message": mistake.message,
                    "hint": mistake.hint,
                    "line": place.map(|(line, _)| line),
                    "column": place.map(|(_, column)| column),
                    "variable": mistake.variable,
                })
            })
            .collect(),
    };
    let document = serde_json::json!({ "config": path, "sound": false, "mistakes": mistakes, "ok": false });
    serde_json::to_string_pretty(&document).unwrap_or_default()
}
