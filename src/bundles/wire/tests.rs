use alloy_primitives::{Address, B256, Bytes, hex};
use secp256k1::{Message, SECP256K1, SecretKey};
use serde_json::{Value, json};

use super::*;
use crate::{
    bundles::{Bundle, BundleKey},
    ledger::BundleKind,
};

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
        (json!({"refund": [{"bodyIdx": 0, "percent": 60}, {"bodyIdx": 0, "percent": 60}]}), "120 percent"),
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
        assert_eq!((bundle.kind, bundle.blocks), (BundleKind::Private, Some((100, 124))), "{method}");
    }
    let until = json!([{"tx": raw(), "maxBlockNumber": "0x65"}]);
    assert_eq!(sent("eth_sendPrivateTransaction", until).blocks, Some((100, 101)));
    assert!(
        parse_command("eth_sendPrivateTransaction", json!([{"tx": raw(), "maxBlockNumber": "0x1"}])).is_err()
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
