//! Faults between a signed block and the relays that have it: relays that speak for others, connections that died, relays that are gone,
//! blocks that nobody here can read, blocks that come twice, and a stop at the worst moment.

use relaymux::{
    consensus::Encoding,
    relay::{TlsRoots, build_http_client},
    sim::{Behaviour, HeaderFault, PayloadFault},
};

use crate::stage::{Stage, eventually, honest, milli, stage};

/// What happens between header and block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    Nothing,
    /// The relay that won leaves the configuration.
    Removed,
    /// SIGTERM.
    Terminated,
    /// The block gets a byte that our decoder refuses.
    Unreadable,
    /// The block was handed in a moment ago.
    Submitted,
}

struct Row {
    name: &'static str,
    holder: Behaviour,
    bystander: PayloadFault,
    between: Between,
    version: u8,
    want: u16,
    decided_by: Option<&'static str>,
}

fn rows() -> Vec<Row> {
    let holder = || honest().value(milli(90));
    let row = |name, holder, bystander, between, version, want| Row {
        name,
        holder,
        bystander,
        between,
        version,
        want,
        decided_by: (want < 300).then_some("r0"),
    };
    let failing = |fault| holder().payload(fault);
    let refuses = PayloadFault::Withholds;
    let lies = PayloadFault::Status(202);
    vec![
        row("honest (the control)", holder(), refuses, Between::Nothing, 2, 202),
        row(
            "bystander says 202 first",
            failing(PayloadFault::StatusFirst(503, 2)),
            lies,
            Between::Nothing,
            2,
            202,
        ),
        row(
            "bystander is a page that says 200",
            failing(PayloadFault::StatusFirst(503, 2)),
            PayloadFault::Status(200),
            Between::Nothing,
            2,
            202,
        ),
        row(
            "bystander says 202, holder withholds",
            failing(PayloadFault::Withholds),
            lies,
            Between::Nothing,
            2,
            502,
        ),
        row("holder says 204 to v2", failing(PayloadFault::Status(204)), refuses, Between::Nothing, 2, 502),
        row(
            "holder's 204 passes",
            failing(PayloadFault::StatusFirst(204, 1)),
            refuses,
            Between::Nothing,
            2,
            202,
        ),
        row(
            "black-holed connection, v1",
            failing(PayloadFault::DeadConnection),
            refuses,
            Between::Nothing,
            1,
            200,
        ),
        row(
            "black-holed connection, v2",
            failing(PayloadFault::DeadConnection),
            lies,
            Between::Nothing,
            2,
            202,
        ),
        row("no v2", holder().lacks_v2(true), refuses, Between::Nothing, 2, 202),
        row("neither v1 nor v2", holder().lacks_v1(true).lacks_v2(true), lies, Between::Nothing, 2, 502),
        row("holder removed from the configuration", holder(), lies, Between::Removed, 2, 202),
        row("SIGTERM before the block, v1", holder(), refuses, Between::Terminated, 1, 200),
        row("SIGTERM before the block, v2", holder(), lies, Between::Terminated, 2, 202),
        row("unreadable here, v1", holder().takes_anything(true), lies, Between::Unreadable, 1, 200),
        row("unreadable here, v2", holder().takes_anything(true), lies, Between::Unreadable, 2, 202),
        row("unreadable to everybody", holder(), refuses, Between::Unreadable, 2, 502),
        row("the same block again, v1", holder(), refuses, Between::Submitted, 1, 200),
        row("the same block again, v2", holder(), lies, Between::Submitted, 2, 202),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_on_their_way() {
    for Row { name, holder, bystander, between, version, want, decided_by } in rows() {
        let is_dead = name.starts_with("black-holed");
        let mut stage = stage()
            .auction(if is_dead { "" } else { "timeout_get_payload_ms = 1500" })
            .relay(holder)
            .relay(honest().builder(9).header(HeaderFault::NoBid).payload(bystander))
            .start()
            .await;
        let slot = stage.slot();
        let bid = stage.header_at(slot).await.unwrap_or_else(|| panic!("{name}: no bid\n{}", stage.log()));
        let mut body = stage.signed_block(slot, &bid, Encoding::Ssz);
        match between {
            Between::Nothing => {}
            Between::Removed => remove_holder(&stage).await,
            Between::Terminated => stage.signal("TERM"),
            Between::Unreadable => body.push(7),
            Between::Submitted => assert_eq!(submit(&stage, version, body.clone()).await, want, "{name}"),
        }
        let status = submit(&stage, version, body).await;
        assert_eq!(status, want, "{name}\n{}", stage.log());
        if between == Between::Terminated {
            assert_eq!(stage.exit_status().await.code(), Some(0), "{name}");
            stage.start_again().await;
        }
        let submission = stage.submission(slot, |submission| submission["fate"] != "pending").await;
        assert_eq!(submission["decided_by"].as_str(), decided_by, "{name}\n{submission}");
        assert_eq!(
            submission["undecoded"].is_string(),
            between == Between::Unreadable,
            "{name}\n{submission}"
        );
        assert!(stage.peak_mib() < crate::MAX_MIB, "{name}: {} MiB", stage.peak_mib());
        println!("{name:<44} v{version} {status} {}", submission["fate"]);
    }
}

/// By a client that has no connection yet.
async fn submit(stage: &Stage, version: u8, body: Vec<u8>) -> u16 {
    let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
    let request = http
        .post(format!("{}/eth/v{version}/builder/blinded_blocks", stage.builder))
        .header("content-type", "application/octet-stream")
        .header("eth-consensus-version", "fulu")
        .body(body);
    request.send().await.unwrap().status().as_u16()
}

async fn remove_holder(stage: &Stage) {
    let config = stage.config();
    let (holder, other) =
        (config.find("[[relays]]\nid = \"r0\"").unwrap(), config.find("[[relays]]\nid = \"r1\"").unwrap());
    stage.write_config(&format!("{}{}", &config[..holder], &config[other..]));
    stage.signal("HUP");
    eventually("the holder to be gone", async || {
        let relays = stage.ops_json("/api/v1/relays").await;
        (relays.as_array().unwrap().len() == 1).then_some(())
    })
    .await;
}
