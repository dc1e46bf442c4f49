//! How each builder wants its bundles: one record a dialect, read by one translator. Nothing else in this room knows a builder's name.
//!
//! Sources: each builder's docs as of October 2026, flashbots/dowg `builder-registrations.json` for the shape of the record.

use alloy_primitives::hex;
use serde_json::{Map, Value, json};

use super::{
    bundle::{Bundle, MevShareBody},
    identity::Signed,
};

/// How a request says who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Auth {
    /// Not at all.
    None,
    /// `X-Flashbots-Signature`.
    Signature(Signed),
    /// `Authorization`, from the configuration.
    Bearer,
}

/// How a bundle is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// `eth_cancelBundle` with its UUID.
    Method,
    /// The send method with the same UUID and no transactions.
    Empty,
    /// It cannot be.
    None,
}

/// What may be asked for as a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refunds {
    /// Nothing: the fields are left out.
    None,
    /// A percentage between these.
    Percent(u8, u8),
}

/// What a dialect lacks to say all that a bundle asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// It has no `mev_sendBundle`.
    #[error(
        "does not take mev_sendBundle with hashes, nested bundles, validity.refund or validity.refundConfig"
    )]
    MevShare,
    /// It cannot leave transactions out.
    #[error("does not know droppingTxHashes")]
    Dropping,
    /// It pays nothing back.
    #[error("pays no refunds")]
    Refund,
    /// It pays another share back.
    #[error("refunds {least} to {most} percent")]
    RefundOf {
        /// Least percentage.
        least: u8,
        /// Most.
        most: u8,
    },
}

/// One builder's way of speaking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Its name in the configuration.
    pub name: &'static str,
    /// How a request proves to the builder whose it is.
    pub auth: Auth,
    /// The method that sends a bundle.
    pub method: &'static str,
    /// How a bundle is taken back.
    pub cancel: Cancel,
    /// The field of the UUID; none where replacements are not understood.
    pub uuid: Option<&'static str>,
    /// A counter beside the UUID that orders replacements.
    pub sequence: Option<&'static str>,
    /// Whether `minTimestamp` and `maxTimestamp` are understood. They are kept here anyway.
    pub timestamps: bool,
    /// Whether transactions may be left out.
    pub dropping: bool,
    /// Refunds.
    pub refunds: Refunds,
    /// Whether `mev_sendBundle` is taken as it is.
    pub mev_share: bool,
    /// Snake case, transactions without 0x, an object for params: bloXroute's.
    pub snake_case: bool,
    /// Most requests a second.
    pub rate: u32,
}

/// What most understand.
const COMMON: Dialect = Dialect {
    name: "common",
    auth: Auth::Signature(Signed::HashText),
    method: "eth_sendBundle",
    cancel: Cancel::None,
    uuid: Some("replacementUuid"),
    sequence: None,
    timestamps: true,
    dropping: false,
    refunds: Refunds::None,
    mev_share: false,
    snake_case: false,
    rate: 50,
};

/// The table. A builder that is not in it speaks `common`, or `plain` where it wants no signature.
pub const DIALECTS: [Dialect; 11] = [
    COMMON,
    Dialect { name: "plain", auth: Auth::None, uuid: None, ..COMMON },
    Dialect { name: "flashbots", cancel: Cancel::Method, mev_share: true, rate: 30, ..COMMON },
    Dialect {
        name: "buildernet",
        cancel: Cancel::Empty,
        sequence: Some("replacementNonce"),
        dropping: true,
        refunds: Refunds::Percent(1, 99),
        rate: 100,
        ..COMMON
    },
    Dialect {
        name: "titan",
        cancel: Cancel::Method,
        timestamps: false,
        dropping: true,
        refunds: Refunds::Percent(0, 99),
        ..COMMON
    },
    Dialect {
        name: "quasar",
        cancel: Cancel::Method,
        sequence: Some("replacementSeqNumber"),
        dropping: true,
        refunds: Refunds::Percent(0, 99),
        ..COMMON
    },
    Dialect { name: "eureka", auth: Auth::Signature(Signed::Body), cancel: Cancel::Method, ..COMMON },
    Dialect {
        name: "beaverbuild",
        cancel: Cancel::Empty,
        uuid: Some("uuid"),
        refunds: Refunds::Percent(1, 99),
        ..COMMON
    },
    Dialect { name: "rsync", cancel: Cancel::Method, refunds: Refunds::Percent(0, 100), ..COMMON },
    Dialect {
        name: "buildai",
        auth: Auth::None,
        timestamps: false,
        refunds: Refunds::Percent(1, 99),
        ..COMMON
    },
    Dialect {
        name: "bloxroute",
        auth: Auth::Bearer,
        method: "blxr_submit_bundle",
        cancel: Cancel::Empty,
        uuid: Some("uuid"),
        snake_case: true,
        rate: 10,
        ..COMMON
    },
];

