//! What answers are found by: a method and its parameters, written in one way. Spaces between values and the case of hexadecimal digits, which clients
//! write as they like (checksums of addresses), make no other call of it. The order of an object's members does.

use std::sync::Arc;

use crate::gateway::RpcCall;

/// Longest parameters of a call whose answer is kept, in bytes. Arbitrary: what is longer hardly comes twice.
const MAX_PARAMS_BYTES: usize = 4096;

/// A method and its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    method: Arc<str>,
    params: Box<[u8]>,
}

impl Key {
    /// Of a call that has one.
    pub(super) fn of(call: &RpcCall) -> Self {
        Self { method: Arc::clone(&call.method), params: canonical(&call.params).into() }
    }

    /// Whether a call is short enough.
    pub(super) fn fits(call: &RpcCall) -> bool {
        call.params.len() <= MAX_PARAMS_BYTES
    }

    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.method.len() + self.params.len()
    }
}

/// JSON text without what says nothing.
fn canonical(json: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'"' => {
                let (inside, after) = after.split_at(string_length(after));
                rest = after;
                text.push(b'"');
                if is_hex(inside) {
                    text.extend(inside.iter().map(u8::to_ascii_lowercase));
                } else {
                    text.extend_from_slice(inside);
                }
                // The quotation mark at the end, where the text is whole.
                if let Some((&end, after)) = rest.split_first() {
                    text.push(end);
                    rest = after;
                }
            }
            _ => text.push(byte),
        }
    }
    text
}

/// Bytes up to the quotation mark that ends a string.
fn string_length(text: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = text.iter().position(|&byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.unwrap_or(text.len())
}

fn is_hex(text: &[u8]) -> bool {
    text.strip_prefix(b"0x").is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn spaces_and_the_case_of_digits_say_nothing_and_all_else_does() {
        for (json, want) in [
            (r#" [ "0xAbC" , "latest" ] "#, r#"["0xabc","latest"]"#),
            ("[{\"to\":\t\"0xDE\",\r\n\"note\": \"0xDE \"}]", r#"[{"to":"0xde","note":"0xDE "}]"#),
            (r#"["a \" b", "\\", "0xAG", "0XAB", "x"]"#, r#"["a \" b","\\","0xAG","0XAB","x"]"#),
            (r#"["0x"]"#, r#"["0x"]"#),
            (r#"["cut off"#, r#"["cut off"#),
            ("\"", "\""),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8(canonical(json.as_bytes())).unwrap(), want);
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            "0x[0-9a-f]{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[a-zA-Z]{1,8}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_means_the_same_however_it_was_spaced(value in value()) {
            let (tight, wide) = (value.to_string(), serde_json::to_string_pretty(&value).unwrap());
            let written = canonical(wide.as_bytes());
            prop_assert_eq!(&written, &canonical(tight.as_bytes()));
            // The digits are in lower case already, so that nothing else may have changed.
            prop_assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), value);
        }
    }
}
