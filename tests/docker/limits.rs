//! Hardening and limits, seen from inside and from outside; resizes of what runs.

use std::os::unix::fs::chown;

use relaymux::{
    host::Cgroup,
    supervisor::{Cpuset, Limits, Runtime, RuntimeError},
};

use super::{
    engine::engine,
    networks::call_with,
    world::{GRACE, MIB, launch, line, mount, node, port, until, up},
};

#[tokio::test]
async fn a_container_sees_from_inside_how_it_is_held() {
    let runtime = engine().await.runtime();
    let data = tempfile::tempdir().unwrap();
    chown(data.path(), Some(1000), Some(1000)).unwrap();
    let mut spec = launch("report");
    spec.mounts = vec![mount(data.path(), "/data")];
    spec.tmpfs = vec![("/run/own".to_owned(), MIB)];
    let node = node("report", Some(spec));
    up(&runtime, &node).await;
    let said = line(&runtime, &node, "end of report").await;
    for wanted in [
        "Uid: 1000 1000 1000 1000",
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
        "Cpus_allowed_list: 0",
        // EROFS
        "write /written: errno 30",
        "write /tmp/written: ok",
        "write /data/written: ok",
        "write /run/own/written: ok",
        "env GREETING=hello",
    ] {
        assert!(said.iter().any(|line| line == wanted), "{wanted} is not in {said:#?}");
    }
    assert_eq!(std::fs::read_to_string(data.path().join("written")).unwrap(), "x");
    runtime.stop(&node, GRACE).await.unwrap();
}

#[tokio::test]
async fn limits_are_held_read_back_and_changed_while_it_runs() {
    let engine = engine().await;
    let runtime = engine.runtime();
    let mut spec = launch("serve 8545");
    spec.ports = vec![port("127.0.0.1", 18_546)];
    let given = spec.limits.clone();
    let node = node("resized", Some(spec));
    up(&runtime, &node).await;
    line(&runtime, &node, "listening").await;
    let seen = runtime.inspect(&node).await.unwrap().usage.unwrap();
    assert_eq!(seen.held_to, Some(given), "as the kernel's own files have it");
    assert_eq!(seen.oom_kills, Some(0));
    assert!(seen.cpu_us.is_some() && seen.throttled.is_some() && seen.pids.unwrap() >= 1, "{seen:?}");

    call_with("127.0.0.1:18546", "standin_eat", "40").unwrap();
    until(&runtime, &node, |seen| seen.usage.as_ref().and_then(|usage| usage.memory) > Some(40 * MIB)).await;
    let too_small = Limits { memory: Some(32 * MIB), ..Limits::default() };
    let refused = runtime.resize(&node, &too_small).await.unwrap_err();
    assert!(
        matches!(&refused, RuntimeError::Refused(why) if why.contains("32 MiB") && why.contains("resized uses 4")),
        "{refused}"
    );

    let larger = Limits {
        memory: Some(256 * MIB),
        swap: 0,
        cpus: Some(1.5),
        cpuset: Cpuset::parse("0-1"),
        pids: Some(99),
    };
    runtime.resize(&node, &larger).await.unwrap();
    assert_eq!(runtime.inspect(&node).await.unwrap().usage.unwrap().held_to, Some(larger));
    // By the files of the kernel, asked by another way.
    let pid = engine.says(&["inspect", "--format", "{{.State.Pid}}", "resized"]).parse().unwrap();
    let held = Cgroup::of_pid(std::path::Path::new("/"), pid).unwrap().limits();
    assert_eq!((held.memory, held.pids), (Some(256 * MIB), Some(99)));

    let smaller = Limits { memory: Some(128 * MIB), ..Limits::default() };
    runtime.resize(&node, &smaller).await.unwrap();
    let now = runtime.inspect(&node).await.unwrap().usage.unwrap().held_to.unwrap();
    assert_eq!((now.memory, now.swap, now.pids), (Some(128 * MIB), 0, None));

    // What runs keeps a limit for ever: none is the whole machine.
    runtime.resize(&node, &Limits::default()).await.unwrap();
    let now = runtime.inspect(&node).await.unwrap().usage.unwrap().held_to.unwrap();
    assert!(now.memory.is_none_or(|memory| memory > 512 * MIB), "{now:?}");
    runtime.stop(&node, GRACE).await.unwrap();

    // As is advised after a kill for its memory: one that is down gets more, and is started.
    let more = Limits { memory: Some(192 * MIB), ..Limits::default() };
    runtime.resize(&node, &more).await.unwrap();
    runtime.start(&node).await.unwrap();
    let now = runtime.inspect(&node).await.unwrap().usage.unwrap().held_to.unwrap();
    assert_eq!((now.memory, now.swap), (Some(192 * MIB), 0));
    runtime.stop(&node, GRACE).await.unwrap();
}
