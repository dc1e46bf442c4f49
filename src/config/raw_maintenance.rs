//! `[maintenance]` as it is written.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use super::raw_text::Span;

/// `[maintenance]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawSchedule {
    pub(super) enabled: Option<bool>,
    pub(super) time_zone: Option<String>,
    pub(super) catch_up_within: Option<Span>,
    pub(super) jitter: Option<Span>,
    pub(super) timeout: Option<Span>,
    pub(super) start_delay: Option<Span>,
    pub(super) keep_clear_of_proposals: Option<Span>,
    pub(super) dead_man_url: Option<String>,
    pub(super) dead_man_url_file: Option<String>,
    pub(super) disk_clean: Option<RawTask>,
    pub(super) health_check: Option<RawTask>,
    pub(super) profit_check: Option<RawTask>,
    pub(super) weekly_digest: Option<RawTask>,
    pub(super) load_validation: Option<RawTask>,
    pub(super) backup: Option<RawTask>,
    pub(super) backup_verify: Option<RawTask>,
    pub(super) client_versions: Option<RawTask>,
}

/// A task: its cron expression, whether it runs by itself, or a table with more.
#[derive(Clone, Debug)]
pub(super) enum RawTask {
    /// `health_check = "0 3 * * *"`
    Schedule(String),
    /// `health_check = false`
    Enabled(bool),
    /// `health_check = { schedule = "0 3 * * *", timeout = "10m" }`
    Table(RawTaskTable),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTaskTable {
    pub(super) schedule: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) time_zone: Option<String>,
    pub(super) catch_up_within: Option<Span>,
    pub(super) jitter: Option<Span>,
    pub(super) timeout: Option<Span>,
    pub(super) dead_man_url: Option<String>,
    pub(super) dead_man_url_file: Option<String>,
}

struct TaskVisitor;

impl<'de> de::Visitor<'de> for TaskVisitor {
    type Value = RawTask;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cron expression in quotes such as \"0 3 * * *\", true or false, or a table")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RawTask, E> {
        Ok(RawTask::Schedule(text.to_owned()))
    }

    fn visit_bool<E: de::Error>(self, enabled: bool) -> Result<RawTask, E> {
        Ok(RawTask::Enabled(enabled))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RawTask, A::Error> {
        RawTaskTable::deserialize(de::value::MapAccessDeserializer::new(map)).map(RawTask::Table)
    }
}

impl<'de> Deserialize<'de> for RawTask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TaskVisitor)
    }
}
