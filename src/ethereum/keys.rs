//! Lists of validator keys kept elsewhere: behind an address, or in the registries of Lido, SSV and Stader.
//!
//! Sources, from general knowledge of the protocols and not checked against the live contracts from here: Lido
//! `NodeOperatorsRegistry` and CSM (`getNodeOperatorSummary`, `getSigningKeys`), Stader's node registries
//! (`getOperatorTotalKeys`, `getValidatorsByOperator`), SSV's API v4 and its node's `/v1/validators`. Which of them Commit-Boost
//! loads from is the model for which are here.

use alloy_primitives::{Address, U256};
use alloy_sol_types::{SolCall, sol};
use reqwest::Client;
use serde_json::Value;
use url::Url;

use super::{
    NodeError,
    http::{eth_call, get_json},
};
use crate::types::BlsPublicKey;

/// Keys asked for in one call.
const PAGE: u64 = 200;
/// Most keys of one set. Arbitrary: all of Lido's largest operators together.
const MAX_KEYS: usize = 200_000;
/// Bytes of a compressed public key.
const KEY_BYTES: usize = 48;

sol! {
    function getNodeOperatorSummary(uint256 nodeOperatorId) external view returns (
        uint256 targetLimitMode, uint256 targetValidatorsCount, uint256 stuckValidatorsCount,
        uint256 refundedValidatorsCount, uint256 stuckPenaltyEndTimestamp, uint256 totalExitedValidators,
        uint256 totalDepositedValidators, uint256 depositableValidatorsCount
    );
    // The curated registry returns signatures and flags after the keys, CSM the keys alone: the first is all that is read.
    function getSigningKeys(uint256 nodeOperatorId, uint256 offset, uint256 limit) external view returns (bytes pubkeys);

    struct StaderValidator {
        uint8 status;
        bytes pubkey;
        bytes preDepositSignature;
        bytes depositSignature;
        address withdrawVaultAddress;
        uint256 operatorId;
        uint256 depositBlock;
        uint256 withdrawnBlock;
    }
    function getValidatorsByOperator(address operator, uint256 pageNumber, uint256 pageSize)
        external view returns (StaderValidator[] memory validators);
}

/// Where a set's keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLoader {
    /// From where.
    pub kind: LoaderKind,
    /// Seconds between two loadings.
    pub refresh_secs: u64,
}

/// A kind of source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoaderKind {
    /// A JSON list of keys.
    Url(Url),
    /// One node operator of a Lido staking module.
    Lido {
        /// An execution node.
        rpc: Url,
        /// The module's registry.
        registry: Address,
        /// The operator's number.
        operator: u64,
    },
    /// One operator of a Stader pool.
    Stader {
        /// An execution node.
        rpc: Url,
        /// The pool's registry.
        registry: Address,
        /// The operator's address.
        operator: Address,
    },
    /// One SSV operator: by our own SSV node, else by the public API.
    Ssv {
        /// Our node.
        node: Option<Url>,
        /// The public API, with version and network.
        api: Url,
        /// The operator's number.
        operator: u64,
    },
}

impl LoaderKind {
    /// Everything that says which keys these are, as one text that no other source has. It may hold credentials: it is not to be shown.
    pub fn identity(&self) -> String {
        match self {
            Self::Url(url) => format!("url {url}"),
            Self::Lido { rpc, registry, operator } => format!("lido {rpc} {registry} {operator}"),
            Self::Stader { rpc, registry, operator } => format!("stader {rpc} {registry} {operator}"),
            Self::Ssv { node, api, operator } => {
                let node = node.as_ref().map_or("", Url::as_str);
                format!("ssv {node} {api} {operator}")
            }
        }
    }
}

/// How far the loading of a set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysLoaded {
    /// Keys that are here.
    pub loaded: usize,
    /// Keys that there are, where the source says it.
    pub total: Option<usize>,
}