impl Dialect {
    /// The one of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        DIALECTS.iter().find(|dialect| dialect.name == name)
    }

    /// Whether it can say all that a bundle asks for. What it cannot say is never left out: the bundle would be another one.
    ///
    /// # Errors
    /// The first thing in the bundle that this builder cannot be asked for.
    pub fn supports(&self, bundle: &Bundle) -> Result<(), Unsupported> {
        if bundle.mev_share.is_some() {
            return if self.mev_share { Ok(()) } else { Err(Unsupported::MevShare) };
        }
        if !bundle.dropping.is_empty() && !self.dropping {
            return Err(Unsupported::Dropping);
        }
        match (&bundle.refund, self.refunds) {
            (None, _) => Ok(()),
            (Some(_), Refunds::None) => Err(Unsupported::Refund),
            (Some(refund), Refunds::Percent(least, most)) if !(least..=most).contains(&refund.percent) => {
                Err(Unsupported::RefundOf { least, most })
            }
            (Some(_), Refunds::Percent(..)) => Ok(()),
        }
    }

    /// The request for a bundle in one block, ready to be sent.
    ///
    /// # Errors
    /// What the dialect lacks to say all that the bundle asks for.
    pub fn request(
        &self,
        bundle: &Bundle,
        block: u64,
        uuid: Option<&str>,
        sequence: u64,
    ) -> Result<Vec<u8>, Unsupported> {
        self.supports(bundle)?;
        if let Some(body) = &bundle.mev_share {
            return Ok(mev_share_request(body, uuid));
        }
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| {
            fields.insert(if self.snake_case { snake(name) } else { name.to_owned() }, value);
        };
        let raw = bundle
            .transactions
            .iter()
            .map(|tx| if self.snake_case { hex::encode(&tx.raw) } else { hex::encode_prefixed(&tx.raw) });
        put(if self.snake_case { "transaction" } else { "txs" }, raw.collect::<Vec<_>>().into());
        put("blockNumber", format!("{block:#x}").into());
        if self.timestamps {
            if let Some(min) = bundle.min_timestamp {
                put("minTimestamp", min.into());
            }
            if let Some(max) = bundle.max_timestamp {
                put("maxTimestamp", max.into());
            }
        }
        if !bundle.reverting.is_empty() {
            put(
                if self.snake_case { "revertingHashes" } else { "revertingTxHashes" },
                json!(bundle.reverting),
            );
        }
        if !bundle.dropping.is_empty() {
            put("droppingTxHashes", json!(bundle.dropping));
        }
        if let (Some(name), Some(uuid)) = (self.uuid, uuid) {
            put(name, uuid.into());
            if let Some(sequence_name) = self.sequence {
                put(sequence_name, sequence.into());
            }
        }
        if let Some(refund) = &bundle.refund {
            put("refundPercent", refund.percent.into());
            // Always named: without it the builder would refund whoever signs the request, which is us.
            put("refundRecipient", json!(refund.recipient));
            if !refund.transactions.is_empty() {
                put("refundTxHashes", json!(refund.transactions));
            }
        }
        if self.snake_case {
            put("mevBuilders", json!({ "all": "" }));
        }
        Ok(self.call(self.method, Value::Object(fields)))
    }

    /// The request that takes a bundle back; none where that cannot be.
    pub fn cancel_request(&self, block: u64, uuid: &str, sequence: u64) -> Option<Vec<u8>> {
        let name = self.uuid?;
        match self.cancel {
            Cancel::None => None,
            Cancel::Method => Some(self.call("eth_cancelBundle", json!({ name: uuid }))),
            Cancel::Empty => {
                let block_name = if self.snake_case { "block_number" } else { "blockNumber" };
                let list = if self.snake_case { "transaction" } else { "txs" };
                let mut fields = json!({ list: [], block_name: format!("{block:#x}"), name: uuid });
                if let (Some(name), Some(fields)) = (self.sequence, fields.as_object_mut()) {
                    fields.insert(name.to_owned(), sequence.into());
                }
                Some(self.call(self.method, fields))
            }
        }
    }

    fn call(&self, method: &str, fields: Value) -> Vec<u8> {
        envelope(method, if self.snake_case { fields } else { json!([fields]) })
    }
}

