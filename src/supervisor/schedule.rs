//! Tasks that are done by the clock: cleaning, looking, backing up.
//!
//! `plan` decides, in a pure step: which task is due by its cron expression and time zone, what a downtime or a clock that jumps makes of it, and what
//! keeps a task from beginning. The shell around it carries runs out, each written down before it begins. Who does what a task is for, `app`
//! names; a task that nobody can do does not exist.
//!
//! It promises: a planned time is served once, or, where nobody was there in time, made up for once, however many were missed; the one that a kill
//! cuts short is done once more. A task never runs beside itself, and never begins near a proposal of our own: it waits, and says so. What runs
//! too long is ended.

mod carry_out;
pub mod cron;
mod jitter;
mod metrics;
mod near;
mod plan;
mod record;
pub(crate) mod rules;
mod run;
mod runner;
pub mod settings;
mod shared;
mod start;
mod view;

pub use cron::{CronError, CronSchedule};
pub use metrics::describe_metrics;
pub use plan::RunRefused;
pub use runner::{NextProposal, TaskContext, TaskFailed, TaskReport, TaskRunner, TaskRunners};
pub use settings::{DEFAULT_CATCH_UP, ScheduleSettings, TaskSettings, shipped};
pub use shared::{ScheduleParts, TaskPing};
pub use start::{ScheduleHandle, start};
pub use view::{RunningView, TaskState, TaskView};

pub use crate::events::TaskKind;
