//! What is trimmed for its age, in small steps.
//!
//! A step is one short transaction over some slots of one day; between two of them others write. Where it stands is written in the same transaction, so that
//! a process that dies goes on from there. Sums do not change by it: how relays' answers ended is added up by day before bids go, and a day whose money is
//! gone is not summed again. What proves a payment (the auction of a slot for which a block was handed in, or whose payment is not known yet) stays as long
//! as money does.

use std::time::Duration;

use super::{Ledger, LedgerError, query::WriteTransaction};
use crate::{
    consensus::SlotClock,
    types::{DAY_MS, Label, Slot, UnixMillis, labelled},
};

/// Auctions of one step: some milliseconds of the disk.
const AT_ONCE: i64 = 100;
/// Longest stretch of time of one step over answers to registrations.
const STRETCH_MS: i64 = DAY_MS;

/// How long what happened is kept; none: for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Each relay's bids and polls.
    pub bids: Option<Duration>,
    /// Auctions; never shorter than bids.
    pub slots: Option<Duration>,
    /// Answers to registrations, how relays' states changed, requests that were missed.
    pub events: Option<Duration>,
    /// What slots paid, and what proves it; never shorter than slots.
    pub money: Option<Duration>,
}

impl Retention {
    /// Whether anything is ever trimmed.
    pub const fn is_forever(&self) -> bool {
        let Self { bids, slots, events, money } = self;
        bids.is_none() && slots.is_none() && events.is_none() && money.is_none()
    }
}

