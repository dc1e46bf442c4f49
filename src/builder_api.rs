//! The HTTP server for the consensus client: the Builder API, at mev-boost's port and with mev-boost's habits.
//!
//! In: whatever a consensus client sends. Out: exactly the statuses, headers and bodies that every client understands; a mistake is
//! always a JSON `{code, message}`. It negotiates encodings and parses paths; what is answered, the auction decides. It never waits
//! for a relay to answer `status`. Source: ethereum/builder-specs `builder-oapi.yaml`.

mod counting;
mod grading;
mod handlers;
mod metrics;
mod negotiate;
mod settings;

pub use handlers::BuilderApiParts;
pub use metrics::describe_metrics;
pub use negotiate::{NotAcceptable, negotiate};
pub use settings::{BuilderApiSettings, RequireSynced};

use std::{sync::Arc, time::Duration};

use counting::{Counting, count_answers};

use crate::{serve::Listener, tasks::TaskGroup};

/// Serves until the group stops; requests in flight may then finish for as long as a signed block may take by the policies of that
/// moment, and `slack`.
pub fn start(parts: BuilderApiParts, listener: Listener, slack: Duration, group: &TaskGroup) {
    let auction = Arc::clone(&parts.auction);
    let counting = Counting {
        auction: Arc::clone(&auction),
        clock: parts.clock.clone(),
        answers: parts.answers.clone(),
    };
    // Around the guard: what is refused to a client is counted, too.
    let router = count_answers(listener.guard(handlers::router(parts)), counting);
    let drain = move || auction.policies().longest_submission().saturating_add(slack);
    group.vital("builder_api", |stop| listener.serve_guarded(router, stop, drain));
}
