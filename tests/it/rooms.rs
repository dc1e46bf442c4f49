//! The house keeps its shape: imports point downwards only.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Each room's floor. A room may import rooms of lower floors; `sim` stands beside the house and may use any but `app` and `cli`.
const FLOORS: [(&str, u8); 18] = [
    ("types", 0),
    ("consensus", 1),
    ("events", 1),
    ("jsonrpc", 1),
    ("serve", 1),
    ("relay", 2),
    ("ethereum", 2),
    ("ledger", 2),
    ("auction", 3),
    ("profit", 3),
    ("bundles", 3),
    ("builder_api", 4),
    ("ops_api", 4),
    ("config", 5),
    ("sim", 5),
    ("app", 6),
    ("cli", 7),
    ("main", 8),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Rooms named after `crate::` in code: `crate::relay::Relay`, `use crate::{events::Event, types::Slot}`.
fn imported(text: &str) -> Vec<String> {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut word) = (0, String::new());
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => word.clear(),
                    ':' if depth == 0 && !word.is_empty() => {
                        rooms.push(std::mem::take(&mut word));
                    }
                    c if depth == 0 && (c.is_alphanumeric() || c == '_') && rooms.last() != Some(&word) => {
                        word.push(c)
                    }
                    _ => {}
                }
            }
        } else {
            rooms.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    rooms
}

#[test]
fn imports_point_downwards_only() {
    let floors: BTreeMap<_, _> = FLOORS.into_iter().collect();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    assert!(files.len() > 50, "the test does not see the sources");
    let mut checked = 0;
    for file in files {
        let inside = file.strip_prefix(&source).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let floor =
            floors.get(room).unwrap_or_else(|| panic!("{room} has no floor: give it one here and in docs"));
        for other in imported(&std::fs::read_to_string(&file).unwrap()) {
            let Some(below) = floors.get(other.as_str()) else { continue };
            checked += 1;
            assert!(other == room || below < floor, "{}: {room} may not import {other}", inside.display());
        }
    }
    assert!(checked > 100, "the test sees only {checked} imports");
}

#[test]
fn the_import_reader_reads_groups() {
    let text = "use crate::{\n    auction::{Auction, X},\n    types::Slot,\n};\nuse crate::relay::Relay;\n// crate::sim\n";
    assert_eq!(imported(text), ["auction", "types", "relay"]);
}
