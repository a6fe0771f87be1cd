//! A task for each connection.
//!
//! Each direction is one `pump`; both pumps and the clock are polled by one task and share a `Link`.

mod clock;
mod pump;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use super::link::Link;
use super::{App, Client, Means};
use crate::peer::Side;
use crate::session::Session;
use crate::telemetry::end::End;
use crate::telemetry::live::Live;

use clock::Clock;

/// Relays until the connection is over, and closes both sockets. `live` is told how it goes, `ended` how it ended.
///
/// When `stop` is done, the session is told to close, and to be over by the time that it gives.
///
/// Not an `async fn`, and one block: the future lives as long as the connection, and would keep room for each argument of
/// each function besides what became of it.
pub fn run(
    client: Client,
    app: App,
    session: Session,
    means: Rc<Means>,
    live: Rc<Live>,
    stop: impl Future<Output = Instant>,
    ended: impl FnOnce(End),
) -> impl Future<Output = ()> {
    let link = Link::new([client.stream, app.stream], client.tls, session, means, live);
    let (wire, early, app_early) = (client.wire, client.early, app.early);
    async move {
        {
            let mut from_client = pin!(pump::run(&link, Side::Client, wire, early));
            let mut from_app = pin!(pump::run(&link, Side::App, Vec::new(), app_early));
            let mut stop = pin!(stop);
            let mut clock = Clock::default();
            let (mut client_done, mut app_done, mut stopping) = (false, false, false);
            poll_fn(|cx| {
                loop {
                    link.settle();
                    client_done = client_done || from_client.as_mut().poll(cx).is_ready();
                    app_done = app_done || from_app.as_mut().poll(cx).is_ready();
                    if !stopping && let Poll::Ready(until) = stop.as_mut().poll(cx) {
                        stopping = true;
                        link.drain(until);
                    }
                    link.look_after_ends();
                    if (client_done && app_done) || link.is_cut() || clock.poll(&link, cx).is_ready() {
                        return Poll::Ready(());
                    }
                    // What one of them did may be work for another that has had its turn already.
                    if !link.is_unsettled() {
                        return Poll::Pending;
                    }
                }
            })
            .await;
        }
        let end = link.end();
        link.part();
        ended(end);
    }
}
