use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use proptest::prelude::*;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::*;

const ANY: Boarding = Boarding { told: (0, 0), within: Duration::MAX };

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[tokio::test(start_paused = true)]
async fn the_same_call_is_made_once_and_another_by_itself() {
    let flights = Flights::new(10);
    let made = &AtomicU64::new(0);
    let ask = |key: u8| {
        flights.join(key, ANY, move || {
            let nth = made.fetch_add(1, Relaxed);
            async move {
                sleep(ms(10)).await;
                (key, nth)
            }
        })
    };
    let (first, second, other) = tokio::join!(ask(1), ask(1), ask(2));
    assert_eq!(first, Some(Flown::Led((1, 0))));
    assert_eq!(second, Some(Flown::Followed((1, 0))));
    assert_eq!(other, Some(Flown::Led((2, 1))));
    assert_eq!(ask(1).await, Some(Flown::Led((1, 2))), "what is over is not joined");
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hangs_up_takes_nothing_from_the_others() {
    let flights = Flights::new(10);
    let work = || async {
        sleep(ms(100)).await;
        7
    };
    let leader = timeout(ms(10), flights.join("key", ANY, work));
    let (leader, follower) = tokio::join!(leader, flights.join("key", ANY, work));
    assert!(leader.is_err());
    assert_eq!(follower, Some(Flown::Followed(7)));
    flights.ended().await;
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn when_the_last_who_waits_has_gone_the_work_ends() {
    let flights = Flights::new(10);
    let ended = Arc::new(AtomicU64::new(0));
    let work = || {
        let ended = Arc::clone(&ended);
        async move {
            sleep(ms(100)).await;
            ended.fetch_add(1, Relaxed);
        }
    };
    let began = Instant::now();
    let (one, two) = tokio::join!(
        timeout(ms(10), flights.join("key", ANY, work)),
        timeout(ms(20), flights.join("key", ANY, work))
    );
    assert!(one.is_err() && two.is_err());
    flights.ended().await;
    assert_eq!((ended.load(Relaxed), began.elapsed()), (0, ms(20)));
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_was_told_more_or_comes_late_flies_with_a_newer_one() {
    let flights = &Flights::new(10);
    let made = &AtomicU64::new(0);
    let ask = |after: u64, told: (u64, u64)| async move {
        sleep(ms(after)).await;
        let nth = || made.fetch_add(1, Relaxed);
        let work = move || {
            let nth = nth();
            async move {
                sleep(ms(100)).await;
                nth
            }
        };
        flights.join((), Boarding { told, within: ms(50) }, work).await.unwrap()
    };
    let flown = tokio::join!(
        ask(0, (5, 1)),
        ask(1, (5, 1)),
        ask(2, (4, 0)),
        ask(3, (6, 1)),
        ask(4, (6, 1)),
        ask(5, (6, 2)),
        ask(60, (0, 0)),
        ask(61, (0, 0)),
    );
    assert_eq!(
        flown,
        (
            Flown::Led(0),
            Flown::Followed(0),
            Flown::Followed(0),
            Flown::Led(1),
            Flown::Followed(1),
            Flown::Led(2),
            Flown::Led(3),
            Flown::Followed(3),
        )
    );
    assert!(flights.is_empty() && flights.0.under_way.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn work_that_panics_is_told_and_forgotten() {
    let flights: Flights<u8, u8> = Flights::new(10);
    let breaks = || async {
        sleep(ms(1)).await;
        u8::try_from(300_u16).expect("it breaks, as it must in this test")
    };
    let (leader, follower) = tokio::join!(flights.join(1, ANY, breaks), flights.join(1, ANY, breaks));
    assert_eq!((leader, follower), (None, None));
    assert!(flights.is_empty());
    assert_eq!(flights.join(1, ANY, || async { 3 }).await, Some(Flown::Led(3)));
}

#[tokio::test(start_paused = true)]
async fn beyond_the_bound_calls_are_made_by_themselves() {
    let flights = Flights::new(1);
    let work = |value: u8| {
        move || async move {
            sleep(ms(5)).await;
            value
        }
    };
    let all = tokio::join!(
        flights.join('a', ANY, work(1)),
        flights.join('b', ANY, work(2)),
        flights.join('b', ANY, work(3)),
        flights.join('a', ANY, work(4))
    );
    assert_eq!(
        all,
        (Some(Flown::Led(1)), Some(Flown::Led(2)), Some(Flown::Led(3)), Some(Flown::Followed(1)))
    );
}

struct Over<'a>(&'a AtomicU64);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Somebody who asks.
#[derive(Clone, Copy, Debug)]
struct Caller {
    at: u64,
    key: u8,
    lasts: u64,
    hangs_up_after: Option<u64>,
}

fn caller() -> impl Strategy<Value = Caller> {
    (0..60_u64, 0..3_u8, 1..25_u64, prop::option::weighted(0.3, 0..20_u64))
        .prop_map(|(at, key, lasts, hangs_up_after)| Caller { at, key, lasts, hangs_up_after })
}

proptest! {
    #[test]
    fn nobody_who_waits_goes_without_and_no_call_is_under_way_twice(callers in prop::collection::vec(caller(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let flights: Flights<u8, (u8, Instant)> = Flights::new(100);
            let under_way: Arc<[AtomicU64; 3]> = Arc::default();
            let begin = Instant::now();
            let tasks: Vec<_> = callers.iter().map(|&caller| {
                let (flights, under_way) = (flights.clone(), Arc::clone(&under_way));
                tokio::spawn(async move {
                    sleep_until(begin + ms(caller.at)).await;
                    let asked = Instant::now();
                    let join = flights.join(caller.key, ANY, || async move {
                        let began = Instant::now();
                        let count = &under_way[usize::from(caller.key)];
                        assert_eq!(count.fetch_add(1, Relaxed), 0, "twice at once");
                        // Also where it is ended, as nobody waits any more.
                        let _over = Over(count);
                        sleep(ms(caller.lasts)).await;
                        (caller.key, began)
                    });
                    match caller.hangs_up_after {
                        Some(after) => {
                            let _ = timeout(ms(after), join).await;
                        }
                        None => {
                            let flown = join.await.expect("an answer");
                            let is_shared = flown.is_shared();
                            let (key, began) = flown.into_inner();
                            assert_eq!(key, caller.key);
                            assert!(began <= asked || !is_shared);
                            // No work lasts longer, so nobody waits longer either.
                            assert!(asked.elapsed() <= ms(25));
                        }
                    }
                })
            }).collect();
            for task in tasks {
                task.await.unwrap();
            }
            flights.ended().await;
            assert!(flights.is_empty());
        });
    }
}
