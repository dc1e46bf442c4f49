//! The command line: which commands and flags there are, and what they say of themselves. It runs nothing.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{
    alerts::DRILL_WAIT,
    app::{LogFormat, parse_log_filter},
    events::Severity,
    profit::By,
    sla::Period,
    types::ByteSize,
};

/// A MEV-Boost relay multiplexer: the builder endpoint of your consensus client.
///
/// First steps: `relaymux demo` shows it at work, `relaymux check` looks at relays.toml and asks each relay, `relaymux run` serves.
/// mev-boost's own flags are taken as they are: `relaymux -mainnet -relays …`.
#[derive(Debug, Parser)]
#[command(name = "relaymux", version, max_term_width = 80)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs the service.
    Run(RunArguments),
    /// Checks the configuration, and whether each relay answers.
    Check(CheckArguments),
    /// Turns another program's flags, environment or file into a relays.toml on standard output, and says what has no equivalent.
    Import(ImportArguments),
    /// Reports from the ledger, also while the service runs.
    Report(ReportArguments),
    /// Plays the whole main job on this machine alone: simulated relays and proposer, the real builder API between them.
    Demo(DemoArguments),
    /// Alerts: proves that whoever is to be told can be told.
    Alert(AlertArguments),
    /// Rehearsals, with the running service; what comes of one is kept as evidence.
    Drill(DrillArguments),
    /// Nodes beside the validator.
    Nodes(NodesArguments),
    /// Tasks that are done by the clock: which there are, what came of them, and running one by hand.
    Maintenance(MaintenanceArguments),
    /// Secrets that nodes share.
    Secrets(SecretsArguments),
    /// Disks: what would be deleted to make room, and doing it.
    Disk(DiskArguments),
    /// Closes RPC to everybody but your own networks, also where Docker publishes it.
    Firewall(FirewallArguments),
    /// Makes a backup of ledger, journal, configuration and secrets, proves one, brings one back.
    Backup(BackupArguments),
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The configuration file.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// Writes the addresses that were bound to this file as JSON: {"builder": "127.0.0.1:18550", "ops": …}.
    #[arg(long)]
    pub(super) ports_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) log: LogArguments,
}

