use std::collections::BTreeMap;

use super::*;
use crate::{
    events::SlotStatus,
    ledger::{DayFacts, Settled, SumRow},
};

/// Slots of twelve seconds; 7,200 a day, the first of which starts with the day.
fn clock() -> SlotClock {
    SlotClock::new(0, 12_000)
}

const DAY: i64 = 7_200;

fn days(days: u64) -> Option<Duration> {
    Some(Duration::from_secs(days * 86_400))
}

/// Slots with an auction each and bids of two relays; a block was handed in for every tenth.
async fn ledger_of(folder: &std::path::Path, slots: impl Iterator<Item = i64>) -> Ledger {
    let ledger = Ledger::open(folder, "mainnet", 0).await.unwrap();
    for slot in slots {
        let winner = (slot % 3 != 0).then_some("0xaa");
        sqlx::query(
            "INSERT INTO auctions (id, slot, parent_hash, proposer, fork, requested_at, ms_into_slot, budget_ms, answered_in_us, \
             user_agent, why_no_bid, winner_block_hash) VALUES ($1, $1, '', '', '', 5, 5, 0, 0, '', '', $2)",
        )
        .bind(slot)
        .bind(winner)
        .execute(ledger.pool())
        .await
        .unwrap();
        for (relay, outcome) in [("a", "bid"), ("b", if slot % 2 == 0 { "bid" } else { "no_bid" })] {
            sqlx::query(
                "INSERT INTO offers (auction_id, counterparty, outcome, detail, latency_us, verified, requested_at) \
                 VALUES ($1, $2, $3, '', 0, TRUE, 5)",
            )
            .bind(slot)
            .bind(relay)
            .bind(outcome)
            .execute(ledger.pool())
            .await
            .unwrap();
        }
        if slot % 10 == 0 {
            sqlx::query(
                "INSERT INTO submissions (slot, block_hash, parent_hash, proposer_index, fork, version, received_at, ms_into_slot, \
                 offered_by) VALUES ($1, '0xaa', '', 1, '', 1, 5, 5, '')",
            )
            .bind(slot)
            .execute(ledger.pool())
            .await
            .unwrap();
        }
        let status = if slot % 7 == 0 { SlotStatus::Unknowable } else { SlotStatus::Final };
        let row = Settled { slot: slot.cast_unsigned(), status: status.into(), ..Settled::default() };
        ledger.save_settlements(&[row]).await.unwrap();
    }
    ledger
}

async fn count(ledger: &Ledger, table: &str) -> i64 {
    let count = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    sqlx::query_scalar(count).fetch_one(ledger.pool()).await.unwrap()
}

/// All steps there are; how many did something.
async fn trim_all(ledger: &Ledger, retention: &Retention, now: UnixMillis) -> usize {
    for steps in 0..10_000 {
        if ledger.trim(retention, clock(), now).await.unwrap().is_done {
            return steps;
        }
    }
    panic!("it never ends");
}

/// A sum that any change of what it is made from would show in.
fn sum(day: i64) -> impl Fn(&DayFacts) -> Vec<SumRow> + Send {
    move |facts| {
        let mut outcomes = BTreeMap::new();
        for outcome in &facts.outcomes {
            let entry = outcomes.entry(format!("{} {}", outcome.relay, outcome.outcome)).or_insert((0, 0));
            entry.0 += outcome.count;
            entry.1 += outcome.without_bid;
        }
        let tally = format!("{} {outcomes:?}", facts.rows.len());
        vec![SumRow { at: day, dimension: "all".to_owned(), name: String::new(), tally }]
    }
}

async fn sum_changed(ledger: &Ledger) -> usize {
    let changed = ledger.changed_days(clock()).await.unwrap();
    for day in &changed.days {
        let slots = (Slot::new((day * DAY).cast_unsigned()), Slot::new(((day + 1) * DAY).cast_unsigned()));
        ledger.sum_day(*day, slots, sum(*day)).await.unwrap();
    }
    ledger.took_in(&changed).await.unwrap();
    changed.days.len()
}

/// Slots of three days, some of each.
fn some() -> impl Iterator<Item = i64> {
    (0..3).flat_map(|day| (0..60).map(move |slot| day * DAY + slot * 37))
}

#[tokio::test]
async fn sums_stay_the_same_when_bids_go_however_often_they_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_of(folder.path(), some()).await;
    assert_eq!(sum_changed(&ledger).await, 3);
    let before = ledger.days("all", 0, 9).await.unwrap();
    let retention = Retention { bids: days(40), ..Retention::default() };
    // The first two days are more than forty days ago.
    let now = 42 * DAY_MS + 5;
    // In the midst of it, too: after every step the sums of a day come out the same.
    while !ledger.trim(&retention, clock(), now).await.unwrap().is_done {
        let row = Settled { slot: 37, status: SlotStatus::Final.into(), looked_at: 9, ..Settled::default() };
        ledger.save_settlements(&[row]).await.unwrap();
        assert_eq!(sum_changed(&ledger).await, 1);
        assert_eq!(ledger.days("all", 0, 9).await.unwrap(), before);
    }
    assert_eq!(count(&ledger, "offers").await, 120);
    assert_eq!(count(&ledger, "auctions").await, 180);
    assert_eq!(ledger.trimmed_before(TrimPart::Bids).await.unwrap(), Slot::new(2 * 7200));
    assert_eq!(ledger.trimmed_of(Slot::new(5)).await.unwrap(), [TrimPart::Bids]);
    assert_eq!(ledger.trimmed_of(Slot::new(2 * 7200)).await.unwrap(), Vec::<Label<TrimPart>>::new());
    for slot in [0, 37, 7200] {
        let row = Settled { slot, status: SlotStatus::Final.into(), looked_at: 10, ..Settled::default() };
        ledger.save_settlements(&[row]).await.unwrap();
    }
    assert_eq!(sum_changed(&ledger).await, 2);
    assert_eq!(ledger.days("all", 0, 9).await.unwrap(), before);
    ledger.shut().await;
}

