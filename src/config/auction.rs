//! `[auction]`, and the same keys in `[[proposers]]`.

use std::time::Duration;

use super::{checker::Checker, raw::RawAuction};
use crate::auction::{AuctionSettings, GasLimitCheck, SoftDeadline};

/// A section's `[auction]` keys over settings that apply anyway.
pub(super) fn auction(
    raw: &RawAuction,
    base: &AuctionSettings,
    slot_ms: u64,
    section: &str,
    checker: &mut Checker,
) -> AuctionSettings {
    let at = |key: &str| format!("{section}.{key}");
    let settings = AuctionSettings {
        timeout_get_header: checker.millis(
            &at("timeout_get_header_ms"),
            raw.timeout_get_header_ms,
            base.timeout_get_header,
        ),
        timeout_get_payload: checker.millis(
            &at("timeout_get_payload_ms"),
            raw.timeout_get_payload_ms,
            base.timeout_get_payload,
        ),
        timeout_register_validator: checker.millis(
            &at("timeout_register_validator_ms"),
            raw.timeout_register_validator_ms,
            base.timeout_register_validator,
        ),
        // Development chains have slots shorter than the default.
        late_in_slot_ms: raw.late_in_slot_time_ms.unwrap_or(base.late_in_slot_ms.min(slot_ms)),
        min_bid: raw.min_bid_eth.as_ref().map_or(base.min_bid, |eth| checker.eth(&at("min_bid_eth"), eth)),
        min_profit: match &raw.min_profit_eth {
            Some(eth) => Some(checker.eth(&at("min_profit_eth"), eth)),
            None => base.min_profit,
        },
        reserve: raw.reserve_ms.map_or(base.reserve, Duration::from_millis),
        gas_limit_check: match raw.gas_limit_check.as_deref() {
            None => base.gas_limit_check,
            Some("off") => GasLimitCheck::Off,
            Some("warn") => GasLimitCheck::Warn,
            Some("enforce") => GasLimitCheck::Enforce,
            Some(other) => {
                let message = format!("`{other}` is not one of off, warn, enforce");
                checker.wrong(&at("gas_limit_check"), message, "warn is the default");
                base.gas_limit_check
            }
        },
        submit_others_delay: raw
            .submit_others_delay_ms
            .map_or(base.submit_others_delay, Duration::from_millis),
        soft_deadline: soft_deadline(raw, base, &at, checker),
    };
    check_times(&settings, slot_ms, &at, checker);
    settings
}

fn soft_deadline(
    raw: &RawAuction,
    base: &AuctionSettings,
    at: &dyn Fn(&str) -> String,
    checker: &mut Checker,
) -> Option<SoftDeadline> {
    /// Half of a usual set, and one auction in twenty that a better bid was on its way.
    const DEFAULT: SoftDeadline = SoftDeadline { after: Duration::ZERO, min_answers: 2, risk: 0.05 };
    let after = match raw.soft_deadline_ms {
        // 0 switches it off in a set whose base has one.
        Some(0) => return None,
        Some(ms) => Duration::from_millis(ms),
        None => base.soft_deadline?.after,
    };
    let base = base.soft_deadline.unwrap_or(DEFAULT);
    let risk = raw.soft_deadline_risk.unwrap_or(base.risk);
    if !(0.0..=1.0).contains(&risk) {
        checker.wrong(&at("soft_deadline_risk"), format!("{risk} is no probability"), "give 0 to 1");
    }
    Some(SoftDeadline { after, min_answers: raw.soft_deadline_min_answers.unwrap_or(base.min_answers), risk })
}

fn check_times(settings: &AuctionSettings, slot_ms: u64, at: &dyn Fn(&str) -> String, checker: &mut Checker) {
    let late = settings.late_in_slot_ms;
    if late == 0 || late > slot_ms {
        let message = format!("{late} ms is not within a slot of {slot_ms} ms");
        checker.wrong(&at("late_in_slot_time_ms"), message, format!("give 1 to {slot_ms}"));
    }
    let header_ms = settings.timeout_get_header.as_millis();
    if header_ms >= u128::from(late) {
        let message = format!("{header_ms} ms is not below late_in_slot_time_ms, which is {late}");
        checker.contradicts(
            &at("timeout_get_header_ms"),
            &at("late_in_slot_time_ms"),
            message,
            "a header that takes that long is always too late",
        );
    }
    if settings.submit_others_delay >= settings.timeout_get_payload {
        let hint = "the other relays would never get the block";
        checker.contradicts(
            &at("submit_others_delay_ms"),
            &at("timeout_get_payload_ms"),
            "not below timeout_get_payload_ms",
            hint,
        );
    }
}