/// Loads all keys of a source; `told` hears of every page that came.
///
/// # Errors
/// When it does not answer, or answers anything that is not a list of keys. Half a list is no list.
pub async fn load_keys(
    http: &Client,
    kind: &LoaderKind,
    told: &mut (dyn FnMut(KeysLoaded) + Send),
) -> Result<Vec<BlsPublicKey>, NodeError> {
    let mut keys = match kind {
        LoaderKind::Url(url) => {
            let list = get_json(http, url).await?;
            let list = list
                .as_array()
                .ok_or_else(|| NodeError::answer(url, "expected a JSON list of public keys"))?;
            list.iter().map(|entry| key_of(url, entry)).collect::<Result<_, _>>()?
        }
        LoaderKind::Lido { rpc, registry, operator } => lido(http, rpc, *registry, *operator, told).await?,
        LoaderKind::Stader { rpc, registry, operator } => {
            stader(http, rpc, *registry, *operator, told).await?
        }
        LoaderKind::Ssv { node, api, operator } => ssv(http, node.as_ref(), api, *operator, told).await?,
    };
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

fn key_of(url: &Url, entry: &Value) -> Result<BlsPublicKey, NodeError> {
    let text = entry.as_str().unwrap_or_default();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let shown: String = text.chars().take(100).collect();
    format!("0x{digits}").parse().map_err(|_| NodeError::answer(url, format!("`{shown}` is no public key")))
}

fn key_from_bytes(url: &Url, bytes: &[u8]) -> Result<BlsPublicKey, NodeError> {
    let bytes: [u8; KEY_BYTES] =
        bytes.try_into().map_err(|_| NodeError::answer(url, "a key does not have 48 bytes"))?;
    Ok(BlsPublicKey(bytes.into()))
}

async fn call<C: SolCall>(http: &Client, rpc: &Url, to: Address, call: &C) -> Result<C::Return, NodeError> {
    let answer = eth_call(http, rpc, to, &call.abi_encode()).await?;
    let wrong =
        |error| NodeError::answer(rpc, format!("{} answered with something else: {error}", C::SIGNATURE));
    C::abi_decode_returns(&answer).map_err(wrong)
}

async fn lido(
    http: &Client,
    rpc: &Url,
    registry: Address,
    operator: u64,
    told: &mut (dyn FnMut(KeysLoaded) + Send),
) -> Result<Vec<BlsPublicKey>, NodeError> {
    let operator = U256::from(operator);
    let summary = call(http, rpc, registry, &getNodeOperatorSummaryCall { nodeOperatorId: operator }).await?;
    // Keys that are not deposited never propose.
    let total = u64::try_from(summary.totalDepositedValidators).unwrap_or(u64::MAX);
    if usize::try_from(total).unwrap_or(usize::MAX) > MAX_KEYS {
        return Err(NodeError::answer(rpc, format!("{total} keys are more than {MAX_KEYS}")));
    }
    let mut keys = Vec::new();
    let mut offset = 0;
    while offset < total {
        let limit = PAGE.min(total - offset);
        let page = getSigningKeysCall {
            nodeOperatorId: operator,
            offset: U256::from(offset),
            limit: U256::from(limit),
        };
        let bytes = call(http, rpc, registry, &page).await?;
        if bytes.len() != usize::try_from(limit).unwrap_or(usize::MAX).saturating_mul(KEY_BYTES) {
            return Err(NodeError::answer(rpc, format!("asked for {limit} keys, got {} bytes", bytes.len())));
        }
        for key in bytes.chunks(KEY_BYTES) {
            keys.push(key_from_bytes(rpc, key)?);
        }
        told(KeysLoaded { loaded: keys.len(), total: usize::try_from(total).ok() });
        offset += limit;
    }
    Ok(keys)
}

async fn stader(
    http: &Client,
    rpc: &Url,
    registry: Address,
    operator: Address,
    told: &mut (dyn FnMut(KeysLoaded) + Send),
) -> Result<Vec<BlsPublicKey>, NodeError> {
    let mut keys = Vec::new();
    for page in 1u64.. {
        let ask = getValidatorsByOperatorCall {
            operator,
            pageNumber: U256::from(page),
            pageSize: U256::from(PAGE),
        };
        let validators = call(http, rpc, registry, &ask).await?;
        for validator in &validators {
            keys.push(key_from_bytes(rpc, &validator.pubkey)?);
        }
        told(KeysLoaded { loaded: keys.len(), total: None });
        if validators.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
            break;
        }
        if keys.len() > MAX_KEYS {
            return Err(NodeError::answer(rpc, format!("more than {MAX_KEYS} keys")));
        }
    }
    Ok(keys)
}

async fn ssv(
    http: &Client,
    node: Option<&Url>,
    api: &Url,
    operator: u64,
    told: &mut (dyn FnMut(KeysLoaded) + Send),
) -> Result<Vec<BlsPublicKey>, NodeError> {
    if let Some(node) = node {
        let mut url = joined(node, "v1/validators");
        url.query_pairs_mut().append_pair("operators", &operator.to_string());
        match get_json(http, &url).await.and_then(|answer| ssv_keys(&url, &answer, "data")) {
            Ok(keys) => return Ok(keys),
            Err(error) => {
                tracing::warn!(%error, "SSV node does not tell its validators, asking the public API")
            }
        }
    }
    let mut keys = Vec::new();
    for page in 1u64.. {
        let mut url = joined(api, &format!("validators/in_operator/{operator}"));
        url.query_pairs_mut()
            .append_pair("perPage", &PAGE.to_string())
            .append_pair("page", &page.to_string());
        let answer = get_json(http, &url).await?;
        let found = ssv_keys(&url, &answer, "validators")?;
        let pages = answer.pointer("/pagination/pages").and_then(Value::as_u64).unwrap_or(1);
        let is_empty = found.is_empty();
        keys.extend(found);
        told(KeysLoaded { loaded: keys.len(), total: None });
        if page >= pages || is_empty {
            break;
        }
        if keys.len() > MAX_KEYS {
            return Err(NodeError::answer(&url, format!("more than {MAX_KEYS} keys")));
        }
    }
    Ok(keys)
}

fn ssv_keys(url: &Url, answer: &Value, field: &str) -> Result<Vec<BlsPublicKey>, NodeError> {
    let list = answer.get(field).and_then(Value::as_array);
    let list = list.ok_or_else(|| NodeError::answer(url, format!("there is no list `{field}`")))?;
    list.iter().map(|entry| key_of(url, entry.get("public_key").unwrap_or(&Value::Null))).collect()
}

fn joined(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}
