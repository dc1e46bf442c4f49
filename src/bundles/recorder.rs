//! What happened to bundles, on its way to the ledger: queued so that nobody waits for a disk, written in batches, kept while the disk refuses.

use std::{sync::Arc, time::Duration};

use metrics::{counter, histogram};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::budget::HeldBytes;
use crate::ledger::{BundleWrite, Ledger};

/// Records that wait for the ledger. Beyond it they are lost and counted; no bundle waits for a disk.
const QUEUE: usize = 65_536;
/// Records in one transaction.
const BATCH: usize = 1024;
/// Between two tries of a batch that the disk refused.
const RETRY: Duration = Duration::from_secs(1);
/// Longest wait for a record that must not be lost, and for all before it to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

enum Record {
    Write(BundleWrite, Option<Arc<HeldBytes>>),
    /// Answered when all before it is written.
    Barrier(oneshot::Sender<()>),
}

/// The way to the ledger. Clones share one queue.
#[derive(Clone)]
pub(super) struct Recorder {
    queue: mpsc::Sender<Record>,
}

/// Where a [`Recorder`]'s records come out.
pub(super) struct Records(mpsc::Receiver<Record>);

pub(super) fn recorder() -> (Recorder, Records) {
    let (queue, records) = mpsc::channel(QUEUE);
    (Recorder { queue }, Records(records))
}

impl Recorder {
    /// Hands a record over; lost and counted if the ledger is far behind.
    pub(super) fn write(&self, write: BundleWrite) {
        self.write_held(write, None);
    }

    /// The same, for one that holds memory of the budget for open bundles until it is written.
    pub(super) fn write_held(&self, write: BundleWrite, held: Option<Arc<HeldBytes>>) {
        if self.queue.try_send(Record::Write(write, held)).is_err() {
            counter!("relaymux_bundle_writes_lost_total").increment(1);
        }
    }

    /// Hands over a record that nothing else knows: waits for room a while before it is lost.
    pub(super) async fn write_surely(&self, write: BundleWrite) {
        if !matches!(timeout(WRITE_TIMEOUT, self.queue.send(Record::Write(write, None))).await, Ok(Ok(()))) {
            counter!("relaymux_bundle_writes_lost_total").increment(1);
        }
    }

    /// Whether all that was handed over before is written; `false` while the ledger refuses or is far behind.
    pub(super) async fn is_written(&self) -> bool {
        let (done, written) = oneshot::channel();
        let whole = async { self.queue.send(Record::Barrier(done)).await.is_ok() && written.await.is_ok() };
        timeout(WRITE_TIMEOUT, whole).await.unwrap_or(false)
    }
}

/// Writes records in batches until the last recorder is gone. A batch that the disk refuses is kept and tried again; a single record that
/// the ledger refuses for what it is is left out and counted.
pub(super) async fn write_records(ledger: Ledger, records: Records) {
    let Records(mut records) = records;
    let (mut writes, mut held, mut barriers) = (Vec::new(), Vec::new(), Vec::new());
    let mut was_well = true;
    loop {
        if writes.is_empty() {
            let Some(first) = records.recv().await else { return };
            sort(first, &mut writes, &mut held, &mut barriers);
        }
        while writes.len() < BATCH
            && let Ok(record) = records.try_recv()
        {
            sort(record, &mut writes, &mut held, &mut barriers);
        }
        match write_batch(&ledger, &mut writes).await {
            Ok(()) => {
                held.clear();
                for barrier in barriers.drain(..) {
                    let _: Result<(), ()> = oneshot::Sender::send(barrier, ());
                }
                if !was_well {
                    info!("what happens to bundles is written to the ledger again");
                }
                was_well = true;
            }
            Err(error) => {
                if was_well {
                    warn!(%error, "the ledger does not take what happens to bundles: it is kept and tried again every second");
                }
                was_well = false;
                if records.is_closed() && records.is_empty() {
                    counter!("relaymux_bundle_writes_lost_total").increment(writes.len() as u64);
                    warn!(
                        records = writes.len(),
                        "the process ends while the ledger refuses, records of bundles are lost"
                    );
                    return;
                }
                sleep(RETRY).await;
            }
        }
    }
}

fn sort(
    record: Record,
    writes: &mut Vec<BundleWrite>,
    held: &mut Vec<Arc<HeldBytes>>,
    barriers: &mut Vec<oneshot::Sender<()>>,
) {
    match record {
        Record::Write(write, of_it) => {
            writes.push(write);
            held.extend(of_it);
        }
        Record::Barrier(done) => barriers.push(done),
    }
}

/// Writes a batch; what is left in it was not written.
async fn write_batch(
    ledger: &Ledger,
    writes: &mut Vec<BundleWrite>,
) -> Result<(), crate::ledger::LedgerError> {
    if writes.is_empty() {
        return Ok(());
    }
    let started = Instant::now();
    let whole = ledger.save_bundles(writes).await;
    histogram!("relaymux_bundle_write_seconds").record(started.elapsed().as_secs_f64());
    let Err(error) = whole else {
        writes.clear();
        return Ok(());
    };
    if !error.is_of_the_statement() {
        return Err(error);
    }
    // One of them is refused for what it is. One by one, in their order, until the disk refuses: what is left then is kept.
    let mut refused = 0_u64;
    while let Some(write) = writes.first() {
        match ledger.save_bundles(std::slice::from_ref(write)).await {
            Ok(()) => {}
            Err(error) if error.is_of_the_statement() => {
                warn!(%error, "the ledger refuses a record of a bundle for what it is: it is left out");
                refused += 1;
            }
            Err(error) => {
                counter!("relaymux_bundle_writes_lost_total").increment(refused);
                return Err(error);
            }
        }
        writes.remove(0);
    }
    counter!("relaymux_bundle_writes_lost_total").increment(refused);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{BundleKind, BundleReceived, BundleSend, SendOutcome};

    fn came(id: i64) -> BundleWrite {
        BundleWrite::Received(Box::new(BundleReceived {
            id,
            kind: BundleKind::Bundle,
            ..BundleReceived::default()
        }))
    }

    /// A record that is refused for what it is goes alone; what a refusing disk refuses stays, and in its order.
    #[tokio::test]
    async fn only_what_is_refused_for_what_it_is_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let send = |id: i64, attempts: i64| {
            BundleWrite::Sent(BundleSend {
                id,
                builder: "b".to_owned(),
                block: 9,
                outcome: SendOutcome::Accepted,
                message: String::new(),
                attempts,
                latency_us: 1,
                sent_at: 1,
            })
        };
        let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON bundle_sends WHEN NEW.attempts = 7 \
                      BEGIN SELECT RAISE(ABORT, 'no'); END";
        ledger.change_for_test(refuse).await;
        let mut writes = vec![came(1), send(1, 7), came(2), send(2, 1)];
        write_batch(&ledger, &mut writes).await.unwrap();
        assert!(writes.is_empty());
        let views = ledger.bundles(None, 9).await.unwrap();
        assert_eq!(
            views.iter().map(|view| (view.id, view.sends.len())).collect::<Vec<_>>(),
            [(2, 1), (1, 0)]
        );
        // The file cannot be written at all: nothing of it is left out.
        ledger.shut().await;
        let mut writes = vec![came(3), came(4)];
        assert!(write_batch(&ledger, &mut writes).await.is_err());
        assert_eq!(writes, [came(3), came(4)]);
    }
}
