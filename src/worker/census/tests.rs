use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use tokio::time::timeout;

use super::{Census, QUESTIONS, answer, door};
use crate::peer::{Peer, Side};
use crate::telemetry::live::{Live, Who};
use crate::telemetry::record::{ConnectionId, Counts, Event};
use crate::telemetry::report;
use crate::telemetry::trace::{Ids, Sampler, Span};

fn live(number: u64, ratio: f64, now: Instant) -> Rc<Live> {
    let mut ids = Ids::from_seed(number);
    let handshake = Span::handshake(None, Sampler::ratio(ratio), &mut ids);
    let who = Who {
        id: ConnectionId(number),
        client: Peer::new(([192, 0, 2, 7], 50_123).into()),
        trace: handshake.trace,
        handshake: handshake.id,
        span: ids.span(),
        sampled: handshake.sampled,
        subject: None,
        protocol: None,
    };
    let live = Rc::new(Live::new(who, SystemTime::UNIX_EPOCH, now));
    live.relayed(Side::Client, Counts { bytes: number, ..Counts::default() }, None);
    live
}

fn ids(census: &Census, most: usize, now: Instant) -> Vec<u64> {
    census.rows(most, now).iter().map(|row| row.id.0).collect()
}

#[test]
fn whoever_leaves_leaves_the_others_there() {
    let (census, now) = (Census::default(), Instant::now());
    let all: Vec<_> = (0..100).map(|number| live(number, 1.0, now)).collect();
    for live in &all {
        census.enter(live);
    }
    for number in (0..100).step_by(3) {
        census.leave(&all[number]);
    }
    let left: Vec<_> = (0..100).rev().filter(|number| number % 3 != 0).collect();
    assert_eq!(ids(&census, 100, now), left);
    assert_eq!(ids(&census, 5, now), left[..5], "the heaviest come first");
    for live in all.iter().filter(|live| live.row(now).id.0 % 3 != 0) {
        census.leave(live);
    }
    assert_eq!(ids(&census, 5, now), [0; 0]);
    assert!(census.0.borrow().capacity() < 8, "the room of a crowd is given back");
}

#[test]
fn a_checkpoint_comes_when_it_is_due_and_of_those_that_are_sampled() {
    let (census, start) = (Census::default(), Instant::now());
    let (seen, unseen) = (live(1, 1.0, start), live(2, 0.0, start));
    census.enter(&seen);
    census.enter(&unseen);
    let (reporter, events) = report::channel();
    let (every, generator) = (Duration::from_secs(60), RefCell::new(Ids::from_seed(3)));
    let mut numbers = Vec::new();
    for second in 0..=180 {
        census.check(every, &reporter, &generator, start + Duration::from_secs(second));
        while let Ok(event) = events.next(Duration::ZERO) {
            let Event::Checkpoint(checkpoint) = event else { panic!("not a checkpoint: {event:?}") };
            assert_eq!((checkpoint.id.0, checkpoint.age), (1, Duration::from_secs(second)));
            numbers.push(checkpoint.number);
        }
    }
    assert_eq!(numbers, [1, 2, 3]);
}

#[tokio::test]
async fn a_question_is_answered_while_the_worker_runs() {
    let census = Rc::new(Census::default());
    let one = live(7, 1.0, Instant::now());
    census.enter(&one);
    let (door, questions) = door();
    let rows = tokio::select! {
        rows = door.ask(10) => rows,
        () = answer(Rc::clone(&census), questions) => None,
    };
    assert_eq!(rows.expect("an answer").len(), 1);
    assert!(door.ask(10).await.is_none(), "the worker is gone");
}

#[tokio::test]
async fn a_worker_that_hangs_is_not_asked_without_end() {
    let census = Rc::new(Census::default());
    census.enter(&live(7, 1.0, Instant::now()));
    let (door, questions) = door();
    for _ in 0..QUESTIONS {
        assert!(timeout(Duration::ZERO, door.ask(10)).await.is_err(), "nobody answers");
    }
    assert!(door.ask(10).await.is_none(), "there is no room for one more");
    // It goes on: whoever gave up is passed over.
    let answering = answer(Rc::clone(&census), questions);
    let rows = async {
        loop {
            if let Some(rows) = door.ask(10).await {
                return rows;
            }
            tokio::task::yield_now().await;
        }
    };
    let rows = tokio::select! {
        rows = rows => rows,
        () = answering => Vec::new(),
    };
    assert_eq!(rows.len(), 1);
}
