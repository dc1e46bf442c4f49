//! The HTTP server for the consensus client: the Builder API, at mev-boost's port and with mev-boost's habits.
//!
//! In: whatever a consensus client sends. Out: exactly the statuses, headers and bodies that every client understands; a mistake is
//! always a JSON `{code, message}`. It negotiates encodings and parses paths; what is answered, the auction decides. It never waits
//! for a relay to answer `status`. Source: ethereum/builder-specs `builder-oapi.yaml`.

mod handlers;
mod metrics;
mod negotiate;
mod settings;

pub use handlers::BuilderApiParts;
pub use metrics::describe_metrics;
pub use negotiate::{NotAcceptable, negotiate};
pub use settings::BuilderApiSettings;

use std::time::Duration;

use crate::{serve::Listener, tasks::TaskGroup};

/// Serves until the group stops; requests in flight may then finish for at most `drain`.
pub fn start(parts: BuilderApiParts, listener: Listener, drain: Duration, group: &TaskGroup) {
    let router = handlers::router(parts);
    group.vital("builder_api", |stop| listener.serve(router, stop, drain));
}
