//! Says how short CPU is for the gateway, so that it turns away what costs most before a header request feels it.
//!
//! Pure in `step`: a look at the machine moves the pressure by one step up at once, and down only after it was calm for some looks, so that
//! shedding, which makes the machine calm, does not end itself at once.
//!
//! A busy machine is not enough: the gateway may take all that there is to spare, at its lower priority. It is short once the service's own threads
//! come late, which is what a header request would feel.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    host::{HostSample, HostSampler},
    rpc_api::Pressure,
};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// CPU in percent from which it is short, and from which it is again enough. A gateway at work uses what there is: short is when others wait.
const CPU_HIGH: f64 = 90.0;
const CPU_LOW: f64 = 75.0;
/// PSI `some avg10` in percent: tasks that wait for a core. From the first, logs and traces are shed; from the second, most reads.
const PSI_HIGH: f64 = 40.0;
const PSI_EXTREME: f64 = 70.0;
/// Below it nobody waits.
const PSI_LOW: f64 = 20.0;
/// Between two looks at how late the service's own threads come, and from when they are late.
const TICK: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_millis(20);
/// Calm looks after which the pressure goes down a step.
const CALM_LOOKS: u32 = 5;

/// What is known, from one look to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pressed {
    pressure: Pressure,
    calm: u32,
}

/// How late the service's own threads came since it was looked at last. Clones are of the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Lateness(Arc<AtomicU64>);

