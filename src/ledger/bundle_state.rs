//! What can become of a bundle, of its delivery and of one request to a builder: enums here, labels in the file and in answers.

use crate::types::labelled;

labelled! {
    /// The method that brought a bundle.
    #[derive(Default)]
    pub enum BundleKind {
        /// `eth_sendBundle`
        #[default]
        Bundle = "bundle",
        /// `mev_sendBundle`
        MevShare = "mev_share",
        /// `eth_sendPrivateTransaction`, `eth_sendPrivateRawTransaction`
        Private = "private",
    }
}

labelled! {
    /// What became of a bundle.
    pub enum BundleState {
        /// Its blocks are still to come.
        Pending = "pending",
        /// Taken back; a builder may still land it.
        CancelRequested = "cancel_requested",
        /// A block has all of it, as asked for.
        Included = "included",
        /// No block has it, though a builder took it or might have.
        Missed = "missed",
        /// No builder took it.
        Failed = "failed",
        /// Taken back, and no block had it.
        Cancelled = "cancelled",
        /// Another of its name took its place.
        Replaced = "replaced",
        /// A block has only some of it.
        PartlyIncluded = "partly_included",
        /// A block has all of it, but not as it was asked for.
        Unbundled = "unbundled",
    }
}

impl BundleState {
    /// Whether a block has transactions of it: then they cost or brought something.
    pub const fn is_on_chain(self) -> bool {
        match self {
            Self::Included | Self::PartlyIncluded | Self::Unbundled => true,
            Self::Pending
            | Self::CancelRequested
            | Self::Missed
            | Self::Failed
            | Self::Cancelled
            | Self::Replaced => false,
        }
    }
}

labelled! {
    /// What came of one request to a builder.
    pub enum SendOutcome {
        /// The builder took the bundle.
        Accepted = "accepted",
        /// It did not, and said why.
        Refused = "refused",
        /// Its dialect cannot say what the bundle needs: it was not asked.
        Unsupported = "unsupported",
        /// There was no room for the request: it was not asked.
        QueueFull = "queue_full",
        /// Our limit of requests to it was used up while the bundle was of use: it was not asked.
        RateLimited = "rate_limited",
        /// The searcher took the bundle back, or replaced it, before it was sent.
        Withdrawn = "withdrawn",
        /// No answer while it was of use.
        TimedOut = "timed_out",
        /// It could not be reached.
        Transport = "transport",
        /// It was asked to take the bundle back, and agreed.
        CancelAccepted = "cancel_accepted",
        /// It was asked to, and refused.
        CancelRefused = "cancel_refused",
    }
}

/// Whether a bundle is still sent to builders. One that is not is watched until its last block: it may land all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// It is.
    #[default]
    Active,
    /// Its searcher took it back.
    CancelRequested,
    /// Another of its name took its place.
    Replaced {
        /// Number of that one.
        by: i64,
    },
    /// Every builder refused it.
    Refused,
}

impl Delivery {
    /// Its label in the ledger.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::CancelRequested => "cancel_requested",
            Self::Replaced { .. } => "replaced",
            Self::Refused => "refused",
        }
    }

    /// The bundle that took its place.
    pub const fn replaced_by(self) -> Option<i64> {
        match self {
            Self::Replaced { by } => Some(by),
            Self::Active | Self::CancelRequested | Self::Refused => None,
        }
    }

    /// The one of a label.
    pub fn parse(label: &str, replaced_by: Option<i64>) -> Option<Self> {
        match (label, replaced_by) {
            ("active", _) => Some(Self::Active),
            ("cancel_requested", _) => Some(Self::CancelRequested),
            ("replaced", Some(by)) => Some(Self::Replaced { by }),
            ("refused", _) => Some(Self::Refused),
            _ => None,
        }
    }

    /// The state of a bundle that no block has decided.
    pub const fn state(self) -> BundleState {
        match self {
            Self::Active => BundleState::Pending,
            Self::CancelRequested => BundleState::CancelRequested,
            Self::Replaced { .. } => BundleState::Replaced,
            Self::Refused => BundleState::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_back() {
        for delivery in
            [Delivery::Active, Delivery::CancelRequested, Delivery::Replaced { by: 7 }, Delivery::Refused]
        {
            assert_eq!(Delivery::parse(delivery.label(), delivery.replaced_by()), Some(delivery));
        }
        assert_eq!(Delivery::parse("replaced", None), None);
    }
}
