//! What is wrong now, as whoever found it says it.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use sha2::{Digest, Sha256};

use crate::{
    events::{AlertRule, Severity},
    types::UnixMillis,
};

/// Longest subject, label name and label value that are kept, in bytes.
const MAX_NAME_BYTES: usize = 256;
/// Longest message that is kept, in bytes.
const MAX_MESSAGE_BYTES: usize = 2000;
/// Most labels that are kept.
const MAX_LABELS: usize = 32;
/// Bytes of the hash that names an alert.
const FINGERPRINT_BYTES: usize = 16;

/// Something that is wrong at this moment. What is not among the troubles of a look is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The kind of trouble.
    pub rule: Arc<AlertRule>,
    /// What it is about: a relay, a slot, a node.
    pub subject: String,
    /// What else tells it from others of its rule.
    pub labels: BTreeMap<String, String>,
    /// How grave it is, where that is not as the rule says.
    pub severity: Option<Severity>,
    /// What happened here, with its figures.
    pub message: String,
    /// Since when, in Unix milliseconds. Of an occurrence: when it happened; one that happened later is another.
    pub since: UnixMillis,
}

impl Trouble {
    /// How grave it is.
    pub fn severity(&self) -> Severity {
        self.severity.unwrap_or(self.rule.severity)
    }

    /// Names it for ever: a hash of rule, subject and labels, 32 hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.rule.name, &self.subject, &self.labels)
    }

    /// The subject, as far as it is kept.
    pub(super) fn kept_subject(&self) -> String {
        cut(&self.subject, MAX_NAME_BYTES).to_owned()
    }

    /// The message, as far as it is kept.
    pub(super) fn kept_message(&self) -> &str {
        cut(&self.message, MAX_MESSAGE_BYTES)
    }

    /// The labels, as far as they are kept.
    pub(super) fn kept_labels(&self) -> BTreeMap<String, String> {
        let kept = self.labels.iter().take(MAX_LABELS);
        kept.map(|(name, value)| {
            (cut(name, MAX_NAME_BYTES).to_owned(), cut(value, MAX_NAME_BYTES).to_owned())
        })
        .collect()
    }
}

/// The name of an alert: the same for the same rule, subject and labels, on every machine and in every version.
pub fn fingerprint(rule: &str, subject: &str, labels: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    let pairs = labels.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    for part in [rule, subject].into_iter().chain(pairs) {
        // With their lengths, so that no two lists of parts read the same.
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let mut text = String::with_capacity(2 * FINGERPRINT_BYTES);
    for byte in hash.finalize().iter().take(FINGERPRINT_BYTES) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn cut(text: &str, most: usize) -> &str {
    let end =
        text.char_indices().map(|(at, char)| at + char.len_utf8()).take_while(|end| *end <= most).last();
    if text.len() <= most { text } else { text.get(..end.unwrap_or(0)).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_fingerprint_is_the_same_for_ever_and_another_for_another() {
        let none = labels(&[]);
        assert_eq!(fingerprint("clock_wrong", "", &none), fingerprint("clock_wrong", "", &none));
        // Written down: a change would double every alert that is open during an update.
        assert_eq!(
            fingerprint("payload_withheld", "titan", &labels(&[("slot", "123")])),
            "68f0ccca5f82855d57f21ac0ec154761"
        );
        let all = [
            fingerprint("a", "b", &none),
            fingerprint("ab", "", &none),
            fingerprint("", "ab", &none),
            fingerprint("a", "", &labels(&[("b", "")])),
            fingerprint("a", "b", &labels(&[("c", "d")])),
            fingerprint("a", "b", &labels(&[("cd", "")])),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "abc");
        assert_eq!(cut("aéé", 4), "aé");
        assert_eq!(cut("é", 1), "");
    }
}
