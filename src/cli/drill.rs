//! `relaymux drill alert`: rehearses who is told of alerts, with the running service and through real channels, until a person acknowledges.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    arguments::DrillAlertArguments,
    exit::{FAILED, MISUSED},
    loading::load,
    service::{Service, Trouble},
    terminal,
};
use crate::app::{Signal, Signals};

/// How often it is asked how far the drill is.
const EVERY: Duration = Duration::from_secs(1);
/// How long the service may be silent: it ends a drill itself that nobody asks for.
const SILENCE: Duration = Duration::from_secs(25);
/// How long the messages that say that it is over are waited for.
const FAREWELL: Duration = Duration::from_secs(10);

/// A drill as the service shows it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Drill {
    id: String,
    severity: String,
    source: String,
    state: String,
    started_at: i64,
    wait_secs: u64,
    steps: Vec<Step>,
    acknowledged: Option<Answer>,
    summary: Option<String>,
    recorded: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Step {
    message: String,
    kind: String,
    channel: String,
    who: Vec<String>,
    made_at: i64,
    state: Option<String>,
    took_ms: Option<i64>,
    attempts: i64,
    error: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    by: String,
    after_ms: i64,
}

impl Drill {
    fn is_over(&self) -> bool {
        !matches!(self.state.as_str(), "running" | "acknowledged")
    }

    /// Whether the messages that say that it is over have left, or there are none.
    fn is_settled(&self) -> bool {
        let is_decided = |step: &Step| matches!(step.state.as_deref(), Some("sent" | "dead"));
        let has_end = self.steps.is_empty() || self.steps.iter().any(|step| step.kind == "resolved");
        has_end && self.steps.iter().all(is_decided)
    }
}

