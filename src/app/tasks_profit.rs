//! The task `profit_check`: whether what slots paid is known. The watcher of settlements finds that out by itself; this says whether it keeps up.

use crate::{
    profit::{Reporter, SettlementLag, settlement_lag},
    supervisor::schedule::{TaskFailed, TaskReport},
    types::UnixMillis,
};

/// Looks whether settling keeps up.
pub(super) async fn check_profit(reporter: Reporter, now: UnixMillis) -> Result<TaskReport, TaskFailed> {
    match settlement_lag(&reporter, now).await {
        Ok(lag) => Ok(report(lag)),
        Err(error) => Err(TaskFailed(format!("The ledger cannot say what slots paid: {error}."))),
    }
}

/// What is behind has an alert of its own.
fn report(lag: SettlementLag) -> TaskReport {
    let mut wrong = Vec::new();
    if lag.behind > 0 {
        wrong.push(format!(
            "{} slots are older than an hour, and what they paid was not looked at.",
            lag.behind
        ));
    }
    if lag.given_up > 0 {
        wrong.push(format!("{} slots can never be proven with this execution node.", lag.given_up));
    }
    if wrong.is_empty() {
        return TaskReport::done("What every slot paid up to an hour ago was looked at.");
    }
    TaskReport::found(wrong.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_said() {
        let of = |behind, given_up| report(SettlementLag { behind, given_up });
        assert!(of(0, 0).is_well);
        assert!(of(3, 0).message.starts_with("3 slots are older"));
        let both = of(3, 2);
        assert!(
            !both.is_well && both.message.ends_with("2 slots can never be proven with this execution node.")
        );
    }
}
