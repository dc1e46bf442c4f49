//! `mev_sendBundle`: bundles that may be in each other, name transactions of others by hash, and ask for refunds.

use std::fmt;

use alloy_primitives::{B256, Bytes};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::bundle::{Bundle, MAX_TRANSACTIONS, MevShareBody},
    fields::{Name, Number, Privacy, RefundConfig, names, number, parse, transaction},
};
use crate::{
    jsonrpc::{BoundedList, RpcError},
    ledger::BundleKind,
};

/// Bundles in each other: reth's limit.
const MAX_NESTING: usize = 5;

/// Most fields of a `mev_sendBundle`; the specification has seven.
const MAX_FIELDS: usize = 32;

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

/// What is left to be read of a `mev_sendBundle` and the bundles in it.
struct Allowance {
    elements: usize,
    nesting: usize,
}

pub(super) fn mev_bundle(raw: &str, next: u64) -> Result<Bundle, RpcError> {
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
        kind: BundleKind::MevShare,
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
