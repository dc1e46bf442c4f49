//! JSON-RPC of searchers: what they ask for, read strictly where it decides, leniently where clients differ.
//!
//! Everything is read by reference and in bounds: what a request holds in memory while it is read is what it weighs on the wire, however it
//! is nested. Source: flashbots-docs, rbuilder and FlowProxy for what is accepted in practice. Numbers may come as hex text or as JSON numbers.

use std::{collections::BTreeSet, fmt};

use alloy_primitives::{Address, B256, Bytes, hex};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    bundle::{Bundle, Kind, MAX_TRANSACTIONS, MevShareBody, Refund, read_transaction},
    simulate::SimulationRequest,
};
use crate::jsonrpc::{BoundedList, ErrorCode, Request, RpcError};

/// Blocks that a private transaction waits for when it does not say: Flashbots'.
const PRIVATE_BLOCKS: u64 = 25;

/// What a searcher asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum BundleCommand {
    /// A bundle, or a private transaction, is to be sent.
    Send(Box<Bundle>),
    /// The bundle of a UUID is to be taken back.
    Cancel(String),
    /// The private transaction of a hash is to be taken back.
    CancelPrivate(B256),
    /// A bundle is to be tried.
    Simulate(Box<SimulationRequest>),
}

/// Most names in a list of builders.
const MAX_BUILDERS: usize = 64;
/// Bundles in each other: reth's limit.
const MAX_NESTING: usize = 5;
/// Longest `replacementUuid`; a UUID has 36 characters.
const MAX_NAME: usize = 128;
/// Most fields of a `mev_sendBundle`; the specification has seven.
const MAX_FIELDS: usize = 32;
/// Longest message to a searcher about parameters: a parser repeats what it did not expect.
const MAX_MESSAGE: usize = 300;

type Hashes = BoundedList<B256, MAX_TRANSACTIONS>;
type Names = BoundedList<String, MAX_BUILDERS>;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SendBundle<'a> {
    txs: BoundedList<Bytes, MAX_TRANSACTIONS>,
    block_number: Option<Number>,
    max_block_number: Option<Number>,
    min_timestamp: Option<Number>,
    max_timestamp: Option<Number>,
    reverting_tx_hashes: Hashes,
    dropping_tx_hashes: Hashes,
    replacement_uuid: Option<Name>,
    uuid: Option<Name>,
    refund_percent: Option<u8>,
    refund_recipient: Option<Address>,
    refund_tx_hashes: Hashes,
    builders: Names,
    // eth_callBundle's.
    #[serde(borrow)]
    state_block_number: Option<&'a RawValue>,
    timestamp: Option<Number>,
    base_fee: Option<Number>,
    coinbase: Option<Address>,
    gas_limit: Option<Number>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MevSend<'a> {
    inclusion: Inclusion,
    #[serde(borrow)]
    body: BoundedList<Element<'a>, MAX_TRANSACTIONS>,
    validity: Validity,
    privacy: Privacy,
    replacement_uuid: Option<Name>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Inclusion {
    block: Option<Number>,
    max_block: Option<Number>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Element<'a> {
    tx: Option<Bytes>,
    hash: Option<B256>,
    #[serde(borrow)]
    bundle: Option<&'a RawValue>,
    can_revert: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Validity {
    refund: BoundedList<RefundShare, MAX_TRANSACTIONS>,
    refund_config: BoundedList<RefundConfig, MAX_TRANSACTIONS>,
}

/// Share of what a transaction of the body pays that is to be paid back.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefundShare {
    body_idx: usize,
    percent: u8,
}

/// Whom refunds go to.
#[derive(Debug, Deserialize)]
struct RefundConfig {
    #[serde(rename = "address")]
    _address: Address,
    percent: u8,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Privacy {
    builders: Names,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PrivateTransaction {
    tx: Option<Bytes>,
    max_block_number: Option<Number>,
    tx_hash: Option<B256>,
    preferences: Option<Preferences>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preferences {
    privacy: Privacy,
    validity: PrivateValidity,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PrivateValidity {
    refund: BoundedList<RefundConfig, MAX_TRANSACTIONS>,
}

/// `mev_simBundle`'s second parameter.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SimulationOptions<'a> {
    #[serde(borrow)]
    parent_block: Option<&'a RawValue>,
    timestamp: Option<Number>,
    base_fee: Option<Number>,
    coinbase: Option<Address>,
    gas_limit: Option<Number>,
}

/// A searcher's name for a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name.len() > MAX_NAME {
            let message = format!("a name of {} bytes, at most {MAX_NAME} are taken", name.len());
            return Err(serde::de::Error::custom(message));
        }
        Ok(Self(name))
    }
}