labelled! {
    /// What is trimmed by slots.
    pub enum TrimPart {
        /// Bids and polls.
        Bids = "bids",
        /// Auctions.
        Slots = "slots",
        /// Payments, submissions and their evidence.
        Money = "money",
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrimStep {
    /// Rows that are gone.
    pub rows: u64,
    /// Whether nothing is left to do.
    pub is_done: bool,
}

/// The days of slots.
#[derive(Clone, Copy, Debug)]
struct Days(SlotClock);

impl Days {
    /// The first slot that starts in the day of a slot.
    fn first_of(self, slot: i64) -> i64 {
        let at = self.0.start_of(Slot::new(slot.cast_unsigned()));
        self.first_at(at.div_euclid(DAY_MS).saturating_mul(DAY_MS))
    }

    /// The first slot of the next day.
    fn next_after(self, slot: i64) -> i64 {
        let at = self.0.start_of(Slot::new(slot.cast_unsigned()));
        self.first_at(at.div_euclid(DAY_MS).saturating_add(1).saturating_mul(DAY_MS))
    }

    /// The first slot that starts at a time or after it.
    fn first_at(self, at: UnixMillis) -> i64 {
        let slot = self.0.slot_at(at);
        let is_before = self.0.start_of(slot) < at;
        slot.as_u64().cast_signed().saturating_add(i64::from(is_before))
    }

    /// The first slot of the day that is so long ago: what is before it is old.
    fn cutoff(self, kept: Duration, now: UnixMillis) -> i64 {
        let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        let at = now.saturating_sub(kept).max(0);
        self.first_at(at.div_euclid(DAY_MS).saturating_mul(DAY_MS))
    }
}

impl Ledger {
    /// Up to which slot a part is trimmed; 0: nothing is.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn trimmed_before(&self, part: TrimPart) -> Result<Slot, LedgerError> {
        let position = sqlx::query_scalar("SELECT MAX(position) FROM ledger_trims WHERE name = $1");
        let position: Option<i64> = position.bind(part.label()).fetch_one(self.pool()).await?;
        Ok(Slot::new(position.unwrap_or(0).cast_unsigned()))
    }

    /// Which parts of a slot are gone.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn trimmed_of(&self, slot: Slot) -> Result<Vec<Label<TrimPart>>, LedgerError> {
        let parts = sqlx::query_scalar("SELECT name FROM ledger_trims WHERE position > $1 ORDER BY name");
        let parts: Vec<String> = parts.bind(slot.as_u64().cast_signed()).fetch_all(self.pool()).await?;
        Ok(parts.iter().map(|name| Label::read(name)).collect())
    }

    /// Trims a bounded part of what is old by now.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn trim(
        &self,
        retention: &Retention,
        slots: SlotClock,
        now: UnixMillis,
    ) -> Result<TrimStep, LedgerError> {
        let days = Days(slots);
        let parts = [
            (TrimPart::Bids, retention.bids),
            (TrimPart::Slots, retention.slots),
            (TrimPart::Money, retention.money),
        ];
        for (part, kept) in parts {
            let Some(kept) = kept else { continue };
            let step = self.trim_part(part, days.cutoff(kept, now), days, now).await?;
            if !step.is_done {
                return Ok(step);
            }
        }
        match retention.events {
            Some(kept) => {
                let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
                self.trim_events(now.saturating_sub(kept), days).await
            }
            None => Ok(TrimStep { rows: 0, is_done: true }),
        }
    }

    async fn trim_part(
        &self,
        part: TrimPart,
        before: i64,
        days: Days,
        now: UnixMillis,
    ) -> Result<TrimStep, LedgerError> {
        let position =
            async |part| Ok::<_, LedgerError>(self.trimmed_before(part).await?.as_u64().cast_signed());
        let from = position(part).await?;
        let before = match part {
            TrimPart::Bids => before,
            TrimPart::Slots => before.min(position(TrimPart::Bids).await?),
            TrimPart::Money => before.min(position(TrimPart::Slots).await?),
        };
        if from >= before {
            return Ok(TrimStep { rows: 0, is_done: true });
        }
        if part == TrimPart::Money {
            // Days go with their sums made, or not at all.
            let changed = self.changed_days(days.0).await?;
            let cutoff = days.0.start_of(Slot::new(before.cast_unsigned())).div_euclid(DAY_MS);
            if changed.days.iter().any(|day| *day < cutoff) {
                return Ok(TrimStep { rows: 0, is_done: true });
            }
        }
        let found = self.next_slots(part, from, before).await?;
        let mut write = self.write().await?;
        let Some(first) = found.first().copied() else {
            trimmed_to(&mut write, part, before, now).await?;
            write.commit().await?;
            return Ok(TrimStep { rows: 0, is_done: true });
        };
        // Within one day, whose sums it is part of.
        let end = days.next_after(first).min(before);
        let last = found.iter().copied().filter(|slot| *slot < end).max().unwrap_or(first);
        let rows = match part {
            TrimPart::Bids => trim_bids(&mut write, (first, last), days.first_of(first)).await?,
            TrimPart::Slots => trim_slots(&mut write, (first, last)).await?,
            TrimPart::Money => trim_money(&mut write, (first, last)).await?,
        };
        trimmed_to(&mut write, part, last.saturating_add(1), now).await?;
        write.commit().await?;
        Ok(TrimStep { rows, is_done: false })
    }

    /// The next slots that have something of a part.
    async fn next_slots(&self, part: TrimPart, from: i64, before: i64) -> Result<Vec<i64>, LedgerError> {
        let of_auctions = "SELECT slot FROM auctions WHERE slot >= $1 AND slot < $2 ORDER BY slot LIMIT $3";
        let of_money = [
            "SELECT slot FROM settlements WHERE slot >= $1 AND slot < $2 ORDER BY slot LIMIT $3",
            "SELECT slot FROM submissions WHERE slot >= $1 AND slot < $2 ORDER BY slot LIMIT $3",
            of_auctions,
        ];
        let questions: &[&'static str] = match part {
            TrimPart::Bids | TrimPart::Slots => &[of_auctions],
            TrimPart::Money => &of_money,
        };
        let mut found: Vec<i64> = Vec::new();
        for question in questions {
            let slots = sqlx::query_scalar(*question).bind(from).bind(before).bind(AT_ONCE);
            found.extend::<Vec<i64>>(slots.fetch_all(self.pool()).await?);
        }
        found.sort_unstable();
        found.truncate(usize::try_from(AT_ONCE).unwrap_or(usize::MAX));
        Ok(found)
    }

    async fn trim_events(&self, before: UnixMillis, days: Days) -> Result<TrimStep, LedgerError> {
        let oldest = sqlx::query_as(
            "SELECT counterparty, MIN(answered_at) FROM registration_answers WHERE answered_at < $1 GROUP BY counterparty \
             ORDER BY 2 LIMIT 1",
        );
        let oldest: Option<(String, i64)> = oldest.bind(before).fetch_optional(self.pool()).await?;
        if let Some((counterparty, at)) = oldest {
            let mut write = self.write().await?;
            let done =
                sqlx::query("DELETE FROM registration_answers WHERE counterparty = $1 AND answered_at < $2")
                    .bind(counterparty)
                    .bind(at.saturating_add(STRETCH_MS).min(before))
                    .execute(&mut *write.tx)
                    .await?;
            write.commit().await?;
            return Ok(TrimStep { rows: done.rows_affected(), is_done: false });
        }
        let mut rows = 0;
        // What a relay's state was at the time from which on everything is kept, stays.
        for (newest, forget) in [
            (
                "SELECT counterparty, MAX(since) FROM counterparty_states WHERE since < $1 GROUP BY counterparty",
                "DELETE FROM counterparty_states WHERE counterparty = $1 AND since < $2",
            ),
            (
                "SELECT counterparty, MAX(since) FROM counterparty_places WHERE since < $1 GROUP BY counterparty",
                "DELETE FROM counterparty_places WHERE counterparty = $1 AND since < $2",
            ),
        ] {
            let newest: Vec<(String, i64)> =
                sqlx::query_as(newest).bind(before).fetch_all(self.pool()).await?;
            for (counterparty, since) in newest {
                let mut write = self.write().await?;
                let done = sqlx::query(forget).bind(counterparty).bind(since).execute(&mut *write.tx).await?;
                write.commit().await?;
                rows += done.rows_affected();
            }
        }
        let mut write = self.write().await?;
        let done = sqlx::query("DELETE FROM missed_requests WHERE slot < $1")
            .bind(days.first_at(before.max(0)))
            .execute(&mut *write.tx)
            .await?;
        write.commit().await?;
        Ok(TrimStep { rows: rows + done.rows_affected(), is_done: true })
    }
}

