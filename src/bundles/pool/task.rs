//! The task that owns the pool. Whoever wants something of it sends an action; actions are taken one after the other, so nothing waits for
//! a lock, and the ledger hears of a bundle's life in the order in which it happened.
//!
//! The task waits for actions and for nothing else: no network, no disk. It ends with the last [`PoolHandle`].

use std::{collections::HashMap, sync::Arc};

use alloy_primitives::{Address, B256};
use metrics::gauge;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::{Admitted, BundlePool, Decision, NewBundle, NotAdmitted, PooledBundle, SeenBlock};
use crate::{
    bundles::recorder::Recorder,
    consensus::WallClock,
    ledger::{BundleReceived, BundleSend, BundleWrite, Delivery},
    types::UnixMillis,
};

/// Actions that wait. Whoever has one more waits for room: nothing is lost.
const ACTIONS: usize = 4096;

/// Something that is to be done to the pool, and where the answer goes.
#[derive(Debug)]
enum PoolAction {
    /// A searcher's bundle is to be taken in, and counts as sent for a block if one is given.
    Admit {
        new: Box<NewBundle>,
        sent_for: Option<u64>,
        reply: oneshot::Sender<Result<Admitted, NotAdmitted>>,
    },
    /// A bundle that was open before is to be open again.
    TakeUp(Box<PooledBundle>),
    /// The searcher takes its bundle of a name back. The answer is the bundle, if there is one, and the cancellation's number.
    Cancel { searcher: Address, name: String, reply: oneshot::Sender<Option<(PooledBundle, u64)>> },
    /// All builders have spoken with the chain at a height, and none took it. The answer is why it is sent no more, if it is not.
    NobodyTook { id: i64, head: u64, reply: oneshot::Sender<Option<String>> },
    /// A builder has spoken.
    Answered(BundleSend),
    /// A trial on our own node has ended: why it failed, and all that the node said.
    Tried { id: i64, failure: Option<String>, trial: String },
    /// What is to be sent for a block. It counts as sent.
    Due { block: u64, timestamp: u64, reply: oneshot::Sender<Vec<PooledBundle>> },
    /// Whether any bundle may be in a block.
    WaitsFor { block: u64, reply: oneshot::Sender<bool> },
    /// Whether any bundle has one of these transactions.
    Touches { transactions: Vec<B256>, reply: oneshot::Sender<bool> },
    /// A block has come. The answer is what it decides.
    See { block: Box<SeenBlock>, reply: oneshot::Sender<Vec<(PooledBundle, Decision)>> },
    /// The chain has gone back to a height.
    GoBack { to: u64 },
    /// The accounts' next nonces after a head's block, where they are known.
    Nonces { head: u64, accounts: Vec<Address>, reply: oneshot::Sender<Vec<Option<u64>>> },
    /// The node told an account's next nonce.
    Nonce { head: u64, account: Address, next: u64 },
}

/// The pool's task has ended, because the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bundles are being stopped: send it again in a moment")]
pub(in crate::bundles) struct PoolEnded;

/// The way to the pool. Clones lead to the same.
#[derive(Clone, Debug)]
pub(in crate::bundles) struct PoolHandle(mpsc::Sender<PoolAction>);

impl PoolHandle {
    async fn ask<T>(&self, action: impl FnOnce(oneshot::Sender<T>) -> PoolAction) -> Result<T, PoolEnded> {
        let (reply, answer) = oneshot::channel();
        self.0.send(action(reply)).await.map_err(|_| PoolEnded)?;
        answer.await.map_err(|_| PoolEnded)
    }

    /// Without a task there is no pool to tell: the process ends.
    async fn tell(&self, action: PoolAction) {
        let _ = self.0.send(action).await;
    }

    /// Takes a bundle in; the ledger hears of it, and of the one whose place it takes. With a block it counts as sent for that.
    pub(in crate::bundles) async fn admit(
        &self,
        new: NewBundle,
        sent_for: Option<u64>,
    ) -> Result<Result<Admitted, NotAdmitted>, PoolEnded> {
        self.ask(|reply| PoolAction::Admit { new: Box::new(new), sent_for, reply }).await
    }

    /// Takes up a bundle that was open before.
    pub(in crate::bundles) async fn take_up(&self, pooled: PooledBundle) {
        self.tell(PoolAction::TakeUp(Box::new(pooled))).await;
    }