/// A number: `0x` text, decimal text or a JSON number. An empty text and `0x` are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number(Option<u64>);

struct NumberVisitor;

impl serde::de::Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number: 0x text, decimal text or a JSON number")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(Some(number)))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
        if text.is_empty() || text == "0x" {
            return Ok(Number(None));
        }
        let parsed = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        let shown = || text.chars().take(32).collect::<String>();
        parsed.map(|n| Number(Some(n))).map_err(|_| E::custom(format!("`{}` is no number", shown())))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

fn number(number: Option<Number>) -> Option<u64> {
    number.and_then(|Number(number)| number)
}

/// Reads what a request asks for; `next` is the height of the next block.
///
/// # Errors
/// An unknown method, or parameters that are wrong.
pub fn read(request: &Request<'_>, next: u64) -> Result<BundleCommand, RpcError> {
    let params = request.positional()?;
    let param = |index: usize| params.get(index).map_or("null", |raw| raw.get());
    let first = || param(0);
    match &*request.method {
        "eth_sendBundle" => {
            let asked: SendBundle<'_> = parse(first())?;
            let uuid = asked.replacement_uuid.clone().or(asked.uuid.clone());
            // As BuilderNet, beaverbuild and Titan have it: an empty bundle takes the one of its UUID back.
            match (asked.txs.is_empty(), uuid) {
                (true, Some(Name(uuid))) => Ok(BundleCommand::Cancel(uuid)),
                _ => Ok(BundleCommand::Send(Box::new(bundle(asked, next)?))),
            }
        }
        "eth_cancelBundle" => {
            let asked: SendBundle<'_> = parse(first())?;
            let uuid = asked.replacement_uuid.or(asked.uuid);
            uuid.map(|Name(uuid)| BundleCommand::Cancel(uuid))
                .ok_or_else(|| RpcError::params("replacementUuid is missing"))
        }
        "mev_sendBundle" => Ok(BundleCommand::Send(Box::new(mev_bundle(first(), next)?))),
        "eth_sendPrivateTransaction" => {
            let asked: PrivateTransaction = parse(first())?;
            let raw = asked.tx.ok_or_else(|| RpcError::params("tx is missing"))?;
            private(&raw, number(asked.max_block_number), asked.preferences.unwrap_or_default(), next)
        }
        "eth_sendPrivateRawTransaction" => {
            let raw: Bytes = parse(first())?;
            let preferences: Option<Preferences> = parse(param(1))?;
            private(&raw, None, preferences.unwrap_or_default(), next)
        }
        "eth_cancelPrivateTransaction" => {
            let asked: PrivateTransaction = parse(first())?;
            asked
                .tx_hash
                .map(BundleCommand::CancelPrivate)
                .ok_or_else(|| RpcError::params("txHash is missing"))
        }
        "eth_callBundle" => {
            let asked: SendBundle<'_> = parse(first())?;
            let state = state_block("stateBlockNumber", asked.state_block_number)?;
            let (timestamp, base_fee, coinbase, gas_limit) =
                (number(asked.timestamp), number(asked.base_fee), asked.coinbase, number(asked.gas_limit));
            let bundle = bundle(asked, next)?;
            Ok(BundleCommand::Simulate(Box::new(SimulationRequest {
                bundle,
                state,
                timestamp,
                base_fee,
                coinbase,
                gas_limit,
                is_mev: false,
            })))
        }
        "mev_simBundle" => {
            let bundle = mev_bundle(first(), next)?;
            if bundle.mev_share.is_some() {
                return Err(RpcError::params(
                    "only bundles of whole transactions can be tried here, without hashes, nested bundles or refund shares",
                ));
            }
            let options: Option<SimulationOptions<'_>> = parse(param(1))?;
            let options = options.unwrap_or_default();
            Ok(BundleCommand::Simulate(Box::new(SimulationRequest {
                bundle,
                state: state_block("parentBlock", options.parent_block)?,
                timestamp: number(options.timestamp),
                base_fee: number(options.base_fee),
                coinbase: options.coinbase,
                gas_limit: number(options.gas_limit),
                is_mev: true,
            })))
        }
        other => {
            let shown: String = other.chars().take(64).collect();
            let message = format!(
                "there is no {shown} here: eth_sendBundle, eth_cancelBundle, eth_callBundle, mev_sendBundle, mev_simBundle, \
                 eth_sendPrivateTransaction, eth_sendPrivateRawTransaction, eth_cancelPrivateTransaction"
            );
            Err(RpcError::new(ErrorCode::MethodNotFound, message))
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, RpcError> {
    serde_json::from_str(text)
        .map_err(|error| RpcError::params(error.to_string().chars().take(MAX_MESSAGE).collect::<String>()))
}

/// A height, a hash or a tag, as the node will read it.
fn state_block(name: &str, raw: Option<&RawValue>) -> Result<Value, RpcError> {
    /// A hash in quotes is the longest.
    const MAX_BYTES: usize = 70;
    match raw.map(RawValue::get) {
        None => Ok(json!("latest")),
        Some(text) if text.len() <= MAX_BYTES && !text.starts_with(['[', '{']) => parse(text),
        Some(_) => Err(RpcError::params(format!("{name}: expected a height or a tag such as latest"))),
    }
}

fn transaction(index: usize, raw: &[u8]) -> Result<super::bundle::BundleTx, RpcError> {
    read_transaction(raw).map_err(|error| RpcError::params(format!("transaction {index}: {error}")))
}

fn names(builders: &Names) -> BTreeSet<String> {
    builders.iter().map(|name| name.to_lowercase()).collect()
}

fn bundle(asked: SendBundle<'_>, next: u64) -> Result<Bundle, RpcError> {
    let transactions = asked.txs.iter().enumerate().map(|(index, raw)| transaction(index, raw));
    let transactions: Vec<_> = transactions.collect::<Result<_, _>>()?;
    let first = number(asked.block_number).filter(|block| *block != 0).unwrap_or(next);
    let last = number(asked.max_block_number).unwrap_or(first);
    let refund = match asked.refund_percent.filter(|percent| *percent > 0) {
        None => None,
        Some(percent) if percent > 100 => {
            return Err(RpcError::params(format!("refundPercent {percent} is above 100")));
        }
        Some(percent) => {
            let sender = transactions.first().map(|tx| tx.sender);
            let recipient = asked.refund_recipient.or(sender).unwrap_or_default();
            Some(Refund { percent, recipient, transactions: asked.refund_tx_hashes.into_vec() })
        }
    };
    Ok(Bundle {
        kind: Kind::Bundle,
        transactions,
        blocks: Some((first, last)),
        min_timestamp: number(asked.min_timestamp).filter(|t| *t != 0),
        max_timestamp: number(asked.max_timestamp).filter(|t| *t != 0),
        reverting: asked.reverting_tx_hashes.into_vec(),
        dropping: asked.dropping_tx_hashes.into_vec(),
        uuid: asked.replacement_uuid.or(asked.uuid).map(|Name(uuid)| uuid),
        refund,
        builders: names(&asked.builders),
        mev_share: None,
        elements: Vec::new(),
    })
}

/// What is left to be read of a `mev_sendBundle` and the bundles in it.
struct Allowance {
    elements: usize,
    nesting: usize,
}

fn mev_bundle(raw: &str, next: u64) -> Result<Bundle, RpcError> {
    let mut allowance = Allowance { elements: MAX_TRANSACTIONS, nesting: MAX_NESTING };
    let read = mev_part(raw, next, &mut allowance)?;
    let mev_share = match read.needs_matchmaker {
        true => Some(MevShareBody { fields: fields_of(raw)?, asks_refund: read.asks_refund }),
        false => None,
    };
    Ok(Bundle { mev_share, ..read.bundle })
}

/// One bundle of a `mev_sendBundle`, the outermost or one in it.
struct MevPart {
    bundle: Bundle,
    needs_matchmaker: bool,
    asks_refund: bool,
}

fn mev_part(raw: &str, next: u64, allowance: &mut Allowance) -> Result<MevPart, RpcError> {
    allowance.nesting = allowance
        .nesting
        .checked_sub(1)
        .ok_or_else(|| RpcError::params(format!("more than {MAX_NESTING} bundles are in each other")))?;
    let asked: MevSend<'_> = parse(raw)?;
    if asked.body.is_empty() {
        return Err(RpcError::params(format!("body: expected 1 to {MAX_TRANSACTIONS} elements")));
    }
    allowance.elements = allowance.elements.checked_sub(asked.body.len()).ok_or_else(|| {
        RpcError::params(format!("body: more than {MAX_TRANSACTIONS} elements in all bundles together"))
    })?;
    let first = number(asked.inclusion.block).filter(|block| *block != 0).unwrap_or(next);
    let last = number(asked.inclusion.max_block).unwrap_or(first);
    let (mut transactions, mut reverting, mut elements) = (Vec::new(), Vec::new(), Vec::new());
    // Refunds by validity are paid by a matchmaker: sent as a plain bundle they would be lost without a word.
    let mut asks_refund = check_refunds(&asked.validity, asked.body.len())?;
    let mut needs_matchmaker = asks_refund || !asked.validity.refund_config.is_empty();
    for (index, element) in asked.body.iter().enumerate() {
        match (&element.tx, element.hash, element.bundle) {
            (Some(raw), None, None) => {
                let tx = transaction(index, raw)?;
                if element.can_revert {
                    reverting.push(tx.hash);
                }
                elements.push(tx.hash);
                transactions.push(tx);
            }
            (None, Some(hash), None) => {
                needs_matchmaker = true;
                elements.push(hash);
            }
            (None, None, Some(inner)) => {
                needs_matchmaker = true;
                let inner = mev_part(inner.get(), next, allowance)?;
                asks_refund |= inner.asks_refund;
                elements.push(inner.bundle.hash());
            }
            _ => {
                return Err(RpcError::params(format!(
                    "body element {index}: expected one of tx, hash, bundle"
                )));
            }
        }
    }
    allowance.nesting += 1;
    let bundle = Bundle {
        kind: Kind::MevShare,
        transactions,
        blocks: Some((first, last)),
        reverting,
        uuid: asked.replacement_uuid.map(|Name(uuid)| uuid),
        builders: names(&asked.privacy.builders),
        elements,
        ..Bundle::default()
    };
    Ok(MevPart { bundle, needs_matchmaker, asks_refund })
}

/// Whether a refund is asked for, and one that can be.
fn check_refunds(validity: &Validity, elements: usize) -> Result<bool, RpcError> {
    let total: u32 = validity.refund.iter().map(|share| u32::from(share.percent)).sum();
    if total > 100 {
        return Err(RpcError::params(format!("validity.refund: {total} percent together, at most 100")));
    }
    if let Some(share) = validity.refund.iter().find(|share| share.body_idx >= elements) {
        return Err(RpcError::params(format!(
            "validity.refund: there is no body element {}",
            share.body_idx
        )));
    }
    let shares: u32 = validity.refund_config.iter().map(|share| u32::from(share.percent)).sum();
    if shares > 100 {
        return Err(RpcError::params(format!(
            "validity.refundConfig: {shares} percent together, at most 100"
        )));
    }
    Ok(!validity.refund.is_empty())
}

/// The fields of an object, each as JSON.
fn fields_of(raw: &str) -> Result<Vec<(String, Box<str>)>, RpcError> {
    let Fields(fields) = parse(raw)?;
    Ok(fields)
}

struct Fields(Vec<(String, Box<str>)>);

struct FieldsVisitor;

impl<'de> serde::de::Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of at most {MAX_FIELDS} fields")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, json)) = map.next_entry::<String, &'de RawValue>()? {
            if fields.len() == MAX_FIELDS {
                return Err(serde::de::Error::custom(format!("more than {MAX_FIELDS} fields")));
            }
            fields.push((name, Box::from(json.get())));
        }
        Ok(Fields(fields))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

fn private(
    raw: &[u8],
    last: Option<u64>,
    preferences: Preferences,
    next: u64,
) -> Result<BundleCommand, RpcError> {
    if preferences.validity.refund.iter().any(|share| share.percent > 0) {
        return Err(RpcError::params(
            "preferences.validity.refund: refunds of private transactions are Flashbots Protect's own, and would be lost on the way to              other builders: send the transaction there, or as eth_sendBundle with refundPercent",
        ));
    }
    let tx = transaction(0, raw)?;
    let last = last.unwrap_or(next.saturating_add(PRIVATE_BLOCKS - 1));
    if last < next {
        return Err(RpcError::params(format!("maxBlockNumber {last} is past, the next block is {next}")));
    }
    let (hash, last) = (tx.hash, last.min(next.saturating_add(super::bundle::MAX_BLOCKS - 1)));
    Ok(BundleCommand::Send(Box::new(Bundle {
        kind: Kind::Private,
        // A private transaction that reverts is of no use to anybody: none may.
        transactions: vec![tx],
        blocks: Some((next, last)),
        uuid: Some(private_uuid(hash)),
        builders: names(&preferences.privacy.builders),
        ..Bundle::default()
    })))
}

/// The name that a private transaction is replaced or cancelled by.
pub(super) fn private_uuid(hash: B256) -> String {
    format!("private-{}", hex::encode(hash))
}

#[cfg(test)]
mod tests {
    use secp256k1::{Message, SECP256K1, SecretKey};

    use super::*;
    use crate::bundles::BundleKey;

    /// Signed with the key of 32 bytes 0x11, chain 1, nonce 0: made with `alloy` for these tests.
    fn raw() -> String {
        use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
        use alloy_eips::eip2718::Encodable2718;
        use alloy_primitives::{Signature, TxKind, U256};
        let tx = TxEip1559 {
            chain_id: 1,
            nonce: 0,
            gas_limit: 21_000,
            max_fee_per_gas: 100,
            max_priority_fee_per_gas: 2,
            to: TxKind::Call(Address::repeat_byte(9)),
            value: U256::from(5),
            access_list: Default::default(),
            input: Bytes::new(),
        };
        let key = SecretKey::from_byte_array([0x11; 32]).unwrap();
        let message = Message::from_digest(tx.signature_hash().0);
        let signature = Signature::from(SECP256K1.sign_ecdsa_recoverable(message, &key));
        hex::encode_prefixed(TxEnvelope::from(tx.into_signed(signature)).encoded_2718())
    }

    fn parse_command(method: &str, params: Value) -> Result<BundleCommand, RpcError> {
        let text = json!({ "method": method, "params": params }).to_string();
        read(&serde_json::from_str(&text).unwrap(), 100)
    }

    fn sent(method: &str, params: Value) -> Bundle {
        match parse_command(method, params).unwrap() {
            BundleCommand::Send(bundle) => *bundle,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_come_in_every_shape() {
        for (block, expected) in [
            (json!("0x70"), (112, 112)),
            (json!("112"), (112, 112)),
            (json!(112), (112, 112)),
            (json!("0x"), (100, 100)),
            (json!(0), (100, 100)),
            (Value::Null, (100, 100)),
        ] {
            let bundle = sent("eth_sendBundle", json!([{"txs": [raw()], "blockNumber": block}]));
            assert_eq!(bundle.blocks, Some(expected), "{block}");
        }
        assert!(parse_command("eth_sendBundle", json!([{"txs": [raw()], "blockNumber": "soon"}])).is_err());
    }

    #[test]
    fn a_bundle_says_all_it_can() {
        let bundle = sent(
            "eth_sendBundle",
            json!([{
                "txs": [raw()], "blockNumber": "0x70", "minTimestamp": 5, "maxTimestamp": 9, "replacementUuid": "u",
                "refundPercent": 90, "builders": ["Titan", "flashbots"],
            }]),
        );
        let tx = &bundle.transactions[0];
        assert_eq!(
            (tx.sender, tx.nonce, tx.gas, tx.max_fee),
            (BundleKey::parse(&"11".repeat(32)).unwrap().address(), 0, 21_000, 100)
        );
        assert_eq!(
            (bundle.min_timestamp, bundle.max_timestamp, bundle.uuid.as_deref()),
            (Some(5), Some(9), Some("u"))
        );
        assert_eq!(bundle.refund.unwrap().recipient, tx.sender);
        assert_eq!(bundle.builders.into_iter().collect::<Vec<_>>(), ["flashbots", "titan"]);
    }

    #[test]
    fn bundles_are_cancelled_in_both_ways() {
        let cancel = BundleCommand::Cancel("u".to_owned());
        assert_eq!(parse_command("eth_cancelBundle", json!([{"replacementUuid": "u"}])).unwrap(), cancel);
        assert_eq!(
            parse_command("eth_sendBundle", json!([{"txs": [], "replacementUuid": "u"}])).unwrap(),
            cancel
        );
        assert_eq!(parse_command("eth_sendBundle", json!([{"txs": [], "uuid": "u"}])).unwrap(), cancel);
    }

    #[test]
    fn a_matchmakers_bundle_is_told_from_a_plain_one() {
        let plain = json!([{"version": "v0.1", "inclusion": {"block": "0x70", "maxBlock": "0x72"},
            "body": [{"tx": raw(), "canRevert": true}]}]);
        let bundle = sent("mev_sendBundle", plain);
        assert_eq!((bundle.blocks, bundle.reverting.len(), bundle.mev_share), (Some((112, 114)), 1, None));
        let hash = B256::repeat_byte(7);
        let share = json!([{"inclusion": {"block": "0x70"}, "body": [{"hash": hash}, {"tx": raw(), "canRevert": false}]}]);
        let bundle = sent("mev_sendBundle", share.clone());
        assert!(bundle.mev_share.is_some());
        assert_eq!(bundle.elements[0], hash);
        assert!(parse_command("mev_simBundle", share).is_err());
        assert!(
            parse_command("mev_sendBundle", json!([{"body": [{}]}]))
                .unwrap_err()
                .message
                .contains("body element 0")
        );
    }

    #[test]
    fn a_refund_by_validity_is_kept_as_it_came_or_refused() {
        let share = |validity: Value| {
            json!([{"version": "v0.1", "inclusion": {"block": "0x70"}, "body": [{"tx": raw()}], "validity": validity,
                "replacementUuid": "mine"}])
        };
        let bundle = sent("mev_sendBundle", share(json!({"refund": [{"bodyIdx": 0, "percent": 90}]})));
        assert!(bundle.asks_refund());
        let body = bundle.mev_share.unwrap();
        let validity = body.fields.iter().find(|(name, _)| name == "validity").unwrap();
        assert_eq!(serde_json::from_str::<Value>(&validity.1).unwrap()["refund"][0]["percent"], 90);
        assert_eq!(bundle.uuid.as_deref(), Some("mine"));
        // Whom a matchmaker's refund goes to is asked of a matchmaker, too; nothing at all is a plain bundle.
        let config = json!({"refundConfig": [{"address": Address::ZERO, "percent": 100}]});
        let bundle = sent("mev_sendBundle", share(config));
        assert!(bundle.mev_share.is_some() && !bundle.asks_refund());
        assert!(sent("mev_sendBundle", share(json!({"refund": []}))).mev_share.is_none());
        for (validity, message) in [
            (json!({"refund": [{"bodyIdx": 1, "percent": 90}]}), "there is no body element 1"),
            (
                json!({"refund": [{"bodyIdx": 0, "percent": 60}, {"bodyIdx": 0, "percent": 60}]}),
                "120 percent",
            ),
            (json!({"refund": [{"bodyIdx": 0}]}), "percent"),
            (json!({"refund": "all"}), "at most 100 elements"),
        ] {
            let error = parse_command("mev_sendBundle", share(validity)).unwrap_err();
            assert!(error.message.contains(message), "{}", error.message);
        }
        let private = json!([{"tx": raw(), "preferences": {"validity": {"refund": [{"address": Address::ZERO, "percent": 90}]}}}]);
        let error = parse_command("eth_sendPrivateTransaction", private).unwrap_err();
        assert!(error.message.contains("preferences.validity.refund"), "{}", error.message);
    }

    #[test]
    fn bundles_in_each_other_have_bounds_together() {
        let nested = |depth: usize, elements: usize| {
            let mut inner = json!({"body": vec![json!({"hash": B256::repeat_byte(7)}); elements]});
            for _ in 1..depth {
                inner = json!({"body": [{"bundle": inner}, {"hash": B256::repeat_byte(8)}]});
            }
            parse_command("mev_sendBundle", json!([inner]))
        };
        assert!(nested(5, 1).is_ok());
        assert!(nested(6, 1).unwrap_err().message.contains("more than 5 bundles"));
        assert!(nested(2, 98).is_ok());
        assert!(nested(2, 99).unwrap_err().message.contains("more than 100 elements"));
        // Beside each other is not in each other.
        let hash = json!({"body": [{"hash": B256::repeat_byte(7)}]});
        let beside = json!([{"body": vec![json!({"bundle": hash}); 10]}]);
        assert!(parse_command("mev_sendBundle", beside).is_ok());
        // A refund asked for inside counts as one of the whole.
        let inner = json!({"body": [{"tx": raw()}], "validity": {"refund": [{"bodyIdx": 0, "percent": 9}]}});
        assert!(sent("mev_sendBundle", json!([{"body": [{"bundle": inner}]}])).asks_refund());
        let mut fields = json!({"body": [{"hash": B256::repeat_byte(7)}]});
        for n in 0..40 {
            fields[format!("more{n}")] = json!(n);
        }
        assert!(parse_command("mev_sendBundle", json!([fields])).unwrap_err().message.contains("32 fields"));
    }

    #[test]
    fn private_transactions_wait_for_25_blocks() {
        for (method, params) in [
            ("eth_sendPrivateTransaction", json!([{"tx": raw()}])),
            ("eth_sendPrivateRawTransaction", json!([raw()])),
            ("eth_sendPrivateRawTransaction", json!([raw(), {"fast": true}])),
        ] {
            let bundle = sent(method, params);
            assert_eq!((bundle.kind, bundle.blocks), (Kind::Private, Some((100, 124))), "{method}");
        }
        let until = json!([{"tx": raw(), "maxBlockNumber": "0x65"}]);
        assert_eq!(sent("eth_sendPrivateTransaction", until).blocks, Some((100, 101)));
        assert!(
            parse_command("eth_sendPrivateTransaction", json!([{"tx": raw(), "maxBlockNumber": "0x1"}]))
                .is_err()
        );
    }

    #[test]
    fn wrong_requests_are_refused_in_words() {
        for (method, params, code, message) in [
            (
                "eth_sendBundle",
                json!([{"txs": ["0x1234"]}]),
                ErrorCode::InvalidParams,
                "transaction 0: no transaction",
            ),
            ("eth_sendBundle", json!([{"txs": ["zz"]}]), ErrorCode::InvalidParams, ""),
            (
                "eth_sendBundle",
                json!([{"txs": [format!("{}00", raw())]}]),
                ErrorCode::InvalidParams,
                "transaction 0",
            ),
            (
                "eth_sendBundle",
                json!([{"txs": [raw()], "refundPercent": 101}]),
                ErrorCode::InvalidParams,
                "above 100",
            ),
            ("eth_cancelBundle", json!([{}]), ErrorCode::InvalidParams, "replacementUuid is missing"),
            ("eth_cancelPrivateTransaction", json!([{}]), ErrorCode::InvalidParams, "txHash is missing"),
            (
                "eth_cancelBundle",
                json!([{"replacementUuid": "x".repeat(129)}]),
                ErrorCode::InvalidParams,
                "at most 128 are taken",
            ),
            (
                "eth_callBundle",
                json!([{"txs": [raw()], "stateBlockNumber": []}]),
                ErrorCode::InvalidParams,
                "a tag",
            ),
            ("eth_getBalance", json!([]), ErrorCode::MethodNotFound, "there is no eth_getBalance here"),
        ] {
            let error = parse_command(method, params).unwrap_err();
            assert_eq!(error.code, code, "{method}");
            assert!(error.message.contains(message), "{method}: {}", error.message);
        }
    }
}
