//! `[alerts]` and `[sla]` as they are written.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};
use toml::value::Datetime;

use super::raw_text::{Scalar, Span};

/// `[alerts]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawAlerts {
    pub(super) source: Option<String>,
    pub(super) public_url: Option<String>,
    pub(super) group_wait: Option<Span>,
    pub(super) group_interval: Option<Span>,
    pub(super) reacknowledge_after: Option<Span>,
    pub(super) reacknowledge_p1_after: Option<Span>,
    pub(super) digest_at: Option<String>,
    pub(super) daily_digest: Option<String>,
    pub(super) digest_contacts: Vec<String>,
    pub(super) weekly_digest_on: Option<String>,
    pub(super) time_zone: Option<String>,
    pub(super) dead_man_url: Option<String>,
    pub(super) dead_man_url_file: Option<String>,
    pub(super) dead_man_every: Option<Span>,
    pub(super) ack_link_valid_for: Option<Span>,
    pub(super) disable: Vec<String>,
    pub(super) severities: BTreeMap<String, String>,
    pub(super) channels: Vec<RawChannel>,
    pub(super) escalation: Vec<RawEscalation>,
    pub(super) contacts: Vec<RawContact>,
    pub(super) rotas: Vec<RawRota>,
    pub(super) rules: Vec<RawRule>,
    pub(super) certificates: Vec<String>,
    pub(super) certificate_warning: Option<Span>,
    pub(super) secret_max_age: Option<Span>,
    pub(super) client_floors: Vec<RawClientFloor>,
    pub(super) host_root: Option<String>,
    pub(super) maintenance: Vec<RawMaintenance>,
}

/// `[[alerts.client_floors]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawClientFloor {
    pub(super) client: Option<String>,
    pub(super) fork: Option<String>,
    pub(super) version: Option<String>,
}

/// `[[alerts.channels]]`: the keys of all kinds.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawChannel {
    pub(super) id: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) fallback: Option<String>,
    pub(super) url: Option<String>,
    pub(super) url_file: Option<String>,
    pub(super) urls: Option<Vec<String>>,
    pub(super) routing_key: Option<String>,
    pub(super) routing_key_file: Option<String>,
    pub(super) token: Option<String>,
    pub(super) token_file: Option<String>,
    pub(super) chat_id: Option<Scalar>,
    pub(super) thread_id: Option<i64>,
    pub(super) topic: Option<String>,
    pub(super) topic_file: Option<String>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) tls: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) password_file: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<Vec<String>>,
    pub(super) roots_file: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) secret_file: Option<String>,
}

impl fmt::Debug for RawChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawChannel").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl RawChannel {
    /// The keys that it has, but for those that every kind has.
    pub(super) fn keys(&self) -> Vec<&'static str> {
        let all = [
            ("url", self.url.is_some()),
            ("url_file", self.url_file.is_some()),
            ("urls", self.urls.is_some()),
            ("routing_key", self.routing_key.is_some()),
            ("routing_key_file", self.routing_key_file.is_some()),
            ("token", self.token.is_some()),
            ("token_file", self.token_file.is_some()),
            ("chat_id", self.chat_id.is_some()),
            ("thread_id", self.thread_id.is_some()),
            ("topic", self.topic.is_some()),
            ("topic_file", self.topic_file.is_some()),
            ("host", self.host.is_some()),
            ("port", self.port.is_some()),
            ("tls", self.tls.is_some()),
            ("username", self.username.is_some()),
            ("password", self.password.is_some()),
            ("password_file", self.password_file.is_some()),
            ("from", self.from.is_some()),
            ("to", self.to.is_some()),
            ("roots_file", self.roots_file.is_some()),
            ("secret", self.secret.is_some()),
            ("secret_file", self.secret_file.is_some()),
        ];
        all.into_iter().filter(|(_, is_there)| *is_there).map(|(key, _)| key).collect()
    }
}

/// `[[alerts.escalation]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawEscalation {
    pub(super) severity: Option<String>,
    pub(super) respond_within: Option<Span>,
    pub(super) contacts: Vec<String>,
}

/// `[[alerts.contacts]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawContact {
    pub(super) id: Option<String>,
    pub(super) channels: Vec<String>,
}

/// `[[alerts.rotas]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRota {
    pub(super) id: Option<String>,
    pub(super) members: Vec<String>,
    pub(super) first_week: Option<Datetime>,
    pub(super) handover: Option<String>,
    pub(super) time_zone: Option<String>,
    pub(super) overrides: Vec<RawOverride>,
}

/// `overrides = [{ from = …, to = …, member = … }]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawOverride {
    pub(super) from: Option<Datetime>,
    pub(super) to: Option<Datetime>,
    pub(super) member: Option<String>,
}

/// `[[alerts.maintenance]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawMaintenance {
    pub(super) name: Option<String>,
    pub(super) matchers: Vec<String>,
    pub(super) from: Option<Datetime>,
    pub(super) until: Option<Datetime>,
    pub(super) weekdays: Option<Vec<String>>,
    pub(super) start_time: Option<String>,
    pub(super) duration: Option<Span>,
    pub(super) time_zone: Option<String>,
    pub(super) sla: bool,
}

/// `[[alerts.rules]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRule {
    pub(super) name: Option<String>,
    pub(super) metric: Option<String>,
    pub(super) labels: Option<RawLabels>,
    pub(super) aggregate: Option<String>,
    pub(super) op: Option<String>,
    pub(super) threshold: Option<f64>,
    pub(super) rate_over: Option<Span>,
    #[serde(rename = "for")]
    pub(super) fail_for: Option<Span>,
    pub(super) clear_for: Option<Span>,
    pub(super) severity: Option<String>,
    pub(super) component: Option<String>,
    pub(super) title: Option<String>,
    pub(super) runbook: Option<String>,
}

/// Which series a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RawLabels {
    /// `{relay="titan",code=~"5.."}`
    Text(String),
    /// `{ relay = "titan" }`: each must be exactly that.
    Exactly(BTreeMap<String, String>),
}

struct LabelsVisitor;

impl<'de> de::Visitor<'de> for LabelsVisitor {
    type Value = RawLabels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels: a table such as { relay = \"titan\" }, or a text such as 'relay=\"titan\",code=~\"5..\"'")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RawLabels, E> {
        Ok(RawLabels::Text(text.to_owned()))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RawLabels, A::Error> {
        let labels = BTreeMap::<String, Scalar>::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(RawLabels::Exactly(labels.into_iter().map(|(label, value)| (label, value.0)).collect()))
    }
}

impl<'de> Deserialize<'de> for RawLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LabelsVisitor)
    }
}

/// `[sla]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawSla {
    pub(super) target_percent: Option<f64>,
}
