//! The machine's figures as a source of alerts: looked at with each look of the alerts, judged by `host_judge`, shown in metrics.

use std::{
    collections::{BTreeSet, VecDeque},
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use metrics::{describe_gauge, gauge};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    host_judge::{HostFigures, HostTrouble, judge},
    rules::CPU_HIGH,
};
use crate::{
    alerts::{Absence, Collected, Moment, Trouble, TroubleSource},
    events::ModeReason,
    host::{HostSample, HostSampler, Memory},
    relay::SharedRelays,
};

/// CPU is looked at over so long; each look alone is a peak.
const MINUTE: Duration = Duration::from_secs(60);
/// From here on a mean says something.
const ENOUGH: Duration = Duration::from_secs(30);

/// Describes what is shown of the machine.
pub(super) fn describe_metrics() {
    describe_gauge!(
        "relaymux_host_cpu_ratio",
        "CPU of this machine over the last minute, 0 to 1 of all cores"
    );
    describe_gauge!(
        "relaymux_host_memory_available_ratio",
        "Memory of this machine that can still be had, 0 to 1"
    );
    describe_gauge!(
        "relaymux_host_stalled_ratio",
        "Share of the last minute in which everything waited for memory or for a disk (PSI full), 0 to 1"
    );
}

/// Looks at the machine.
#[derive(Debug)]
pub(super) struct HostSource {
    relays: Arc<SharedRelays>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sampler: HostSampler,
    cpu: Mean,
}

/// CPU of the last minute.
#[derive(Debug, Default)]
struct Mean {
    /// Since when it is looked at.
    began: Option<Instant>,
    seen: VecDeque<(Instant, f64)>,
    /// Whether this machine ever said.
    is_said: bool,
}

impl Mean {
    fn add(&mut self, percent: Option<f64>, now: Instant) {
        self.began.get_or_insert(now);
        self.is_said |= percent.is_some();
        self.seen.extend(percent.map(|percent| (now, percent)));
        while self.seen.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > MINUTE) {
            self.seen.pop_front();
        }
    }

    /// In percent; none until it was looked at for long enough.
    fn get(&self, now: Instant) -> Option<f64> {
        let count = u32::try_from(self.seen.len()).ok().filter(|count| *count > 0)?;
        let sum: f64 = self.seen.iter().map(|(_, percent)| percent).sum();
        (!self.is_early(now)).then(|| sum / f64::from(count))
    }

    fn is_early(&self, now: Instant) -> bool {
        self.began.is_none_or(|began| now.saturating_duration_since(began) < ENOUGH)
    }
}

impl HostSource {
    /// A source of a machine whose `/proc` and `/sys` are under `root`. `relays` says which of them rest.
    pub(super) fn new(root: &Path, relays: Arc<SharedRelays>) -> Self {
        let state = State { sampler: HostSampler::under(root), cpu: Mean::default() };
        Self { relays, state: Mutex::new(state) }
    }

    fn look(&self, now: Instant) -> (HostFigures, bool) {
        let (HostSample { host, own, stalls }, cpu, is_unknown) = {
            let mut state = self.state.lock();
            let sample = state.sampler.sample(now);
            state.cpu.add(sample.host.cpu, now);
            // A machine that does not say will not say later either.
            let is_unknown = state.cpu.is_early(now) && (state.cpu.is_said || state.cpu.began == Some(now));
            (sample, state.cpu.get(now), is_unknown)
        };
        let resting = self.relays.all();
        let resting = resting.iter().map(|relay| relay.id()).filter(|id| {
            self.relays.status(id).is_some_and(|status| status.reason == ModeReason::RotatedOut)
        });
        let figures = HostFigures {
            cpu,
            memory: host.memory,
            own_memory: own.memory,
            stalls,
            is_shedding: self.relays.is_shedding(),
            resting: resting.map(ToString::to_string).collect(),
        };
        (figures, is_unknown)
    }
}

fn show(figures: &HostFigures) {
    if let Some(percent) = figures.cpu {
        gauge!("relaymux_host_cpu_ratio").set(percent / 100.0);
    }
    if let Some(Memory { used, total }) = figures.memory.filter(|memory| memory.total > 0) {
        gauge!("relaymux_host_memory_available_ratio").set(share(total.saturating_sub(used), total));
    }
    for (resource, percent) in [("memory", figures.stalls.memory), ("io", figures.stalls.io)] {
        if let Some(percent) = percent {
            gauge!("relaymux_host_stalled_ratio", "resource" => resource).set(percent / 100.0);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory are below 2^52")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

impl TroubleSource for HostSource {
    fn name(&self) -> &'static str {
        "host"
    }

    fn collect(&self, now: Moment) -> BoxFuture<'_, Result<Collected, String>> {
        // A handful of small files in memory.
        let (figures, is_unknown) = self.look(Instant::now());
        show(&figures);
        let troubles = judge(&figures).into_iter().map(|found| {
            let HostTrouble { rule, severity, subject, message } = found;
            Trouble {
                rule: Arc::new(rule.clone()),
                subject: subject.to_owned(),
                labels: std::collections::BTreeMap::new(),
                severity: Some(severity),
                message,
                since: now.at,
            }
        });
        let absence = if is_unknown {
            Absence::UnknownOf(BTreeSet::from([CPU_HIGH.name.clone().into_owned()]))
        } else {
            Absence::Over
        };
        std::future::ready(Ok(Collected { troubles: troubles.collect(), absence })).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn stat(busy: u64, idle: u64) -> String {
        format!(
            "cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 {busy} 0 0 {idle} 0 0 0 0 0 0\nintr 5\nctxt 7\nbtime 1700000000\nprocesses 9\n"
        )
    }

    fn source(root: &Path) -> HostSource {
        HostSource::new(root, Arc::new(SharedRelays::new(Vec::new())))
    }

    async fn rules(source: &HostSource) -> (Vec<String>, Absence) {
        let found = source.collect(Moment::default()).await.unwrap();
        (found.troubles.iter().map(|trouble| trouble.rule.name.to_string()).collect(), found.absence)
    }

    /// A machine at 90 % with a quiet moment, looked at every five seconds: its mean counts, once there is half a minute of it; before, nothing
    /// is known, and nothing is over.
    #[tokio::test(start_paused = true)]
    async fn cpu_is_judged_by_its_mean_and_unknown_at_first() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path());
        let (mut busy, mut idle) = (1000, 1000);
        let unknown = Absence::UnknownOf(["cpu_high".to_owned()].into());
        for look in 0..24 {
            write(folder.path(), &[("proc/stat", &stat(busy, idle))]);
            let (found, absence) = rules(&source).await;
            let want = if look < 6 { (0, unknown.clone()) } else { (1, Absence::Over) };
            assert_eq!((found.len(), absence), want, "look {look}: {found:?}");
            // One look in twelve is quiet.
            (busy, idle) = if look % 12 == 3 { (busy + 300, idle + 200) } else { (busy + 470, idle + 30) };
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        for _ in 0..13 {
            idle += 500;
            write(folder.path(), &[("proc/stat", &stat(busy, idle))]);
            rules(&source).await;
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        assert_eq!(rules(&source).await, (Vec::new(), Absence::Over));
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_without_psi_or_anything_else_is_well() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path());
        rules(&source).await;
        for _ in 0..20 {
            tokio::time::advance(Duration::from_secs(5)).await;
            assert_eq!(rules(&source).await, (Vec::new(), Absence::Over));
        }
    }
}
