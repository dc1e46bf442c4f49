//! `eth_getLogs` over more blocks than an upstream looks through at once: asked in parts, and put together again in order.
//!
//! How many blocks an upstream takes is configured, or learned from its own words when it refuses (`lesson`). A part that is refused for its size is
//! cut smaller, within a number of parts that is bounded; if one part fails for another reason, all of it does: logs with a gap are worse than none.
//! Logs are joined as the text they came as; none is read.

mod lesson;
mod limit;
mod part;
mod query;

use std::future::Future;

use bytes::{BufMut, BytesMut};
use futures_util::{StreamExt, stream};

pub use self::{lesson::Lesson, limit::LogsLimit, part::Part, query::LogsQuery};
use super::{RawJson, RpcAnswer, RpcCall};

/// How far one query may be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogsBounds {
    /// Most parts.
    pub parts: usize,
    /// Parts asked for at once.
    pub at_once: usize,
    /// Most bytes of all logs together.
    pub bytes: usize,
}

impl Default for LogsBounds {
    fn default() -> Self {
        Self { parts: 64, at_once: 4, bytes: 32 << 20 }
    }
}

/// Why there are no logs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogsFailure<E> {
    /// A part brought no answer.
    #[error(transparent)]
    Call(E),
    /// More parts would be needed than there may be.
    #[error(
        "{blocks} blocks of logs need {needed} calls of at most {each} blocks, and {most} are allowed: ask for fewer blocks"
    )]
    TooManyParts {
        /// Blocks asked for.
        blocks: u64,
        /// Blocks of one part.
        each: u64,
        /// Parts that it would take.
        needed: u64,
        /// Most parts.
        most: usize,
    },
    /// All logs together are larger than an answer may be.
    #[error("the logs are larger than {limit} bytes: ask for fewer blocks")]
    TooLarge {
        /// Most bytes.
        limit: usize,
    },
    /// A part is no list.
    #[error("what came is no list of logs")]
    NoList,
}

/// The parts of a range, in order, of at most `each` blocks; `None` where they would be more than `most`.
pub fn plan(whole: Part, each: u64, most: usize) -> Option<Vec<Part>> {
    let each = each.max(1);
    if whole.blocks().div_ceil(each) > most as u64 {
        return None;
    }
    let mut parts = Vec::new();
    let mut from = whole.from;
    loop {
        let to = whole.to.min(from.saturating_add(each - 1));
        parts.push(Part { from, to });
        if to >= whole.to {
            return Some(parts);
        }
        from = to.saturating_add(1);
    }
}

/// Lists of logs as one, in their order. `null`, as some nodes say it, is an empty one; `None` where one is no list.
pub fn merge<'a>(lists: impl IntoIterator<Item = &'a RawJson>) -> Option<RawJson> {
    let mut text = BytesMut::new();
    text.put_u8(b'[');
    for list in lists {
        let list = list.as_bytes().trim_ascii();
        if list == b"null" {
            continue;
        }
        let logs = list.strip_prefix(b"[")?.strip_suffix(b"]")?.trim_ascii();
        if !logs.is_empty() {
            if text.len() > 1 {
                text.put_u8(b',');
            }
            text.extend_from_slice(logs);
        }
    }
    text.put_u8(b']');
    Some(RawJson::composed(text.freeze()))
}

/// A part, and its logs once they came.
#[derive(Clone)]
struct Piece {
    part: Part,
    logs: Option<RawJson>,
}

