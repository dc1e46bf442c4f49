//! Decodes bids of unusual size on a thread of its own.
//!
//! A usual bid has some kilobytes and is decoded where it arrives, in microseconds. One with full lists has megabytes, which takes
//! milliseconds: on a thread of the runtime it would hold up everybody else's answer. So such bids wait for each other, on one thread
//! that is started with the first of them, and a relay that sends many finds no room and has sent nothing usable.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use bytes::Bytes;
use tokio::sync::oneshot;
use tracing::error;

use super::CallFailure;
use crate::{
    consensus::{DecodeError, Encoding, SignedBuilderBid},
    types::Fork,
};

/// Large bids that may wait. Arbitrary: one of each relay that anybody configures, 80 MiB at most.
const MAX_WAITING: usize = 16;

struct Large {
    fork: Fork,
    encoding: Encoding,
    body: Bytes,
    decoded: oneshot::Sender<Result<SignedBuilderBid, DecodeError>>,
}

/// Decodes a bid on the thread for large ones.
///
/// # Errors
/// When the bytes are no bid of this fork, which is their relay's fault, or too many large ones wait, which is not.
pub(super) async fn decode_large(
    fork: Fork,
    encoding: Encoding,
    body: Bytes,
) -> Result<SignedBuilderBid, CallFailure> {
    static QUEUE: OnceLock<SyncSender<Large>> = OnceLock::new();
    let queue = QUEUE.get_or_init(start);
    let (decoded, answer) = oneshot::channel();
    if queue.try_send(Large { fork, encoding, body, decoded }).is_err() {
        return Err(CallFailure::NotDecoded("too many bids of unusual size at once"));
    }
    let ended = |_| Err(DecodeError::Ended { fork, reason: "the decoder failed".to_owned() });
    answer.await.unwrap_or_else(ended).map_err(CallFailure::Decode)
}

fn start() -> SyncSender<Large> {
    let (queue, waiting) = sync_channel(MAX_WAITING);
    // Without a thread nobody listens, and every large bid is refused.
    if let Err(failure) =
        thread::Builder::new().name("large-bids".to_owned()).spawn(move || decode_all(&waiting))
    {
        error!(error = %failure, "the system has no thread for bids of unusual size: they are not used");
    }
    queue
}

fn decode_all(waiting: &Receiver<Large>) {
    for Large { fork, encoding, body, decoded } in waiting {
        if decoded.is_closed() {
            continue;
        }
        // A bid that breaks the decoder is its relay's alone.
        let decode = AssertUnwindSafe(|| SignedBuilderBid::decode(fork, encoding, &body));
        let result = catch_unwind(decode);
        match result {
            Ok(result) => drop(decoded.send(result)),
            Err(_) => error!("decoding a bid panicked: a defect of relaymux, please report it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_bid_is_refused_and_the_thread_goes_on() {
        for _ in 0..3 {
            let garbage = Bytes::from(vec![7; 100_000]);
            let refused = decode_large(Fork::Fulu, Encoding::Ssz, garbage).await;
            assert!(matches!(refused, Err(CallFailure::Decode(_))));
        }
    }
}
