//! Lists of JSON-RPC methods in `[rpc]`.

use super::checker::Checker;

/// Names of methods, or prefixes that end in `*`.
pub(super) fn methods(key: &str, names: Vec<String>, checker: &mut Checker) -> Vec<String> {
    for (index, name) in names.iter().enumerate() {
        let plain = name.strip_suffix('*').unwrap_or(name);
        let is_name = !name.is_empty()
            && name.len() <= 100
            && plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            let hint = "write a method such as debug_traceTransaction, or a prefix such as trace_*";
            checker.wrong(&format!("{key}[{index}]"), format!("`{name}` is no method"), hint);
        }
    }
    names
}
