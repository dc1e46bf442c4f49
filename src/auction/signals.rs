//! What the operator has to know at once of a slot.

use super::state::Auction;
use crate::{
    events::{AlertRule, AlertSignal, Event, count_signal},
    types::Slot,
};

impl Auction {
    /// Tells of something about a slot.
    pub(super) fn raise(&self, rule: &'static AlertRule, slot: Slot, message: String) {
        count_signal(rule);
        let signal = AlertSignal::raised(rule, &format!("slot {slot}"), message, self.clock.now());
        self.spine.publish(Event::AlertSignal(signal));
    }
}
