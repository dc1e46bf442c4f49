//! The HTTP server for the consensus client: the Builder API, at mev-boost's port and with mev-boost's habits.
//!
//! In: whatever a consensus client sends. Out: exactly the statuses, headers and bodies that every client understands; a mistake is
//! always a JSON `{code, message}`. It negotiates encodings and parses paths; what is answered, the auction decides. It never waits
//! for a relay to answer `status`. Source: ethereum/builder-specs `builder-oapi.yaml`.

mod handlers;
mod metrics;
mod negotiate;
mod settings;

pub use handlers::router;
pub use metrics::describe_metrics;
pub use negotiate::{NotAcceptable, negotiate};
pub use settings::BuilderApiSettings;
