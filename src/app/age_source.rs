//! Certificates that end, and secrets that grow old, as a source of alerts. Their files are looked at once a minute, off the runtime's threads.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use futures_util::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use tokio::{
    sync::Mutex,
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};

use super::{
    certificate::first_end,
    rules::{CERTIFICATE_EXPIRES, SECRET_OLD},
};
use crate::{
    alerts::{Absence, Collected, Moment, Trouble, TroubleSource},
    config::AgeSettings,
    events::{AlertRule, Severity},
    types::{DAY_MS, UnixMillis},
};

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(60);
/// Largest file of certificates.
const MAX_BYTES: u64 = 1 << 20;
/// A certificate that ends so soon is told as graver, in milliseconds.
const SOON_MS: i64 = 3 * DAY_MS;

/// What is known of the files.
#[derive(Clone, Debug, Default)]
struct Seen {
    certificates: Vec<(PathBuf, Result<UnixMillis, String>)>,
    /// When each was last changed; one that is gone is not there.
    secrets: Vec<(PathBuf, UnixMillis)>,
}

/// Looks at files.
#[derive(Debug)]
pub(super) struct AgeSource {
    settings: AgeSettings,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: Option<(Instant, Arc<Seen>)>,
    /// A look that is under way. One whose file system hangs outlasts the caller's patience, and there is never a second beside it.
    looking: Option<JoinHandle<Seen>>,
}

impl AgeSource {
    pub(super) fn new(settings: AgeSettings) -> Self {
        Self { settings, state: Mutex::default() }
    }

    async fn seen(&self) -> Result<Arc<Seen>, String> {
        let mut state = self.state.lock().await;
        if let Some((_, seen)) = state.seen.as_ref().filter(|(at, _)| at.elapsed() < EVERY) {
            return Ok(Arc::clone(seen));
        }
        let settings = self.settings.clone();
        let looking = state.looking.get_or_insert_with(|| spawn_blocking(move || look(&settings)));
        let seen = looking.await;
        state.looking = None;
        let seen = Arc::new(seen.map_err(|error| error.to_string())?);
        state.seen = Some((Instant::now(), Arc::clone(&seen)));
        Ok(seen)
    }
}

fn look(settings: &AgeSettings) -> Seen {
    let certificates = settings.certificates.iter().chain(&settings.roots);
    let secrets = settings.secrets.iter().filter(|_| settings.secret_max_age.is_some());
    Seen {
        certificates: certificates.map(|path| (path.clone(), read_end(path))).collect(),
        secrets: secrets.filter_map(|path| Some((path.clone(), changed(path)?))).collect(),
    }
}

fn read_end(path: &Path) -> Result<UnixMillis, String> {
    let mut pem = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_BYTES + 1).read_to_end(&mut pem).map_err(|error| error.to_string())?;
    if u64::try_from(pem.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err("it has more than a megabyte".to_owned());
    }
    first_end(&pem)
}

