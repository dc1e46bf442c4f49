//! The engine goes away under us, and comes back.

use std::time::Duration;

use futures_util::StreamExt;
use relaymux::supervisor::{ProcessStatus, Runtime, RuntimeError};

use super::{
    engine::engine,
    world::{GRACE, launch, line, node, until, up},
};

#[tokio::test]
async fn an_engine_that_is_restarted_ends_the_events_and_nothing_else() {
    let engine = engine().await;
    let runtime = engine.runtime();
    let node = node("survivor", Some(launch("serve 8545")));
    up(&runtime, &node).await;
    line(&runtime, &node, "listening").await;
    let before = runtime.inspect(&node).await.unwrap();
    let nodes = [node.clone()];
    let mut events = runtime.events(&nodes);
    // Nobody says when the engine has begun to tell: something happens until it is heard.
    loop {
        engine.says(&["pause", "survivor"]);
        engine.says(&["unpause", "survivor"]);
        match tokio::time::timeout(Duration::from_millis(300), events.next()).await {
            Ok(event) => break assert_eq!(event.unwrap().node, node.id),
            Err(_) => continue,
        }
    }
    engine.stop();
    let ended = tokio::time::timeout(GRACE, async { while events.next().await.is_some() {} }).await;
    ended.expect("the stream ends with its engine");

    let away = runtime.inspect(&node).await.unwrap_err();
    assert!(matches!(&away, RuntimeError::Away(why) if why.contains("systemctl status docker")), "{away}");
    assert!(matches!(runtime.stop(&node, GRACE).await, Err(RuntimeError::Away(_))));
    assert_eq!(runtime.events(&nodes).next().await, None, "no engine, no events");

    engine.start().await;
    let after = until(&runtime, &node, |seen| matches!(seen.status, ProcessStatus::Running { .. })).await;
    assert_eq!(after.run, before.run, "the same run: it was not restarted");
    runtime.stop(&node, GRACE).await.unwrap();
    runtime.remove(&node).await.unwrap();
}
