//! The house keeps its shape: imports point downwards only, and never in a circle; time comes in at the top.

mod imports;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use imports::{Module, Tests, Tree, names};

/// The rooms that make a clock of the system's. Every other one is handed one, or the time: a test can put it at any.
const CLOCK_MAKERS: [&str; 3] = ["app", "cli", "sim"];

/// Each room's floor. A room may import rooms of lower floors; `sim` stands beside the house and may use any but `app` and `cli`.
const FLOORS: [(&str, u8); 29] = [
    ("types", 0),
    ("consensus", 1),
    ("breaker", 1),
    ("events", 1),
    ("host", 1),
    ("http_client", 1),
    ("jsonrpc", 1),
    ("serve", 1),
    ("tasks", 1),
    ("relay", 2),
    ("ethereum", 2),
    ("ledger", 2),
    ("auction", 3),
    ("profit", 3),
    ("bundles", 3),
    ("gateway", 3),
    ("alerts", 3),
    ("sla", 3),
    ("supervisor", 3),
    ("backup", 3),
    ("builder_api", 4),
    ("bundles_api", 4),
    ("rpc_api", 4),
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

/// Every file of `src/` by its module.
fn house() -> Vec<(Module, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    assert!(files.len() > 50, "the test does not see the sources");
    let module = |file: &Path| -> Module {
        let inside = file.strip_prefix(&source).unwrap().with_extension("");
        let steps = inside.components().map(|step| step.as_os_str().to_str().unwrap().to_owned());
        steps.filter(|step| step != "lib").collect()
    };
    files.iter().map(|file| (module(file), std::fs::read_to_string(file).unwrap())).collect()
}

fn tree(files: &[(Module, String)], tests: Tests) -> Tree {
    Tree::read(files.iter().map(|(module, text)| (module.clone(), text.as_str())), tests)
}

#[test]
fn imports_point_downwards_only() {
    let floors: BTreeMap<_, _> = FLOORS.into_iter().collect();
    let files = house();
    let tree = tree(&files, Tests::Read);
    let mut checked = 0;
    for (module, used) in tree.arrows() {
        let Some(room) = module.first() else { continue };
        let floor = floors
            .get(room.as_str())
            .unwrap_or_else(|| panic!("{room} has no floor: give it one here and in docs"));
        for other in used.iter().filter_map(|used| used.first()) {
            let below = floors[other.as_str()];
            checked += 1;
            assert!(other == room || below < *floor, "{}: {room} may not import {other}", module.join("::"));
        }
    }
    assert!(checked > 500, "the test sees only {checked} imports");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let files = house();
    let tree = tree(&files, Tests::LeftOut);
    let mut found = String::new();
    for circle in tree.circles() {
        for module in &circle {
            for used in tree.arrows()[*module].intersection(&circle) {
                found += &format!("{} uses {}\n", module.join("::"), used.join("::"));
            }
        }
    }
    assert!(found.is_empty(), "files that import each other in a circle:\n{found}");
}

/// Also not in a room's own tests, which would be about the time at which they run.
#[test]
fn a_clock_is_made_where_a_process_begins_and_handed_down() {
    let mut makers = BTreeSet::new();
    for (module, text) in house() {
        if names(&text, &["WallClock", "system"]) {
            let room = module.first().map_or("", String::as_str);
            assert!(
                CLOCK_MAKERS.contains(&room),
                "{}: makes a clock of its own, which no test can move",
                module.join("::")
            );
            makers.insert(room.to_owned());
        }
    }
    assert!(makers.iter().eq(&CLOCK_MAKERS), "the test does not see all clocks: {makers:?}");
}

#[test]
fn the_reader_finds_a_path_in_code_alone() {
    for (text, found) in [
        ("fn f() { WallClock::system().now() }", true),
        ("let made = crate::consensus::WallClock ::\n system;", true),
        ("/// [`WallClock::system`]\nconst TEXT: &str = \"WallClock::system\";", false),
        ("fn f(clock: WallClock) { Other::system(); WallClock::systems() }", false),
    ] {
        assert_eq!(names(text, &["WallClock", "system"]), found, "{text}");
    }
}

/// A made-up house: each file's module, its text, and what it uses.
const MADE_UP: [(&str, &str, &[&str]); 12] = [
    ("", "pub mod hall; mod attic; pub use attic::Trunk;", &[]),
    (
        "hall",
        "mod door; mod stairs; mod lamp; pub use door::{Door, Key}; pub(crate) use stairs::Step as Tread;",
        &[],
    ),
    // Its parent only passes on what the sibling defines.
    (
        "hall::door",
        "use super::{Tread, lamp::{self, Bulb}}; pub struct Door(Tread); pub struct Key;",
        &["hall::stairs", "hall::lamp"],
    ),
    ("hall::stairs", "use crate::hall::Door; // use crate::attic::Trunk;\npub struct Step;", &["hall::door"]),
    (
        "hall::lamp",
        "/* use super::Door; */ const TEXT: &str = \"super::Key \\\" crate::hall::Door\"; const RAW: &str = r#\"\"super::Key\"#;",
        &[],
    ),
    (
        "attic",
        "mod box_; mod light; pub use box_::Lid; pub use light::{light, Beam}; pub struct Trunk(Lid);",
        &["attic::box_"],
    ),
    (
        "attic::box_",
        "pub struct Lid; fn open<'a>(c: char) -> bool { c == '\"' && super::Trunk::is_open('\\'') }",
        &["attic"],
    ),
    (
        "attic::light",
        "pub struct Beam; #[cfg(test)] mod tests { use super::*; use crate::hall::Door; } fn on() { self::inner::f() } mod inner { pub(super) fn f() { super::super::box_::g() } }",
        &["attic::box_"],
    ),
    ("yard", "mod gate; fn enter() { gate::open(); std::mem::drop(1) }", &["yard::gate"]),
    (
        "yard::gate",
        "use std::fmt; use crate::{Trunk, hall::{Door as Way, Key}}; pub fn open() {} pub(in crate::yard) fn shut() {}",
        &["attic", "hall::door"],
    ),
    ("well", "use well_crate::yard; struct Rope { depth: crate::hall::Tread }", &["hall::stairs"]),
    ("roof", "pub use crate::well::*; fn f() -> super::attic::Beam { todo!() }", &["attic::light"]),
];

fn made_up(changed: &[(&str, &str)]) -> Tree {
    let files = MADE_UP.map(|(module, text, _)| {
        let steps: Module = module.split("::").filter(|step| !step.is_empty()).map(str::to_owned).collect();
        (steps, changed.iter().find(|(changed, _)| *changed == module).map_or(text, |(_, text)| text))
    });
    Tree::read(files, Tests::LeftOut)
}

#[test]
fn the_reader_finds_the_file_behind_each_name() {
    let tree = made_up(&[]);
    let arrows = tree.arrows();
    for (module, _, expected) in MADE_UP {
        let module: Module = module.split("::").filter(|step| !step.is_empty()).map(str::to_owned).collect();
        let mut found: Vec<String> = arrows[&module].iter().map(|used| used.join("::")).collect();
        let mut expected = expected.to_vec();
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{module:?}");
    }
}

#[test]
fn the_reader_finds_every_circle() {
    let shown = |tree: &Tree| -> Vec<Vec<String>> {
        tree.circles().iter().map(|circle| circle.iter().map(|module| module.join("::")).collect()).collect()
    };
    let circles = [vec!["attic", "attic::box_"], vec!["hall::door", "hall::stairs"]];
    assert_eq!(shown(&made_up(&[])), circles);
    let without = [("attic::box_", "pub struct Lid;"), ("hall::stairs", "pub struct Step;")];
    assert_eq!(shown(&made_up(&without)), Vec::<Vec<String>>::new());
    // Through several files, and from one room to another and back.
    let long = [without[0], without[1], ("hall::lamp", "fn f() { crate::yard::gate::open() }")];
    assert_eq!(shown(&made_up(&long)), [["hall::door", "hall::lamp", "yard::gate"]]);
}
