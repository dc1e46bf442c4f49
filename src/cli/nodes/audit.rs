//! `relaymux nodes audit`: asks the Docker engine what runs, or reads compose files, `docker run` lines and guides with both, or what `docker
//! inspect` prints, and says what is wrong with it.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read},
    path::Path,
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use serde_json::json;

use super::audit_engine::{self, Containers, Unasked};
use crate::cli::{
    arguments::NodesAuditArguments,
    exit::{FAILED, MISUSED},
    terminal,
};
use crate::supervisor::audit::{Finding, MAX_TEXT, Risk, Scored, audit_inspect, audit_text};

/// Looks at texts, or at what is there, and tells what was found.
pub(super) async fn audit(arguments: &NodesAuditArguments) -> ExitCode {
    if let Some(path) = &arguments.inspect {
        return match text_of(path).and_then(|text| audit_inspect(&text).map_err(|error| error.to_string())) {
            Ok(containers) => tell_containers(&Containers::all(containers), arguments.json),
            Err(reason) => cannot(path, &reason),
        };
    }
    if arguments.files.is_empty() {
        return match audit_engine::running(arguments.config.as_deref()).await {
            Ok(containers) => tell_containers(&containers, arguments.json),
            Err(Unasked::Told(code)) => code,
            Err(Unasked::Engine(sentence)) => {
                terminal::complain(terminal::wrapped(&sentence, 0));
                ExitCode::from(MISUSED)
            }
        };
    }
    let mut found = Vec::new();
    for path in &arguments.files {
        let name = path.display().to_string();
        match text_of(path).and_then(|text| audit_text(&name, &text).map_err(|error| error.to_string())) {
            Ok(findings) => found.push((name, findings)),
            Err(reason) => return cannot(path, &reason),
        }
    }
    tell_texts(&found, arguments.json)
}

fn cannot(path: &Path, reason: &str) -> ExitCode {
    terminal::complain(format_args!("{}: {reason}", path.display()));
    ExitCode::from(MISUSED)
}

/// A file's text; `-` is standard input. What is not UTF-8 is read with replacement characters.
fn text_of(path: &Path) -> Result<String, String> {
    let words = |error: io::Error| format!("cannot be read: {error}");
    let mut bytes = Vec::new();
    // One more than is taken, so that more is noticed.
    let limit = u64::try_from(MAX_TEXT).unwrap_or(u64::MAX).saturating_add(1);
    if path.as_os_str() == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(words)?;
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(words)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn tell_texts(found: &[(String, Vec<Finding>)], is_json: bool) -> ExitCode {
    let all = || found.iter().flat_map(|(_, findings)| findings);
    let is_well = all().next().is_none();
    if is_json {
        let files: Vec<_> =
            found.iter().map(|(file, findings)| json!({ "file": file, "findings": findings })).collect();
        terminal::write(terminal::json(&json!({ "files": files, "ok": is_well })));
        return code(is_well);
    }
    let mut explained = BTreeSet::new();
    for (file, findings) in found {
        for finding in findings {
            let place = format!("{file}:{}", finding.line);
            tell(&place, finding, explained.insert(finding.rule));
        }
    }
    let files = if found.len() == 1 { "1 file".to_owned() } else { format!("{} files", found.len()) };
    terminal::say(format!("{} in {files}", counted(all())));
    code(is_well)
}

fn tell_containers(seen: &Containers, is_json: bool) -> ExitCode {
    let Containers { scored, unseen, has_more } = seen;
    let is_well =
        scored.iter().all(|container| container.findings.is_empty()) && unseen.is_empty() && !has_more;
    if is_json {
        let unseen: Vec<_> = unseen.iter().map(|one| json!({ "name": one.name, "why": one.why })).collect();
        terminal::write(terminal::json(&json!({
            "containers": scored, "unseen": unseen, "has_more": has_more, "ok": is_well,
        })));
        return code(is_well);
    }
    let mut explained = BTreeSet::new();
    for container in scored {
        for finding in &container.findings {
            tell(&container.name, finding, explained.insert(finding.rule));
        }
    }
    if scored.is_empty() {
        terminal::say("No container runs.");
    } else {
        let mut table = terminal::table(["container", "image", "score", "found"]);
        for Scored { name, image, score, findings } in scored {
            table.add_row([name.clone(), image.clone(), format!("{score} of 100"), counted(findings.iter())]);
        }
        terminal::say(table);
    }
    for one in unseen {
        terminal::complain(terminal::wrapped(&format!("Not looked at: {}: {}", one.name, one.why), 0));
    }
    if *has_more {
        terminal::complain("More containers run than are looked at: name the others to `docker inspect`.");
    }
    code(is_well)
}

fn code(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// A finding; why it hurts and what to write instead only where a rule comes up for the first time.
fn tell(place: &str, finding: &Finding, is_first: bool) {
    let Finding { rule, risk, subject, message, why, instead, .. } = finding;
    let style = style(*risk);
    let head =
        format!("{style}{risk:<8}{style:#}  {place}  {}{rule}{:#}", Style::new().bold(), Style::new().bold());
    terminal::say_styled(head);
    let about = if subject.is_empty() { String::new() } else { format!("{subject}: ") };
    terminal::say(indented(&format!("{about}{message}")));
    if is_first {
        terminal::say(indented(why));
        terminal::say(indented(&format!("Instead: {instead}")));
        terminal::say("");
    }
}

/// A paragraph below a finding's head.
fn indented(text: &str) -> String {
    // Blanks in the beginning are a column, not a place to break at.
    const COLUMN: usize = 10;
    terminal::wrapped(&format!("{}{text}", "\u{a0}".repeat(COLUMN)), COLUMN).replace('\u{a0}', " ")
}

const fn style(risk: Risk) -> Style {
    match risk {
        Risk::Critical => AnsiColor::Red.on_default().bold(),
        Risk::High => AnsiColor::Red.on_default(),
        Risk::Medium => AnsiColor::Yellow.on_default(),
        Risk::Low => AnsiColor::Cyan.on_default(),
    }
}

/// `3 findings: 1 critical, 2 high`
fn counted<'a>(findings: impl Iterator<Item = &'a Finding>) -> String {
    let risks: Vec<Risk> = findings.map(|finding| finding.risk).collect();
    if risks.is_empty() {
        return "nothing found".to_owned();
    }
    let of = |risk: Risk| risks.iter().filter(|found| **found == risk).count();
    let each: Vec<String> = Risk::ALL
        .into_iter()
        .rev()
        .filter(|risk| of(*risk) > 0)
        .map(|risk| format!("{} {risk}", of(risk)))
        .collect();
    let noun = if risks.len() == 1 { "finding" } else { "findings" };
    format!("{} {noun}: {}", risks.len(), each.join(", "))
}
