//! What the gateway says of itself, for its page.

use std::{fmt, sync::Arc};

use serde::Serialize;
use serde_json::Value;

/// Shows how the gateway is, as the gateway says it. Cheap to ask: it reads snapshots.
#[derive(Clone)]
pub struct RpcView(Arc<dyn Fn() -> Value + Send + Sync>);

impl RpcView {
    /// A view of what a function says at each look.
    pub fn new<T: Serialize>(show: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self(Arc::new(move || serde_json::to_value(show()).unwrap_or_default()))
    }

    /// What it says now.
    pub(super) fn show(&self) -> Value {
        (self.0)()
    }
}

impl fmt::Debug for RpcView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RpcView")
    }
}
