//! The embedded database: what happened in every slot, and the journal of signed blocks.
//!
//! Two SQLite files in `data_dir`. `ledger.db` is written by one task fed by the event spine, off the hot path: a crash may cost
//! its last moments. `journal.db` is the exception: a signed block is committed with a disk sync before it leaves, and what each
//! relay answered follows as it comes. At start the journal is read back into the ledger, so that after a `kill -9` the ledger
//! knows every block and its fate. Neither file is needed to serve a proposer: one that cannot be used is replaced by a new one or by
//! memory (`stores`).
//!
//! SQL keeps to what databases share, and nothing outside this room writes any: what only SQLite knows, its types among it, stands in
//! `database`, and `row` says how a row becomes a value. States are enums; here alone they are labels, and a label of a newer version is
//! kept as it is. Every table that several sidecars may share says which instance wrote a row (`instance`). Sums of days and months follow
//! the slots by a position (`sums`).

mod alert_foreign;
mod alert_history;
mod alert_outbox;
mod alert_signals;
mod alert_silences;
mod alerts;
mod auctions;
mod backlog;
mod backup;
mod backup_runs;
mod block_records;
mod bundle_state;
mod bundle_sums;
mod bundle_totals;
mod bundle_views;
mod bundles;
mod database;
mod disk;
mod drifts;
mod instance;
mod journal;
mod metrics;
mod missed_requests;
mod nodes;
mod open_bundles;
mod open_signals;
mod query;
mod read_back;
mod registrations;
mod relay_stats;
mod remembered;
mod report;
mod retention;
mod row;
mod settlements;
mod signal_book;
mod sla;
mod sla_evidence;
mod sla_gas;
mod sla_host;
mod slots;
mod stores;
mod sums;
mod task_runs;
mod views;
mod write_state;
mod writer;

pub use alert_foreign::ForeignRow;
pub use alert_history::NotificationView;
pub use alert_outbox::{NewOutboxRow, OutboxCount, OutboxRow, OutboxState};
pub use alert_signals::SignalRow;
pub use alert_silences::SilenceRow;
pub use alerts::{
    AlertGroupRow, AlertNotification, AlertPhase, AlertRow, AlertWrite, QueuedMessage, StoredAlerts,
};
pub use backup::{Store, copy_store, inspect_store};
pub use backup_runs::BackupRun;
pub use bundle_state::{BundleKind, BundleState, Delivery, SendOutcome};
pub use bundle_sums::BundleTotals;
pub use bundle_views::{BundleView, SendView};
pub use bundles::{BundleDecision, BundleProfit, BundleReceived, BundleSend, BundleWrite, UnbookedBundle};
pub use database::{LedgerError, snapshot::Inspection};
pub use disk::{DiskActRow, DiskCleaningRow, DiskUsageRow};
pub use journal::{Journal, JournaledLabels, UnsettledBlock};
pub use metrics::describe_metrics;
pub use missed_requests::LastRun;
pub use nodes::{NodeFact, NodeFactKind, NodeMemoryRow};
pub use open_bundles::StoredBundle;
pub use query::Ledger;
pub use remembered::{HeardClock, RememberedValidator, still_ours};
pub use report::PollFact;
pub use retention::{Retention, TrimPart, TrimStep};
pub use settlements::{ProposalPoint, Settled, SlotCase};
pub use signal_book::SignalBook;
pub use sla::{HourRow, MinuteRow, MinuteState};
pub use sla_evidence::{Criticals, EvidenceKind, EvidenceRow, MaintenanceRow};
pub use sla_gas::{GasHour, GasRow, GasSums};
pub use sla_host::{HostRow, HostSums};
pub use stores::{StoreTrouble, Stores};
pub use sums::{ChangedDays, DayFacts, OutcomeCount, SumRow};
pub use task_runs::TaskRunRow;
pub use views::{
    AnswerView, AuctionView, BidView, MissedRequestView, ModeView, PollView, RelayStats, SlotSummary,
    SlotView, SubmissionFate, SubmissionView,
};
pub use write_state::WriteState;
pub use writer::{run_writer, start_writer};