impl Lateness {
    fn note(&self, late: Duration) {
        self.0.fetch_max(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    fn take(&self) -> Duration {
        Duration::from_micros(self.0.swap(0, Relaxed))
    }
}

/// Measures until told to stop, on whichever threads it is started on.
pub(super) async fn measure_lateness(lateness: Lateness, stop: CancellationToken) {
    loop {
        let due = Instant::now() + TICK;
        tokio::select! {
            () = sleep_until(due) => lateness.note(due.elapsed()),
            () = stop.cancelled() => return,
        }
    }
}

/// Takes a look into account: at the machine, and at how late the service's own threads came.
fn step(before: Pressed, sample: &HostSample, late: Duration) -> Pressed {
    let most = |of: fn(&crate::host::Load) -> Option<f64>| {
        of(&sample.host).into_iter().chain(of(&sample.own)).fold(0.0, f64::max)
    };
    let (cpu, psi) = (most(|load| load.cpu), most(|load| load.cpu_psi));
    let has_psi = sample.host.cpu_psi.is_some() || sample.own.cpu_psi.is_some();
    // Without PSI, how busy the cores are has to do; it never says that it is extreme.
    let is_late = late > LATE;
    let seen = match (has_psi, is_late && cpu >= CPU_HIGH) {
        (true, true) if psi >= PSI_EXTREME => Pressure::Extreme,
        (true, true) if psi >= PSI_HIGH => Pressure::High,
        (false, true) => Pressure::High,
        (true | false, _) => Pressure::None,
    };
    let is_calm = !is_late || cpu < CPU_LOW || (has_psi && psi < PSI_LOW);
    match before.pressure {
        now if seen > now => Pressed { pressure: up(now), calm: 0 },
        now if !is_calm => Pressed { pressure: now, calm: 0 },
        now if before.calm + 1 >= CALM_LOOKS => Pressed { pressure: down(now), calm: 0 },
        now => Pressed { pressure: now, calm: before.calm + 1 },
    }
}

const fn up(pressure: Pressure) -> Pressure {
    match pressure {
        Pressure::None => Pressure::High,
        Pressure::High | Pressure::Extreme => Pressure::Extreme,
    }
}

const fn down(pressure: Pressure) -> Pressure {
    match pressure {
        Pressure::Extreme => Pressure::High,
        Pressure::High | Pressure::None => Pressure::None,
    }
}

/// Looks until told to stop.
pub(super) async fn watch_pressure(
    told: watch::Sender<Pressure>,
    lateness: Lateness,
    stop: CancellationToken,
) {
    let mut sampler = HostSampler::new();
    let mut now = Pressed { pressure: *told.borrow(), calm: 0 };
    loop {
        tokio::select! {
            () = sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
        now = step(now, &sampler.sample(Instant::now()), lateness.take());
        told.send_if_modified(|told| std::mem::replace(told, now.pressure) != now.pressure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Load;

    fn look(before: Pressed, cpu: f64, psi: Option<f64>) -> Pressed {
        look_late(before, cpu, psi, 21)
    }

    fn look_late(before: Pressed, cpu: f64, psi: Option<f64>, late_ms: u64) -> Pressed {
        let host = Load { cpu: Some(cpu), cpu_psi: psi, ..Load::default() };
        step(
            before,
            &HostSample { host, own: Load::default(), ..HostSample::default() },
            Duration::from_millis(late_ms),
        )
    }

    #[test]
    fn pressure_rises_at_once_and_falls_slowly() {
        let calm = Pressed { pressure: Pressure::None, calm: 0 };
        assert_eq!(look(calm, 100.0, Some(10.0)).pressure, Pressure::None);
        assert_eq!(look(calm, 80.0, Some(90.0)).pressure, Pressure::None);
        let high = look(calm, 95.0, Some(80.0));
        assert_eq!(high.pressure, Pressure::High);
        let mut now = look(high, 95.0, Some(80.0));
        assert_eq!(now.pressure, Pressure::Extreme);
        // In between it stays as it is.
        for _ in 0..20 {
            now = look(now, 95.0, Some(50.0));
        }
        assert_eq!(now.pressure, Pressure::Extreme);
        let mut seen = Vec::new();
        for _ in 0..2 * CALM_LOOKS {
            now = look(now, 50.0, Some(5.0));
            seen.push(now.pressure);
        }
        assert_eq!(
            (seen[3], seen[4], seen[8], seen[9]),
            (Pressure::Extreme, Pressure::High, Pressure::High, Pressure::None)
        );
    }

    #[test]
    fn without_psi_busy_cores_are_high_and_no_more() {
        let mut now = Pressed { pressure: Pressure::None, calm: 0 };
        for _ in 0..10 {
            now = look(now, 100.0, None);
        }
        assert_eq!(now.pressure, Pressure::High);
        let unknown = step(
            Pressed { pressure: Pressure::None, calm: 0 },
            &HostSample::default(),
            Duration::from_secs(1),
        );
        assert_eq!(unknown.pressure, Pressure::None);
    }

    /// As far as it is only the gateway that waits for cores.
    #[test]
    fn a_busy_machine_whose_headers_come_in_time_sheds_nothing() {
        let mut now = Pressed { pressure: Pressure::None, calm: 0 };
        for psi in [Some(90.0), None] {
            for _ in 0..10 {
                now = look_late(now, 100.0, psi, 20);
            }
            assert_eq!(now.pressure, Pressure::None);
        }
        now = look(now, 100.0, Some(90.0));
        for _ in 0..CALM_LOOKS {
            now = look_late(now, 100.0, Some(90.0), 3);
        }
        assert_eq!(now.pressure, Pressure::None);
    }

    #[tokio::test(start_paused = true)]
    async fn lateness_is_the_longest_since_the_last_look() {
        let (lateness, stop) = (Lateness::default(), CancellationToken::new());
        let measuring = tokio::spawn(measure_lateness(lateness.clone(), stop.clone()));
        tokio::task::yield_now().await;
        tokio::time::advance(TICK + Duration::from_millis(50)).await;
        let mut late = Duration::ZERO;
        while late.is_zero() {
            tokio::task::yield_now().await;
            late = lateness.take();
        }
        assert!(late >= Duration::from_millis(45), "{late:?}");
        assert_eq!(lateness.take(), Duration::ZERO);
        stop.cancel();
        measuring.await.unwrap();
    }
}
