//! Created, started, stopped, removed; crashes; what is not ours; output.

use std::os::unix::fs::chown;

use futures_util::StreamExt;
use relaymux::supervisor::{ProcessStatus, Runtime, RuntimeError};

use super::{
    engine::{IMAGE, engine},
    networks::call,
    world::{GRACE, end, launch, line, mount, node, port, until, up},
};

#[tokio::test]
async fn a_node_is_created_started_stopped_and_removed_and_its_data_stays() {
    let engine = engine().await;
    let runtime = engine.runtime();
    let data = tempfile::tempdir().unwrap();
    chown(data.path(), Some(1000), Some(1000)).unwrap();
    let mut spec = launch("serve 8545");
    spec.ports = vec![port("127.0.0.1", 18_545)];
    spec.mounts = vec![mount(data.path(), "/data")];
    std::fs::write(data.path().join("chaindata"), "years of it").unwrap();
    let node = node("lifecycle", Some(spec));
    assert_eq!(runtime.inspect(&node).await.unwrap().status, ProcessStatus::Absent);

    runtime.create(&node).await.unwrap();
    runtime.create(&node).await.unwrap();
    let created = runtime.inspect(&node).await.unwrap();
    assert_eq!(created.status, ProcessStatus::Created);
    assert!(created.ours && created.usage.is_none());

    runtime.start(&node).await.unwrap();
    runtime.start(&node).await.unwrap();
    line(&runtime, &node, "listening").await;
    assert!(call("127.0.0.1:18545", "eth_chainId").unwrap().contains("0x539"));
    let running =
        until(&runtime, &node, |seen| seen.usage.as_ref().is_some_and(|usage| usage.memory.is_some())).await;
    assert!(matches!(running.status, ProcessStatus::Running { since: Some(_) }));
    assert!(running.what.contains(IMAGE) && running.what.contains("sha256:"), "{}", running.what);
    assert!(matches!(runtime.remove(&node).await, Err(RuntimeError::Refused(_))), "it runs");

    runtime.stop(&node, GRACE).await.unwrap();
    runtime.stop(&node, GRACE).await.unwrap();
    // SIGTERM was enough: nothing was killed.
    assert_eq!(end(&runtime, &node).await, (Some(143), false));
    runtime.start(&node).await.unwrap();
    let again = runtime.inspect(&node).await.unwrap();
    assert_ne!(again.run, running.run);
    engine.says(&["pause", "lifecycle"]);
    assert_eq!(runtime.inspect(&node).await.unwrap().status, ProcessStatus::Paused);
    assert!(matches!(runtime.start(&node).await, Err(RuntimeError::Refused(why)) if why.contains("unpause")));
    engine.says(&["unpause", "lifecycle"]);
    runtime.stop(&node, GRACE).await.unwrap();
    runtime.remove(&node).await.unwrap();
    runtime.remove(&node).await.unwrap();
    assert_eq!(runtime.inspect(&node).await.unwrap().status, ProcessStatus::Absent);
    assert_eq!(std::fs::read_to_string(data.path().join("chaindata")).unwrap(), "years of it");
}

