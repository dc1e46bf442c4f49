//! How deep a JSON text nests, found in one pass without parsing it.

/// Whether a JSON text nests deeper than `limit` arrays and objects. A text that is not JSON is for the parser to refuse.
pub(super) fn is_deeper_than(text: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_strings() {
        for (text, depth) in [
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[1,{"b":[]}]}"#, 4),
            (r#"["[[[[","\"[[[","\\"]"#, 1),
            ("[[],[],[[]]]", 3),
        ] {
            assert!(!is_deeper_than(text.as_bytes(), depth), "{text}");
            assert!(depth == 0 || is_deeper_than(text.as_bytes(), depth - 1), "{text}");
        }
    }
}
