//! What goes over the wire to relays, and what is made of what comes back: one relay of the library against a scripted far side.

mod connections;
mod failures;
mod gzip;
mod not_begun;
mod proxy;
mod wire;

use std::time::Duration;

use relaymux::{
    consensus::{Encoding, PresetName, WallClock},
    relay::{
        CallContext, CallFailure, EncodedBlock, RawLabels, RawPayload, Relay, RelayClients, RelaySettings,
        SubmitOutcome, SubmitVersion, TlsRoots, parse_relay_url,
    },
    types::RelayId,
};
use tokio::{sync::watch, time::Instant};

use crate::far_side::FarSide;

const KEY: &str =
    "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";

/// What the configuration makes of a URL: `SCHEME://` and the rest, between which the relay's key goes.
fn settings(scheme: &str, rest: &str) -> RelaySettings {
    let (url, pubkey) = parse_relay_url(&format!("{scheme}://{KEY}@{rest}")).unwrap();
    RelaySettings::new(RelayId::parse("far").unwrap(), url, pubkey)
}

fn relay(settings: RelaySettings, roots: &TlsRoots, proxy: Option<&str>) -> Relay {
    Relay::new(settings, PresetName::Mainnet, RelayClients::build(roots, proxy).unwrap(), WallClock::system())
}

/// A relay at a far side without TLS.
fn plain(far: &FarSide) -> Relay {
    relay(settings("http", &format!("127.0.0.1:{}", far.port)), &TlsRoots::Bundled, None)
}

/// A relay at a far side with TLS, whose certificate is trusted.
fn secure(far: &FarSide) -> Relay {
    let roots = TlsRoots::File(far.roots_file());
    relay(settings("https", &format!("localhost:{}", far.port)), &roots, None)
}

fn context() -> CallContext {
    CallContext {
        user_agent: http::HeaderValue::from_static("relaymux/test"),
        deadline: Instant::now() + Duration::from_secs(20),
    }
}

/// Long enough for the pool to have a connection back, which it takes in a task of its own: nothing says that it has.
async fn rest() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Hands in a block that nobody can read by version 1: its answer is passed on as it is, unpacked.
async fn hand_in(relay: &Relay, body: &[u8], context: &CallContext) -> Result<RawPayload, CallFailure> {
    let labels = RawLabels {
        content_type: http::HeaderValue::from_static("application/octet-stream"),
        consensus_version: Some(http::HeaderValue::from_static("fulu")),
    };
    let block = EncodedBlock::undecoded(labels, Encoding::Ssz, body.to_vec().into());
    // The client has its answer: nothing is repeated.
    let (_keep, settled) = watch::channel(true);
    match relay.submit(SubmitVersion::V1, &block, context, &settled).await.0 {
        SubmitOutcome::Unchecked(payload) => Ok(*payload),
        SubmitOutcome::Failed(failure) => Err(failure),
        other => panic!("{other:?}"),
    }
}
