use std::pin::pin;
use std::task::{Context, Waker};

use tokio::task::{JoinHandle, LocalSet, yield_now};
use tokio::time;

use super::*;
use crate::worker::balance;

const SPREAD: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);

fn crowd(spread: Duration) -> Crowd {
    let pace = Pace { spread, timeout: TIMEOUT };
    let load = balance::shares(1).remove(0).balance.load().clone();
    Crowd::new(Arc::default(), load, pace, Rc::new(Ids::from_seed(1).into()))
}

/// The time of the paused clock.
fn now() -> Instant {
    time::Instant::now().into_std()
}

/// A connection that leaves as soon as it is told to. Gives when that was, and the time it was given.
fn polite(place: Place) -> JoinHandle<(Instant, Instant)> {
    tokio::task::spawn_local(async move {
        let until = place.dispersed().await;
        (now(), until)
    })
}

#[tokio::test(start_paused = true)]
async fn each_leaves_at_its_own_time_within_the_spread() {
    const COUNT: u32 = 1000;
    let inside = async {
        let crowd = crowd(SPREAD);
        let connections: Vec<_> = (0..COUNT).map(|_| polite(crowd.enter())).collect();
        time::advance(SPREAD * 10).await;
        assert_eq!(crowd.len(), COUNT as usize, "nobody leaves unasked");

        let began = now();
        let until = crowd.disperse(began);
        assert_eq!(until, began + TIMEOUT);
        crowd.gone().await;
        let mut delays = Vec::new();
        for connection in connections {
            let (left, given) = connection.await.expect("no panic");
            assert_eq!(given, until, "one end for all");
            delays.push(left - began);
        }
        // The clock of tokio has a millisecond.
        assert!(delays.iter().all(|delay| *delay <= SPREAD + Duration::from_millis(1)));
        // Of 1000 that come uniformly, each tenth of the spread gets 100, give or take 9.5: 60 are four times that off.
        for tenth in 0..10 {
            let within = SPREAD * tenth / 10..SPREAD * (tenth + 1) / 10;
            let count = delays.iter().filter(|delay| within.contains(*delay)).count();
            assert!((60..140).contains(&count), "{count} left in {within:?}");
        }
    };
    LocalSet::new().run_until(inside).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_spread_all_leave_at_once() {
    let inside = async {
        let crowd = crowd(Duration::ZERO);
        let connections: Vec<_> = (0..10).map(|_| polite(crowd.enter())).collect();
        // Let them begin to wait.
        yield_now().await;
        let began = now();
        crowd.disperse(began);
        for connection in connections {
            assert_eq!(connection.await.expect("no panic"), (began, began + TIMEOUT));
        }
    };
    LocalSet::new().run_until(inside).await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_is_given_no_more_time() {
    let inside = async {
        let crowd = crowd(SPREAD);
        let began = now();
        let until = crowd.disperse(began);
        time::advance(SPREAD).await;
        let late = now();
        let (left, given) = polite(crowd.enter()).await.expect("no panic");
        assert!(left - late <= Duration::from_millis(1), "{:?}", left - late);
        assert_eq!(given, until);
    };
    LocalSet::new().run_until(inside).await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_leave_is_still_counted() {
    let crowd = crowd(Duration::ZERO);
    let (stays, goes) = (crowd.enter(), crowd.enter());
    let until = crowd.disperse(now());
    drop(goes);
    assert!(time::timeout_at(until.into(), crowd.gone()).await.is_err());
    assert_eq!(crowd.len(), 1);
    drop(stays);
    crowd.gone().await;
}

/// Each connection has one of these for as long as it is.
#[test]
fn waiting_for_the_drain_takes_little_room() {
    let crowd = crowd(SPREAD);
    let place = crowd.enter();
    let mut dispersed = pin!(place.dispersed());
    assert!(dispersed.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let size = size_of_val(&*dispersed);
    assert!(size <= 80, "{size} bytes");
}
