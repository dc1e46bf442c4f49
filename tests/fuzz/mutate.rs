//! Damage: of bytes, of JSON's structure, of lines.

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

/// Largest input: what is spliced and repeated stays of the size of the inputs it comes from.
const MAX_BYTES: usize = 512 * 1024;

/// Texts that parsers stumble over, in JSON and in TOML.
const TOKENS: [&str; 30] = [
    "",
    "0",
    "-1",
    "1e400",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "0.1",
    "99999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
    "NaN",
    "inf",
    "null",
    "true",
    "\"\"",
    "\"0x\"",
    "\"0xzz\"",
    "\"18446744073709551616\"",
    "\"+1\"",
    "\"\\u0031\"",
    "\"\\ud800\"",
    "\"-1\"",
    "{}",
    "[]",
    "[[]]",
    "{\"\":{}}",
    ",",
    "\\",
    "\"",
    "\u{0}",
    "é🦀\u{2028}",
];

/// One to four damages of the bytes; `others` are spliced in.
pub(crate) fn bytes(random: &mut StdRng, input: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..random.random_range(1..=4) {
        damage(random, &mut out, others);
    }
    out.truncate(MAX_BYTES);
    out
}

fn damage(random: &mut StdRng, out: &mut Vec<u8>, others: &[Vec<u8>]) {
    let at = random.random_range(0..=out.len());
    let end = (at + random.random_range(0..=64)).min(out.len());
    match random.random_range(0..9) {
        // A bit or a byte: most of such objects still decode.
        0 | 1 => {
            if let Some(byte) = out.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
        2 => {
            if let Some(byte) = out.get_mut(at) {
                *byte = random.random();
            }
        }
        // Four aligned bytes: offsets of SSZ.
        3 => {
            let length = u32::try_from(out.len()).unwrap();
            let at = at / 4 * 4;
            if let Some(place) = out.get_mut(at..at + 4) {
                let before = u32::from_le_bytes(place[..4].try_into().unwrap());
                let values = [
                    0,
                    1,
                    4,
                    u32::MAX,
                    u32::MAX / 2,
                    length,
                    length + 1,
                    before.wrapping_add(1),
                    before.wrapping_sub(4),
                ];
                place.copy_from_slice(&values.choose(random).unwrap().to_le_bytes());
            }
        }
        4 => out.truncate(at),
        5 => drop(out.drain(at..end)),
        6 => {
            let part = out[at..end].to_vec();
            let many = part.repeat(random.random_range(1..=8));
            out.splice(at..at, many);
        }
        7 => {
            let other = others.choose(random).map_or(&[][..], Vec::as_slice);
            let from = random.random_range(0..=other.len());
            let to = if random.random() { other.len() } else { (from + 200).min(other.len()) };
            out.splice(at..end, other[from..to].iter().copied());
        }
        _ => {
            let token = TOKENS.choose(random).unwrap().bytes();
            out.splice(at..end, token);
        }
    }
}

/// Damage of a JSON text: of its structure, of its bytes, or of both.
pub(crate) fn json(random: &mut StdRng, input: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let mut out = input.to_vec();
    if random.random_ratio(3, 4)
        && let Ok(mut value) = serde_json::from_slice::<Value>(&out)
    {
        let donor = others.choose(random).and_then(|other| serde_json::from_slice(other).ok());
        for _ in 0..random.random_range(1..=3) {
            let donor = donor.as_ref().unwrap_or(&Value::Null);
            change(random, &mut value, donor);
        }
        out = serde_json::to_vec(&value).unwrap();
        if random.random_ratio(2, 3) {
            return finish(random, out);
        }
    }
    out = bytes(random, &out, others);
    finish(random, out)
}

/// What a tree cannot say: nesting deeper than any parser of trees allows, a key twice, a character as an escape.
fn finish(random: &mut StdRng, mut out: Vec<u8>) -> Vec<u8> {
    match random.random_range(0..24) {
        0 => {
            let (open, close) = *[(&b"["[..], &b"]"[..]), (b"{\"a\":", b"}")].choose(random).unwrap();
            let depth = *[31, 33, 127, 129, 20_000].choose(random).unwrap();
            let nest = [
                open.repeat(depth),
                b"1".to_vec(),
                if random.random() { close.repeat(depth) } else { Vec::new() },
            ]
            .concat();
            let places: Vec<usize> = (0..out.len()).filter(|at| out[*at] == b':').map(|at| at + 1).collect();
            let at = places.choose(random).copied().unwrap_or(0);
            out.splice(at..at, nest);
        }
        1 => {
            let text = String::from_utf8_lossy(&out).into_owned();
            let key = *["\"version\":", "\"slot\":", "\"message\":", "\"id\":", "\"method\":", "\"txs\":"]
                .choose(random)
                .unwrap();
            out = text.replacen(key, &format!("{key}\"1\",{key}"), 1).into_bytes();
        }
        2 => {
            let places: Vec<usize> = (1..out.len())
                .filter(|at| out[*at].is_ascii_alphanumeric() && out[*at - 1] == b'"')
                .collect();
            if let Some(at) = places.choose(random).copied() {
                let escape = format!("\\u{:04x}", out[at]);
                out.splice(at..=at, escape.into_bytes());
            }
        }
        _ => {}
    }
    out.truncate(MAX_BYTES);
    out
}

/// Every place of a tree, root first, walked without recursion.
fn places(value: &Value) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![(String::new(), value)]);
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Array(items) => {
                open.extend(items.iter().take(64).enumerate().map(|(n, item)| (format!("{path}/{n}"), item)));
            }
            Value::Object(map) => {
                open.extend(map.iter().map(|(key, item)| {
                    (format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), item)
                }))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        found.push(path);
    }
    found
}

