//! Writing down whom validators want to be paid, and what relays said to it.
//!
//! One body brings up to some 100,000 validators: they go in by hundreds.

use std::collections::BTreeMap;

use sqlx::QueryBuilder;

use super::{database::Db, query::WriteTransaction};
use crate::events::{RegistrationAnswer, RegistrationRound};

/// Rows of one statement. Databases bound what one statement binds: SQLite to 32,766 values.
const MAX_ROWS: usize = 500;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Writes down what validators wish that changed, and when the others were heard last.
pub(super) async fn validators_heard(write: &mut WriteTransaction, round: &RegistrationRound) -> Result<()> {
    // One row of each validator, as databases want it; in the order of the table's index, which is faster.
    let changed: BTreeMap<_, _> = round.changed.iter().map(|facts| (facts.pubkey, facts)).collect();
    let changed: Vec<_> = changed.into_values().collect();
    for changed in changed.chunks(MAX_ROWS) {
        let mut insert = QueryBuilder::<Db>::new(
            "INSERT INTO registrations (pubkey, fee_recipient, gas_limit, signed_at, received_at, heard_at, instance) ",
        );
        insert.push_values(changed, |mut row, registration| {
            row.push_bind(registration.pubkey.to_string())
                .push_bind(registration.fee_recipient.to_string())
                .push_bind(registration.gas_limit.cast_signed())
                .push_bind(registration.timestamp.cast_signed())
                .push_bind(round.at)
                .push_bind(round.heard_at)
                .push_bind(write.instance);
        });
        insert.push(
            " ON CONFLICT (pubkey) DO UPDATE SET fee_recipient = excluded.fee_recipient, \
             gas_limit = excluded.gas_limit, signed_at = excluded.signed_at, received_at = excluded.received_at, \
             heard_at = excluded.heard_at, instance = excluded.instance",
        );
        // Whole hundreds have one text, which is kept ready; the rest of a body is another each time.
        let is_whole = changed.len() == MAX_ROWS;
        insert.build().persistent(is_whole).execute(&mut *write.tx).await?;
    }
    for repeated in round.repeated.chunks(MAX_ROWS) {
        let mut update = QueryBuilder::<Db>::new("UPDATE registrations SET heard_at = ");
        update.push_bind(round.heard_at).push(" WHERE pubkey IN (");
        let mut list = update.separated(", ");
        for pubkey in repeated {
            list.push_bind(pubkey.to_string());
        }
        update.push(")");
        update.build().persistent(repeated.len() == MAX_ROWS).execute(&mut *write.tx).await?;
    }
    Ok(())
}

/// Writes down what a relay said to registrations.
pub(super) async fn registration_answer(
    write: &mut WriteTransaction,
    answer: &RegistrationAnswer,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO registration_answers (counterparty, answered_at, accepted, outcome, detail, http_status, \
         latency_us, instance) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(answer.relay.as_str())
    .bind(answer.at)
    .bind(answer.accepted)
    .bind(answer.outcome.label())
    .bind(&answer.message)
    .bind(answer.http_status.map(i64::from))
    .bind(answer.latency_us.cast_signed())
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}