#[tokio::test]
async fn a_crash_is_told_from_a_kill_for_memory_and_both_are_events() {
    let runtime = engine().await.runtime();
    let crash = node("crash", Some(launch("crash 3")));
    let eater = node("eater", Some(launch("eat 200")));
    let nodes = [crash.clone(), eater.clone()];
    runtime.create(&crash).await.unwrap();
    runtime.create(&eater).await.unwrap();
    let mut events = runtime.events(&nodes);
    let mut told = Vec::new();
    let started = async {
        // Nobody says when the engine has begun to tell: starts are repeated until something is heard.
        loop {
            runtime.start(&crash).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
    };
    tokio::select! {
        () = started => unreachable!(),
        event = events.next() => told.push(event.unwrap()),
    }
    runtime.start(&eater).await.unwrap();
    assert_eq!(end(&runtime, &crash).await, (Some(3), false));
    assert_eq!(end(&runtime, &eater).await, (Some(137), true));
    while !told.iter().any(|event| event.node == eater.id && event.what == "die") {
        told.push(tokio::time::timeout(GRACE, events.next()).await.unwrap().unwrap());
    }
    let of = |id: &relaymux::types::NodeId, what: &str| {
        told.iter().any(|event| event.node == *id && event.what == what)
    };
    assert!(of(&crash.id, "die"), "{told:?}");
    assert!(of(&eater.id, "start") && of(&eater.id, "oom"), "{told:?}");
    assert!(told.iter().all(|event| event.at.is_some()));
}

#[tokio::test]
async fn what_we_did_not_create_is_never_removed() {
    let engine = engine().await;
    let runtime = engine.runtime();
    engine.says(&["run", "-d", "--name", "theirs", "--network", "none", IMAGE, "serve", "8545"]);
    for node in [node("theirs", None), node("theirs", Some(launch("serve 8545")))] {
        runtime.create(&node).await.unwrap();
        let seen = runtime.inspect(&node).await.unwrap();
        assert!(!seen.ours && matches!(seen.status, ProcessStatus::Running { .. }));
        runtime.stop(&node, GRACE).await.unwrap();
        let refused = runtime.remove(&node).await.unwrap_err();
        assert!(
            matches!(&refused, RuntimeError::Refused(why) if why.contains("docker rm theirs")),
            "{refused}"
        );
        runtime.start(&node).await.unwrap();
    }
    // Nor what another sidecar on this engine made.
    let node = node("another", Some(launch("serve 8545")));
    let other = engine.runtime().with_instance("2");
    other.create(&node).await.unwrap();
    assert!(!runtime.inspect(&node).await.unwrap().ours && other.inspect(&node).await.unwrap().ours);
    assert!(matches!(runtime.remove(&node).await, Err(RuntimeError::Refused(_))));
    other.remove(&node).await.unwrap();
    assert_eq!(engine.says(&["inspect", "--format", "{{.State.Running}}", "theirs"]), "true");
    // What is not there and has no template is not created.
    let absent = super::world::node("nowhere", None);
    assert!(matches!(runtime.create(&absent).await, Err(RuntimeError::Refused(_))));
    assert!(matches!(runtime.start(&absent).await, Err(RuntimeError::Refused(_))));
    runtime.stop(&absent, GRACE).await.unwrap();
}

#[tokio::test]
async fn output_is_bounded_in_lines_and_bytes() {
    let engine = engine().await;
    let runtime = engine.runtime();
    let node = node("chatter", Some(launch("chatter 20000")));
    up(&runtime, &node).await;
    assert_eq!(end(&runtime, &node).await, (Some(0), false));
    let lines = runtime.logs(&node, 100).await.unwrap();
    assert_eq!(lines.len(), 100);
    assert!(lines[0].starts_with("line 19900 ") && lines[99].starts_with("line 19999 "), "{}", lines[0]);
    let all = runtime.logs(&node, usize::MAX).await.unwrap();
    assert!(all.len() < 20_000 && all.iter().map(String::len).sum::<usize>() <= 1 << 20);
    assert!(all.last().unwrap().starts_with("line 19999 "));
    // With a terminal there are no frames to trust.
    engine.says(&["run", "-d", "-t", "--name", "terminal", "--network", "none", IMAGE, "serve", "8545"]);
    let terminal = super::world::node("terminal", None);
    assert!(
        matches!(runtime.logs(&terminal, 5).await, Err(RuntimeError::Refused(why)) if why.contains("docker logs"))
    );
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_said_how_to_get() {
    let runtime = engine().await.runtime();
    let mut spec = launch("serve 8545");
    spec.image = "registry.invalid/client-go:v1.16.7".to_owned();
    let node = node("no-image", Some(spec));
    let error = runtime.create(&node).await.unwrap_err().to_string();
    assert!(error.contains("`docker pull registry.invalid/client-go:v1.16.7`"), "{error}");
    assert_eq!(runtime.inspect(&node).await.unwrap().status, ProcessStatus::Absent);
}
