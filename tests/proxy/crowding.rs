//! Two thousand connections at once.

use std::io::Write as _;

use rustix::process::{Resource, getrlimit};

use crate::support::app::App;
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY};
use crate::support::many;
use crate::support::proxy::Setup;

on_both_engines!(two_thousand_connections_echo);

/// How many connections are open together.
const CROWD: usize = 2000;
/// Descriptors per connection, all of them in this process: the client's, two of the proxy, the app's.
const DESCRIPTORS: usize = 4;
/// Descriptors for the tests beside this one.
const OTHERS: usize = 1000;

fn two_thousand_connections_echo(engine: Engine) {
    let _alone = many::alone();
    let app = App::unix();
    // Starting it raises the limit on descriptors as far as it goes.
    let proxy = Setup::new(engine).workers(2).start(&app);
    let crowd = allowed();
    let mut pairs: Vec<_> = (0..crowd).map(|_| proxy.join(&app)).collect();
    for (n, (client, _)) in pairs.iter_mut().enumerate() {
        client.send(&frame::from_client(BINARY, &frame::pattern(n as u64, 100)));
    }
    for (_, joined) in &mut pairs {
        let message = joined.frame().payload;
        joined.send(&frame::from_app(BINARY, &message));
    }
    for (n, (client, _)) in pairs.iter_mut().enumerate() {
        assert_eq!(client.frame().payload, frame::pattern(n as u64, 100));
    }
    assert_eq!(proxy.count(|counters| &counters.open), crowd as u64);
    assert_eq!(proxy.count(|counters| &counters.held), crowd as u64);
    drop(pairs);
    proxy.wait_until_held(0);
    assert_eq!(proxy.ended(), crowd as u64);
}

/// The crowd that this machine's limit on descriptors allows.
fn allowed() -> usize {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    let allowed = limit.map_or(CROWD, |limit| CROWD.min(limit.saturating_sub(OTHERS) / DESCRIPTORS));
    if allowed < CROWD {
        assert!(std::env::var_os("CI").is_none(), "only {allowed} connections fit, and CI leaves nothing out");
        // Nobody reads: then nobody misses it.
        let _ = writeln!(std::io::stderr(), "NOT TESTED: {CROWD} connections; the open-file limit allows {allowed}");
    }
    allowed
}