#[tokio::test]
async fn evidence_outlives_its_slots_and_money_its_evidence_never() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_of(folder.path(), some()).await;
    sum_changed(&ledger).await;
    let before = ledger.days("all", 0, 9).await.unwrap();
    let retention = Retention { bids: days(40), slots: days(40), ..Retention::default() };
    trim_all(&ledger, &retention, 42 * DAY_MS + 5).await;
    // Of the first two days only those for which a block was handed in, or whose payment is not known.
    let kept = some().filter(|slot| *slot >= 2 * DAY || slot % 10 == 0 || slot % 7 == 0).count();
    assert_eq!(count(&ledger, "auctions").await, i64::try_from(kept).unwrap());
    let submissions = some().filter(|slot| slot % 10 == 0).count();
    assert_eq!(count(&ledger, "submissions").await, i64::try_from(submissions).unwrap());
    assert_eq!(count(&ledger, "settlements").await, 180);
    // Money is kept a day longer than slots.
    let retention = Retention { money: days(41), ..retention };
    trim_all(&ledger, &retention, 42 * DAY_MS + 5).await;
    assert_eq!(count(&ledger, "settlements").await, 120);
    assert_eq!(ledger.trimmed_before(TrimPart::Money).await.unwrap(), Slot::new(7200));
    // Something of a trimmed day comes late: its sums stay.
    let row = Settled { slot: 37, status: SlotStatus::Final.into(), ..Settled::default() };
    ledger.save_settlements(&[row]).await.unwrap();
    assert_eq!(sum_changed(&ledger).await, 0);
    assert_eq!(ledger.days("all", 0, 9).await.unwrap(), before);
    ledger.shut().await;
}

#[tokio::test]
async fn money_of_a_day_that_is_not_summed_is_not_trimmed() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_of(folder.path(), 0..20).await;
    let all = Retention { bids: days(40), slots: days(40), money: days(40), events: None };
    trim_all(&ledger, &all, 60 * DAY_MS).await;
    assert_eq!(count(&ledger, "settlements").await, 20);
    sum_changed(&ledger).await;
    trim_all(&ledger, &all, 60 * DAY_MS).await;
    for table in ["settlements", "submissions", "auctions", "offers"] {
        assert_eq!(count(&ledger, table).await, 0, "{table}");
    }
    assert_eq!(ledger.days("all", 0, 9).await.unwrap().len(), 1);
    ledger.shut().await;
}

#[tokio::test]
async fn a_step_is_small_and_the_next_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_of(folder.path(), 0..250).await;
    let retention = Retention { bids: days(40), ..Retention::default() };
    let now = 60 * DAY_MS;
    let step = ledger.trim(&retention, clock(), now).await.unwrap();
    assert_eq!(step, TrimStep { rows: 200, is_done: false });
    ledger.shut().await;
    // Another process.
    let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
    assert_eq!(trim_all(&ledger, &retention, now).await, 2);
    assert_eq!(count(&ledger, "offers").await, 0);
    assert_eq!(trim_all(&ledger, &retention, now).await, 0);
    ledger.shut().await;
}

#[tokio::test]
async fn events_are_trimmed_but_for_what_was_so_then() {
    let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
    for (relay, since) in [("a", 1), ("a", 50), ("a", 150), ("b", 2)] {
        sqlx::query(
            "INSERT INTO counterparty_states (counterparty, since, usable, why) VALUES ($1, $2, TRUE, '')",
        )
        .bind(relay)
        .bind(since)
        .execute(ledger.pool())
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO registration_answers (counterparty, answered_at, accepted, outcome, detail, latency_us) \
             VALUES ($1, $2, TRUE, '', '', 0)",
        )
        .bind(relay)
        .bind(since)
        .execute(ledger.pool())
        .await
        .unwrap();
    }
    let retention = Retention { events: Some(Duration::from_millis(100)), ..Retention::default() };
    let mut steps = 0;
    while !ledger.trim(&retention, clock(), 200).await.unwrap().is_done {
        steps += 1;
        assert!(steps < 10);
    }
    // Of each relay what it was at 100, and what came later.
    assert_eq!(count(&ledger, "counterparty_states").await, 3);
    assert_eq!(count(&ledger, "registration_answers").await, 1);
}
