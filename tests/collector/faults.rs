//! Collectors that are away, slow, busy or silent: queues are bounded, what is lost is counted, and all is well again
//! when the collector is.

use std::time::{Duration, Instant};

use ringside::control::export::{Config, Export, Lines, SpanCounts, Taps};
use ringside::telemetry::names::Queue;
use ringside::telemetry::report::{self, QUEUE};

use super::collector::{Collector, Manner};
use super::{PATIENCE, PROTOCOLS, config, report_many, shutdown, start, start_with};

/// As many spans as go out at once, without waiting for more.
const BATCH: u64 = 512;

/// Spans that may wait.
const SPANS: u64 = 2048;

/// Waits until the figures are so, and no longer than anything takes.
pub(crate) fn wait_until(counts: &SpanCounts, what: &str, are_so: impl Fn(&SpanCounts) -> bool) {
    let began = Instant::now();
    while !are_so(counts) {
        assert!(began.elapsed() < Duration::from_secs(20), "never {what}: {counts:?}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn an_absent_collector_costs_the_spans_and_nothing_else() {
    for &protocol in PROTOCOLS {
        let (reporter, export) = start_with(Config { protocol, ..config(&Collector::absent()) });
        report_many(&reporter, 100);
        let counts = export.counts();
        shutdown(export, PATIENCE);
        assert_eq!((counts.exported(), counts.dropped() + reporter.dropped()), (0, 100), "{protocol:?}");
    }
}

#[test]
fn a_collector_that_hangs_holds_nobody_up_and_memory_is_bounded() {
    for &protocol in PROTOCOLS {
        let collector = Collector::start(Manner::Hangs);
        let (reporter, export) = start_with(Config { protocol, ..config(&collector.endpoint) });
        let counts = export.counts();
        // More than the event queue, the span queue and a batch in flight can hold.
        let began = Instant::now();
        report_many(&reporter, 20_000);
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        assert!(!shutdown(export, Duration::from_secs(1)), "{protocol:?}");
        assert_eq!(counts.exported(), 0);
        assert_eq!(counts.dropped() + reporter.dropped(), 20_000, "every span is accounted for, {protocol:?}");
    }
}

/// Without a time.
const BUSY: Manner = Manner::Refuses(503, None);

#[test]
fn a_busy_collector_is_asked_again() {
    let collector = Collector::script(&[BUSY; 2], Manner::Takes);
    let (reporter, export) = start(&collector.endpoint);
    report_many(&reporter, 10);
    let counts = export.counts();
    assert!(shutdown(export, PATIENCE));
    assert_eq!((collector.spans().len(), counts.exported(), counts.dropped()), (10, 10, 0));
}

#[test]
fn a_collector_that_stays_busy_is_given_up() {
    let collector = Collector::start(BUSY);
    let (reporter, export) = start(&collector.endpoint);
    report_many(&reporter, 10);
    let counts = export.counts();
    shutdown(export, PATIENCE);
    assert_eq!((counts.exported(), counts.dropped()), (0, 10));
}

#[test]
fn a_busy_collector_is_asked_again_at_the_time_it_names() {
    for status in [429, 503] {
        let collector = Collector::script(&[Manner::Refuses(status, Some("1"))], Manner::Takes);
        let (reporter, export) = start(&collector.endpoint);
        report_many(&reporter, BATCH);
        let first = collector.asked();
        let waited = collector.asked() - first;
        assert!(waited >= Duration::from_millis(950), "{waited:?}");
        let counts = export.counts();
        assert!(shutdown(export, PATIENCE));
        assert_eq!((collector.spans().len(), counts.exported(), counts.dropped()), (512, BATCH, 0));
    }
}

#[test]
fn a_collector_that_names_a_time_too_far_away_is_left_alone() {
    let collector = Collector::script(&[Manner::Refuses(429, Some("3600"))], Manner::Takes);
    let (reporter, export) = start(&collector.endpoint);
    let counts = export.counts();
    for batch in 1..=3 {
        report_many(&reporter, BATCH);
        wait_until(&counts, "given up", |counts| counts.dropped() == batch * BATCH);
    }
    collector.asked();
    assert!(collector.is_at_peace(), "it was asked again");
    shutdown(export, PATIENCE);
    assert_eq!((counts.exported(), counts.dropped()), (0, 3 * BATCH));
}

#[test]
fn a_wait_for_the_collector_does_not_outlast_the_process() {
    let collector = Collector::script(&[Manner::Refuses(503, Some("8"))], Manner::Takes);
    let (reporter, export) = start(&collector.endpoint);
    report_many(&reporter, BATCH);
    collector.refused();
    let (counts, began) = (export.counts(), Instant::now());
    // Nothing can come of it before that, so it is not waited for.
    shutdown(export, Duration::from_secs(4));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!((counts.exported(), counts.dropped()), (0, BATCH));
}

#[test]
fn a_collector_that_is_killed_and_comes_back_costs_what_came_meanwhile() {
    let collector = Collector::start(Manner::Takes);
    let (reporter, export) = start(&collector.endpoint);
    let counts = export.counts();
    report_many(&reporter, BATCH);
    wait_until(&counts, "exported", |counts| counts.exported() == BATCH);
    let address = collector.kill();
    report_many(&reporter, BATCH);
    wait_until(&counts, "given up", |counts| counts.dropped() == BATCH);
    let collector = Collector::start_at(address, &[], Manner::Takes);
    report_many(&reporter, BATCH);
    wait_until(&counts, "exported again", |counts| counts.exported() == 2 * BATCH);
    assert!(shutdown(export, PATIENCE));
    assert_eq!((collector.spans().len(), counts.exported(), counts.dropped()), (512, 2 * BATCH, BATCH));
}

#[test]
fn a_slow_collector_gets_what_there_is_room_for() {
    const MANY: u64 = 20_000;
    let collector = Collector::start(Manner::Dawdles);
    let (reporter, export) = start(&collector.endpoint);
    let (counts, backlog) = (export.counts(), reporter.backlog());
    report_many(&reporter, BATCH);
    collector.asked();
    // One batch is on its way, and nothing moves.
    report_many(&reporter, MANY);
    wait_until(&counts, "dropped", |counts| counts.dropped() + reporter.dropped() == MANY - SPANS);
    let queue = counts.queue();
    assert_eq!((queue.waiting, queue.limit), (SPANS, SPANS));
    assert_eq!(backlog.figures().waiting, 0);
    assert_eq!((backlog.figures().limit, backlog.figures().dropped), (QUEUE as u64, reporter.dropped()));
    // As many requests as it takes.
    (0..=SPANS / BATCH).for_each(|_| collector.hurry());
    assert!(shutdown(export, PATIENCE));
    assert_eq!((collector.spans().len() as u64, counts.exported()), (BATCH + SPANS, BATCH + SPANS));
    assert_eq!(counts.exported() + counts.dropped() + reporter.dropped(), BATCH + MANY);
    assert_eq!(counts.queue().waiting, 0);
}

#[test]
fn what_the_collector_rejects_of_a_batch_is_lost_and_the_rest_is_not() {
    let collector = Collector::start(Manner::Rejects(3));
    let (reporter, export) = start(&collector.endpoint);
    report_many(&reporter, 10);
    let counts = export.counts();
    assert!(shutdown(export, PATIENCE));
    assert_eq!((counts.exported(), counts.dropped()), (7, 3));
}

#[test]
fn without_a_collector_no_span_waits_and_none_may() {
    let (reporter, events) = report::channel();
    let export = Export::start(None, None, Lines::default(), events, Taps::default()).expect("start");
    report_many(&reporter, 10);
    let counts = export.counts();
    assert!(shutdown(export, PATIENCE));
    assert_eq!(counts.queue(), Queue::default());
    assert_eq!(reporter.backlog().figures().waiting, 0);
}
