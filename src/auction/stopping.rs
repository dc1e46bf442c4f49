//! How an auction ends: no new slots, the blocks of headers that were returned are waited for, and what is in flight comes to its end.

use tracing::info;

use super::state::Auction;

impl Auction {
    /// From now on gives no header but for slots of which one was given.
    pub fn begin_stop(&self) {
        let slots = self.awaited.begin_stop(self.clock.now());
        if !slots.is_empty() {
            let slots: Vec<u64> = slots.iter().map(|slot| slot.as_u64()).collect();
            info!(?slots, "stopping: waiting for the blocks of headers that were returned");
        }
    }

    /// Waits until the block of every returned header is revealed, or is too late.
    pub async fn until_revealed(&self) {
        self.awaited.until_revealed(&self.clock).await;
    }

    /// Waits until every submission and registration in flight has ended. Each has its own deadline.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
