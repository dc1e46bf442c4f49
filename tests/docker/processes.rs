//! Child processes of ours in cgroups of the real kernel.

use relaymux::{
    consensus::WallClock,
    supervisor::{
        Limits, NodeSettings, ProcessSettings, ProcessStatus, Runtime, RuntimeError, RuntimeSettings,
        runtime::process::ProcessRuntime,
    },
};

use super::{
    engine::prepared,
    world::{GRACE, MIB, end, line, of, until},
};

fn node(id: &str, command: &str, memory: u64) -> NodeSettings {
    let settings = ProcessSettings {
        program: prepared().join("image/stand_in"),
        args: command.split(' ').map(str::to_owned).collect(),
        folder: None,
        env: Vec::new(),
    };
    let limits = Limits { memory: Some(memory), cpus: Some(0.5), pids: Some(64), ..Limits::default() };
    of(id, RuntimeSettings::Process(settings), limits)
}

#[tokio::test]
async fn a_child_is_held_to_its_limits_and_killed_for_its_memory_alone() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::new(folder.path(), WallClock::system());
    let eater = node("child-eater", "eat 200", 48 * MIB);
    let modest = node("child-modest", "eat 20", 48 * MIB);
    runtime.start(&eater).await.unwrap();
    runtime.start(&modest).await.unwrap();
    assert_eq!(end(&runtime, &eater).await, (Some(137), true));
    line(&runtime, &modest, "ate 20").await;
    let seen =
        until(&runtime, &modest, |seen| seen.usage.as_ref().and_then(|usage| usage.memory) > Some(20 * MIB))
            .await;
    let usage = seen.usage.unwrap();
    let held = usage.held_to.unwrap();
    assert_eq!((held.memory, held.cpus, held.pids), (Some(48 * MIB), Some(0.5), Some(64)));
    assert_eq!((usage.oom_kills, usage.pids), (Some(0), Some(1)));

    let to = |memory| Limits { memory: Some(memory * MIB), ..Limits::default() };
    assert!(matches!(runtime.resize(&modest, &to(16)).await, Err(RuntimeError::Refused(_))));
    runtime.resize(&modest, &to(96)).await.unwrap();
    let held = runtime.inspect(&modest).await.unwrap().usage.unwrap().held_to.unwrap();
    assert_eq!((held.memory, held.cpus, held.pids), (Some(96 * MIB), None, None));
    runtime.stop(&modest, GRACE).await.unwrap();
    assert!(matches!(
        runtime.inspect(&modest).await.unwrap().status,
        ProcessStatus::Exited { code: Some(143), oom_killed: false, .. }
    ));
}
