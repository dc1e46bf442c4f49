use std::path::Path;

use super::*;
use crate::config::{Config, ConfigError, Mistake};

const RELAY: &str = "[[relays]]\nid = \"a\"\nurl = \"https://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@a.example.org\"\n";

fn read(text: &str) -> Result<Config, ConfigError> {
    Config::parse(&format!("{text}\n{RELAY}"), Path::new("/nowhere/relays.toml"), &[], &[])
}

fn mistakes(text: &str) -> Vec<Mistake> {
    match read(text).unwrap_err() {
        ConfigError::Wrong { mistakes, .. } => mistakes,
        ConfigError::Read { error, .. } => panic!("{error}"),
    }
}

#[test]
fn days_are_read_as_alertmanager_and_systemd_write_them() {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    for (text, days) in [
        ("sat", Some(&[Saturday][..])),
        ("Saturday", Some(&[Saturday])),
        ("monday:wednesday", Some(&[Monday, Tuesday, Wednesday])),
        ("Mon..Fri", Some(&[Monday, Tuesday, Wednesday, Thursday, Friday])),
        ("fri:mon", Some(&[Friday, Saturday, Sunday, Monday])),
        ("mon : mon", Some(&[Monday])),
        ("", None),
        ("mo", None),
        ("sat-sun", None),
        ("mon:", None),
        ("satur", None),
        ("mon:tue:wed", None),
    ] {
        assert_eq!(days_of(text).as_deref(), days, "{text}");
    }
}

#[test]
fn windows_are_read_with_their_time_zone() {
    let config = read(
        "[alerts]\ntime_zone = \"Europe/Berlin\"\n\
         [[alerts.maintenance]]\nname = \" updates \"\nmatchers = ['component=~\"execution|consensus\"']\nweekdays = [\"sat\", \"sat:sun\"]\n\
         start_time = \"02:00\"\nduration = \"2h\"\nsla = true\n\
         [[alerts.maintenance]]\nname = \"disk\"\nfrom = 2026-12-24\nuntil = 2026-12-24T06:00:00\n\
         [[alerts.maintenance]]\nname = \"daily\"\nstart_time = \"04:00\"\nduration = \"5m\"\ntime_zone = \"UTC\"\n",
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let [updates, disk, daily] = config.alerts.settings.maintenance.as_slice() else {
        panic!("{:?}", config.alerts.settings.maintenance)
    };
    assert_eq!((updates.name.as_str(), updates.matchers.len(), updates.sla), ("updates", 1, true));
    let MaintenanceTime::Weekly { days, start, duration, zone } = &updates.when else {
        panic!("{updates:?}")
    };
    assert_eq!(days, &[Weekday::Saturday, Weekday::Sunday]);
    assert_eq!((start.hour(), duration.as_secs(), zone.iana_name()), (2, 7200, Some("Europe/Berlin")));
    let when = MaintenanceTime::Once { from: 1_798_066_800_000, until: 1_798_088_400_000 };
    assert_eq!((&disk.when, disk.matchers.len(), disk.sla), (&when, 0, false));
    let MaintenanceTime::Weekly { days, zone, .. } = &daily.when else { panic!("{daily:?}") };
    assert_eq!((days.len(), zone.iana_name()), (7, Some("UTC")));
}

/// Each has one mistake: at this key, in these words, with this hint.
#[test]
fn a_window_that_cannot_be_meant_is_a_mistake_with_its_line() {
    let named = |more: &str| format!("[[alerts.maintenance]]\nname = \"w\"\n{more}");
    let weekly = |more: &str| named(&format!("start_time = \"02:00\"\nduration = \"2h\"\n{more}"));
    let section = "alerts.maintenance[0]";
    for (text, key, words, hint) in [
        (
            "[[alerts.maintenance]]\nstart_time = \"02:00\"\nduration = \"2h\"".to_owned(),
            ".name",
            "is missing",
            "node updates",
        ),
        (
            "[[alerts.maintenance]]\nname = \" \"\nstart_time = \"02:00\"\nduration = \"2h\"".to_owned(),
            ".name",
            "is empty",
            "few words",
        ),
        (format!("{}\n{}", weekly(""), weekly("")), "1.name", "another window", "another"),
        (named(""), "", "does not say when", "from and until"),
        (named("from = 2026-12-24"), ".until", "is missing", "without quotes"),
        (named("from = 2026-12-24\nuntil = 2026-12-24"), ".until", "is not after from", "ends after"),
        (named("from = 2026-12-24\nuntil = 2027-12-24"), ".until", "more than 90 days", "disable"),
        (named("from = 09:00:00\nuntil = 2027-12-24"), ".from", "is no date", "such as"),
        (weekly("until = 2026-12-24"), ".start_time", "until of one that comes once", "from and until"),
        (named("duration = \"2h\""), ".start_time", "is missing", "02:00"),
        (named("start_time = \"2 am\"\nduration = \"2h\""), ".start_time", "no time of day", "02:00"),
        (named("start_time = \"02:00\""), ".duration", "is missing", "2h"),
        (named("start_time = \"02:00\"\nduration = \"0s\""), ".duration", "0s is too short", "1m to 7d"),
        (named("start_time = \"02:00\"\nduration = \"24h\""), ".duration", "it would never end", "disable"),
        (weekly("weekdays = []"), ".weekdays", "is empty", "mon:fri"),
        (weekly("weekdays = [\"sat\", \"someday\"]"), ".weekdays[1]", "`someday` is no day", "mon:fri"),
        (weekly("time_zone = \"Mars/Olympus\""), ".time_zone", "no time zone", "tzdata"),
        (weekly("matchers = [\"component\"]"), ".matchers[0]", "is no matcher", "alertname"),
        (weekly("matchers = ['a=~\"(\"']"), ".matchers[0]", "no regular expression", "alertname"),
        (weekly("location = \"UTC\""), ".location", "unknown key", "duration"),
        (weekly("weekday = [\"sat\"]"), ".weekday", "unknown key", "`weekdays`"),
    ] {
        let found = mistakes(&text);
        let shown: Vec<_> =
            found.iter().map(|it| (it.key.clone(), it.message.clone(), it.hint.clone())).collect();
        let key = key
            .strip_prefix('1')
            .map_or_else(|| format!("{section}{key}"), |key| format!("alerts.maintenance[1]{key}"));
        assert_eq!(shown.len(), 1, "{text}\n{shown:?}");
        assert_eq!(shown[0].0, key, "{shown:?}");
        assert!(shown[0].1.contains(words) && shown[0].2.contains(hint), "{text}\n{shown:?}");
    }
}

#[test]
fn the_line_is_shown() {
    let text = "[[alerts.maintenance]]\nname = \"w\"\nstart_time = \"25:00\"\nduration = \"2h\"\n";
    let error = read(text).unwrap_err().to_string();
    assert!(error.contains("relays.toml:3") && error.contains("start_time = \"25:00\""), "{error}");
}
