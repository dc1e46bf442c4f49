//! Which part of a line with a mistake is shown: short enough for a terminal, and never one that may hold a secret. More people read a
//! log than the file: an address may hold a password or an account, a header an API key.

use super::{Excerpt, Mark, Mistake, keys};

/// What is shown of a mistake's line, where anything may be. `place` is its line, column and length in the text.
pub(super) fn excerpt_of(
    text: &str,
    mistake: &Mistake,
    (line, column, length): (usize, usize, usize),
) -> Option<Excerpt> {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let (line, column) = public_part(line, column, length, mistake)?;
    let (text, column, length) = cut(&line, column, length);
    Some(Excerpt { text, column, length })
}

/// What may be shown of a line, and the column of the mark in it. Of an unknown key that could be meant for a secret, its name alone.
fn public_part(line: &str, column: usize, length: usize, mistake: &Mistake) -> Option<(String, usize)> {
    let trimmed = line.trim();
    let has_text = trimmed.contains(['=', '"', '\'']);
    let is_heading = trimmed.starts_with('[') && !has_text && !trimmed.contains(['{', ',']);
    if is_heading {
        return Some((line.to_owned(), column));
    }
    // An address, or several keys in one line, of which each may be such a one.
    let is_doubtful = trimmed.contains("://") || trimmed.contains(['@', '{']);
    let name_alone = || {
        let name: String = line.chars().skip(column.saturating_sub(1)).take(length).collect();
        let own = mistake.key.rsplit('.').next().unwrap_or_default();
        (name.trim_matches(['"', '\'']) == own).then(|| (format!("{name} = …"), 1))
    };
    match mistake.mark {
        // Not TOML: what stands behind an equals sign may be anything.
        _ if mistake.key.is_empty() => (!is_doubtful && !has_text).then(|| (line.to_owned(), column)),
        Mark::Key if is_doubtful || keys::may_be_meant_for_a_secret(&mistake.key) => name_alone(),
        Mark::Value if is_doubtful || keys::may_hold_a_secret(&mistake.key) => None,
        Mark::Key | Mark::Value => Some((line.to_owned(), column)),
    }
}

/// Most characters of a line that are shown: with the gutter they fit a terminal of 80 columns.
const EXCERPT: usize = 72;

