//! A configuration without anything that may be secret, for a backup that is not encrypted.
//!
//! What is left out is decided by the keys' names, as in messages: an address that cannot hold a key stays. Comments go, too, where anything does: nobody knows
//! what is in them.

use toml::{Table, Value};
use url::Url;

use super::keys::is_secret;

/// Stands where something was: no value that any key takes, so that nobody starts with it unnoticed.
const MARK: &str = "<withheld>";

/// The text without what may be secret, and the keys that are left out; none where it is no TOML.
pub(crate) fn without_secrets(text: &str) -> Option<(String, Vec<String>)> {
    let mut table: Table = toml::from_str(text).ok()?;
    let mut withheld = Vec::new();
    strip(&mut table, &mut Vec::new(), &mut withheld);
    Some((toml::to_string_pretty(&table).ok()?, withheld))
}

fn strip(table: &mut Table, path: &mut Vec<String>, withheld: &mut Vec<String>) {
    for (key, value) in table.iter_mut() {
        path.push(key.clone());
        strip_value(value, path, withheld);
        path.pop();
    }
}

fn strip_value(value: &mut Value, path: &mut Vec<String>, withheld: &mut Vec<String>) {
    let plain: Vec<&str> = path.iter().map(String::as_str).collect();
    if is_secret(&plain) && !is_harmless(value) {
        withheld.push(path.join("."));
        *value = Value::String(MARK.to_owned());
        return;
    }
    match value {
        Value::Table(table) => strip(table, path, withheld),
        Value::Array(values) => values.iter_mut().for_each(|value| strip_value(value, path, withheld)),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

/// Whether it is an address in which there is no room for a key: a relay's has its public key as the user.
fn is_harmless(value: &Value) -> bool {
    let Value::String(text) = value else { return false };
    let Ok(url) = Url::parse(text) else { return false };
    let user = url.username();
    url.has_host()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && matches!(url.path(), "" | "/")
        && (user.is_empty() || (user.starts_with("0x") && user.len() == 98))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_left_and_everything_else_is() {
        let key = format!("0x{}", "ab".repeat(48));
        let text = format!(
            "network = \"hoodi\" # hush-1\n[[relays]]\nid = \"a\"\nurl = \"https://{key}@relay.example\"\nheaders = {{ x = \"hush-2\" }}\n\
             [[relays]]\nid = \"b\"\nurl = \"https://relay.example/?token=hush-3\"\n[execution]\nurl = \"https://rpc.example/v3/hush-4\"\n\
             [beacon]\nurl = \"http://127.0.0.1:5052\"\n\
             [[alerts.channels]]\nid = \"c\"\nkind = \"slack\"\nurl = \"https://hooks.example/hush-5\"\nurl_file = \"secrets/x\"\n\
             [[nodes]]\nid = \"n\"\nargs = [\"--pass=hush-6\"]\nenv = {{ P = \"hush-7\" }}\n"
        );
        let (stripped, withheld) = without_secrets(&text).unwrap();
        assert!(!stripped.contains("hush"), "{stripped}");
        for kept in ["hoodi", &key, "http://127.0.0.1:5052", "secrets/x", "id = \"b\""] {
            assert!(stripped.contains(kept), "{kept}: {stripped}");
        }
        let want = [
            "relays.headers",
            "relays.url",
            "execution.url",
            "alerts.channels.url",
            "nodes.args",
            "nodes.env",
        ];
        for key in want {
            assert!(withheld.iter().any(|found| found == key), "{key}: {withheld:?}");
        }
        assert_eq!(withheld.len(), want.len(), "{withheld:?}");
        assert!(without_secrets("[[").is_none());
        assert_eq!(without_secrets("data_dir = \"d\"").unwrap().1, Vec::<String>::new());
    }
}