fn change(random: &mut StdRng, root: &mut Value, donor: &Value) {
    let path = places(root).choose(random).unwrap().clone();
    let foreign = places(donor).choose(random).and_then(|path| donor.pointer(path)).cloned();
    let Some(place) = root.pointer_mut(&path) else { return };
    match (random.random_range(0..8), &mut *place) {
        (0 | 1, Value::String(text)) => spoil(random, text),
        (2 | 3, Value::Array(items)) => list(random, items),
        (2 | 3, Value::Object(map)) => object(random, map, foreign),
        (4, _) => *place = foreign.unwrap_or_default(),
        (5, Value::Object(map)) => *place = Value::Array(map.values().cloned().collect()),
        (5, _) => *place = json!([place.take()]),
        (6, Value::String(text)) if text.parse::<f64>().is_ok() => {
            *place = serde_json::from_str(text).unwrap_or_default();
        }
        (7, _) => {
            let depth = random.random_range(1..100);
            *place = (0..depth).fold(place.take(), |inner, _| json!([inner]));
        }
        _ => {
            *place = [
                json!(null),
                json!(true),
                json!(-1),
                json!(u64::MAX),
                json!(1.5e300),
                json!(""),
                json!("0x"),
                json!([]),
                json!({}),
                json!("115792089237316195423570985008687907853269984665640564039457584007913129639936"),
                json!("9".repeat(5000)),
            ]
            .choose(random)
            .unwrap()
            .clone();
        }
    }
}

fn spoil(random: &mut StdRng, text: &mut String) {
    *text = match random.random_range(0..7) {
        0 => text.to_uppercase(),
        1 => text.trim_start_matches("0x").to_owned(),
        2 => text.chars().take(random.random_range(0..=text.len())).collect(),
        3 => format!("{text}0"),
        4 => format!("{text}{text}"),
        5 => format!("0{text}"),
        _ => text.chars().map(|c| if c == '0' { '1' } else { c }).collect(),
    };
}

fn list(random: &mut StdRng, items: &mut Vec<Value>) {
    let Some(item) = items.choose(random).cloned() else { return items.push(json!(0)) };
    match random.random_range(0..3) {
        0 => drop(items.pop()),
        1 => items.push(item),
        _ => {
            let size = item.to_string().len().max(1);
            let most = (MAX_BYTES / 8 / size).min(*[17, 101, 1001, 5000].choose(random).unwrap());
            items.extend(std::iter::repeat_n(item, most));
        }
    }
}

fn object(random: &mut StdRng, map: &mut Map<String, Value>, foreign: Option<Value>) {
    let keys: Vec<String> = map.keys().cloned().collect();
    let key = keys.choose(random).cloned().unwrap_or_default();
    match random.random_range(0..4) {
        0 => drop(map.remove(&key)),
        1 => drop(map.insert("unknown".to_owned(), foreign.unwrap_or_default())),
        2 => {
            let value = map.remove(&key).unwrap_or_default();
            map.insert(key.to_uppercase(), value);
        }
        _ => {
            let value = map.get(keys.choose(random).unwrap_or(&key)).cloned().unwrap_or_default();
            map.insert(key, value);
        }
    }
}

/// Damage of a text of lines with `key = value` or `key: value`, as TOML and YAML are written.
pub(crate) fn lines(random: &mut StdRng, input: &str, others: &[Vec<u8>]) -> String {
    let mut lines: Vec<String> = input.lines().map(str::to_owned).collect();
    for _ in 0..random.random_range(1..=4) {
        if lines.is_empty() {
            break;
        }
        let at = random.random_range(0..lines.len());
        let line = lines[at].clone();
        match random.random_range(0..7) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(random.random_range(0..=at), line),
            2 => {
                let other = String::from_utf8_lossy(others.choose(random).map_or(&[][..], Vec::as_slice))
                    .into_owned();
                let theirs: Vec<&str> = other.lines().collect();
                lines.insert(at, theirs.choose(random).copied().unwrap_or_default().to_owned());
            }
            3 => {
                let separator = if line.contains('=') { '=' } else { ':' };
                let key = line.split(separator).next().unwrap_or_default();
                let deep = "[".repeat(*[3, 79, 81, 5000].choose(random).unwrap());
                let value =
                    if random.random_ratio(1, 8) { deep.as_str() } else { TOKENS.choose(random).unwrap() };
                lines[at] = format!("{key}{separator} {value}");
            }
            4 => lines[at] = format!("{}{line}", "a.".repeat(*[1, 10, 200].choose(random).unwrap())),
            5 => lines[at] = line.replace(char::is_numeric, TOKENS.choose(random).unwrap()),
            _ => {
                lines[at] = String::from_utf8_lossy(&bytes(random, line.as_bytes(), others)).into_owned();
            }
        }
    }
    lines.join("\n")
}