/// A line short enough to be shown with its mark beneath it. Relays' URLs are longer than a terminal is wide: the marked place is kept,
/// what is cut is shown as `…`. A tab is shown as one blank, so that the mark stands below its place.
fn cut(line: &str, column: usize, length: usize) -> (String, usize, usize) {
    let line: Vec<char> = line.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
    let start = column.saturating_sub(1).min(line.len());
    // A quarter of the room before the mark, for what it stands in.
    let from = if line.len() <= EXCERPT { 0 } else { start.saturating_sub(EXCERPT / 4) };
    let mut shown: Vec<char> = line.iter().skip(from).take(EXCERPT).copied().collect();
    if from + shown.len() < line.len()
        && let Some(last) = shown.last_mut()
    {
        *last = '…';
    }
    if from > 0
        && let Some(first) = shown.first_mut()
    {
        *first = '…';
    }
    let column = start - from + 1;
    let room = shown.len().saturating_sub(column - 1);
    (shown.into_iter().collect(), column, length.min(room.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a mistake shows, with `s3cret` where it must not be seen.
    #[test]
    fn no_line_that_may_hold_a_secret_is_shown() {
        let relay = "[[relays]]\nid = \"a\"\nurl = \"https://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@a.example.org\"\n";
        for (name, text) in [
            ("a url that is none", "[execution]\nurl = \"ftp://me:s3cret@node\"\n"),
            ("without scheme", "[beacon]\nurl = \"me:s3cret@node\"\n"),
            ("a proxy", "[tls]\nproxy = \"me:s3cret\"\n"),
            ("of a wrong type", "execution = \"http://me:s3cret@node\"\n"),
            ("an inline table of a wrong type", "tls = \"s3cret\"\n"),
            ("a misspelt key", "[execution]\nurll = \"http://me:s3cret@node\"\n"),
            ("a misspelt key, no address", "[tls]\nprxy = \"s3cret\"\n"),
            ("a key nobody knows", "[ops]\npassphrase = \"s3cret\"\n"),
            ("a key at the top", "infura_token = \"s3cret\"\n"),
            ("without quotes", "[execution]\nurl = http://me:s3cret@node\n"),
            ("without an end", "[execution]\nurl = \"http://me:s3cret@node\n"),
            ("twice", "[execution]\nurl = \"http://a\"\nurl = \"http://me:s3cret@node\"\n"),
            ("a misspelt inline table", "execution = { ur = \"http://me:s3cret@node\" }\n"),
            (
                "a builder's",
                "[bundles]\nlisten = \"127.0.0.1:1\"\n[[bundles.builders]]\nid = \"b\"\nurl = \"s3cret\"\n",
            ),
            (
                "a loader's",
                "[[proposers]]\nloader = { kind = \"lido\", rpc_url = \"s3cret\", operator_id = \"s3cret\" }\n",
            ),
            ("a list's", "[[proposers]]\npubkeys_url = \"s3cret\"\n"),
        ] {
            let said = mistakes_of(&format!("{text}{relay}"));
            assert!(!said.contains("s3cret") && said.contains("relays.toml:"), "{name}: {said}");
        }
        for line in [
            "headers = \"Bearer s3cret\"",
            "headers = { \"a b\" = \"s3cret\" }",
            "headers = { X-Api-Key = [\"s3cret\"] }",
            "hedaers = { X-Api-Key = \"s3cret\" }",
            "get_params = \"id=s3cret\"",
            "get_params = { id = [\"s3cret\"] }",
            "auth = \"s3cret\"",
            "id = \"a b\", headers = { X = \"s3cret\" }",
            "[relays.headers]\nX-Api-Key = s3cret",
            "[relays.headers]\nX-Api-Key = [\"s3cret\"]",
            "[relays.get_params]\nid = s3cret",
        ] {
            let said = mistakes_of(&format!("{relay}{line}\n"));
            assert!(!said.contains("s3cret") && said.contains("relays.toml:"), "{line}: {said}");
        }
        // A number is a secret, too.
        assert!(!mistakes_of(&format!("{relay}headers = {{ X-Pin = 48151623 }}\n")).contains("48151623"));
    }

    #[test]
    fn harmless_lines_are_shown_with_their_mark() {
        for (text, part) in [
            (
                "[auction]\nmin_bid_eth = \"much\"\n",
                " 2 | min_bid_eth = \"much\"\n   |               ^^^^^^\n",
            ),
            ("netwrok = \"hoodi\"\n", " 1 | netwrok = \"hoodi\"\n   | ^^^^^^^\n"),
            ("[auktion]\n", " 1 | [auktion]\n   |  ^^^^^^^\n"),
            ("  [ops]\n  colour = \"red\"\n", " 2 | colour = …\n   | ^^^^^^\n"),
            ("this is not TOML\n", " 1 | this is not TOML\n"),
        ] {
            let said = mistakes_of(text);
            assert!(said.contains(part), "{text}: {said}");
        }
    }

    fn mistakes_of(text: &str) -> String {
        crate::config::Config::parse(text, std::path::Path::new("relays.toml"), &[], &[])
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_long_line_is_cut_around_its_mark() {
        assert_eq!(cut("network = \"x\"", 11, 3), ("network = \"x\"".to_owned(), 11, 3));
        let line = format!("url = \"https://0x{}@relay.example.org\"", "ab".repeat(48));
        let (shown, column, length) = cut(&line, 7, line.len() - 6);
        assert_eq!((shown.chars().count(), column), (EXCERPT, 7));
        assert!(shown.starts_with("url = \"https://0xab") && shown.ends_with('…'));
        assert_eq!(column - 1 + length, EXCERPT);
        let (shown, column, _) = cut(&line, 120, 3);
        assert!(shown.starts_with('…') && shown.ends_with("example.org\""), "{shown}");
        assert_eq!(shown.chars().nth(column - 1), line.chars().nth(119));
        assert_eq!(cut("\tx", 2, 1), (" x".to_owned(), 2, 1));
        assert_eq!(cut("", 1, 0), (String::new(), 1, 0));
    }
}
