//! The documentation is true where a machine can tell: links lead somewhere, tables hold together, commands exist with their flags, and the
//! architecture's tables name what the code has.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::stage::binary;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page: its path below the repository and its text.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let top = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root().join(name));
    let pages = docs.chain(top).filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.strip_prefix(root()).unwrap().to_owned(), text)
        })
        .collect()
}

/// The lines outside code blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
            lines.push("");
        } else {
            lines.push(if is_code { "" } else { line });
        }
    }
    lines
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    });
    kept.collect::<String>().to_lowercase()
}

#[test]
fn every_link_leads_somewhere() {
    let mut checked = 0;
    for (page, text) in pages() {
        let prose = prose(&text).join("\n");
        for target in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            checked += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                root().join(&page)
            } else {
                root().join(page.parent().unwrap()).join(file)
            };
            assert!(path.exists(), "{}: {target} is not there", page.display());
            if !heading.is_empty() {
                let there = std::fs::read_to_string(&path).unwrap();
                let has =
                    there.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading);
                assert!(has, "{}: {target}: no such heading", page.display());
            }
        }
    }
    assert!(checked > 50, "only {checked} links are seen");
}

/// Files and folders of this repository that a page names are there.
#[test]
fn every_path_is_there() {
    let mut checked = 0;
    for (page, text) in pages() {
        let prose = prose(&text).join("\n");
        for name in prose.split('`').skip(1).step_by(2) {
            let name = name.split_whitespace().next().unwrap_or_default();
            let is_path = ["src/", "tests/", "scripts/", "docs/", "fixtures/", "migrations/"]
                .iter()
                .any(|folder| name.starts_with(folder));
            if is_path && !name.contains(['*', '<', '{', '…']) && !name.contains("NNNN") {
                checked += 1;
                assert!(root().join(name).exists(), "{}: {name} is not there", page.display());
            }
        }
    }
    assert!(checked > 30, "only {checked} paths are seen");
}

/// A table is its header, a line of dashes and rows, without a gap, each with as many cells.
#[test]
fn tables_hold_together() {
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let mut tables = 0;
    for (page, text) in pages() {
        let lines = prose(&text);
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with('|')) {
            let place = format!("{}, line {}", page.display(), index + 1);
            let before = index.checked_sub(1).map_or("", |index| lines[index]);
            if before.starts_with('|') {
                assert_eq!(cells(line), cells(before), "{place}: another number of cells than the row above");
            } else {
                tables += 1;
                assert!(before.is_empty(), "{place}: a table needs an empty line before it");
                let next = lines.get(index + 1).copied().unwrap_or_default();
                assert!(
                    next.starts_with("|-"),
                    "{place}: rows without a header, as a line before them breaks the table"
                );
            }
        }
    }
    assert!(tables > 40, "only {tables} tables are seen");
}

/// Commands that have commands.
const HAVE_COMMANDS: [&str; 8] =
    ["alert", "backup", "disk", "drill", "nodes", "maintenance", "secrets", "firewall"];

/// Each `relaymux …` line of a shell block is a command that exists, with flags that it has.
#[test]
fn commands_exist_with_their_flags() {
    let mut seen = BTreeSet::new();
    for (page, text) in pages() {
        let mut is_shell = false;
        for line in text.lines() {
            if line.starts_with("```") {
                is_shell = line == "```sh";
            }
            // As the service's user, which has the program's name.
            let line = line.strip_prefix("sudo -u relaymux ").unwrap_or(line);
            let Some(at) = line.find("relaymux ").filter(|_| is_shell) else { continue };
            let is_ours = line.starts_with("relaymux ") || line[..at].ends_with(' ');
            let command: Vec<&str> =
                line[at..].split(['>', '#', '|']).next().unwrap().split_whitespace().skip(1).collect();
            let Some(name) =
                command.first().filter(|name| is_ours && name.chars().all(|c| c.is_ascii_lowercase()))
            else {
                continue;
            };
            // `relaymux firewall plan`: the flags are the inner command's.
            let is_word = |word: &&&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
            let inner = command.get(1).filter(is_word).filter(|_| HAVE_COMMANDS.contains(name));
            let help = binary().arg(name).args(inner).arg("--help").output().unwrap();
            assert!(help.status.success(), "{}: there is no `relaymux {name}`", page.display());
            let help = String::from_utf8(help.stdout).unwrap();
            // The flags of `import` are those of the other program.
            for flag in command.iter().filter(|word| word.starts_with("--") && *name != "import") {
                let is_known = help.split([' ', ',', '\n', '=']).any(|word| word == *flag);
                assert!(is_known, "{}: `relaymux {name}` has no {flag}", page.display());
            }
            seen.insert((*name).to_owned());
        }
    }
    let all = ["check", "import", "report", "run"].map(str::to_owned);
    assert!(all.iter().all(|name| seen.contains(name)), "the pages show only {seen:?}");
}

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root().join("src")).unwrap().display().to_string();
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((name, text.split("#[cfg(test)]").next().unwrap().to_owned()));
        }
    }
}

/// What the code has and the page must name: each supervised task, each bounded channel by its file, each kind of event, each room.
#[test]
fn the_architecture_page_names_what_the_code_has() {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let (mut tasks, mut channels, mut kinds) = (0, 0, 0);
    for (file, code) in &files {
        for way in ["vital", "optional", "restarting", "finite"] {
            for rest in code.split(&format!(".{way}(")).skip(1) {
                let Some(name) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next())
                else {
                    continue;
                };
                tasks += 1;
                assert!(
                    page.contains(&format!("| `{name}` |")),
                    "{file}: the task {name} is not in the table"
                );
            }
        }
        // Tests in a file of their own are tests, too.
        let is_test =
            file.ends_with("/tests.rs") || file.ends_with("/testing.rs") || file.ends_with("/stage.rs");
        if !file.starts_with("sim")
            && !is_test
            && (code.contains("mpsc::channel") || code.contains("broadcast::channel("))
        {
            channels += 1;
            // What `std` has is no task's, and what is made in passing for one call is no channel between tasks.
            assert!(page.contains(&format!("`{file}`")), "{file} makes a channel that is not in the table");
        }
        if file == "ops_api/events.rs" {
            for kind in code.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()) {
                kinds += 1;
                assert!(page.contains(&format!("| `{kind}` |")), "the event {kind} is not in the table");
            }
        }
        if !file.contains('/') && !["lib.rs", "main.rs"].contains(&file.as_str()) {
            let room = file.trim_end_matches(".rs");
            assert!(page.contains(&format!("| `{room}` |")), "the room {room} is not in the table");
        }
    }
    assert!(
        tasks >= 10 && channels >= 8 && kinds >= 15,
        "only {tasks} tasks, {channels} channels, {kinds} events are seen"
    );
}

/// Whoever is woken finds each rule in the runbook, and whoever sets up alerts finds it in the list.
#[test]
fn every_alert_is_in_the_runbook_and_in_the_list() {
    let page = |name: &str| std::fs::read_to_string(root().join("docs").join(name)).unwrap();
    let (runbook, list) = (page("runbook.md"), page("alerts.md"));
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut rules = 0;
    for (file, code) in files.iter().filter(|(file, _)| file.ends_with("/rules.rs")) {
        for name in code.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            rules += 1;
            assert!(runbook.contains(&format!("`{name}`")), "{file}: {name} is not in docs/runbook.md");
            assert!(list.contains(&format!("`{name}`")), "{file}: {name} is not in docs/alerts.md");
        }
    }
    assert!(rules >= 50, "only {rules} rules are seen");
}