fn changed(path: &Path) -> Option<UnixMillis> {
    let since = std::fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

/// What is wrong with what was seen. Pure.
fn judge(seen: &Seen, settings: &AgeSettings, now: UnixMillis) -> Vec<Trouble> {
    let warning = millis(settings.certificate_warning);
    let certificates = seen.certificates.iter().filter_map(|(path, end)| match end {
        Ok(end) if end.saturating_sub(now) > warning => None,
        Ok(end) => {
            let left = end.saturating_sub(now);
            let message = if left > 0 {
                format!("The certificate in {} ends on {}, in {}.", path.display(), day(*end), days(left))
            } else {
                format!("The certificate in {} ended on {}, {} ago.", path.display(), day(*end), days(-left))
            };
            let severity = if left <= SOON_MS { Severity::P2 } else { CERTIFICATE_EXPIRES.severity };
            Some(trouble(&CERTIFICATE_EXPIRES, severity, path, message, now))
        }
        Err(error) => {
            let message = format!(
                "When the certificate in {} ends is not known: {error}. Whoever uses the file may fail as well.",
                path.display()
            );
            Some(trouble(&CERTIFICATE_EXPIRES, CERTIFICATE_EXPIRES.severity, path, message, now))
        }
    });
    let secrets = settings.secret_max_age.into_iter().flat_map(|most| {
        seen.secrets.iter().filter_map(move |(path, changed)| {
            let age = now.saturating_sub(*changed);
            (age > millis(most)).then(|| {
                let message = format!(
                    "{} was last changed on {}, {} ago; secret_max_age is {}.",
                    path.display(),
                    day(*changed),
                    days(age),
                    days(millis(most))
                );
                trouble(&SECRET_OLD, SECRET_OLD.severity, path, message, now)
            })
        })
    });
    certificates.chain(secrets).collect()
}

fn trouble(rule: &AlertRule, severity: Severity, path: &Path, message: String, now: UnixMillis) -> Trouble {
    Trouble {
        rule: Arc::new(rule.clone()),
        subject: path.display().to_string(),
        labels: std::collections::BTreeMap::new(),
        severity: Some(severity),
        message,
        since: now,
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn day(at: UnixMillis) -> String {
    Timestamp::from_millisecond(at)
        .map_or_else(|_| "no day".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn days(ms: i64) -> String {
    match ms / DAY_MS {
        0 => format!("{} hours", ms / (DAY_MS / 24)),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

impl TroubleSource for AgeSource {
    fn name(&self) -> &'static str {
        "ages"
    }

    fn collect(&self, now: Moment) -> BoxFuture<'_, Result<Collected, String>> {
        async move {
            let seen = self.seen().await?;
            Ok(Collected { troubles: judge(&seen, &self.settings, now.at), absence: Absence::Over })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = 1_795_876_980_000;

    fn settings() -> AgeSettings {
        AgeSettings { secret_max_age: Some(Duration::from_secs(365 * 86_400)), ..AgeSettings::default() }
    }

    #[test]
    fn certificates_are_told_before_their_end_and_graver_the_nearer_it_is() {
        let with = |end: Result<i64, &str>| {
            let end = end.map(|days| NOW + days * DAY_MS).map_err(str::to_owned);
            let seen = Seen { certificates: vec![("/etc/x.pem".into(), end)], ..Seen::default() };
            judge(&seen, &settings(), NOW).pop().map(|found| (found.severity(), found.message))
        };
        assert_eq!(with(Ok(22)), None);
        let (severity, message) = with(Ok(21)).unwrap();
        assert_eq!(severity, Severity::P3);
        assert_eq!(message, "The certificate in /etc/x.pem ends on 2026-12-19 14:43 UTC, in 21 days.");
        assert_eq!(with(Ok(4)).unwrap().0, Severity::P3);
        assert_eq!(with(Ok(3)).unwrap().0, Severity::P2);
        let (severity, message) = with(Ok(-1)).unwrap();
        assert_eq!(severity, Severity::P2);
        assert!(message.ends_with("ended on 2026-11-27 14:43 UTC, 1 day ago."), "{message}");
        let (severity, message) = with(Err("there is no certificate in it")).unwrap();
        assert_eq!(severity, Severity::P3);
        assert!(message.contains("is not known: there is no certificate in it."), "{message}");
    }

    #[test]
    fn secrets_are_told_when_they_are_older_than_wanted() {
        let seen = Seen { secrets: vec![("s/slack.url".into(), NOW - 366 * DAY_MS)], ..Seen::default() };
        let found = judge(&seen, &settings(), NOW).remove(0);
        assert_eq!((found.severity(), found.subject.as_str()), (Severity::P4, "s/slack.url"));
        assert!(found.message.ends_with("366 days ago; secret_max_age is 365 days."), "{}", found.message);
        assert_eq!(judge(&seen, &settings(), NOW - DAY_MS - 1), []);
        assert_eq!(judge(&seen, &AgeSettings::default(), NOW), []);
    }

    #[test]
    fn files_are_read_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("key"), "secret").unwrap();
        std::fs::write(path("large.pem"), vec![b'x'; 1 << 21]).unwrap();
        let settings = AgeSettings {
            certificates: vec![path("large.pem"), path("none.pem")],
            roots: vec![path("key")],
            secrets: vec![path("key"), path("gone")],
            ..settings()
        };
        let seen = look(&settings);
        let errors: Vec<_> = seen.certificates.iter().map(|(_, end)| end.clone().unwrap_err()).collect();
        assert_eq!(errors[0], "it has more than a megabyte");
        assert!(errors[1].contains("No such file"), "{errors:?}");
        assert_eq!(errors[2], "there is no certificate in it");
        assert_eq!(seen.secrets.len(), 1);
    }
}
