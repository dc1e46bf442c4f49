//! The system bus, and systemd's manager on it.

use std::{collections::HashMap, num::NonZeroUsize, time::Duration};

use futures_util::{StreamExt, future, stream::BoxStream};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout, timeout_at},
};
use zbus::{
    Connection, DynamicType, Error, MatchRule, Message, MessageStream, OwnedObjectPath, OwnedVariant,
    Variant, message::Type,
};

use super::properties::Properties;
use crate::supervisor::{NodeSettings, RuntimeError, RuntimeEvent};

/// Longest wait for an answer of the manager.
const CALL: Duration = Duration::from_secs(15);
/// Signals that may wait for us. When it is full, the connection waits.
const WAITING: NonZeroUsize = NonZeroUsize::new(256).unwrap();

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const UNITS_PATH: &str = "/org/freedesktop/systemd1/unit";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// The interface of what every unit has.
pub(super) const UNIT: &str = "org.freedesktop.systemd1.Unit";
/// The interface of what services have besides.
pub(super) const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Start,
    Stop,
}

impl Job {
    const fn method(self) -> &'static str {
        match self {
            Self::Start => "StartUnit",
            Self::Stop => "StopUnit",
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}

/// The bus. Connected at the first call, and anew when it is gone.
#[derive(Debug)]
pub(super) struct Bus {
    connection: Mutex<Option<Connection>>,
}

impl Bus {
    pub(super) fn system() -> Self {
        Self { connection: Mutex::new(None) }
    }

    #[cfg(test)]
    pub(super) fn of(connection: Connection) -> Self {
        Self { connection: Mutex::new(Some(connection)) }
    }

    async fn connect(&self) -> Result<Connection, RuntimeError> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = kept.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let connection = match timeout(CALL, Connection::system()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(away(&error.to_string())),
            Err(_) => return Err(away(&format!("no answer within {} s", CALL.as_secs()))),
        };
        *kept = Some(connection.clone());
        Ok(connection)
    }

