//! `relaymux secrets jwt`: makes, checks and replaces the secret that an execution and a consensus client share. It is never shown.

use std::{path::Path, process::ExitCode};

use serde_json::json;

use super::{
    arguments::SecretsJwtArguments,
    exit::{FAILED, MISUSED},
    terminal,
};
use crate::supervisor::jwt::{JwtError, JwtOptions, check, create, prepare_rotation, rotation_plan};

/// Makes a secret, or looks at one, or prepares the next.
pub(super) fn jwt(arguments: &SecretsJwtArguments) -> ExitCode {
    let options = JwtOptions { read_only: arguments.read_only, owner: arguments.owner };
    let path = &arguments.file;
    let done = if arguments.check {
        look(path, arguments)
    } else if arguments.rotate {
        rotate(path, options, arguments)
    } else {
        create(path, options).map(|()| {
            let mode = format!("{:04o}", options.mode());
            if arguments.json {
                terminal::write(terminal::json(&json!({ "file": path, "created": true, "mode": mode })));
            } else {
                terminal::say(terminal::wrapped(
                    &format!(
                        "{}: a new secret of 32 bytes, mode {mode}. Mount it read-only into both clients of one pair and into no other: \
                         --authrpc.jwtsecret there, --execution-jwt (Lighthouse), --jwt-secret and the like here.",
                        path.display()
                    ),
                    2,
                ));
            }
            ExitCode::SUCCESS
        })
    };
    done.unwrap_or_else(|error| {
        terminal::complain(format_args!("{error}"));
        ExitCode::from(if matches!(error, JwtError::Exists(_) | JwtError::Missing(_)) {
            MISUSED
        } else {
            FAILED
        })
    })
}

fn look(path: &Path, arguments: &SecretsJwtArguments) -> Result<ExitCode, JwtError> {
    let faults = check(path, arguments.owner.map(|(user, _)| user))?;
    let is_well = !faults.iter().any(|fault| fault.is_wrong());
    if arguments.json {
        let shown: Vec<_> = faults
            .iter()
            .map(|fault| json!({ "fault": fault, "wrong": fault.is_wrong(), "words": fault.words() }))
            .collect();
        terminal::write(terminal::json(&json!({ "file": path, "ok": is_well, "found": shown })));
    } else {
        for fault in &faults {
            let kind = if fault.is_wrong() { "wrong" } else { "remark" };
            terminal::say(terminal::wrapped(&format!("{kind}: {}: {}", path.display(), fault.words()), 2));
        }
        if is_well {
            terminal::say(format!("{}: a secret of 32 bytes, for its owner alone", path.display()));
        }
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn rotate(path: &Path, options: JwtOptions, arguments: &SecretsJwtArguments) -> Result<ExitCode, JwtError> {
    let next = prepare_rotation(path, options)?;
    let plan = rotation_plan(path, &arguments.execution, &arguments.consensus);
    if arguments.json {
        terminal::write(terminal::json(&json!({ "file": path, "next": next, "steps": plan })));
        return Ok(ExitCode::SUCCESS);
    }
    terminal::say(terminal::wrapped(
        &format!(
            "{}: the next secret. Nothing has changed yet; both clients have to be moved to it, in this order:",
            next.display()
        ),
        2,
    ));
    for (step, number) in plan.iter().zip(1..) {
        terminal::say(terminal::wrapped(&format!("{number}. {}", step.what), 3));
        terminal::say(format!("     {}", step.command));
    }
    Ok(ExitCode::SUCCESS)
}
