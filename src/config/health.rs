//! `[trust]` and `[rotation]`: from the file as written to the health monitor's settings, or mistakes with their place.

use super::{
    checker::Checker,
    raw::{RawRotation, RawTrust},
};
use crate::{
    breaker::BreakerPolicy,
    relay::{HealthMonitorSettings, health::TrustPolicy, rotation::RotationPolicy},
};

pub(super) fn monitor(
    trust: &RawTrust,
    rotation: &RawRotation,
    checker: &mut Checker,
) -> HealthMonitorSettings {
    let default = HealthMonitorSettings::default();
    let ms = |secs: u64| i64::try_from(secs.saturating_mul(1000)).unwrap_or(i64::MAX);
    let mut secs = |key: &str, value: Option<u64>, default: i64| match value {
        None => default,
        Some(0) => {
            checker.wrong(&format!("trust.{key}"), "0 would forget at once", "give it in seconds, 1 or more");
            default
        }
        Some(value) => ms(value),
    };
    let breaker = default.trust.breaker;
    let trust = TrustPolicy {
        half_life_ms: secs(
            "half_life_days",
            trust.half_life_days.map(|days| days.saturating_mul(86_400)),
            default.trust.half_life_ms,
        ),
        quarantine_ms: secs("quarantine_secs", trust.quarantine_secs, default.trust.quarantine_ms),
        quarantine_max_ms: secs(
            "quarantine_max_secs",
            trust.quarantine_max_secs,
            default.trust.quarantine_max_ms,
        ),
        breaker: BreakerPolicy {
            failures: trust.breaker_failures.unwrap_or(breaker.failures).max(1),
            successes: trust.breaker_successes.unwrap_or(breaker.successes).max(1),
            open_ms: secs("breaker_open_secs", trust.breaker_open_secs, breaker.open_ms),
            open_max_ms: secs("breaker_open_max_secs", trust.breaker_open_max_secs, breaker.open_max_ms),
        },
    };
    if trust.quarantine_max_ms < trust.quarantine_ms {
        checker.wrong("trust.quarantine_max_secs", "is below quarantine_secs", "quarantine doubles up to it");
    }
    if trust.breaker.open_max_ms < trust.breaker.open_ms {
        checker.wrong(
            "trust.breaker_open_max_secs",
            "is below breaker_open_secs",
            "the time doubles up to it",
        );
    }
    HealthMonitorSettings { trust, rotation: rotation_policy(rotation, default.rotation, checker), ..default }
}

fn rotation_policy(raw: &RawRotation, default: RotationPolicy, checker: &mut Checker) -> RotationPolicy {
    let mut percent = |key: &str, value: Option<f64>, default: f64| match value {
        Some(value) if !(0.0..=100.0).contains(&value) => {
            checker.wrong(&format!("rotation.{key}"), format!("{value} is no percentage"), "give 0 to 100");
            default
        }
        value => value.unwrap_or(default),
    };
    let policy = RotationPolicy {
        enabled: raw.enabled.unwrap_or(default.enabled),
        lag_high_ms: raw.lag_high_ms.unwrap_or(default.lag_high_ms),
        lag_low_ms: raw.lag_low_ms.unwrap_or(default.lag_low_ms),
        cpu_high_percent: percent("cpu_high_percent", raw.cpu_high_percent, default.cpu_high_percent),
        cpu_low_percent: percent("cpu_low_percent", raw.cpu_low_percent, default.cpu_low_percent),
        psi_high_percent: percent("psi_high_percent", raw.psi_high_percent, default.psi_high_percent),
        psi_low_percent: percent("psi_low_percent", raw.psi_low_percent, default.psi_low_percent),
        samples: raw.samples.unwrap_or(default.samples),
        interval_secs: raw.interval_secs.unwrap_or(default.interval_secs),
        min_active: raw.min_active.unwrap_or(default.min_active),
        max_shed_secs: raw.max_shed_secs.unwrap_or(default.max_shed_secs),
    };
    check_rotation(&policy, checker);
    policy
}

/// What must hold of the values together.
fn check_rotation(policy: &RotationPolicy, checker: &mut Checker) {
    for (key, value) in [("lag_high_ms", policy.lag_high_ms), ("lag_low_ms", policy.lag_low_ms)] {
        if !value.is_finite() || value < 0.0 {
            let message = format!("{value} is no time in milliseconds");
            checker.wrong(&format!("rotation.{key}"), message, "give 0 or more");
        }
    }
    let pairs = [
        ("lag_low_ms", policy.lag_low_ms, policy.lag_high_ms),
        ("cpu_low_percent", policy.cpu_low_percent, policy.cpu_high_percent),
        ("psi_low_percent", policy.psi_low_percent, policy.psi_high_percent),
    ];
    for (key, low, high) in pairs {
        if low > high {
            let message = format!("{low} is above {}, which is {high}", key.replace("low", "high"));
            checker.wrong(
                &format!("rotation.{key}"),
                message,
                "relays come back below it, and rest above the other",
            );
        }
    }
    let counts = [
        ("samples", u64::from(policy.samples)),
        ("interval_secs", policy.interval_secs),
        ("max_shed_secs", policy.max_shed_secs),
        ("min_active", u64::try_from(policy.min_active).unwrap_or(u64::MAX)),
    ];
    for (key, value) in counts {
        if value == 0 {
            checker.wrong(
                &format!("rotation.{key}"),
                "must not be 0",
                "give 1 or more; enabled = false switches rotation off",
            );
        }
    }
}