#[derive(Debug, Args)]
pub(super) struct LogArguments {
    /// How log lines look.
    #[arg(long, value_enum, default_value = "text")]
    pub(super) log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as relaymux=debug.
    #[arg(long, default_value = "info", env = "RELAYMUX_LOG", value_parser = parse_log_filter)]
    pub(super) log: String,
}

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// The configuration file.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// Prints what was found as one JSON document.
    #[arg(long, conflicts_with = "proposer")]
    pub(super) json: bool,
    /// Checks the file alone and calls nobody.
    #[arg(long)]
    pub(super) offline: bool,
    /// Prints what applies to this proposer, and why, and calls nobody but the loaders of keys (nobody at all with --offline).
    #[arg(long, value_name = "PUBKEY")]
    pub(super) proposer: Option<crate::types::BlsPublicKey>,
}

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The program whose settings are read.
    #[arg(value_enum)]
    pub(super) rival: Rival,
    /// mev-boost: its flags, its YAML file or a file of its variables (RELAYS and the others are read, too). Commit-Boost and Vouch: the
    /// file.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    pub(super) source: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Rival {
    /// flashbots/mev-boost
    MevBoost,
    /// Commit-Boost's TOML
    CommitBoost,
    /// Vouch's execution configuration, JSON of version 2
    Vouch,
}

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// What the report is about.
    #[arg(value_enum)]
    pub(super) subject: ReportSubject,
    /// Evidence: of which slot.
    #[arg(value_name = "SLOT")]
    pub(super) slot: Option<u64>,
    /// The configuration file: says where the ledger is.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// From this day on (UTC, such as 2026-11-01). Default: 30 days ago.
    #[arg(long)]
    pub(super) from: Option<jiff::civil::Date>,
    /// Up to this day, it included. Default: today.
    #[arg(long)]
    pub(super) to: Option<jiff::civil::Date>,
    /// Profit: a line a day, week, month, relay, validator or builder. Default: day; a CSV has a row a proposal without it.
    #[arg(long, value_parser = by)]
    pub(super) by: Option<By>,
    /// Profit by relay, validator or builder: divided into days, weeks or months.
    #[arg(long, value_parser = by)]
    pub(super) period: Option<By>,
    /// SLA and digest: the time looked back from now, such as 30d, or month for the calendar's. Default: 30d; of a digest 7d.
    #[arg(long, value_parser = window)]
    pub(super) window: Option<Period>,
    /// The form: a table for people, JSON or CSV for programs.
    #[arg(long, value_enum, default_value = "table")]
    pub(super) format: ReportFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ReportSubject {
    /// What slots promised and what arrived on chain.
    Profit,
    /// Searchers' bundles and their fate.
    Bundles,
    /// Everything that proves what came of a slot, as JSON to send to a relay.
    Evidence,
    /// Each relay's state, what it did, what timing earned, and when to ask it.
    Relays,
    /// Availability, error budget, latency and each target of the SLA table, as measured.
    Sla,
    /// Each criterion of the operator's phases, with the evidence it was judged by.
    Readiness,
    /// What a day or a week came to, as a mail says it.
    Digest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ReportFormat {
    /// For the terminal.
    Table,
    /// For scripts.
    Json,
    /// For spreadsheets.
    Csv,
}

#[derive(Debug, Args)]
pub(super) struct AlertArguments {
    #[command(subcommand)]
    pub(super) command: AlertCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum AlertCommand {
    /// Sends a test message to everybody whom a severity reaches, and says whether it arrived.
    Test(AlertTestArguments),
}

#[derive(Debug, Args)]
pub(super) struct AlertTestArguments {
    /// Whose escalation is tried: P1, P2, P3 or P4.
    #[arg(long, value_parser = severity)]
    pub(super) severity: Severity,
    /// One channel alone, whatever the escalation says.
    #[arg(long, value_name = "ID")]
    pub(super) channel: Option<String>,
    /// The configuration file.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// Prints the result of each channel as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DrillArguments {
    #[command(subcommand)]
    pub(super) command: DrillCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum DrillCommand {
    /// Sends an alert marked DRILL through the whole escalation, by real channels, shows who was told and whether it arrived, and waits for a
    /// person to acknowledge it. Ends with 0 where somebody did and every message arrived.
    Alert(DrillAlertArguments),
}

#[derive(Debug, Args)]
pub(super) struct DrillAlertArguments {
    /// Whose escalation is rehearsed: P1, P2 or P3.
    #[arg(long, default_value = "P1", value_parser = asking_severity)]
    pub(super) severity: Severity,
    /// How long somebody has to acknowledge, 10s to 24h. Contacts are told one after the other in the meantime, as of a real alert.
    #[arg(long, default_value = "15m", value_parser = drill_wait)]
    pub(super) wait: Duration,
    /// Where the service's ops API is. Default: [ops] listen, http://127.0.0.1:18551 where that is not set.
    #[arg(long)]
    pub(super) url: Option<String>,
    /// The configuration file: says where the admin token is.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// Prints nothing but the whole drill as JSON once it is over.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct NodesArguments {
    #[command(subcommand)]
    pub(super) command: NodesCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum NodesCommand {
    /// Scores the containers that run, or reads compose files, docker run lines and guides with both; says what is wrong, why it hurts and what to
    /// write instead. Ends with 1 where something was found.
    Audit(NodesAuditArguments),
    /// Says what `up` would do, or with --down what `down` would, and whether all of it fits this machine. Changes nothing.
    Plan(NodesPlanArguments),
    /// Starts nodes and looks after them from then on: all of [[nodes]], or those that are named.
    Up(NodesUpArguments),
    /// Stops nodes, each within its grace; they stay stopped. Data is never removed.
    Down(NodesDownArguments),
    /// Says how each node is, why, and what was done about it. Ends with 0 where each is as it is wanted to be and able to serve, with 1 otherwise: also
    /// while one starts or syncs.
    Status(NodesOfArguments),
    /// Stops nodes, and looks at no other: as `down` of those that are named.
    Stop(NodesChangeArguments),
    /// Stops and starts nodes; clients of the gateway are moved to others before.
    Restart(NodesChangeArguments),
    /// Looks after nodes again that crashed again and again.
    Resume(NodesChangeArguments),
    /// Keeps hands off nodes that you work on: nothing is judged, and nothing done.
    Maintenance(NodesMaintenanceArguments),
    /// Changes a node's limits while it runs; swap moves with memory. Refused below what it uses.
    Resize(NodesResizeArguments),
    /// Prints a node's last lines of output.
    Logs(NodesLogsArguments),
}

/// Which nodes, and where their service is.
#[derive(Debug, Args)]
pub(super) struct NodesOfArguments {
    /// The nodes that are meant, by their ids; all where none is named.
    #[arg(value_name = "NODE")]
    pub(super) nodes: Vec<String>,
    /// The configuration file.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// Where the service's ops API is, if not where the configuration says.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Prints one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct NodesPlanArguments {
    #[command(flatten)]
    pub(super) of: NodesOfArguments,
    /// What `down` would do.
    #[arg(long)]
    pub(super) down: bool,
    /// What `down --remove` would do.
    #[arg(long, requires = "down")]
    pub(super) remove: bool,
}

/// Something that is to be done to nodes.
#[derive(Debug, Args)]
pub(super) struct NodesChangeArguments {
    #[command(flatten)]
    pub(super) of: NodesOfArguments,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    pub(super) why: Option<String>,
    /// Gives the order, and does not wait until it is done.
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Longest wait for one node.
    #[arg(long, default_value = "10m", value_parser = wait_within)]
    pub(super) timeout: Duration,
}

#[derive(Debug, Args)]
pub(super) struct NodesUpArguments {
    #[command(flatten)]
    pub(super) change: NodesChangeArguments,
}

#[derive(Debug, Args)]
pub(super) struct NodesDownArguments {
    #[command(flatten)]
    pub(super) change: NodesChangeArguments,
    /// Removes the containers, too, that relaymux made; others, and all data, stay.
    #[arg(long)]
    pub(super) remove: bool,
}

#[derive(Debug, Args)]
pub(super) struct NodesMaintenanceArguments {
    #[command(flatten)]
    pub(super) change: NodesChangeArguments,
    /// How long at most.
    #[arg(long = "for", default_value = "4h", value_parser = wait_within)]
    pub(super) within: Duration,
    /// It is over.
    #[arg(long)]
    pub(super) end: bool,
}

#[derive(Debug, Args)]
pub(super) struct NodesResizeArguments {
    #[command(flatten)]
    pub(super) change: NodesChangeArguments,
    /// Memory, such as 8GiB.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) memory: Option<ByteSize>,
    /// Swap beside the memory.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) swap: Option<ByteSize>,
    /// Cores, such as 2.5.
    #[arg(long, value_name = "CORES")]
    pub(super) cpus: Option<f64>,
    /// On which cores it may run, such as 0-3,6.
    #[arg(long, value_name = "LIST")]
    pub(super) cpuset: Option<String>,
    /// Processes and threads.
    #[arg(long, value_name = "NUMBER")]
    pub(super) pids: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct NodesLogsArguments {
    #[command(flatten)]
    pub(super) of: NodesOfArguments,
    /// How many lines, at most 5000.
    #[arg(long, short = 'n', default_value_t = 100, value_parser = lines)]
    pub(super) lines: usize,
}

#[derive(Debug, Args)]
pub(super) struct NodesAuditArguments {
    /// Compose files, scripts, Markdown; - for standard input. None: the Docker engine is asked what runs.
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// The configuration file that names the engine (`docker_host`), where DOCKER_HOST does not. None is needed for the usual socket.
    #[arg(long, value_name = "FILE", env = "RELAYMUX_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Scores what is there, from what `docker inspect` prints; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    pub(super) inspect: Option<PathBuf>,
    /// Prints what was found as one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct MaintenanceArguments {
    #[command(subcommand)]
    pub(super) command: MaintenanceCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum MaintenanceCommand {
    /// Says which tasks there are, when each runs next, and what came of the last run. Ends with 1 where that was not well.
    List(MaintenanceListArguments),
    /// Has the running service do a task now, waits for it, and says what came of it. Ends with 0 where it was done and all is well.
    Run(MaintenanceRunArguments),
}

#[derive(Debug, Args)]
pub(super) struct MaintenanceListArguments {
    /// The configuration file: says where the service and the admin token are.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// Where the service's ops API is, if not where the configuration says.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Prints one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct MaintenanceRunArguments {
    /// The task, such as health_check.
    #[arg(value_name = "TASK")]
    pub(super) task: String,
    /// Has it begun, and does not wait until it is done.
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Longest wait for it.
    #[arg(long, default_value = "1h", value_parser = wait_within)]
    pub(super) timeout: Duration,
    /// The configuration file: says where the service and the admin token are.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// Where the service's ops API is, if not where the configuration says.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Prints nothing but what came of it, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SecretsArguments {
    #[command(subcommand)]
    pub(super) command: SecretsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum SecretsCommand {
    /// Makes the secret of the Engine API that an execution and a consensus client share: 32 random bytes in a file for its owner alone.
    Jwt(SecretsJwtArguments),
}

#[derive(Debug, Args)]
pub(super) struct SecretsJwtArguments {
    /// The file. One that is there is never written over.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Mode 0400 instead of 0600: not even its owner writes it.
    #[arg(long)]
    pub(super) read_only: bool,
    /// The user that the clients run as, by numbers: 1000 or 1000:1000. Only root can give a file away.
    #[arg(long, value_name = "UID[:GID]", value_parser = owner)]
    pub(super) owner: Option<(u32, u32)>,
    /// Looks at a secret that is there, without showing it: mode, owner, length, links, folder.
    #[arg(long, conflicts_with_all = ["rotate", "read_only"])]
    pub(super) check: bool,
    /// Makes the next secret as FILE.new, and says how both clients are moved to it.
    #[arg(long)]
    pub(super) rotate: bool,
    /// Rotation: the execution client's container.
    #[arg(long, default_value = "geth", value_name = "CONTAINER", value_parser = container)]
    pub(super) execution: String,
    /// Rotation: the consensus client's container.
    #[arg(long, default_value = "beacon", value_name = "CONTAINER", value_parser = container)]
    pub(super) consensus: String,
    /// Prints what was done or found as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DiskArguments {
    #[command(subcommand)]
    pub(super) command: DiskCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum DiskCommand {
    /// Prints how full disks are and what a cleaning would delete. Changes nothing.
    Plan(DiskPlanArguments),
    /// Deletes what the classes of [disk] allow until each disk is down to its target; beside the running service or without it.
    Clean(DiskCleanArguments),
}

#[derive(Debug, Args)]
pub(super) struct DiskPlanArguments {
    /// The configuration file.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// Prints the files, too: at most two hundred of each class.
    #[arg(long)]
    pub(super) files: bool,
    /// Prints all of it as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DiskCleanArguments {
    /// The configuration file.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// Why, for the journal and the history.
    #[arg(long, value_name = "TEXT")]
    pub(super) why: Option<String>,
    /// Prints what was done as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct FirewallArguments {
    #[command(subcommand)]
    pub(super) command: FirewallCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum FirewallCommand {
    /// Prints the ruleset of [firewall] and what it means. Changes nothing.
    Plan(FirewallPlanArguments),
    /// Loads the ruleset on trial: it is taken back by itself unless somebody confirms within a minute that they still get in.
    Apply(FirewallApplyArguments),
    /// Keeps a ruleset that is on trial.
    Confirm(FirewallStateArguments),
    /// Takes the table away. Nothing else is touched.
    Remove(FirewallStateArguments),
    /// Takes a ruleset back that nobody confirms; started by apply.
    #[command(hide = true)]
    Guard(FirewallGuardArguments),
}

#[derive(Debug, Args)]
pub(super) struct FirewallPlanArguments {
    /// The configuration file.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// Prints the ruleset alone, for a file that nftables loads when the machine starts.
    #[arg(long, conflicts_with = "json")]
    pub(super) ruleset: bool,
    /// Prints all of it as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct FirewallApplyArguments {
    /// The configuration file.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// How long somebody has to confirm, 1s to 10m.
    #[arg(long, default_value = "60s", value_parser = confirm_within)]
    pub(super) confirm_within: Duration,
    /// Where the trial is kept.
    #[arg(long, default_value = FIREWALL_STATE, hide = true)]
    pub(super) state_dir: PathBuf,
    /// Asks nobody here, waits for `relaymux firewall confirm`, and prints what came of it as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct FirewallStateArguments {
    /// Where the trial is kept.
    #[arg(long, default_value = FIREWALL_STATE, hide = true)]
    pub(super) state_dir: PathBuf,
    /// Prints what was done as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct FirewallGuardArguments {
    #[arg(long)]
    pub(super) state_dir: PathBuf,
    #[arg(long, value_parser = confirm_within)]
    pub(super) confirm_within: Duration,
}

#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    #[command(subcommand)]
    pub(super) command: BackupCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum BackupCommand {
    /// Makes a backup into a folder, also while the service writes. Secrets are in it only where [backup] says how to encrypt them.
    Create(BackupCreateArguments),
    /// Restores a backup on trial into a folder of its own: compares each hash, opens the databases, looks through them and counts their rows. Ends with 1
    /// where it is of no use.
    Verify(BackupVerifyArguments),
    /// Brings a backup back. Refused while a service runs on the folder; what was there is kept under another name.
    Restore(BackupRestoreArguments),
}

#[derive(Debug, Args)]
pub(super) struct BackupCreateArguments {
    /// The folder; made when missing.
    #[arg(value_name = "DIR")]
    pub(super) directory: PathBuf,
    /// The configuration file.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// Takes all of one core instead of [backup] busy_percent: for a machine without a running service.
    #[arg(long)]
    pub(super) fast: bool,
    /// Prints what was made as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct BackupVerifyArguments {
    /// The backup.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Where it is restored on trial. Default: beside the backup. There has to be room for all that is in it.
    #[arg(long, value_name = "DIR")]
    pub(super) scratch: Option<PathBuf>,
    /// Takes all of one core: for a machine without a running service.
    #[arg(long)]
    pub(super) fast: bool,
    /// Prints what was found as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct BackupRestoreArguments {
    /// The backup.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The folder to restore into, made when missing. Default: data_dir of the configuration.
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// The configuration file: says where data_dir is.
    #[arg(long, default_value = "relays.toml", env = "RELAYMUX_CONFIG")]
    pub(super) config: PathBuf,
    /// The file with the private key that opens the secrets, as age-keygen writes it.
    #[arg(long, value_name = "FILE")]
    pub(super) identity: Option<PathBuf>,
    /// The file with the passphrase that opens the secrets.
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// Prints what was done as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Where a ruleset's trial is kept: gone with a restart, as the ruleset is.
const FIREWALL_STATE: &str = "/run/relaymux-firewall";

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Stops after this many slots; without it, at Ctrl-C.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) slots: Option<u64>,
    /// Length of a slot.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(super) seconds_per_slot: u64,
    /// How many relays take part.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(super) relays: u8,
    /// How many of them misbehave: pays half, withholds the payload, wrong signature, late, garbage, in turn.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=64))]
    pub(super) faulty: u8,
    #[command(flatten)]
    pub(super) log: DemoLogArguments,
}

#[derive(Debug, Args)]
pub(super) struct DemoLogArguments {
    /// What is logged beside the table.
    #[arg(long = "log", default_value = "error", env = "RELAYMUX_LOG", value_parser = parse_log_filter)]
    pub(super) filter: String,
}

fn window(text: &str) -> Result<Period, String> {
    Period::parse(text)
        .ok_or_else(|| "expected a number of days such as 30d (1d to 730d), or month".to_owned())
}

fn severity(text: &str) -> Result<Severity, String> {
    Severity::parse(&text.to_ascii_uppercase()).ok_or_else(|| "expected P1, P2, P3 or P4".to_owned())
}

fn asking_severity(text: &str) -> Result<Severity, String> {
    let asks = |found: &Severity| *found != Severity::P4;
    severity(text).ok().filter(asks).ok_or_else(|| "expected P1, P2 or P3: P4 asks nobody".to_owned())
}

fn drill_wait(text: &str) -> Result<Duration, String> {
    let found = crate::config::parse_duration(text).filter(|wait| DRILL_WAIT.contains(wait));
    found.ok_or_else(|| "expected a length of time such as 15m (10s to 24h)".to_owned())
}

fn owner(text: &str) -> Result<(u32, u32), String> {
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    let parsed = user.parse().ok().zip(group.parse().ok());
    parsed.ok_or_else(|| {
        "expected numbers such as 1000 or 1000:1000: names mean something else in a container".to_owned()
    })
}

/// A container's name, as Docker takes it: it becomes part of commands that people copy.
fn container(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_part);
    if is_name { Ok(text.to_owned()) } else { Err("expected a container's name".to_owned()) }
}

fn confirm_within(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_secs(1)..=Duration::from_mins(10);
    let found = crate::config::parse_duration(text).filter(|wait| bounds.contains(wait));
    found.ok_or_else(|| "expected a length of time such as 60s (1s to 10m)".to_owned())
}

fn by(text: &str) -> Result<By, String> {
    let names: Vec<&str> = By::ALL.into_iter().map(|(name, _)| name).collect();
    By::named(text).ok_or_else(|| format!("expected one of {}", names.join(", ")))
}

fn wait_within(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_secs(1)..=Duration::from_hours(168);
    let found = crate::config::parse_duration(text).filter(|wait| bounds.contains(wait));
    found.ok_or_else(|| "expected a length of time such as 10m (1s to 7d)".to_owned())
}

fn size(text: &str) -> Result<ByteSize, String> {
    ByteSize::parse(text).ok_or_else(|| "expected a size with its unit, such as 8GiB or 512MiB".to_owned())
}

fn lines(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|lines| (1..=5000).contains(lines))
        .ok_or_else(|| "expected 1 to 5000".to_owned())
}
