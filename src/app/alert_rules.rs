//! Every rule that this program can raise a signal by.

use super::rules::RULES;
use crate::{auction, backup, events::AlertRule, gateway, profit, relay, sla, supervisor};

/// The rules of all rooms. A room more is a line here.
pub fn alert_rules() -> Vec<&'static AlertRule> {
    [
        auction::rules::RULES,
        relay::rules::RULES,
        profit::rules::RULES,
        sla::rules::RULES,
        gateway::rules::RULES,
        supervisor::rules::RULES,
        supervisor::schedule::rules::RULES,
        supervisor::disk::rules::RULES,
        backup::rules::RULES,
        RULES,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Whoever is woken reads them half asleep: whole sentences, and not many.
    #[test]
    fn every_rule_has_a_name_of_its_own_and_texts_for_the_night() {
        let rules = alert_rules();
        let names: BTreeSet<&str> = rules.iter().map(|rule| &*rule.name).collect();
        assert_eq!(names.len(), rules.len(), "two rules have one name");
        for rule in rules {
            assert!(rule.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", rule.name);
            assert!(rule.title.len() <= 60 && !rule.title.ends_with('.'), "{}: {}", rule.name, rule.title);
            for text in [&rule.cost, &rule.done, &rule.runbook] {
                assert!(text.ends_with(['.', ')', '?']), "{}: {text}", rule.name);
                assert!((10..=280).contains(&text.len()), "{}: {} bytes: {text}", rule.name, text.len());
            }
            assert!(rule.page.starts_with('/'), "{}", rule.name);
        }
    }
}
