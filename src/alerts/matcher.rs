//! Matchers of labels, as Alertmanager has them: `severity="P2"`, `component!="host"`, `alertname=~"disk_.*"`.

use std::{fmt, str::FromStr};

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::types::labelled;

/// Longest value or expression, in bytes.
const MAX_VALUE_BYTES: usize = 512;
/// Largest compiled expression, in bytes.
const MAX_REGEX_BYTES: usize = 64 << 10;

labelled! {
    /// How a label is compared.
    pub enum MatchOperator {
        /// It is exactly this.
        Equal = "=",
        /// It is anything else.
        NotEqual = "!=",
        /// An expression matches all of it.
        Matches = "=~",
        /// An expression does not match all of it.
        DoesNotMatch = "!~",
    }
}

/// Why a matcher cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MatcherError {
    /// It is not written as one.
    #[error("`{0}` is no matcher: write label=\"value\", with =, !=, =~ or !~")]
    Syntax(String),
    /// What is to be compared is too long.
    #[error("the value of `{0}` is longer than {MAX_VALUE_BYTES} bytes")]
    TooLong(String),
    /// The expression is none, or too large.
    #[error("`{0}` is no regular expression that can be used: {1}")]
    Regex(String, String),
}

/// One condition on a label. A label that is not there counts as empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "MatcherParts", into = "MatcherParts")]
pub struct Matcher {
    label: String,
    operator: MatchOperator,
    value: String,
    /// Of the two operators that have one.
    regex: Option<Regex>,
}

/// A matcher as it is written down.
#[derive(Clone, Serialize, Deserialize)]
struct MatcherParts {
    label: String,
    operator: MatchOperator,
    value: String,
}

impl Matcher {
    /// A matcher of its parts.
    ///
    /// # Errors
    /// When the value is too long, or no regular expression where one is due.
    pub fn new(label: &str, operator: MatchOperator, value: &str) -> Result<Self, MatcherError> {
        if value.len() > MAX_VALUE_BYTES || label.len() > MAX_VALUE_BYTES {
            return Err(MatcherError::TooLong(label.chars().take(40).collect()));
        }
        let regex = match operator {
            MatchOperator::Equal | MatchOperator::NotEqual => None,
            MatchOperator::Matches | MatchOperator::DoesNotMatch => {
                let mut builder = RegexBuilder::new(&format!("^(?s:{value})$"));
                let regex = builder.size_limit(MAX_REGEX_BYTES).build();
                Some(regex.map_err(|error| MatcherError::Regex(value.to_owned(), error.to_string()))?)
            }
        };
        Ok(Self { label: label.to_owned(), operator, value: value.to_owned(), regex })
    }

    /// Whether the labels are as this says. `label` gives the value of a label.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let value = label(&self.label).unwrap_or_default();
        let fits = self.regex.as_ref().map_or_else(|| value == self.value, |regex| regex.is_match(value));
        match self.operator {
            MatchOperator::Equal | MatchOperator::Matches => fits,
            MatchOperator::NotEqual | MatchOperator::DoesNotMatch => !fits,
        }
    }

    /// Label, operator and value, as they were given.
    pub fn parts(&self) -> (&str, MatchOperator, &str) {
        (&self.label, self.operator, &self.value)
    }

    /// The value that a label must have, where it must have exactly one.
    pub fn exact_value_of(&self, label: &str) -> Option<&str> {
        (self.operator == MatchOperator::Equal && self.label == label).then_some(self.value.as_str())
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        // The expression is made of the rest.
        (&self.label, self.operator, &self.value) == (&other.label, other.operator, &other.value)
    }
}

impl Eq for Matcher {}

impl TryFrom<MatcherParts> for Matcher {
    type Error = MatcherError;

    fn try_from(parts: MatcherParts) -> Result<Self, MatcherError> {
        Self::new(&parts.label, parts.operator, &parts.value)
    }
}

impl From<Matcher> for MatcherParts {
    fn from(matcher: Matcher) -> Self {
        Self { label: matcher.label, operator: matcher.operator, value: matcher.value }
    }
}

impl FromStr for Matcher {
    type Err = MatcherError;

    /// Reads `label="value"`; the quotes may be left out.
    fn from_str(text: &str) -> Result<Self, MatcherError> {
        let syntax = || MatcherError::Syntax(text.chars().take(80).collect());
        let end = text.find(['=', '!']).ok_or_else(syntax)?;
        let (label, rest) = text.split_at_checked(end).ok_or_else(syntax)?;
        let label = label.trim();
        let is_name = |label: &str| {
            let mut chars = label.chars();
            chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
                && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
        };
        if !is_name(label) {
            return Err(syntax());
        }
        // The longer ones first: `=~` begins as `=` does.
        let operators = [
            MatchOperator::Matches,
            MatchOperator::DoesNotMatch,
            MatchOperator::NotEqual,
            MatchOperator::Equal,
        ];
        let found = operators
            .into_iter()
            .find_map(|operator| rest.strip_prefix(operator.label()).map(|value| (operator, value.trim())));
        let (operator, value) = found.ok_or_else(syntax)?;
        let value = match value.strip_prefix('"') {
            Some(quoted) => {
                let inside = quoted.strip_suffix('"').ok_or_else(syntax)?;
                inside.replace("\\\"", "\"").replace("\\\\", "\\")
            }
            None => value.to_owned(),
        };
        Self::new(label, operator, &value)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.replace('\\', "\\\\").replace('"', "\\\"");
        write!(f, "{}{}\"{value}\"", self.label, self.operator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(name: &str) -> Option<&'static str> {
        match name {
            "alertname" => Some("disk_full"),
            "severity" => Some("P2"),
            "path" => Some("/data\nx"),
            _ => None,
        }
    }

    #[test]
    fn labels_match_as_in_alertmanager() {
        for (text, matches) in [
            ("alertname=\"disk_full\"", true),
            ("alertname=disk_full", true),
            ("alertname = \"disk\"", false),
            ("alertname!=\"disk\"", true),
            ("alertname!=disk_full", false),
            ("alertname=~\"disk_.*\"", true),
            // All of it, not a part.
            ("alertname=~\"disk\"", false),
            ("alertname=~\"disk|disk_full\"", true),
            ("alertname!~\"disk_.*\"", false),
            ("severity=~\"P1|P2\"", true),
            ("path=~\"/data.*\"", true),
            // What is not there is empty.
            ("team=\"\"", true),
            ("team!=\"\"", false),
            ("team=~\".+\"", false),
        ] {
            let matcher: Matcher = text.parse().unwrap();
            assert_eq!(matcher.matches(labels), matches, "{text}");
            assert_eq!(matcher.to_string().parse::<Matcher>().unwrap(), matcher, "{text}");
            let json = serde_json::to_string(&matcher).unwrap();
            assert_eq!(serde_json::from_str::<Matcher>(&json).unwrap(), matcher);
        }
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        for text in ["", "alertname", "=x", "a b=c", "1a=b", "a=\"x", "a=~\"(\"", "a!x"] {
            assert!(text.parse::<Matcher>().is_err(), "{text}");
        }
        assert!(Matcher::new("a", MatchOperator::Matches, "(a{1000}){1000}").is_err());
        assert!(Matcher::new("a", MatchOperator::Equal, &"x".repeat(600)).is_err());
    }
}
