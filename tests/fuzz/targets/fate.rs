//! What became of an input.

/// What became of a case's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It decoded, and everything asserted of it held.
    Decoded,
    /// It was refused.
    Refused,
}

impl From<bool> for Fate {
    fn from(is_decoded: bool) -> Self {
        if is_decoded { Self::Decoded } else { Self::Refused }
    }
}

/// What an encoding of what was decoded may weigh: a multiple of what came, as an empty transaction of four bytes is `"0x",` in JSON, and
/// what is there whatever the contents are.
pub(crate) fn assert_bounded(came: &[u8], encoded: &[u8]) {
    assert!(encoded.len() <= came.len() * 8 + 16 * 1024, "{} bytes became {}", came.len(), encoded.len());
}
