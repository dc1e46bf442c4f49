//! The HTTP client of a current Lodestar, in Fulu: SSZ registrations and headers, v1 and v2 submission in both encodings.

use std::process::Command;

use relaymux::sim::sim_parent_root;

use crate::{
    lodestar::folder,
    stage::{PARENT, honest, milli, stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn lodestars_builder_client_is_served_in_fulu() {
    let stage = stage().relay(honest().value(milli(70)).blobs(1)).start().await;
    let slot = stage.slot().to_string();
    let arguments =
        [&stage.builder, &slot, &PARENT.to_string(), &sim_parent_root(PARENT).to_string()].map(Clone::clone);
    let folder = folder().join("api");
    let run = tokio::task::spawn_blocking(move || {
        Command::new("node").current_dir(folder).arg("fulu-client.mjs").args(arguments).output().unwrap()
    });
    let output = run.await.unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let result: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {words}"));
    assert_eq!((&result["status"], &result["register"]), (&200.into(), &200.into()), "{result}");
    let header =
        serde_json::json!({"status": 200, "wire": "ssz", "version": "fulu", "value": milli(70).to_string()});
    assert_eq!(result["header"], header);
    for encoding in ["ssz", "json"] {
        let v1 = serde_json::json!({"status": 200, "block_hash": result["block_hash"]});
        assert_eq!(result[format!("v1_{encoding}")], v1, "{result}");
        assert_eq!(result[format!("v2_{encoding}")]["status"], 202, "{result}");
    }
    let got = &stage.relays[0].received("validators")[0];
    assert_eq!(got.headers["content-type"], "application/octet-stream");
    assert_eq!(got.body.len(), 180);
    // One block, by either call in either encoding: the second time it gets the first one's answer.
    for call in ["blinded_blocks_v1", "blinded_blocks_v2"] {
        assert_eq!(stage.relays[0].received(call).len(), 1, "{call}");
    }
}