/// Asks one upstream for the logs, in as many parts as it takes. An answer that is an error is a node's own, to the whole or to a part.
///
/// # Errors
/// When a part brings no answer, or bounds are reached.
pub async fn fetch<E, F>(
    query: &LogsQuery,
    limit: &LogsLimit,
    bounds: LogsBounds,
    call: impl Fn(RpcCall) -> F,
) -> Result<RpcAnswer, LogsFailure<E>>
where
    F: Future<Output = Result<RpcAnswer, E>>,
{
    let whole = query.whole();
    let each = limit.blocks().unwrap_or(u64::MAX);
    let too_many = |each: u64| LogsFailure::TooManyParts {
        blocks: whole.blocks(),
        each,
        needed: whole.blocks().div_ceil(each.max(1)),
        most: bounds.parts,
    };
    let parts = plan(whole, each, bounds.parts).ok_or_else(|| too_many(each))?;
    let mut pieces: Vec<Piece> = parts.into_iter().map(|part| Piece { part, logs: None }).collect();
    let mut learned = None;
    loop {
        let open: Vec<usize> = pieces
            .iter()
            .enumerate()
            .filter(|(_, piece)| piece.logs.is_none())
            .map(|(place, _)| place)
            .collect();
        if open.is_empty() {
            break;
        }
        let refused = ask(query, &mut pieces, &open, bounds, &call).await?;
        let Some(Refused { part, error }) = refused else { continue };
        let Some(lesson) = Lesson::of(&error, part) else { return Ok(RpcAnswer::Error(error)) };
        let each = lesson.blocks();
        if let Lesson::Limit(blocks) = lesson {
            learned = Some(blocks);
        }
        // All that is still open, not this part alone: its neighbours would be refused next.
        match cut(&pieces, each, bounds.parts) {
            Some(cut) => pieces = cut,
            None if learned == Some(each) => return Err(too_many(each)),
            // Too many logs, not too many blocks: the node says so best.
            None => return Ok(RpcAnswer::Error(error)),
        }
    }
    // Only now is it known to be one: what was read out of words could be wrong.
    if let Some(blocks) = learned {
        limit.learn(blocks);
    }
    match pieces.as_slice() {
        // As it came.
        [Piece { logs: Some(logs), .. }] => Ok(RpcAnswer::Result(logs.clone())),
        pieces => {
            let lists = pieces.iter().filter_map(|piece| piece.logs.as_ref());
            merge(lists).map(RpcAnswer::Result).ok_or(LogsFailure::NoList)
        }
    }
}

/// A part that the node does not take.
struct Refused {
    part: Part,
    error: super::NodeError,
}

/// Asks for the parts that are open, some at once, until all have come or one is refused. Those under way are given up then.
async fn ask<E, F>(
    query: &LogsQuery,
    pieces: &mut [Piece],
    open: &[usize],
    bounds: LogsBounds,
    call: &impl Fn(RpcCall) -> F,
) -> Result<Option<Refused>, LogsFailure<E>>
where
    F: Future<Output = Result<RpcAnswer, E>>,
{
    let mut bytes: usize =
        pieces.iter().filter_map(|piece| piece.logs.as_ref()).map(|logs| logs.as_bytes().len()).sum();
    let calls: Vec<(usize, Part)> =
        open.iter().filter_map(|&place| pieces.get(place).map(|piece| (place, piece.part))).collect();
    let answers = stream::iter(calls)
        .map(|(place, part)| {
            let answer = call(query.call(part));
            async move { (place, part, answer.await) }
        })
        .buffer_unordered(bounds.at_once.max(1));
    let mut answers = std::pin::pin!(answers);
    while let Some((place, part, answer)) = answers.next().await {
        match answer.map_err(LogsFailure::Call)? {
            RpcAnswer::Error(error) => return Ok(Some(Refused { part, error })),
            RpcAnswer::Result(logs) => {
                bytes = bytes.saturating_add(logs.as_bytes().len());
                if bytes > bounds.bytes {
                    return Err(LogsFailure::TooLarge { limit: bounds.bytes });
                }
                if let Some(piece) = pieces.get_mut(place) {
                    piece.logs = Some(logs);
                }
            }
        }
    }
    Ok(None)
}

/// The same pieces with what is open cut to at most `each` blocks; `None` where they would be too many.
fn cut(pieces: &[Piece], each: u64, most: usize) -> Option<Vec<Piece>> {
    let mut all = Vec::new();
    for piece in pieces {
        if piece.logs.is_some() {
            all.push(piece.clone());
        } else {
            let parts = plan(piece.part, each, most)?;
            all.extend(parts.into_iter().map(|part| Piece { part, logs: None }));
        }
    }
    (all.len() <= most).then_some(all)
}

#[cfg(test)]
mod tests;