    /// Takes a searcher's bundle of a name back; the bundle, if there is one, and the cancellation's number among all of that name.
    pub(in crate::bundles) async fn cancel(
        &self,
        searcher: Address,
        name: &str,
    ) -> Result<Option<(PooledBundle, u64)>, PoolEnded> {
        self.ask(|reply| PoolAction::Cancel { searcher, name: name.to_owned(), reply }).await
    }

    /// All builders have spoken and none took it. Says why it is sent no more; nothing, where it is sent for later blocks or was withdrawn
    /// before.
    pub(in crate::bundles) async fn nobody_took(
        &self,
        id: i64,
        head: u64,
    ) -> Result<Option<String>, PoolEnded> {
        self.ask(|reply| PoolAction::NobodyTook { id, head, reply }).await
    }

    /// Remembers a builder's answer and writes it down.
    pub(in crate::bundles) async fn answered(&self, answer: BundleSend) {
        self.tell(PoolAction::Answered(answer)).await;
    }

    /// Remembers what a trial gave and writes it down.
    pub(in crate::bundles) async fn tried(&self, id: i64, failure: Option<String>, trial: String) {
        self.tell(PoolAction::Tried { id, failure, trial }).await;
    }

    /// What is to be sent for a block that is to come at a time; each counts as sent.
    pub(in crate::bundles) async fn due(
        &self,
        block: u64,
        timestamp: u64,
    ) -> Result<Vec<PooledBundle>, PoolEnded> {
        self.ask(|reply| PoolAction::Due { block, timestamp, reply }).await
    }

    /// Whether any bundle may be in a block.
    pub(in crate::bundles) async fn waits_for(&self, block: u64) -> Result<bool, PoolEnded> {
        self.ask(|reply| PoolAction::WaitsFor { block, reply }).await
    }

    /// Whether any bundle has one of these transactions.
    pub(in crate::bundles) async fn touches(&self, transactions: Vec<B256>) -> Result<bool, PoolEnded> {
        self.ask(|reply| PoolAction::Touches { transactions, reply }).await
    }

    /// Lets a block decide; what it decided leaves the pool.
    pub(in crate::bundles) async fn see(
        &self,
        block: SeenBlock,
    ) -> Result<Vec<(PooledBundle, Decision)>, PoolEnded> {
        self.ask(|reply| PoolAction::See { block: Box::new(block), reply }).await
    }

    /// What was seen above a height counts no more.
    pub(in crate::bundles) async fn go_back(&self, to: u64) {
        self.tell(PoolAction::GoBack { to }).await;
    }

    /// The accounts' next nonces after a head's block, each where it is known.
    pub(in crate::bundles) async fn nonces(
        &self,
        head: u64,
        accounts: Vec<Address>,
    ) -> Result<Vec<Option<u64>>, PoolEnded> {
        self.ask(|reply| PoolAction::Nonces { head, accounts, reply }).await
    }

    /// Remembers an account's next nonce after a head's block.
    pub(in crate::bundles) async fn nonce(&self, head: u64, account: Address, next: u64) {
        self.tell(PoolAction::Nonce { head, account, next }).await;
    }
}

/// Owns the pool.
pub(in crate::bundles) struct PoolTask {
    actions: mpsc::Receiver<PoolAction>,
    pool: BundlePool,
    recorder: Recorder,
    clock: WallClock,
    /// Next nonces of accounts after one head's block, as far as the node was asked.
    nonces: (u64, HashMap<Address, u64>),
}

/// A pool's task, to be run, and the way to it.
pub(in crate::bundles) fn pool_task(
    pool: BundlePool,
    recorder: Recorder,
    clock: WallClock,
) -> (PoolHandle, PoolTask) {
    let (send, actions) = mpsc::channel(ACTIONS);
    (PoolHandle(send), PoolTask { actions, pool, recorder, clock, nonces: (0, HashMap::new()) })
}

impl PoolTask {
    /// Runs until nobody has a handle any more.
    pub(in crate::bundles) async fn run(mut self) {
        while let Some(action) = self.select().await {
            let open = self.pool.len();
            self.apply(action);
            if self.pool.len() != open {
                gauge!("relaymux_bundles_open")
                    .set(f64::from(u32::try_from(self.pool.len()).unwrap_or(u32::MAX)));
            }
        }
    }

    /// The next action, in the order in which they came.
    async fn select(&mut self) -> Option<PoolAction> {
        self.actions.recv().await
    }

