//! Reorganisations, and upstreams that tell late of what is none any more.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_reorganisation_takes_back_what_was_told_to_whom_it_was_told() {
    let stage = stage(1, ClientLimits::default());
    let mut early = stage.hub.join().await.unwrap();
    early.subscribe(Topic::Logs(Arc::default())).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    stage.world.grow_to(102, 'a');
    for number in 99..=101 {
        stage.upstreams.show("u0", header(number, 'a'));
    }
    assert_eq!(logs(&mut early, 3).await, ["99a", "100a", "101a"]);
    let mut late = stage.hub.join().await.unwrap();
    late.subscribe(Topic::Logs(Arc::default())).await.unwrap();
    stage.upstreams.show("u0", header(102, 'a'));
    assert_eq!(logs(&mut late, 1).await, ["102a"]);
    stage.world.grow_to(103, 'b');
    stage.upstreams.show("u0", header(103, 'b'));
    let added = ["100b", "101b", "102b", "103b"];
    assert_eq!(logs(&mut early, 1).await, ["102a"]);
    assert_eq!(logs(&mut early, 3).await, ["-102a", "-101a", "-100a"]);
    assert_eq!(logs(&mut early, 4).await, added);
    assert_eq!(logs(&mut late, 5).await, ["-102a", "100b", "101b", "102b", "103b"]);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_tells_late_brings_back_no_branch_that_was_left() {
    let stage = stage(2, ClientLimits::default());
    let mut line = stage.hub.join().await.unwrap();
    line.subscribe(Topic::NewHeads).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    stage.upstreams.subscribed("u1").await;
    let past = (99..=102).map(|number| (number, 'a')).chain((100..=103).map(|number| (number, 'b')));
    for (number, branch) in past.clone() {
        stage.upstreams.show("u0", header(number, branch));
    }
    let want: Vec<String> = past.clone().map(|(number, branch)| format!("{number}{branch}")).collect();
    assert_eq!(heads(&mut line, want.len()).await, want);
    stage.upstreams.kill("u0");
    sleep(Duration::from_millis(200)).await;
    for (number, branch) in past {
        stage.upstreams.show("u1", header(number, branch));
    }
    stage.upstreams.show("u1", header(104, 'b'));
    assert_eq!(heads(&mut line, 1).await, ["104b"]);
}

#[tokio::test(start_paused = true)]
async fn another_branch_is_told_once_its_upstream_has_said_that_it_is_there() {
    for (is_mute, ms) in [(false, 0..=1_000), (true, 5_000..=7_000)] {
        let stage = stage(2, ClientLimits::default());
        let mut line = stage.hub.join().await.unwrap();
        line.subscribe(Topic::NewHeads).await.unwrap();
        stage.upstreams.subscribed("u0").await;
        stage.upstreams.subscribed("u1").await;
        for number in 99..=101 {
            stage.upstreams.show("u0", header(number, 'a'));
        }
        assert_eq!(heads(&mut line, 3).await, numbers(99..=101));
        stage.upstreams.mutes("u1", is_mute);
        stage.upstreams.show("u1", header(100, 'b'));
        stage.upstreams.kill("u0");
        let begun = Instant::now();
        assert_eq!(heads(&mut line, 1).await, ["100b"]);
        let waited = begun.elapsed().as_millis();
        assert!(ms.contains(&waited), "{is_mute}: {waited} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reorganisation_that_a_websocket_makes_after_polling_is_told() {
    let stage = stage(1, ClientLimits::default());
    let (mut by_head, mut by_log) = (stage.hub.join().await.unwrap(), stage.hub.join().await.unwrap());
    by_head.subscribe(Topic::NewHeads).await.unwrap();
    by_log.subscribe(Topic::Logs(Arc::default())).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    stage.world.grow_to(103, 'a');
    stage.upstreams.show("u0", header(99, 'a'));
    stage.tip(103);
    assert_eq!(heads(&mut by_head, 5).await, numbers(99..=103), "polled, as the websocket shows nothing");
    assert_eq!(logs(&mut by_log, 5).await, numbers(99..=103));
    // The first is outlived by what was polled; with the second, what was polled counts no more.
    stage.upstreams.show("u0", header(100, 'b'));
    stage.upstreams.show("u0", header(101, 'b'));
    assert_eq!(heads(&mut by_head, 2).await, ["100b", "101b"]);
    assert_eq!(logs(&mut by_log, 6).await, ["-103a", "-102a", "-101a", "-100a", "100b", "101b"]);
}
