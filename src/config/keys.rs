//! Which keys there are: for the nearest one to an unknown key, and for telling a variable that sets a key from one that does not.

use super::Mistake;

/// Lists of sections: `[[relays]]`.
const LISTS: [&str; 17] = [
    "relays",
    "builders",
    "proposers",
    "bundles.builders",
    "bundles.searchers",
    "rpc.upstreams",
    "nodes",
    "disk.filesystems",
    "disk.classes",
    "alerts.channels",
    "alerts.escalation",
    "alerts.contacts",
    "alerts.rotas",
    "alerts.rotas.overrides",
    "alerts.rules",
    "alerts.client_floors",
    "alerts.maintenance",
];

/// Sections whose keys are not ours to know: names of headers and variables, sections of later versions.
const FREE: [&str; 4] = ["headers", "get_params", "env", "telemetry"];

/// Tables of `[alerts]` whose keys are names: of rules, of labels. Their values are no secrets.
const BY_NAME: [&str; 2] = ["severities", "labels"];

/// Keys whose values are credentials, or addresses that may hold some.
const SECRET: [&str; 24] = [
    "url",
    "ws_url",
    "headers",
    "get_params",
    "proxy",
    "pubkeys_url",
    "rpc_url",
    "node_url",
    "api_url",
    "engine_url",
    "parent_url",
    "beacon_url",
    "checkpoint_url",
    "sequencer_url",
    "command",
    "args",
    "urls",
    "dead_man_url",
    "routing_key",
    "token",
    "topic",
    "username",
    "password",
    "secret",
];

/// Known keys by section, for the nearest one to an unknown.
const KEYS: [(&str, &str); 43] = [
    (
        "",
        "network data_dir builder_api ops auction tls relays builders proposers proposer_labels_file trust rotation beacon \
         execution profit bundles rpc nodes resources disk maintenance backup alerts sla firewall telemetry ledger",
    ),
    ("network", "name genesis_time genesis_fork_version seconds_per_slot chain_id fulu_fork_epoch"),
    (
        "builder_api",
        "listen relay_check status_without_relays require_synced max_registrations_bytes max_block_bytes allowed_hosts",
    ),
    ("ops", "listen max_requests_per_second allowed_hosts read_token_file metrics_without_token"),
    ("auction", AUCTION_KEYS),
    ("tls", "roots_file proxy"),
    ("beacon", "url payload_attributes"),
    ("execution", "url"),
    ("profit", "target_eth_per_day check_every_secs registrations_every_secs data_api prices_file currency"),
    (
        "bundles",
        "listen signing_key_file searchers builders refunds_to rate_per_searcher max_open_per_searcher max_open_mib watch weth simulate poll_ms answer_within_ms \
         allowed_hosts",
    ),
    ("searchers", "address signing_key_file"),
    ("bundles.builders", "id url dialect signature authorization_file max_requests_per_second on_request"),
    (
        "rpc",
        "listen chain_id block_time_ms upstreams health allow_methods deny_methods deadline_ms attempt_ms hedge send_to_backups cache_mib \
         max_requests_per_second burst max_batch max_body_bytes max_answer_bytes max_in_flight max_websockets \
         max_websockets_per_client max_subscriptions max_waiting tokens_file allowed_hosts allowed_origins",
    ),
    (
        "upstreams",
        "id node url url_file ws_url ws_url_file tier headers authorization_file probe_ms max_requests_per_second max_requests_per_day \
         max_logs_range methods ignore_methods",
    ),
    ("health", "fail rise lag_blocks down_blocks lag_secs down_secs max_future_secs failback_secs min_peers"),
    (
        "nodes",
        "id kind runtime group rpc_url image container unit command args env working_directory limits network data user jwt_file engine_url \
         parent_url beacon_url checkpoint_url sequencer_url ws_port engine_port metrics_port p2p_port probe_secs probe_timeout_secs \
         block_time_ms lag_secs stall_timeout chain_id health_path vote_account restart restart_delay restart_max_delay start_limit_burst \
         start_limit_interval start_timeout hung_after stop_grace",
    ),
    ("limits", "memory swap cpus cpuset pids"),
    ("disk", "check_every sizes protect stop_order filesystems classes"),
    (
        "filesystems",
        "path target_percent warn_percent high_percent emergency_percent min_free min_free_inodes_percent min_days ballast ballast_file",
    ),
    ("classes", "id kind root glob min_age max_bytes max_count keep_newest keep"),
    ("resources", "reserve_memory reserve_cpus docker_host psi_memory_percent psi_io_percent"),
    (
        "alerts",
        "source public_url group_wait group_interval reacknowledge_after reacknowledge_p1_after digest_at daily_digest digest_contacts weekly_digest_on time_zone \
         dead_man_url dead_man_url_file dead_man_every ack_link_valid_for disable severities channels escalation contacts rotas rules maintenance \
         certificates certificate_warning secret_max_age client_floors host_root",
    ),
    (
        "channels",
        "id kind fallback url url_file urls routing_key routing_key_file token token_file chat_id thread_id topic topic_file host port \
         tls username password password_file from to roots_file secret secret_file",
    ),
    ("escalation", "severity respond_within contacts"),
    ("contacts", "id channels"),
    ("rotas", "id members first_week handover time_zone overrides"),
    ("overrides", "from to member"),
    ("alerts.maintenance", "name matchers from until weekdays start_time duration time_zone sla"),
    (
        "rules",
        "name metric labels aggregate op threshold rate_over for clear_for severity component title runbook",
    ),
    ("client_floors", "client fork version"),
    ("sla", "target_percent"),
    ("firewall", "allow_from closed_ports p2p_ports ssh_ports"),
    (
        "maintenance",
        "enabled time_zone catch_up_within jitter timeout start_delay keep_clear_of_proposals dead_man_url dead_man_url_file disk_clean health_check \
         profit_check weekly_digest load_validation backup backup_verify client_versions",
    ),
    (
        "maintenance.task",
        "schedule enabled time_zone catch_up_within jitter timeout dead_man_url dead_man_url_file",
    ),
    (
        "backup",
        "directory keep max_age stale_after unverified_after verify_new busy_percent recipients passphrase_file",
    ),
    ("ledger", "keep_bids keep_slots keep_events keep_money"),
    (
        "trust",
        "seed_from_public_record half_life_days quarantine_secs quarantine_max_secs breaker_failures breaker_successes breaker_open_secs \
         breaker_open_max_secs",
    ),
    (
        "rotation",
        "enabled lag_high_ms lag_low_ms cpu_high_percent cpu_low_percent psi_high_percent psi_low_percent samples interval_secs \
         min_active max_shed_secs",
    ),
    (
        "relays",
        "id url enabled sets_only pinned pardon_before headers get_params get_header enable_timing_games target_first_request_ms \
         frequency_get_header_ms keep weight_factor weight_offset_eth min_bid_eth max_calls_per_second \
         max_registrations_per_request",
    ),
    ("builders", "id fee_recipient extra_data weight_factor weight_offset_eth"),
    ("proposers", "id pubkeys pubkeys_file pubkeys_url refresh_secs loader labels relays terms"),
    ("loader", "kind rpc_url registry operator_id operator node_url api_url"),
    (
        "terms",
        "weight_factor weight_offset_eth min_bid_eth enable_timing_games target_first_request_ms frequency_get_header_ms keep",
    ),
];

