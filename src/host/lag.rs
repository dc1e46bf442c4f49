//! How late timers come.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often a timer of our own is set to see how late it comes.
/// Arbitrary: some dozens between two looks, and next to nothing of a processor at rest, where each wake-up counts.
const HEARTBEAT: Duration = Duration::from_millis(250);
/// Lateness of the latest timers kept between two looks. Arbitrary: a minute of them.
const HEARTBEATS_KEPT: usize = 240;

/// How late timers come on the runtime that also serves requests: what a request has to wait for a worker. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LagMeter(Arc<Mutex<Vec<f64>>>);

impl LagMeter {
    /// Sets timers until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let due = Instant::now() + HEARTBEAT;
            tokio::select! {
                () = sleep_until(due) => {}
                () = stop.cancelled() => return,
            }
            let mut late = self.0.lock();
            if late.len() < HEARTBEATS_KEPT {
                late.push(due.elapsed().as_secs_f64() * 1e3);
            }
        }
    }

    /// Milliseconds that one in ten timers exceeded since this was last asked; none where there was no timer.
    pub fn take(&self) -> Option<f64> {
        let mut late = std::mem::take(&mut *self.0.lock());
        late.sort_by(f64::total_cmp);
        late.get((late.len() * 9 / 10).min(late.len().saturating_sub(1))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten timers, of which one was late, and nothing is counted twice. Then a runtime whose only worker is kept busy.
    #[tokio::test]
    async fn timers_tell_how_late_they_were() {
        let meter = LagMeter::default();
        assert_eq!(meter.take(), None);
        meter.0.lock().extend([1.0, 30.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(meter.take(), Some(30.0));
        assert_eq!(meter.take(), None);
        let stop = CancellationToken::new();
        let task = tokio::spawn(meter.clone().run(stop.clone()));
        tokio::task::yield_now().await;
        let begun = Instant::now();
        while begun.elapsed() < HEARTBEAT * 3 {
            std::hint::spin_loop();
        }
        while meter.0.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(meter.take().unwrap() >= 90.0);
        stop.cancel();
        task.await.unwrap();
    }
}
