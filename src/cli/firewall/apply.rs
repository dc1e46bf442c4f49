//! Loads the ruleset on trial: it stays once somebody has said `yes` here or `relaymux firewall confirm` elsewhere, and goes back otherwise.

use std::{
    io,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use serde_json::json;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use super::{
    session,
    trouble::{Trouble, nft, settings},
};
use crate::{
    cli::{arguments::FirewallApplyArguments, exit::FAILED, terminal},
    supervisor::firewall::{Nft, Outcome, TABLE, Trial, restore, ruleset, words},
};

/// How often it is looked at what became of the trial.
const EVERY: Duration = Duration::from_millis(100);
/// Longest wait for the one who would take it back to be there, and at the end for what it did.
const GUARD: Duration = Duration::from_secs(30);

pub(super) async fn apply(arguments: &FirewallApplyArguments) -> Result<ExitCode, Trouble> {
    let settings = settings(&arguments.config)?;
    if let Some(connection) = session::connection().filter(|connection| connection.is_cut_by(&settings)) {
        return Err(Trouble::Words(session::refusal(&connection)));
    }
    let nft = nft()?;
    let rules = ruleset(&settings);
    nft.check(&rules).await?;
    let trial = Trial::open(&arguments.state_dir)?;
    undo_abandoned(&nft, &trial).await?;
    let before = nft.table().await?;
    trial.begin(&restore(before.as_deref()))?;
    if let Err(trouble) = start_guard(arguments, &trial).await {
        trial.abandon()?;
        return Err(trouble);
    }
    if let Err(error) = nft.load(&rules).await {
        // All of it or nothing: there is nothing to take back.
        trial.abandon()?;
        return Err(error.into());
    }
    if !arguments.json {
        for word in words(&settings) {
            terminal::say(terminal::wrapped(&format!("- {word}"), 2));
        }
    }
    let outcome = wait(arguments, &trial).await?;
    Ok(tell(outcome, arguments.json))
}

/// A trial whose guard was killed: nobody would take it back, and nobody confirmed it.
async fn undo_abandoned(nft: &Nft, trial: &Trial) -> Result<(), Trouble> {
    if trial.outcome() != Outcome::Waits {
        return Ok(());
    }
    let _watch = trial.watch()?;
    if let Some(script) = trial.revert()? {
        nft.load(&script).await?;
        trial.reverted(true)?;
        terminal::complain("rules of an earlier apply that nobody confirmed were taken back first");
    }
    Ok(())
}

/// Starts the process that takes the rules back, and waits until it watches.
async fn start_guard(arguments: &FirewallApplyArguments, trial: &Trial) -> Result<(), Trouble> {
    let words =
        |error: io::Error| Trouble::Words(format!("nobody could be started to take the rules back: {error}"));
    let program = std::env::current_exe().map_err(words)?;
    let mut guard = Command::new(program)
        .args(["firewall", "guard", "--state-dir"])
        .arg(&arguments.state_dir)
        .arg("--confirm-within")
        .arg(format!("{}s", arguments.confirm_within.as_secs()))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(words)?;
    let deadline = Instant::now() + GUARD;
    while !trial.is_armed() {
        let ended = guard.try_wait().map_err(words)?;
        if let Some(status) = ended {
            return Err(Trouble::Words(format!(
                "whoever would take the rules back ended at once ({status})"
            )));
        }
        if Instant::now() >= deadline {
            let _ = guard.kill();
            let _ = guard.wait();
            return Err(Trouble::Words("whoever would take the rules back did not start in time".to_owned()));
        }
        sleep(EVERY).await;
    }
    Ok(())
}

async fn wait(arguments: &FirewallApplyArguments, trial: &Trial) -> Result<Outcome, Trouble> {
    let seconds = arguments.confirm_within.as_secs();
    let text = format!(
        "The rules are loaded. Open a second connection now, to see that you still get in; then type yes, or call `relaymux firewall confirm` \
         there. In {seconds} s they are taken back."
    );
    if arguments.json {
        terminal::complain(text)
    } else {
        terminal::say(terminal::wrapped(&text, 0))
    }
    let mut answer = (!arguments.json).then(typed);
    let deadline = Instant::now() + arguments.confirm_within + GUARD;
    loop {
        match trial.outcome() {
            Outcome::Waits | Outcome::Reverting if Instant::now() < deadline => {}
            outcome => return Ok(outcome),
        }
        if let Some(waiting) = &mut answer {
            match waiting.try_recv() {
                Ok(()) => {
                    trial.confirm()?;
                    answer = None;
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
                // Nobody types any more.
                Err(oneshot::error::TryRecvError::Closed) => answer = None,
            }
        }
        sleep(EVERY).await;
    }
}

/// Sends once `yes` was typed. On a thread of its own, which ends with the process: a read from a terminal cannot be taken back, and the
/// runtime would wait for it.
fn typed() -> oneshot::Receiver<()> {
    let (send, receive) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        while io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
            if line.trim().eq_ignore_ascii_case("yes") {
                let _ = send.send(());
                return;
            }
            line.clear();
            terminal::say("type yes to keep the rules, or wait");
        }
    });
    receive
}

fn tell(outcome: Outcome, is_json: bool) -> ExitCode {
    let (state, words) = match outcome {
        Outcome::Kept => (
            "kept",
            "kept: the rules stay until the machine restarts; docs/nodes.md says how they outlive that",
        ),
        Outcome::Reverted => {
            ("reverted", "taken back: nobody confirmed the rules; what was before is there again")
        }
        Outcome::Stuck | Outcome::Waits | Outcome::Reverting | Outcome::None => (
            "unknown",
            "the rules could not be taken back, or nobody knows: look with `nft list table inet relaymux`; `relaymux firewall remove` takes them away",
        ),
    };
    if is_json {
        terminal::write(terminal::json(&json!({ "table": TABLE, "state": state })));
    } else {
        terminal::say(terminal::wrapped(words, 0));
    }
    if outcome == Outcome::Kept { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}
