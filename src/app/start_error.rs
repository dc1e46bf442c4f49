//! Why the service did not start.

use std::{io, path::PathBuf};

use crate::{ledger::LedgerError, relay::HttpClientError, serve::ListenError};

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process has `data_dir`.
    #[error(
        "data_dir {path} is in use by another relaymux ({holder}): stop that one, or give this one a data_dir of its own",
        path = path.display()
    )]
    DataDirInUse {
        /// The folder that cannot be used, `data_dir`.
        path: PathBuf,
        /// What the other process wrote of itself: its pid and network.
        holder: String,
    },
    /// Neither files nor memory can be had for ledger and journal.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// The HTTP client cannot be built.
    #[error("{0}")]
    HttpClient(#[from] HttpClientError),
    /// The system has no thread for bundles.
    #[error("bundles: {0}")]
    Thread(io::Error),
    /// A port is taken.
    #[error("{0}; stop what uses it, or change the listen address in the configuration")]
    Listen(#[from] ListenError),
}
