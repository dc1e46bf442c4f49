//! Against a scripted manager, spoken to without a bus: no machine of these tests is run by systemd. What a real one answers is in the tables of
//! `properties`.

use std::sync::Arc;

use parking_lot::Mutex;
use zbus::{Connection, Guid, MessageStream, ObjectPath, Variant, connection::Builder, message::Type};

use super::*;
use crate::supervisor::{SystemdSettings, runtime::testing};

const UNIT_PATH: &str = "/org/freedesktop/systemd1/unit/geth_2eservice";
const JOB_PATH: &str = "/org/freedesktop/systemd1/job/7";

/// What it was asked, and what it is.
#[derive(Debug, Default)]
struct Script {
    asked: Vec<String>,
    active: &'static str,
    sub: &'static str,
    job_result: Option<&'static str>,
    denies: bool,
    set: Vec<(String, u64)>,
}

struct Manager {
    script: Arc<Mutex<Script>>,
    bus: Connection,
}

/// A runtime and the manager that it talks to.
async fn manager(active: &'static str, sub: &'static str) -> (SystemdRuntime, Manager) {
    let (ours, its) = std::os::unix::net::UnixStream::pair().unwrap();
    let server = Builder::unix_stream(its).server(Guid::generate()).p2p();
    let client = Builder::unix_stream(ours).p2p();
    let (server, client) = tokio::join!(server.build(), client.build());
    let (server, client) = (server.unwrap(), client.unwrap());
    let script = Arc::new(Mutex::new(Script { active, sub, job_result: Some("done"), ..Script::default() }));
    tokio::spawn(serve(server.clone(), Arc::clone(&script)));
    let runtime = SystemdRuntime { bus: Bus::of(client), root: PathBuf::from("/nowhere") };
    (runtime, Manager { script, bus: server })
}

async fn serve(bus: Connection, script: Arc<Mutex<Script>>) {
    let mut calls = MessageStream::from(&bus);
    while let Some(Ok(call)) = calls.next().await {
        let header = call.header();
        if header.message_type() != Type::MethodCall {
            continue;
        }
        let method = header.member().unwrap().to_string();
        script.lock().asked.push(method.clone());
        if script.lock().denies && method != "LoadUnit" && method != "GetAll" {
            let name = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";
            bus.reply_error(&header, name, &"Interactive authentication required.").await.unwrap();
            continue;
        }
        match method.as_str() {
            "LoadUnit" => bus.reply(&header, &ObjectPath::try_from(UNIT_PATH).unwrap()).await.unwrap(),
            "GetAll" => {
                let all: HashMap<&str, Variant<'_>> = {
                    let script = script.lock();
                    HashMap::from([
                        ("LoadState", Variant::from("loaded")),
                        ("ActiveState", Variant::from(script.active)),
                        ("SubState", Variant::from(script.sub)),
                        ("ExecMainStartTimestamp", Variant::from(1_000_000_u64)),
                        ("MemoryCurrent", Variant::from(6_u64 << 30)),
                        ("MemoryMax", Variant::from(script.set.first().map_or(8 << 30, |(_, max)| *max))),
                        ("MemorySwapMax", Variant::from(0_u64)),
                        ("CPUUsageNSec", Variant::from(9000_u64)),
                    ])
                };
                bus.reply(&header, &all).await.unwrap();
            }
            "StartUnit" | "StopUnit" => {
                bus.reply(&header, &ObjectPath::try_from(JOB_PATH).unwrap()).await.unwrap();
                if let Some(result) = script.lock().job_result.take() {
                    tokio::spawn(job_removed(bus.clone(), JOB_PATH, result));
                }
            }
            "SetUnitProperties" => {
                let body = call.body();
                let (_, runtime, set): (String, bool, Vec<(String, zbus::OwnedVariant)>) =
                    body.deserialize().unwrap();
                assert!(runtime, "unit files are never written");
                let numbers =
                    set.into_iter().filter_map(|(name, value)| Some((name, u64::try_from(value).ok()?)));
                script.lock().set = numbers.collect();
                bus.reply(&header, &()).await.unwrap();
            }
            "KillUnit" => {
                bus.reply(&header, &()).await.unwrap();
                script.lock().job_result = Some("done");
            }
            _ => bus.reply(&header, &()).await.unwrap(),
        }
    }
}

async fn job_removed(bus: Connection, path: &'static str, result: &'static str) {
    let to = "org.freedesktop.systemd1.Manager";
    // Another job first: it is not ours.
    for (path, result) in [("/org/freedesktop/systemd1/job/6", "failed"), (path, result)] {
        let body = (7_u32, ObjectPath::try_from(path).unwrap(), "geth.service", result);
        bus.emit_signal(None::<&str>, "/org/freedesktop/systemd1", to, "JobRemoved", &body).await.unwrap();
    }
}

