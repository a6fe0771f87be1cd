//! Either side goes, at any moment, in any way: nothing of it stays behind.

use crate::support::app::{App, Joined};
use crate::support::client::{Client, Security};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY, CLOSE, TEXT};
use crate::support::http::upgrade;
use crate::support::proxy::{Proxy, Setup};

on_both_engines!(a_client_that_goes_leaves_nothing, an_app_that_goes_leaves_nothing, many_go_at_once);

/// Moments of a connection, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Connected, and nothing said.
    Connected,
    /// Half of a `ClientHello`.
    Hello,
    /// TLS stands.
    Secured,
    /// Half of the request.
    Request,
    /// The whole request; the app has taken the connection.
    Asked,
    /// Half of the app's answer.
    Answer,
    /// The 101.
    Open,
    /// Frames have gone both ways, and another has begun both ways.
    Relaying,
    /// The client has closed.
    ClientClosed,
    /// The app has answered that.
    BothClosed,
}

use Phase::{Answer, Asked, BothClosed, ClientClosed, Connected, Hello, Open, Relaying, Request, Secured};

const PHASES: [Phase; 10] =
    [Connected, Hello, Secured, Request, Asked, Answer, Open, Relaying, ClientClosed, BothClosed];

/// A connection in this phase; the app's side of it once there is one.
fn reach(phase: Phase, proxy: &Proxy, app: &App) -> (Client, Option<Joined>) {
    if phase < Secured {
        let mut client = Client::connect(proxy.address(), Security::None);
        client.send(if phase == Hello { &[22, 3, 1, 2, 0, 1, 0, 1] } else { b"" });
        return (client, None);
    }
    let mut client = proxy.client();
    client.complete_handshake();
    let request = upgrade(&[]);
    if phase < Asked {
        client.send(&request.as_bytes()[..if phase == Request { request.len() / 2 } else { 0 }]);
        return (client, None);
    }
    client.send(request.as_bytes());
    let mut joined = app.accept();
    let answer = joined.switching(&[]);
    match phase {
        Asked => return (client, Some(joined)),
        Answer => joined.send(&answer.as_bytes()[..answer.len() / 2]),
        _ => {
            joined.send(answer.as_bytes());
            assert_eq!(client.head().status(), 101);
        }
    }
    if phase >= Relaying {
        let (to_app, to_client) = (frame::from_client(BINARY, &[1; 1000]), frame::from_app(TEXT, &[b'x'; 1000]));
        client.send(&to_app);
        joined.send(&to_client);
        assert_eq!((joined.frame().payload, client.frame().payload), (vec![1; 1000], vec![b'x'; 1000]));
        if phase == Relaying {
            client.send(&to_app[..500]);
            joined.send(&to_client[..500]);
        }
    }
    if phase >= ClientClosed {
        client.send(&frame::from_client(CLOSE, &frame::close(1000, "")));
        assert_eq!(joined.close().0, 1000);
    }
    if phase == BothClosed {
        joined.send(&frame::from_app(CLOSE, &frame::close(1000, "")));
    }
    (client, Some(joined))
}

/// Short waits for the side that does not go, where it is waited for.
fn setup(engine: Engine) -> Setup {
    Setup::new(engine).table("timeouts", "closing = \"300ms\"\napp = \"300ms\"")
}

fn a_client_that_goes_leaves_nothing(engine: Engine) {
    for app in [App::unix(), App::tcp()] {
        let proxy = setup(engine).start(&app);
        let reset: fn(Client) = Client::reset;
        for (how, go) in [("close", drop as fn(Client)), ("reset", reset)] {
            for phase in PHASES {
                let (client, joined) = reach(phase, &proxy, &app);
                go(client);
                if let Some(mut joined) = joined {
                    joined.rest();
                }
                proxy.wait_until_held_after(0, &format!("{phase:?}, {how}"));
            }
        }
        assert_eq!(proxy.count(|counters| &counters.open), 0);
    }
}

fn an_app_that_goes_leaves_nothing(engine: Engine) {
    for app in [App::unix(), App::tcp()] {
        let proxy = setup(engine).start(&app);
        let reset: fn(Joined) = Joined::reset;
        for (how, go) in [("close", drop as fn(Joined)), ("reset", reset)] {
            for phase in PHASES {
                let (mut client, joined) = reach(phase, &proxy, &app);
                let Some(joined) = joined else { continue };
                go(joined);
                client.rest();
                drop(client);
                proxy.wait_until_held_after(0, &format!("{phase:?}, {how}"));
            }
        }
        assert_eq!(proxy.count(|counters| &counters.open), 0);
    }
}

/// Connections in every phase, all cut together.
fn many_go_at_once(engine: Engine) {
    let app = App::unix();
    let proxy = setup(engine).workers(2).start(&app);
    let some: Vec<_> = (0..5).flat_map(|_| PHASES).map(|phase| reach(phase, &proxy, &app)).collect();
    for (n, (client, _)) in some.into_iter().enumerate() {
        if n % 2 == 0 { client.reset() } else { drop(client) }
    }
    proxy.wait_until_held(0);
    assert_eq!(proxy.count(|counters| &counters.open), 0);
    // It serves on.
    let (mut client, mut joined) = proxy.join(&app);
    client.send(&frame::from_client(TEXT, b"still there?"));
    assert_eq!(joined.frame().payload, b"still there?");
    drop(joined);
    assert_eq!(client.close().0, 1012);
}
