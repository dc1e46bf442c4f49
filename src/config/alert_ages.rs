//! `[alerts] certificates` and `secret_max_age`: what grows old.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{checker::Checker, durations::duration, raw_alerts::RawAlerts};

/// Most certificates: each file is read every minute.
const MAX_CERTIFICATES: usize = 50;

const DAY: Duration = Duration::from_secs(86_400);

/// Whose age is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgeSettings {
    /// `certificates`: PEM files that the operator names, of whatever uses them.
    pub certificates: Vec<PathBuf>,
    /// Certificates that relaymux itself uses: `roots_file` of channels of e-mail.
    pub roots: Vec<PathBuf>,
    /// `certificate_warning`: how long before its end a certificate is told of. Default 21 days: `certbot` renews 30 days before.
    pub certificate_warning: Duration,
    /// Files that are a secret each.
    pub secrets: Vec<PathBuf>,
    /// `secret_max_age`; none: nobody is told how old a secret is.
    pub secret_max_age: Option<Duration>,
}

impl Default for AgeSettings {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            roots: Vec::new(),
            certificate_warning: 21 * DAY,
            secrets: Vec::new(),
            secret_max_age: None,
        }
    }
}

/// Reads them. Which files are secrets is known only once everything is read.
pub(super) fn ages(raw: &RawAlerts, folder: &Path, checker: &mut Checker) -> AgeSettings {
    let default = AgeSettings::default();
    if raw.certificates.len() > MAX_CERTIFICATES {
        checker.wrong(
            "alerts.certificates",
            format!("there are more than {MAX_CERTIFICATES}"),
            "name those that nothing else watches",
        );
    }
    for (index, file) in raw.certificates.iter().enumerate() {
        let path = folder.join(file);
        // That it is not there yet, or not readable, is told as an alert: a renewal may be under way.
        if file.is_empty() || path.is_dir() {
            let hint = "a PEM file, such as \"/etc/letsencrypt/live/box.example/fullchain.pem\"";
            checker.wrong(&format!("alerts.certificates[{index}]"), "is no file", hint);
        }
    }
    let key = "alerts.certificate_warning";
    let warning = raw.certificate_warning.as_ref();
    AgeSettings {
        certificates: raw.certificates.iter().map(|file| folder.join(file)).collect(),
        certificate_warning: duration(key, warning, default.certificate_warning, DAY..=365 * DAY, checker),
        secret_max_age: raw
            .secret_max_age
            .as_ref()
            .map(|age| duration("alerts.secret_max_age", Some(age), 365 * DAY, DAY..=3650 * DAY, checker)),
        ..default
    }
}
