//! What a digest says of the box, for whoever sends it: rooms of one floor do not know each other.

use futures_util::{FutureExt, future::BoxFuture};

use crate::{
    alerts::{DigestCadence, DigestSource, DigestText, DueDigest},
    ops_api::DigestMaker,
    sla::Cadence,
};

/// Makes the texts of digests.
#[derive(Debug)]
pub(super) struct Digests(pub(super) DigestMaker);

impl DigestSource for Digests {
    fn make(&self, due: DueDigest) -> BoxFuture<'static, Result<DigestText, String>> {
        let maker = self.0.clone();
        let cadence = match due.cadence {
            DigestCadence::Daily => Cadence::Daily,
            DigestCadence::Weekly => Cadence::Weekly,
        };
        async move {
            let digest = maker.make(cadence, due.ends_at).await.map_err(|error| error.to_string())?;
            Ok(DigestText { body: digest.body(), is_news: digest.is_news(), headline: digest.headline })
        }
        .boxed()
    }
}
