//! What each upstream shows, and how late that may be.
//!
//! What comes by a websocket comes in order, but may come late: an upstream that is behind in telling shows the chain as it was, also a branch that
//! it has left since, as have all. So its word for another branch than the one told counts only if it is later than what was told: the upstream has shown a
//! told block of the branch itself and then another one, or it was asked for its newest block when that was told already, by the same websocket, and
//! has answered. Else it is in doubt, and is asked.

use std::{collections::BTreeMap, sync::Arc};

use crate::gateway::subscriptions::block::Block;

/// What an upstream shows.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// Its newest block.
    pub(super) block: Arc<Block>,
    /// The number of the newest told block than which this is known to be later. It was not left since.
    later_than: Option<u64>,
    /// The last question that it answered.
    answered: Option<u64>,
    /// Whether this block was the answer.
    is_answer: bool,
}

impl Claim {
    /// Whether it is later than the told block of a number. A block that was told and `left` may be told late even where that is so: it must be the answer.
    pub(super) fn is_later_than(&self, number: u64, is_left: bool) -> bool {
        self.later_than.is_some_and(|known| known >= number) && (self.is_answer || !is_left)
    }
}

/// What upstreams are asked: for their newest blocks.
#[derive(Clone, Copy, Debug)]
struct Question {
    number: u64,
    /// The number of the block told last when it was asked.
    asked_at: u64,
}

/// What all upstreams show.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    all: BTreeMap<usize, Claim>,
    questions: u64,
    open: Option<Question>,
}

impl Claims {
    /// An upstream shows a block: by itself, or as its answer to a question.
    pub(super) fn show(&mut self, place: usize, block: Arc<Block>, answers: Option<u64>) {
        let before = self.all.remove(&place);
        let (mut later_than, mut answered) =
            before.map_or((None, None), |before| (before.later_than, before.answered));
        if let Some(question) = self.open.filter(|question| answers == Some(question.number)) {
            later_than = later_than.max(Some(question.asked_at));
            answered = Some(question.number);
        }
        let is_answer = answers.is_some() && answers == answered;
        self.all.insert(place, Claim { block, later_than, answered, is_answer });
    }

    /// An upstream answered a question, and not by a block: what it shows is all that it has.
    pub(super) fn answer_without_block(&mut self, place: usize, question: u64) {
        if let Some(claim) = self.all.get(&place) {
            let block = Arc::clone(&claim.block);
            self.show(place, block, Some(question));
        }
    }

    /// Whoever has not answered the open question will not: its word is taken.
    pub(super) fn give_up_asking(&mut self) {
        let Some(question) = self.open else { return };
        for claim in self.all.values_mut().filter(|claim| claim.answered != Some(question.number)) {
            claim.later_than = claim.later_than.max(Some(question.asked_at));
            claim.answered = Some(question.number);
        }
    }

    /// Whether there was one.
    pub(super) fn remove(&mut self, place: usize) -> bool {
        self.all.remove(&place).is_some()
    }

    /// By their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Claim)> {
        self.all.iter().map(|(place, claim)| (*place, claim))
    }

    /// Which of them show a block that was told.
    pub(super) fn note_told(&mut self, is_told: impl Fn(&Block) -> bool) {
        for claim in self.all.values_mut().filter(|claim| is_told(&claim.block)) {
            claim.later_than = claim.later_than.max(Some(claim.block.number()));
        }
    }

    /// All told blocks from a number on are none any more: nothing is known to be later than those that took their place.
    pub(super) fn note_left(&mut self, from: u64) {
        self.open = None;
        for claim in self.all.values_mut() {
            claim.later_than = claim.later_than.filter(|number| *number < from);
        }
    }

    /// The question whose answers are waited for.
    pub(super) fn question(&self) -> Option<u64> {
        self.open.map(|question| question.number)
    }

    /// Claims are in doubt, as to whether they are later than the told block of a number: the question to be asked, unless it has been and somebody
    /// has still to answer it.
    pub(super) fn ask(&mut self, doubted: &[usize], number: u64, tip: u64) -> Option<u64> {
        let is_waited_for = self.open.is_some_and(|question| {
            let answers = |place: &usize| self.all.get(place).and_then(|claim| claim.answered);
            question.asked_at >= number && doubted.iter().any(|place| answers(place) != Some(question.number))
        });
        if is_waited_for {
            return None;
        }
        self.questions += 1;
        self.open = Some(Question { number: self.questions, asked_at: tip });
        Some(self.questions)
    }

    /// Nobody's word is in doubt any more.
    pub(super) fn close(&mut self) {
        self.open = None;
    }
}
