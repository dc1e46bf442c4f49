//! The sessions of one connection: a proxy sends calls of several clients over one, and what one was told binds no other.

use parking_lot::Mutex;

use crate::gateway::{ClientId, Session};

/// Most clients of one connection that are remembered. Arbitrary: the one that came longest ago is forgotten first, and is told no less for it by a
/// node that has not fallen behind.
const MOST: usize = 64;

/// The sessions of one connection, by their clients.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Vec<Session>>);

impl Sessions {
    /// A client's own.
    pub(super) fn of(&self, client: &ClientId) -> Session {
        let mut sessions = self.0.lock();
        let session = match sessions.iter().position(|session| session.client() == client) {
            Some(place) => sessions.remove(place),
            None => Session::new(client.clone()),
        };
        if sessions.len() >= MOST {
            sessions.remove(0);
        }
        sessions.push(session.clone());
        session
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_client_has_its_own_and_the_oldest_is_forgotten() {
        let sessions = Sessions::default();
        let token = |number: usize| ClientId::Token(Arc::from(number.to_string()));
        sessions.of(&ClientId::Own).note_latest(9);
        sessions.of(&token(0)).note_latest(5);
        assert_eq!((sessions.of(&ClientId::Own).latest(), sessions.of(&token(1)).latest()), (9, 0));
        for number in 2..MOST - 1 {
            sessions.of(&ClientId::Own);
            sessions.of(&token(number));
        }
        assert_eq!((sessions.of(&token(0)).latest(), sessions.of(&ClientId::Own).latest()), (5, 9));
        sessions.of(&token(1000));
        assert_eq!((sessions.of(&token(1)).latest(), sessions.0.lock().len()), (0, MOST));
    }
}
