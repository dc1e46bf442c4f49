//! The operator's nodes under supervision: execution clients, a beacon node, second layers, a Solana validator.
//!
//! `[[nodes]]` names them. Each has a kind, which knows its probe and its start template, and a runtime (Docker, systemd, a process of our
//! own), which knows how to look at it, start it and stop it. `fleet` decides: a pure step over all nodes, from what runtimes and probes
//! observed, to states and to what is to be done. `controller` carries that out, one restart at a time. `admission` says whether the limits fit
//! the machine; `audit` reads what others wrote (compose files, `docker run` lines) and what runs; `firewall` and `jwt` make the two things
//! around nodes that people most often get wrong.
//!
//! It promises: nothing is created, started, stopped, restarted, resized or removed that the configuration does not name, and nothing is removed
//! that was not made here. Data is never deleted. A node that a person stopped stays stopped; one that crashes again and again is left alone and
//! a person is called. Primary and replica are never restarted together. A lag that all nodes share restarts none. Each action has its
//! reason in the ledger and on the spine.
//!
//! It never judges by `eth_syncing` alone, never waits for Docker on anybody else's path, and without a Docker engine does everything
//! else and says what it cannot see.

pub mod admission;
pub mod audit;
mod controller;
pub mod disk;
pub mod eta;
pub mod firewall;
mod fleet;
pub mod image;
pub mod jwt;
pub mod kind;
pub mod launch;
pub mod limits;
mod metrics;
pub mod plan;
pub mod probe;
pub mod probing;
pub(crate) mod rules;
pub mod runtime;
pub mod schedule;
pub mod settings;
pub mod sight;
mod signals;
pub mod status;
pub mod template;

pub use admission::{Admission, Verdict, admit};
pub use controller::{Runtimes, Supervising, SupervisorHandle, SupervisorParts, start};
pub use eta::{Left, Outlook, OutlookKind, Progress, Sample};
pub use fleet::{
    LONGEST_HOLD, LimitsChange, NodeView, Order, OrderDone, OrderKind, OrderRefused, RuntimeKind, SyncView,
};
pub use image::{Image, ImageError};
pub use kind::{Layer, NodeKind};
pub use launch::{LaunchSpec, Mount, Network, Port, Protocol};
pub use limits::{Cpuset, Limits, Usage};
pub use metrics::describe_metrics;
pub use probe::{Ages, ProbeFailure, Prober};
pub use probing::{Probe, ProbeFailed};
pub use runtime::{Runtime, RuntimeError, RuntimeEvent};
pub use settings::{
    DockerHost, DockerSettings, NodeSettings, NodesSettings, ProbeSettings, ProcessSettings, PsiGuard,
    Reserve, RestartPolicy, RuntimeSettings, STALL_AFTER, SystemdSettings,
};
pub use sight::{Ready, Sight};
pub use status::{Inspection, ProcessStatus};
