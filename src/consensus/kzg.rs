//! Whether revealed blobs are those of their commitments: KZG by `c-kzg`, within a time that a slot can spare.
//!
//! The trusted setup is compiled in. It takes 1.6 s to load and 4 MB to keep, so a thread of its own loads it once, when the first
//! bid with commitments comes; until then, and if it cannot be loaded, nothing is checked. A blob that was not checked in time
//! passes: the client checks all of them, too.

use std::{
    sync::{Once, OnceLock},
    thread,
};

use c_kzg::{Blob, Bytes48, Cell, CkzgError, Error, KzgSettings, ethereum_kzg_settings};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{PayloadError, containers::KzgBytes};

static SETTINGS: OnceLock<&'static KzgSettings> = OnceLock::new();

/// Loads the trusted setup on a thread of its own, the first time it is called. Returns at once.
pub fn prepare_kzg() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let spawned = thread::Builder::new().name("kzg-setup".to_owned()).spawn(|| {
            if thread::spawn(load).join().is_err() {
                warn!("the KZG trusted setup cannot be loaded; revealed blobs are not checked against their commitments");
            }
        });
        if let Err(error) = spawned {
            warn!(%error, "no thread for the KZG trusted setup; revealed blobs are not checked against their commitments");
        }
    });
}

fn load() {
    // Precomputed tables would make proofs faster, which are never made here, and cost up to gigabytes.
    let _ = SETTINGS.set(ethereum_kzg_settings(0));
    debug!("KZG trusted setup is loaded");
}

/// A bundle whose lengths were checked: one commitment a blob, and as many proofs a blob as the fork has.
pub(super) struct Bundle<'a> {
    pub(super) commitments: &'a [KzgBytes],
    pub(super) proofs: &'a [KzgBytes],
    pub(super) blobs: &'a [super::containers::Blob],
    pub(super) proofs_per_blob: usize,
}

impl Bundle<'_> {
    /// Checks blob by blob until `until`; what is left then passes.
    pub(super) fn check_kzg(&self, until: Instant) -> Result<(), PayloadError> {
        let Some(settings) = SETTINGS.get() else { return Ok(()) };
        let proofs = self.proofs.chunks(self.proofs_per_blob.max(1));
        for (index, ((commitment, proofs), blob)) in
            self.commitments.iter().zip(proofs).zip(self.blobs).enumerate()
        {
            if Instant::now() >= until {
                debug!(checked = index, blobs = self.blobs.len(), "no time to check all blobs by KZG");
                break;
            }
            let fits = match Blob::from_bytes(blob.bytes()) {
                Ok(blob) => fits(settings, &blob, commitment, proofs),
                Err(error) => Err(error),
            };
            match fits {
                Ok(true) => {}
                // Bad arguments: no point of the curve, or a field element beyond the modulus. No client takes those either.
                Ok(false) | Err(Error::CError(CkzgError::C_KZG_BADARGS)) => {
                    return Err(PayloadError::Blob { index });
                }
                Err(error) => debug!(index, %error, "a blob could not be checked by KZG"),
            }
        }
        Ok(())
    }
}

fn fits(
    settings: &KzgSettings,
    blob: &Blob,
    commitment: &KzgBytes,
    proofs: &[KzgBytes],
) -> Result<bool, Error> {
    let commitment = Bytes48::new(commitment.0);
    if let [proof] = proofs {
        return settings.verify_blob_kzg_proof(blob, &commitment, &Bytes48::new(proof.0));
    }
    let cells: Box<[Cell]> = settings.compute_cells(blob)?;
    let proofs: Vec<_> = proofs.iter().map(|proof| Bytes48::new(proof.0)).collect();
    let indices: Vec<u64> = (0u64..).take(cells.len()).collect();
    settings.verify_cell_kzg_proof_batch(&vec![commitment; cells.len()], &indices, &cells, &proofs)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::consensus::containers::Blob as HeldBlob;

    /// Commitment to, and all proofs of, a blob of zeros: the point at infinity.
    fn infinity() -> KzgBytes {
        let mut point = KzgBytes::ZERO;
        point.0[0] = 0xc0;
        point
    }

    #[test]
    fn blobs_fit_or_do_not() {
        load();
        let check = |proofs_per_blob, commitment: KzgBytes, blobs: &[HeldBlob], time| {
            Bundle {
                commitments: &vec![commitment; blobs.len()],
                proofs: &vec![infinity(); blobs.len() * proofs_per_blob],
                blobs,
                proofs_per_blob,
            }
            .check_kzg(Instant::now() + time)
        };
        let long = Duration::from_secs(600);
        let (zero, other, beyond) = (HeldBlob::zero(), HeldBlob::filled(1), HeldBlob::filled(0xff));
        for per_blob in [1, 128] {
            assert_eq!(check(per_blob, infinity(), &[zero.clone(), zero.clone()], long), Ok(()));
            let wrong = Err(PayloadError::Blob { index: 1 });
            for blob in [&other, &beyond] {
                assert_eq!(check(per_blob, infinity(), &[zero.clone(), blob.clone()], long), wrong);
            }
            let no_point = KzgBytes::repeat_byte(0xc1);
            let wrong = Err(PayloadError::Blob { index: 0 });
            assert_eq!(check(per_blob, no_point, std::slice::from_ref(&zero), long), wrong);
            let late = check(per_blob, infinity(), std::slice::from_ref(&other), Duration::ZERO);
            assert_eq!(late, Ok(()), "what is not checked in time passes");
        }
    }
}