/// Rehearses an alert, and says what came of it.
pub(super) async fn alert(arguments: DrillAlertArguments) -> ExitCode {
    let config = match load(&arguments.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let signals = match Signals::take() {
        Ok(signals) => signals,
        Err(error) => {
            terminal::complain(format_args!("signals cannot be taken: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let service = match Service::of(&config, arguments.url.as_deref()) {
        Ok(service) => service,
        Err(message) => {
            terminal::complain(message);
            return ExitCode::from(MISUSED);
        }
    };
    match rehearse(&service, &arguments, signals).await {
        Ok(drill) => {
            if arguments.json {
                terminal::write(terminal::json(&drill.1));
            }
            if drill.0.state == "held" && drill.0.recorded {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(FAILED)
            }
        }
        Err(message) => {
            terminal::complain(message);
            ExitCode::from(FAILED)
        }
    }
}

async fn rehearse(
    service: &Service,
    arguments: &DrillAlertArguments,
    mut signals: Signals,
) -> Result<(Drill, Value), String> {
    let asked = json!({ "severity": arguments.severity, "wait_secs": arguments.wait.as_secs() });
    let begun =
        ask(service, Method::POST, "", Some(&asked)).await.map_err(|error| cannot(service, &error))?;
    let (mut drill, mut raw) = begun;
    let mut shown = Shown { is_silent: arguments.json, ..Shown::default() };
    shown.line(
        0,
        &format!(
            "a drill of {} goes to everybody whom the escalation of {} names, marked DRILL; acknowledge it within {}",
            drill.severity,
            drill.source,
            span(drill.wait_secs)
        ),
    );
    shown.news(&drill);
    let (mut heard, mut over) = (Instant::now(), None);
    loop {
        if drill.is_over() {
            let since = *over.get_or_insert_with(Instant::now);
            let is_recorded = drill.recorded || drill.state == "interrupted";
            if (drill.is_settled() && is_recorded) || since.elapsed() > FAREWELL {
                break;
            }
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            signal = signals.next() => {
                // A terminal that was closed says so by a hangup.
                if matches!(signal, Signal::Stop | Signal::Reload) {
                    return end(service, &drill.id).await;
                }
            }
        }
        match ask(service, Method::POST, &format!("/{}", drill.id), None).await {
            Ok(found) => {
                (drill, raw) = found;
                heard = Instant::now();
                shown.news(&drill);
            }
            Err(Trouble::Refused(StatusCode::NOT_FOUND, _)) => {
                return Err(
                    "the service was restarted: the drill is over there, nothing of it is open, and nothing is proven"
                        .to_owned(),
                );
            }
            Err(error) if heard.elapsed() > SILENCE => {
                return Err(format!("{}. The service ends the drill by itself", cannot(service, &error)));
            }
            Err(_) => {}
        }
    }
    if !arguments.json {
        let words = drill.summary.clone().unwrap_or_default();
        let verdict = match drill.state.as_str() {
            "held" => "The drill held",
            "failed" => "The drill did not hold",
            _ => "The drill was interrupted",
        };
        terminal::say(terminal::wrapped(&format!("{verdict}: {words}."), 0));
        match (drill.recorded, drill.state.as_str()) {
            (true, _) => {
                terminal::say("It is written down as evidence: `relaymux report readiness` shows it.")
            }
            (false, "interrupted") => {}
            (false, _) => {
                terminal::complain("It could not be written down: the ledger refuses; the log says why.")
            }
        }
    }
    Ok((drill, raw))
}

/// Whoever rehearses has enough of it.
async fn end(service: &Service, id: &str) -> Result<(Drill, Value), String> {
    match ask(service, Method::DELETE, &format!("/{id}"), None).await {
        Ok(_) => Err("the drill was ended: nobody is asked any more, and nothing is proven".to_owned()),
        Err(error) => Err(format!(
            "{}. The service ends the drill by itself within half a minute",
            cannot(service, &error)
        )),
    }
}

async fn ask(
    service: &Service,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(Drill, Value), Trouble> {
    let value = service.ask(method, &format!("/api/v1/alerts/drill{path}"), body).await?;
    let drill = Drill::deserialize(&value)
        .map_err(|_| Trouble::Silent("its answer is not understood: is it another version?".to_owned()))?;
    Ok((drill, value))
}

fn cannot(service: &Service, trouble: &Trouble) -> String {
    service.cannot(trouble, "knows no drills")
}

/// What was said already.
#[derive(Default)]
struct Shown {
    is_silent: bool,
    /// What was said last of each message to each channel.
    steps: BTreeMap<(String, String), String>,
    has_answer: bool,
}

impl Shown {
    fn news(&mut self, drill: &Drill) {
        for step in &drill.steps {
            let key = (step.message.clone(), step.channel.clone());
            let Some((at, words)) = told(step) else { continue };
            if self.steps.get(&key) != Some(&words) {
                self.line(at.saturating_sub(drill.started_at), &words);
                self.steps.insert(key, words);
            }
        }
        if let (Some(answer), false) = (&drill.acknowledged, self.has_answer) {
            self.has_answer = true;
            self.line(answer.after_ms, &format!("acknowledged by {}", answer.by));
        }
    }

    fn line(&self, after_ms: i64, words: &str) {
        if !self.is_silent {
            let line = format!("{:>8} s  {words}", format!("{:.1}", seconds(after_ms)));
            terminal::say(terminal::wrapped(&line, 12));
        }
    }
}

/// What is to be said of a message, and when that was; nothing while its first attempt is to come.
fn told(step: &Step) -> Option<(i64, String)> {
    let to = if step.who.is_empty() { String::new() } else { format!(" to {}", step.who.join(", ")) };
    let what = match step.kind.as_str() {
        "firing" => "the alert",
        "reminder" => "a reminder",
        "acknowledged" => "that somebody acknowledged",
        "resolved" => "that it is over",
        other => other,
    };
    let head = format!("{what}{to} by {}", step.channel);
    let error = step.error.as_deref().unwrap_or("no reason is known");
    match (step.state.as_deref(), step.took_ms) {
        (Some("sent"), Some(took)) => {
            Some((step.made_at.saturating_add(took), format!("{head}: arrived after {:.1} s", seconds(took))))
        }
        (Some("sent"), None) => Some((step.made_at, format!("{head}: arrived"))),
        (Some("dead"), _) => Some((step.made_at, format!("{head}: never arrives: {error}"))),
        _ if step.attempts > 0 && step.error.is_some() => {
            Some((step.made_at, format!("{head}: not yet, it is tried again: {error}")))
        }
        _ => None,
    }
}

/// Milliseconds as seconds. What is shown of it has a tenth.
#[expect(clippy::cast_precision_loss, reason = "a drill lasts a day at most")]
fn seconds(ms: i64) -> f64 {
    ms.max(0) as f64 / 1000.0
}

fn span(secs: u64) -> String {
    if secs.is_multiple_of(60) { format!("{} min", secs / 60) } else { format!("{secs} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_told_with_what_became_of_it() {
        let step = |state: Option<&str>, took_ms, attempts, error: Option<&str>| Step {
            message: "m".to_owned(),
            kind: "firing".to_owned(),
            channel: "ops".to_owned(),
            who: vec!["oncall (anna)".to_owned()],
            made_at: 1000,
            state: state.map(str::to_owned),
            took_ms,
            attempts,
            error: error.map(str::to_owned),
        };
        let head = "the alert to oncall (anna) by ops: ";
        for (step, want) in [
            (step(Some("queued"), None, 0, None), None),
            (step(Some("sending"), None, 1, None), None),
            (step(Some("sent"), Some(420), 1, None), Some((1420, "arrived after 0.4 s"))),
            (step(Some("queued"), None, 1, Some("503")), Some((1000, "not yet, it is tried again: 503"))),
            (step(Some("dead"), None, 1, Some("404")), Some((1000, "never arrives: 404"))),
        ] {
            assert_eq!(told(&step), want.map(|(at, words)| (at, format!("{head}{words}"))));
        }
    }
}
