//! A body of registrations on its way to many relays: one copy for all, converted at most once, cut only where a relay needs it.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    consensus::{
        Encoding, REGISTRATION_SSZ_BYTES, RegistrationError, json_from_ssz, split_json, ssz_from_json,
    },
    types::Fork,
};

/// The body cut for an encoding and a limit, for all relays that need it so.
type Cuts = HashMap<(Encoding, usize), Arc<[Batch]>>;

/// Registrations as they came.
#[derive(Debug)]
pub struct RegistrationBody {
    came_as: Encoding,
    count: usize,
    version: Option<Fork>,
    original: Bytes,
    converted: Mutex<Option<Bytes>>,
    cuts: Mutex<Cuts>,
}

/// A part of the body that is a body itself.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The body in its encoding, shared by all relays that get it.
    pub bytes: Bytes,
    /// Registrations in it.
    pub count: usize,
}

impl RegistrationBody {
    /// A checked body of `count` registrations; `version` is the client's `Eth-Consensus-Version`, where it sent one.
    pub fn new(came_as: Encoding, original: Bytes, count: usize, version: Option<Fork>) -> Self {
        Self { came_as, count, version, original, converted: Mutex::default(), cuts: Mutex::default() }
    }

    /// The encoding it came in.
    pub fn came_as(&self) -> Encoding {
        self.came_as
    }

    /// Number of registrations.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The client's `Eth-Consensus-Version`.
    pub fn version(&self) -> Option<Fork> {
        self.version
    }

    /// The whole body in an encoding. The first to ask for the other one converts it, item by item; the rest share the result.
    fn bytes(&self, encoding: Encoding) -> Result<Bytes, RegistrationError> {
        if encoding == self.came_as {
            return Ok(self.original.clone());
        }
        let mut converted = self.converted.lock();
        if let Some(bytes) = &*converted {
            return Ok(bytes.clone());
        }
        let bytes: Bytes = match encoding {
            Encoding::Json => json_from_ssz(&self.original)?.into(),
            Encoding::Ssz => ssz_from_json(&self.original)?.into(),
        };
        *converted = Some(bytes.clone());
        Ok(bytes)
    }

    /// The body in parts of at most `limit` registrations, cut between items.
    ///
    /// # Errors
    /// When it cannot be converted or cut, which a checked body always can.
    pub(super) fn batches(
        &self,
        encoding: Encoding,
        limit: Option<usize>,
    ) -> Result<Arc<[Batch]>, RegistrationError> {
        let whole = self.bytes(encoding)?;
        let Some(limit) = limit.filter(|limit| *limit < self.count) else {
            return Ok([Batch { bytes: whole, count: self.count }].into());
        };
        if let Some(parts) = self.cuts.lock().get(&(encoding, limit)) {
            return Ok(Arc::clone(parts));
        }
        let counts = (0..self.count).step_by(limit).map(|start| limit.min(self.count - start));
        let parts: Vec<Bytes> = match encoding {
            Encoding::Json => split_json(&whole, limit)?.into_iter().map(Bytes::from).collect(),
            Encoding::Ssz => {
                let size = limit * REGISTRATION_SSZ_BYTES;
                (0..whole.len()).step_by(size).map(|at| whole.slice(at..whole.len().min(at + size))).collect()
            }
        };
        let parts: Arc<[Batch]> =
            parts.into_iter().zip(counts).map(|(bytes, count)| Batch { bytes, count }).collect();
        self.cuts.lock().insert((encoding, limit), Arc::clone(&parts));
        Ok(parts)
    }
}
