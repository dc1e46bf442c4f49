use std::time::Duration;

use futures_util::StreamExt;

use super::*;
use crate::supervisor::runtime::testing;

const LONG: Duration = Duration::from_secs(30);

fn shell(id: &str, script: &str) -> NodeSettings {
    let args = vec!["-c".to_owned(), script.to_owned()];
    testing::of(
        id,
        RuntimeSettings::Process(ProcessSettings {
            program: "/bin/sh".into(),
            args,
            folder: None,
            env: vec![("GREETING".into(), "hello".into())],
        }),
    )
}

fn runtime(folder: &tempfile::TempDir) -> ProcessRuntime {
    let mut runtime = ProcessRuntime::new(folder.path(), WallClock::manual(1000).0);
    // Without cgroups: those are the machine's, and tests/docker has it to itself.
    runtime.cgroups = OwnCgroups::under(folder.path());
    runtime
}

fn code(runtime: &ProcessRuntime, node: &NodeSettings) -> Option<i64> {
    match runtime.inspect(node).unwrap().status {
        ProcessStatus::Exited { code, oom_killed: false, at: Some(_) } => code,
        status => panic!("{status:?}"),
    }
}

#[tokio::test]
async fn a_child_runs_and_says_how_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(&folder);
    let node = shell("crash", "echo $GREETING; echo $RUSTUP_HOME$CARGO_HOME$USER >&2; exit 3");
    assert_eq!(runtime.inspect(&node).unwrap().status, ProcessStatus::Absent);
    let nodes = [node.clone()];
    let mut events = runtime.events(&nodes);
    runtime.start(&node).await.unwrap();
    assert_eq!(events.next().await.unwrap().what, "start");
    assert_eq!(events.next().await.unwrap().what, "die");
    assert_eq!(code(&runtime, &node), Some(3));
    let mut lines = runtime.logs(&node, 10).await.unwrap();
    lines.retain(|line| !line.is_empty());
    assert_eq!(lines, ["hello"], "only what is named is in its environment");
    // What is kept on disk is found by the next run of ours, too.
    assert_eq!(output::of_file(&folder.path().join("nodes"), &node.id, 5).await.len(), 2);
    // And again: a second run is another one.
    let before = runtime.inspect(&node).unwrap().run;
    runtime.start(&node).await.unwrap();
    assert_ne!(runtime.inspect(&node).unwrap().run, before);
}

#[tokio::test]
async fn a_child_is_asked_to_stop_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(&folder);
    let node = shell("polite", "trap 'echo bye; exit 0' TERM; echo up; sleep 600 & wait");
    runtime.start(&node).await.unwrap();
    runtime.start(&node).await.unwrap();
    while runtime.logs(&node, 10).await.unwrap() != ["up"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seen = runtime.inspect(&node).unwrap();
    assert!(matches!(seen.status, ProcessStatus::Running { since: Some(_) }) && seen.ours);
    let usage = seen.usage.unwrap();
    assert!(usage.memory.unwrap() > 0 && usage.pids == Some(1) && usage.held_to.is_none(), "{usage:?}");
    assert!(matches!(runtime.remove(&node), Err(RuntimeError::Refused(_))));
    assert!(matches!(runtime.resize(&node, &Limits::default()), Err(RuntimeError::Refused(_))));
    runtime.stop(&node, LONG).await.unwrap();
    assert_eq!(code(&runtime, &node), Some(0));
    assert_eq!(runtime.logs(&node, 1).await.unwrap(), ["bye"]);
    runtime.stop(&node, LONG).await.unwrap();
    runtime.remove(&node).unwrap();
    assert_eq!(runtime.inspect(&node).unwrap().status, ProcessStatus::Absent);
}

#[tokio::test]
async fn a_child_that_does_not_listen_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(&folder);
    let node = shell("stubborn", "trap '' TERM; echo up; while :; do sleep 1; done");
    runtime.start(&node).await.unwrap();
    while runtime.logs(&node, 10).await.unwrap() != ["up"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    runtime.stop(&node, Duration::from_millis(50)).await.unwrap();
    assert_eq!(code(&runtime, &node), Some(137));
}

#[tokio::test]
async fn shutdown_leaves_nobody_behind() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(&folder);
    let nodes = [shell("one", "exec sleep 600"), shell("two", "sleep 601 & exec sleep 602")];
    for node in &nodes {
        runtime.start(node).await.unwrap();
    }
    runtime.shutdown().await;
    for node in &nodes {
        assert_eq!(code(&runtime, node), Some(143));
    }
    assert!(
        std::fs::read_dir(folder.path().join("nodes"))
            .unwrap()
            .all(|file| { file.unwrap().path().extension().is_some_and(|extension| extension == "log") }),
        "no process number is left"
    );
}

#[tokio::test]
async fn what_an_earlier_run_left_behind_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let first = runtime(&folder);
    // It becomes another program, as what a script starts does.
    let node = shell("orphan", "exec sleep 600");
    first.start(&node).await.unwrap();
    let run = first.inspect(&node).unwrap().run;
    // A second runtime knows nothing but the file, as after a kill of ours.
    let second = runtime(&folder);
    let seen = second.inspect(&node).unwrap();
    assert_eq!((seen.status, seen.run), (ProcessStatus::Running { since: None }, run));
    second.start(&node).await.unwrap();
    second.stop(&node, LONG).await.unwrap();
    assert_eq!(code(&second, &node), None);
    // After a boot of the machine, whoever has that number is nobody of ours.
    let mine = found::Found::of(std::process::id()).unwrap();
    let words = format!("{} {} another-boot\n", mine.pid, mine.started);
    std::fs::write(folder.path().join("nodes/orphan.pid"), words).unwrap();
    assert_eq!(runtime(&folder).inspect(&node).unwrap().status, ProcessStatus::Absent);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(&folder);
    let mut node = shell("nobody", "");
    for program in ["/nowhere/geth", "no-such-program-anywhere"] {
        let RuntimeSettings::Process(settings) = &mut node.runtime else { panic!() };
        settings.program = program.into();
        let error = runtime.start(&node).await.unwrap_err().to_string();
        assert!(error.contains(program), "{error}");
        assert_eq!(runtime.inspect(&node).unwrap().status, ProcessStatus::Absent);
    }
}