    /// Does an action. Who asked may be gone: what was done is done.
    fn apply(&mut self, action: PoolAction) {
        match action {
            PoolAction::Admit { new, sent_for, reply } => {
                let _ = reply.send(self.admit(*new, sent_for));
            }
            PoolAction::TakeUp(pooled) => self.pool.take_up(*pooled),
            PoolAction::Cancel { searcher, name, reply } => {
                let _ = reply.send(self.cancel(searcher, &name));
            }
            PoolAction::NobodyTook { id, head, reply } => {
                let _ = reply.send(self.nobody_took(id, head));
            }
            PoolAction::Answered(answer) => {
                self.pool.note_answer(answer.id, &answer.builder, answer.outcome, &answer.message);
                self.recorder.write(BundleWrite::Sent(answer));
            }
            PoolAction::Tried { id, failure, trial } => {
                self.pool.note_trial(id, failure);
                self.recorder.write(BundleWrite::Simulated(id, trial));
            }
            PoolAction::Due { block, timestamp, reply } => {
                let due = self.pool.due(block, timestamp);
                for pooled in &due {
                    self.pool.begin_sending(pooled.id, block);
                }
                let _ = reply.send(due);
            }
            PoolAction::WaitsFor { block, reply } => {
                let _ = reply.send(self.pool.waits_for(block));
            }
            PoolAction::Touches { transactions, reply } => {
                let _ = reply.send(self.pool.touches(transactions));
            }
            PoolAction::See { block, reply } => {
                let _ = reply.send(self.pool.see(&block));
            }
            PoolAction::GoBack { to } => self.pool.go_back(to),
            PoolAction::Nonces { head, accounts, reply } => {
                let known = self.nonces_at(head);
                let nonces = accounts.iter().map(|account| known.get(account).copied()).collect();
                let _ = reply.send(nonces);
            }
            PoolAction::Nonce { head, account, next } => {
                // What is known of an older head is of no use.
                if self.nonces.0 == head {
                    self.nonces.1.insert(account, next);
                }
            }
        }
    }

    fn nonces_at(&mut self, head: u64) -> &HashMap<Address, u64> {
        if self.nonces.0 != head {
            self.nonces = (head, HashMap::new());
        }
        &self.nonces.1
    }

    /// Nothing is said to the ledger of a number before that it came.
    fn admit(&mut self, mut new: NewBundle, sent_for: Option<u64>) -> Result<Admitted, NotAdmitted> {
        let request = std::mem::take(&mut new.request);
        let admitted = self.pool.admit(new)?;
        let Admitted { pooled, replaced } = &admitted;
        if let Some(block) = sent_for {
            self.pool.begin_sending(pooled.id, block);
        }
        let row = BundleWrite::Received(Box::new(received_row(pooled, request, self.clock.now())));
        self.recorder.write_held(row, Some(Arc::clone(&pooled.held)));
        if let Some(old) = replaced {
            let delivery = Delivery::Replaced { by: pooled.id };
            let reason = format!("replaced by number {}", pooled.id);
            self.recorder.write(BundleWrite::Withdrawn { id: old.id, delivery, reason });
        }
        Ok(admitted)
    }

    fn cancel(&mut self, searcher: Address, name: &str) -> Option<(PooledBundle, u64)> {
        let (pooled, sequence) = self.pool.cancel(searcher, name)?;
        self.recorder.write(BundleWrite::Withdrawn {
            id: pooled.id,
            delivery: Delivery::CancelRequested,
            reason: "builders that took it may still land it".to_owned(),
        });
        Some((pooled, sequence))
    }

    fn nobody_took(&mut self, id: i64, head: u64) -> Option<String> {
        let pooled = self.pool.get(id)?;
        let (_, last) = pooled.blocks();
        if last > head.saturating_add(1) || pooled.delivery != Delivery::Active {
            return None;
        }
        let reason = format!("no builder took it: {}", pooled.refusals());
        self.pool.withdraw(id, Delivery::Refused);
        let (delivery, shown) = (Delivery::Refused, reason.clone());
        self.recorder.write(BundleWrite::Withdrawn { id, delivery, reason: shown });
        Some(reason)
    }
}