/// Keys of `[auction]`, which every `[[proposers]]` set may have too.
const AUCTION_KEYS: &str = "timeout_get_header_ms timeout_get_payload_ms timeout_register_validator_ms late_in_slot_time_ms min_bid_eth \
     min_profit_eth reserve_ms gas_limit_check submit_others_delay_ms soft_deadline_ms soft_deadline_min_answers \
     soft_deadline_risk";

/// Known keys where a key stands.
pub(super) fn known_keys(section: &str) -> Vec<&'static str> {
    // `proposers[0].terms.titan`: the terms of a relay, whatever its name; `proposers[0].loader`.
    let steps: Vec<&str> = section.split('.').map(|step| step.split('[').next().unwrap_or(step)).collect();
    let name = match steps.as_slice() {
        [_, "terms", ..] => "terms",
        ["bundles", "builders"] => "bundles.builders",
        ["alerts", "maintenance"] => "alerts.maintenance",
        // The name of a task.
        ["maintenance", _] => "maintenance.task",
        [.., last] => last,
        [] => "",
    };
    let keys = KEYS.iter().find(|(of, _)| *of == name).map_or("", |(_, keys)| *keys);
    let inherited = if name == "proposers" { AUCTION_KEYS } else { "" };
    keys.split_whitespace().chain(inherited.split_whitespace()).collect()
}

/// Whether a section is a list of sections; numbers in the path do not matter.
pub(super) fn is_list(section: &str) -> bool {
    let plain: Vec<&str> = section.split('.').map(|step| step.split('[').next().unwrap_or(step)).collect();
    LISTS.contains(&plain.join(".").as_str())
}

/// Whether a path is a key's, or within a value of one. A step that is a number selects an entry of a list.
pub(super) fn is_key(steps: &[String]) -> bool {
    let mut section: Vec<&str> = Vec::new();
    let mut steps = steps.iter().map(String::as_str);
    let Some(first) = steps.next() else { return false };
    if !known_keys("").contains(&first) {
        return false;
    }
    section.push(first);
    for step in steps {
        match section.last() {
            _ if is_free(&section) => return true,
            Some(last) if BY_NAME.contains(last) && section.first() == Some(&"alerts") => return true,
            // The id of a relay.
            Some(&"terms") => section.push(step),
            _ if is_list(&section.join(".")) && step.bytes().all(|b| b.is_ascii_digit()) => {}
            _ if known_keys(&section.join(".")).contains(&step) => section.push(step),
            _ => return false,
        }
    }
    true
}

/// Whether the keys of a section are not ours to know. A task of `[maintenance]` has the name of one of them, and is none.
fn is_free(section: &[&str]) -> bool {
    section.last().is_some_and(|last| FREE.contains(last)) && section.first() != Some(&"maintenance")
}

