//! What gas costs and cost, for people and programs.

use serde::Serialize;

use super::words::ago;
use crate::{
    ledger::{GasHour, GasRow, GasSums},
    types::UnixMillis,
};

/// What gas costs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GasView {
    /// The newest price; none where nobody has asked a node.
    pub newest: Option<GasRow>,
    /// The window, as far as minutes are kept: 90 days.
    pub window: GasSums,
    /// Its hours, oldest first, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<GasHour>,
    /// The newest price in words, or why there is none.
    pub in_words: String,
}

impl GasView {
    /// Puts it together.
    pub fn new(newest: Option<GasRow>, window: GasSums, hours: Vec<GasHour>, now: UnixMillis) -> Self {
        let in_words = match newest {
            None => "not known: no execution node has said it yet ([execution] url)".to_owned(),
            Some(row) => {
                let age = now.saturating_sub(row.minute.saturating_mul(60_000));
                let blob = row.blob_base_fee_wei.map_or_else(
                    || "blob fee not known".to_owned(),
                    |wei| format!("blob base fee {} gwei", gwei(wei)),
                );
                format!(
                    "gas price {} gwei, base fee {} gwei, {blob}, {} ago",
                    gwei(row.gas_price_wei),
                    gwei(row.base_fee_wei),
                    ago(age)
                )
            }
        };
        Self { newest, window, hours, in_words }
    }
}

/// Wei in gwei, to three digits after the point and never to 0 where it is something.
pub(super) fn gwei(wei: u64) -> String {
    let (whole, rest) = (wei / 1_000_000_000, wei % 1_000_000_000);
    if wei > 0 && wei < 1_000_000 {
        return format!("0.{wei:09}").trim_end_matches('0').to_owned();
    }
    let text = format!("{whole}.{:03}", rest / 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_prices_are_not_nothing() {
        for (wei, words) in [
            (0, "0"),
            (1, "0.000000001"),
            (1_500_000, "0.001"),
            (2_000_000_000, "2"),
            (31_415_926_535, "31.415"),
            (999_999, "0.000999999"),
        ] {
            assert_eq!(gwei(wei), words);
        }
    }

    #[test]
    fn a_price_has_its_age() {
        let row = GasRow {
            minute: 100,
            block_number: 5,
            gas_price_wei: 2_000_000_000,
            base_fee_wei: 1_500_000_000,
            blob_base_fee_wei: Some(1),
        };
        let view = GasView::new(Some(row), GasSums::default(), vec![], 105 * 60_000);
        assert_eq!(
            view.in_words,
            "gas price 2 gwei, base fee 1.5 gwei, blob base fee 0.000000001 gwei, 5 m ago"
        );
        let none = GasView::new(None, GasSums::default(), vec![], 0);
        assert_eq!(none.in_words, "not known: no execution node has said it yet ([execution] url)");
    }
}
