//! Connections that stay are shared out evenly, whatever the kernel does.

use ringside::telemetry::reason::Reason;
use ringside::telemetry::record::Outcome;

use crate::support::app::App;
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY};
use crate::support::http::upgrade;
use crate::support::proxy::Setup;

on_both_engines!(
    few_connections_are_even_at_any_time,
    a_worker_without_room_refuses_nobody_while_another_has_some,
    what_is_handed_over_opens_without_tls_too,
);

fn few_connections_are_even_at_any_time(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).workers(3).start(&app);
    let mut all = Vec::new();
    // By chance alone, all of them would be even in one of 3,000 runs.
    for n in 0..12_u64 {
        all.push(proxy.join(&app));
        let held = proxy.count_each(|counters| &counters.held);
        let (most, fewest) = (held.iter().max().expect("workers"), held.iter().min().expect("workers"));
        assert!(most - fewest <= 1, "{held:?} after {n}");
    }
    for (client, joined) in &mut all {
        client.send(&frame::from_client(BINARY, b"here"));
        assert_eq!(joined.frame().payload, b"here");
    }
    assert_eq!(proxy.count_each(|counters| &counters.open), [4; 3]);
    let handed = proxy.count(|counters| &counters.handed_over);
    assert!((1..12).contains(&handed), "{handed} were handed over");
    assert_eq!(proxy.count(|counters| &counters.mailbox_full), 0);
}

fn a_worker_without_room_refuses_nobody_while_another_has_some(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).workers(2).connections(40).start(&app);
    let all: Vec<_> = (0..40).map(|_| proxy.join(&app)).collect();
    (0..40).for_each(|_| assert_eq!(proxy.handshake().outcome, Outcome::Opened));
    assert_eq!(proxy.count_each(|counters| &counters.held), [20; 2]);
    let mut surplus = proxy.ask(&upgrade(&[]));
    assert_eq!(surplus.head().status(), 503);
    surplus.finish();
    assert_eq!(proxy.refusal(), (Reason::Overloaded, Some(503)));
    drop(all);
    proxy.wait_until_held(0);
}

fn what_is_handed_over_opens_without_tls_too(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).workers(2).plain().start(&app);
    let all: Vec<_> = (0..10).map(|_| proxy.join(&app)).collect();
    assert_eq!(proxy.count_each(|counters| &counters.held), [5; 2]);
    drop(all);
    proxy.wait_until_held(0);
    assert_eq!(proxy.count_each(|counters| &counters.held), [0; 2]);
}
