//! What the demo shows: lines of at most 80 columns, amounts with four digits that count, colours where a terminal wants them.

use std::{
    cell::Cell,
    fmt::Display,
    io::{ErrorKind, Write},
    time::Duration,
};

use alloy_primitives::U256;
use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};

use super::tally::Tally;
use crate::{
    events::{AuctionRecord, BidOutcome},
    types::Wei,
};

/// Width of everything that is printed.
pub(super) const WIDTH: usize = 80;
const ETH_DECIMALS: usize = 18;
/// Digits of an amount that count.
const DIGITS: usize = 4;

/// How a slot ended for the proposer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By a relay's block.
    Paid,
    /// By a block of its own.
    Local,
    /// Not at all.
    Lost,
}

impl Ending {
    fn shown(self) -> (&'static str, Style) {
        let (text, colour) = match self {
            Self::Paid => ("paid", AnsiColor::Green),
            Self::Local => ("local", AnsiColor::Yellow),
            Self::Lost => ("LOST", AnsiColor::Red),
        };
        (text, colour.on_default())
    }
}

/// Standard output, as long as somebody reads it.
#[derive(Debug)]
pub(super) struct Screen {
    is_read: Cell<bool>,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { is_read: Cell::new(true) }
    }

    /// Prints a line, colours only where the output is a terminal and `NO_COLOR` is not set. Once the reader has gone, nothing.
    pub(super) fn say(&self, text: impl Display) {
        if !self.is_read() {
            return;
        }
        let written = writeln!(anstream::stdout().lock(), "{text}");
        if written.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
            self.is_read.set(false);
        }
    }

    /// Whether somebody may still read it. After `| head -1` nobody does, and the demo plays for nobody.
    pub(super) fn is_read(&self) -> bool {
        self.is_read.get()
    }
}

/// The head of the slots' lines.
pub(super) fn head() -> String {
    let head = format!(
        "{:>6}  {:<5}  {:>9}  {:<8}  {:>9}  {:>9}  relays",
        "slot", "block", "ETH", "from", "header ms", "reveal ms"
    );
    format!("{0}{head}{0:#}", Style::new().bold())
}

/// A slot's line.
pub(super) fn line(
    slot: u64,
    ending: Ending,
    value: Option<Wei>,
    record: Option<&AuctionRecord>,
    took: Duration,
    error: &str,
) -> String {
    let (text, style) = ending.shown();
    let value = value.map(four_digits).unwrap_or_default();
    let header_us = record.map(|record| record.answered_in_us);
    let winner = record.and_then(|record| record.winner.as_ref());
    let from = winner.and_then(|winner| winner.relays.first()).map_or("", |relay| relay.as_str());
    let header = header_us.map(tenths).unwrap_or_default();
    let whole_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let reveal =
        winner.map(|_| tenths(whole_us.saturating_sub(header_us.unwrap_or_default()))).unwrap_or_default();
    let before = format!("{slot:>6}  ");
    let after = format!("  {value:>9}  {from:<8}  {header:>9}  {reveal:>9}  ");
    let used = before.len() + 5 + after.len();
    let notes = if error.is_empty() { record.map(notes).unwrap_or_default() } else { error.to_owned() };
    let notes = cut(&notes, WIDTH.saturating_sub(used));
    format!("{before}{style}{text:<5}{style:#}{after}{notes}")
}

/// How many relays bid, and what the others did.
fn notes(record: &AuctionRecord) -> String {
    let bids = record.answers.iter().filter(|answer| answer.outcome == BidOutcome::Bid).count();
    let mut notes = vec![format!("{bids} {}", if bids == 1 { "bid" } else { "bids" })];
    let others = record
        .answers
        .iter()
        .filter(|answer| !matches!(answer.outcome, BidOutcome::Bid | BidOutcome::NotAsked));
    notes.extend(others.map(|answer| format!("{} {}", answer.relay, answer.outcome)));
    notes.join(", ")
}

/// A text that is told beside the lines, indented, over as many lines as it needs.
pub(super) fn wrapped(text: &str) -> String {
    const INDENT: &str = "        ";
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if INDENT.len() + line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(cut(word, WIDTH - INDENT.len())),
        }
    }
    lines.iter().map(|line| format!("{INDENT}{line}")).collect::<Vec<_>>().join("\n")
}

