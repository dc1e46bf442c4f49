//! Disks that do not fill: how much room is left, how long it lasts, what may be deleted, and what is done when it is nearly gone.
//!
//! `filesystem` looks, `forecast` says when a filesystem is full, `class` and `protected` say what may be deleted and what never, `plan` finds it,
//! `clean` deletes it, and `ladder` decides what follows when that is not enough. `controller` is the task around them.
//!
//! It promises: nothing outside a configured root is touched, nothing behind a link or a mount, nothing that is open, has a second name, is young or
//! has changed since it was chosen. Keys, slashing protection, chain data and relaymux's own files are protected by what they are: a class that
//! could reach one is refused whole. Each deletion is on disk in a journal before it happens, so that after a `kill -9` it is known what was done.
//!
//! It never deletes a volume, truncates a file or follows a symbolic link, and no filesystem that hangs holds up anybody else.

mod ballast;
mod board;
mod bounded;
mod class;
mod clean;
mod clean_files;
mod controller;
mod delete;
mod external;
mod filesystem;
mod forecast;
mod glob;
mod io_rates;
mod journal;
mod judge;
mod ladder;
mod lock;
mod look;
mod memory_file;
mod metrics;
mod mounts;
mod open_files;
mod plan;
mod protected;
mod report;
mod roots;
pub(crate) mod rules;
mod settings;
mod sizes;
mod space;
mod walk;

pub use board::{DiskBoard, FilesystemView, LadderView, SizeView};
pub use class::{ClassKind, ClassSettings, FileClass, Source};
pub use clean::{CleanFailed, CleanParts, clean, plan};
pub use controller::{DiskHandle, DiskParts, start};
pub use external::ImageStore;
pub use filesystem::FilesystemSeen;
pub use forecast::{Filling, Forecast};
pub use glob::{Glob, GlobFault};
pub use io_rates::IoRates;
pub use look::look_once;
pub use metrics::describe_metrics;
pub use open_files::DeletedOpen;
pub use protected::{Protected, protected_folder, protected_name, reaches_protected};
pub use report::{ClassReport, ClassState, CleanReport, FilesystemCleaned, Kept, Planned, PlannedFile};
pub use roots::{Protection, RootFault};
pub use settings::{BallastSettings, DiskSettings, FilesystemSettings, Thresholds};
pub use space::{Level, Space};
