//! The admin token: made at first start, readable by its owner alone, needed by every route that changes something.

use std::{fs, io, path::Path};

use alloy_primitives::hex;

use super::files::write_whole;

pub(super) const FILE: &str = "admin.token";

/// The admin token of this run.
#[derive(Debug)]
pub(super) enum AdminToken {
    /// It is in the file.
    Kept(String),
    /// It is nowhere else.
    InMemory {
        /// The token that opens the routes that change something.
        token: String,
        /// Why it is not in the file.
        failure: String,
    },
}

/// Reads `admin.token` of a folder; makes it, mode 0600, unless there is one. Where it cannot be read or kept, a token that nobody knows takes its
/// place: an empty one would let everybody in.
pub(super) fn ensure_admin_token(data_dir: &Path) -> AdminToken {
    let path = data_dir.join(FILE);
    let made = || hex::encode(rand::random::<[u8; 32]>());
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return AdminToken::Kept(text.trim().to_owned()),
        // Empty: the disk was full when it was made, perhaps.
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return AdminToken::InMemory { token: made(), failure: failed(error) },
    }
    let token = made();
    match write_whole(&path, token.as_bytes(), 0o600) {
        Ok(()) => AdminToken::Kept(token),
        Err(error) => AdminToken::InMemory { token, failure: failed(error) },
    }
}
