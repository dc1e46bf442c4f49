use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use proptest::prelude::*;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[tokio::test(start_paused = true)]
async fn the_same_call_is_made_once_and_another_by_itself() {
    let flights = Flights::new(10);
    let made = &AtomicU64::new(0);
    let ask = |key: u8| {
        flights.join(key, move || {
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
    let leader = flights.join("key", work);
    assert!(timeout(ms(10), leader).await.is_err());
    assert_eq!(flights.len(), 1);
    assert_eq!(flights.join("key", work).await, Some(Flown::Followed(7)));
    flights.ended().await;
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn work_that_panics_is_told_and_forgotten() {
    let flights: Flights<u8, u8> = Flights::new(10);
    let breaks = || async {
        sleep(ms(1)).await;
        u8::try_from(300_u16).expect("it breaks, as it must in this test")
    };
    let (leader, follower) = tokio::join!(flights.join(1, breaks), flights.join(1, breaks));
    assert_eq!((leader, follower), (None, None));
    assert!(flights.is_empty());
    assert_eq!(flights.join(1, || async { 3 }).await, Some(Flown::Led(3)));
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
        flights.join('a', work(1)),
        flights.join('b', work(2)),
        flights.join('b', work(3)),
        flights.join('a', work(4))
    );
    assert_eq!(
        all,
        (Some(Flown::Led(1)), Some(Flown::Led(2)), Some(Flown::Led(3)), Some(Flown::Followed(1)))
    );
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
                    let join = flights.join(caller.key, || async move {
                        let began = Instant::now();
                        let count = &under_way[usize::from(caller.key)];
                        assert_eq!(count.fetch_add(1, Relaxed), 0, "twice at once");
                        sleep(ms(caller.lasts)).await;
                        count.fetch_sub(1, Relaxed);
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