/// A `mev_sendBundle` as it came, but for its name: that is the searcher's own, and builders see another one.
fn mev_share_request(body: &MevShareBody, uuid: Option<&str>) -> Vec<u8> {
    let mut fields = String::new();
    for (name, json) in &body.fields {
        let json = match (name.as_str(), uuid) {
            ("replacementUuid", Some(uuid)) => Value::from(uuid).to_string(),
            _ => json.to_string(),
        };
        if !fields.is_empty() {
            fields.push(',');
        }
        fields.push_str(&format!("{}:{json}", Value::from(name.as_str())));
    }
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"mev_sendBundle","params":[{{{fields}}}]}}"#).into_bytes()
}

fn envelope(method: &str, params: Value) -> Vec<u8> {
    // Serializing to memory cannot fail: every key is a string.
    serde_json::to_vec(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }))
        .unwrap_or_default()
}

fn snake(name: &str) -> String {
    name.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        out
    })
}

/// What a builder's answer means: taken, or why not. Lenient: some answer an object, some a bare hash, some `null` or 200 and nothing.
///
/// # Errors
/// In the builder's words.
pub fn read_answer(status: u16, body: &[u8]) -> Result<(), String> {
    let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    // BlockRazor's errors are not under JSON-RPC's name.
    let error = answer.as_ref().and_then(|answer| answer.get("error").or_else(|| answer.get("jsonerror")));
    if let Some(error) = error.filter(|error| !error.is_null()) {
        let message = error
            .get("message")
            .and_then(Value::as_str)
            .or(error.as_str())
            .unwrap_or("an error without a message");
        return Err(shown(message));
    }
    if !(200..300).contains(&status) {
        return Err(format!("HTTP {status}: {}", shown(&String::from_utf8_lossy(body))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256};

    use super::*;
    use crate::bundles::bundle::{BundleTx, Refund};

    fn bundle() -> Bundle {
        Bundle {
            transactions: vec![BundleTx { raw: vec![0x02, 0xaa].into(), ..BundleTx::default() }],
            min_timestamp: Some(5),
            max_timestamp: Some(9),
            reverting: vec![B256::repeat_byte(1)],
            ..Bundle::default()
        }
    }

    fn fields(name: &str, bundle: &Bundle) -> Result<Value, String> {
        let body =
            Dialect::named(name).unwrap().request(bundle, 255, Some("u-u"), 3).map_err(|e| e.to_string())?;
        let request: Value = serde_json::from_slice(&body).unwrap();
        Ok(request["params"].get(0).cloned().unwrap_or_else(|| request["params"].clone()))
    }

    #[test]
    fn each_dialect_says_what_it_can() {
        for dialect in &DIALECTS {
            let fields = fields(dialect.name, &bundle()).unwrap();
            let (block, list) =
                if dialect.snake_case { ("block_number", "transaction") } else { ("blockNumber", "txs") };
            assert_eq!(fields[block], "0xff", "{}", dialect.name);
            assert_eq!(fields[list][0], if dialect.snake_case { "02aa" } else { "0x02aa" });
            let has_times = fields.get("minTimestamp").or(fields.get("min_timestamp")).is_some();
            assert_eq!(has_times, dialect.timestamps, "{}", dialect.name);
            assert_eq!(dialect.uuid.map(|name| fields[name] == "u-u"), dialect.uuid.map(|_| true));
            assert_eq!(dialect.sequence.map(|name| fields[name] == 3), dialect.sequence.map(|_| true));
        }
    }

    #[test]
    fn what_a_dialect_cannot_say_is_not_sent() {
        let refund = Bundle {
            refund: Some(Refund {
                percent: 99,
                recipient: Address::repeat_byte(7),
                transactions: Vec::new(),
            }),
            ..bundle()
        };
        assert_eq!(fields("titan", &refund).unwrap()["refundPercent"], 99);
        assert_eq!(fields("buildernet", &refund).unwrap()["refundRecipient"], json!(Address::repeat_byte(7)));
        assert!(fields("flashbots", &refund).unwrap_err().contains("no refunds"));
        let whole =
            Bundle { refund: refund.refund.clone().map(|r| Refund { percent: 100, ..r }), ..bundle() };
        assert!(fields("titan", &whole).unwrap_err().contains("0 to 99"));
        assert!(fields("rsync", &whole).is_ok());
        let dropping = Bundle { dropping: vec![B256::repeat_byte(2)], ..bundle() };
        assert!(fields("common", &dropping).is_err() && fields("titan", &dropping).is_ok());
        let body = MevShareBody {
            fields: vec![
                ("version".to_owned(), r#""v0.1""#.into()),
                ("replacementUuid".to_owned(), r#""mine""#.into()),
                ("validity".to_owned(), r#"{"refund":[{"bodyIdx":0,"percent":90}]}"#.into()),
            ],
            asks_refund: true,
        };
        let share = Bundle { mev_share: Some(body), ..bundle() };
        let sent = fields("flashbots", &share).unwrap();
        assert_eq!(
            (&sent["version"], &sent["validity"]["refund"][0]["percent"]),
            (&json!("v0.1"), &json!(90))
        );
        assert_eq!(sent["replacementUuid"], "u-u", "the searcher's own name stays here");
        assert!(fields("titan", &share).is_err());
    }

    #[test]
    fn bundles_are_taken_back_each_in_its_way() {
        let cancel = |name: &str| {
            let body = Dialect::named(name).unwrap().cancel_request(255, "u-u", 4)?;
            serde_json::from_slice::<Value>(&body).ok()
        };
        assert_eq!(cancel("titan").unwrap()["method"], "eth_cancelBundle");
        assert_eq!(cancel("titan").unwrap()["params"][0]["replacementUuid"], "u-u");
        let empty = cancel("buildernet").unwrap();
        assert_eq!((&empty["method"], &empty["params"][0]["txs"]), (&json!("eth_sendBundle"), &json!([])));
        assert_eq!(empty["params"][0]["replacementNonce"], 4);
        assert_eq!(cancel("bloxroute").unwrap()["params"]["transaction"], json!([]));
        assert!(cancel("common").is_none() && cancel("plain").is_none());
    }

    #[test]
    fn answers_of_every_shape_are_understood() {
        for (status, body, is_taken) in [
            (200, r#"{"jsonrpc":"2.0","id":1,"result":{"bundleHash":"0x1"}}"#, true),
            (200, r#"{"result":"0x1"}"#, true),
            (200, r#"{"result":null}"#, true),
            (200, "", true),
            (200, r#"{"error":null,"result":200}"#, true),
            (200, r#"{"error":{"code":-32602,"message":"too many txs"}}"#, false),
            (200, r#"{"jsonerror":{"code":-38000,"message":"no"}}"#, false),
            (200, r#"{"error":"bad"}"#, false),
            (429, "slow down", false),
            (500, "", false),
        ] {
            assert_eq!(read_answer(status, body.as_bytes()).is_ok(), is_taken, "{status} {body}");
        }
        assert!(
            read_answer(200, br#"{"error":{"message":"too many txs"}}"#)
                .unwrap_err()
                .contains("too many txs")
        );
    }
}
