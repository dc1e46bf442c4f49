//! Who is on call: a week each, by the calendar of a time zone, with exceptions.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time, Weekday},
    tz::TimeZone,
};

use crate::types::UnixMillis;

/// Most members of a rota.
pub(super) const MAX_MEMBERS: usize = 100;

/// People who take turns, a week each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rota {
    /// In the order of their turns: contacts or channels.
    pub members: Vec<String>,
    /// A day on which the first member's week began or will begin.
    pub first_week: Date,
    /// The day of the week on which the next one takes over.
    pub handover_day: Weekday,
    /// When on that day, by the clock on the wall.
    pub handover_time: Time,
    /// Whose clock on the wall.
    pub zone: TimeZone,
    /// Exceptions; the last one that holds counts.
    pub overrides: Vec<Override>,
}

/// Somebody stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// From when, in Unix milliseconds.
    pub from: UnixMillis,
    /// Until when.
    pub to: UnixMillis,
    /// Who.
    pub member: String,
}

/// Why there is no such time zone.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "there is no time zone `{0}`: write a name such as `Europe/Berlin` or `UTC`, as `timedatectl list-timezones` shows them"
)]
pub struct UnknownZone(pub String);

/// A time zone by its name, from the system's database, else from the one that is compiled in.
///
/// # Errors
/// When there is none of that name in either.
pub fn zone(name: &str) -> Result<TimeZone, UnknownZone> {
    TimeZone::get(name).map_err(|_| UnknownZone(name.chars().take(60).collect()))
}

/// Who is on call; none of a rota without members.
///
/// A handover at a time that a change of clocks leaves out is when the clocks change; at one that comes twice, the first time.
pub fn who_is_on_call(rota: &Rota, now: UnixMillis) -> Option<&str> {
    let stands_in = rota.overrides.iter().rev().find(|exception| exception.from <= now && now < exception.to);
    if let Some(exception) = stands_in {
        return Some(&exception.member);
    }
    let now = Timestamp::from_millisecond(now).unwrap_or_default();
    let today = now.to_zoned(rota.zone.clone()).date();
    // The handover of the week that today is in; today's itself may still be to come.
    let handover = on_or_before(today, rota.handover_day);
    let has_come = instant(rota, handover).is_none_or(|handover| handover <= now);
    let handover = if has_come { handover } else { handover.saturating_sub(WEEK) };
    let first = on_or_before(rota.first_week, rota.handover_day);
    let weeks = handover.duration_since(first).as_hours().div_euclid(24 * 7);
    let members = i64::try_from(rota.members.len()).ok().filter(|members| *members > 0)?;
    usize::try_from(weeks.rem_euclid(members))
        .ok()
        .and_then(|turn| rota.members.get(turn))
        .map(String::as_str)
}

const WEEK: SignedDuration = SignedDuration::from_hours(24 * 7);

fn on_or_before(date: Date, day: Weekday) -> Date {
    let back = i64::from(date.weekday().since(day));
    date.saturating_sub(SignedDuration::from_hours(24 * back))
}

fn instant(rota: &Rota, date: Date) -> Option<Timestamp> {
    let handover = DateTime::from_parts(date, rota.handover_time);
    rota.zone.to_ambiguous_zoned(handover).compatible().ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rota(zone_name: &str) -> Rota {
        Rota {
            members: ["anna", "ben", "carla"].map(str::to_owned).to_vec(),
            first_week: "2026-01-05".parse().unwrap(),
            handover_day: Weekday::Monday,
            handover_time: "09:00".parse().unwrap(),
            zone: zone(zone_name).unwrap(),
            overrides: Vec::new(),
        }
    }

    fn ms(text: &str) -> UnixMillis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn members_take_turns_by_the_week() {
        for (zone, now, on_call) in [
            ("UTC", "2026-01-05T09:00:00Z", "anna"),
            ("UTC", "2026-01-05T08:59:59.999Z", "carla"),
            ("UTC", "2026-01-11T23:00:00Z", "anna"),
            ("UTC", "2026-01-12T08:59:59Z", "anna"),
            ("UTC", "2026-01-12T09:00:00Z", "ben"),
            ("UTC", "2026-01-26T09:00:00Z", "anna"),
            ("UTC", "2025-12-29T09:00:00Z", "carla"),
            // Nine o'clock in Berlin is eight in winter, seven in summer.
            ("Europe/Berlin", "2026-01-12T07:59:59Z", "anna"),
            ("Europe/Berlin", "2026-01-12T08:00:00Z", "ben"),
            ("Europe/Berlin", "2026-07-06T06:59:59Z", "ben"),
            ("Europe/Berlin", "2026-07-06T07:00:00Z", "carla"),
            // Still Sunday there.
            ("America/Los_Angeles", "2026-01-12T16:59:59Z", "anna"),
            ("America/Los_Angeles", "2026-01-12T17:00:00Z", "ben"),
        ] {
            assert_eq!(who_is_on_call(&rota(zone), ms(now)), Some(on_call), "{zone} {now}");
        }
    }

    #[test]
    fn a_handover_that_the_clocks_leave_out_is_when_they_change() {
        let mut rota = rota("Europe/Berlin");
        (rota.handover_day, rota.handover_time) = (Weekday::Sunday, "02:30".parse().unwrap());
        rota.first_week = "2026-03-22".parse().unwrap();
        // On 2026-03-29 02:00 became 03:00, at 01:00 UTC: 02:30 is read as 03:30.
        assert_eq!(who_is_on_call(&rota, ms("2026-03-29T01:29:59Z")), Some("anna"));
        assert_eq!(who_is_on_call(&rota, ms("2026-03-29T01:30:00Z")), Some("ben"));
    }

    #[test]
    fn somebody_stands_in() {
        let mut rota = rota("UTC");
        let day = |from: &str, to: &str, member: &str| Override {
            from: ms(from),
            to: ms(to),
            member: member.to_owned(),
        };
        rota.overrides = vec![
            day("2026-01-06T00:00:00Z", "2026-01-08T00:00:00Z", "dora"),
            day("2026-01-07T00:00:00Z", "2026-01-07T12:00:00Z", "emil"),
        ];
        for (now, on_call) in [
            ("2026-01-05T23:59:59Z", "anna"),
            ("2026-01-06T00:00:00Z", "dora"),
            ("2026-01-07T06:00:00Z", "emil"),
            ("2026-01-07T12:00:00Z", "dora"),
            ("2026-01-08T00:00:00Z", "anna"),
        ] {
            assert_eq!(who_is_on_call(&rota, ms(now)), Some(on_call), "{now}");
        }
    }

    #[test]
    fn a_zone_is_found_or_named() {
        assert!(zone("Europe/Berlin").is_ok());
        assert!(zone("Europe/Berlim").unwrap_err().to_string().contains("Europe/Berlim"));
    }

    proptest! {
        /// In every week one after the other, and never nobody.
        #[test]
        fn a_week_later_it_is_the_next_ones_turn(now in -4_000_000_000_000_i64..8_000_000_000_000) {
            let rota = rota("UTC");
            let turn = |now| {
                let on_call = who_is_on_call(&rota, now).unwrap();
                rota.members.iter().position(|member| member == on_call).unwrap()
            };
            prop_assert_eq!((turn(now) + 1) % 3, turn(now + 7 * 86_400_000));
        }

        #[test]
        fn any_time_is_somebodys(now: i64) {
            let mut rota = rota("Europe/Berlin");
            prop_assert!(who_is_on_call(&rota, now).is_some());
            rota.members.clear();
            prop_assert_eq!(who_is_on_call(&rota, now), None);
        }
    }
}