    async fn call<B>(
        &self,
        connection: &Connection,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
        what: &str,
    ) -> Result<Message, RuntimeError>
    where
        B: serde::Serialize + DynamicType + Sync,
    {
        let call = connection.call_method(Some(SYSTEMD), path, Some(interface), method, body);
        match timeout(CALL, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error_of(&error, what)),
            Err(_) => Err(RuntimeError::TimedOut(format!(
                "systemd has not answered within {} s: {what}.",
                CALL.as_secs()
            ))),
        }
    }

    async fn path(&self, connection: &Connection, unit: &str) -> Result<OwnedObjectPath, RuntimeError> {
        let what = format!("unit {unit} cannot be looked up");
        // Not GetUnit: that knows only what is loaded, and a unit that has never run is not.
        let answer = self.call(connection, MANAGER_PATH, MANAGER, "LoadUnit", &unit, &what).await?;
        answer.body().deserialize().map_err(|error| error_of(&error, &what))
    }

    /// All properties of a unit.
    pub(super) async fn properties(&self, unit: &str) -> Result<Properties, RuntimeError> {
        let connection = self.connect().await?;
        let path = self.path(&connection, unit).await?;
        let what = format!("unit {unit} cannot be inspected");
        let mut all: HashMap<String, OwnedVariant> = HashMap::new();
        for interface in [UNIT, SERVICE] {
            let answer = self.call(&connection, path.as_str(), PROPERTIES, "GetAll", &interface, &what).await;
            match answer {
                Ok(answer) => {
                    let some: HashMap<String, OwnedVariant> =
                        answer.body().deserialize().map_err(|error| error_of(&error, &what))?;
                    all.extend(some);
                }
                // A slice or a scope is no service, and has a status all the same.
                Err(RuntimeError::Refused(_)) if interface == SERVICE => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Properties::new(all))
    }

    /// Has the manager start or stop a unit, and waits until that is over.
    pub(super) async fn job(&self, job: Job, unit: &str, longest: Duration) -> Result<(), RuntimeError> {
        let connection = self.connect().await?;
        let what = format!("unit {unit} cannot be {}ed", if job == Job::Stop { "stopp" } else { "start" });
        // Heard before it is asked for: it may be over before the answer.
        let mut removed = self.signals(&connection, MANAGER_PATH, false, MANAGER, "JobRemoved").await?;
        let answer =
            self.call(&connection, MANAGER_PATH, MANAGER, job.method(), &(unit, "replace"), &what).await?;
        let path: OwnedObjectPath = answer.body().deserialize().map_err(|error| error_of(&error, &what))?;
        let until = Instant::now() + longest;
        loop {
            let signal = match timeout_at(until, removed.next()).await {
                Ok(Some(Ok(signal))) => signal,
                Ok(Some(Err(error))) => return Err(error_of(&error, &what)),
                Ok(None) => return Err(away("the connection ended")),
                Err(_) => {
                    return Err(RuntimeError::TimedOut(format!(
                        "systemd still works on the {} of {unit} after {} s: `systemctl status {unit}` says on what.",
                        job.verb(),
                        longest.as_secs()
                    )));
                }
            };
            let body = signal.body();
            let Ok((_, removed, _, result)) = body.deserialize::<(u32, OwnedObjectPath, String, String)>()
            else {
                continue;
            };
            if removed != path {
                continue;
            }
            return match result.as_str() {
                "done" | "skipped" => Ok(()),
                other => Err(RuntimeError::Refused(format!(
                    "systemd could not {} {unit} ({other}): `systemctl status {unit}` and `journalctl -u {unit}` say why.",
                    job.verb()
                ))),
            };
        }
    }

    /// Kills every process of a unit at once.
    pub(super) async fn kill(&self, unit: &str) -> Result<(), RuntimeError> {
        let connection = self.connect().await?;
        let what = format!("unit {unit} cannot be killed");
        let body = (unit, "all", rustix::process::Signal::KILL.as_raw());
        self.call(&connection, MANAGER_PATH, MANAGER, "KillUnit", &body, &what).await.map(|_| ())
    }

    /// Sets properties of a unit until the next boot.
    pub(super) async fn set(
        &self,
        unit: &str,
        properties: Vec<(&'static str, Variant<'static>)>,
    ) -> Result<(), RuntimeError> {
        let connection = self.connect().await?;
        let what = format!("the limits of unit {unit} cannot be changed");
        let body = (unit, true, properties);
        self.call(&connection, MANAGER_PATH, MANAGER, "SetUnitProperties", &body, &what).await.map(|_| ())
    }

    async fn signals(
        &self,
        connection: &Connection,
        path: &str,
        below: bool,
        interface: &str,
        member: &str,
    ) -> Result<MessageStream, RuntimeError> {
        let what = "systemd's signals cannot be heard";
        let rule = MatchRule::builder().msg_type(Type::Signal).interface(interface).member(member);
        let rule = if below { rule.path_namespace(path) } else { rule.path(path) };
        let rule = rule.build().map_err(|error| error_of(&error, what))?;
        let heard = MessageStream::for_match_rule(rule.to_owned(), connection, Some(WAITING));
        let heard = match timeout(CALL, heard).await {
            Ok(heard) => heard.map_err(|error| error_of(&error, what))?,
            Err(_) => {
                return Err(RuntimeError::TimedOut(format!(
                    "the bus has not answered within {} s",
                    CALL.as_secs()
                )));
            }
        };
        // It sends none unless somebody asked.
        self.call(connection, MANAGER_PATH, MANAGER, "Subscribe", &(), what).await?;
        Ok(heard)
    }

    /// Changes of state of these units. Ends with the connection.
    pub(super) async fn changes<'a>(
        &'a self,
        units: HashMap<&'a str, &'a NodeSettings>,
    ) -> Result<BoxStream<'a, RuntimeEvent>, RuntimeError> {
        let connection = self.connect().await?;
        let heard = self.signals(&connection, UNITS_PATH, true, PROPERTIES, "PropertiesChanged").await?;
        let mut paths = HashMap::new();
        for (unit, node) in units {
            paths.insert(self.path(&connection, unit).await?.to_string(), node.id.clone());
        }
        Ok(heard
            .take_while(|signal| future::ready(signal.is_ok()))
            .filter_map(move |signal| {
                future::ready(signal.ok().and_then(|signal| {
                    let node = paths.get(signal.header().path()?.as_str())?;
                    let body = signal.body();
                    let (interface, changed, _) =
                        body.deserialize::<(String, HashMap<String, OwnedVariant>, Vec<String>)>().ok()?;
                    let changed = Properties::new(changed);
                    // The cgroup's counters change all the time, and are no event.
                    let what = (interface == UNIT).then(|| changed.sub_state()).flatten()?;
                    Some(RuntimeEvent { node: node.clone(), what, at: changed.changed_at() })
                }))
            })
            .boxed())
    }
}

fn away(why: &str) -> RuntimeError {
    RuntimeError::Away(format!(
        "systemd does not answer over the system bus: {}. Is this machine run by systemd, and is dbus running? In a container, the \
         host's /run/dbus/system_bus_socket must be mounted.",
        clipped(why)
    ))
}

fn clipped(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_end_matches('.').chars().take(400).collect()
}

/// What an error means, `what` being what could not be done.
fn error_of(error: &Error, what: &str) -> RuntimeError {
    match error {
        // An answer of somebody: of the bus, or of systemd.
        Error::MethodError(name, said, _) => {
            refusal(name.as_str(), said.as_deref().unwrap_or_default(), what)
        }
        Error::FDO(error) => match error.as_ref() {
            zbus::fdo::Error::ServiceUnknown(why)
            | zbus::fdo::Error::NameHasNoOwner(why)
            | zbus::fdo::Error::Disconnected(why)
            | zbus::fdo::Error::NoReply(why) => away(why),
            zbus::fdo::Error::AccessDenied(said)
            | zbus::fdo::Error::InteractiveAuthorizationRequired(said) => refusal("AccessDenied", said, what),
            other => refusal("", &other.to_string(), what),
        },
        Error::InputOutput(why) => away(&why.to_string()),
        other => RuntimeError::Refused(format!("{what}: {}.", clipped(&other.to_string()))),
    }
}

fn refusal(name: &str, said: &str, what: &str) -> RuntimeError {
    if name.ends_with("AccessDenied") || name.ends_with("InteractiveAuthorizationRequired") {
        return RuntimeError::Refused(format!(
            "systemd does not let this user do that ({what}): run relaymux as root, or allow its user \
             `org.freedesktop.systemd1.manage-units` by a polkit rule."
        ));
    }
    RuntimeError::Refused(format!("systemd refuses: {what}: {}.", clipped(said)))
}
