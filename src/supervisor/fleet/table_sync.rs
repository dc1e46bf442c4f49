//! Syncs of nodes under supervision: what is shown, told and written down of them.

use std::time::Duration;

use super::testing::*;
use crate::supervisor::{NodeView, OutlookKind};

fn one() -> Vec<About> {
    vec![About { stall_after: Duration::from_secs(3600), ..about("geth", "execution") }]
}

impl Scene {
    /// A look each 10 s for so long: so many blocks further each time, of a target that goes on so fast.
    fn sync(&mut self, secs: i64, head: &mut u64, target: &mut u64, (blocks, grown): (u64, u64)) {
        for _ in 0..secs / 10 {
            self.pass(10);
            (*head, *target) = (*head + blocks, *target + grown);
            let seen = Sight {
                head: Some(*head),
                behind: Some(*target - *head),
                ..Sight::only(Ready::Syncing("It says that it is syncing.".to_owned()))
            };
            self.step(Input::Probed(id("geth"), Ok(seen)));
        }
    }

    fn view(&self) -> NodeView {
        self.fleet.view().remove(0)
    }
}

#[test]
fn a_sync_has_a_time_in_what_is_shown_and_a_line_of_history() {
    let (mut scene, mut head, mut target) = (Scene::new(one()), 0, 100_000);
    scene.inspect("geth", running("a"));
    scene.sync(200, &mut head, &mut target, (100, 1));
    let shown = scene.view();
    assert_eq!((shown.eta_secs, shown.sync.unwrap().outlook), (None, OutlookKind::TooEarly));
    scene.sync(400, &mut head, &mut target, (100, 1));
    let shown = scene.view();
    // 94,060 blocks, 9.9 a second.
    assert_eq!(shown.eta_secs, Some(9501));
    let json = serde_json::to_value(&shown).unwrap();
    assert_eq!(json["sync"]["outlook"], "nearing");
    assert_eq!((&json["eta_secs"], &json["sync"]["soonest_secs"]), (&9501.into(), &9501.into()));
    assert_eq!(scene.sync_news, ["It is expected to be there in 2 hours."]);
    // It is there: nothing of it is left.
    scene.answer("geth", Ready::Yes);
    let shown = scene.view();
    assert_eq!((shown.eta_secs, shown.sync), (None, None));
}

#[test]
fn a_stall_is_told_after_the_configured_time_and_over_when_it_goes_on() {
    let (mut scene, mut head, mut target) = (Scene::new(one()), 0, 100_000);
    scene.inspect("geth", running("a"));
    scene.sync(600, &mut head, &mut target, (100, 1));
    scene.sync(3590, &mut head, &mut target, (0, 1));
    assert!(scene.rules().is_empty(), "{:?}", scene.rules());
    scene.sync(20, &mut head, &mut target, (0, 1));
    assert_eq!(
        (scene.state("geth"), scene.rules()),
        (NodeState::Syncing, vec!["node_sync_stalled geth".to_owned()])
    );
    assert_eq!(
        scene.why("geth"),
        "Its sync has not come any further for 60 minutes. It says that it is syncing."
    );
    let message = &scene.fleet.troubles()[0].message;
    assert_eq!(message.matches("not come any further").count(), 1, "{message}");
    assert_eq!(scene.view().sync.unwrap().standing_secs, Some(3610));
    assert_eq!(scene.sync_news.last().unwrap(), "Its sync has not come any further for 60 minutes.");
    assert!(scene.acts.is_empty(), "a sync that is restarted loses part of what it has");
    scene.sync(20, &mut head, &mut target, (100, 1));
    assert!(scene.rules().is_empty(), "{:?}", scene.rules());
}

#[test]
fn a_node_that_is_started_again_is_counted_anew() {
    let (mut scene, mut head, mut target) = (Scene::new(one()), 0, 100_000);
    scene.inspect("geth", running("a"));
    scene.sync(600, &mut head, &mut target, (100, 1));
    scene.sync(3000, &mut head, &mut target, (0, 1));
    scene.inspect("geth", running("b"));
    head = 500;
    scene.sync(1000, &mut head, &mut target, (0, 1));
    assert!(scene.rules().is_empty(), "its own time has begun: {:?}", scene.rules());
    scene.sync(3000, &mut head, &mut target, (0, 1));
    assert_eq!(scene.rules(), ["node_sync_stalled geth"]);
}

#[test]
fn one_that_falls_behind_says_so_and_has_no_number() {
    let (mut scene, mut head, mut target) = (Scene::new(one()), 0, 100_000);
    scene.inspect("geth", running("a"));
    scene.sync(1200, &mut head, &mut target, (5, 6));
    let shown = scene.view();
    assert_eq!((shown.eta_secs, shown.sync.unwrap().outlook), (None, OutlookKind::FallingBehind));
    assert!(shown.why.starts_with("It is falling behind: its chain grows as fast"), "{}", shown.why);
    assert!(scene.rules().is_empty() && scene.sync_news.len() == 1, "{:?}", scene.sync_news);
}

#[test]
fn a_clock_that_leaps_makes_no_stall_and_turns_no_number() {
    let (mut scene, mut head, mut target) = (Scene::new(one()), 0, 100_000);
    scene.inspect("geth", running("a"));
    scene.sync(1200, &mut head, &mut target, (100, 1));
    for leap in [86_400_000, -2 * 86_400_000] {
        scene.now += leap;
        scene.sync(60, &mut head, &mut target, (100, 1));
        let eta = scene.view().eta_secs.unwrap();
        let truth = (target - head) * 10 / 99;
        assert!(eta.abs_diff(truth) < truth / 20, "{leap}: {eta} {truth}");
        assert!(scene.rules().is_empty(), "{leap}: {:?}", scene.rules());
    }
}

#[test]
fn one_that_does_not_answer_has_no_number_and_no_stall() {
    let (mut scene, mut head, mut target) = (Scene::new(one()), 0, 100_000);
    scene.inspect("geth", running("a"));
    scene.sync(1200, &mut head, &mut target, (100, 1));
    scene.fail("geth", 400);
    let shown = scene.view();
    assert_eq!((shown.state, shown.eta_secs), (NodeState::Syncing, None));
    assert!(scene.rules().is_empty(), "{:?}", scene.rules());
}