/// The known key that is nearest to a name, if it is near enough to be meant.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, near) =
        known.iter().map(|known| (strsim::damerau_levenshtein(known, name), *known)).min()?;
    // `min_bid` is four letters from `min_bid_eth`, and yet what was meant.
    let begins = near.starts_with(name) || known.iter().any(|known| known.starts_with(name));
    match (distance <= name.len().max(3) / 2, begins && name.len() >= 3) {
        (true, _) => Some(near),
        (false, true) => {
            known.iter().copied().filter(|known| known.starts_with(name)).min_by_key(|known| known.len())
        }
        (false, false) => None,
    }
}

/// Whether the value of a key may be a secret itself: the steps of its path, without numbers.
pub(super) fn is_secret(path: &[&str]) -> bool {
    path.last().is_some_and(|last| SECRET.contains(last)) || is_free(path)
}

/// Whether a key's value may be or hold a secret: its own, one within it, or that of a section whose keys are not ours to know.
pub(super) fn may_hold_a_secret(key: &str) -> bool {
    let may_be = |name: &str| SECRET.contains(&name) || FREE.contains(&name);
    let steps: Vec<&str> = key.split('.').map(|step| step.split('[').next().unwrap_or(step)).collect();
    (1..=steps.len()).filter_map(|end| steps.get(..end)).any(is_secret)
        || known_keys(key).iter().any(|inner| may_be(inner))
}

/// Whether the value of an unknown key may be a secret: unless the key that was meant is known, and holds none.
pub(super) fn may_be_meant_for_a_secret(key: &str) -> bool {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    // Nearer than a guess: what is only a little alike may be anything.
    let near = nearest(name, &known_keys(section)).filter(|near| {
        strsim::damerau_levenshtein(near, name) <= 2 || near.starts_with(name) || name.starts_with(*near)
    });
    near.is_none_or(|near| {
        may_hold_a_secret(&if section.is_empty() { near.to_owned() } else { format!("{section}.{near}") })
    })
}

/// An unknown key as a mistake, and the key that was meant, if one is near.
pub(super) fn unknown(key: &str) -> (Mistake, Option<String>) {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let known = known_keys(section);
    let near = nearest(name, &known);
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("known keys here: {}", known.join(", ")),
    };
    let meant =
        near.map(|near| if section.is_empty() { near.to_owned() } else { format!("{section}.{near}") });
    (Mistake::at(key, "unknown key", hint).at_key_itself(), meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_other_paths() {
        for (path, want) in [
            ("network", true),
            ("network.genesis_time", true),
            ("auction.min_bid_eth", true),
            ("auction.min_bid", false),
            ("relays.0.enabled", true),
            ("relays.0.headers.x-api-key", true),
            ("relays.enabled", true),
            ("bundles.builders.1.url", true),
            ("proposers.0.terms.titan.weight_factor", true),
            ("proposers.0.terms.titan.colour", false),
            ("proposers.0.min_bid_eth", true),
            ("nodes.0.image", true),
            ("nodes.0.limits.memory", true),
            ("nodes.0.env.JAVA_OPTS", true),
            ("nodes.0.colour", false),
            ("resources.reserve_memory", true),
            ("resources.anything", false),
            ("disk.classes.0.glob", true),
            ("disk.filesystems.0.glob", false),
            ("disk.anything", false),
            ("rpc.anything", false),
            ("rpc.upstreams.0.ws_url", true),
            ("rpc.upstreams.0.headers.x-api-key", true),
            ("rpc.health.lag_blocks", true),
            ("rpc.health.lag", false),
            ("alerts.channels.0.url_file", true),
            ("alerts.channels.0.urk", false),
            ("alerts.rotas.0.overrides.0.member", true),
            ("alerts.severities.payload_withheld", true),
            ("alerts.rules.0.labels.relay", true),
            ("alerts.maintenance.0.start_time", true),
            ("alerts.maintenance.0.location", false),
            ("maintenance.anything", false),
            ("maintenance.time_zone", true),
            ("maintenance.health_check", true),
            ("maintenance.health_check.timeout", true),
            ("maintenance.health_check.colour", false),
            ("maintenance.backup.timeout", true),
            ("backup.directory", true),
            ("backup.anything", false),
            ("ledger.keep_bids", true),
            ("ledger.anything", false),
            ("alerts.anything", false),
            ("sla.target_percent", true),
            ("firewall.ssh_ports", true),
            ("proposers.0.labels.x", false),
            ("port", false),
            ("service_host", false),
            ("data_dir.x", false),
            ("", false),
        ] {
            let steps: Vec<String> = path.split('.').map(str::to_owned).collect();
            assert_eq!(is_key(&steps), want, "{path}");
        }
    }

    #[test]
    fn what_is_meant_is_near_or_begins_the_same() {
        for (name, want) in [
            ("min_bid", Some("min_bid_eth")),
            ("timeout_get_heder_ms", Some("timeout_get_header_ms")),
            ("late", Some("late_in_slot_time_ms")),
            ("colour", None),
            ("m", None),
        ] {
            assert_eq!(nearest(name, &known_keys("auction")), want, "{name}");
        }
    }
}