async fn trim_bids(
    write: &mut WriteTransaction,
    (first, last): (i64, i64),
    day: i64,
) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "INSERT INTO trimmed_bids (first_slot, counterparty, outcome, n, without_bid, instance) \
         SELECT $3, o.counterparty, o.outcome, COUNT(*), SUM(CASE WHEN a.winner_block_hash IS NULL THEN 1 ELSE 0 END), $4 \
         FROM auctions a JOIN offers o ON o.auction_id = a.id WHERE a.slot >= $1 AND a.slot <= $2 \
         GROUP BY o.counterparty, o.outcome \
         ON CONFLICT (instance, first_slot, counterparty, outcome) DO UPDATE SET n = trimmed_bids.n + excluded.n, \
         without_bid = trimmed_bids.without_bid + excluded.without_bid",
    )
    .bind(first)
    .bind(last)
    .bind(day)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    each(
        write,
        (first, last),
        &[
            "DELETE FROM polls WHERE auction_id IN (SELECT id FROM auctions WHERE slot >= $1 AND slot <= $2)",
            "DELETE FROM offers WHERE auction_id IN (SELECT id FROM auctions WHERE slot >= $1 AND slot <= $2)",
        ],
    )
    .await
}

async fn trim_slots(write: &mut WriteTransaction, range: (i64, i64)) -> Result<u64, sqlx::Error> {
    each(
        write,
        range,
        &["DELETE FROM auctions WHERE slot >= $1 AND slot <= $2 \
           AND NOT EXISTS (SELECT 1 FROM submissions s WHERE s.slot = auctions.slot) \
           AND NOT EXISTS (SELECT 1 FROM settlements t WHERE t.slot = auctions.slot AND t.status <> 'final')"],
    )
    .await
}

async fn trim_money(write: &mut WriteTransaction, range: (i64, i64)) -> Result<u64, sqlx::Error> {
    each(
        write,
        range,
        &[
            "DELETE FROM submission_answers WHERE slot >= $1 AND slot <= $2",
            "DELETE FROM submissions WHERE slot >= $1 AND slot <= $2",
            "DELETE FROM settlements WHERE slot >= $1 AND slot <= $2",
            "DELETE FROM auctions WHERE slot >= $1 AND slot <= $2",
        ],
    )
    .await
}

async fn each(
    write: &mut WriteTransaction,
    (first, last): (i64, i64),
    statements: &[&'static str],
) -> Result<u64, sqlx::Error> {
    let mut rows = 0;
    for statement in statements {
        let done = sqlx::query(*statement).bind(first).bind(last).execute(&mut *write.tx).await?;
        rows += done.rows_affected();
    }
    Ok(rows)
}

async fn trimmed_to(
    write: &mut WriteTransaction,
    part: TrimPart,
    position: i64,
    now: UnixMillis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO ledger_trims (name, position, trimmed_at, instance) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (instance, name) DO UPDATE SET position = excluded.position, trimmed_at = excluded.trimmed_at",
    )
    .bind(part.label())
    .bind(position)
    .bind(now)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

/// The slot from which on days are summed anew when they change: of a day that was trimmed, not all is there.
pub(super) async fn summed_from(ledger: &Ledger, slots: SlotClock) -> Result<i64, LedgerError> {
    let position = ledger.trimmed_before(TrimPart::Money).await?.as_u64().cast_signed();
    let days = Days(slots);
    // A day that is half gone is as good as gone.
    Ok(if days.first_of(position) == position { position } else { days.next_after(position) })
}

#[cfg(test)]
mod tests;
