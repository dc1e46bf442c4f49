//! `relaymux firewall`: shows the ruleset of `[firewall]`, loads it on trial, keeps it, takes it away.

mod apply;
mod guard;
mod session;
mod trouble;

use std::process::ExitCode;

use serde_json::json;

use super::{
    arguments::{FirewallCommand, FirewallPlanArguments, FirewallStateArguments},
    exit::FAILED,
    terminal,
};
use crate::supervisor::firewall::{NftError, Outcome, REMOVE, TABLE, Trial, ruleset, words};
use trouble::{Trouble, nft, settings};

/// Carries out one of the commands.
pub(super) async fn firewall(command: FirewallCommand) -> ExitCode {
    let done = match command {
        FirewallCommand::Plan(arguments) => plan(&arguments).await,
        FirewallCommand::Apply(arguments) => apply::apply(&arguments).await,
        FirewallCommand::Confirm(arguments) => confirm(&arguments),
        FirewallCommand::Remove(arguments) => remove(&arguments).await,
        FirewallCommand::Guard(arguments) => guard::guard(&arguments).await,
    };
    done.unwrap_or_else(|trouble| {
        match trouble {
            Trouble::Said(code) => return code,
            Trouble::Nft(error @ NftError::Run(_)) => {
                let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                terminal::complain(format_args!("{error}: {source}"));
            }
            Trouble::Nft(error) => terminal::complain(format_args!("{error}")),
            Trouble::Trial(error) => terminal::complain(format_args!("{error}")),
            Trouble::Words(words) => terminal::complain(words),
        }
        ExitCode::from(FAILED)
    })
}

async fn plan(arguments: &FirewallPlanArguments) -> Result<ExitCode, Trouble> {
    let settings = settings(&arguments.config)?;
    let rules = ruleset(&settings);
    if arguments.ruleset {
        terminal::write(&rules);
        return Ok(ExitCode::SUCCESS);
    }
    // Whether nft would take it is worth knowing, and no reason not to show it.
    let checked = match nft() {
        Ok(nft) => nft.check(&rules).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let cut = session::connection().filter(|connection| connection.is_cut_by(&settings));
    if arguments.json {
        terminal::write(terminal::json(&json!({
            "table": TABLE,
            "ruleset": rules,
            "words": words(&settings),
            "checked": checked.is_ok(),
            "problem": checked.as_ref().err(),
            "cuts_this_connection": cut.is_some(),
        })));
        return Ok(ExitCode::SUCCESS);
    }
    terminal::write(&rules);
    terminal::say("");
    for word in words(&settings) {
        terminal::say(terminal::wrapped(&format!("- {word}"), 2));
    }
    terminal::say("");
    match checked {
        Ok(()) => terminal::say("nft would load it: relaymux firewall apply"),
        Err(reason) => {
            terminal::say(terminal::wrapped(&format!("Whether nft would load it is not known: {reason}"), 2))
        }
    }
    if let Some(connection) = cut {
        terminal::say(terminal::wrapped(&session::refusal(&connection), 2));
    }
    Ok(ExitCode::SUCCESS)
}

/// From a second terminal: the proof that one still gets in.
fn confirm(arguments: &FirewallStateArguments) -> Result<ExitCode, Trouble> {
    let trial = Trial::open(&arguments.state_dir)?;
    let is_kept = trial.confirm()?;
    if arguments.json {
        terminal::write(terminal::json(&json!({ "table": TABLE, "kept": is_kept })));
    } else if is_kept {
        terminal::say(
            "kept: the new rules stay until the machine restarts; docs/nodes.md says how they outlive that",
        );
    }
    if is_kept {
        return Ok(ExitCode::SUCCESS);
    }
    let why = match trial.outcome() {
        Outcome::Reverting | Outcome::Reverted => {
            "it is too late: the rules were taken back; apply them again"
        }
        Outcome::Stuck => "the rules could not be taken back: `relaymux firewall remove`",
        Outcome::Waits | Outcome::Kept | Outcome::None => "nothing waits to be confirmed",
    };
    terminal::complain(why);
    Ok(ExitCode::from(FAILED))
}

async fn remove(arguments: &FirewallStateArguments) -> Result<ExitCode, Trouble> {
    let nft = nft()?;
    let trial = Trial::open(&arguments.state_dir)?;
    // Nothing is to come back in a minute.
    trial.confirm()?;
    let was_there = nft.table().await?.is_some();
    nft.load(REMOVE).await?;
    if arguments.json {
        terminal::write(terminal::json(&json!({ "table": TABLE, "removed": was_there })));
    } else if was_there {
        terminal::say(format!("removed: table {TABLE} is gone; nothing is closed by relaymux any more"));
    } else {
        terminal::say(format!("there is no table {TABLE}: nothing to remove"));
    }
    Ok(ExitCode::SUCCESS)
}