fn node() -> NodeSettings {
    testing::of("geth", RuntimeSettings::Systemd(SystemdSettings { unit: "geth.service".into() }))
}

#[tokio::test]
async fn a_unit_is_looked_at() {
    let (runtime, _manager) = manager("active", "running").await;
    let seen = runtime.inspect(&node()).await.unwrap();
    assert_eq!(seen.status, ProcessStatus::Running { since: Some(1000) });
    assert!(!seen.ours);
    let usage = seen.usage.unwrap();
    assert_eq!((usage.memory, usage.cpu_us), (Some(6 << 30), Some(9)));
    assert_eq!(usage.held_to.unwrap().memory, Some(8 << 30));
}

#[tokio::test]
async fn a_start_waits_for_its_own_job() {
    let (runtime, manager) = manager("inactive", "dead").await;
    runtime.start(&node()).await.unwrap();
    assert!(manager.script.lock().asked.contains(&"Subscribe".to_owned()));

    manager.script.lock().job_result = Some("failed");
    let error = runtime.start(&node()).await.unwrap_err();
    assert!(
        matches!(&error, RuntimeError::Refused(why) if why.contains("systemctl status geth.service")),
        "{error}"
    );
}

#[tokio::test]
async fn a_unit_that_does_not_stop_within_its_grace_is_killed() {
    let (runtime, manager) = manager("active", "running").await;
    manager.script.lock().job_result = None;
    runtime.stop(&node(), Duration::from_millis(50)).await.unwrap();
    let asked = manager.script.lock().asked.clone();
    let of = |name: &str| asked.iter().filter(|asked| *asked == name).count();
    assert_eq!((of("StopUnit"), of("KillUnit")), (2, 1));
}

#[tokio::test]
async fn what_does_not_run_is_not_stopped_and_nothing_is_removed() {
    let (runtime, manager) = manager("failed", "failed").await;
    runtime.stop(&node(), Duration::from_secs(30)).await.unwrap();
    assert!(!manager.script.lock().asked.contains(&"StopUnit".to_owned()));
    assert!(matches!(runtime.remove(&node()).await, Err(RuntimeError::Refused(_))));
}

#[tokio::test]
async fn limits_are_set_for_this_boot_and_read_back() {
    let (runtime, manager) = manager("active", "running").await;
    let to = |memory| Limits { memory: Some(memory), ..Limits::default() };
    runtime.resize(&node(), &to(10 << 30)).await.unwrap();
    let set = manager.script.lock().set.clone();
    assert_eq!(set[0], ("MemoryMax".to_owned(), 10 << 30));
    assert!(set.contains(&("MemorySwapMax".to_owned(), 0)));
    let error = runtime.resize(&node(), &to(5 << 30)).await.unwrap_err().to_string();
    assert!(error.contains("6.00 GiB"), "{error}");
}

#[tokio::test]
async fn a_user_who_may_not_is_told_how_to() {
    let (runtime, manager) = manager("inactive", "dead").await;
    manager.script.lock().denies = true;
    let error = runtime.start(&node()).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::Refused(why) if why.contains("polkit")), "{error}");
}

#[tokio::test]
async fn changes_of_a_unit_are_events_until_the_bus_is_gone() {
    let (runtime, manager) = manager("active", "running").await;
    let nodes = [node()];
    let mut events = runtime.events(&nodes);
    let told = async {
        let asked = || manager.script.lock().asked.iter().filter(|asked| *asked == "LoadUnit").count();
        while asked() == 0 {
            tokio::task::yield_now().await;
        }
        for (path, interface, name, value) in [
            (UNIT_PATH, bus::SERVICE, "SubState", Variant::from("ignored")),
            ("/org/freedesktop/systemd1/unit/other", bus::UNIT, "SubState", Variant::from("failed")),
            (UNIT_PATH, bus::UNIT, "SubState", Variant::from("auto-restart")),
        ] {
            let changed =
                HashMap::from([(name, value), ("StateChangeTimestamp", Variant::from(5_000_000_u64))]);
            let body = (interface, changed, Vec::<String>::new());
            let properties = "org.freedesktop.DBus.Properties";
            manager
                .bus
                .emit_signal(None::<&str>, path, properties, "PropertiesChanged", &body)
                .await
                .unwrap();
        }
    };
    let (event, ()) = tokio::join!(events.next(), told);
    let event = event.unwrap();
    assert_eq!((event.node.as_str(), event.what.as_str(), event.at), ("geth", "auto-restart", Some(5000)));
    manager.bus.close().await.unwrap();
    assert_eq!(events.next().await, None);
}
