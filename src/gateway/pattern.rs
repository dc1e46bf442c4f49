//! Names of methods in the configuration: `eth_call`, or a prefix that ends in `*`, such as `trace_*`.

/// Whether any of these names or prefixes is the method's.
pub(super) fn matches(patterns: &[String], method: &str) -> bool {
    patterns.iter().any(|pattern| is_match(pattern, method))
}

/// Whether a name or prefix is the method's.
pub(super) fn is_match(pattern: &str, method: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => method.starts_with(prefix),
        None => pattern == method,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_at_the_end_alone() {
        for (pattern, method, want) in [
            ("eth_call", "eth_call", true),
            ("eth_call", "eth_callMany", false),
            ("eth_call*", "eth_callMany", true),
            ("trace_*", "trace_block", true),
            ("trace_*", "debug_trace", false),
            ("*", "anything", true),
            ("", "anything", false),
            ("*_call", "eth_call", false),
        ] {
            assert_eq!(is_match(pattern, method), want, "{pattern} {method}");
        }
        assert!(!matches(&[], "eth_call"));
    }
}
