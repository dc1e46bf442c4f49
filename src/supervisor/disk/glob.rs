//! Patterns for the names of files: `*` and `?`, and every other byte stands for itself. They are for names, never for paths.

use std::fmt;

/// Longest pattern: a name has no more bytes.
const MAX_BYTES: usize = 255;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<Piece>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Any,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobFault {
    /// Nothing, or more bytes than a name has.
    #[error("is empty or longer than 255 bytes")]
    Length,
    /// It has a slash: it would be a path.
    #[error("has a slash: it is compared with the name of a file alone")]
    Slash,
    /// It has signs that other programs' patterns give a meaning.
    #[error("has one of [ ] {{ }} \\ or !: only * and ? have a meaning here")]
    Sign,
    /// It fits every name.
    #[error("fits every name")]
    Everything,
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is none, or fits every name.
    pub fn parse(text: &str) -> Result<Self, GlobFault> {
        if text.is_empty() || text.len() > MAX_BYTES {
            return Err(GlobFault::Length);
        }
        if text.contains(['/', '\0']) {
            return Err(GlobFault::Slash);
        }
        if text.contains(['[', ']', '{', '}', '\\', '!']) {
            return Err(GlobFault::Sign);
        }
        let pieces: Vec<Piece> = text
            .bytes()
            .map(|byte| match byte {
                b'*' => Piece::Any,
                b'?' => Piece::One,
                byte => Piece::Byte(byte),
            })
            .collect();
        // `*.*` fits nearly every name, too.
        let says = |piece: &Piece| matches!(piece, Piece::Byte(byte) if *byte != b'.');
        if !pieces.iter().any(says) {
            return Err(GlobFault::Everything);
        }
        Ok(Self(pieces))
    }

    /// Whether a name fits. Takes no longer than the product of both lengths.
    pub fn matches(&self, name: &[u8]) -> bool {
        let (mut piece, mut byte) = (0, 0);
        // Where the last `*` stands, and how much of the name it has taken.
        let mut star: Option<(usize, usize)> = None;
        while byte < name.len() {
            match self.0.get(piece) {
                Some(Piece::Any) => {
                    star = Some((piece, byte));
                    piece += 1;
                }
                Some(Piece::One) => (piece, byte) = (piece + 1, byte + 1),
                Some(Piece::Byte(want)) if name.get(byte) == Some(want) => {
                    (piece, byte) = (piece + 1, byte + 1);
                }
                Some(Piece::Byte(_)) | None => {
                    let Some((at, taken)) = star else { return false };
                    star = Some((at, taken + 1));
                    (piece, byte) = (at + 1, taken + 1);
                }
            }
        }
        self.0.iter().skip(piece).all(|piece| *piece == Piece::Any)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.iter().map(|piece| match piece {
            Piece::Byte(byte) => *byte,
            Piece::One => b'?',
            Piece::Any => b'*',
        });
        f.write_str(&String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_fit_or_not() {
        for (glob, name, want) in [
            ("*.log.*", "geth.log.1", true),
            ("*.log.*", "geth.log", false),
            ("*.log.*", ".log.", true),
            ("core.*", "core.1234", true),
            ("core.*", "score.1234", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a\nb\"c", true),
            ("*.tar*", "x.tar.zst", true),
        ] {
            assert_eq!(Glob::parse(glob).unwrap().matches(name.as_bytes()), want, "{glob} {name}");
        }
    }

    #[test]
    fn what_is_no_pattern_for_names_is_refused() {
        for (text, want) in [
            ("", GlobFault::Length),
            ("a/b", GlobFault::Slash),
            ("../x", GlobFault::Slash),
            ("[ab]", GlobFault::Sign),
            ("{a,b}", GlobFault::Sign),
            ("*", GlobFault::Everything),
            ("*.*", GlobFault::Everything),
            ("??", GlobFault::Everything),
        ] {
            assert_eq!(Glob::parse(text), Err(want), "{text}");
        }
        assert_eq!(Glob::parse("*.log.?").unwrap().to_string(), "*.log.?");
    }

    proptest! {
        /// The plain definition of what a pattern means.
        #[test]
        fn it_means_what_it_says(glob in "[ab*?]{1,8}", name in "[ab]{0,8}") {
            fn fits(glob: &[u8], name: &[u8]) -> bool {
                match glob.split_first() {
                    None => name.is_empty(),
                    Some((b'*', rest)) => (0..=name.len()).any(|taken| fits(rest, &name[taken..])),
                    Some((b'?', rest)) => !name.is_empty() && fits(rest, &name[1..]),
                    Some((byte, rest)) => name.first() == Some(byte) && fits(rest, &name[1..]),
                }
            }
            if let Ok(parsed) = Glob::parse(&glob) {
                prop_assert_eq!(parsed.matches(name.as_bytes()), fits(glob.as_bytes(), name.as_bytes()));
            }
        }
    }
}
