//! `docs/conformance.md` and the tests name each other: no promise without a test, no tag without a promise.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// A row's tag and the test it names, as a path: `("H2", "get_header::the_highest_value_wins")`.
type Named = (String, String);

/// `H2` and the like: a capital letter for the topic, then a number.
fn is_tag(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_uppercase())
        && text.len() > 1
        && chars.all(|c| c.is_ascii_digit())
}

/// What the rows of the page name: every cell in backticks of the last column.
fn named_by_the_page(page: &str) -> Vec<Named> {
    let mut named = Vec::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [tag, _, tests] = cells.as_slice() else { continue };
        if is_tag(tag) {
            let tests = tests.split('`').skip(1).step_by(2);
            named.extend(tests.map(|test| ((*tag).to_owned(), test.to_owned())));
        }
    }
    named
}

/// What the comments of a file name: a tag in a doc comment belongs to the next function, if a test attribute stands between.
fn named_by_the_file(module: &str, text: &str) -> Vec<Named> {
    let mut named = Vec::new();
    let (mut tags, mut is_test) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            let in_brackets = comment.split('[').skip(1).filter_map(|rest| rest.split(']').next());
            tags.extend(
                in_brackets.flat_map(|list| list.split(", ")).filter(|tag| is_tag(tag)).map(str::to_owned),
            );
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else if let Some(at) = line.find("fn ") {
            let name: String =
                line[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(tags.is_empty() || is_test, "{module}: {tags:?} stand before {name}, which is no test");
            named.extend(tags.drain(..).map(|tag| (tag, format!("{module}::{name}"))));
            is_test = false;
        }
    }
    assert!(tags.is_empty(), "{module}: {tags:?} stand before nothing");
    named
}

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

/// `tests/it/get_header.rs` is `get_header`, `tests/faults/reveals.rs` is `faults::reveals`, `src/auction/timing.rs` is `src::auction::timing`.
fn module_of(file: &Path) -> String {
    let parts: Vec<String> = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_str().unwrap().to_owned())
        .collect();
    let path = parts.join("::");
    path.strip_prefix("tests::it::").or(path.strip_prefix("tests::")).unwrap_or(&path).to_owned()
}

#[test]
fn the_table_and_the_tests_name_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = named_by_the_page(&std::fs::read_to_string(root.join("docs/conformance.md")).unwrap());
    let mut files = Vec::new();
    sources(&root.join("tests"), &mut files);
    sources(&root.join("src"), &mut files);
    let this_file = Path::new(file!());
    let tests: Vec<Named> = files
        .iter()
        .map(|file| file.strip_prefix(root).unwrap())
        .filter(|file| *file != this_file)
        .flat_map(|file| {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            named_by_the_file(&module_of(file), &text)
        })
        .collect();
    assert!(page.len() > 60, "the page's table is not read");
    let unique: BTreeSet<&Named> = page.iter().collect();
    assert_eq!(unique.len(), page.len(), "a row names a test twice, or two rows have one tag");
    let (page, tests): (BTreeSet<Named>, BTreeSet<Named>) =
        (page.into_iter().collect(), tests.into_iter().collect());
    let without_test: Vec<_> = page.difference(&tests).collect();
    let without_row: Vec<_> = tests.difference(&page).collect();
    assert!(
        without_test.is_empty() && without_row.is_empty(),
        "docs/conformance.md names what no test has in its comment: {without_test:?}; \
         comments of tests name what the page does not: {without_row:?}"
    );
}

#[test]
fn tags_and_rows_are_read() {
    let page =
        "| | promise | test |\n|---|---|---|\n| H1 | It is so. | `a::b`, `c::d::e` |\n| other | row | `x` |";
    let named = |list: &[(&str, &str)]| -> Vec<Named> {
        list.iter().map(|(tag, test)| ((*tag).to_owned(), (*test).to_owned())).collect()
    };
    assert_eq!(named_by_the_page(page), named(&[("H1", "a::b"), ("H1", "c::d::e")]));
    let file = "/// [H1, B2] Says so, as [`this`] does.\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn it_is_so() {\n/// Other.\nfn helper() {";
    assert_eq!(named_by_the_file("a", file), named(&[("H1", "a::it_is_so"), ("B2", "a::it_is_so")]));
    assert_eq!(module_of(Path::new("tests/it/get_header.rs")), "get_header");
    assert_eq!(module_of(Path::new("tests/faults/reveals.rs")), "faults::reveals");
}