/// A text of at most `width` characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// An amount in ETH with four digits that count, rounded to the nearest.
pub(super) fn four_digits(amount: Wei) -> String {
    let wei = amount.as_u256();
    if wei.is_zero() {
        return "0".to_owned();
    }
    let drop = |wei: U256| wei.to_string().len().saturating_sub(DIGITS);
    let scale = U256::from(10).pow(U256::from(drop(wei)));
    let rounded = (wei + scale / U256::from(2)) / scale * scale;
    // Rounding up may have made it longer: 0.99999 is 1.000.
    let decimals = ETH_DECIMALS.saturating_sub(drop(rounded));
    let digits = format!("{rounded:0>width$}", width = ETH_DECIMALS + 1);
    let (whole, fraction) = digits.split_at(digits.len() - ETH_DECIMALS);
    match fraction.get(..decimals) {
        Some(fraction) if !fraction.is_empty() => format!("{whole}.{fraction}"),
        Some(_) | None => whole.to_owned(),
    }
}

/// Microseconds as milliseconds with one digit, rounded to the nearest.
pub(super) fn tenths(us: u64) -> String {
    let tenths = us.saturating_add(50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What each relay did.
pub(super) fn closing_table(tally: &Tally) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(WIDTH).unwrap_or(u16::MAX))
        .set_header(["relay", "asked", "bids", "wins", "published", "mean ms", "faults"]);
    for (relay, seen) in &tally.by_relay {
        let faults: Vec<String> =
            seen.faults.iter().map(|(fault, count)| format!("{fault} × {count}")).collect();
        table.add_row([
            relay.to_string(),
            seen.asked.to_string(),
            seen.bids.to_string(),
            seen.wins.to_string(),
            seen.deliveries.to_string(),
            seen.mean_us().map_or_else(|| "-".to_owned(), tenths),
            faults.join(", "),
        ]);
    }
    table
}

/// The last lines: slots, and money promised against money received.
pub(super) fn summary(tally: &Tally) -> String {
    let (promised, received, settled) = tally.settled();
    let mut lines = vec![format!(
        "{} slots: {} paid by relays ({} ETH), {} built locally, {} lost",
        tally.slots,
        tally.paid_slots,
        four_digits(tally.promised),
        tally.local,
        tally.lost
    )];
    lines.push(format!(
        "on chain, {settled} slots of relays' blocks: {} ETH promised, {} ETH received",
        four_digits(promised),
        four_digits(received),
    ));
    for (slot, relay, short) in tally.shortfalls() {
        lines.push(format!("  slot {slot}: {relay} paid {} ETH less than it promised", four_digits(short)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_digits_count() {
        for (wei, want) in [
            ("0", "0"),
            ("1", "0.000000000000000001"),
            ("12345", "0.00000000000001235"),
            ("65123456789012345", "0.06512"),
            ("90000000000000000", "0.09000"),
            ("99999000000000000", "0.1000"),
            ("999999000000000000", "1.000"),
            ("12345600000000000000", "12.35"),
            ("1234560000000000000000", "1235"),
            ("123456000000000000000000", "123500"),
        ] {
            assert_eq!(four_digits(Wei::parse_wei(wei).unwrap()), want, "{wei}");
        }
    }

    #[test]
    fn lines_fit() {
        assert_eq!(
            (tenths(0), tenths(1_049), tenths(1_050), tenths(999_960)),
            ("0.0".into(), "1.0".into(), "1.1".into(), "1000.0".into())
        );
        let long = "delta is quarantined: ".to_owned() + &"word ".repeat(40);
        let text = wrapped(&long);
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let error = "x".repeat(300);
        let line = line(7, Ending::Lost, None, None, Duration::ZERO, &error);
        let plain: String = anstream::adapter::strip_str(&line).to_string();
        assert_eq!(plain.chars().count(), WIDTH, "{plain}");
        assert_eq!(
            anstream::adapter::strip_str(&head()).to_string().chars().count().min(WIDTH),
            anstream::adapter::strip_str(&head()).to_string().chars().count()
        );
    }
}
