//! What the operator changed about shipped rules: some make no alerts, some are of another severity.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::{FutureExt, future::BoxFuture};

use super::{
    alert::Alert,
    moment::Moment,
    source::{Collected, TroubleSource},
    trouble::Trouble,
};
use crate::events::Severity;

/// Rules by name, and what is to be different about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grading {
    /// They make no alerts.
    pub disabled: BTreeSet<String>,
    /// They are as grave as this, whatever whoever finds them says.
    pub severities: BTreeMap<String, Severity>,
}

impl Grading {
    fn apply(&self, trouble: Trouble) -> Option<Trouble> {
        let name: &str = &trouble.rule.name;
        if self.disabled.contains(name) {
            return None;
        }
        let severity = self.severities.get(name).copied().or(trouble.severity);
        Some(Trouble { severity, ..trouble })
    }
}

/// A source whose troubles are graded.
pub(super) struct Graded {
    pub(super) source: Arc<dyn TroubleSource>,
    pub(super) grading: Arc<Grading>,
}

impl TroubleSource for Graded {
    fn name(&self) -> &'static str {
        self.source.name()
    }

    fn collect(&self, now: Moment) -> BoxFuture<'_, Result<Collected, String>> {
        let found = self.source.collect(now);
        async move {
            let Collected { troubles, absence } = found.await?;
            let troubles = troubles.into_iter().filter_map(|trouble| self.grading.apply(trouble)).collect();
            Ok(Collected { troubles, absence })
        }
        .boxed()
    }

    fn ends(&self) -> Vec<(String, String)> {
        self.source.ends()
    }

    fn end<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, ()> {
        self.source.end(alert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::for_tests::TOO_HOT;

    #[test]
    fn the_operator_has_the_last_word_on_shipped_rules() {
        let trouble = |severity| Trouble {
            rule: Arc::new(TOO_HOT.clone()),
            subject: "attic".to_owned(),
            labels: BTreeMap::new(),
            severity,
            message: "hot".to_owned(),
            since: 1,
        };
        let severity =
            |grading: &Grading, said| grading.apply(trouble(said)).map(|trouble| trouble.severity());
        let mut grading = Grading::default();
        assert_eq!(severity(&grading, None), Some(TOO_HOT.severity));
        assert_eq!(severity(&grading, Some(Severity::P1)), Some(Severity::P1));
        grading.severities.insert("too_hot".to_owned(), Severity::P4);
        assert_eq!(severity(&grading, Some(Severity::P1)), Some(Severity::P4));
        grading.disabled.insert("too_hot".to_owned());
        assert_eq!(severity(&grading, None), None);
    }
}
