use std::collections::HashMap;

use bollard::models::{ContainerConfig, ContainerState};

use super::*;

fn with(state: ContainerState) -> ContainerInspectResponse {
    ContainerInspectResponse { state: Some(state), ..ContainerInspectResponse::default() }
}

#[test]
fn every_status_of_the_engine_has_a_meaning() {
    use ContainerStateStatusEnum as S;
    let at = Some("2026-11-22T10:00:00.5Z".to_owned());
    let zero = Some("0001-01-01T00:00:00Z".to_owned());
    let exited = |code, oom_killed, at| ProcessStatus::Exited { code, oom_killed, at };
    let millis = Some(1_795_341_600_500);
    for (name, code, oom, finished, want) in [
        (S::CREATED, Some(0), false, &zero, ProcessStatus::Created),
        (S::RUNNING, Some(0), false, &zero, ProcessStatus::Running { since: millis }),
        (S::PAUSED, Some(0), false, &zero, ProcessStatus::Paused),
        (S::REMOVING, Some(0), false, &at, ProcessStatus::Stopping),
        (S::EXITED, Some(1), false, &at, exited(Some(1), false, millis)),
        (S::EXITED, Some(137), true, &at, exited(Some(137), true, millis)),
        // A child was killed for memory at some time, and the first process ended well.
        (S::EXITED, Some(0), true, &at, exited(Some(0), false, millis)),
        (S::RESTARTING, Some(2), false, &at, exited(Some(2), false, millis)),
        (S::DEAD, None, false, &zero, exited(None, false, None)),
    ] {
        let state = ContainerState {
            status: Some(name),
            exit_code: code,
            oom_killed: Some(oom),
            started_at: at.clone(),
            finished_at: finished.clone(),
            ..ContainerState::default()
        };
        assert_eq!(status(&with(state)), want, "{name:?}");
    }
}

#[test]
fn ours_has_both_labels() {
    let node = crate::supervisor::runtime::testing::node("geth", "geth");
    let labelled = |labels: &[(&str, &str)]| ContainerInspectResponse {
        config: Some(ContainerConfig {
            labels: Some(labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()),
            ..ContainerConfig::default()
        }),
        ..ContainerInspectResponse::default()
    };
    for (labels, ours) in [
        (&[(LABEL_NODE, "geth"), (LABEL_INSTANCE, "1")][..], true),
        (&[(LABEL_NODE, "geth"), (LABEL_INSTANCE, "2")][..], false),
        (&[(LABEL_NODE, "reth"), (LABEL_INSTANCE, "1")][..], false),
        (&[(LABEL_NODE, "geth")][..], false),
        (&[][..], false),
    ] {
        assert_eq!(is_ours(&labelled(labels), &node, "1"), ours, "{labels:?}");
    }
}

#[test]
fn memory_counts_without_what_can_be_taken_back() {
    for (key, others) in [("total_inactive_file", "inactive_file"), ("inactive_file", "total_active_file")] {
        let memory = ContainerMemoryStats {
            usage: Some(1000),
            stats: Some(HashMap::from([(key.to_owned(), 300), (others.to_owned(), 7)])),
            ..ContainerMemoryStats::default()
        };
        assert_eq!(working_set(&memory), Some(700), "{key}");
    }
    assert_eq!(working_set(&ContainerMemoryStats::default()), None);
}
