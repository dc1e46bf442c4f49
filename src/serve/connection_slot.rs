//! What a room remembers of one connection, from its first request to its last.

use std::{
    any::Any,
    sync::{Arc, OnceLock},
};

/// A place for one value, the same in every request of a connection: an extension of them. Clones are of the same connection.
#[derive(Clone, Debug, Default)]
pub struct ConnectionSlot(Arc<OnceLock<Arc<dyn Any + Send + Sync>>>);

impl ConnectionSlot {
    /// The connection's value, made at its first request. A room keeps values of one type: of another, each request has one of its own.
    pub fn get_or_init<T: Send + Sync + 'static>(&self, init: impl Fn() -> T) -> Arc<T> {
        let held = self.0.get_or_init(|| Arc::new(init()));
        Arc::clone(held).downcast().unwrap_or_else(|_| Arc::new(init()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_keeps_its_first_value() {
        let slot = ConnectionSlot::default();
        assert_eq!(*slot.clone().get_or_init(|| 7), 7);
        assert_eq!(*slot.get_or_init(|| 8), 7);
        assert_eq!(*slot.get_or_init(|| "other"), "other");
    }
}
