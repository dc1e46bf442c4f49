//! Reads what `/metrics` shows: Prometheus' text format, as far as samples need it.
//!
//! Bounded, and forgiving: a line that is no sample is left out, as are samples of other programs.

use std::collections::BTreeMap;

/// Most of a text that is read, in bytes.
const MAX_BYTES: usize = 8 << 20;
/// Most samples that are kept.
const MAX_SAMPLES: usize = 50_000;
/// Most labels of a sample; one with more is left out.
const MAX_LABELS: usize = 32;

/// A value of a metric at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Which of its series.
    pub labels: BTreeMap<String, String>,
    /// The value; may be infinite, never NaN.
    pub value: f64,
}

/// The samples of all metrics whose name begins so.
pub fn parse(text: &str, prefix: &str) -> Vec<Sample> {
    let read = text.get(..MAX_BYTES).unwrap_or(text);
    let lines = read.lines().map(str::trim).filter(|line| line.starts_with(prefix) && !line.starts_with('#'));
    lines.filter_map(sample).take(MAX_SAMPLES).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(|char: char| char == '{' || char.is_whitespace())?;
    let (name, rest) = line.split_at_checked(end)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    // A time may follow.
    let value = rest.split_whitespace().next()?;
    let value: f64 = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        other => other.parse().ok()?,
    };
    (!value.is_nan()).then(|| Sample { name: name.to_owned(), labels, value })
}

/// Labels from behind the opening brace, and what follows the closing one.
fn labels(mut text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once('=')?;
        let rest = rest.trim_start().strip_prefix('"')?;
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, char) => value.push(char),
            }
        };
        if labels.len() >= MAX_LABELS {
            return None;
        }
        labels.insert(name.trim().to_owned(), value);
        text = rest.get(end + 1..)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn samples_are_read_and_the_rest_is_left_out() {
        let text = "# HELP relaymux_a What.\n# TYPE relaymux_a counter\nrelaymux_a 5\nrelaymux_b{relay=\"titan\",x=\"a\\\"b\\\\c\\nd}\"} 1.5e3 1700000\n\
                    go_threads 7\nrelaymux_c{} +Inf\nrelaymux_d NaN\nrelaymux_e{x=\"y\" 1\nrelaymux_f\nrelaymux_g{a=\"1\", b=\"2\",} -3";
        let samples = parse(text, "relaymux_");
        let shown: Vec<_> = samples.iter().map(|it| (it.name.as_str(), it.labels.len(), it.value)).collect();
        assert_eq!(
            shown,
            [
                ("relaymux_a", 0, 5.0),
                ("relaymux_b", 2, 1500.0),
                ("relaymux_c", 0, f64::INFINITY),
                ("relaymux_g", 2, -3.0)
            ]
        );
        assert_eq!(samples[1].labels["x"], "a\"b\\c\nd}");
    }

    /// What our own exporter writes is read whole.
    #[test]
    fn our_own_exporter_is_understood() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("relaymux_x_total", "why" => "a \"b\"\\ \n{c}").increment(3);
            metrics::gauge!("relaymux_y").set(0.25);
        });
        let mut samples = parse(&recorder.handle().render(), "relaymux_");
        samples.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(samples.iter().map(|it| it.value).collect::<Vec<_>>(), [3.0, 0.25]);
        assert_eq!(samples[0].labels["why"], "a \"b\"\\ \n{c}");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(relaymux_[ -~\\n]{0,40}\\n){0,8}") {
            parse(&text, "relaymux_");
        }
    }
}