fn received_row(pooled: &PooledBundle, request: String, received_at: UnixMillis) -> BundleReceived {
    let transactions: Vec<Value> = pooled
        .bundle
        .transactions
        .iter()
        .map(|tx| json!({ "hash": tx.hash, "sender": tx.sender, "nonce": tx.nonce }))
        .collect();
    let (first, last) = pooled.blocks();
    BundleReceived {
        id: pooled.id,
        hash: pooled.hash.to_string(),
        searcher: pooled.searcher.to_string(),
        kind: pooled.bundle.kind,
        uuid: pooled.bundle.uuid.clone(),
        canonical_uuid: pooled.bundle.canonical_uuid().to_string(),
        sequence: pooled.sequence.cast_signed(),
        transactions: Value::from(transactions).to_string(),
        request,
        builders: json!(pooled.builders).to_string(),
        first_block: first.cast_signed(),
        last_block: last.cast_signed(),
        received_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bundles::{
            budget::ByteBudget,
            bundle::{Bundle, BundleTx},
            recorder::recorder,
        },
        ledger::SendOutcome,
    };

    const SEARCHER: Address = Address::repeat_byte(5);

    fn started() -> PoolHandle {
        let pool = BundlePool::new(ByteBudget::new(1 << 20), 5, 0);
        let (handle, task) = pool_task(pool, recorder().0, WallClock::manual(0).0);
        tokio::spawn(task.run());
        handle
    }

    fn new(transaction: u8, blocks: (u64, u64)) -> NewBundle {
        let tx = BundleTx { hash: B256::repeat_byte(transaction), sender: SEARCHER, ..BundleTx::default() };
        let bundle = Bundle {
            transactions: vec![tx],
            blocks: Some(blocks),
            uuid: Some("mine".to_owned()),
            ..Bundle::default()
        };
        NewBundle {
            hash: bundle.hash(),
            bundle: Arc::new(bundle),
            searcher: SEARCHER,
            builders: vec!["b".to_owned()],
            request: String::new(),
            bytes: 100,
        }
    }

    fn refusal(id: i64) -> BundleSend {
        BundleSend {
            id,
            builder: "b".to_owned(),
            block: 9,
            outcome: SendOutcome::Refused,
            message: "too cheap".to_owned(),
            attempts: 1,
            latency_us: 1,
            sent_at: 0,
        }
    }

    #[tokio::test]
    async fn a_bundle_that_nobody_took_is_sent_no_more_unless_for_a_later_block() {
        let pool = started();
        let pooled = pool.admit(new(1, (9, 9)), Some(9)).await.unwrap().unwrap().pooled;
        pool.answered(refusal(pooled.id)).await;
        let reason = pool.nobody_took(pooled.id, 8).await.unwrap();
        assert_eq!(reason.as_deref(), Some("no builder took it: b: too cheap"));
        assert!(pooled.withdrawn.is_cancelled());
        assert_eq!(pool.nobody_took(pooled.id, 8).await.unwrap(), None, "it is said once");
        let waits = pool.admit(new(2, (9, 10)), Some(9)).await.unwrap().unwrap().pooled;
        pool.answered(refusal(waits.id)).await;
        assert_eq!(pool.nobody_took(waits.id, 8).await.unwrap(), None);
        assert!(!waits.withdrawn.is_cancelled());
    }

    #[tokio::test]
    async fn what_counts_as_sent_is_not_due_again() {
        let pool = started();
        let sent = pool.admit(new(1, (9, 12)), Some(9)).await.unwrap().unwrap().pooled;
        let due = |block: u64| {
            let pool = pool.clone();
            async move { pool.due(block, 0).await.unwrap().iter().map(|due| due.id).collect::<Vec<_>>() }
        };
        assert_eq!(due(9).await, Vec::<i64>::new());
        assert_eq!(due(10).await, [sent.id]);
        assert_eq!(due(10).await, Vec::<i64>::new(), "asked a second time");
        let (old, sequence) = pool.cancel(SEARCHER, "mine").await.unwrap().unwrap();
        assert_eq!((old.id, old.delivery), (sent.id, Delivery::Active), "as it was before");
        assert_eq!((old.sequence, sequence), (0, 1));
        assert_eq!(due(11).await, Vec::<i64>::new());
    }

    #[tokio::test]
    async fn nonces_are_those_of_one_head() {
        let pool = started();
        let asked = |head: u64| {
            let pool = pool.clone();
            async move { pool.nonces(head, vec![SEARCHER]).await.unwrap() }
        };
        assert_eq!(asked(8).await, [None]);
        pool.nonce(7, SEARCHER, 3).await;
        assert_eq!(asked(8).await, [None], "of an older head");
        pool.nonce(8, SEARCHER, 4).await;
        assert_eq!(asked(8).await, [Some(4)]);
        assert_eq!(asked(9).await, [None]);
    }
}
